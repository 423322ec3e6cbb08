import { describe, expect, it } from "@effect/vitest"
import { cellLimitsDefault } from "@hikyaku/cluster/actor/CellLimits"
import { Effect, TestClock } from "effect"
import { limit } from "../../../../test/contracts/CounterKind.ts"
import { add, added, fates, freshId, gate, items, makeHouse, post, read, settle, total, wire } from "./CellHouse.ts"

const full = { _tag: "Reply", reply: { _tag: "Full", total: limit } }
const removed = { _tag: "Reply", reply: { _tag: "Removed" } }
const old = { age: "old enough to be looked up", wait: "3 seconds" } as const
const young = { age: "young", wait: "0 seconds" } as const

describe("R3, G3: a command happens once", () => {
  for (const { age, wait } of [young, old]) {
    it.scoped(`a repeat gets the first outcome: from the same cell, its id is ${age}`, () =>
      Effect.gen(function*() {
        const house = yield* makeHouse
        const { one } = yield* house.counters()
        const command = wire("a", add("x"))
        expect(yield* one(command)).toEqual(added(1))
        yield* one(wire("a", add("y")))
        yield* TestClock.adjust(wait)
        expect(yield* one(command)).toEqual(added(1))
        expect(items(house.store, "a")).toEqual(["x", "y"])
      }))

    it.scoped(`a repeat gets the first outcome: from another cell, its id is ${age}`, () =>
      Effect.gen(function*() {
        const house = yield* makeHouse
        const first = yield* house.counters()
        const second = yield* house.counters()
        const command = wire("a", add("x"))
        expect(yield* first.one(command)).toEqual(added(1))
        yield* first.one(wire("a", add("y")))
        yield* TestClock.adjust(wait)
        // A neighbour in the same round is none the worse.
        expect(yield* second.all([wire("a", add("z")), command])).toEqual([added(3), added(1)])
        expect(items(house.store, "a")).toEqual(["x", "y", "z"])
      }))

    it.scoped(`a refusal stays a refusal after a restock, its id is ${age}`, () =>
      Effect.gen(function*() {
        const house = yield* makeHouse
        const first = yield* house.counters()
        const second = yield* house.counters()
        const refused = wire("a", add("x"))
        yield* first.one(wire("a", add("all", limit)))
        expect(yield* first.one(refused)).toEqual(full)
        yield* second.one(wire("a", { _tag: "Remove", item: "all" }))
        yield* TestClock.adjust(wait)
        expect(yield* first.one(refused)).toEqual(full)
        expect(yield* second.one(refused)).toEqual(full)
        expect(items(house.store, "a")).toEqual(["all"])
      }))

    it.scoped(`an outcome is given again where deciding anew would only answer, its id is ${age}`, () =>
      Effect.gen(function*() {
        const house = yield* makeHouse
        const first = yield* house.counters()
        const second = yield* house.counters()
        yield* first.one(wire("a", add("x")))
        const removal = wire("a", { _tag: "Remove", item: "x" })
        expect(yield* first.one(removal)).toEqual(removed)
        yield* TestClock.adjust(wait)
        expect(yield* second.one(removal)).toEqual(removed)
      }))

    it.scoped(`the same id with other content is refused, its id is ${age}`, () =>
      Effect.gen(function*() {
        const house = yield* makeHouse
        const first = yield* house.counters()
        const second = yield* house.counters()
        const id = freshId()
        yield* first.one(wire("a", add("x"), { id }))
        yield* TestClock.adjust(wait)
        expect(yield* first.one(wire("a", add("x", 2), { id }))).toEqual({ _tag: "Differs" })
        expect(yield* second.one(wire("a", add("y"), { id }))).toEqual({ _tag: "Differs" })
        expect(yield* second.one(wire("a", "no command at all", { id }))).toEqual({ _tag: "Differs" })
        expect(items(house.store, "a")).toEqual(["x"])
      }))
  }

  it.scoped("a repeat joins the command that is under way; with other content it is refused", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const queued = wire("a", add("y"))
      const taken = wire("a", add("x"))
      const first = post(cell, [taken])
      yield* settle
      const others = post(cell, [
        taken,
        queued,
        queued,
        { ...taken, command: add("z") },
        { ...queued, command: add("z") }
      ])
      yield* settle
      commit.open()
      yield* settle
      const differs = { _tag: "Differs" }
      expect([...first, ...others]).toEqual([added(1), added(1), added(2), added(2), differs, differs])
      expect(house.store.commits).toBe(2)
    }))

  it.scoped("a repeat that waits longer keeps the command from expiring with the first", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      post(cell, [wire("b", add("x"))])
      yield* settle
      const command = wire("a", add("x"), { within: 100 })
      const answers = [post(cell, [command]), post(cell, [{ ...command, within: 5000 }])]
      yield* TestClock.adjust("1 second")
      commit.open()
      yield* settle
      expect(answers.flat()).toEqual([added(1), added(1)])
    }))

  it.scoped("an id is one command's of one actor: the same id may be another's of another", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all } = yield* house.counters()
      const id = freshId()
      expect(yield* all([wire("a", add("x"), { id }), wire("b", add("y", 2), { id })])).toEqual([added(1), added(2)])
      expect(yield* all([wire("b", add("y", 2), { id })])).toEqual([added(2)])
    }))

  it.scoped("ids that are too old or from the future are not executed", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all } = yield* house.counters()
      const { aheadMax, retention } = cellLimitsDefault
      yield* TestClock.adjust(retention)
      const at = (after: number) => wire("a", add(`${after}`), { id: freshId(after) })
      const replies = yield* all([at(-1), at(0), at(retention + aheadMax), at(retention + aheadMax + 1)])
      expect(replies.map((reply) => reply._tag)).toEqual(["Expired", "Reply", "Reply", "Expired"])
      expect(items(house.store, "a")).toEqual(["0", `${retention + aheadMax}`])
    }))

  it.scoped("a replay's ids are as old as its record", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { one } = yield* house.counters({ logical: true })
      yield* TestClock.adjust("90 days")
      expect(yield* one(wire("a", add("x")))).toEqual(added(1))
    }))

  it.scoped("what was not an outcome is executed when it comes again", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell, one } = yield* house.counters({ limits: { commandsMax: 1 } })
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      post(cell, [wire("a", add("x"))])
      yield* settle
      const command = wire("a", add("y"))
      expect((yield* one(command))._tag).toBe("Overloaded")
      commit.open()
      yield* settle
      expect(yield* one(command)).toEqual(added(2))
    }))

  it.scoped("a read is no outcome: it is read anew", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { one } = yield* house.counters()
      const question = wire("a", read)
      expect(yield* one(question)).toEqual(total(0))
      yield* one(wire("a", add("x")))
      expect(yield* one(question)).toEqual(total(1))
    }))

  it.scoped("a storm of repeats after a failover exhausts nobody's attempts", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const first = yield* house.counters()
      const commands = Array.from({ length: 64 }, (_, i) => wire("a", add(`${i}`)))
      yield* first.all(commands)
      const second = yield* house.counters({ limits: { roundMax: 4 } })
      const fresh = post(second.cell, [wire("a", add("new"))])
      const repeats = post(second.cell, commands)
      yield* settle
      yield* settle
      expect(fresh).toEqual([added(65)])
      expect(repeats).toEqual(commands.map((_, i) => added(i + 1)))
    }))

  it.scoped("outcomes that are no longer in memory are found in the store", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all, one } = yield* house.counters({ limits: { rememberedMax: 1, liveMax: 1 } })
      const commands = ["x", "y", "z"].map((item) => wire("a", add(item)))
      yield* all(commands)
      yield* one(wire("b", add("x")))
      expect(yield* all(commands)).toEqual([1, 2, 3].map(added))
    }))
})
