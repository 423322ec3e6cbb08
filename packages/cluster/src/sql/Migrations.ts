/** Brings a database to this version's schema. Any number of processes may start at once: one migrates, the others wait. */
import { ShardingConfig, SqlMessageStorage, SqlRunnerStorage } from "@effect/cluster"
import { Migrator, SqlClient } from "@effect/sql"
import { Effect, Layer } from "effect"
import { sql as runtime } from "./migrations/0001_runtime.ts"
import { sql as stock } from "./migrations/0010_stock.ts"
import { sql as marketing } from "./migrations/0020_marketing.ts"
import { sql as members } from "./migrations/0030_members.ts"
import { sql as delivery } from "./migrations/0040_delivery.ts"
import { sql as checkout } from "./migrations/0050_checkout.ts"
import { sql as hot } from "./migrations/0060_hot.ts"
import { sql as campaigns } from "./migrations/0070_campaigns.ts"
import { sql as channels } from "./migrations/0080_channels.ts"
import { sql as requests } from "./migrations/0085_requests.ts"
import { sql as eventWay } from "./migrations/0090_event_way.ts"
import { sql as imports } from "./migrations/0110_imports.ts"
import { sql as messages } from "./migrations/0111_messages.ts"
import { sql as requestSources } from "./migrations/0115_request_sources.ts"
import { sql as requestUnsubscribe } from "./migrations/0116_request_unsubscribe.ts"
import { sql as sendBegun } from "./migrations/0117_send_begun.ts"
import { sql as campaignIndexes } from "./migrations/0120_campaign_indexes.ts"
import { sql as clockTold } from "./migrations/0125_clock_told.ts"

const numbered: Readonly<Record<string, string>> = {
  "0001_runtime": runtime,
  "0010_stock": stock,
  "0020_marketing": marketing,
  "0030_members": members,
  "0040_delivery": delivery,
  "0050_checkout": checkout,
  "0060_hot": hot,
  "0070_campaigns": campaigns,
  "0080_channels": channels,
  "0085_requests": requests,
  "0090_event_way": eventWay,
  "0110_imports": imports,
  "0111_messages": messages,
  "0115_request_sources": requestSources,
  "0116_request_unsubscribe": requestUnsubscribe,
  "0117_send_begun": sendBegun,
  "0120_campaign_indexes": campaignIndexes,
  "0125_clock_told": clockTold
}

const statement = (text: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(text))

/** Key of the advisory lock under which migrations run. */
const lockKey = 7_411_001

/**
 * The cluster library makes its tables when its storages are built, with "if not exists", which processes that start at
 * once on an empty database can all find true; those that lose die. Building them once under the lock makes the tables.
 */
const libraryTables = Layer.build(Layer.merge(SqlRunnerStorage.layer, SqlMessageStorage.layer)).pipe(
  Effect.provide(ShardingConfig.layer({})),
  Effect.scoped
)

/** Runs what is missing, each migration once, and makes the cluster library's tables; answers the migrations' numbers and names. */
export const migrate = Effect.scoped(Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  // A session's lock on a connection of its own: it outlives the transactions below and ends with the process.
  const connection = yield* sql.reserve
  yield* connection.executeUnprepared(`select pg_advisory_lock(${lockKey})`, [], undefined)
  yield* Effect.addFinalizer(() =>
    Effect.ignoreLogged(connection.executeUnprepared(`select pg_advisory_unlock(${lockKey})`, [], undefined))
  )
  yield* libraryTables
  return yield* Migrator.make({})({
    loader: Migrator.fromRecord(
      Object.fromEntries(Object.entries(numbered).map(([name, text]) => [name, statement(text)]))
    ),
    table: "hikyaku_migration"
  })
}))
