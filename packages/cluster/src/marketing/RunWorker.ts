/**
 * Carries runs out: pages through the campaign's segment in the order of member ids, asks each member, and moves the run's
 * cursor once all of a stretch have answered, under the run's fence (R17). A crash repeats the stretch; members recognise the
 * run and answer as before, and the budget counts each page once. Realtime runs have a worker of their own, so that they wait
 * for no batch. Owns the progress columns of `run`, and drops what cancelled campaigns leave unsent.
 */
import { SqlClient } from "@effect/sql"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignCommand } from "@hikyaku/domain/marketing/CampaignCommand"
import { audienceOf, termsOf } from "@hikyaku/domain/marketing/CampaignTerms"
import type { Attributes } from "@hikyaku/domain/marketing/Event"
import {
  type Consider,
  considerCommand,
  type MemberCommand,
  type MemberReply,
  type Terms
} from "@hikyaku/domain/marketing/Member"
import { Array as Arr, Duration, Effect, Either, Option } from "effect"
import { ActorClient } from "../actor/ActorClient.ts"
import { LocalCells, sweepOf } from "../actor/CellEntity.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import type { Sweep } from "../actor/Sweep.ts"
import { campaignKind } from "./CampaignActor.ts"
import { memberKind } from "./MemberActor.ts"
import { compileSegment, type SegmentPage } from "./SegmentSql.ts"
import { Shop } from "./Shop.ts"

/** How much a worker takes at once. */
export interface RunLimits {
  /** Members asked in one call. */
  readonly pageSize: number
  /**
   * Pages of a stretch: read in one query, one move of the cursor; what a crash repeats. Of a campaign with a budget one,
   * since what it may ask depends on what was accepted.
   */
  readonly stretchPages: number
  /** Pages of a stretch that are asked at once: more than one, so that a commit is under way while the next is decided. */
  readonly pagesAtOnce: number
  /** Members asked at once, one group after the other, while this process serves others too; runs of batch class only. */
  readonly crowdedSize: number
  /** Stretches of one run before the worker looks for more urgent ones. */
  readonly stretchesAtOnce: number
  /** Runs worked on at once by one worker; more wait, the more urgent ones first. */
  readonly runsAtOnce: number
  /** Deliveries of a cancelled campaign that are dropped in one statement, and as many held ones. */
  readonly dropMax: number
}

export const runLimitsDefault: RunLimits = {
  pageSize: 500,
  stretchPages: 8,
  pagesAtOnce: 3,
  crowdedSize: 100,
  stretchesAtOnce: 4,
  runsAtOnce: 4,
  dropMax: 2_000
}

/** Rest before members that did not answer are asked again, and how often a page is tried before the run is left for later. */
const askAgainRest = Duration.millis(200)
const asksMax = 50
/** Compiled versions kept. */
const versionsMax = 256
/** Why members behind the cursor of a finished run were not asked, as it stands among the run's reasons. */
export const budgetReason = "Budget"

/** Which runs a worker carries out: `realtime` those of realtime and transactional campaigns. */
export type RunLane = "realtime" | "batch"

interface RunRow {
  readonly id: string
  readonly campaign: string
  readonly version: number
  readonly product: string | null
  readonly category: string | null
  readonly brand: string | null
  readonly member: string | null
  readonly parameters: Attributes
  readonly cursor: string | null
  readonly begins_at: number
  readonly deadline: number
  readonly rejected: Readonly<Record<string, number>>
  readonly definition: CampaignDefinition
}

interface Prepared {
  readonly command: Consider
  readonly page: (after: string | null, limit: number, now: number) => SegmentPage
  /** Members of a stretch. */
  readonly stretch: number
}

/** What came of asking members. */
interface Asked {
  readonly accepted: number
  readonly rejected: Readonly<Record<string, number>>
}

const together = (parts: ReadonlyArray<Asked>, before: Asked["rejected"]): Asked => {
  const rejected: Record<string, number> = { ...before }
  let accepted = 0
  for (const part of parts) {
    accepted += part.accepted
    for (const [reason, count] of Object.entries(part.rejected)) rejected[reason] = (rejected[reason] ?? 0) + count
  }
  return { accepted, rejected }
}

export const makeWith = (limits: RunLimits) =>
  Effect.gen(function*() {
    const { crowdedSize, dropMax, pageSize, pagesAtOnce, runsAtOnce, stretchPages, stretchesAtOnce } = limits
    const sql = yield* SqlClient.SqlClient
    const client = yield* ActorClient
    const clock = yield* ShopClock
    const shop = yield* Shop
    const local = Option.getOrNull(yield* Effect.serviceOption(LocalCells))
    const termsOfVersion = new Map<string, Terms>()

    const prepare = (run: RunRow): Prepared => {
      const key = `${run.campaign}\u0001${run.version}`
      let terms = termsOfVersion.get(key)
      if (terms === undefined) {
        if (termsOfVersion.size >= versionsMax) termsOfVersion.clear()
        termsOfVersion.set(key, terms = termsOf(run.definition, shop))
      }
      const segment = audienceOf(run.definition, {
        product: run.product === null ? null : { id: run.product, category: run.category, brand: run.brand },
        member: run.member
      })
      const command = considerCommand({
        run: run.id,
        campaign: run.campaign,
        version: run.version,
        ...(run.product === null ? {} : { product: run.product }),
        parameters: run.parameters,
        notBefore: run.begins_at,
        deadline: run.deadline,
        terms
      })
      const stretch = run.definition.budgetPerDay === undefined ? stretchPages * pageSize : pageSize
      return { command, page: compileSegment(segment), stretch }
    }

    /** Whether actors of other kinds have commands waiting in this process. */
    const crowded = (): boolean => {
      for (const [key, { intake }] of local?.cells ?? []) {
        if (intake.size > 0 && !key.startsWith(`${memberKind.name}/`)) return true
      }
      return false
    }
    const oneAtATime = Effect.unsafeMakeSemaphore(1)

    /** Asks members of this process; those who give way leave most of it to whoever else is served here (R23). */
    const swept = (
      sweep: Sweep<MemberCommand, MemberReply>,
      command: Consider,
      members: ReadonlyArray<string>,
      givesWay: boolean
    ) =>
      Effect.gen(function*() {
        const replies: Array<MemberReply | null> = []
        while (replies.length < members.length) {
          const narrow = givesWay && crowded()
          const part = members.slice(replies.length, narrow ? replies.length + crowdedSize : members.length)
          const asked = sweep(part.map((actor) => ({ actor, command })), clock.now())
          for (const reply of yield* narrow ? oneAtATime.withPermits(1)(asked) : asked) replies.push(reply)
        }
        return replies
      })

    /** Asks the members of a page until each has answered; null when some never did. */
    const askPage = (command: Consider, members: ReadonlyArray<string>, givesWay: boolean) =>
      Effect.gen(function*() {
        let accepted = 0
        const rejected: Record<string, number> = {}
        const count = (reason: string) => rejected[reason] = (rejected[reason] ?? 0) + 1
        const countReply = (reply: MemberReply) => {
          if (reply._tag === "Accepted") accepted++
          else count(reply._tag === "Rejected" ? reply.reason : reply._tag)
        }
        let open = members
        const sweep = sweepOf(local, memberKind)
        if (sweep !== null) {
          const replies = yield* swept(sweep, command, members, givesWay)
          for (const reply of replies) if (reply !== null) countReply(reply)
          open = members.filter((_, i) => replies[i] === null)
        }
        for (let attempt = 1; open.length > 0; attempt++) {
          if (attempt > asksMax) return null
          if (attempt > 1) yield* Effect.sleep(askAgainRest)
          const at = clock.now()
          const answers = yield* client.sendAll(memberKind, open.map((actor) => ({ actor, command, at })))
          open = open.filter((_, i) =>
            Either.match(answers[i]!, {
              onRight: (reply) => {
                countReply(reply)
                return false
              },
              onLeft: (error) => {
                // A member that can never answer must not hold up the others.
                if (error._tag === "CommandFault") count("Fault")
                return error._tag !== "CommandFault"
              }
            })
          )
        }
        return { accepted, rejected }
      })

    const ask = (run: RunRow, command: Consider, members: ReadonlyArray<string>) =>
      Effect.map(
        Effect.forEach(
          Arr.chunksOf(members, pageSize),
          (page) => askPage(command, page, run.definition.class === "batch"),
          {
            concurrency: pagesAtOnce
          }
        ),
        (parts) => {
          const answered = parts.flatMap((part) => (part === null ? [] : [part]))
          return answered.length < parts.length ? null : together(answered, run.rejected)
        }
      )

    const tellCampaign = (run: RunRow, command: CampaignCommand) =>
      client.send(campaignKind, { actor: run.campaign, command, at: clock.now() }).pipe(Effect.either)

    /**
     * Messages of the shop's today that the campaign had accepted and that were provably not sent. Runs that had ended the
     * day before accepted nothing today; an hour is left to those whose last stretch was under way when they were cancelled.
     */
    const unsentToday = (run: RunRow) =>
      sql<{ readonly n: number }>`
      with today as materialized (
        select date_trunc('day', shop_now() at time zone ${shop.timeZone}) at time zone ${shop.timeZone} as at
      )
      select count(*)::int as n from today, run r join delivery d on d.run = r.id
      where r.campaign = ${run.campaign} and (r.finished_at is null or r.finished_at >= today.at - interval '1 hour')
        and d.status in ('failed', 'expired', 'suppressed') and d.created_at >= today.at`
        .pipe(Effect.map((rows) => rows[0]?.n ?? 0))

    /** How many of a page's members the campaign's budget of today still reaches; null: the Campaign actor does not answer. */
    const afford = (run: RunRow, count: number) =>
      Effect.gen(function*() {
        if (run.definition.budgetPerDay === undefined || count === 0) return count
        const spend = { _tag: "Spend" as const, run: run.id, page: run.cursor ?? "", count }
        const first = yield* tellCampaign(run, spend)
        const granted = Either.isRight(first) && first.right._tag === "Granted" ? first.right.count : null
        if (granted === null || granted === count) return granted
        // Looked up only when the budget runs short: what was not sent costs nothing.
        const again = yield* tellCampaign(run, { ...spend, unsent: yield* unsentToday(run) })
        return Either.isRight(again) && again.right._tag === "Granted" ? again.right.count : null
      })

    /** Gives back what a page did not use; false: the Campaign actor does not answer, and the page is repeated. */
    const settle = (run: RunRow, granted: number, accepted: number) =>
      run.definition.budgetPerDay === undefined || granted === accepted
        ? Effect.succeed(true)
        : Effect.map(
          tellCampaign(run, { _tag: "Settle", run: run.id, page: run.cursor ?? "", used: accepted }),
          Either.isRight
        )

    const find = (prepared: Prepared, after: string | null) => {
      const { text, values } = prepared.page(after, prepared.stretch, clock.now())
      return Effect.map(sql.unsafe<{ readonly id: string }>(text, [...values]), (rows) => rows.map((row) => row.id))
    }

    interface Stretch {
      readonly run: RunRow
      /** Its members, if they were read ahead. */
      readonly found: ReadonlyArray<string> | null
    }

    /** One stretch; what comes next, or null. While its members are asked the next are looked for. */
    const stretch = ({ found: ahead, run }: Stretch, prepared: Prepared, more: boolean) =>
      Effect.gen(function*() {
        const late = clock.now() > run.deadline
        const found = late ? [] : ahead ?? (yield* find(prepared, run.cursor))
        const affordable = yield* afford(run, found.length)
        if (affordable === null) return null
        const members = found.slice(0, affordable)
        const cursor = members.at(-1) ?? run.cursor
        const last = members.length === found.length && found.length < prepared.stretch
        const [asked, next] = yield* Effect.all([
          ask(run, prepared.command, members),
          last || !more || affordable < found.length ? Effect.succeed(null) : find(prepared, cursor)
        ], { concurrency: 2 })
        if (asked === null || !(yield* settle(run, affordable, asked.accepted))) return null
        const broke = found.length > 0 && affordable === 0
        const rejected = broke ? { ...asked.rejected, [budgetReason]: found.length } : asked.rejected
        const ended = last || broke
        const moved = yield* sql<{ readonly id: string }>`
        update run set cursor = ${cursor}, considered = considered + ${members.length},
          accepted = accepted + ${asked.accepted}, rejected = ${JSON.stringify(rejected)}::jsonb,
          status = case when ${ended} then ${late ? "expired" : "finished"} else status end,
          finished_at = case when ${ended} then shop_now() end
        where id = ${run.id} and status = 'running' and cursor is not distinct from ${run.cursor} returning id`
        // Paused, cancelled, or moved by another worker: what was asked stays decided, the rest is theirs.
        return ended || moved.length === 0 ? null : { run: { ...run, cursor, rejected }, found: next }
      })

    const work = (run: RunRow) =>
      Effect.gen(function*() {
        const prepared = prepare(run)
        let current: Stretch | null = { run, found: null }
        for (let n = 1; current !== null && n <= stretchesAtOnce; n++) {
          current = yield* stretch(current, prepared, n < stretchesAtOnce)
        }
      })

    /** A cancelled campaign's runs end with it; a paused one's wait until it is resumed. */
    const endCancelled = sql`
    update run r set status = 'cancelled', finished_at = shop_now() from campaign c
    where c.id = r.campaign and c.status = 'cancelled' and r.status in ('running', 'paused')`

    /**
     * Drops what a cancelled campaign or run has not sent yet, refunds included (R19), some at a time. What a stretch that was
     * under way adds later the dispatcher drops when its turn comes.
     */
    const dropCancelled = Effect.gen(function*() {
      const open = yield* sql<{ readonly id: string }>`
      select id from campaign c where status = 'cancelled'
        and not exists (select from campaign_dropped d where d.campaign = c.id) limit 1`
      const [campaign] = open
      if (campaign === undefined) return 0
      const [dropped] = yield* sql<{ readonly n: number }>`with ready as (
        select d.id from delivery d where d.class = any(array['realtime', 'batch', 'transactional'])
          and d.campaign = ${campaign.id} and d.status = 'due' and not d.held limit ${dropMax} for update
      ),
      kept as (
        select d.id from delivery d
        where d.campaign = ${campaign.id} and d.status = 'due' and d.held limit ${dropMax} for update
      ),
      picked as (select id from ready union all select id from kept),
      gone as (
        update delivery d set status = 'suppressed', reason = 'the campaign was cancelled' from picked p
        where d.id = p.id and d.status = 'due' returning d.id, d.member
      ),
      refund as (
        insert into delivery_refund (delivery, member, at) select id, member, shop_now() from gone
        on conflict (delivery) do nothing
      )
      select count(*)::int as n from gone`
      const n = dropped?.n ?? 0
      if (n === 0) yield* sql`insert into campaign_dropped (campaign) values (${campaign.id}) on conflict do nothing`
      return n
    })

    /** Works on a lane's most urgent runs; how many there were. */
    const step = (lane: RunLane) =>
      Effect.gen(function*() {
        if (lane === "batch") {
          yield* endCancelled
          yield* dropCancelled
        }
        const runs = yield* sql<RunRow>`
        select r.id, r.campaign, r.version, r.product, r.member, r.parameters, r.cursor,
          (extract(epoch from coalesce(r.begins_at, r.started_at)) * 1000)::float8 as begins_at,
          (extract(epoch from r.deadline) * 1000)::float8 as deadline, r.rejected, v.definition,
          p.category, p.brand
        from run r join campaign c on c.id = r.campaign and c.status = 'active'
          join campaign_version v on v.campaign = r.campaign and v.version = r.version
          left join catalogue_product p on p.id = r.product
        where r.status = 'running' and ${sql.literal(lane === "batch" ? "r.class = 'batch'" : "r.class <> 'batch'")}
          and (r.begins_at is null or r.begins_at <= shop_now())
        order by r.priority desc, r.started_at, r.id ${sql.literal(`limit ${runsAtOnce}`)}`
        yield* Effect.forEach(runs, work, { concurrency: runsAtOnce, discard: true })
        return runs.length
      })

    return { step }
  })

export const make = makeWith(runLimitsDefault)
