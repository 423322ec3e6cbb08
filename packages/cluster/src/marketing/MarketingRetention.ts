/**
 * Drops by age what marketing only keeps for a while: the decision ledger, the event log behind all its consumers, and the
 * ids by which repeated events are recognised. Some at a time, so that no statement holds others up; never while a replay
 * owns the clock, whose months pass in minutes.
 */
import { SqlClient } from "@effect/sql"
import { Config, type ConfigError, Context, Duration, Effect, Layer } from "effect"
import { partitions } from "./EventLog.ts"

export interface RetentionSettings {
  /** Decisions, by the shop's time at which they fell. */
  readonly ledger: Duration.Duration
  /** Events that every consumer has passed, by when they were appended. */
  readonly events: Duration.Duration
  /** A repeated event is recognised for so long; should be as long as its source may repeat. */
  readonly repeats: Duration.Duration
}

export const retentionDefault: RetentionSettings = {
  ledger: Duration.days(90),
  events: Duration.days(30),
  repeats: Duration.days(30)
}

/** `HIKYAKU_KEEP_DECISIONS`, `HIKYAKU_KEEP_EVENTS` and `HIKYAKU_KEEP_EVENT_IDS`, e.g. "90 days"; see `retentionDefault`. */
export const retentionConfig: Config.Config<RetentionSettings> = Config.all({
  ledger: Config.withDefault(Config.duration("HIKYAKU_KEEP_DECISIONS"), retentionDefault.ledger),
  events: Config.withDefault(Config.duration("HIKYAKU_KEEP_EVENTS"), retentionDefault.events),
  repeats: Config.withDefault(Config.duration("HIKYAKU_KEEP_EVENT_IDS"), retentionDefault.repeats)
})

export class Settings extends Context.Reference<Settings>()("@hikyaku/cluster/MarketingRetention", {
  defaultValue: () => retentionDefault
}) {}
export const layerConfig: Layer.Layer<never, ConfigError.ConfigError> = Layer.effect(Settings, retentionConfig)

/** Rows of one statement, and statements of one step: what is left goes with the next. */
export const chunkMax = 10_000
export const chunksMax = 100
const interval = Duration.hours(1)

/** Found and deleted by their places: a join on them may well read the whole table. */
const prune = (table: string, old: string) =>
  `with gone as (delete from ${table} where ctid = any(array(${old})) returning 1)
select count(*)::int as n from gone`
const pruneOlder = (table: string, condition: string) =>
  prune(table, `select ctid from ${table} where ${condition} limit ${chunkMax}`)

// Asked once per statement, and not of every row: `shop_now()` looks the clock up, and with `clock_timestamp()`, which changes
// within a statement, no index could be entered.
const before = (clock: string) => `(select ${clock} - $1::float8 * interval '1 millisecond')`
const statements: ReadonlyArray<{ readonly age: keyof RetentionSettings; readonly text: string }> = [
  { age: "ledger", text: pruneOlder("decision_ledger", `at < ${before("shop_now()")}`) },
  {
    age: "events",
    // The first of each partition are its oldest: nothing beyond them is looked at.
    text: prune(
      "event_log",
      `select e.ctid from (select partition, min("offset") as "offset" from consumer_offset group by partition) c
      cross join lateral (
        select l.ctid, l.appended_at from event_log l where l.partition = c.partition and l."offset" <= c."offset"
        order by l."offset" limit ${chunkMax / partitions}) e
      where e.appended_at < ${before("now()")}`
    )
  },
  { age: "repeats", text: pruneOlder("event_seen", `at < ${before("now()")}`) },
  // An import that nobody goes on with: whoever comes back to it begins anew, and repeats are known by their ids.
  { age: "repeats", text: pruneOlder("event_import", `moved_at < ${before("now()")}`) }
]

/** Drops what is too old by now; how many rows went. */
export const pruneOnce = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const settings = yield* Settings
  const [clock] = yield* sql<{ readonly mode: string }>`select mode from shop_clock`
  if (clock?.mode !== "real") return 0
  let gone = 0
  for (const { age, text } of statements) {
    for (let n = 0; n < chunksMax; n++) {
      const [row] = yield* sql.withTransaction(Effect.zipRight(
        // Statistics that still count what was just dropped make reading a whole table for the rest look cheap.
        sql`set local enable_seqscan = off`,
        sql.unsafe<{ readonly n: number }>(text, [Duration.toMillis(settings[age])])
      ))
      gone += row?.n ?? 0
      if ((row?.n ?? 0) === 0) break
    }
  }
  return gone
})

/** Repeats it for ever; one member of the cluster is enough, several do no harm. */
export const loop = pruneOnce.pipe(
  Effect.catchAllCause((cause) => Effect.logError("What is too old could not be dropped", cause)),
  Effect.delay(Duration.minutes(1)),
  Effect.andThen(Effect.sleep(interval)),
  Effect.forever
)
