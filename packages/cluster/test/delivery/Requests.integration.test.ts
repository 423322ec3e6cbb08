/** Requests of other systems on their way out: who gets them, when, and what can still be taken back. */
import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { DeliveryStore, type OpenList } from "@hikyaku/cluster/delivery/DeliveryStore"
import { layer as requestLayer, type Line, RequestStore } from "@hikyaku/cluster/delivery/RequestStore"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { unbounded } from "@hikyaku/domain/delivery/RateLimit"
import { Effect } from "effect"
import { describe, expect } from "vitest"
import {
  batchOf,
  calm,
  consider,
  count,
  dispatch,
  exactlyOnce,
  inHouse,
  pollUntil,
  quiet,
  report
} from "./DispatcherHouse.ts"

const lineOf = (address: string, index: number): Line => ({
  _tag: "Recipient",
  line: index + 1,
  recipient: { member: null, address, parameters: { n: index } }
})
const addresses = (count: number, prefix = "a") => Array.from({ length: count }, (_, n) => `${prefix}${n}@shop.example`)

interface Wanted {
  readonly id: string
  readonly mail?: string
  readonly class?: "realtime" | "batch"
  readonly sendAt?: number
  readonly deadline?: number
}
/** A request with these recipients; submitted unless told otherwise. */
const ask = (
  { class: cls = "batch", deadline, id, mail = id, sendAt }: Wanted,
  lines: ReadonlyArray<Line>,
  submit = true
) =>
  Effect.gen(function*() {
    const store = yield* RequestStore
    yield* store.saveTemplate("t", { en: { mail: { subject: "s", html: "h", text: "t" } } })
    yield* store.open({
      id,
      system: "orders",
      idempotencyKey: id,
      contentHash: id,
      mail,
      template: "t",
      templateVersion: 1,
      class: cls,
      priority: 0,
      parameters: {},
      sendAt: sendAt ?? Date.now() - 1_000,
      deadline: deadline ?? Date.now() + 3_600_000,
      source: null
    })
    const taken = yield* store.add(id, lines, lines.length)
    if (submit) yield* store.move(id, ["open"], "accepted")
    return taken
  }).pipe(Effect.provide(requestLayer))

const tallyOf = (id: string) =>
  Effect.flatMap(RequestStore, (store) => store.tally(id)).pipe(Effect.provide(requestLayer))
const move = (id: string, from: "open" | "accepted" | "paused", to: "accepted" | "paused" | "cancelled") =>
  Effect.flatMap(RequestStore, (store) => store.move(id, [from], to)).pipe(Effect.provide(requestLayer))
const retry = (id: string) =>
  Effect.flatMap(RequestStore, (store) => store.retry(id, Date.now() + 3_600_000)).pipe(Effect.provide(requestLayer))

describe("requests of other systems (MAIL-1, G10, R19)", () => {
  it.scopedLive("go out to addresses and members, each once, and leave the members' books alone", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        yield* consider(batchOf(1, "other"))
        const member: Line = {
          _tag: "Recipient",
          line: 13,
          recipient: { member: "other-m0", address: null, parameters: {} }
        }
        expect(yield* ask({ id: "r1" }, [...addresses(12).map(lineOf), member])).toMatchObject({
          added: 13,
          repeated: 0
        })
        // The same mail under another request, and to the member's own address.
        expect(
          yield* ask(
            { id: "r2", mail: "r1" },
            ["A3@shop.example", "new@shop.example", "other-m0@shop.example"].map(lineOf)
          )
        )
          .toMatchObject({ added: 2, repeated: 1 })
        yield* dispatch()
        yield* quiet
        const [one, two] = [yield* tallyOf("r1"), yield* tallyOf("r2")]
        expect((one.sent ?? 0) + (two.sent ?? 0)).toBe(14)
        // Which of the two that name one mailbox went out is whichever was listed first.
        expect((one.suppressed ?? 0) + (two.suppressed ?? 0)).toBe(1)
        yield* exactlyOnce(15)
        expect(yield* count("delivery_sent", "member <> 'other-m0'")).toBe(0)
        expect(yield* count("delivery_sent")).toBe(1)
        expect(yield* count("delivery_refund")).toBe(0)
      })
    ))

  it.scopedLive("wait until they are submitted, and while they are paused; cancelled ones are withdrawn at any stage", () =>
    inHouse(
      { settings: { concurrency: { ...unbounded, total: 2 }, latency: { _tag: "Fixed", ms: 40 } } },
      Effect.gen(function*() {
        const store = yield* DeliveryStore
        yield* ask({ id: "open" }, addresses(5, "o").map(lineOf), false)
        yield* ask({ id: "big" }, addresses(200, "b").map(lineOf))
        yield* dispatch()
        yield* pollUntil(report, (seen) => seen.sends > 2)
        yield* move("big", "accepted", "paused")
        // What was under way ends; then nothing more of it starts.
        yield* pollUntil(
          count("delivery_list", "status in ('uploading', 'sending', 'sent', 'unknown')"),
          (n) => n === 0
        )
        const { sends } = yield* report
        yield* ask({ id: "next" }, addresses(5, "n").map(lineOf))
        yield* pollUntil(tallyOf("next"), (tally) => tally.sent === 5)
        expect((yield* report).sends).toBe(sends + 1)
        yield* move("big", "paused", "accepted")
        yield* pollUntil(report, (seen) => seen.sends > sends + 2)
        yield* move("big", "accepted", "cancelled")
        yield* store.sweepCancelled("big")
        yield* pollUntil(tallyOf("big"), (tally) => tally.due === undefined && tally.listed === undefined)
        const after = yield* tallyOf("big")
        expect((after.sent ?? 0) + (after.suppressed ?? 0)).toBe(200)
        expect(after.suppressed).toBeGreaterThan(0)
        expect(yield* tallyOf("open")).toEqual({ due: 5 })
        const seen = yield* report
        expect(seen.mailed).toBe((after.sent ?? 0) + 5)
        expect(seen.violations.total).toBe(0)
      })
    ))

  it.scopedLive("send to those that failed again, and only to those", () =>
    inHouse(
      { settings: { ...calm.settings, faults: { failSend: 1 } } },
      Effect.gen(function*() {
        const control = yield* SandboxControl
        yield* ask({ id: "r" }, addresses(15).map(lineOf))
        yield* dispatch()
        yield* quiet
        expect(yield* tallyOf("r")).toEqual({ failed: 15 })
        yield* control.configure({ faults: { failSend: 0 } })
        yield* ask({ id: "s" }, addresses(3, "s").map(lineOf))
        yield* quiet
        expect(yield* retry("s")).toBe(0)
        expect(yield* retry("r")).toBe(15)
        yield* quiet
        expect(yield* tallyOf("r")).toEqual({ sent: 15 })
        yield* exactlyOnce(18)
      })
    ))

  it.scopedLive("are dropped with a reason at their deadline, and start nothing after it (G13)", () =>
    inHouse(
      { ...calm, reachable: Effect.succeed(false) },
      Effect.gen(function*() {
        yield* ask({ id: "r", deadline: Date.now() + 1_000 }, addresses(5).map(lineOf))
        yield* dispatch()
        yield* quiet
        expect(yield* tallyOf("r")).toEqual({ expired: 5 })
        expect((yield* report).requests.total).toBe(0)
      })
    ))

  it.scopedLive("expire at their deadline also while they are paused, what is in lists too (G13)", () =>
    inHouse(
      { settings: { concurrency: { ...unbounded, total: 2 }, latency: { _tag: "Fixed", ms: 60 } } },
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* ask({ id: "r" }, addresses(100).map(lineOf))
        yield* dispatch()
        yield* pollUntil(report, (seen) => seen.sends > 0)
        yield* move("r", "accepted", "paused")
        yield* pollUntil(
          count("delivery_list", "status in ('uploading', 'sending', 'sent', 'unknown')"),
          (n) => n === 0
        )
        expect(yield* count("delivery_list", "status in ('queued', 'uploaded')")).toBeGreaterThan(0)
        yield* sql`update delivery set deadline = shop_now() where status in ('due', 'listed')`
        yield* sql`update delivery_list set deadline = shop_now() where status in ('queued', 'uploaded')`
        yield* pollUntil(tallyOf("r"), (tally) => tally.due === undefined && tally.listed === undefined)
        const { expired = 0, sent = 0, ...rest } = yield* tallyOf("r")
        expect([expired + sent, rest]).toEqual([100, {}])
        expect(yield* count("delivery_list", "status in ('queued', 'uploaded')")).toBe(0)
        yield* exactlyOnce(sent)
      })
    ))

  it.scopedLive("are counted while they are paused: what they have listed and uploaded may need its part of a day", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        const store = yield* DeliveryStore
        const by = { provider: "mail-account", owner: "o", epoch: 1 }
        const look = store.overview(by, ["mail"], 10)
        const states = (lists: ReadonlyArray<OpenList>) => lists.map(({ state }) => state.status)
        const seen = Effect.map(look, ({ lists, paused, waiting }) => [states(lists), states(paused), states(waiting)])
        yield* ask({ id: "r" }, addresses(4).map(lineOf))
        const [group] = (yield* look).groups
        if (group === undefined) return yield* Effect.dieMessage("the request is not due")
        yield* store.makeList(by, "l-1", group, 10)
        expect(yield* seen).toEqual([["queued"], [], []])
        yield* move("r", "accepted", "paused")
        expect(yield* seen).toEqual([[], ["queued"], []])
        yield* move("r", "paused", "accepted")
        yield* store.begin(by, [{ id: "l-1", state: { status: "queued", attempt: 0 } }])
        yield* store.change({
          id: "l-1",
          from: { status: "uploading", attempt: 1 },
          to: { status: "uploaded", attempt: 1, uploadId: "u" }
        })
        expect(yield* seen).toEqual([["uploaded"], [], []])
        yield* move("r", "accepted", "paused")
        expect(yield* seen).toEqual([[], ["uploaded"], []])
        yield* move("r", "paused", "cancelled")
        expect(yield* seen).toEqual([[], [], []])
      })
    ))

  it.scopedLive("note how fast the account works, for predictions", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const control = yield* SandboxControl
        yield* ask({ id: "r" }, addresses(30).map(lineOf))
        yield* dispatch()
        yield* quiet
        yield* pollUntil(count("delivery_speed"), (n) => n === 1)
        const [row] = yield* sql<{ speed: { slots: number; listSize: number } }>`select speed from delivery_speed`
        expect(row?.speed).toMatchObject({ slots: 2, listSize: 10 })
        expect((yield* control.report).duplicates.total).toBe(0)
      })
    ))
})
