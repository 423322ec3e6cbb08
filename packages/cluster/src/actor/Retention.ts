/**
 * Keeps the partitions of the outcome table: those that commands can fall into exist ahead of time, those older than the
 * retention go whole (R3). While a replay owns the clock nothing is dropped, since its command ids are as old as its record.
 */
import { SqlClient } from "@effect/sql"
import { Duration, Effect, Schedule } from "effect"
import { cellLimitsDefault } from "./CellLimits.ts"

/** How far ahead partitions are made: a maintenance that fails for days is noticed before one is missing. */
const ahead = Duration.days(3)
const interval = Duration.hours(1)

/** Makes room for commands of [from, to], ms since the epoch, beside what there is. */
export const coverOutcomes = (from: number, to: number) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`select outcome_span(${from}, ${to})`)

/** Makes what will be needed and drops what is too old, by database time. */
export const keepOutcomes = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  yield* sql`select outcome_partitions(
    (extract(epoch from clock_timestamp()) * 1000)::bigint - ${cellLimitsDefault.retention + 86_400_000},
    (extract(epoch from clock_timestamp()) * 1000)::bigint + ${Duration.toMillis(ahead)},
    (select mode = 'real' from shop_clock))`
})

/** Repeats it for ever; one member of the cluster is enough, several do no harm. */
export const loop = keepOutcomes.pipe(
  Effect.catchAllCause((cause) => Effect.logError("Outcome partitions could not be kept", cause)),
  Effect.repeat(Schedule.spaced(interval)),
  Effect.asVoid
)
