import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { describe, expect } from "vitest"
import {
  consider,
  deliveries,
  dispatch,
  inHouse,
  memberHolds,
  pollUntil,
  quiet,
  tally
} from "../delivery/DispatcherHouse.ts"

const campaignRow = (status: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql`insert into campaign (id, version, writer, cell, epoch, clock, status, current_version, time_zone, marks, day,
      runs_today, spent_today, runs, suppressed)
      values ('campaign-batch', 1, '', 'c', 0, now(), ${status}, 1, 'Asia/Tokyo', '{}', 0, 0, 0, 0, '{}')
      on conflict (id) do update set status = excluded.status`
  )

describe("at release of a held message (G8, R19)", () => {
  it.scopedLive("what no longer holds of its product is dropped and its cap given back; an order's own message is sent", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        for (const product of ["fine", "dear", "gone", "withdrawn"]) {
          yield* sql`insert into catalogue_product (id, name, price, available) values (${product}, ${product}, 80, 5)`
        }
        const notBefore = Date.now() + 1_500
        const dropped = { event: "PriceChanged", before: 100, after: 80 }
        yield* consider([
          { run: "r", member: "a", product: "fine", parameters: dropped, notBefore },
          { run: "r", member: "b", product: "dear", parameters: dropped, notBefore },
          { run: "r", member: "c", product: "gone", parameters: dropped, notBefore },
          { run: "r", member: "d", product: "withdrawn", parameters: dropped, notBefore },
          // That it is sold out is what this one says.
          { run: "r", member: "e", product: "gone", parameters: { event: "SoldOut" }, notBefore },
          // Parameters of a run by hand can be anything.
          { run: "r", member: "f", product: "fine", parameters: { event: "PriceChanged", after: "cheap" }, notBefore }
        ])
        yield* sql`update delivery set class = 'transactional' where member = 'e'`
        yield* sql`update catalogue_product set price = 95 where id = 'dear'`
        yield* sql`update catalogue_product set available = 0 where id = 'gone'`
        yield* sql`update catalogue_product set withdrawn = true where id = 'withdrawn'`
        yield* dispatch()
        yield* pollUntil(tally, (counts) => counts["due"] === undefined)
        yield* quiet
        expect((yield* deliveries).map((row) => [row.id, row.status, row.reason])).toEqual([
          ["r:a", "sent", null],
          ["r:b", "suppressed", "the price has risen again"],
          ["r:c", "suppressed", "the product is sold out"],
          ["r:d", "suppressed", "the product was withdrawn"],
          ["r:e", "sent", null],
          ["r:f", "sent", null]
        ])
        for (const member of ["b", "c", "d"]) expect(yield* memberHolds(member)).toEqual([])
        expect(yield* memberHolds("a")).toEqual(["sent"])
      })
    ))

  it.scopedLive("what a paused campaign holds stays held; what it kept waiting is asked about its product too", () =>
    inHouse(
      {},
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`insert into catalogue_product (id, name, price, available) values ('tee', 'tee', 80, 5)`
        yield* campaignRow("paused")
        const soon = Date.now() + 800
        yield* consider([
          { run: "r", member: "held", product: "tee", notBefore: soon },
          { run: "r", member: "due", product: "tee" },
          { run: "r", member: "other" }
        ])
        yield* dispatch()
        yield* pollUntil(Effect.sync(() => Date.now()), (now) => now > soon + 500)
        expect(yield* tally).toEqual({ due: 3 })
        const [held] = yield* sql<{ readonly n: number }>`select count(*)::int as n from delivery where held`
        expect(held?.n).toBe(1)
        yield* sql`update catalogue_product set available = 0`
        yield* campaignRow("active")
        yield* pollUntil(tally, (counts) => counts["due"] === undefined)
        yield* quiet
        expect((yield* deliveries).map((row) => [row.id, row.status, row.reason])).toEqual([
          ["r:due", "suppressed", "the product is sold out"],
          ["r:held", "suppressed", "the product is sold out"],
          ["r:other", "sent", null]
        ])
        for (const member of ["held", "due"]) expect(yield* memberHolds(member)).toEqual([])
      })
    ))
})
