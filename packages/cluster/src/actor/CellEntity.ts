/**
 * Cells as entities of the cluster library: placement, failover and messaging are its work, intake and rounds are ours. A
 * cell never idles out; when the library closes it, its intake ends, the round under way is seen through and whoever waits
 * is sent on (R9).
 */
import { ClusterSchema, Entity } from "@effect/cluster"
import { Rpc } from "@effect/rpc"
import { Context, Duration, Effect, Layer, Schema } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import { Cell, type CellLimits } from "./Cell.ts"
import { Journal } from "./Journal.ts"
import { groupOf } from "./Placement.ts"
import { ShopClock } from "./ShopClock.ts"
import { decodeGroups, encodeAnswer, type WireReply } from "./Wire.ts"

/** How long a message waits for the cells it was carried to before it answers `Pending` for the slow ones (R9). */
export const carryTimeout = Duration.millis(100)
/** How long a message to one cell waits before it answers `Pending`. */
export const directTimeout = Duration.seconds(2)

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
  readonly cells: Map<string, Pick<Cell<never, never, never, never>, "offer" | "intake" | "liveCount">>
}>() {
  static readonly layer = Layer.sync(LocalCells, () => ({ runner: globalThis.crypto.randomUUID(), cells: new Map() }))
}

/** Hands a message's groups to the local cells and collects what they answer in time. */
const carry = (local: LocalCells["Type"], kind: string, bytes: Uint8Array): Effect.Effect<Uint8Array> =>
  Effect.async<Uint8Array>((resume) => {
    const groups = decodeGroups(bytes)
    const count = groups.reduce((sum, group) => sum + group.commands.length, 0)
    const bytesEach = Math.ceil(bytes.length / Math.max(1, count))
    let open = 0
    let done = false
    const finish = () => {
      if (done) return
      done = true
      clearTimeout(timer)
      resume(Effect.succeed(encodeAnswer({ runner: local.runner, groups: replies })))
    }
    const timer = setTimeout(finish, Duration.toMillis(groups.length > 1 ? carryTimeout : directTimeout))
    const replies: Array<Array<WireReply> | null> = groups.map((group) => {
      const cell = local.cells.get(`${kind}/${group.cell}`)
      if (cell === undefined) return null
      open += group.commands.length
      return group.commands.map((): WireReply => ({ _tag: "Pending" }))
    })
    const here = groups.map((group, g) => ({ group, answers: replies[g] }))
    let offering = true
    for (const { answers, group } of here) {
      const cell = local.cells.get(`${kind}/${group.cell}`)
      if (cell === undefined || answers === null || answers === undefined) continue
      cell.offer(group.commands, bytesEach, (index, reply) => {
        answers[index] = reply
        open--
        if (open === 0 && !offering) finish()
      })
    }
    offering = false
    if (open === 0) finish()
    return Effect.sync(() => {
      done = true
      clearTimeout(timer)
    })
  })

/** Hosts a kind's cells on this runner. */
export const layer = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  limits?: Partial<CellLimits>
) =>
  cellEntity(kind.name).toLayer(
    Effect.gen(function*() {
      const journal = yield* Journal
      const clock = yield* ShopClock
      const local = yield* LocalCells
      const address = yield* Entity.CurrentAddress
      const name = address.entityId
      const cell = new Cell({
        kind,
        name,
        incarnation: globalThis.crypto.randomUUID(),
        journal: journal.of(kind),
        generation: journal.generation,
        clock,
        monotonic: () => performance.now(),
        limits
      })
      const key = `${kind.name}/${name}`
      yield* Effect.acquireRelease(
        Effect.sync(() => local.cells.set(key, cell)),
        () =>
          cell.stop.pipe(Effect.andThen(Effect.sync(() => {
            // Its successor may be here already.
            if (local.cells.get(key) === cell) local.cells.delete(key)
          })))
      )
      yield* Effect.forkScoped(cell.serve)
      return {
        Handle: ({ payload }: { readonly payload: { readonly bytes: Uint8Array } }) =>
          carry(local, kind.name, payload.bytes)
      }
    }),
    // Our own intake bounds what waits (R10): the library's mailbox would count callers that are long gone.
    { maxIdleTime: Duration.infinity, concurrency: "unbounded", mailboxCapacity: "unbounded" }
  )
