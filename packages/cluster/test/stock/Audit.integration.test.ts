import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { expect, layer } from "@effect/vitest"
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { type AuditPage, auditPage } from "@hikyaku/cluster/stock/Audit"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { Effect, Layer, Redacted } from "effect"
import * as fc from "fast-check"
import { freshDatabase } from "../../../../test/Database.ts"
import { at, ProductHouse, rounds } from "./ProductHouse.ts"

const database = Layer.unwrapScoped(Effect.map(freshDatabase(), ({ url }) => {
  const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
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

let tickets = 0
/** A product with allocations of one piece that carry these numbers, the first `sold` of them sold. */
const product = (id: string, numbers: ReadonlyArray<number>, sold = 0) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const n = numbers.length
    yield* sql`insert into product (id, version, writer, cell, epoch, clock, name, cart_ms, offer_ms, low_threshold,
      counting, ran_out, taken_in, shortage, available, allocated, offered, sold, sequence, place)
      values (${id}, 1, 'w', 'c', 0, now(), ${id}, 1, 1, 1, false, false, ${n + 3}, 0, 3, ${n - sold}, 0, ${sold},
        ${Math.max(0, ...numbers)}, 0)`
    for (const [i, number] of numbers.entries()) {
      yield* sql`insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at)
        values (${id}, ${commandIdFrom(at, 0.5, 0, tickets++ / 2 ** 48)}::uuid, 'm', 1, ${number},
          ${i < sold ? "sold" : "allocated"}, now(), now())`
    }
  })

/** The whole audit in pages; what it found wrong, as `product: rule`. */
const audit = (products = 1_000, lines?: number) =>
  Effect.gen(function*() {
    const faults: Array<string> = []
    const pages: Array<number> = []
    let after: string | null = ""
    while (after !== null) {
      const page: AuditPage = yield* auditPage(after, products, lines)
      for (const fault of page.faults) faults.push(`${fault.product}: ${fault.rule}`)
      pages.push(page.checked)
      after = page.next
    }
    return { faults, pages }
  })

layer(database)("the audit of the books (G1, G4)", (it) => {
  it.effect("is quiet on everything that products do, also while they do it", () =>
    Effect.gen(function*() {
      const journal = (yield* Journal).of(productKind)
      let busy = true
      const trade = Effect.forEach(
        fc.sample(rounds, { numRuns: 12, seed: 7 }).entries(),
        ([index, cut]) =>
          Effect.gen(function*() {
            const house = new ProductHouse(`walk-${index}`)
            for (const round of cut) {
              expect(yield* journal.commit([house.round(round)])).toEqual([{ _tag: "Committed" }])
            }
          }),
        { concurrency: 4, discard: true }
      ).pipe(Effect.ensuring(Effect.sync(() => busy = false)))
      let looks = 0
      const look = Effect.gen(function*() {
        while (busy) {
          expect((yield* audit(3)).faults).toEqual([])
          looks++
        }
      })
      yield* Effect.all([trade, look], { concurrency: 2 })
      expect(looks).toBeGreaterThan(5)
      const { faults, pages } = yield* audit()
      expect(faults).toEqual([])
      expect(pages.reduce((a, b) => a + b, 0)).toBeGreaterThan(5)
    }))

  it.effect("names the product and the rule of what is wrong with the rows", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* product("bad-cart", [1, 2, 3])
      yield* sql`update allocation set status = 'released' where product = 'bad-cart' and sequence = 2`
      yield* product("bad-sold", [1, 2, 3], 2)
      yield* sql`insert into allocation_return select product, ticket, 'r', 1, now(), true from allocation
        where product = 'bad-sold' and sequence = 1`
      yield* product("bad-offer", [1])
      yield* sql`insert into ticket_wait (product, ticket, member, quantity, place, status, since)
        values ('bad-offer', ${commandIdFrom(at, 0.5, 0, tickets++ / 2 ** 48)}::uuid, 'm', 2, 1, 'offered', now())`
      yield* product("bad-gap", [1, 2, 4])
      yield* product("bad-first", [2, 3])
      yield* product("bad-last", [1, 2])
      yield* sql`update product set sequence = 3 where id = 'bad-last'`
      yield* product("bad-twice", [1, 2, 2, 4])
      // As many as there should be, with the right sum: only the squares tell.
      yield* product("bad-squares", [1, 2, 2, 5, 5, 6])
      yield* product("good", [1, 2, 3], 1)
      expect((yield* audit()).faults).toEqual([
        "bad-cart: pieces in carts = open allocations",
        "bad-first: the first allocation has number 1",
        "bad-gap: allocations are numbered without gaps",
        "bad-last: the last allocation has the last number",
        "bad-offer: pieces offered = offers in line",
        "bad-sold: pieces sold = sold allocations - returns",
        "bad-squares: every number is there once (squares)",
        "bad-twice: every number is there once"
      ])
      yield* sql`delete from product where id like 'bad-%'`
      yield* sql`delete from allocation where product like 'bad-%'`
    }))

  it.effect("goes on where a page ended, be it full or heavy, and sees every product once", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`delete from product`
      yield* sql`delete from allocation`
      for (const [id, lines] of [["a", 2], ["b", 9], ["c", 0], ["d", 1], ["e", 3]] as const) {
        yield* product(id, Array.from({ length: lines }, (_, n) => n + 1))
      }
      expect(yield* audit()).toEqual({ faults: [], pages: [5] })
      expect((yield* audit(2)).pages).toEqual([2, 2, 1])
      // A page ends with the product whose lines are too many for it, however many more there are.
      expect((yield* audit(5, 4)).pages).toEqual([2, 3])
      expect((yield* audit(5, 1)).pages).toEqual([1, 1, 2, 1])
    }))

  it.effect("reads the lines of its page by their key, not the table", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at)
        select 'x' || n % 500, gen_random_uuid(), 'm', 1, n, 'released', now(), now() from generate_series(1, 20000) n`
      yield* sql`analyze`
      const scans = Effect.map(
        sql<{ readonly n: number }>`select seq_scan::int as n from pg_stat_xact_user_tables
          where relname = 'allocation'`,
        ([found]) => found?.n ?? 0
      )
      // Of one session, which also counts what it has not reported of earlier statements.
      const [before, after] = yield* sql.withTransaction(
        Effect.all([scans, Effect.zipRight(auditPage("", 3), scans)])
      )
      expect(after - before).toBe(0)
    }))
})
