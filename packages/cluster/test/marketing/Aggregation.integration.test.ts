import { SqlClient } from "@effect/sql"
import { expect, it } from "@effect/vitest"
import { aggregate, type Range } from "@hikyaku/cluster/marketing/Aggregation"
import { partitionOf } from "@hikyaku/cluster/marketing/EventLog"
import { eventKey, type Happening } from "@hikyaku/domain/marketing/Event"
import { Effect, FastCheck as fc } from "effect"
import { marketingDatabase } from "./MarketingDatabase.ts"

const zone = "Asia/Tokyo"
const start = Date.UTC(2026, 10, 1, 12)

const member = fc.constantFrom("m1", "m2")
const product = fc.constantFrom("p1", "p2", "p3")
const price = fc.integer({ min: 1, max: 99 })
const both = { member, product }
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ _tag: fc.constant("ProductPublished" as const), product, name: fc.constantFrom("A", "B"), price }),
  fc.record({ _tag: fc.constant("ProductWithdrawn" as const), product }),
  fc.record({ _tag: fc.constant("PriceChanged" as const), product, before: price, after: price }),
  fc.record({ _tag: fc.constant("StockLow" as const), product, available: price }),
  fc.record({ _tag: fc.constant("SoldOut" as const), product }),
  fc.record({ _tag: fc.constant("Restocked" as const), product, available: price }),
  fc.record({ _tag: fc.constant("Favourited" as const), ...both }),
  fc.record({ _tag: fc.constant("Unfavourited" as const), ...both }),
  fc.record({ _tag: fc.constant("Viewed" as const), ...both }),
  fc.record({ _tag: fc.constant("Returned" as const), ...both, quantity: fc.constant(1) })
)
/** What is not published yet has no price or stock to be told of. */
const opening = ["p1", "p2", "p3"].map((product) => ({
  happening: { _tag: "ProductPublished" as const, product, name: "first", price: 100 },
  hours: 0,
  ends: false
}))
/** Events with the hours between them, and where the ranges end in which they are taken. */
const history = fc.array(fc.record({ happening, hours: fc.integer({ min: 0, max: 20 }), ends: fc.boolean() }), {
  minLength: 1,
  maxLength: 30
}).map((events) => [...opening, ...events])
type History = ReadonlyArray<{ readonly happening: Happening; readonly hours: number; readonly ends: boolean }>

/** Where an event stands in the log. */
interface Place {
  readonly partition: number
  readonly offset: number
}

const write = (history: History) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    let at = start
    const ends = new Map<number, number>()
    return Effect.forEach(history, ({ happening, hours }, n) => {
      at += hours * 3_600_000
      const partition = partitionOf(happening)
      const offset = (ends.get(partition) ?? -1) + 1
      ends.set(partition, offset)
      return Effect.as(
        sql`insert into event_log (partition, "offset", source, event_id, key, type, at, happening, catalogue_version)
        values (${partition}, ${offset}, 'test', ${String(n)}, ${eventKey(happening)}, ${happening._tag},
        to_timestamp(${at / 1_000}::float8), ${JSON.stringify(happening)}::jsonb, 0)`,
        { partition, offset } satisfies Place
      )
    })
  })

/** How far each consumer has come, by partition. */
const offsets = (consumer: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql<Place>`select partition, "offset"::int as "offset" from consumer_offset where consumer = ${consumer}`,
      (rows) => new Map(rows.map(({ offset, partition }) => [partition, offset]))
    ))

/** Takes the events up to each of these, the partitions' ranges together; by so many processors at once. */
const take = (
  history: History,
  places: ReadonlyArray<Place>,
  ends: ReadonlyArray<number>,
  processors: number,
  alsoJudged: boolean
) =>
  Effect.gen(function*() {
    let from = 0
    for (const end of ends) {
      const before = yield* offsets("aggregate")
      const ranges = new Map<number, Range>()
      for (let n = from; n <= end; n++) {
        const { offset, partition } = places[n]!
        const types = new Set(ranges.get(partition)?.types).add(history[n]!.happening._tag)
        ranges.set(partition, { partition, after: before.get(partition) ?? -1, to: offset, types, alsoJudged })
      }
      const all = [...ranges.values()]
      const taken = yield* Effect.all(
        // Half of them ask in the other order, which must not lock them out.
        Array.from({ length: processors }, (_, n) => aggregate(n % 2 === 0 ? all : all.toReversed(), zone)),
        { concurrency: "unbounded" }
      )
      const byPartition = (a: number, b: number) => a - b
      expect(taken.flatMap((each) => [...each]).toSorted(byPartition)).toEqual([...ranges.keys()].toSorted(byPartition))
      const judged = yield* offsets("judge")
      for (const { partition, to } of all) expect(judged.get(partition)).toBe(alsoJudged ? to : -1)
      from = end + 1
    }
  })

/** The aggregates; categories and brands come from the catalogue as it is when an event is taken. */
const aggregates = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [tables] = yield* sql`select
    (select coalesce(jsonb_agg(c order by id), '[]') from catalogue_product c) as catalogue,
    (select coalesce(jsonb_agg(to_jsonb(f) - 'category' - 'brand' order by member, product), '[]') from favourite f) as favourites,
    (select coalesce(jsonb_agg(to_jsonb(a) - 'category' - 'brand' order by member, type, product, day), '[]')
      from member_activity a) as activity`
  return tables
})

const afresh = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.zipRight(
    sql`truncate catalogue_product, favourite, member_activity`,
    sql`update consumer_offset set "offset" = -1`
  ))

it.layer(marketingDatabase)("aggregation", (it) => {
  it.effect("R13: events taken in ranges of several partitions, by several at once, come to the same as one by one (property)", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      for (const events of fc.sample(history, { numRuns: 30, seed: 20_261_127 })) {
        yield* sql`truncate event_log`
        const places = yield* write(events)
        yield* afresh
        yield* take(events, places, events.map((_, n) => n), 1, false)
        const singly = yield* aggregates
        yield* afresh
        const last = events.length - 1
        yield* take(events, places, events.flatMap(({ ends }, n) => (ends || n === last ? [n] : [])), 3, true)
        expect(yield* aggregates, JSON.stringify(events.map((each) => each.happening))).toEqual(singly)
      }
    }))

  it.effect("R13: who comes too late for a range passes no event on as judged", () =>
    Effect.gen(function*() {
      yield* afresh
      for (const types of [new Set(["Viewed"] as const), new Set(["ProductPublished", "Favourited"] as const)]) {
        // Another has come to 3 from where this one began.
        expect(yield* aggregate([{ partition: 3, after: 3, to: 9, types, alsoJudged: true }], zone)).toEqual(new Set())
        expect((yield* offsets("judge")).get(3)).toBe(-1)
      }
    }))
})
