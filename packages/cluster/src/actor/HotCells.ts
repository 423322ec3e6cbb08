/**
 * Sees to it that actors live where they should (R8, CART-4): those that operators have marked and those that are hot in
 * cells of their own, the others with their neighbours, and all of them with their neighbours while no runner serves the hot
 * group. Each runner looks after the actors of the shards that it owns; what it wants is a command to the actor's cell, which
 * may be sent twice, late, or by two runners that both believe they own the shard.
 */
import { Sharding } from "@effect/cluster"
import { make as makeEntityId } from "@effect/cluster/EntityId"
import { Duration, Effect, Either, Layer, Schedule } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import { LocalCells } from "./CellEntity.ts"
import { heatConfig, type HeatCount, HeatJudge, type HeatSettings } from "./Heat.ts"
import { HotGroup } from "./HotGroup.ts"
import { Journal } from "./Journal.ts"
import { cellOf, cellsDefault, groupOf, isHot } from "./Placement.ts"
import { relocate } from "./Relocation.ts"

/** How often it looks. */
export const lookInterval = Duration.seconds(1)
/** Looks in a row that must find the hot group unserved before its actors are taken over: a runner that restarts is back soon. */
export const unservedLooks = 2
/** Moves begun in one look; more wait for the next. */
export const movesMax = 64
/** ms within which a move is of use; the next look begins it again. */
export const moveWithin = 3000
/** Actors with cells of their own that are looked after. */
export const placedMax = 2000

/** What one look found. */
export interface Look {
  /** Actors that have a cell of their own. */
  readonly placed: ReadonlyArray<{ readonly actor: string; readonly cell: string }>
  readonly marked: ReadonlySet<string>
  /** Looks in a row that found the hot group unserved. */
  readonly unserved: number
  /** Whether this runner owns the cell's shard. */
  readonly owns: (cell: string) => boolean
  /** The shared cell of an actor. */
  readonly home: (actor: string) => string
  /** Commands of this runner's cells since the last look, by cell. */
  readonly counts: ReadonlyMap<string, HeatCount>
  /** Monotonic ms. */
  readonly now: number
}

export interface Move {
  readonly actor: string
  readonly hot: boolean
  readonly takeOver: boolean
}

/** What is to be moved. */
export const judgeLook = (judge: HeatJudge, { hotMax }: HeatSettings, look: Look): ReadonlyArray<Move> => {
  const { counts, home, marked, now, owns, placed, unserved } = look
  const elapsed = judge.look(now)
  const there = new Set(placed.map(({ actor }) => actor))
  const moves: Array<Move> = []
  const move = (actor: string, hot: boolean, takeOver = false) => {
    if (moves.length < movesMax) moves.push({ actor, hot, takeOver })
  }
  if (unserved > 0) {
    if (unserved < unservedLooks) return []
    for (const { actor } of placed) if (owns(home(actor))) move(actor, false, true)
    return moves
  }
  for (const actor of marked) if (!there.has(actor) && owns(home(actor))) move(actor, true)
  if (elapsed === 0) return moves
  let room = hotMax - placed.reduce((n, { actor }) => marked.has(actor) ? n : n + 1, 0)
  for (const [cell, count] of counts) {
    if (isHot(cell)) continue
    for (const actor of judge.hot(count, now, elapsed)) {
      if (there.has(actor) || marked.has(actor) || room-- <= 0) continue
      move(actor, true)
    }
  }
  for (const { actor, cell } of placed) {
    if (marked.has(actor) || !owns(cell)) continue
    if (judge.cool(actor, counts.get(cell)?.total ?? 0, now, elapsed)) move(actor, false)
  }
  judge.retain(there, now)
  return moves
}

/** Looks after a kind's actors on this runner. */
export const layer = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  options: { readonly cells?: number | undefined } = {}
) =>
  Layer.scopedDiscard(Effect.gen(function*() {
    const sharding = yield* Sharding.Sharding
    const journal = (yield* Journal).of(kind)
    const group = yield* HotGroup
    const local = yield* LocalCells
    const settings = yield* heatConfig
    const judge = new HeatJudge(settings)
    const owns = (cell: string) => sharding.hasShardId(sharding.getShardId(makeEntityId(cell), groupOf(cell)))
    let unserved = 0
    const look = Effect.gen(function*() {
      const [served, marked, placed] = yield* Effect.all([
        group.served,
        group.marked(kind.name),
        journal.hot(placedMax)
      ])
      unserved = served ? 0 : unserved + 1
      const counts = new Map<string, HeatCount>()
      const prefix = `${kind.name}/`
      for (const [key, cell] of local.cells) {
        if (key.startsWith(prefix) && cell.heat !== null) counts.set(key.slice(prefix.length), cell.heat.take())
      }
      const moves = judgeLook(judge, settings, {
        placed,
        marked,
        unserved,
        owns,
        home: (actor) => cellOf(actor, options.cells ?? cellsDefault),
        counts,
        now: performance.now()
      })
      yield* Effect.forEach(moves, ({ actor, hot, takeOver }) =>
        Effect.flatMap(
          Effect.either(relocate(kind, { actor, within: moveWithin }, { hot, takeOver })),
          Either.match({
            // It is looked at again.
            onLeft: (error) => Effect.logDebug(`${kind.name} ${actor} could not be moved`, error),
            onRight: (reply) =>
              reply._tag === "Relocated"
                ? Effect.logInfo(`${kind.name} ${actor} lives in ${reply.cell} now`)
                : Effect.void
          })
        ), { concurrency: "unbounded", discard: true })
    })
    yield* look.pipe(
      Effect.catchAllCause((cause) => Effect.logWarning(`Hot cells of ${kind.name} could not be looked after`, cause)),
      Effect.repeat(Schedule.spaced(lookInterval)),
      Effect.forkScoped
    )
  }))
