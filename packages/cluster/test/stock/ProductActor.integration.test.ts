import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { canonical } from "@hikyaku/domain/testing"
import { Effect, Layer, Redacted } from "effect"
import * as fc from "fast-check"
import { freshDatabase } from "../../../../test/Database.ts"
import { at, content, ProductHouse, rounds } from "./ProductHouse.ts"

const database = Layer.unwrapScoped(Effect.map(freshDatabase(), ({ url }) => {
  const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 }))
  const schema = Layer.effectDiscard(
    Effect.gen(function*() {
      yield* migrate
      const sql = yield* SqlClient.SqlClient
      yield* sql`select outcome_partitions(${at}::bigint, ${at}::bigint, true)`
    }).pipe(Effect.orDie)
  )
  const journal = Layer.provide(journalLayer, JournalSettings.layer(Redacted.make(url)))
  return Layer.provideMerge(journal, Layer.provideMerge(schema, client))
}))

describe("productKind over PostgreSQL (G1)", () => {
  it.layer(database, { timeout: 60_000 })((it) => {
    it.effect("loads what it was, after any round, and its rows add up", () =>
      Effect.gen(function*() {
        const journal = (yield* Journal).of(productKind)
        const sql = yield* SqlClient.SqlClient
        for (const [index, cut] of fc.sample(rounds, 20).entries()) {
          const house = new ProductHouse(`p-${index}`)
          for (const round of cut) {
            const unit = house.round(round)
            expect(yield* journal.commit([unit])).toEqual([{ _tag: "Committed" }])
            const [loaded] = yield* journal.load([house.id])
            if (loaded === undefined) continue
            expect(canonical(content(loaded.state))).toBe(canonical(content(house.state)))
          }
        }
        const wrong = yield* sql`select p.id from product p where
          p.allocated <> (select coalesce(sum(quantity), 0) from allocation a
            where a.product = p.id and a.status in ('allocated', 'held'))
          or p.offered <> (select coalesce(sum(quantity), 0) from ticket_wait w
            where w.product = p.id and w.status = 'offered')
          or p.sold <> (select coalesce(sum(quantity), 0) from allocation a
            where a.product = p.id and a.status in ('sold', 'settled'))
            - (select coalesce(sum(quantity), 0) from allocation_return r where r.product = p.id)`
        expect(wrong).toEqual([])
      }), 60_000)
  })
})
