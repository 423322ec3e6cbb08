import { describe, expect, it } from "@effect/vitest"
import { Journal, type KindJournal } from "@hikyaku/cluster/actor/Journal"
import { layer as memory, MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import { makeSweep } from "@hikyaku/cluster/actor/Sweep"
import { Effect } from "effect"
import { type Counter, type CounterCommand, counterKind } from "../../../../test/contracts/CounterKind.ts"
import { add, makeHouse, read, start, wire } from "./CellHouse.ts"

interface Opening {
  readonly hosts?: (cell: string) => boolean
  readonly home?: (actor: string) => string
  readonly ahead?: number
  readonly logical?: boolean
  readonly monotonic?: () => number
  readonly journal?: (journal: KindJournal<Counter>) => KindJournal<Counter>
}

const open = (store: MemoryStore, opening: Opening = {}) =>
  Effect.map(Journal, (journals) => {
    const journal = journals.of(counterKind)
    const sweep = makeSweep({
      kind: counterKind,
      journal: opening.journal?.(journal) ?? journal,
      generation: journals.generation,
      clock: {
        now: () => start + (opening.ahead ?? 0),
        real: () => start + (opening.ahead ?? 0),
        logical: () => opening.logical ?? false
      },
      monotonic: opening.monotonic ?? (() => 0),
      incarnation: "sweep",
      home: opening.home ?? (() => "c0"),
      hosts: opening.hosts ?? (() => true)
    })
    return Object.assign(
      (command: CounterCommand, actors: ReadonlyArray<string>, at: number) =>
        sweep(actors.map((actor) => ({ actor, command })), at),
      { each: sweep }
    )
  }).pipe(Effect.provide(memory(store)))

const freshStore = () => {
  const store = new MemoryStore()
  store.now = () => start
  return store
}
const actorsOf = (store: MemoryStore) => store.kind(counterKind.name).actors
const totalOf = (store: MemoryStore, actor: string) => actorsOf(store).get(actor)?.main["total"] ?? null
const added = (total: number) => ({ _tag: "Added", total })

describe("a sweep", () => {
  it.effect("asks many actors in one round, in their order, and leaves nothing on record to ask by (R3)", () =>
    Effect.gen(function*() {
      const store = freshStore()
      const sweep = yield* open(store)
      expect(yield* sweep(add("x"), ["a", "b", "c"], start)).toEqual([added(1), added(1), added(1)])
      expect(yield* sweep(add("y", 2), ["c", "a"], start)).toEqual([added(3), added(3)])
      expect(store.commits).toBe(2)
      expect(store.kind(counterKind.name).outcomes.size).toBe(0)
      expect(actorsOf(store).get("a")?.fence).toEqual({ version: 2, writer: "sweep", cell: "c0", epoch: 0 })
      expect(store.table(counterKind.name, "counter_item").size).toBe(5)
      expect(yield* sweep(add("z"), [], start)).toEqual([])
    }))

  it.effect("asks each actor something of its own; of one that is asked several things, the first", () =>
    Effect.gen(function*() {
      const store = freshStore()
      const sweep = yield* open(store)
      const asks = [
        { actor: "a", command: add("x", 1) },
        { actor: "b", command: add("x", 2) },
        { actor: "a", command: add("y", 4) },
        { actor: "c", command: { _tag: "Throw" as const } },
        { actor: "d", command: add("x", 8) }
      ]
      expect(yield* sweep.each(asks, start)).toEqual([added(1), added(2), null, null, added(8)])
      expect(store.commits).toBe(1)
      expect([totalOf(store, "a"), totalOf(store, "b"), totalOf(store, "d")]).toEqual([1, 2, 8])
    }))

  it.effect("R5: an actor's cell finds out what was decided in a sweep, and a sweep what its cell decided", () =>
    Effect.scoped(Effect.gen(function*() {
      const house = yield* makeHouse
      const { one } = yield* house.counters()
      const sweep = yield* open(house.store)
      yield* one(wire("a", add("x")))
      expect(yield* sweep(add("y"), ["a"], start)).toEqual([added(2)])
      // The cell has it in memory as it was.
      expect(yield* one(wire("a", add("z")))).toEqual({ _tag: "Reply", reply: added(3) })
      expect(yield* sweep(read, ["a"], start)).toEqual([{ _tag: "Total", total: 3 }])
    })))

  it.effect("R1, R5: answers nothing for whom somebody else wrote meanwhile, and writes nothing", () =>
    Effect.gen(function*() {
      const store = freshStore()
      const first = yield* open(store)
      yield* first(add("x"), ["a", "b"], start)
      let times = 0
      const late = yield* open(store, {
        journal: (journal) => ({
          ...journal,
          commit: (units) => Effect.zipRight(first(add(`between ${times++}`), ["a"], start), journal.commit(units))
        })
      })
      expect(yield* late(add("late"), ["a", "b"], start)).toEqual([null, added(2)])
      expect([totalOf(store, "a"), totalOf(store, "b")]).toEqual([2, 2])
      // A read is fenced as well.
      expect(yield* late(read, ["b", "a"], start)).toEqual([{ _tag: "Total", total: 2 }, null])
    }))

  it.effect("R8: leaves alone who lives in another process, or in a cell of their own", () =>
    Effect.gen(function*() {
      const store = freshStore()
      const home = (actor: string) => actor === "far" ? "c9" : "c0"
      const sweep = yield* open(store, { home, hosts: (cell) => cell === "c0" })
      yield* sweep(add("x"), ["near", "moved"], start)
      const moved = actorsOf(store).get("moved")!
      actorsOf(store).set("moved", { ...moved, fence: { ...moved.fence, cell: "hot-moved", epoch: 1 } })
      expect(yield* sweep(add("y"), ["far", "moved", "near"], start)).toEqual([null, null, added(2)])
      expect([totalOf(store, "far"), totalOf(store, "moved")]).toEqual([null, 1])
    }))

  it.effect("R10: what breaks the decider or has no rows hurts nobody else; what is no command reaches nobody", () =>
    Effect.gen(function*() {
      const store = freshStore()
      const sweep = yield* open(store)
      yield* sweep(add("x"), ["a", "b"], start)
      for (const command of [{ _tag: "Throw" }, { _tag: "BreakRows" }] satisfies ReadonlyArray<CounterCommand>) {
        expect(yield* sweep(command, ["a", "b"], start)).toEqual([null, null])
      }
      // Only b has the row already that the store refuses twice.
      expect(yield* sweep(add("only"), ["b"], start)).toEqual([added(2)])
      expect(yield* sweep(add("only"), ["a", "b"], start)).toEqual([added(2), null])
      // The decider would take the second one as it is.
      for (const strange of [`{"_tag":"Nonsense"}`, `{"_tag":"Add","item":"words","by":"7"}`]) {
        const command: CounterCommand = JSON.parse(strange)
        expect(yield* sweep(command, ["a"], start)).toEqual([null])
      }
      // One actor has one unit in a group.
      expect(yield* sweep(add("twice"), ["a", "a"], start)).toEqual([added(3), added(3)])
      expect(totalOf(store, "a")).toBe(3)
    }))

  it.effect("R4, R5: says nothing when nobody knows, when the store cannot be read, or has another history", () =>
    Effect.gen(function*() {
      const store = freshStore()
      const sweep = yield* open(store)
      store.fate = () => ({ _tag: "CommitThenLose" })
      expect(yield* sweep(add("x"), ["a"], start)).toEqual([null])
      expect(totalOf(store, "a")).toBe(1)
      store.fate = () => ({ _tag: "Commit" })
      store.readFate = () => ({ _tag: "Fail" })
      expect(yield* sweep(add("y"), ["a"], start)).toEqual([null])
      // The store becomes another one while the states are on their way.
      store.readFate = () => ({ _tag: "Delay", until: Effect.sync(() => void store.generation++) })
      expect(yield* sweep(add("y"), ["a"], start)).toEqual([null])
      store.readFate = () => ({ _tag: "Read" })
      expect(totalOf(store, "a")).toBe(1)
      expect(yield* sweep(add("y"), ["a"], start)).toEqual([added(2)])
    }))

  it.live("R23: others have their turn while it decides; another history meanwhile is noticed (R5)", () =>
    Effect.gen(function*() {
      const store = freshStore()
      let ms = 0
      // Every look at the clock is a slice later.
      const sweep = yield* open(store, { monotonic: () => ms += 10 })
      let turns = 0
      const other = setInterval(() => turns++, 0)
      const actors = Array.from({ length: 200 }, (_, i) => `a${i}`)
      yield* Effect.iterate(0, {
        while: () => turns === 0,
        body: () => Effect.map(sweep(add("x"), actors, start), (replies) => replies.length)
      }).pipe(Effect.ensuring(Effect.sync(() => clearInterval(other))))
      const fresh = yield* open(store, { monotonic: () => (store.generation++, ms += 10) })
      const before = store.commits
      expect(yield* fresh(add("y"), ["b", "c"], start)).toEqual([null, null])
      expect(store.commits).toBe(before)
    }))

  it.effect("R6: no instant before the actor's last, and no commit after its time", () =>
    Effect.gen(function*() {
      const store = freshStore()
      const replay = yield* open(store, { logical: true })
      yield* replay(add("x"), ["a"], start + 5_000)
      expect(actorsOf(store).get("a")?.clock).toBe(start + 5_000)
      const sweep = yield* open(store)
      yield* sweep(add("y"), ["a"], start + 9_000)
      expect(actorsOf(store).get("a")?.clock).toBe(start + 5_000)
      const frozen = yield* open(store, { ahead: -3_600_000 })
      expect(yield* frozen(add("z"), ["a"], start)).toEqual([null])
      expect(totalOf(store, "a")).toBe(2)
    }))
})
