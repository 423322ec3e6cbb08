import { describe, expect, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { limit } from "../../../../test/contracts/CounterKind.ts"
import { add, added, fates, gate, items, makeHouse, post, read, recording, settle, total, wire } from "./CellHouse.ts"

describe("R1: nothing leaves before the journal has confirmed what it rests on", () => {
  it.scoped("a frozen owner's read tells what its successor wrote", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const frozen = yield* house.counters()
      const successor = yield* house.counters()
      yield* frozen.one(wire("a", add("x")))
      yield* successor.one(wire("a", add("y", 5)))
      expect(yield* frozen.one(wire("a", read))).toEqual(total(6))
    }))

  it.scoped("a frozen owner's refusal is taken back when there is room again", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const frozen = yield* house.counters()
      const successor = yield* house.counters()
      yield* frozen.one(wire("a", add("all", limit)))
      yield* successor.one(wire("a", { _tag: "Remove", item: "all" }))
      expect(yield* frozen.one(wire("a", add("x")))).toEqual(added(1))
    }))

  it.scoped("an actor that nobody has written is confirmed too", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const reads = gate()
      const frozen = yield* house.counters({
        journal: (journal) => ({ ...journal, load: (ids) => Effect.tap(journal.load(ids), () => reads.wait) })
      })
      const successor = yield* house.counters()
      const answers = post(frozen.cell, [wire("a", read)])
      yield* settle
      yield* successor.one(wire("a", add("x")))
      reads.open()
      yield* settle
      expect(answers).toEqual([total(1)])
    }))

  it.scoped("no answer is out while the commit is under way, neither of a write nor of a read", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const answers = post(cell, [wire("a", add("x")), wire("a", read), wire("b", read)])
      yield* settle
      expect(answers).toEqual([undefined, undefined, undefined])
      commit.open()
      yield* settle
      expect(answers).toEqual([added(1), total(1), total(0)])
    }))

  it.scoped("a repeat of a read that comes while its round is under way is read anew", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const frozen = yield* house.counters()
      const successor = yield* house.counters()
      yield* frozen.one(wire("a", add("x")))
      const question = wire("a", read)
      const answering = gate()
      // The version check has happened, its answer is still on its way.
      const late = yield* house.counters({
        journal: (journal) => ({
          ...journal,
          commit: (units) => Effect.tap(journal.commit(units), () => answering.wait)
        })
      })
      const first = post(late.cell, [question])
      yield* settle
      yield* successor.one(wire("a", add("y")))
      const second = post(late.cell, [question])
      answering.open()
      yield* settle
      expect(first).toEqual([total(1)])
      expect(second).toEqual([total(2)])
    }))
})

describe("R4: one commit in flight, and what comes again does so in its order", () => {
  it.scoped("while a commit is under way the next commands gather", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const first = post(cell, [wire("a", add("1"))])
      yield* settle
      const others = post(cell, ["2", "3", "4"].map((item) => wire("a", add(item))))
      const elsewhere = post(cell, [wire("b", add("1"))])
      yield* settle
      expect(house.store.commits).toBe(1)
      commit.open()
      yield* settle
      expect(house.store.commits).toBe(2)
      expect([...first, ...others, ...elsewhere]).toEqual([1, 2, 3, 4, 1].map(added))
    }))

  for (const fate of ["CommitThenLose", "LoseThenAbort", "LoseThenCommit"] as const) {
    it.scoped(`${fate}: executed once, in the original order, before newer mail`, () =>
      Effect.gen(function*() {
        const house = yield* makeHouse
        const { cell } = yield* house.counters()
        yield* settle
        fates(house.store, { _tag: fate })
        const first = post(cell, ["1", "2", "3"].map((item) => wire("a", add(item))))
        yield* settle
        const second = post(cell, ["4", "5"].map((item) => wire("a", add(item))))
        house.store.land()
        yield* TestClock.adjust("1 second")
        expect([...first, ...second]).toEqual([1, 2, 3, 4, 5].map(added))
        expect(items(house.store, "a")).toEqual(["1", "2", "3", "4", "5"])
      }))
  }

  it.scoped("a commit that lands after the states were loaded again loses nobody's work and doubles none", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const reads = gate()
      const { cell } = yield* house.counters({
        journal: (journal) => ({
          ...journal,
          load: (ids) => Effect.tap(journal.load(ids), () => house.store.commits > 0 ? reads.wait : Effect.void)
        })
      })
      fates(house.store, { _tag: "LoseThenCommit" })
      const answers = post(cell, ["1", "2"].map((item) => wire("a", add(item))))
      yield* TestClock.adjust("100 millis")
      expect(answers).toEqual([undefined, undefined])
      house.store.land()
      reads.open()
      yield* TestClock.adjust("1 second")
      expect(answers).toEqual([1, 2].map(added))
      expect(items(house.store, "a")).toEqual(["1", "2"])
    }))

  it.scoped("after a stale unit the same commands are decided again, without newer ones among them", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const units: Parameters<typeof recording>[0] = []
      const stale = yield* house.counters({ journal: recording(units) })
      const other = yield* house.counters()
      yield* stale.one(wire("a", add("0")))
      yield* other.one(wire("a", add("x")))
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const first = post(stale.cell, ["1", "2", "3"].map((item) => wire("a", add(item))))
      yield* settle
      const second = post(stale.cell, ["4", "5"].map((item) => wire("a", add(item))))
      commit.open()
      yield* settle
      expect([...first, ...second]).toEqual([3, 4, 5, 6, 7].map(added))
      expect(units.map((group) => group.map((unit) => unit.change?.outcomes.length))).toEqual([[1], [3], [3], [2]])
    }))

  it.scoped("a store that cannot be read is asked again, as long as somebody waits", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      let failures = 30
      house.store.readFate = () => failures-- > 0 ? { _tag: "Fail" } : { _tag: "Read" }
      const answers = post(cell, ["1", "2"].map((item) => wire("a", add(item))))
      const brief = post(cell, [wire("a", add("3"), { within: 500 })])
      yield* TestClock.adjust("50 seconds")
      expect(answers).toEqual([1, 2].map(added))
      expect(brief).toEqual([{ _tag: "Late" }])
    }))

  it.scoped("a long outage leaves the patience for a fence that refuses", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const cell = yield* house.counters()
      const other = yield* house.counters()
      yield* cell.one(wire("a", add("0")))
      house.store.fate = () => ({ _tag: "LoseThenAbort" })
      const answers = post(cell.cell, [wire("a", add("1"))])
      yield* TestClock.adjust("20 seconds")
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      yield* TestClock.adjust("2 seconds")
      yield* other.one(wire("a", add("x")))
      commit.open()
      yield* TestClock.adjust("2 seconds")
      expect(answers).toEqual([added(3)])
    }))

  it.scoped("G14: an actor that somebody else writes all the time is not at home here, which is no fault", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { one } = yield* house.counters({
        journal: (journal) => ({
          ...journal,
          commit: (units) => Effect.succeed(units.map(() => ({ _tag: "Stale" as const })))
        })
      })
      expect(yield* one(wire("a", add("1")))).toEqual({ _tag: "Moved", cell: null })
    }))
})

describe("R5: another history drops what is in memory", () => {
  it.scoped("a version that recurs with other content is read anew", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { one } = yield* house.counters()
      yield* one(wire("a", add("x", 5)))
      const { actors } = house.store.kind("Counter")
      // The server was restored, and the same writer wrote the same version once more, with other content.
      const stored = actors.get("a")!
      actors.set("a", { ...stored, main: { ...stored.main, total: 70 } })
      house.store.generation++
      expect(yield* one(wire("a", read))).toEqual(total(70))
      expect(yield* one(wire("a", add("y")))).toEqual(added(71))
    }))

  it.scoped("a change between load and commit keeps the commit back", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      let loads = 0
      const { one } = yield* house.counters({
        journal: (journal) => ({
          ...journal,
          load: (ids) =>
            Effect.map(journal.load(ids), (found) => {
              if (++loads > 1) return found
              house.store.generation++
              const stored = house.store.kind("Counter").actors.get("a")!
              house.store.kind("Counter").actors.set("a", { ...stored, main: { ...stored.main, total: 70 } })
              return found
            })
        })
      })
      const { one: before } = yield* house.counters()
      yield* before(wire("a", add("x")))
      expect(yield* one(wire("a", add("y")))).toEqual(added(71))
      expect(loads).toBe(2)
    }))

  it.scoped("a commit that was under way when the history changed does not count", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell, one } = yield* house.counters()
      yield* one(wire("a", add("x")))
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const answers = post(cell, [wire("a", add("y"))])
      yield* settle
      const stored = house.store.kind("Counter").actors.get("a")!
      house.store.kind("Counter").actors.set("a", { ...stored, main: { ...stored.main, total: 70 } })
      house.store.generation++
      commit.open()
      yield* TestClock.adjust("1 second")
      expect(answers).toEqual([added(71)])
    }))
})

describe("R8: an actor that lives elsewhere", () => {
  it.scoped("everything that comes for it is sent there, in order, and none of it is decided on nothing", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const units: Parameters<typeof recording>[0] = []
      const home = yield* house.counters({ name: "hot-a" })
      const { all } = yield* house.counters({ journal: recording(units) })
      yield* home.one(wire("a", add("x")))
      const replies = yield* all([wire("a", add("1")), wire("a", read), wire("b", add("1")), wire("a", add("2"))])
      const moved = { _tag: "Moved", cell: "hot-a" }
      expect(replies).toEqual([moved, moved, added(1), moved])
      expect(units.flat().map((unit) => unit.actor)).toEqual(["b"])
    }))
})
