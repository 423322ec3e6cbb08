/** Campaigns, versions and runs as they stand in the store: for reading only, the Campaign actor writes them. */
import { SqlClient } from "@effect/sql"
import { budgetReason } from "@hikyaku/cluster/marketing/RunWorker"
import { type Unavailable, Unknown } from "@hikyaku/domain/api/ApiError"
import {
  CampaignSummary,
  CampaignVersion,
  Explanation,
  RunView,
  type RunView as Run
} from "@hikyaku/domain/api/CampaignApi"
import { pageDefault } from "@hikyaku/domain/api/DeliveryApi"
import { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignStatus } from "@hikyaku/domain/marketing/CampaignCommand"
import { deliveryId } from "@hikyaku/domain/marketing/Member"
import { Context, Effect, Layer, Schema } from "effect"
import { stored } from "./Asking.ts"

/** Decisions shown of one member and run. */
const decisionsMax = 100

export interface StoredVersion {
  readonly version: CampaignVersion
  readonly definition: CampaignDefinition
}

export class CampaignQuery extends Context.Tag("@hikyaku/server/CampaignQuery")<CampaignQuery, {
  /** A version, or the current one; null when there is none. */
  readonly version: (campaign: string, version?: number) => Effect.Effect<StoredVersion | null, Unavailable>
  readonly summaries: (by: {
    readonly id?: string | undefined
    readonly status?: CampaignStatus | undefined
    readonly after?: string | undefined
    readonly limit?: number | undefined
  }) => Effect.Effect<ReadonlyArray<CampaignSummary>, Unavailable>
  /** The newest first. */
  readonly versions: (campaign: string, limit?: number) => Effect.Effect<ReadonlyArray<CampaignVersion>, Unavailable>
  readonly runs: (campaign?: string, limit?: number) => Effect.Effect<ReadonlyArray<Run>, Unavailable>
  /** Fails when there is no such run, or nothing is known of the member. */
  readonly explain: (member: string, run: string) => Effect.Effect<Explanation, Unavailable | Unknown>
}>() {}

const VersionRow = Schema.Struct({ ...CampaignVersion.fields, definition: CampaignDefinition })
const decodeVersions = Schema.decodeUnknown(Schema.Array(CampaignVersion))
const decodeVersionRows = Schema.decodeUnknown(Schema.Array(VersionRow))
const decodeSummaries = Schema.decodeUnknown(Schema.Array(CampaignSummary))
const decodeRuns = Schema.decodeUnknown(Schema.Array(RunView))
const { decisions, delivery } = Explanation.fields
const decodeDecisions = Schema.decodeUnknown(decisions)
const decodeDelivery = Schema.decodeUnknown(Schema.Array(delivery))
const decodePassed = Schema.decodeUnknown(
  Schema.Array(Schema.Struct({ known: Schema.Boolean, passed: Schema.Boolean }))
)

type Parts = Pick<Explanation, "considered" | "decisions" | "delivery" | "run">

/** The last word on it, in words. */
const verdictOf = ({ considered, decisions, delivery, run }: Parts): string => {
  const last = decisions.at(-1)
  if (delivery !== null) {
    if (last !== undefined && last.decision !== "rejected") return `accepted, then ${last.decision}: ${last.reason}`
    switch (delivery.status) {
      case "sent":
        return `sent by ${delivery.channel}`
      case "due":
      case "listed":
        return `accepted for ${delivery.channel}, not sent yet`
      case "unknown":
        return `handed to the provider, which never said whether it was sent; it counts as sent`
      default:
        return `accepted for ${delivery.channel}, but not sent (${delivery.status})${
          delivery.reason === null ? "" : `: ${delivery.reason}`
        }`
    }
  }
  if (last !== undefined) return `${last.decision} by the ${last.stage} stage: ${last.reason}`
  if (considered) return "not in the segment, or excluded, when the run came past"
  if (budgetReason in run.rejected) return "never considered: the day's budget was spent"
  return run.status === "running" || run.status === "paused"
    ? `not considered yet: the run is ${run.status}`
    : `never considered: the run is ${run.status}`
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const ms = (column: string) => sql`(extract(epoch from ${sql(column)}) * 1000)::float8`
  const versionColumns = sql`version, author, ${ms("at")} as at, state = 'current' as current,
    rolled_back_to as "rolledBackTo"`
  const runColumns = sql`id, campaign, version, status, cause, product, member, ${ms("started_at")} as "startedAt",
    ${ms("deadline")} as deadline, considered::float8 as considered, accepted::float8 as accepted, rejected,
    ${ms("finished_at")} as "finishedAt"`

  const version = (campaign: string, number?: number) =>
    stored(
      sql`select ${versionColumns}, definition from campaign_version where campaign = ${campaign}
        and ${number === undefined ? sql`state = 'current'` : sql`version = ${number}`}`.pipe(
        Effect.flatMap(decodeVersionRows),
        Effect.map(([row]) => {
          if (row === undefined) return null
          const { definition, ...version } = row
          return { version, definition }
        })
      )
    )

  const explain = (member: string, id: string) =>
    Effect.gen(function*() {
      const [run] = yield* stored(Effect.flatMap(sql`select ${runColumns} from run where id = ${id}`, decodeRuns))
      if (run === undefined) return yield* new Unknown({ what: "run", id })
      // Compared by the store: its order of ids is the one in which the run goes.
      const [{ known, passed } = { known: false, passed: false }] = yield* stored(
        Effect.flatMap(
          sql`select coalesce(cursor >= ${member}, false) or status = 'finished' and not rejected ? ${budgetReason} as passed,
            exists (select from member where id = ${member}) as known from run where id = ${id}`,
          decodePassed
        )
      )
      const [delivery = null] = yield* stored(
        Effect.flatMap(
          sql`select id, channel, status, ${ms("not_before")} as "notBefore", ${ms("deadline")} as deadline,
              ${ms("sent_at")} as "sentAt", reason, why
            from delivery where id = ${deliveryId(id, member)}`,
          decodeDelivery
        )
      )
      const decisions = yield* stored(
        Effect.flatMap(
          sql`select stage, decision, reason, detail, ${ms("at")} as at from decision_ledger
            where member = ${member} and run = ${id} order by n limit ${decisionsMax}`,
          decodeDecisions
        )
      )
      if (!known && delivery === null && decisions.length === 0) {
        return yield* new Unknown({ what: "member", id: member })
      }
      const parts = { run, delivery, decisions, considered: passed || delivery !== null || decisions.length > 0 }
      return { member, ...parts, verdict: verdictOf(parts) }
    })

  return CampaignQuery.of({
    version,
    explain,
    summaries: ({ after, id, limit, status }) =>
      stored(
        sql`select c.id, v.definition->>'name' as name, c.status, c.current_version as version,
            case v.definition->'trigger'->>'_tag' when 'Cron' then 'cron ' || (v.definition->'trigger'->>'cron')
              else v.definition->'trigger'->>'event' end as trigger,
            c.runs::float8 as runs, c.runs_today as "runsToday", (c.spent_today - c.unsent_today)::float8 as "spentToday",
            ${ms("last_run_at")} as "lastRunAt", c.suppressed
          from campaign c join campaign_version v on v.campaign = c.id and v.version = c.current_version
          where c.id > ${after ?? ""} and ${id === undefined ? sql`true` : sql`c.id = ${id}`}
            and ${status === undefined ? sql`true` : sql`c.status = ${status}`}
          order by c.id limit ${limit ?? pageDefault}`.pipe(Effect.flatMap(decodeSummaries))
      ),
    versions: (campaign, limit) =>
      stored(
        sql`select ${versionColumns} from campaign_version where campaign = ${campaign}
          order by version desc limit ${limit ?? pageDefault}`.pipe(Effect.flatMap(decodeVersions))
      ),
    runs: (campaign, limit) =>
      stored(
        sql`select ${runColumns} from run where ${campaign === undefined ? sql`true` : sql`campaign = ${campaign}`}
          order by started_at desc, id limit ${limit ?? pageDefault}`.pipe(Effect.flatMap(decodeRuns))
      )
  })
})

export const layer: Layer.Layer<CampaignQuery, never, SqlClient.SqlClient> = Layer.effect(CampaignQuery, make)
