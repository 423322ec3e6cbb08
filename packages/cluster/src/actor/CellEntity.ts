/**
 * Cells as entities of the cluster library: placement, failover and messaging are its work, intake and rounds are ours. A
 * cell never idles out; when the library closes it, its intake ends, the round under way is seen through and whoever waits
 * is sent on (R9).
 */
import { ClusterSchema, Entity } from "@effect/cluster"
import { Rpc } from "@effect/rpc"
import { Clock, Context, Duration, Effect, Layer, Schema } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import { carry } from "./Carrier.ts"
import { Cell } from "./Cell.ts"
import type { CellLimits } from "./CellLimits.ts"
import * as CellTrace from "./CellTrace.ts"
import { Journal } from "./Journal.ts"
import { cellOf, cellsDefault, groupOf } from "./Placement.ts"
import { ShopClock } from "./ShopClock.ts"
import { makeSweep, type Sweep } from "./Sweep.ts"

const Handle = Rpc.make("Handle", {
  payload: { bytes: Schema.Uint8ArrayFromSelf },
  success: Schema.Uint8ArrayFromSelf
})

/** The entity of a kind's cells. A message to one of them may carry commands for its neighbours. */
export const cellEntity = (kind: string) =>
  Entity.make(kind, [Handle])
    .annotate(ClusterSchema.ShardGroup, (cell) => groupOf(cell))
    .annotateRpcs(ClusterSchema.ClientTracingEnabled, false)

/** The cells that live in this process, so that a carrier can hand commands to its neighbours. */
export class LocalCells extends Context.Tag("@hikyaku/cluster/LocalCells")<LocalCells, {
  /** Incarnation of this process; clients group cells by it. */
  readonly runner: string
  readonly cells: Map<string, Pick<Cell<never, never, never, never>, "heat" | "intake" | "liveCount" | "offer">>
  /** What asks many actors of a kind that live in this process at once, by the kind's name. */
  readonly sweeps: Map<string, Sweep<never, unknown>>
}>() {
  static readonly layer = Layer.sync(LocalCells, () => ({
    runner: globalThis.crypto.randomUUID(),
    cells: new Map(),
    sweeps: new Map()
  }))
}

/** What asks many actors of a kind that live in this process; null where it hosts none. */
export const sweepOf = <State, Command, Reply, Event>(
  local: Context.Tag.Service<LocalCells> | null,
  kind: ActorKind<State, Command, Reply, Event>
): Sweep<Command, Reply> | null =>
  // Under the kind's name nobody but its own cells put it there.
  (local?.sweeps.get(kind.name) as Sweep<Command, Reply> | undefined) ?? null

const after = (ms: number, callback: () => void): () => void => {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}

/** Hosts a kind's cells on this runner. */
export const layer = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  options: {
    readonly limits?: Partial<CellLimits> | undefined
    /** Cells of the kind. */
    readonly cells?: number | undefined
    /** Whether its actors may get cells of their own. */
    readonly hot?: boolean | undefined
  } = {}
) =>
  cellEntity(kind.name).toLayer(
    Effect.gen(function*() {
      const journal = yield* Journal
      const clock = yield* ShopClock
      const local = yield* LocalCells
      const tracer = yield* Effect.tracer
      const systemClock = yield* Clock.clockWith(Effect.succeed)
      const address = yield* Entity.CurrentAddress
      const name = address.entityId
      const home = (actor: string) => cellOf(actor, options.cells ?? cellsDefault)
      const cell = new Cell({
        kind,
        name,
        incarnation: globalThis.crypto.randomUUID(),
        journal: journal.of(kind),
        generation: journal.generation,
        clock,
        monotonic: () => performance.now(),
        limits: options.limits,
        home,
        gauge: options.hot,
        trace: CellTrace.make(tracer, `${kind.name}/${name}`, {
          monotonic: () => performance.now(),
          nanos: () => systemClock.unsafeCurrentTimeNanos()
        })
      })
      if (!local.sweeps.has(kind.name)) {
        local.sweeps.set(
          kind.name,
          makeSweep({
            kind,
            journal: journal.of(kind),
            generation: journal.generation,
            clock,
            monotonic: () => performance.now(),
            incarnation: globalThis.crypto.randomUUID(),
            home,
            hosts: (cell) => local.cells.has(`${kind.name}/${cell}`)
          })
        )
      }
      const key = `${kind.name}/${name}`
      // Released in the opposite order: the cell stops while it is still served, so that its round is seen through.
      yield* Effect.forkScoped(cell.serve)
      yield* Effect.acquireRelease(
        Effect.sync(() => local.cells.set(key, cell)),
        () =>
          Effect.suspend(() => {
            // Its successor may be here already.
            if (local.cells.get(key) === cell) local.cells.delete(key)
            return cell.stop
          })
      )
      const carrier = { runner: local.runner, cells: local.cells, after }
      return {
        Handle: ({ payload }: { readonly payload: { readonly bytes: Uint8Array } }) =>
          Effect.async<Uint8Array>((resume) => {
            const giveUp = carry(carrier, kind.name, payload.bytes, (answer) => resume(Effect.succeed(answer)))
            return Effect.sync(giveUp)
          })
      }
    }),
    // Our own intake bounds what waits (R10): the library's mailbox would count callers that are long gone.
    // A message that fails unforeseen is that message's fault: a restart would have every message under way read again.
    {
      maxIdleTime: Duration.infinity,
      concurrency: "unbounded",
      mailboxCapacity: "unbounded",
      disableFatalDefects: true
    }
  )
