/**
 * Reads one partition of the event log in order and does what its events mean: tells the actors concerned, aggregates, and
 * judges the campaigns (R13, R16). Each consumer has its offset beside its effects; what is repeated after a crash is
 * recognised: aggregation by its offset, firings by the Campaign actor's mark per partition, commands by what they state.
 * One processor per partition is enough; two at once do no harm.
 */
import { SqlClient } from "@effect/sql"
import type { CampaignCommand } from "@hikyaku/domain/marketing/CampaignCommand"
import { Duration, Effect, Either, Exit, Predicate, Schema } from "effect"
import { ActorClient, type Send, type SendError } from "../actor/ActorClient.ts"
import type { ActorKind } from "../actor/ActorKind.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import { together } from "../sql/Together.ts"
import { productKind } from "../stock/ProductActor.ts"
import { aggregate, type Range } from "./Aggregation.ts"
import { campaignKind } from "./CampaignActor.ts"
import { Catalogue } from "./Catalogue.ts"
import { EventLog, type LogEntry } from "./EventLog.ts"
import { route } from "./EventRouting.ts"
import { memberKind } from "./MemberActor.ts"
import { EventSettings } from "./Shop.ts"

/** Events taken in one step. */
export const stepMax = 500
/** Rest before what was not answered is sent again. */
const againRest = Duration.millis(100)
/** How often a command is sent before the step fails and is repeated as a whole. */
const sendsMax = 100

/** Actors did not answer for long; the step is repeated from where it was. */
export class ActorsUnavailable extends Schema.TaggedError<ActorsUnavailable>()("ActorsUnavailable", {
  kind: Schema.String,
  count: Schema.Number
}) {}

interface DeadLetter {
  readonly entry: LogEntry
  readonly reason: string
}

/** Replies that mean that an event came to nothing and never will: they go to the dead letters, not into oblivion. */
const refusals: ReadonlySet<string> = new Set(["UnknownProduct", "StockRefused", "Refused", "UnknownCampaign"])
const refusalOf = (reply: unknown): string | null =>
  Predicate.hasProperty(reply, "_tag") && typeof reply._tag === "string" && refusals.has(reply._tag)
    ? JSON.stringify(reply)
    : null

export const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const client = yield* ActorClient
  const clock = yield* ShopClock
  const log = yield* EventLog
  const catalogue = yield* Catalogue
  const settings = yield* EventSettings

  /**
   * Sends commands until each is answered, in order per actor: when one was not answered, all of its actor's are sent again
   * from the first on, since a later one must not pass it. Returns the reasons of those that can never be executed.
   */
  const deliver = <S, C, R, E>(
    kind: ActorKind<S, C, R, E>,
    sends: ReadonlyArray<Send<C> & { readonly entry: LogEntry }>
  ) =>
    Effect.gen(function*() {
      const dead: Array<DeadLetter> = []
      let open = sends
      for (let attempt = 1; open.length > 0; attempt++) {
        if (attempt > sendsMax) return yield* new ActorsUnavailable({ kind: kind.name, count: open.length })
        if (attempt > 1) yield* Effect.sleep(againRest)
        const answers: ReadonlyArray<Either.Either<R, SendError>> = yield* client.sendAll(kind, open)
        const again = new Set<string>()
        for (const [i, answer] of answers.entries()) {
          const { actor, entry } = open[i]!
          if (Either.isRight(answer)) {
            const reason = refusalOf(answer.right)
            if (reason !== null) dead.push({ entry, reason })
            continue
          }
          if (answer.left._tag === "CommandFault") dead.push({ entry, reason: answer.left.reason })
          else again.add(actor)
        }
        open = open.filter((send) => again.has(send.actor))
      }
      return dead
    })

  const tellActors = (entries: ReadonlyArray<LogEntry>) =>
    Effect.gen(function*() {
      const routed = entries.flatMap((entry) => route(entry, settings.stockMeaning).map((each) => ({ ...each, entry })))
      const products = routed.flatMap((each) => (each._tag === "Product" ? [each] : []))
      const members = routed.flatMap((each) => (each._tag === "Member" ? [each] : []))
      const dead = yield* Effect.all([deliver(productKind, products), deliver(memberKind, members)], { concurrency: 2 })
      return dead.flat()
    })

  /** One firing after another per campaign: its mark would take a later one for all before it. */
  const judge = (entries: ReadonlyArray<LogEntry>, version: number) =>
    Effect.gen(function*() {
      const byCampaign = new Map<string, Array<{ readonly command: CampaignCommand; readonly entry: LogEntry }>>()
      const matches = yield* catalogue.judge(entries, version)
      for (const { campaign, command, entry } of matches) {
        const list = byCampaign.get(campaign)
        if (list === undefined) byCampaign.set(campaign, [{ command, entry }])
        else list.push({ command, entry })
      }
      const dead = yield* Effect.forEach(
        byCampaign,
        ([actor, firings]) =>
          Effect.forEach(firings, ({ command, entry }) =>
            deliver(campaignKind, [{ actor, command, entry, at: Math.max(clock.now(), entry.at) }])),
        { concurrency: "unbounded" }
      )
      return dead.flat(2)
    })

  /**
   * What processors that look in the same turn have found is aggregated together: each hears whether its range was not taken
   * before. When that fails, each by itself: what one partition holds must not hold up another.
   */
  const takeTogether = yield* together((ranges: ReadonlyArray<Range>) => {
    // Two processors of one partition: the first of them takes it.
    const firsts = ranges.filter(({ partition }, n) => ranges.findIndex((each) => each.partition === partition) === n)
    const all = Effect.map(
      aggregate(firsts, settings.timeZone),
      (taken) => firsts.map(({ partition }) => Exit.succeed(taken.has(partition)))
    )
    const each = Effect.forEach(
      firsts,
      (range) => Effect.exit(Effect.map(aggregate([range], settings.timeZone), (taken) => taken.size > 0))
    )
    return Effect.map(
      Effect.orElse(all, () => each),
      (exits) => ranges.map((range) => exits[firsts.indexOf(range)] ?? Exit.succeed(false))
    )
  })
  const take = (range: Range) => Effect.flatten(takeTogether(range))

  /** Takes a partition's next events; how many there were. */
  const step = (partition: number) =>
    Effect.gen(function*() {
      const pending = yield* log.pending(partition, stepMax)
      if (pending === null) return 0
      const { aggregated, catalogueVersion, entries, last } = pending
      const dead = [...yield* tellActors(entries)]
      // After a crash aggregation may be ahead of judgement: then it is done already.
      if (aggregated < last) {
        const types = new Set(entries.map((entry) => entry.happening._tag))
        const unjudged = dead.length > 0 || (yield* catalogue.concerns(entries, catalogueVersion))
        const taken = yield* take({ partition, after: aggregated, to: last, types, alsoJudged: !unjudged })
        // Somebody else has aggregated meanwhile, perhaps less than this: what is left is looked at anew.
        if (!unjudged || !taken) return entries.length
      }
      dead.push(...yield* judge(entries, catalogueVersion))
      const pass = sql`update consumer_offset set "offset" = ${last}
        where consumer = 'judge' and partition = ${partition} and "offset" < ${last}`
      yield* dead.length === 0 ? pass : sql.withTransaction(Effect.zipRight(bury(dead), pass))
      return entries.length
    })

  const bury = (dead: ReadonlyArray<DeadLetter>) =>
    Effect.forEach(
      dead,
      ({ entry, reason }) =>
        sql`insert into dead_letter (consumer, partition, "offset", happening, reason) values
        ('judge', ${entry.partition}, ${entry.offset}, ${JSON.stringify(entry.happening)}::jsonb, ${reason})
        on conflict do nothing`,
      { discard: true }
    )

  return { step }
})
