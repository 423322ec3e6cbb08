/** Figures and the audit of the books, from the rows alone: what the actors keep in memory is not asked (G1). */
import { SqlClient } from "@effect/sql"
import { AuditFault, auditMax, type Report } from "@hikyaku/domain/api/AdminApi"
import type { Unavailable } from "@hikyaku/domain/api/ApiError"
import { Context, Effect, Layer, Schema } from "effect"
import { stored } from "./Asking.ts"

export interface AuditPage {
  readonly checked: number
  readonly faults: ReadonlyArray<AuditFault>
  readonly next: string | null
}

export class AdminQuery extends Context.Tag("@hikyaku/server/AdminQuery")<AdminQuery, {
  readonly report: Effect.Effect<Report, Unavailable>
  /** Products with ids after `after`, at most `limit`. */
  readonly audit: (after: string, limit: number) => Effect.Effect<AuditPage, Unavailable>
}>() {}

const CountRow = Schema.Struct({ name: Schema.String, count: Schema.Number })
const decodeCounts = Schema.decodeUnknown(Schema.Array(CountRow))
const decodeFaults = Schema.decodeUnknown(Schema.Array(AuditFault))
const decodeEnd = Schema.decodeUnknown(
  Schema.Array(Schema.Struct({ checked: Schema.Number, last: Schema.NullOr(Schema.String) }))
)

const record = (rows: ReadonlyArray<typeof CountRow.Type>): Readonly<Record<string, number>> =>
  Object.fromEntries(rows.map(({ count, name }) => [name, count]))
const one = (rows: ReadonlyArray<typeof CountRow.Type>): number => rows[0]?.count ?? 0

/** Queries of a report that run at one time: it must not take the shop's connections. */
const reportConcurrency = 2

/**
 * Per product what its row says and what its tickets add up to. In one statement, so that both are of one instant: an actor
 * writes its row and its tickets in one commit.
 */
const booksSql = `with page as materialized (
  select id, taken_in, shortage, available, allocated, offered, sold, sequence from product
  where id > $1 order by id limit $2
),
lines as (
  select a.product, coalesce(sum(a.quantity) filter (where status in ('allocated', 'held')), 0) as open,
    coalesce(sum(a.quantity) filter (where status in ('sold', 'settled')), 0) as sold,
    count(*) as n, min(a.sequence) as first, max(a.sequence) as last
  from allocation a join page on page.id = a.product group by a.product
),
returned as (
  select r.product, sum(quantity) as quantity from allocation_return r join page on page.id = r.product group by r.product
),
line as (
  select w.product, sum(quantity) as offered from ticket_wait w join page on page.id = w.product
  where status = 'offered' group by w.product
),
books as (
  select page.*, coalesce(l.open, 0) as open_found, coalesce(l.sold, 0) - coalesce(r.quantity, 0) as sold_found,
    coalesce(w.offered, 0) as offered_found, l.n, l.first, l.last
  from page left join lines l on l.product = page.id left join returned r on r.product = page.id
  left join line w on w.product = page.id
)`

const auditSql = `${booksSql}
select id as product, rule, expected::float8 as expected, found::float8 as found from books, lateral (values
  ('taken in + shortage = available + allocated + offered + sold', taken_in + shortage,
    available + allocated + offered + sold),
  ('pieces in carts = open allocations', allocated, open_found),
  ('pieces offered = offers in line', offered, offered_found),
  ('pieces sold = sold allocations - returns', sold, sold_found),
  ('allocated and sold <= taken in + shortage', taken_in + shortage,
    greatest(taken_in + shortage, open_found + offered_found + sold_found)),
  ('the last allocation has the last number', sequence, coalesce(last, sequence)),
  ('allocations are numbered without gaps', coalesce(last - first + 1, 0), coalesce(n, 0))
) as rules(rule, expected, found) where expected <> found order by id, rule`

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient

  const counts = (query: string) => stored(Effect.flatMap(sql.unsafe(query), decodeCounts))
  const number = (query: string) => Effect.map(counts(`select '' as name, (${query})::float8 as count`), one)
  const by = (column: string, table: string) =>
    Effect.map(
      counts(`select ${column} as name, count(*)::float8 as count from ${table} group by 1 order by 1`),
      record
    )

  const report = Effect.all({
    events: by("type", "event_log"),
    tickets: by(
      "status",
      `(select status from allocation
      union all select status from ticket_wait where status <> 'confirmed') t`
    ),
    adds: by(
      "reply->>'_tag'",
      `outcome where kind = 'Product'
      and reply->>'_tag' in ('Allocated', 'SoldOut', 'Waitlisted', 'LimitReached', 'TimedOut', 'Cancelled')`
    ),
    oversold: number(`select coalesce(sum(greatest(0, coalesce(a.pieces, 0) - coalesce(r.pieces, 0) + p.offered
        - p.taken_in - p.shortage)), 0)
      from product p
      left join (select product, sum(quantity) as pieces from allocation
        where status in ('allocated', 'held', 'sold', 'settled') group by product) a on a.product = p.id
      left join (select product, sum(quantity) as pieces from allocation_return group by product) r
        on r.product = p.id`),
    products: number("select count(*) from product"),
    shortage: number("select coalesce(sum(shortage), 0) from product"),
    members: number("select count(*) from member where joined and not withdrawn"),
    campaigns: by("status", "campaign"),
    runs: by("status", "run"),
    considered: number("select coalesce(sum(considered), 0) from run"),
    rejected: Effect.map(
      counts(`select reason as name, sum(n::bigint)::float8 as count
        from run, jsonb_each_text(rejected) as r(reason, n) group by 1 order by 1`),
      record
    ),
    deliveries: by("channel", "delivery"),
    deliveriesByStatus: by("status", "delivery"),
    lists: by("status", "delivery_list")
  }, { concurrency: reportConcurrency })

  const audit = (after: string, limit: number) =>
    Effect.gen(function*() {
      const bound = Math.min(limit, auditMax)
      const faults = yield* stored(Effect.flatMap(sql.unsafe(auditSql, [after, bound]), decodeFaults))
      const [end] = yield* stored(
        Effect.flatMap(
          sql`select count(*)::float8 as checked, max(id) as last
            from (select id from product where id > ${after} order by id limit ${bound}) page`,
          decodeEnd
        )
      )
      const checked = end?.checked ?? 0
      return { checked, faults, next: checked < bound ? null : end?.last ?? null }
    })

  return AdminQuery.of({ report, audit })
})

export const layer: Layer.Layer<AdminQuery, never, SqlClient.SqlClient> = Layer.effect(AdminQuery, make)
