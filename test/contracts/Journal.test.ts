import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { layer as memory, MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import { JournalSettings, layer as postgres } from "@hikyaku/cluster/actor/JournalPostgres"
import { sql as runtime } from "@hikyaku/cluster/sql/migrations/0001_runtime"
import { Context, Effect, Layer, Redacted } from "effect"
import { describe } from "vitest"
import { freshDatabase, hasDebianPostgres, startDebianPostgres } from "../Database.ts"
import { counterSql } from "./CounterKind.ts"
import { journalContract } from "./JournalContract.ts"

const store = new MemoryStore()
store.now = Date.now
journalContract("memory", memory(store), {
  outboxOf: (actor) =>
    Effect.sync(() => store.outbox.filter((each) => each.actor === actor).flatMap((each) => each.happenings)),
  itemsOf: (actor) =>
    Effect.sync(() =>
      [...store.table("Counter", "counter_item").values()].filter((row) => row["counter"] === actor).length
    ),
  databaseNow: Effect.sync(Date.now)
})

class Url extends Context.Tag("Url")<Url, string>() {}

const overPostgres = (name: string, url: Layer.Layer<Url>) => {
  const client = Layer.unwrapEffect(
    Effect.map(Url, (u) => Layer.orDie(PgClient.layer({ url: Redacted.make(u), maxConnections: 3 })))
  )
  const schema = Layer.effectDiscard(
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql.unsafe(runtime)
      yield* sql.unsafe(counterSql)
      yield* sql`select outcome_partitions(1700000000000, 1700000000000, true)`
    }).pipe(Effect.orDie)
  ).pipe(Layer.provide(client))
  // Layers are shared over the suites of a file: without `fresh` the second server's suite would use the first.
  const journal = Layer.fresh(postgres).pipe(
    Layer.provide(
      Layer.unwrapEffect(Effect.map(Url, (u) => JournalSettings.layer(Redacted.make(u))))
    ),
    Layer.provide(schema)
  )
  const withSql = <A>(f: (sql: SqlClient.SqlClient) => Effect.Effect<A, unknown>) =>
    Effect.orDie(Effect.flatMap(SqlClient.SqlClient, f))
  journalContract(name, Layer.provideMerge(journal, client).pipe(Layer.provide(url)), {
    outboxOf: (actor) =>
      withSql((sql) =>
        Effect.map(
          sql<{ h: ReadonlyArray<{ at: number; happening: unknown }> }>`
            select happenings as h from outbox where actor = ${actor} order by version`,
          (rows) => rows.flatMap((row) => row.h).map(({ at, happening }) => ({ at, happening }))
        )
      ),
    itemsOf: (actor) =>
      withSql((sql) =>
        Effect.map(
          sql<{ n: number }>`select count(*)::int as n from counter_item where counter = ${actor}`,
          (rows) => rows[0]!.n
        )
      ),
    databaseNow: withSql((sql) =>
      Effect.map(
        sql<{ n: number }>`select (extract(epoch from clock_timestamp()) * 1000)::float8 as n`,
        (rows) => rows[0]!.n
      )
    )
  })
}

overPostgres("PostgreSQL 18 (embedded)", Layer.scoped(Url, Effect.map(freshDatabase(), ({ url }) => url)))
describe.skipIf(!hasDebianPostgres)("PostgreSQL 15", () => {
  overPostgres(
    "PostgreSQL 15 (Debian)",
    Layer.scoped(Url, Effect.map(Effect.orDie(startDebianPostgres()), ({ url }) => url))
  )
})
