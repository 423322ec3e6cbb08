/** The event log in PostgreSQL: offsets are assigned under the partition's row lock, so that they become visible in order. */
import { SqlClient } from "@effect/sql"
import { type Event, eventKey, eventType } from "@hikyaku/domain/marketing/Event"
import { Array as Arr, Effect, Layer, Option } from "effect"
import { Nudge } from "../actor/Nudge.ts"
import { fingerprint } from "../actor/Wire.ts"
import { together } from "../sql/Together.ts"
import {
  type Appended,
  EventLog,
  EventLogUnavailable,
  type LogEntry,
  partitionOf,
  relayMax,
  tellEvents
} from "./EventLog.ts"

/**
 * Appends what is new. The partition's row is locked in the order of partitions and until commit: whoever reads up to an
 * offset has seen all before it (a plain sequence would let a late commit appear behind a reader, R13).
 */
const appendSql = `with e as materialized (
  select * from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::text[])
    with ordinality as e(partition, source, event_id, hash, key, type, at, happening, place)
),
fresh as (
  insert into event_seen (source, event_id, hash, at)
  select distinct on (source, event_id) source, event_id, hash, clock_timestamp() from e order by source, event_id, place
  on conflict do nothing returning source, event_id
),
kept as materialized (
  select distinct on (e.source, e.event_id) e.* from e join fresh using (source, event_id)
  order by e.source, e.event_id, e.place
),
counts as materialized (select partition, count(*) as n from kept group by partition),
locked as materialized (
  select p.partition from event_partition p where p.partition in (select partition from counts)
  order by p.partition for update
),
moved as (
  update event_partition p set next_offset = p.next_offset + c.n
  from counts c join locked using (partition) where p.partition = c.partition
  returning p.partition, p.next_offset - c.n as base
),
numbered as materialized (
  select k.*, m.base + row_number() over (partition by k.partition order by k.place) - 1 as "offset"
  from kept k join moved m using (partition)
),
written as (
  insert into event_log (partition, "offset", source, event_id, key, type, at, happening, catalogue_version)
  select partition, "offset", source, event_id, key, type, to_timestamp(at / 1000.0), happening::jsonb,
    (select version from catalogue)
  from numbered
)
select e.place::int as place, n.partition, n."offset"::float8 as "offset", s.hash is null or s.hash = e.hash as same
from e
left join numbered n on n.place = e.place
left join event_seen s on s.source = e.source and s.event_id = e.event_id
order by e.place`

/**
 * Moves outbox rows to the log: one statement, so that no copy is lost or doubled, and one relay at a time, so that an
 * actor's events keep the order of its versions. Nothing waits when there is nothing to move.
 *
 * What comes first is asked of the index and taken as an array: the table is small but for rows that are gone and not swept
 * yet, which "exists" and a join read all of. Without a parameter there is one plan, and not one for each call.
 */
const relaySql = `with turn as materialized (
  select pg_try_advisory_xact_lock(hashtext('hikyaku.relay')) as mine
  where (select seq from outbox order by seq limit 1) is not null
),
taken as (
  delete from outbox where (select mine from turn)
    and seq = any(array(select seq from outbox order by seq limit ${relayMax}))
  returning kind, actor, version, seq, happenings
),
h as materialized (
  select t.kind || ':' || t.actor as source, t.version || '.' || (x.n - 1) as event_id,
    (x.value->>'partition')::int as partition, x.value->>'key' as key, x.value->>'type' as type,
    (x.value->>'at')::float8 as at, x.value->'happening' as happening, row_number() over (order by t.seq, x.n) as place
  from taken t, jsonb_array_elements(t.happenings) with ordinality as x(value, n)
),
counts as materialized (select partition, count(*) as n from h group by partition),
locked as materialized (
  select p.partition from event_partition p where p.partition in (select partition from counts)
  order by p.partition for update
),
moved as (
  update event_partition p set next_offset = p.next_offset + c.n
  from counts c join locked using (partition) where p.partition = c.partition
  returning p.partition, p.next_offset - c.n as base
),
written as (
  insert into event_log (partition, "offset", source, event_id, key, type, at, happening, catalogue_version)
  select h.partition, m.base + row_number() over (partition by h.partition order by h.place) - 1,
    h.source, h.event_id, h.key, h.type, to_timestamp(h.at / 1000.0), h.happening, (select version from catalogue)
  from h join moved m using (partition)
  returning partition
)
select count(*)::int as n, array_agg(distinct partition) as partitions from written`

/**
 * Partitions' entries that are not judged yet, each with how far its consumers have come. The offset is a subquery and no
 * join, so that the index is entered where it points: a join is carried out by walking the partition from its beginning. So
 * are the parameters: with arrays whose length it knows the planner takes a plan for each call to be worth its while.
 */
const pendingSql = `select w.partition, l.*
from unnest((select $1::int[]), (select $2::int[])) w(partition, most) cross join lateral (
  select l."offset"::float8 as "offset", l.source, l.event_id as id,
    (extract(epoch from l.at) * 1000)::float8 as at, l.happening,
    (select a."offset"::float8 from consumer_offset a where a.consumer = 'aggregate' and a.partition = w.partition)
      as aggregated,
    (select version::float8 from catalogue) as "catalogueVersion"
  from event_log l where l.partition = w.partition and l."offset" >
    (select c."offset" from consumer_offset c where c.consumer = 'judge' and c.partition = w.partition)
  order by l."offset" limit w.most
) l order by w.partition, l."offset"`

interface PendingRow extends LogEntry {
  readonly aggregated: number
  readonly catalogueVersion: number
}

/** One processor's look at its partition. */
interface Look {
  readonly partition: number
  readonly limit: number
}

interface AppendRow {
  readonly place: number
  readonly partition: number | null
  readonly offset: number | null
  readonly same: boolean
}

interface RelayRow {
  readonly n: number
  /** Where they went; null when nothing moved. */
  readonly partitions: ReadonlyArray<number> | null
}

const unavailable = (cause: unknown) => new EventLogUnavailable({ reason: String(cause) })

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))

  const write = (events: ReadonlyArray<Event>) =>
    sql.unsafe<AppendRow>(appendSql, [
      events.map((event) => partitionOf(event.happening)),
      events.map((event) => event.source),
      events.map((event) => event.id),
      events.map((event) => fingerprint([event.at, event.happening])),
      events.map((event) => eventKey(event.happening)),
      events.map((event) => eventType(event.happening)),
      events.map((event) => event.at),
      events.map((event) => JSON.stringify(event.happening))
    ])

  const append = (events: ReadonlyArray<Event>) =>
    events.length === 0 ? Effect.succeed([]) : write(events).pipe(
      Effect.tap((rows) => tellEvents(nudge, rows.flatMap(({ partition }) => partition ?? []))),
      Effect.map((rows) =>
        rows.map((row): Appended =>
          row.partition !== null && row.offset !== null
            ? { _tag: "Appended", partition: row.partition, offset: row.offset }
            : row.same
            ? { _tag: "Repeated" }
            : { _tag: "Differs" }
        )
      ),
      Effect.mapError(unavailable)
    )

  /** What is appended at one time wakes the processors of its partitions, which look together. */
  const look = yield* together((looks: ReadonlyArray<Look>) => {
    // Two of one partition are two processors of it: both get what is there.
    const most = new Map<number, number>()
    for (const { limit, partition } of looks) most.set(partition, Math.max(limit, most.get(partition) ?? 0))
    return sql.unsafe<PendingRow>(pendingSql, [[...most.keys()], [...most.values()]]).pipe(
      Effect.map((rows) => {
        const found = Arr.groupBy(rows, (row) => String(row.partition))
        return looks.map(({ limit, partition }) => (found[String(partition)] ?? []).slice(0, limit))
      }),
      Effect.mapError(unavailable)
    )
  })

  const pending = (partition: number, limit: number) =>
    look({ partition, limit }).pipe(
      Effect.map((rows) => {
        const last = rows.at(-1)
        return last === undefined ? null : {
          entries: rows.map(({ at, happening, id, offset, source }): LogEntry => ({
            partition,
            offset,
            source,
            id,
            at,
            happening
          })),
          last: last.offset,
          aggregated: last.aggregated,
          catalogueVersion: last.catalogueVersion
        }
      })
    )

  const relay = sql.unsafe<RelayRow>(relaySql).pipe(
    Effect.tap((rows) => tellEvents(nudge, rows[0]?.partitions ?? [])),
    Effect.map((rows) => rows[0]?.n ?? 0),
    Effect.mapError(unavailable)
  )

  return EventLog.of({ append, pending, relay })
})

export const layer: Layer.Layer<EventLog, never, SqlClient.SqlClient> = Layer.scoped(EventLog, make)
