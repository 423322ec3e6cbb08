/** Marking products as hot: the mark is on record first, whatever becomes of the move (CART-4, R8). */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { Hikyaku } from "@hikyaku/domain/api/Client"
import { Effect } from "effect"
import * as TestApi from "./TestApi.ts"

const marks = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ readonly actor: string }>`select actor from hot_mark where kind = 'Product' order by actor`
).pipe(Effect.map((rows) => rows.map(({ actor }) => actor)))

layer(TestApi.layer(), { excludeTestServices: true })("product handlers", (it) => {
  it.effect("CART-4 a product is marked while no runner serves the hot group, and moves when one does", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      yield* hikyaku.product.define({ product: "tee" })
      expect(yield* hikyaku.product.heat({ product: "tee" })).toEqual({ _tag: "Placed", cell: null })
      expect(yield* hikyaku.product.heat({ product: "tee" })).toEqual({ _tag: "Placed", cell: null })
      expect(yield* marks).toEqual(["tee"])
      expect(yield* hikyaku.product.cool({ product: "tee" })).toEqual({ _tag: "Placed", cell: null })
      expect(yield* marks).toEqual([])
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G16 what is no product is not marked", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      expect(yield* Effect.flip(hikyaku.product.heat({ product: "nothing" }))).toMatchObject({ _tag: "UnknownProduct" })
      expect(yield* marks).toEqual([])
    }).pipe(Effect.provide(TestApi.webSocketClient)))
})
