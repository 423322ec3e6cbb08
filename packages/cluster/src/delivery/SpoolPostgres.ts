/** The spool in PostgreSQL. One statement per method: each stands or falls as a whole. */
import { SqlClient, type SqlError } from "@effect/sql"
import { Duration, Effect, Layer, Schema } from "effect"
import {
  type Begun,
  listsKept,
  messageKey,
  messagesKept,
  Results,
  Spool,
  type SpooledList,
  SpoolFault,
  sweepMax
} from "./Spool.ts"

/**
 * $1 account, $2 list. The list's row is locked by the update, so that of two who begin it one is first; of two lists with the
 * same mail to the same address the one whose insert comes first carries it. Deliveries of one list that share an address:
 * the first by id is carried.
 */
const beginSql = `with was as materialized (
  select * from courier_list where account = $1 and id = $2 for update
),
begun as (
  update courier_list l set begun_at = coalesce(l.begun_at, clock_timestamp()) from was
  where l.account = was.account and l.id = was.id and was.ended_at is null returning l.id
),
message as materialized (
  select distinct on (mail_key, address) m.delivery, m.mail_key, m.address
  from begun, jsonb_to_recordset((select list -> 'messages' from was)) as m(delivery text, mail_key text, address text)
  order by mail_key, address, delivery
),
written as (
  insert into courier_message (account, mail_key, address, list_id)
  select $1, mail_key, address, $2 from message order by mail_key, address
  on conflict (account, mail_key, address) do update set list_id = courier_message.list_id
  returning mail_key, address, list_id
)
select was.list -> 'list' as list, was.ended_at is not null as ended, was.begun_at is not null as again,
  coalesce(extract(epoch from clock_timestamp() - was.begun_at) * 1000, 0)::float8 as since,
  coalesce((select array_agg(m.delivery) from message m join written w using (mail_key, address)
    where w.list_id = $2), '{}') as mine
from was`

const putSql = `insert into courier_list (account, id, list) values ($1, $2, $3::jsonb) on conflict do nothing`

const undoSql = `with l as (
  update courier_list set begun_at = null where account = $1 and id = $2 and ended_at is null returning id
)
delete from courier_message m using l where m.account = $1 and m.list_id = l.id`

/** What was sent is about people: only what became of it is kept. */
const endSql = `update courier_list set ended_at = clock_timestamp(), results = $3::jsonb, list = null
where account = $1 and id = $2 and ended_at is null`

const findSql = `select results from courier_list where account = $1 and id = $2`

const sweepSql = `with l as (
  delete from courier_list where (account, id) in (
    select account, id from courier_list where stored_at < clock_timestamp() - $1::float8 * interval '1 millisecond'
    order by stored_at limit $3 for update skip locked)
  returning 1
),
m as (
  delete from courier_message where (account, mail_key, address) in (
    select account, mail_key, address from courier_message
    where at < clock_timestamp() - $2::float8 * interval '1 millisecond' order by at limit $3 for update skip locked)
  returning 1
)
select (select count(*) from l)::float8 + (select count(*) from m)::float8 as n`

interface BegunRow {
  /** As it was put: only `put` writes it. */
  readonly list: SpooledList | null
  readonly ended: boolean
  readonly again: boolean
  readonly since: number
  readonly mine: ReadonlyArray<string>
}

const fault = (error: SqlError.SqlError) =>
  new SpoolFault({ reason: error.cause instanceof Error ? error.cause.message : error.message })

export const layer: Layer.Layer<Spool, never, SqlClient.SqlClient> = Layer.effect(
  Spool,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const query = <A extends object>(text: string, parameters: ReadonlyArray<unknown>) =>
      Effect.mapError(sql.unsafe<A>(text, parameters), fault)
    const decodeResults = Schema.decodeUnknown(Results)

    return Spool.of({
      put: (account, list) => {
        const messages = list.recipients.map((recipient) => {
          const [mailKey, address] = messageKey(list, recipient)
          return { delivery: recipient.deliveryId, mail_key: mailKey, address }
        })
        return Effect.asVoid(query(putSql, [account, list.id, JSON.stringify({ list, messages })]))
      },
      begin: (account, id) =>
        Effect.map(query<BegunRow>(beginSql, [account, id]), ([row]): Begun => {
          if (row === undefined) return { _tag: "Missing" }
          if (row.ended || row.list === null) return { _tag: "Ended" }
          const mine = new Set(row.mine)
          const { list } = row
          const taken = new Set(list.recipients.flatMap(({ deliveryId }) => mine.has(deliveryId) ? [] : [deliveryId]))
          return row.again ? { _tag: "Again", list, taken, sinceMs: row.since } : { _tag: "First", list, taken }
        }),
      undo: (account, id) => Effect.asVoid(query(undoSql, [account, id])),
      end: (account, id, results) => Effect.asVoid(query(endSql, [account, id, JSON.stringify(results)])),
      find: (account, id) =>
        Effect.gen(function*() {
          const [row] = yield* query<{ readonly results: unknown }>(findSql, [account, id])
          if (row === undefined) return null
          return { results: row.results === null ? null : yield* Effect.orDie(decodeResults(row.results)) }
        }),
      sweep: Effect.map(
        query<{ readonly n: number }>(sweepSql, [
          Duration.toMillis(listsKept),
          Duration.toMillis(messagesKept),
          sweepMax
        ]),
        (rows) => rows[0]?.n ?? 0
      )
    })
  })
)
