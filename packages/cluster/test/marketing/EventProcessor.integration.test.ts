import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { layer as catalogueLayer } from "@hikyaku/cluster/marketing/Catalogue"
import { EventLog, partitionOf } from "@hikyaku/cluster/marketing/EventLog"
import { layer as eventLogLayer } from "@hikyaku/cluster/marketing/EventLogSql"
import * as EventProcessor from "@hikyaku/cluster/marketing/EventProcessor"
import { EventSettings } from "@hikyaku/cluster/marketing/Shop"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import { Effect, Either, Layer } from "effect"
import { houseLayer, start } from "./RunHouse.ts"

const settings = Layer.succeed(EventSettings, { stockMeaning: "physical", timeZone: "Asia/Tokyo" })
const house = Layer.mergeAll(eventLogLayer, catalogueLayer).pipe(
  Layer.provideMerge(settings),
  Layer.provideMerge(houseLayer())
)

const viewed = (product: string): Happening => ({ _tag: "Viewed", member: "m1", product })
const changed = (product: string): Happening => ({ _tag: "PriceChanged", product, before: 100, after: 80 })
/** Products whose events are in partitions of their own. */
const products = ["aa", "ab", "ac", "ad", "ae", "af", "ag", "ah"].filter((product, n, all) =>
  all.findIndex((other) => partitionOf(changed(other)) === partitionOf(changed(product))) === n
)
const partitionsOf = (happenings: ReadonlyArray<Happening>) => [...new Set(happenings.map(partitionOf))]

let events = 0
const append = (happenings: ReadonlyArray<Happening>) =>
  Effect.flatMap(
    EventLog,
    (log) => log.append(happenings.map((happening) => ({ source: "shop", id: `e-${events++}`, at: start, happening })))
  )

/** How far each partition is taken, beside how far it goes. */
const left = (partitions: ReadonlyArray<number>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql<{ readonly partition: number; readonly left: number }>`
        select partition, sum(next_offset - 1 - "offset")::int as left
        from event_partition join consumer_offset using (partition) group by partition`,
      (rows) => partitions.map((partition) => rows.find((row) => row.partition === partition)?.left)
    ))

describe("event processors", () => {
  layer(house, { timeout: 60_000, excludeTestServices: true })((it) => {
    it.scoped("R13: those that look in one turn take their partitions together, two of one partition take it once", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const processor = yield* EventProcessor.make
        const happenings = products.flatMap((product) => [changed(product), viewed(product), viewed(product)])
        const partitions = partitionsOf(happenings)
        yield* append(happenings)
        const before = yield* sql`select sum(count)::int as n from member_activity`
        const found = yield* Effect.forEach([...partitions, ...partitions], processor.step, {
          concurrency: "unbounded"
        })
        expect(found.slice(0, partitions.length).reduce((sum, n) => sum + n, 0)).toBe(happenings.length)
        expect(yield* left(partitions)).toEqual(partitions.map(() => 0))
        expect([before, yield* sql`select sum(count)::int as n from member_activity`]).toEqual([
          [{ n: null }],
          [{ n: 2 * products.length }]
        ])
      }))

    it.scoped("what one partition holds does not hold up those that it is taken together with", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const processor = yield* EventProcessor.make
        yield* append(products.map(changed))
        const partitions = partitionsOf(products.map(changed))
        expect(partitions.length).toBeGreaterThan(2)
        const [bad, ...good] = partitions
        yield* sql`insert into catalogue_product (id, name, price, attributes, withdrawn)
        values (${products[0]!}, 'of the first', 100, '{}', false)`
        // No price: whoever aggregates it fails.
        yield* sql`update event_log set happening = jsonb_set(happening, '{after}', '"none"')
        where partition = ${bad!} and "offset" = (select max("offset") from event_log where partition = ${bad!})`
        const found = yield* Effect.forEach(partitions, (partition) => Effect.either(processor.step(partition)), {
          concurrency: "unbounded"
        })
        expect(found.map(Either.isRight)).toEqual([false, ...good.map(() => true)])
        expect(yield* left(good)).toEqual(good.map(() => 0))
        // Two consumers of one event.
        expect(yield* left([bad!])).toEqual([2])
      }))
  })
})
