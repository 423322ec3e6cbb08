/**
 * Timers are rows (R15): the next due time of an actor stands in its main row, written in the commit that decided it. Each
 * runner polls the rows of the cells that it owns, by the shop's clock, and sends `Wake`, which is idempotent. So a timer
 * fires after passivation, hand-off and restart alike.
 */
import { Sharding } from "@effect/cluster"
import { make as makeEntityId } from "@effect/cluster/EntityId"
import { Duration, Effect, Layer, Schedule } from "effect"
import { ActorClient } from "./ActorClient.ts"
import type { ActorKind } from "./ActorKind.ts"
import { Journal } from "./Journal.ts"
import { cellNames, cellsDefault, groupOf } from "./Placement.ts"
import { ShopClock } from "./ShopClock.ts"

/** How late a timer may fire beside the time its command takes. */
export const pollInterval = Duration.millis(200)
/** Timers sent in one poll; more wait for the next. */
export const wakeMax = 1000

/** One poll: wakes what is due among the cells named, and says how many that was. */
export const poll = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  cells: ReadonlyArray<string>
) =>
  Effect.gen(function*() {
    const journal = yield* Journal
    const client = yield* ActorClient
    const clock = yield* ShopClock
    if (cells.length === 0) return 0
    const now = clock.now()
    const due = yield* journal.of(kind).due(cells, now, wakeMax)
    // What fails is still due and comes again with the next poll.
    yield* client.sendAll(kind, due.map(({ actor }) => ({ actor, command: kind.decider.wake, at: now })))
    return due.length
  })

/** Polls a kind's timers on this runner. */
export const layer = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  options: { readonly cells?: number | undefined } = {}
) =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const sharding = yield* Sharding.Sharding
    const shared = cellNames(options.cells ?? cellsDefault)
    const owned = Effect.sync(() =>
      shared.filter((cell) => sharding.hasShardId(sharding.getShardId(makeEntityId(cell), groupOf(cell))))
    )
    yield* Effect.flatMap(owned, (cells) => poll(kind, cells)).pipe(
      Effect.catchAllCause((cause) => Effect.logWarning(`Timers of ${kind.name} could not be polled`, cause)),
      Effect.repeat(Schedule.spaced(pollInterval)),
      Effect.forkScoped
    )
  }))
