/** Cells over one memory store, driven by the test clock: what the tests of the runtime are made of. */
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { Cell } from "@hikyaku/cluster/actor/Cell"
import type { CellLimits } from "@hikyaku/cluster/actor/CellLimits"
import { Journal, type KindJournal, type Unit } from "@hikyaku/cluster/actor/Journal"
import { type CommitFate, layer as memory, MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import type { WireCommand, WireReply } from "@hikyaku/cluster/actor/Wire"
import { type CommandId, commandIdFrom } from "@hikyaku/domain/Identifier"
import { Clock, Effect, Fiber, type Scope } from "effect"
import { type CounterCommand, counterKind } from "../../../../test/contracts/CounterKind.ts"

/** The instant at which the test clock stands at zero, ms since the epoch. */
export const start = 1_760_000_000_000

let numbers = 0
/** A fresh id whose time is so many ms after `start`. */
export const freshId = (after = 0): CommandId => commandIdFrom(start + after, 0, 0, ++numbers / 2 ** 48)

export const add = (item: string, by = 1): CounterCommand => ({ _tag: "Add", item, by })
export const read: CounterCommand = { _tag: "Read" }

export const added = (total: number): WireReply => ({ _tag: "Reply", reply: { _tag: "Added", total } })
export const total = (n: number): WireReply => ({ _tag: "Reply", reply: { _tag: "Total", total: n } })

/** A command as it travels; young enough to be taken for new unless an id is given. */
export const wire = (
  actor: string,
  command: unknown,
  { at = null, id = freshId(), within = 60_000 }: Partial<Pick<WireCommand, "at" | "id" | "within">> = {}
): WireCommand => ({ actor, id, within, at, command })

export interface Opening<State> {
  readonly name?: string
  readonly incarnation?: string
  readonly limits?: Partial<CellLimits>
  /** ms by which this cell's clock is ahead of the store's. */
  readonly ahead?: number | (() => number)
  readonly logical?: boolean
  /** The shared cell of an actor; every cell is its actors' own otherwise. */
  readonly home?: (actor: string) => string
  /** Puts something between the cell and the store. */
  readonly journal?: (journal: KindJournal<State>) => KindJournal<State>
  readonly generation?: () => number
}

let incarnations = 0

export const makeHouse = Effect.gen(function*() {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const store = new MemoryStore()
  const now = () => start + clock.unsafeCurrentTimeMillis()
  store.now = now
  const journals = yield* Journal.pipe(Effect.provide(memory(store)))

  /** A new incarnation of a cell; not served yet. */
  const build = <S, C, R, E>(kind: ActorKind<S, C, R, E>, opening: Opening<S> = {}) => {
    const { ahead = 0 } = opening
    const own = () => now() + (typeof ahead === "number" ? ahead : ahead())
    const journal = journals.of(kind)
    return new Cell({
      kind,
      name: opening.name ?? "c0",
      incarnation: opening.incarnation ?? `w${++incarnations}`,
      journal: opening.journal?.(journal) ?? journal,
      generation: opening.generation ?? journals.generation,
      clock: { now: own, real: own, logical: () => opening.logical ?? false },
      monotonic: () => clock.unsafeCurrentTimeMillis(),
      limits: opening.limits,
      home: opening.home
    })
  }

  /** A cell that is served until the scope closes. */
  const open = <S, C, R, E>(kind: ActorKind<S, C, R, E>, opening: Opening<S> = {}) =>
    Effect.gen(function*() {
      const cell = build(kind, opening)
      const fiber = yield* Effect.forkScoped(cell.serve)
      return { cell, fiber }
    })

  /** A cell of counters. */
  const counters = (opening: Opening<Parameters<typeof counterKind.mainRow>[0]> = {}) =>
    Effect.map(open(counterKind, opening), ({ cell, fiber }) => ({ ...speak(cell), cell, fiber }))

  return { store, clock, now, journals, build, open, counters }
})

/** A reply as the caller is told it: whether it is that of an earlier execution is for the client to know. */
const told = (reply: WireReply): WireReply => reply._tag === "Reply" ? { _tag: "Reply", reply: reply.reply } : reply

/** How to talk to a cell. */
export const speak = (cell: Pick<Cell<never, never, never, never>, "offer">) => {
  /** Everything in one message; the answers in order. */
  const all = (commands: ReadonlyArray<WireCommand>): Effect.Effect<ReadonlyArray<WireReply>> =>
    Effect.async((resume) => {
      const replies: Array<WireReply> = []
      let left = commands.length
      if (left === 0) resume(Effect.succeed([]))
      cell.offer(commands, 100, (index, reply) => {
        replies[index] = told(reply)
        if (--left === 0) resume(Effect.succeed(replies))
      })
    })
  const one = (command: WireCommand): Effect.Effect<WireReply> => Effect.map(all([command]), (replies) => replies[0]!)
  return { all, one }
}

/** Sends without waiting; what is answered is in `replies`, by place. */
export const post = (
  cell: Pick<Cell<never, never, never, never>, "offer">,
  commands: ReadonlyArray<WireCommand>
): ReadonlyArray<WireReply | undefined> => {
  const replies: Array<WireReply | undefined> = commands.map(() => undefined)
  cell.offer(commands, 100, (index, reply) => {
    replies[index] = told(reply)
  })
  return replies
}

/** Lets every fibre run until it waits for time or for something outside. */
export const settle: Effect.Effect<void> = Effect.yieldNow().pipe(Effect.repeatN(200), Effect.asVoid)

/** A gate that the test opens, once it wants the store to go on. */
export const gate = (): { readonly wait: Effect.Effect<void>; readonly open: () => void } => {
  const latch = Effect.unsafeMakeLatch(false)
  return { wait: latch.await, open: () => latch.unsafeOpen() }
}

/** The fates of the next commits, in order; then all goes well. */
export const fates = (store: MemoryStore, ...fates: ReadonlyArray<CommitFate>): void => {
  const queue = [...fates]
  store.fate = () => queue.shift() ?? { _tag: "Commit" }
}

/** Records the units of every commit. */
export const recording = (units: Array<ReadonlyArray<Unit>>) => <S>(journal: KindJournal<S>): KindJournal<S> => ({
  ...journal,
  commit: (group) => {
    units.push(group)
    return journal.commit(group)
  }
})

/** Rows of the counter's items. */
export const items = (store: MemoryStore, counter: string): ReadonlyArray<string> =>
  [...store.table("Counter", "counter_item").values()]
    .filter((row) => row["counter"] === counter)
    .map((row) => String(row["item"]))

/** Runs it in a scope that closes, and gives the fibres that are left of what it started. */
export const leftovers = (program: Effect.Effect<void, never, Scope.Scope>): Effect.Effect<number> =>
  Effect.gen(function*() {
    const before = new Set([...yield* Fiber.roots].map((fiber) => fiber.id()))
    yield* Effect.scoped(program)
    yield* settle
    return [...yield* Fiber.roots].filter((fiber) => !before.has(fiber.id())).length
  })
