/**
 * The demo's figures, read from where they are kept: the shop's tables and the sandbox's own testimony. Nothing here was
 * counted by the demo itself but what it sent and was answered, which is held against the tables in `DemoChecks`.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { SandboxControl, type SandboxUnavailable } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { reportPageMax, type SandboxReport } from "@hikyaku/cluster/delivery/sandbox/SandboxReport"
import { auditMax } from "@hikyaku/domain/api/AdminApi"
import type { Unavailable } from "@hikyaku/domain/api/ApiError"
import type { CapRule } from "@hikyaku/domain/marketing/FrequencyCap"
import { Effect } from "effect"
import { AdminQuery } from "../rpc/AdminQuery.ts"
import { LatencyHistogram, type Quantiles } from "./LatencyHistogram.ts"

type Counts = Readonly<Record<string, number>>

/** One campaign's part. */
export interface CampaignFigures {
  readonly id: string
  readonly runs: number
  readonly considered: number
  readonly accepted: number
  readonly sent: number
  /** Firings that started no run, by reason. */
  readonly suppressed: Counts
}

/** What the tables say. Counts of rows unless stated otherwise. */
export interface TableFigures {
  readonly events: Counts
  /** Events that came in through the API, as opposed to those that actors stated. */
  readonly eventsFromOutside: number
  readonly judged: number
  readonly deadLetters: number
  readonly outbox: number
  /** Recorded outcomes of cart adds that got no stock, by reply. */
  readonly refusedAdds: Counts
  /** Cart lines that got stock, by what became of them. */
  readonly allocations: Counts
  /** Sum of the last allocation numbers of all products. */
  readonly sequences: number
  readonly waits: Counts
  readonly orders: Counts
  readonly returns: number
  readonly oversold: number
  readonly shortage: number
  readonly products: number
  readonly members: number
  readonly soldOutProducts: number
  readonly auditFaults: ReadonlyArray<string>
  readonly campaigns: ReadonlyArray<CampaignFigures>
  readonly runs: Counts
  readonly considered: number
  readonly accepted: number
  readonly rejected: Counts
  /** Members with a rejection in the ledger that stands, once per run: asked again after a crash, some are accepted after all. */
  readonly ledger: number
  readonly deliveries: Counts
  readonly deliveriesByStatus: Counts
  readonly lists: Counts
  readonly refunds: number
  readonly refundsOpen: number
  readonly sentFacts: number
  readonly sentFactsOpen: number
  /** Messages beyond what a cap allows in some window of real sending times, over all members (G7). */
  readonly capsBroken: number
  /** Real time from an event's entry into the log to the start of the upload of a list made for it, ms. */
  readonly eventToProvider: Quantiles
}

type FiguresError = SqlError.SqlError | Unavailable | SandboxUnavailable

const auditAll = (query: typeof AdminQuery.Service) =>
  Effect.gen(function*() {
    const faults: Array<string> = []
    let after = ""
    for (;;) {
      const page = yield* query.audit(after, auditMax)
      for (const { expected, found, product, rule } of page.faults) {
        faults.push(`${product}: ${rule}: ${expected} against ${found}`)
      }
      if (page.next === null) return faults
      after = page.next
    }
  })

/** When each request started, ms since the epoch, by its number. */
const requestStarts = (sandbox: typeof SandboxControl.Service) =>
  Effect.gen(function*() {
    const starts = new Map<number, number>()
    for (let after = 0;;) {
      const page = yield* sandbox.requests(after)
      for (const request of page) starts.set(request.n, request.startedAt)
      const last = page.at(-1)
      if (last === undefined || page.length < reportPageMax) return starts
      after = last.n
    }
  })

/** Reads everything; the shop should be at rest. `caps` are the shop's own. */
export const readTables = (
  caps: ReadonlyArray<CapRule>
): Effect.Effect<TableFigures, FiguresError, SqlClient.SqlClient | AdminQuery | SandboxControl> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const query = yield* AdminQuery
    const sandbox = yield* SandboxControl

    const counts = (statement: string) =>
      Effect.map(
        sql.unsafe<{ readonly name: string | null; readonly n: number }>(statement),
        (rows): Counts => Object.fromEntries(rows.map(({ n, name }) => [name ?? "", n]))
      )
    const number = (expression: string) =>
      Effect.map(
        sql.unsafe<{ readonly n: number }>(`select (${expression})::float8 as n`),
        (rows) => rows[0]?.n ?? 0
      )
    const by = (column: string, from: string) =>
      counts(`select ${column} as name, count(*)::float8 as n from ${from} group by 1 order by 2 desc, 1`)

    const broken = Effect.map(
      Effect.forEach(caps, (cap) =>
        Effect.map(
          sql<{ readonly n: number }>`select count(*)::float8 as n from delivery d
            where d.status = 'sent' and (${cap.channel ?? null}::text is null or d.channel = ${cap.channel ?? null})
              and (${cap.class ?? null}::text is null and d.class <> 'transactional' or d.class = ${cap.class ?? null})
              and (select count(*) from delivery e where e.member = d.member and e.status = 'sent'
                and (${cap.channel ?? null}::text is null or e.channel = ${cap.channel ?? null})
                and (${cap.class ?? null}::text is null and e.class <> 'transactional' or e.class = ${
            cap.class ?? null
          })
                and e.sent_at >= d.sent_at
                and e.sent_at < d.sent_at + ${cap.windowMs}::float8 * interval '1 millisecond') > ${cap.count}`,
          (rows) => rows[0]?.n ?? 0
        )),
      (each) => each.reduce((a, b) => a + b, 0)
    )

    const eventToProvider = Effect.gen(function*() {
      const starts = yield* requestStarts(sandbox)
      const rows = yield* sql<{ readonly upload: string; readonly appended: number }>`
        select l.upload_id as upload, (extract(epoch from e.appended_at) * 1000)::float8 as appended
        from (select distinct list_id, run from delivery where list_id is not null) d
        join delivery_list l on l.id = d.list_id and l.upload_id is not null and l.attempt <= 2
        join run r on r.id = d.run and r.cause->>'_tag' = 'Event' and l.due_since <= r.started_at
        join event_log e on e.partition = (r.cause->>'partition')::int and e."offset" = (r.cause->>'offset')::bigint`
      const histogram = new LatencyHistogram()
      for (const { appended, upload } of rows) {
        const start = starts.get(Number(upload.slice(2)))
        if (start !== undefined) histogram.record(Math.max(0, start - appended))
      }
      return histogram.quantiles()
    })

    const campaigns = Effect.map(
      sql<CampaignFigures>`select c.id, c.suppressed, coalesce(r.runs, 0)::float8 as runs,
          coalesce(r.considered, 0)::float8 as considered, coalesce(r.accepted, 0)::float8 as accepted,
          coalesce(d.sent, 0)::float8 as sent
        from campaign c
        left join (select campaign, count(*) as runs, sum(considered) as considered, sum(accepted) as accepted
          from run group by campaign) r on r.campaign = c.id
        left join (select campaign, count(*) as sent from delivery where status = 'sent' group by campaign) d
          on d.campaign = c.id
        order by c.id`,
      (rows) => [...rows]
    )

    const report = yield* query.report
    return {
      events: report.events,
      eventsFromOutside: yield* number("select count(*) from event_log where source not like 'Product:%'"),
      judged: yield* number(`select sum("offset" + 1) from consumer_offset where consumer = 'judge'`),
      deadLetters: yield* number("select count(*) from dead_letter"),
      outbox: yield* number("select count(*) from outbox"),
      refusedAdds: yield* by(
        "reply->>'_tag'",
        "outcome where kind = 'Product' and reply->>'_tag' in ('SoldOut', 'Waitlisted', 'LimitReached', 'TimedOut')"
      ),
      allocations: yield* by("status", "allocation"),
      sequences: yield* number("select coalesce(sum(sequence), 0) from product"),
      waits: yield* by("status", "ticket_wait"),
      orders: yield* by("state", "checkout_order"),
      returns: yield* number("select count(*) from allocation_return"),
      oversold: report.oversold,
      shortage: report.shortage,
      products: report.products,
      members: report.members,
      soldOutProducts: yield* number(
        `select count(distinct happening->>'product') from event_log where type = 'SoldOut'`
      ),
      auditFaults: yield* auditAll(query),
      campaigns: yield* campaigns,
      runs: report.runs,
      considered: report.considered,
      accepted: yield* number("select coalesce(sum(accepted), 0) from run"),
      rejected: report.rejected,
      ledger: yield* number(
        `select count(*) from (select distinct member, run from decision_ledger where decision = 'rejected') l
        where not exists (select from delivery d where d.id = l.run || ':' || l.member)`
      ),
      deliveries: report.deliveries,
      deliveriesByStatus: report.deliveriesByStatus,
      lists: report.lists,
      refunds: yield* number("select count(*) from delivery_refund"),
      refundsOpen: yield* number("select count(*) from delivery_refund where relayed_at is null"),
      sentFacts: yield* number("select count(*) from delivery_sent"),
      sentFactsOpen: yield* number("select count(*) from delivery_sent where relayed_at is null"),
      capsBroken: yield* broken,
      eventToProvider: yield* eventToProvider
    }
  })

/** What is told of the provider, by its own report. */
export const providerFigures = (report: SandboxReport) => ({
  requests: report.requests.total,
  requestsByOperation: {
    upload: report.requests.upload,
    send: report.requests.send,
    status: report.requests.status,
    history: report.requests.history
  },
  limit: report.limits.concurrency.total,
  peakConcurrency: report.peakConcurrency.total,
  perSecondLimit: report.limits.perSecond.total,
  peakPerSecond: report.peakPerSecond.total,
  violations: report.violations.total,
  throttled: report.throttled.genuine + report.throttled.injected,
  duplicates: report.duplicates.total,
  mailed: report.mailed,
  utilisation: report.utilisation.total
})
