import { ShardingConfig, SqlMessageStorage, SqlRunnerStorage } from "@effect/cluster"
import { SqlClient } from "@effect/sql"
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { Array, Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const processes = 6

describe("Migrations", () => {
  it.scopedLive("six processes that start at once on an empty database migrate it once and all find the tables", () =>
    Effect.gen(function*() {
      const { url } = yield* freshDatabase()
      // What each process does at its start: the schema, then the cluster library's storages.
      const allMigrated = yield* Effect.makeLatch()
      let migrated = 0
      const start = Effect.gen(function*() {
        const ran = yield* migrate
        migrated += 1
        if (migrated === processes) yield* allMigrated.open
        yield* allMigrated.await
        yield* Layer.build(Layer.merge(SqlRunnerStorage.layer, SqlMessageStorage.layer))
        return ran
      }).pipe(
        Effect.provide(ShardingConfig.layer({})),
        Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 })),
        Effect.scoped
      )
      const ran = yield* Effect.all(Array.replicate(start, processes), { concurrency: processes })
      assert.strictEqual(ran.filter((migrations) => migrations.length > 0).length, 1)
      const sql = SqlClient.SqlClient
      const [found] = yield* Effect.flatMap(
        sql,
        (sql) =>
          sql`select to_regclass('cluster_runners') is not null as runners, to_regclass('cluster_messages') is not null as messages,
          to_regclass('outcome') is not null as outcomes`
      ).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url) })))
      assert.deepStrictEqual(found, { runners: true, messages: true, outcomes: true })
    }))
})
