import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { DeliveryStore, type ListKey, type OpenList, type Ownership } from "@hikyaku/cluster/delivery/DeliveryStore"
import { make, statementMax } from "@hikyaku/cluster/delivery/DeliveryStorePostgres"
import { makeList } from "@hikyaku/cluster/delivery/DeliveryStoreSql"
import { within } from "@hikyaku/cluster/sql/PreparedClient"
import { type ListEvent, type ListState, listStep } from "@hikyaku/domain/delivery/List"
import { Effect, Fiber } from "effect"
import { describe, expect } from "vitest"
import { batchOf, consider, count, deliveries, inHouse, pollUntil, tally } from "./DispatcherHouse.ts"

const first: Ownership = { provider: "p", owner: "one", epoch: 1 }
const second: Ownership = { provider: "p", owner: "two", epoch: 2 }
const key: ListKey = { campaign: "campaign-batch", version: 1, class: "batch", channel: "mail" }

/** A list of ten deliveries, owned by the first. */
const made = Effect.gen(function*() {
  yield* consider(batchOf(10))
  const store = yield* DeliveryStore
  const { list } = yield* store.makeList(first, "l-1", key, 100)
  if (list === null) return yield* Effect.dieMessage("no list was made")
  return { store, list }
})

const after = (state: ListState, event: ListEvent): ListState => {
  const next = listStep(state, event)
  if (next === null) throw new Error("no such step")
  return next
}
const begun = (list: OpenList): ListState => after(list.state, { _tag: "RequestBegun" })
const deadlinePasses = (what: "delivery" | "delivery_list", where = "true") =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql.unsafe(`update ${what} set deadline = shop_now()${what === "delivery" ? ", not_before = shop_now()" : ""}
      where ${where}`)
  )

describe("a list begins a request (G5, G13)", () => {
  it.scopedLive("once: not twice from the same state", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        expect([...yield* store.begin(first, [list])]).toEqual(["l-1"])
        expect([...yield* store.begin(first, [list])]).toEqual([])
        expect(yield* store.statusOf(["l-1"])).toEqual([{ id: "l-1", status: "uploading", attempt: 1 }])
      })
    ))

  it.scopedLive("of its owner alone", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        expect(yield* store.claim(second, 0, [])).toBe(1)
        expect([...yield* store.begin(first, [list])]).toEqual([])
        expect([...yield* store.begin(second, [list])]).toEqual(["l-1"])
      })
    ))

  it.scopedLive("from the attempt named: what is told late about an earlier one starts nothing", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        yield* store.begin(first, [list])
        const from = begun(list)
        expect(yield* store.change({ id: list.id, from, to: after(from, { _tag: "NotDone" }) })).toBe(true)
        expect([...yield* store.begin(first, [list])]).toEqual([])
      })
    ))

  it.scopedLive("before its deadline only", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        yield* deadlinePasses("delivery_list")
        expect([...yield* store.begin(first, [list])]).toEqual([])
      })
    ))
})

describe("two dispatchers of one account (G5)", () => {
  it.scopedLive("which lock each other's lists out both get through", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        yield* consider(batchOf(20))
        const store = yield* DeliveryStore
        const sql = yield* SqlClient.SqlClient
        for (const id of ["l-1", "l-2"]) yield* store.makeList(first, id, key, 10)
        const held = yield* Effect.makeLatch(false)
        const crossed = yield* Effect.makeLatch(false)
        // In the other order than a claim. Whoever waits first notices the deadlock first: the claim.
        const other = yield* Effect.fork(sql.withTransaction(Effect.gen(function*() {
          yield* sql`update delivery_list set updated_at = now() where id = 'l-2'`
          yield* held.open
          yield* crossed.await
          yield* sql`update delivery_list set updated_at = now() where id = 'l-1'`
        })))
        yield* held.await
        const claim = yield* Effect.fork(store.claim(second, 0, []))
        yield* pollUntil(
          sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          (waiting) => waiting.length > 0
        )
        yield* crossed.open
        expect(yield* Fiber.join(claim)).toBe(2)
        yield* Fiber.join(other)
        expect(yield* count("delivery_list", "epoch = 2")).toBe(2)
      })
    ))
})

describe("outcomes (R19, R21)", () => {
  it.scopedLive("stand once, whoever tells them: an owner that was replaced can still resolve the doubt", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        yield* store.begin(first, [list])
        const from = begun(list)
        expect(yield* store.claim(second, 60_000, [])).toBe(1)
        expect(yield* store.statusOf(["l-1"])).toMatchObject([{ status: "unknown", attempt: 1 }])
        const to = after(from, { _tag: "UploadAccepted", uploadId: "u-7" })
        expect(yield* store.change({ id: list.id, from, to })).toBe(true)
        expect(yield* store.change({ id: list.id, from, to })).toBe(false)
        expect(yield* store.change({ id: list.id, from, to: after(from, { _tag: "NotDone" }) })).toBe(false)
        expect(yield* store.statusOf(["l-1"])).toMatchObject([{ status: "uploaded" }])
      })
    ))

  it.scopedLive("of one recipient stand once, with their refund or sent fact", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { store } = yield* made
        const result = (n: number, outcome: "Sent" | "Rejected") => ({
          deliveryId: `run-batch:run-batch-m${n}`,
          outcome,
          at: Date.now()
        })
        yield* store.record("l-1", [result(0, "Sent"), result(1, "Rejected")])
        yield* store.record("l-1", [result(0, "Rejected"), result(1, "Sent")])
        yield* store.record("another", [result(2, "Sent")])
        expect(yield* tally).toEqual({ sent: 1, failed: 1, listed: 8 })
        expect(yield* count("delivery_sent")).toBe(1)
        expect(yield* count("delivery_refund")).toBe(1)
      })
    ))

  it.scopedLive("are told in whatever words: what the store cannot hold does not keep it from taking the rest", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        const rejected = (deliveryId: string, reason: string) => ({
          deliveryId,
          outcome: "Rejected" as const,
          at: 1,
          reason
        })
        yield* store.record("l-1", [
          rejected("run-batch:run-batch-m0", "no\u0000such \ud800 mailbox"),
          rejected("run-batch:run-batch-m0", "the first one stands"),
          rejected("of\u0000nobody\udfff", "?"),
          rejected("__proto__", "?")
        ])
        yield* store.dropFromList("l-1", [{ delivery: "run-batch:run-batch-m1", reason: "\u0000" }])
        const [row] = yield* deliveries
        expect(row).toMatchObject({ status: "failed", result: "Rejected", reason: "no\ufffdsuch \ufffd mailbox" })
        yield* store.begin(first, [list])
        const from = begun(list)
        const reason = "refused: \u0000"
        expect(
          yield* store.close({ id: list.id, from, to: after(from, { _tag: "Refused", reason }) }, {
            status: "failed",
            reason
          })
        ).toBe(true)
        expect(yield* tally).toEqual({ failed: 10 })
      })
    ))

  it.scopedLive("that close a list leave no delivery open", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        yield* store.begin(first, [list])
        const from = begun(list)
        const change = { id: list.id, from, to: after(from, { _tag: "Refused", reason: "no" }) }
        expect(yield* store.close(change, { status: "failed", reason: "no" })).toBe(true)
        expect(yield* store.close(change, { status: "unknown", reason: "late" })).toBe(false)
        expect(yield* tally).toEqual({ failed: 10 })
        expect(yield* count("delivery_refund")).toBe(10)
      })
    ))
})

describe("making lists", () => {
  it.scopedLive("puts a delivery into one list, however many make them at once", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        yield* consider(batchOf(60))
        const store = yield* DeliveryStore
        const lists = yield* Effect.forEach(
          Array.from({ length: 8 }, (_, n) => n),
          (n) => store.makeList(first, `l-${n}`, key, 10),
          { concurrency: 8 }
        )
        const listed = lists.flatMap((list) => list.deliveries.map((one) => one.delivery))
        expect(listed.length).toBe(60)
        expect(new Set(listed).size).toBe(60)
        expect(yield* count("delivery_list")).toBe(lists.filter((made) => made.list !== null).length)
      })
    ))

  it.scopedLive("leaves what a paused run asked for, and drops what a cancelled one did (R17)", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const store = yield* DeliveryStore
        const sql = yield* SqlClient.SqlClient
        yield* consider([...batchOf(3, "paused"), ...batchOf(4, "cancelled"), ...batchOf(5, "running")])
        yield* sql.unsafe(
          `insert into run (id, campaign, version, cause, parameters, class, priority, started_at, deadline,
        status) select id, 'campaign-batch', 1, '{}', '{}', 'batch', 0, now(), now(), id
        from unnest(array['paused', 'cancelled', 'running']) as id`
        )
        const made = yield* store.makeList(first, "l-1", key, 100)
        expect([made.deliveries.length, made.refused]).toEqual([5, 4])
        expect(yield* store.makeList(first, "l-2", key, 100)).toMatchObject({ list: null, refused: 0 })
        expect(yield* tally).toEqual({ due: 3, suppressed: 4, listed: 5 })
        expect(yield* count("delivery_refund")).toBe(4)
      })
    ))

  it.scopedLive("reaches an address once per run, whichever list comes first (G10)", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const store = yield* DeliveryStore
        yield* consider([
          { run: "r", member: "a", address: "Shared@shop.example" },
          { run: "r", member: "b", address: "shared@shop.example" },
          { run: "other", member: "c", address: "shared@shop.example" }
        ])
        const made = yield* Effect.forEach(["l-1", "l-2", "l-3"], (list) => store.makeList(first, list, key, 1))
        expect(made.reduce((sum, { refused }) => sum + refused, 0)).toBe(1)
        expect((yield* deliveries).filter(({ status }) => status === "suppressed")).toMatchObject([
          { reason: "the run reaches this address already" }
        ])
        expect(yield* tally).toEqual({ listed: 2, suppressed: 1 })
      })
    ))

  it.scopedLive("finds every group with something due, and whether it fills a list", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const store = yield* DeliveryStore
        yield* consider([
          ...batchOf(10),
          { run: "now", member: "r", class: "realtime" },
          { run: "later", member: "h", class: "realtime", notBefore: Date.now() + 600_000 }
        ])
        const seen = yield* store.overview(first, ["mail"], 10)
        expect(seen.groups.map((group) => [group.campaign, group.full])).toEqual([
          ["campaign-batch", true],
          ["campaign-realtime", false]
        ])
        expect((yield* store.overview(first, ["mail"], 11)).groups[0]?.full).toBe(false)
        expect((yield* store.overview(first, ["line"], 10)).groups).toEqual([])
      })
    ))
})

describe("a list whose messages are still to be sent", () => {
  it.scopedLive("is told as waiting while there is nothing to do for it, until its send begins", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        const seen = (by: Ownership) =>
          Effect.map(store.overview(by, ["mail"], 10), ({ lists, waiting }) => ({
            lists: lists.map(({ state }) => state.status),
            waiting: waiting.map(({ state }) => state.status)
          }))
        expect(yield* seen(first)).toEqual({ lists: ["queued"], waiting: [] })
        // Who has taken over is told of it before its claim.
        expect(yield* seen(second)).toEqual({ lists: [], waiting: ["queued"] })
        yield* store.begin(first, [list])
        expect(yield* seen(first)).toEqual({ lists: [], waiting: ["uploading"] })
        const again = after(begun(list), { _tag: "NotDone" })
        yield* store.change({ id: list.id, from: begun(list), to: again, waitMs: 60_000 })
        expect(yield* seen(first)).toEqual({ lists: [], waiting: ["queued"] })
        yield* store.begin(first, [{ id: list.id, state: again }])
        const uploading = after(again, { _tag: "RequestBegun" })
        const uploaded = after(uploading, { _tag: "UploadAccepted", uploadId: "u" })
        yield* store.change({ id: list.id, from: uploading, to: uploaded })
        expect(yield* seen(first)).toEqual({ lists: ["uploaded"], waiting: [] })
        yield* store.begin(first, [{ id: list.id, state: uploaded }])
        expect(yield* seen(first)).toEqual({ lists: [], waiting: [] })
      })
    ))
})

describe("deadlines in a list (G13)", () => {
  it.scopedLive("expire what is late, and make the rest due again", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        expect(yield* store.expireList(first, list)).toBe(false)
        yield* deadlinePasses("delivery", "id like '%m3'")
        yield* deadlinePasses("delivery_list")
        expect(yield* store.expireList(second, list)).toBe(false)
        expect(yield* store.expireList(first, list)).toBe(true)
        expect(yield* tally).toEqual({ expired: 1, due: 9 })
        expect((yield* deliveries).find((row) => row.status === "expired")).toMatchObject({ reason: "deadline passed" })
        expect(yield* count("delivery_refund")).toBe(1)
        const again = yield* store.makeList(first, "l-2", key, 100)
        expect(again.deliveries.length).toBe(9)
      })
    ))

  it.scopedLive("do not touch a list whose send has begun", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        yield* store.begin(first, [list])
        yield* deadlinePasses("delivery_list")
        expect(yield* store.expireList(first, { ...list, state: begun(list) })).toBe(false)
        expect(yield* tally).toEqual({ listed: 10 })
      })
    ))
})

describe("a send in doubt (R19, R21)", () => {
  /** The list's send was begun, got no answer, and is about to be repeated with its key. */
  const inDoubt = Effect.gen(function*() {
    const { list, store } = yield* made
    const steps: ReadonlyArray<ListEvent | null> = [
      null,
      { _tag: "UploadAccepted", uploadId: "u" },
      null,
      { _tag: "OutcomeLost" },
      { _tag: "RepeatDue" }
    ]
    let state = list.state
    for (const step of steps) {
      const to = after(state, step ?? { _tag: "RequestBegun" })
      if (step === null) yield* store.begin(first, [{ id: list.id, state }])
      else expect(yield* store.change({ id: list.id, from: state, to })).toBe(true)
      state = to
    }
    return { list: { ...list, state }, store }
  })

  it.scopedLive("is neither expired nor made due again when its deadline passes", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* inDoubt
        expect((yield* store.overview(first, ["mail"], 10)).lists[0]?.state).toEqual(list.state)
        yield* deadlinePasses("delivery_list")
        expect(yield* store.expireList(first, list)).toBe(false)
        expect(yield* tally).toEqual({ listed: 10 })
        expect(yield* count("delivery_refund")).toBe(0)
      })
    ))

  it.scopedLive("counts from its first begin, however often its repeat begins (R21)", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* inDoubt
        const sql = yield* SqlClient.SqlClient
        yield* sql`update delivery_list set send_begun_at = clock_timestamp() - interval '1 hour'`
        yield* store.begin(first, [list])
        const begun = after(list.state, { _tag: "RequestBegun" })
        yield* store.change({ id: list.id, from: begun, to: after(begun, { _tag: "NotDone" }) })
        const [seen] = (yield* store.overview(first, ["mail"], 10)).lists
        expect(seen?.state).toMatchObject({ status: "uploaded", inDoubt: true })
        expect(seen?.sendAgeMs).toBeGreaterThanOrEqual(3_600_000)
      })
    ))

  it.scopedLive("is unknown and not withdrawn when its request is cancelled", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { store } = yield* inDoubt
        const sql = yield* SqlClient.SqlClient
        yield* sql`insert into mail_request (id, system, idempotency_key, content_hash, mail, template, template_version, class, priority,
          parameters, status, send_at, deadline) values ('q', 's', 'k', 'h', 'm', 't', 1, 'batch', 0, '{}', 'cancelled', now(),
          now())`
        yield* sql`update delivery set request = 'q'`
        yield* sql`update delivery_list set campaign = '@q'`
        yield* store.sweepCancelled("q")
        expect(yield* tally).toEqual({ unknown: 10 })
        expect(yield* store.statusOf(["l-1"])).toMatchObject([{ status: "failed" }])
      })
    ))
})

describe("claims (R20)", () => {
  it.scopedLive("take lists of earlier owners, never of later ones, and put what they asked for in doubt", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        yield* store.begin(first, [list])
        expect(yield* store.claim(first, 60_000, ["l-1"])).toBe(0)
        expect(yield* store.claim(second, 60_000, [])).toBe(1)
        expect(yield* store.claim(first, 0, [])).toBe(0)
        expect(yield* store.statusOf(["l-1"])).toMatchObject([{ status: "unknown" }])
        // Nothing is asked about it before its request must be over and the history complete.
        const { lists, waiting } = yield* store.overview(second, ["mail"], 10)
        expect(lists).toEqual([])
        expect(waiting.map((one) => [one.recipients, one.state])).toEqual([
          [10, { status: "unknown", attempt: 1, of: "upload" }]
        ])
      })
    ))

  it.scopedLive("put in doubt what is under way to nobody's knowledge", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const { list, store } = yield* made
        yield* store.begin(first, [list])
        expect(yield* store.claim(first, 0, [])).toBe(1)
        expect((yield* store.overview(first, ["mail"], 10)).lists.map((one) => one.state)).toEqual([
          { status: "unknown", attempt: 1, of: "upload" }
        ])
      })
    ))
})

describe("a list of a large batch", () => {
  it.scopedLive("is made from the first of what is due, without reading all of it", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql.unsafe(
          `insert into delivery (id, run, campaign, version, member, channel, class, priority, status, not_before, deadline,
             held, created_at)
           select 'd' || n, 'r', $1, 1, 'm' || n, 'mail', 'batch', 0, 'due', clock_timestamp() - interval '1 minute',
             now() + interval '1 day', false, now()
           from generate_series(1, 50000) n`,
          [key.campaign]
        )
        yield* sql.unsafe("analyze")
        const { campaign, channel, class: cls, version } = key
        const rows = yield* sql.unsafe<Record<string, string>>(
          `explain (costs off) ${makeList}`,
          [first.provider, first.owner, first.epoch, "l-1", campaign, version, cls, channel, 200]
        )
        const plan = rows.map((row) => row["QUERY PLAN"] ?? row["queryPlan"] ?? "").join("\n")
        const picked = plan.slice(plan.indexOf("CTE picked"), plan.indexOf("CTE judged"))
        expect(picked).toContain("Index Scan using delivery_due on delivery d")
        expect(picked).not.toContain("Sort")
      })
    ))
})

describe("how long a statement may take (G12)", () => {
  it.scopedLive("has a limit, which the connection is told with it; not what is as large as a request", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const texts: Array<string> = []
        const watched = new Proxy(yield* SqlClient.SqlClient, {
          get: (sql, name) =>
            name !== "unsafe" ? Reflect.get(sql, name) : (text: string, values: ReadonlyArray<unknown>) => {
              texts.push(text)
              return sql.unsafe(text, values)
            }
        })
        const store = yield* Effect.provideService(make, SqlClient.SqlClient, watched)
        yield* store.overview(first, ["mail"], 10)
        yield* store.claim(first, 0, [])
        yield* store.sweepCancelled(null)
        expect(texts.length).toBeGreaterThanOrEqual(3)
        expect(texts.filter((text) => !text.startsWith(within(statementMax, "")))).toEqual([])
        yield* store.sweepCancelled("r-1")
        expect(texts.at(-1)).not.toContain("within")
      })
    ))
})
