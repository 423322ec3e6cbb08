/** Suppressions in PostgreSQL. One statement per method: each stands or falls as a whole. */
import { SqlClient, type SqlError } from "@effect/sql"
import { Duration, Effect, Layer } from "effect"
import {
  addressKey,
  type Suppression,
  SuppressionFault,
  Suppressions,
  type SuppressionSettings
} from "./Suppressions.ts"

/**
 * $1 keys, $2 channels, $3 addresses, $4 kinds, $5 reasons, $6 instants (ms), $7 soft bounces, $8 window (ms). The count looks
 * at what was there before and at what this statement adds, which a statement does not see in the table. Two reports of one
 * address at the same time may each miss the other: then the next soft bounce suppresses.
 */
const reportSql = `with given as (
  select distinct on (key) * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::float8[])
    with ordinality as g(key, channel, address, kind, reason, at, place) order by key, place
),
fresh as (
  insert into address_report (key, channel, address, kind, at)
  select key, channel, address, kind, to_timestamp(at / 1000.0) from given order by key
  on conflict (key) do nothing returning key
),
taken as materialized (select g.* from given g join fresh using (key)),
judged as materialized (
  select distinct on (channel, address) channel, address, cause, reason from (
    select t.channel, t.address, t.reason, t.place, case t.kind
      when 'complaint' then 'complaint'
      when 'hard' then 'hard bounce'
      else case when (
          select count(*) from address_report r where r.kind = 'soft' and r.channel = t.channel and r.address = t.address
            and r.at > to_timestamp((t.at - $8::float8) / 1000.0) and r.at < to_timestamp((t.at + $8::float8) / 1000.0)
        ) + (
          select count(*) from taken o where o.kind = 'soft' and o.channel = t.channel and o.address = t.address
            and abs(o.at - t.at) < $8::float8
        ) >= $7::integer then 'soft bounces' end
      end as cause
    from taken t
  ) c where cause is not null
  order by channel, address, cause = 'complaint' desc, cause = 'hard bounce' desc, place
),
written as (
  insert into address_suppression (channel, address, cause, reason)
  select channel, address, cause, reason from judged order by channel, address
  on conflict (channel, address) do update set cause = excluded.cause, reason = excluded.reason
    where excluded.cause = 'complaint'
)
select t.key from taken t where exists (select from judged j where j.channel = t.channel and j.address = t.address)
  or exists (select from address_suppression s where s.channel = t.channel and s.address = t.address)`

const suppressedSql = `select address, cause, reason from address_suppression
where channel = $1 and address = any($2::text[])`

const liftSql = `with r as (delete from address_report where channel = $1 and address = $2)
delete from address_suppression where channel = $1 and address = $2 returning 1`

const fault = (error: SqlError.SqlError) =>
  new SuppressionFault({ reason: error.cause instanceof Error ? error.cause.message : error.message })

export const layer = (settings: SuppressionSettings): Layer.Layer<Suppressions, never, SqlClient.SqlClient> =>
  Layer.effect(
    Suppressions,
    Effect.map(SqlClient.SqlClient, (sql) => {
      const query = <A extends object>(text: string, parameters: ReadonlyArray<unknown>) =>
        Effect.mapError(sql.unsafe<A>(text, parameters), fault)

      return Suppressions.of({
        suppressed: (channel, addresses) =>
          Effect.map(
            query<Suppression & { readonly address: string }>(suppressedSql, [
              channel,
              addresses.map((address) => addressKey(channel, address))
            ]),
            (rows) => {
              const byKey = new Map(rows.map(({ address, cause, reason }) => [address, { cause, reason }]))
              return new Map(addresses.flatMap((address): ReadonlyArray<[string, Suppression]> => {
                const suppression = byKey.get(addressKey(channel, address))
                return suppression === undefined ? [] : [[address, suppression]]
              }))
            }
          ),
        report: (reports) =>
          reports.length === 0 ? Effect.succeed(new Set<string>()) : Effect.map(
            query<{ readonly key: string }>(reportSql, [
              reports.map((one) => one.key),
              reports.map((one) => one.channel),
              reports.map((one) => addressKey(one.channel, one.address)),
              reports.map((one) => one.kind),
              reports.map((one) => one.reason),
              reports.map((one) => one.at),
              settings.softBounces,
              Duration.toMillis(settings.softWindow)
            ]),
            (rows) => new Set(rows.map((row) => row.key))
          ),
        lift: (channel, address) =>
          Effect.map(query(liftSql, [channel, addressKey(channel, address)]), (rows) => rows.length > 0)
      })
    })
  )
