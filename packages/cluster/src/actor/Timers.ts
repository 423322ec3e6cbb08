/**
 * Timers are rows (R15): the next due time of an actor stands in its main row, written in the commit that decided it. Each
 * runner polls the rows of the cells that it owns, by the shop's clock, and sends `Wake`, which is idempotent. So a timer
 * fires after passivation, hand-off and restart alike. It looks when something is due by what it has read and committed
 * itself, when it owns other cells than before, and now and then for what others have left.
 */
import { Sharding } from "@effect/cluster"
import { make as makeEntityId } from "@effect/cluster/EntityId"
import { Duration, Effect, Either, Layer } from "effect"
import { ActorClient } from "./ActorClient.ts"
import type { ActorKind } from "./ActorKind.ts"
import { Journal } from "./Journal.ts"
import { cellNames, cellsDefault, groupOf } from "./Placement.ts"
import { ShopClock } from "./ShopClock.ts"

/** How late a timer may fire beside the time its command takes. */
export const pollInterval = Duration.millis(200)
/** How often the rows are read though nothing is known to be due, ms: how late a timer may be that another process wrote. */
export const lookInterval = 1000
/** Timers sent in one poll; more wait for the next. */
export const wakeMax = 1000

/** ms within which a wake-up is of use: an actor that does not answer holds up its neighbours' timers no longer. */
export const wakeWithin = 2000
/**
 * ms for which an actor rests whose wake-up failed, by its own fault or without an answer: more than `wakeMax` of them must
 * not keep the others asleep.
 */
export const faultRest = 10_000
export const failureRest = 1000

/**
 * One poll: wakes what is due among the cells named, and says how many that was. `resting` remembers between polls whose
 * wake-up failed, and until when they rest (ms).
 */
export const poll = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  cells: ReadonlyArray<string>,
  resting: Map<string, number> = new Map()
) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const client = yield* ActorClient
    const clock = yield* ShopClock
    if (cells.length === 0) return 0
    const now = clock.now()
    const real = clock.real()
    for (const [actor, until] of resting) if (until <= real) resting.delete(actor)
    const found = yield* journal.of(kind).due(cells, now, wakeMax + resting.size)
    const due = found.filter(({ actor }) => !resting.has(actor)).slice(0, wakeMax)
    // What fails is still due and comes again.
    const answers = yield* client.sendAll(
      kind,
      due.map(({ actor }) => ({ actor, command: kind.decider.wake, at: now, within: wakeWithin }))
    )
    due.forEach(({ actor }, i) => {
      const answer = answers[i]
      if (answer === undefined || Either.isRight(answer) || resting.size >= restingMax) return
      resting.set(actor, real + (answer.left._tag === "CommandFault" ? faultRest : failureRest))
    })
    return due.length
  })

/** Actors that rest at a time; beyond them the store is what fails, not they. */
const restingMax = 10_000

/** Cells of one actor whose timers are polled; far more than a shop has hot products. */
const hotMax = 2000

/**
 * Polls, but reads nothing while nothing can be due. `shared` names the cells that this runner owns of those that everybody
 * knows, `all` those and the others, which it takes a query to know. Answers how many were woken.
 */
export const poller = <State, Command, Reply, Event, E, R>(
  kind: ActorKind<State, Command, Reply, Event>,
  shared: () => ReadonlyArray<string>,
  all: Effect.Effect<ReadonlyArray<string>, E, R>
) =>
  Effect.gen(function*() {
    const journal = (yield* Journal).of(kind)
    const clock = yield* ShopClock
    const resting = new Map<string, number>()
    let next = Number.NEGATIVE_INFINITY
    let lookedAt = Number.NEGATIVE_INFINITY
    let owned = ""
    return Effect.gen(function*() {
      const own = shared().join()
      // Taken before the look: what is committed from here on is asked for next time.
      next = Math.min(next, journal.takeDue() ?? next)
      const real = clock.real()
      if (clock.now() < next && own === owned && Math.abs(real - lookedAt) < lookInterval) return 0
      // Until this look has come to its end there may be something.
      next = Number.NEGATIVE_INFINITY
      const cells = yield* all
      const now = clock.now()
      const woken = yield* poll(kind, cells, resting)
      // Whoever was woken may be due again, or still.
      if (woken === 0 && resting.size === 0) {
        const due = cells.length === 0 ? null : yield* journal.nextDue(cells, now)
        next = due ?? Number.POSITIVE_INFINITY
      }
      lookedAt = real
      owned = own
      return woken
    })
  })

/** Polls a kind's timers on this runner; `hot`: its actors may have cells of their own. */
export const layer = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  options: { readonly cells?: number | undefined; readonly hot?: boolean | undefined } = {}
) =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const sharding = yield* Sharding.Sharding
    const shared = cellNames(options.cells ?? cellsDefault)
    const journal = (yield* Journal).of(kind)
    // Cells of their own have due actors too, live or not; which there are, the rows say.
    const cells = options.hot === true
      ? Effect.map(journal.hot(hotMax), (placed) => [...shared, ...placed.map(({ cell }) => cell)])
      : Effect.succeed(shared)
    const shardOf = (cell: string) => sharding.getShardId(makeEntityId(cell), groupOf(cell))
    const sharedShards = shared.map((cell) => ({ cell, shard: shardOf(cell) }))
    const polling = yield* poller(
      kind,
      () => sharedShards.flatMap(({ cell, shard }) => sharding.hasShardId(shard) ? [cell] : []),
      Effect.map(cells, (all) => all.filter((cell) => sharding.hasShardId(shardOf(cell))))
    )
    yield* polling.pipe(
      Effect.catchAllCause((cause) => Effect.logWarning(`Timers of ${kind.name} could not be polled`, cause)),
      Effect.zipRight(Effect.sleep(pollInterval)),
      Effect.forever,
      Effect.forkScoped
    )
  }))
