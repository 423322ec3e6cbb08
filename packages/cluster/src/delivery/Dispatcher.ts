/**
 * The dispatcher of one provider account: turns due deliveries into recipient lists, and takes the lists through upload,
 * send and completion at the provider's pace. It runs as a singleton of the cluster; should two run after a split brain,
 * the Provider actor grants slots to the later one alone, and every step of a list is a conditional update, so that the
 * worst that can happen is that one of them works in vain.
 *
 * All it knows is in the store. A dispatcher that takes over withholds the slots whose fate is unknown (R20), puts the
 * lists that were asking for something in doubt, and reconciles them with the provider's history before anything is
 * repeated (R21).
 */
import { hasEnded, slotParts } from "@hikyaku/domain/delivery/List"
import type { Speed } from "@hikyaku/domain/delivery/Request"
import type { MemberCommand, MemberReply } from "@hikyaku/domain/marketing/Member"
import { Clock, Duration, Effect, Exit, Option, Predicate, Queue, Ref, Schedule } from "effect"
import { ActorClient } from "../actor/ActorClient.ts"
import type { ActorKind } from "../actor/ActorKind.ts"
import { clockTopic, dueTopic, Nudge, writtenTopic } from "../actor/Nudge.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import { deliveryTable } from "../marketing/MemberActor.ts"
import { DeliveryStore, type Ownership, type StoreFault } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import { makeTurns } from "./DispatchTurn.ts"
import { makeContents, type Render } from "./ListContent.ts"
import { makeRequests, type Work } from "./ListRequests.ts"
import { makeRelay } from "./MemberRelay.ts"
import { Provider } from "./Provider.ts"
import { providerKind } from "./ProviderActor.ts"
import { rehearse } from "./Rehearsal.ts"
import { type Deposed, freshId, makeDesk, release, takeOver } from "./SlotDesk.ts"

/** How long a dispatcher rests after a fault, ms. */
const faultMs = 200
/** An account without limits is looked at again after so long, ms. */
const noLimitsMs = 1_000
/** A deposed dispatcher takes over again when the one that deposed it was silent for so long, ms. */
export const silenceMs = 15_000
/** How often a deposed dispatcher looks whether the other is alive, ms. */
const watchMs = 2_000

export interface DispatcherOptions<State, Event> {
  readonly settings: DispatcherSettings
  readonly render: Render
  readonly members: ActorKind<State, MemberCommand, MemberReply, Event>
}

/** Tells the actor which withheld slots are free: those of which the lists say how their requests ended. */
const freeKnown = (ownership: Ownership, withheld: Parameters<typeof release>[1]) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const parts = withheld.map((slot) => ({ slot, part: slotParts(slot.id) }))
    const rows = yield* store.statusOf([...new Set(parts.flatMap(({ part }) => part === null ? [] : [part.list]))])
    const byId = new Map(rows.map((row) => [row.id, row]))
    const ended = parts.filter(({ part }) => {
      const row = part === null ? undefined : byId.get(part.list)
      return part !== null && row !== undefined && hasEnded(row, part.operation, part.attempt)
    })
    yield* release(ownership, ended.map(({ slot }) => slot))
  })

/**
 * One reign: from the takeover to being deposed. Faults of store and messages are waited out. `known`: whether this process
 * has dispatched for the account before; whoever has needs no rehearsal.
 */
const reign = <State, Event>(options: DispatcherOptions<State, Event>, known: Ref.Ref<boolean>) =>
  Effect.gen(function*() {
    const { settings } = options
    const store = yield* DeliveryStore
    const provider = yield* Provider
    const client = yield* ActorClient
    const clock = yield* ShopClock
    const owner = yield* freshId
    const readProvider = Effect.suspend(() =>
      client.send(providerKind, {
        actor: settings.account,
        command: { _tag: "ReadProvider", wall: Math.floor(clock.real()) }
      })
    )
    if (!(yield* Ref.getAndSet(known, true))) yield* rehearse(settings, options.render)
    const { limits, ownership, withheld } = yield* takeOver(settings.account, owner, settings.limits)
    // Before the claim: it puts in doubt what this reads.
    yield* waitedOut(freeKnown(ownership, withheld))

    const wake = yield* Queue.sliding<void>(1)
    const desk = yield* makeDesk<Work>(ownership, limits, settings.ready)
    const contents = yield* makeContents(options.render)
    const requests = yield* makeRequests(settings, contents)
    const turns = yield* makeTurns(settings, desk, requests, contents, wake)
    // An earlier owner may still start what it was granted, and the provider then work on it.
    const doubtMs = settings.leaseMs + Duration.toMillis(provider.promises.requestTimeout) + requests.settleMs
    const claim = Effect.suspend(() => store.claim(ownership, doubtMs, turns.busy())).pipe(
      Effect.tap((lists) => lists === 0 ? Effect.void : Effect.logInfo(`Took over ${lists} lists of earlier owners`))
    )
    yield* waitedOut(claim)
    yield* Effect.logInfo("Dispatching").pipe(
      Effect.annotateLogs({ account: settings.account, epoch: ownership.epoch })
    )

    // Predictions that come late do no harm, so that neither a fault of the actor nor of the store holds anything up.
    const noteSpeed = (speed: Omit<Speed, "messages">) =>
      readProvider.pipe(
        Effect.flatMap((view) =>
          store.noteSpeed(settings.account, {
            ...speed,
            ...(view._tag === "ProviderView" && view.messagePace !== undefined && { messages: view.messagePace })
          })
        ),
        Effect.catchAll((fault) => Effect.logWarning("The account's speed could not be noted", fault))
      )

    let claimAt = (yield* Clock.currentTimeMillis) + settings.claimMs
    const step = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (now >= claimAt) {
        claimAt = now + settings.claimMs
        yield* claim
        yield* store.sweepCancelled(null)
        yield* noteSpeed(turns.speed())
      }
      return yield* turns.turn
    }).pipe(
      Effect.catchTag("StoreFault", (fault) => waitOut("The store does not answer", fault)),
      Effect.catchTags({
        Overloaded: (fault) => waitOut("The Provider actor is overloaded", fault),
        NoAnswer: (fault) => waitOut("The Provider actor does not answer", fault),
        CommandFault: (fault) => waitOut("The Provider actor fails", fault),
        CommandExpired: (fault) => waitOut("A command to the Provider actor came too late", fault),
        ContentDiffers: (fault) => waitOut("A command to the Provider actor was taken for another", fault)
      })
    )
    const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))
    const dueTopics = [writtenTopic(deliveryTable.name), dueTopic]
    const topics = [...dueTopics, clockTopic]
    /** A step, and how to rest until the next one makes sense: what is told during the step ends the rest. */
    const turn = Effect.suspend(() => {
      const seen = topics.map((topic) => nudge?.told(topic) ?? 0)
      return Effect.map(step, (rest) => {
        // Without being told it looks as often as when there is something to do.
        const restMs = nudge === null ? Math.min(rest, settings.idleMs) : rest
        const told = nudge === null
          ? Effect.never
          : Effect.raceAll(
            // A replay moves its clock many times a second, mostly past nothing that waits for it.
            (turns.awaitsClock() ? topics : dueTopics).map((topic, n) => nudge.beyond(topic, seen[n]!))
          )
        return Effect.zipRight(
          turns.gathered(told),
          Effect.timeoutOption(Effect.raceFirst(Queue.take(wake), told), Duration.millis(Math.max(1, restMs)))
        )
      })
    })
    // Whoever is to go dispatches on until the next one has taken over, which may take it seconds: else nobody would. That
    // nothing is ready or under way is not enough, since between two steps of the only list nothing is: there must be nothing
    // left to do, by a look of its own.
    const handOver: typeof turn = Effect.flatMap(
      turn,
      (rest) => turns.isQuiet() ? Effect.succeed(Effect.succeedNone) : Effect.zipRight(rest, handOver)
    )
    yield* Effect.addFinalizer((exit) =>
      settings.handOverMs > 0 && Exit.isInterrupted(exit)
        ? handOver.pipe(
          Effect.catchAll((fault) => Effect.logDebug("Handed over", fault)),
          Effect.interruptible,
          Effect.timeoutOption(Duration.millis(settings.handOverMs))
        )
        : Effect.void
    )
    return yield* Effect.raceFirst(Effect.forever(Effect.flatten(turn)), turns.broken)
  }).pipe(Effect.scoped)

const waitOut = (what: string, fault: unknown) => Effect.as(Effect.logWarning(what, fault), faultMs)

/** The account is taken over: that the store does not answer is no reason to take it over anew. */
const waitedOut = <A, E, R>(work: Effect.Effect<A, E | StoreFault, R>) =>
  Effect.retry(
    Effect.tapError(work, (fault) => isStoreFault(fault) ? waitOut("The store does not answer", fault) : Effect.void),
    { while: isStoreFault, schedule: Schedule.spaced(Duration.millis(faultMs)) }
  )
const isStoreFault = Predicate.isTagged("StoreFault")

/**
 * Dispatches for ever. Deposed, it steps back and watches: the account is taken over again only when the one that deposed
 * it has fallen silent.
 */
export const runDispatcher = <State, Event>(
  options: DispatcherOptions<State, Event>,
  known: Ref.Ref<boolean> = Ref.unsafeMake(false)
): Effect.Effect<never, never, DeliveryStore | Provider | ActorClient | ShopClock> =>
  Effect.gen(function*() {
    const relay = yield* makeRelay(options.members, options.settings.channels)
    const client = yield* ActorClient
    const clock = yield* ShopClock
    const { account } = options.settings
    const isSilent = client.send(providerKind, { actor: account, command: { _tag: "ReadProvider" } }).pipe(
      Effect.map((view) => view._tag === "ProviderView" && clock.real() - view.seenAt >= silenceMs),
      Effect.orElseSucceed(() => false)
    )
    const stepBack = (deposed: Deposed) =>
      Effect.logWarning("Another dispatcher has taken the account over").pipe(
        Effect.annotateLogs({ account, owner: deposed.owner }),
        Effect.zipRight(Effect.repeat(Effect.delay(isSilent, Duration.millis(watchMs)), { until: (silent) => silent })),
        Effect.asVoid
      )
    const reigns = reign(options, known).pipe(
      Effect.catchTag("Deposed", stepBack),
      Effect.catchTag("NoLimits", () => Effect.sleep(Duration.millis(noLimitsMs))),
      // Whatever it was, a defect included: the singleton is started once, and nobody else would send anything.
      Effect.catchAllCause((cause) =>
        Effect.zipRight(
          Effect.logWarning("Dispatching broke off; it begins anew", cause),
          Effect.sleep(Duration.millis(faultMs))
        )
      ),
      Effect.forever
    )
    return yield* Effect.zipLeft(reigns, relay.forever(options.settings.relayMs), { concurrent: true })
  })
