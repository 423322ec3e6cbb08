/** Figures and the audit of the books, from the rows alone: what the actors keep in memory is not asked (G1). */
import { SqlClient } from "@effect/sql"
import { type AuditPage, auditPage } from "@hikyaku/cluster/stock/Audit"
import { auditMax, type Report } from "@hikyaku/domain/api/AdminApi"
import type { Unavailable } from "@hikyaku/domain/api/ApiError"
import { Context, Effect, Layer, Schema } from "effect"
import { stored } from "./Asking.ts"

export class AdminQuery extends Context.Tag("@hikyaku/server/AdminQuery")<AdminQuery, {
  readonly report: Effect.Effect<Report, Unavailable>
  /** Products with ids after `after`, at most `limit`. */
  readonly audit: (after: string, limit: number) => Effect.Effect<AuditPage, Unavailable>
}>() {}

const CountRow = Schema.Struct({ name: Schema.String, count: Schema.Number })
const decodeCounts = Schema.decodeUnknown(Schema.Array(CountRow))

const record = (rows: ReadonlyArray<typeof CountRow.Type>): Readonly<Record<string, number>> =>
  Object.fromEntries(rows.map(({ count, name }) => [name, count]))
const one = (rows: ReadonlyArray<typeof CountRow.Type>): number => rows[0]?.count ?? 0

/** Queries of a report that run at one time: it must not take the shop's connections. */
const reportConcurrency = 2

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
    stored(auditPage(after, Math.min(limit, auditMax)).pipe(Effect.provideService(SqlClient.SqlClient, sql)))

  return AdminQuery.of({ report, audit })
})

export const layer: Layer.Layer<AdminQuery, never, SqlClient.SqlClient> = Layer.effect(AdminQuery, make)
