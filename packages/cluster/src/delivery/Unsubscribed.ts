/**
 * Who has unsubscribed from the mails of a registered system: an address on a channel, whether or not it belongs to a member.
 * Every other system still reaches it, and so does what carries no link (an order's own mail). Looked up where lists are
 * made (`DeliveryStoreSql.makeList`).
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { Channel } from "@hikyaku/domain/marketing/Event"
import { Context, Effect, Layer } from "effect"

export interface SystemUnsubscription {
  readonly channel: Channel
  readonly address: string
  /** The system whose mails are not wanted any more. */
  readonly system: string
  /** The delivery that carried the link. */
  readonly delivery: string
}

export class Unsubscribed extends Context.Tag("@hikyaku/cluster/delivery/Unsubscribed")<Unsubscribed, {
  /** Durable when it answers; saying it again changes nothing. */
  readonly add: (unsubscription: SystemUnsubscription) => Effect.Effect<void, SqlError.SqlError>
  /** The systems whose mails are not wanted at an address, and since when (ms since the epoch); at most `systemsMax`. */
  readonly of: (channel: Channel, address: string) => Effect.Effect<
    ReadonlyArray<{ readonly system: string; readonly at: number }>,
    SqlError.SqlError
  >
  /** Lets a system's mails reach an address again, because its owner says so; whether they were declined. */
  readonly lift: (channel: Channel, address: string, system: string) => Effect.Effect<boolean, SqlError.SqlError>
}>() {}

/** Systems in one answer. */
export const systemsMax = 1_000

/** The database's own lower case, as where it is looked up. */
const addressSql = "case when $1 = 'mail' then lower($2) else $2 end"
const addSql = `insert into address_unsubscribed (channel, address, system, delivery)
values ($1, ${addressSql}, $3, $4)
on conflict (channel, address, system) do nothing`
const ofSql = `select system, (extract(epoch from at) * 1000)::float8 as at from address_unsubscribed
where channel = $1 and address = ${addressSql} order by system limit ${systemsMax}`
const liftSql = `delete from address_unsubscribed where channel = $1 and address = ${addressSql} and system = $3
returning system`

export const layer: Layer.Layer<Unsubscribed, never, SqlClient.SqlClient> = Layer.effect(
  Unsubscribed,
  Effect.map(SqlClient.SqlClient, (sql) =>
    Unsubscribed.of({
      add: ({ address, channel, delivery, system }) =>
        Effect.asVoid(sql.unsafe(addSql, [channel, address, system, delivery])),
      of: (channel, address) => sql.unsafe(ofSql, [channel, address]),
      lift: (channel, address, system) =>
        Effect.map(sql.unsafe(liftSql, [channel, address, system]), (rows) => rows.length > 0)
    }))
)
