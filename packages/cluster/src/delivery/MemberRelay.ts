/**
 * What the dispatcher's store owes the members, told until they have it: deliveries that were sent narrow what they occupy,
 * those provably not sent are refunded (R18, R19), held ones are judged again when their time has come. Rows are pulled and
 * marked (R12); each command can be repeated, since the Member actor applies it once per delivery.
 */
import type { Channel } from "@hikyaku/domain/marketing/Event"
import type { MemberCommand, MemberReply } from "@hikyaku/domain/marketing/Member"
import { Array as Arr, Duration, Effect, Either, Option } from "effect"
import { ActorClient } from "../actor/ActorClient.ts"
import type { ActorKind } from "../actor/ActorKind.ts"
import { LocalCells, sweepOf } from "../actor/CellEntity.ts"
import { clockTopic, Nudge, owedTopic } from "../actor/Nudge.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import { DeliveryStore, type Fact, factsMax, heldMax } from "./DeliveryStore.ts"

/**
 * Members of this process that are told at a time, past their cells: about as much as takes the thread for 10 ms, in which
 * nobody sees a provider's answer.
 */
const sweptMax = 100
/** How long the relay rests after a fault, ms. */
const faultMs = 500
/**
 * After a page of so many the relay rests so many times as long as the page took it: what it tells is not urgent, and the more
 * there is of it at one time, the less each costs. So mails go out first. After a full page it rests less, or it never caught
 * up; and never longer than `restMax` ms.
 */
const manyFacts = 100
const restMany = 3
const restFull = 1
const restMax = 2_000
/** With nothing to tell it rests longer and longer, up to so many times the shortest rest, and until it is told of something. */
const restIdle = 5

const commandOf = (fact: Fact): MemberCommand =>
  fact._tag === "Sent"
    ? { _tag: "Sent", delivery: fact.delivery, at: Math.round(fact.at) }
    : { _tag: "Refund", delivery: fact.delivery }

/** What a member's judgement means for the delivery: null lets it go, undefined that it has to be asked again. */
const verdictOf = (reply: MemberReply): string | null | undefined => {
  switch (reply._tag) {
    case "Released":
      return null
    case "Dropped":
      return `judged again: ${reply.reason}`
    case "NotHeld":
      return "judged again: its member knows nothing of it"
    default:
      return undefined
  }
}

export interface MemberRelay {
  /** Tells one page of facts; answers how many the members have now. */
  readonly tell: Effect.Effect<number>
  /** Has one page of held deliveries judged; answers how many were. */
  readonly judge: Effect.Effect<number>
  /** Both, for ever, resting `restMs` when there is nothing to do, and more when there is nothing for long. */
  readonly forever: (restMs: number) => Effect.Effect<never>
}

export const makeRelay = <State, Event>(
  kind: ActorKind<State, MemberCommand, MemberReply, Event>,
  channels: ReadonlyArray<Channel>
) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const client = yield* ActorClient
    const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))
    const clock = yield* ShopClock
    const local = Option.getOrNull(yield* Effect.serviceOption(LocalCells))

    /** Whether each fact's member knows of it now. */
    const apply = (facts: ReadonlyArray<Fact>) =>
      Effect.gen(function*() {
        const asks = facts.map((fact) => ({ actor: fact.member, command: commandOf(fact) }))
        const known = asks.map(() => false)
        const sweep = sweepOf(local, kind)
        if (sweep !== null) {
          for (const part of Arr.chunksOf(asks.map((ask, index) => ({ ...ask, index })), sweptMax)) {
            const replies = yield* sweep(part, clock.now())
            for (const [n, { index }] of part.entries()) known[index] = replies[n] !== null
          }
        }
        // Members of other processes, of whom there is more than one fact, or who did not go smoothly.
        const left = asks.flatMap((ask, index) => known[index] === true ? [] : [{ ...ask, index }])
        if (left.length > 0) {
          const replies = yield* client.sendAll(kind, left.map(({ actor, command }) => ({ actor, command })))
          for (const [n, { index }] of left.entries()) {
            const reply = replies[n]
            known[index] = reply !== undefined && Either.isRight(reply)
          }
        }
        return known
      })

    const tell = Effect.gen(function*() {
      const facts = yield* store.facts
      if (facts.length === 0) return 0
      const known = yield* apply(facts)
      const marks = facts.map((fact, index) => ({ fact, applied: known[index] === true }))
      yield* store.relayed(marks)
      return marks.filter((mark) => mark.applied).length
    })

    const judge = Effect.gen(function*() {
      const held = yield* store.held(channels)
      if (held.length === 0) return 0
      const asked = held.filter(({ stale }) => stale === null)
      const replies = yield* client.sendAll(
        kind,
        asked.map(({ delivery, member }) => ({ actor: member, command: { _tag: "Release" as const, delivery } }))
      )
      const verdicts = asked.flatMap(({ delivery }, index) => {
        const reply = replies[index]
        const dropped = reply !== undefined && Either.isRight(reply) ? verdictOf(reply.right) : undefined
        return dropped === undefined ? [] : [{ delivery, dropped }]
      })
      // The refund that comes with the drop gives the cap back.
      for (const { delivery, stale } of held) if (stale !== null) verdicts.push({ delivery, dropped: stale })
      if (verdicts.length > 0) yield* store.released(verdicts)
      return verdicts.length
    })

    const tolerant = (work: Effect.Effect<number, unknown>): Effect.Effect<number> =>
      work.pipe(
        Effect.catchAll((fault) =>
          Effect.logWarning("The members could not be told; it will be tried again", fault).pipe(
            Effect.zipRight(Effect.sleep(Duration.millis(faultMs))),
            Effect.as(0)
          )
        )
      )
    const untilTold = (topic: string, seen: number, idleMs: number) => {
      const rest = Effect.sleep(Duration.millis(idleMs))
      return nudge === null ? rest : Effect.raceFirst(rest, nudge.beyond(topic, seen))
    }
    const loop = (work: Effect.Effect<number>, page: number, restMs: number, topic: string): Effect.Effect<never> =>
      Effect.suspend(() => {
        let idleMs = 0
        return Effect.forever(Effect.suspend(() => {
          const seen = nudge?.told(topic) ?? 0
          return Effect.flatMap(Effect.timed(work), ([took, done]) => {
            idleMs = done > 0 ? 0 : Math.min((restIdle - 1) * restMs, 2 * idleMs + restMs)
            const share = done >= page ? restFull : done >= manyFacts ? restMany : 0
            const rest = Math.min(restMax, share * Duration.toMillis(took))
            return Effect.zipRight(
              Effect.sleep(Duration.millis(done >= page ? rest : Math.max(restMs, rest))),
              untilTold(topic, seen, idleMs)
            )
          })
        }))
      })

    const relay: MemberRelay = {
      tell: tolerant(tell),
      judge: tolerant(judge),
      forever: (restMs) =>
        Effect.zipLeft(
          loop(tolerant(tell), factsMax, restMs, owedTopic),
          loop(tolerant(judge), heldMax, restMs, clockTopic),
          { concurrent: true }
        )
    }
    return relay
  })
