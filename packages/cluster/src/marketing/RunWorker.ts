/**
 * Carries runs out: pages through the campaign's segment in the order of member ids, asks each member, and moves the run's
 * cursor once the whole page has answered, under the run's fence (R17). A crash repeats the page; members recognise the run
 * and answer as before. Realtime runs go before batch ones. Owns the progress columns of `run`.
 */
import { SqlClient } from "@effect/sql"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { audienceOf, termsOf } from "@hikyaku/domain/marketing/CampaignTerms"
import type { Attributes } from "@hikyaku/domain/marketing/Event"
import { considerCommand, type Terms } from "@hikyaku/domain/marketing/Member"
import { Duration, Effect, Either } from "effect"
import { ActorClient } from "../actor/ActorClient.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import { campaignKind } from "./CampaignActor.ts"
import { memberKind } from "./MemberActor.ts"
import { compileSegment, type SegmentPage } from "./SegmentSql.ts"
import { Shop } from "./Shop.ts"

/** Members of one page: one query, one batch to the members, one move of the cursor. */
export const pageSize = 1000
/** Runs worked on at once by one worker; more wait, realtime ones first. */
export const runsAtOnce = 4
/** Pages of one run before the worker looks for more urgent ones (RTM-4: a long batch yields to realtime). */
export const pagesAtOnce = 4
/** Rest before members that did not answer are asked again, and how often a page is tried before the run is left for later. */
const askAgainRest = Duration.millis(200)
const asksMax = 50
/** Compiled versions kept. */
const versionsMax = 256

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
  readonly started_at: number
  readonly deadline: number
  readonly rejected: Readonly<Record<string, number>>
  readonly definition: CampaignDefinition
}

interface Prepared {
  readonly terms: Terms
  readonly page: (after: string | null, limit: number, now: number) => SegmentPage
}

export const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const client = yield* ActorClient
  const clock = yield* ShopClock
  const shop = yield* Shop
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
    return { terms, page: compileSegment(segment) }
  }

  /** Asks the members of a page until each has answered; null when some never did. */
  const ask = (run: RunRow, terms: Terms, members: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const command = considerCommand({
        run: run.id,
        campaign: run.campaign,
        version: run.version,
        ...(run.product === null ? {} : { product: run.product }),
        parameters: run.parameters,
        notBefore: run.started_at,
        deadline: run.deadline,
        terms
      })
      let accepted = 0
      const rejected: Record<string, number> = { ...run.rejected }
      const count = (reason: string) => rejected[reason] = (rejected[reason] ?? 0) + 1
      let open = members
      for (let attempt = 1; open.length > 0; attempt++) {
        if (attempt > asksMax) return null
        if (attempt > 1) yield* Effect.sleep(askAgainRest)
        const at = clock.now()
        const answers = yield* client.sendAll(memberKind, open.map((actor) => ({ actor, command, at })))
        open = open.filter((_, i) =>
          Either.match(answers[i]!, {
            onRight: (reply) => {
              if (reply._tag === "Accepted") accepted++
              else count(reply._tag === "Rejected" ? reply.reason : reply._tag)
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

  /** How many of a page's members the campaign's budget of today still reaches; null: the Campaign actor does not answer. */
  const afford = (run: RunRow, count: number) =>
    run.definition.budgetPerDay === undefined || count === 0
      ? Effect.succeed(count)
      : client.send(campaignKind, {
        actor: run.campaign,
        command: { _tag: "Spend", run: run.id, count },
        at: clock.now()
      })
        .pipe(
          Effect.map((reply) => (reply._tag === "Granted" ? reply.count : 0)),
          Effect.catchAll(() => Effect.succeed(null))
        )

  /** One page; whether there is more. */
  const page = (run: RunRow, prepared: Prepared) =>
    Effect.gen(function*() {
      const now = clock.now()
      const late = now > run.deadline
      const query = prepared.page(run.cursor, pageSize, now)
      const found = late
        ? []
        : (yield* sql.unsafe<{ readonly id: string }>(query.text, [...query.values])).map((row) => row.id)
      const affordable = yield* afford(run, found.length)
      if (affordable === null) return null
      // The day's budget counts members asked, so that it can never be overspent by what they answer.
      const members = found.slice(0, affordable)
      const asked = yield* ask(run, prepared.terms, members)
      if (asked === null) return null
      const cursor = members.at(-1) ?? run.cursor
      // The day's budget is spent, or there is nobody left.
      const ended = members.length < pageSize
      const moved = yield* sql<{ readonly id: string }>`
        update run set cursor = ${cursor}, considered = considered + ${members.length},
          accepted = accepted + ${asked.accepted}, rejected = ${JSON.stringify(asked.rejected)}::jsonb,
          status = case when ${ended} then ${late ? "expired" : "finished"} else status end,
          finished_at = case when ${ended} then shop_now() end
        where id = ${run.id} and status = 'running' and cursor is not distinct from ${run.cursor} returning id`
      // Paused, cancelled, or moved by another worker: what was asked stays decided, the rest is theirs.
      return ended || moved.length === 0 ? null : { ...run, cursor, rejected: asked.rejected }
    })

  const work = (run: RunRow) =>
    Effect.gen(function*() {
      const prepared = prepare(run)
      let current: RunRow | null = run
      for (let pages = 0; current !== null && pages < pagesAtOnce; pages++) current = yield* page(current, prepared)
    })

  /** A cancelled campaign's runs end with it; a paused one's wait until it is resumed. */
  const endCancelled = sql`
    update run r set status = 'cancelled', finished_at = shop_now() from campaign c
    where c.id = r.campaign and c.status = 'cancelled' and r.status in ('running', 'paused')`

  /** Works on the most urgent runs; how many there were. */
  const step = Effect.gen(function*() {
    yield* endCancelled
    const runs = yield* sql<RunRow>`
      select r.id, r.campaign, r.version, r.product, r.member, r.parameters, r.cursor,
        (extract(epoch from r.started_at) * 1000)::float8 as started_at,
        (extract(epoch from r.deadline) * 1000)::float8 as deadline, r.rejected, v.definition,
        p.category, p.brand
      from run r join campaign c on c.id = r.campaign and c.status = 'active'
        join campaign_version v on v.campaign = r.campaign and v.version = r.version
        left join catalogue_product p on p.id = r.product
      where r.status = 'running'
      order by r.class = 'batch', r.priority desc, r.started_at, r.id limit ${runsAtOnce}`
    yield* Effect.forEach(runs, work, { concurrency: runsAtOnce, discard: true })
    return runs.length
  })

  return { step }
})
