/** The stores of the channels, in memory and in PostgreSQL. */
import { PgClient } from "@effect/sql-pg"
import * as Spool from "@hikyaku/cluster/delivery/Spool"
import * as SpoolPostgres from "@hikyaku/cluster/delivery/SpoolPostgres"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import * as SuppressionsPostgres from "@hikyaku/cluster/delivery/SuppressionsPostgres"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { Duration, Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../Database.ts"
import { spoolContract } from "./SpoolContract.ts"
import { suppressionsContract } from "./SuppressionsContract.ts"

const database = Layer.unwrapScoped(
  Effect.map(freshDatabase(), ({ url }) =>
    Layer.provideMerge(
      Layer.effectDiscard(migrate),
      PgClient.layer({ url: Redacted.make(url), maxConnections: 8 })
    ))
)
const settings: Suppressions.SuppressionSettings = { softBounces: 3, softWindow: Duration.hours(1) }

spoolContract("memory", Spool.layerMemory)
spoolContract("PostgreSQL", Layer.provide(SpoolPostgres.layer, database))
suppressionsContract("memory", Suppressions.layerMemory(settings))
suppressionsContract("PostgreSQL", Layer.provide(SuppressionsPostgres.layer(settings), database))
