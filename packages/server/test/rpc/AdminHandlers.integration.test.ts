/** The audit finds what is wrong with the books from the rows alone (G1), and can be resumed. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { Hikyaku, mintTicket } from "@hikyaku/domain/api/Client"
import { Effect } from "effect"
import * as TestApi from "./TestApi.ts"

/** A product with so many pieces in carts and sold, books and rows agreeing. */
const product = (id: string, allocated: number, sold: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`insert into product ${
      sql.insert({
        id,
        version: 1,
        writer: "w",
        cell: "c",
        epoch: 0,
        clock: new Date(),
        name: id,
        cart_ms: 1_800_000,
        offer_ms: 600_000,
        low_threshold: 1,
        counting: false,
        ran_out: false,
        taken_in: allocated + sold + 3,
        shortage: 0,
        available: 3,
        allocated,
        offered: 0,
        sold,
        sequence: allocated + sold,
        place: 0
      })
    }`
    for (let sequence = 1; sequence <= allocated + sold; sequence++) {
      yield* sql`insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at)
        values (${id}, ${yield* mintTicket}::uuid, 'm1', 1, ${sequence}, ${
        sequence <= allocated ? "allocated" : "sold"
      }, now(), now())`
    }
  })

layer(TestApi.layer(), { excludeTestServices: true })("admin", (it) => {
  it.effect("G1 the audit is quiet while the books agree, and names product and rule when they do not", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const sql = yield* SqlClient.SqlClient
      for (const id of ["a", "b", "c", "d", "e"]) yield* product(id, 2, 1)
      expect(yield* hikyaku.admin.audit({})).toEqual({ checked: 5, lines: 15, faults: [], next: null })

      const broken = (id: string, breakIt: Effect.Effect<unknown, unknown>) =>
        Effect.gen(function*() {
          yield* breakIt
          const { faults } = yield* hikyaku.admin.audit({})
          expect(faults.map((fault) => fault.product)).toContain(id)
          return faults.filter((fault) => fault.product === id).map((fault) => fault.rule)
        })
      expect(yield* broken("a", sql`delete from allocation where product = 'a' and sequence = 2`)).toEqual([
        "allocations are numbered without gaps",
        "pieces in carts = open allocations"
      ])
      expect(yield* broken("b", sql`update allocation set quantity = 9 where product = 'b' and status = 'sold'`))
        .toEqual([
          "allocated and sold <= taken in + shortage",
          "pieces sold = sold allocations - returns"
        ])
      expect(yield* broken("c", sql`update product set sequence = 4 where id = 'c'`)).toEqual([
        "the last allocation has the last number"
      ])
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("the audit goes on where it left off, and sees every product once", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      let after: string | undefined
      let checked = 0
      const seen: Array<string> = []
      do {
        const page = yield* hikyaku.admin.audit({ after, limit: 2 })
        checked += page.checked
        seen.push(...page.faults.map((fault) => fault.product))
        after = page.next ?? undefined
      } while (after !== undefined)
      expect(checked).toBe(5)
      expect([...new Set(seen)]).toEqual(["a", "b", "c"])
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("the report counts from the tables, oversold pieces included", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const report = yield* hikyaku.admin.report()
      expect(report).toMatchObject({
        products: 5,
        tickets: { allocated: 9, sold: 5 },
        // Product b: 2 in carts and 9 sold of 6.
        oversold: 5,
        campaigns: {},
        members: 0
      })
      expect(yield* hikyaku.admin.health()).toMatchObject({ ok: true, logical: false })
    }).pipe(Effect.provide(TestApi.webSocketClient)))
})
