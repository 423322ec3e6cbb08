/**
 * Bulk imports into the event log, a call at a time. How far an import has come is a row that moves in the commit that appends
 * its events: whatever is lost between caller and store, the import goes on after the last event that was taken, and each
 * counts once. An import yields to the shop: it is held back while the log is further ahead of its judges than `backlogMax`.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { Event } from "@hikyaku/domain/marketing/Event"
import { Context, Duration, Effect, Layer, Option, Schedule, Schema } from "effect"
import { Nudge } from "../actor/Nudge.ts"
import { EventLog, type EventLogUnavailable, partitionOf, tellEvents } from "./EventLog.ts"

export interface ImportLimits {
  /** Events of the log that are not judged yet, beyond which imports wait. Default 20,000: a few seconds' work. */
  readonly backlogMax: number
  /** How long a call waits for room before it is turned away. Default 10 s. */
  readonly waitMax: Duration.Duration
}
export const importLimitsDefault: ImportLimits = { backlogMax: 20_000, waitMax: Duration.seconds(10) }

/** How often a call that waits looks whether there is room. */
const lookEvery = Duration.millis(100)

/** How far an import has come; `lines` is the number of events taken. */
export interface ImportState {
  readonly lines: number
  readonly appended: number
  readonly repeated: number
  readonly differing: number
  readonly finished: boolean
}

export interface Taken extends ImportState {
  /** Numbers of events of this call that were ignored, since their id was used before with other content. */
  readonly differed: ReadonlyArray<number>
}

/** What comes next has another number, or the import is finished; nothing was done. */
export class ImportGap extends Schema.TaggedError<ImportGap>()("ImportGap", {
  lines: Schema.Number,
  finished: Schema.Boolean
}) {}

/** The log is too far ahead of its judges; nothing was done. */
export class ImportHeld extends Schema.TaggedError<ImportHeld>()("ImportHeld", { backlog: Schema.Number }) {}

export class EventImport extends Context.Tag("@hikyaku/cluster/EventImport")<EventImport, {
  /** Appends what of these events was not taken before; the first one has the number `first`. `last`: there are no more. */
  readonly take: (
    id: string,
    first: number,
    events: ReadonlyArray<Event>,
    last: boolean
  ) => Effect.Effect<Taken, ImportGap | ImportHeld | EventLogUnavailable | SqlError.SqlError>
  /** How far it has come; null: there is none. */
  readonly read: (id: string) => Effect.Effect<ImportState | null, SqlError.SqlError>
}>() {}

export const makeWith = ({ backlogMax, waitMax }: ImportLimits) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const log = yield* EventLog
    const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))

    const columns = sql.literal(
      `lines::float8 as lines, appended::float8 as appended, repeated::float8 as repeated,
  differing::float8 as differing, finished`
    )
    const read = (id: string) =>
      sql<ImportState>`select ${columns} from event_import where id = ${id}`.pipe(
        Effect.map(([row]) => row ?? null)
      )

    const backlog = sql<{ readonly n: number }>`
      select coalesce(sum(p.next_offset - 1 - c."offset"), 0)::float8 as n from event_partition p
      join consumer_offset c on c.partition = p.partition and c.consumer = 'judge'`.pipe(
      Effect.map(([row]) => row?.n ?? 0)
    )
    const fits = Effect.filterOrFail(backlog, (n) => n <= backlogMax, (n) => new ImportHeld({ backlog: n }))
    const untilRoom = Schedule.spaced(lookEvery).pipe(Schedule.upTo(waitMax))

    /** One import at a time: of many that find room at once, all but the first find what those before them have filled. */
    const turn = sql`select pg_advisory_xact_lock(hashtext('hikyaku.import'))`

    const append = (id: string, first: number, events: ReadonlyArray<Event>, last: boolean) =>
      Effect.gen(function*() {
        yield* turn
        yield* fits
        // Its row is locked until commit, so that it cannot be pruned meanwhile.
        const [found] = yield* sql<ImportState>`insert into event_import (id) values (${id})
          on conflict (id) do update set moved_at = clock_timestamp() returning ${columns}`
        const before = found ?? { lines: 0, appended: 0, repeated: 0, differing: 0, finished: false }
        const end = first + events.length - 1
        const gap = first > before.lines + 1
        if (gap || (before.finished && end > before.lines)) {
          return yield* new ImportGap({ lines: before.lines, finished: before.finished })
        }
        const fresh = events.slice(before.lines + 1 - first)
        const answers = yield* log.append(fresh)
        const count = (tag: string) => answers.filter(({ _tag }) => _tag === tag).length
        const differed = answers.flatMap(({ _tag }, n) => _tag === "Differs" ? [before.lines + 1 + n] : [])
        const [state] = yield* sql<ImportState>`update event_import set lines = lines + ${fresh.length},
          appended = appended + ${count("Appended")}, repeated = repeated + ${count("Repeated")},
          differing = differing + ${differed.length}, finished = finished or ${last && end >= before.lines},
          moved_at = clock_timestamp()
          where id = ${id} returning ${columns}`
        return { ...before, ...state, differed }
      })

    const take = (id: string, first: number, events: ReadonlyArray<Event>, last: boolean) =>
      // Looked at before anything is held as well, since most who come while there is no room find none.
      Effect.zipRight(fits, sql.withTransaction(append(id, first, events, last))).pipe(
        Effect.retry({ while: (error) => error._tag === "ImportHeld", schedule: untilRoom }),
        // What the log itself told was not committed then.
        Effect.tap(tellEvents(nudge, events.map(({ happening }) => partitionOf(happening))))
      )

    return EventImport.of({ take, read })
  })

export const layerWith = (
  limits: ImportLimits
): Layer.Layer<EventImport, never, SqlClient.SqlClient | EventLog> => Layer.effect(EventImport, makeWith(limits))

export const layer = layerWith(importLimitsDefault)
