import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { unbounded } from "@hikyaku/domain/delivery/RateLimit"
import { Effect } from "effect"
import { describe, expect } from "vitest"
import {
  batchOf,
  calm,
  consider,
  count,
  deliveries,
  dispatch,
  exactlyOnce,
  inHouse,
  memberHolds,
  pollUntil,
  quiet,
  report,
  tally,
  two
} from "./DispatcherHouse.ts"

describe("the chain from due to result (MAIL-2, MAIL-3, MAIL-7)", () => {
  it.scopedLive("sends every due delivery once, within the limit, and tells the members", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        expect(yield* consider([...batchOf(35), { run: "run-now", member: "quick", class: "realtime" }])).toBe(36)
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 36 })
        const seen = yield* exactlyOnce(36)
        // 35 in lists of 10 and one of its own: no list of batch waits for another to be uploaded.
        expect(seen.lists).toBe(5)
        expect(yield* count("delivery_list", "status = 'completed'")).toBe(5)
        expect(yield* count("delivery_sent", "relayed_at is not null")).toBe(36)
        expect(yield* memberHolds("quick")).toEqual(["sent"])
        expect(yield* count("provider_slot")).toBe(0)
      })
    ))

  it.scopedLive("records bounces as sent, refusals as not sent and refunded", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        yield* consider([
          { run: "r", member: "fine" },
          { run: "r", member: "back", address: "someone@bounce.invalid" },
          { run: "r", member: "not", address: "someone@reject.invalid" }
        ])
        yield* dispatch()
        yield* quiet
        expect((yield* deliveries).map((row) => [row.id, row.status, row.result])).toEqual([
          ["r:back", "sent", "Bounced"],
          ["r:fine", "sent", "Sent"],
          ["r:not", "failed", "Rejected"]
        ])
        expect(yield* memberHolds("not")).toEqual([])
        expect(yield* memberHolds("back")).toEqual(["sent"])
      })
    ))

  it.scopedLive("completes a send whose status never does from the provider's history", () =>
    inHouse(
      { settings: { ...calm.settings, faults: { neverCompletes: 1 } } },
      Effect.gen(function*() {
        yield* consider(batchOf(12))
        yield* dispatch({ pollsMax: 3 })
        yield* quiet
        expect(yield* tally).toEqual({ sent: 12 })
        yield* exactlyOnce(12)
      })
    ))

  it.scopedLive("refunds all of a send that came to nothing", () =>
    inHouse(
      { settings: { ...calm.settings, faults: { failSend: 1 } } },
      Effect.gen(function*() {
        yield* consider(batchOf(3))
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ failed: 3 })
        expect(yield* memberHolds("run-batch-m0")).toEqual([])
      })
    ))
})

describe("who must not be reached when the list is built (R19, G10)", () => {
  it.scopedLive("closes them with a reason, and gives their caps back", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        const client = yield* ActorClient
        yield* consider([
          { run: "r", member: "a", address: "Shared@shop.example" },
          { run: "r", member: "b", address: "shared@shop.example" },
          { run: "r", member: "gone" },
          { run: "r", member: "silent" },
          { run: "r", member: "bounced" },
          { run: "r", member: "broken" },
          { run: "r", member: "odd", address: "nowhere" }
        ])
        yield* client.send(memberKind, { actor: "gone", command: { _tag: "Withdraw" } })
        yield* client.send(memberKind, {
          actor: "silent",
          command: { _tag: "SetConsent", channel: "mail", consent: false }
        })
        yield* client.send(memberKind, {
          actor: "bounced",
          command: { _tag: "Suppress", channel: "mail", reason: "bounced" }
        })
        yield* dispatch()
        yield* quiet
        expect((yield* deliveries).map((row) => [row.id, row.status, row.reason])).toEqual([
          ["r:a", "sent", null],
          ["r:b", "suppressed", "the run reaches this address already"],
          ["r:bounced", "suppressed", "suppressed: bounced"],
          ["r:broken", "failed", "content: no such variable"],
          ["r:gone", "suppressed", "withdrawn"],
          ["r:odd", "suppressed", "not an address"],
          ["r:silent", "suppressed", "no consent"]
        ])
        yield* exactlyOnce(1)
        for (const member of ["b", "bounced", "broken", "odd", "silent"]) {
          expect(yield* memberHolds(member)).toEqual([])
        }
        expect(yield* count("delivery_refund", "relayed_at is not null")).toBe(6)
      })
    ))

  it.scopedLive("has held deliveries judged again when their time has come, and not before", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        const client = yield* ActorClient
        const soon = Date.now() + 1_500
        yield* consider([
          { run: "r", member: "stays", notBefore: soon },
          { run: "r", member: "leaves", notBefore: soon }
        ])
        yield* client.send(memberKind, {
          actor: "leaves",
          command: { _tag: "SetConsent", channel: "mail", consent: false }
        })
        yield* dispatch()
        yield* pollUntil(tally, (counts) => counts["due"] === undefined)
        yield* quiet
        expect(Date.now()).toBeGreaterThan(soon)
        expect((yield* deliveries).map((row) => [row.id, row.status, row.reason])).toEqual([
          ["r:leaves", "suppressed", "judged again: NoConsent"],
          ["r:stays", "sent", null]
        ])
        yield* exactlyOnce(1)
      })
    ))
})

describe("deadlines (G13, R19)", () => {
  it.scopedLive("drops what cannot be sent in time with a reason, starts nothing for it, and gives the cap back", () =>
    inHouse(
      { ...calm, reachable: Effect.succeed(false) },
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const june = Date.UTC(2011, 5, 1)
        const moveTo = (at: number) =>
          sql.unsafe("update shop_clock set mode = 'logical', instant = to_timestamp($1::float8 / 1000)", [at])
        // On a clock that stands still until lists are there, however long that takes.
        yield* moveTo(june)
        yield* Effect.flatMap(ShopClock, (clock) => clock.refresh)
        yield* consider(batchOf(25).map((one) => ({ ...one, notBefore: june - 5_000, deadline: june + 1_500 })))
        yield* dispatch()
        yield* pollUntil(count("delivery_list"), (lists) => lists > 0)
        yield* moveTo(june + 2_000)
        yield* quiet
        expect(yield* tally).toEqual({ expired: 25 })
        expect((yield* report).requests.total).toBe(0)
        expect(yield* count("delivery_refund", "relayed_at is not null")).toBe(25)
        expect(yield* memberHolds("run-batch-m3")).toEqual([])
        expect(yield* count("delivery_list", "status = 'expired'")).toBeGreaterThan(0)
      })
    ))

  it.scopedLive("reads deadlines on the shop's clock, which a replay sets, and paces in real time", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const june = Date.UTC(2011, 5, 1)
        yield* sql.unsafe("update shop_clock set mode = 'logical', instant = to_timestamp($1::float8 / 1000)", [june])
        yield* Effect.flatMap(ShopClock, (clock) => clock.refresh)
        yield* consider([
          { run: "r", member: "past", notBefore: june - 5_000, deadline: june + 3_600_000 },
          { run: "r", member: "later", notBefore: june + 60_000, deadline: june + 7_200_000 }
        ])
        yield* dispatch()
        yield* quiet
        expect((yield* deliveries).map((row) => [row.id, row.status])).toEqual([["r:later", "due"], ["r:past", "sent"]])
        yield* sql.unsafe("update shop_clock set instant = to_timestamp($1::float8 / 1000)", [june + 60_000])
        yield* pollUntil(tally, (counts) => counts["sent"] === 2)
        const sentAt = yield* sql<{ readonly at: Date }>`select sent_at as at from delivery where member = 'later'`
        expect(sentAt[0]?.at.getTime()).toBe(june + 60_000)
      })
    ))
})

describe("realtime under a saturating batch (MAIL-4, G11)", () => {
  it.scopedLive("starts a realtime delivery ahead of the batch that waits", () =>
    inHouse(
      { settings: { concurrency: { ...unbounded, total: 2 }, latency: { _tag: "Fixed", ms: 60 } } },
      Effect.gen(function*() {
        yield* consider(batchOf(300))
        yield* dispatch()
        yield* pollUntil(report, (seen) => seen.sends > 1)
        yield* consider([{ run: "now", member: "quick", class: "realtime" }])
        yield* pollUntil(tally, (counts) => (counts["sent"] ?? 0) > 0 && counts["due"] !== undefined)
        const status = Effect.map(deliveries, (rows) => rows.find((row) => row.id === "now:quick")?.status)
        yield* pollUntil(status, (now) => now === "sent")
        expect((yield* tally)["due"]).toBeGreaterThan(0)
        yield* quiet
        yield* exactlyOnce(301)
      })
    ))
})

describe("limits (MAIL-3)", () => {
  it.scopedLive("keep to the rate in every second as the provider counts it", () =>
    inHouse(
      { settings: { ...calm.settings, perSecond: { ...unbounded, total: 12 } } },
      Effect.gen(function*() {
        yield* consider(batchOf(40))
        yield* dispatch({ limits: { ...two, perSecond: { ...unbounded, total: 12 }, marginMs: 60 } })
        yield* quiet
        const seen = yield* exactlyOnce(40)
        expect(seen.peakPerSecond.total).toBeLessThanOrEqual(12)
      })
    ))

  it.scopedLive("follow a provider that lowers them at run time", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        const control = yield* SandboxControl
        yield* consider(batchOf(40))
        yield* control.configure({ concurrency: { total: 1 }, retryAfterMs: 20 })
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 40 })
        // Announced as two and really one: each 429 costs a violation, never a message.
        expect((yield* report).duplicates.total).toBe(0)
        expect((yield* report).mailed).toBe(40)
      })
    ))
})
