import { SqlClient } from "@effect/sql"
import { describe, expect, it } from "@effect/vitest"
import { eventsTopic, layerMemory as nudges, Nudge } from "@hikyaku/cluster/actor/Nudge"
import { EventLog, partitionOf, partitions } from "@hikyaku/cluster/marketing/EventLog"
import { layer as eventLog } from "@hikyaku/cluster/marketing/EventLogSql"
import { type Event, eventKey, eventType, type Happening } from "@hikyaku/domain/marketing/Event"
import { Effect, Fiber, Layer } from "effect"
import { marketingDatabase } from "./MarketingDatabase.ts"

const at = 1_700_000_000_000
const viewed = (product: string): Happening => ({ _tag: "Viewed", member: "m1", product })
const event = (id: string, happening: Happening, source = "shop"): Event => ({ source, id, at, happening })
const inOutbox = (happening: Happening) => ({
  at,
  partition: partitionOf(happening),
  key: eventKey(happening),
  type: eventType(happening),
  happening
})

interface Entry {
  readonly partition: number
  readonly offset: number
  readonly source: string
  readonly event_id: string
}

describe("event log", () => {
  it.layer(eventLog.pipe(Layer.provideMerge(Layer.merge(marketingDatabase, nudges))))((it) => {
    const all = Effect.flatMap(
      SqlClient.SqlClient,
      (sql) =>
        sql<Entry>`select partition, "offset"::float8 as "offset", source, event_id from event_log
        order by partition, "offset"`
    )

    it.effect("R13: a repeat is recognised by source and id, other content under a known id is refused", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const first = yield* log.append([event("1", viewed("a")), event("2", viewed("a")), event("1", viewed("a"))])
        expect(first.map((each) => each._tag)).toEqual(["Appended", "Appended", "Repeated"])
        const again = yield* log.append([
          event("1", viewed("a")),
          event("2", viewed("b")),
          event("1", viewed("a"), "other"),
          event("3", viewed("a"))
        ])
        expect(again.map((each) => each._tag)).toEqual(["Repeated", "Differs", "Appended", "Appended"])
        const pending = yield* log.pending(partitionOf(viewed("a")), 100)
        expect(pending?.entries.map((each) => `${each.source}/${each.id}`)).toEqual([
          "shop/1",
          "shop/2",
          "other/1",
          "shop/3"
        ])
      }))

    it.effect("R13: who looks at several partitions in one turn is answered as if alone, in order and within the limit", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const products = ["aa", "ab", "ac", "ad", "ae", "af", "ag", "ah", "ai"]
        yield* log.append(
          products.flatMap((product) =>
            Array.from({ length: 4 }, (_, n) => event(`turn-${product}-${n}`, viewed(product)))
          )
        )
        const everywhere = Array.from({ length: partitions }, (_, partition) => partition)
        const alone = yield* Effect.forEach(everywhere, (partition) => log.pending(partition, 1_000))
        // Beside one that gives up, and two that look at the same.
        const gone = yield* Effect.fork(log.pending(0, 1_000))
        const [together, first] = yield* Effect.all([
          Effect.forEach(everywhere, (partition) => log.pending(partition, 1_000), { concurrency: "unbounded" }),
          Effect.forEach(everywhere, (partition) => log.pending(partition, 3), { concurrency: "unbounded" }),
          Fiber.interrupt(gone)
        ], { concurrency: "unbounded" })
        expect(together).toEqual(alone)
        expect(first.map((each) => each?.entries ?? [])).toEqual(
          alone.map((each) => (each?.entries ?? []).slice(0, 3))
        )
        expect(together.flatMap((each) => each?.entries ?? []).length).toBeGreaterThan(3 * products.length)
      }))

    it.effect("wakes the processors of the partitions that got something, and no others", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const nudge = yield* Nudge
        const sql = yield* SqlClient.SqlClient
        const told = () => Array.from({ length: partitions }, (_, partition) => nudge.told(eventsTopic(partition)))
        const other = ["m2", "m3", "m4", "m5", "m6"].find((member) =>
          partitionOf(viewed(member)) !== partitionOf(viewed("w1"))
        )!
        const grown = (before: ReadonlyArray<number>) =>
          told().flatMap((n, partition) => n > before[partition]! ? [partition] : [])
        const appended = told()
        yield* log.append([
          event("wake-1", viewed("w1")),
          event("wake-2", viewed(other)),
          event("wake-3", viewed("w1"))
        ])
        expect(grown(appended)).toEqual(
          [partitionOf(viewed("w1")), partitionOf(viewed(other))].toSorted((a, b) => a - b)
        )
        const repeated = told()
        yield* log.append([event("wake-1", viewed("w1"))])
        yield* log.relay
        expect(grown(repeated)).toEqual([])
        yield* sql`insert into outbox (kind, actor, version, happenings)
          values ('Product', 'woken', 1, ${JSON.stringify([inOutbox(viewed(other))])}::jsonb)`
        expect(yield* log.relay).toBe(1)
        expect(grown(repeated)).toEqual([partitionOf(viewed(other))])
      }))

    it.effect("R13: under racing appends and relays offsets have no gaps, nothing is lost or doubled, keys keep order", () =>
      Effect.gen(function*() {
        const log = yield* EventLog
        const sql = yield* SqlClient.SqlClient
        const before = (yield* all).length
        const actors = ["p1", "p2", "p3", "p4", "p5"]
        const commit = (version: number) =>
          Effect.forEach(actors, (actor) => {
            const happenings = [inOutbox(viewed(actor)), inOutbox(viewed(actor))]
            return sql`insert into outbox (kind, actor, version, happenings)
              values ('Product', ${actor}, ${version}, ${JSON.stringify(happenings)}::jsonb)`
          }, { discard: true })
        const commits = Effect.forEach(Array.from({ length: 40 }, (_, i) => i + 1), commit, { discard: true })
        const appends = Effect.forEach(
          Array.from({ length: 40 }, (_, i) => i),
          (i) => log.append(actors.map((actor) => event(`race-${i}`, viewed(actor), actor))),
          { concurrency: 4, discard: true }
        )
        const relays = Effect.repeatN(log.relay, 60)
        yield* Effect.all([commits, appends, relays, relays], { concurrency: "unbounded" })
        while ((yield* log.relay) > 0);
        const entries = yield* all
        expect(entries.length - before).toBe(5 * 40 * 2 + 5 * 40)
        const byPartition = new Map<number, Array<number>>()
        for (const { offset, partition } of entries) {
          byPartition.set(partition, [...(byPartition.get(partition) ?? []), offset])
        }
        for (const offsets of byPartition.values()) expect(offsets).toEqual(offsets.map((_, i) => i))
        for (const actor of actors) {
          const order = entries.filter((each) => each.source === `Product:${actor}`).map((each) => each.event_id)
          expect(order).toEqual(Array.from({ length: 80 }, (_, i) => `${Math.floor(i / 2) + 1}.${i % 2}`))
        }
        expect(yield* sql`select * from outbox`).toEqual([])
      }))
  })
})
