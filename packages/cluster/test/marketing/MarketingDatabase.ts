/** A database with the tables that marketing reads, for integration tests. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { sql as runtime } from "@hikyaku/cluster/sql/migrations/0001_runtime"
import { sql as stock } from "@hikyaku/cluster/sql/migrations/0010_stock"
import { sql as marketing } from "@hikyaku/cluster/sql/migrations/0020_marketing"
import { sql as members } from "@hikyaku/cluster/sql/migrations/0030_members"
import { sql as campaigns } from "@hikyaku/cluster/sql/migrations/0070_campaigns"
import { sql as imports } from "@hikyaku/cluster/sql/migrations/0110_imports"
import { Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const client = Layer.unwrapScoped(
  Effect.map(freshDatabase(), ({ url }) => Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })))
)

const schema = Layer.effectDiscard(
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    for (const text of [runtime, stock, marketing, members, campaigns, imports]) yield* sql.unsafe(text)
  }).pipe(Effect.orDie)
)

/** A fresh database per suite. */
export const marketingDatabase: Layer.Layer<SqlClient.SqlClient> = Layer.provideMerge(schema, client)
