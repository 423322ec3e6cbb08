/**
 * Whom a run would send to if it began now, found out without a trace (G18). Its members are drawn by the conditions that a
 * run pages by, and judged from their rows by the chain of judgements that the Member actor goes through: whatever keeps a
 * member from getting the message in earnest (no consent, no address, a cap, the filter, the holdout) does so here.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { audienceOf, type ShopTerms, termsOf } from "@hikyaku/domain/marketing/CampaignTerms"
import { barred, consider } from "@hikyaku/domain/marketing/Consideration"
import type { Attributes, Channel } from "@hikyaku/domain/marketing/Event"
import type { Consideration } from "@hikyaku/domain/marketing/Member"
import type { Member } from "@hikyaku/domain/marketing/MemberState"
import { ruleFilter } from "@hikyaku/domain/marketing/RuleFilter"
import type { SegmentCause } from "@hikyaku/domain/marketing/Segment"
import { Effect } from "effect"
import type { Row } from "../actor/Table.ts"
import { memberKind, memberTable } from "./MemberActor.ts"
import { countSegment, sampleSegment } from "./SegmentSql.ts"

export interface TrialLimits {
  /** Members judged in one trial; of a larger segment a random part is, the same one every time. */
  readonly judgedMax: number
  /** Members read and judged before others of the process have their turn (R23). */
  readonly pageSize: number
}
export const trialLimitsDefault: TrialLimits = { judgedMax: 100_000, pageSize: 250 }

/** What a trial is about. */
export interface Trial {
  readonly definition: CampaignDefinition
  readonly shop: ShopTerms
  readonly cause: SegmentCause
  readonly parameters: Attributes
  /** ms since the epoch. */
  readonly now: number
}

/** What came of the members judged: `leftOut` by the reason that a run would have given, `channels` as it would choose. */
export interface Judgement {
  readonly judged: number
  readonly reachable: number
  readonly channels: Readonly<Record<string, number>>
  readonly leftOut: Readonly<Record<string, number>>
}

/** A member whom the run would send to, and the campaign's channels on which they can be reached. */
export interface Reached {
  readonly member: Member
  readonly channels: ReadonlyArray<Channel>
}

interface Found {
  readonly id: string
}
type Query<A> = Effect.Effect<A, SqlError.SqlError>

/** A trial's run has no id of its own; it only decides which member gets to try another channel. */
const trialRun = "trial"

export const makeWith = ({ judgedMax, pageSize }: TrialLimits) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    // A trial takes a process's time and a database session for a while: those who wait do so here.
    const oneAtATime = Effect.unsafeMakeSemaphore(1)

    const columns = sql.literal(Object.keys(memberTable.columns).join(", "))
    /** In the order of `ids`. */
    const load = (ids: ReadonlyArray<string>): Query<ReadonlyArray<Member>> =>
      Effect.map(sql<Row & Found>`select id, ${columns} from member where id in ${sql.in(ids)}`, (rows) => {
        const byId = new Map(rows.map((row) => [row.id, row]))
        return ids.flatMap((id) => {
          const row = byId.get(id)
          return row === undefined ? [] : [memberKind.restore(id, row, {})]
        })
      })

    const ready = ({ cause, definition, now, parameters, shop }: Trial) => {
      const command: Consideration = {
        run: trialRun,
        campaign: definition.id,
        version: 1,
        ...(cause.product === null ? {} : { product: cause.product.id }),
        parameters,
        notBefore: now,
        deadline: now + definition.deadlineMs,
        terms: termsOf(definition, shop)
      }
      const segment = audienceOf(definition, cause)
      const query = ({ text, values }: ReturnType<typeof countSegment>) => ({ text, values: [...values] })
      const drawn = query(sampleSegment(segment, now, judgedMax, definition.id))
      const counted = query(countSegment(segment, now))
      return {
        command,
        draw: Effect.map(sql.unsafe<Found>(drawn.text, drawn.values), (rows) => rows.map(({ id }) => id)),
        count: Effect.map(
          sql.unsafe<{ readonly count: number }>(counted.text, counted.values),
          ([row]) => row?.count ?? 0
        )
      }
    }

    /** Judges members until `enough` of them would be sent to. */
    const judge = (trial: Trial, command: Consideration, ids: ReadonlyArray<string>, enough: number) =>
      Effect.gen(function*() {
        const channels: Record<string, number> = Object.fromEntries(
          trial.definition.channels.map((channel) => [channel, 0])
        )
        const leftOut: Record<string, number> = {}
        const reached: Array<Member> = []
        let reachable = 0
        let judged = 0
        for (let from = 0; from < ids.length && reachable < enough; from += pageSize) {
          for (const member of yield* load(ids.slice(from, from + pageSize))) {
            if (reachable >= enough) break
            judged++
            const verdict = consider(member, command, ruleFilter, trial.now)
            if (verdict._tag === "Fail") leftOut[verdict.reason] = (leftOut[verdict.reason] ?? 0) + 1
            else {
              reachable++
              channels[verdict.channel] = (channels[verdict.channel] ?? 0) + 1
              if (Number.isFinite(enough)) reached.push(member)
            }
          }
        }
        return { judgement: { judged, reachable, channels, leftOut }, reached }
      })

    /** How many members of the segment there are, and what a run would do about them. */
    const count = (trial: Trial): Query<Judgement & { readonly members: number }> =>
      oneAtATime.withPermits(1)(Effect.gen(function*() {
        const { command, count, draw } = ready(trial)
        const ids = yield* draw
        const { judgement } = yield* judge(trial, command, ids, Number.POSITIVE_INFINITY)
        return { members: ids.length < judgedMax ? ids.length : yield* count, ...judgement }
      }))

    /** Some of the members whom a run would send to, by id; the same ones while nothing changes. */
    const sample = (trial: Trial, limit: number): Query<Judgement & { readonly reached: ReadonlyArray<Reached> }> =>
      oneAtATime.withPermits(1)(Effect.gen(function*() {
        const { command, draw } = ready(trial)
        const { judgement, reached } = yield* judge(trial, command, yield* draw, limit)
        const transactional = trial.definition.class === "transactional"
        return {
          ...judgement,
          reached: reached.sort((a, b) => (a.id < b.id ? -1 : 1)).map((member) => ({
            member,
            channels: trial.definition.channels.filter((channel) => barred(member, channel, transactional) === null)
          }))
        }
      }))

    return { count, sample }
  })

export const make = makeWith(trialLimitsDefault)
