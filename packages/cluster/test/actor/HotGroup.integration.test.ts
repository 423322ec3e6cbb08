import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { HotGroup } from "@hikyaku/cluster/actor/HotGroup"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const runner = (port: number, groups: ReadonlyArray<string>) =>
  JSON.stringify({ address: { host: "127.0.0.1", port }, groups, version: 1, weight: 1 })

describe("CART-4, R8: the hot group in the store", () => {
  it.scopedLive("is served while a healthy runner is assigned to it; marks stand until they are taken away", () =>
    Effect.gen(function*() {
      const { url } = yield* freshDatabase()
      yield* Effect.gen(function*() {
        yield* migrate
        const sql = yield* SqlClient.SqlClient
        const group = yield* HotGroup
        expect(yield* group.served).toBe(false)
        yield* sql`insert into cluster_runners (address, runner) values ('a:1', ${runner(1, ["default"])})`
        expect(yield* group.served).toBe(false)
        yield* sql`insert into cluster_runners (address, runner) values ('a:2', ${runner(2, ["default", "hot"])})`
        expect(yield* group.served).toBe(true)
        yield* sql`update cluster_runners set healthy = false where address = 'a:2'`
        expect(yield* group.served).toBe(false)

        yield* Effect.forEach(["tee", "tee", "cap"], (actor) => group.mark("Product", actor))
        yield* group.mark("Member", "m1")
        expect([...(yield* group.marked("Product"))]).toEqual(["tee", "cap"])
        yield* group.unmark("Product", "tee")
        expect([...(yield* group.marked("Product"))]).toEqual(["cap"])
      }).pipe(
        Effect.provide(
          HotGroup.layer.pipe(
            Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 }))
          )
        )
      )
    }).pipe(Effect.orDie))
})
