import { describe, expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, TestClock } from "effect"
import { counterKind } from "../../../../test/contracts/CounterKind.ts"
import {
  add,
  added,
  fates,
  freshId,
  gate,
  items,
  leftovers,
  makeHouse,
  post,
  settle,
  speak,
  wire
} from "./CellHouse.ts"

const moved = { _tag: "Moved", cell: null }

describe("R9: a cell that stops", () => {
  it.scoped("sees the round under way through, sends the others on, and takes nothing more", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters({ limits: { roundMax: 2 } })
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const answers = post(cell, ["1", "2", "3", "4"].map((item) => wire("a", add(item))))
      yield* settle
      const stop = yield* Effect.fork(cell.stop)
      yield* settle
      expect(answers).toEqual([undefined, undefined, moved, moved])
      expect(yield* speak(cell).one(wire("a", add("5")))).toEqual(moved)
      commit.open()
      yield* Fiber.join(stop)
      expect(answers).toEqual([added(1), added(2), moved, moved])
      expect(cell.intake.size).toBe(0)
    }))

  it.scoped("does not wait for ever for a store that hangs; the ids tell the successor what happened", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const command = wire("a", add("1"))
      const answers = post(cell, [command])
      yield* settle
      const stop = yield* Effect.fork(cell.stop)
      yield* TestClock.adjust("2900 millis")
      expect(answers).toEqual([undefined])
      yield* TestClock.adjust("200 millis")
      expect(answers).toEqual([moved])
      yield* Fiber.join(stop)
      commit.open()
      yield* settle
      const successor = yield* house.counters()
      expect(yield* successor.one(command)).toEqual(added(1))
      expect(items(house.store, "a")).toEqual(["1"])
    }))

  it.scoped("that was idle, or was never served, stops at once", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      yield* settle
      yield* cell.stop
      const unserved = house.build(counterKind)
      const answers = post(unserved, [wire("a", add("1"))])
      yield* unserved.stop
      expect(answers).toEqual([moved])
    }))
})

describe("R25, G19: interruption", () => {
  const waits = ["load", "outcomes", "commit", "backOff", "mail"] as const

  for (const wait of waits) {
    it.effect(`reaches a cell that waits for its ${wait}; whoever waited is sent on and executed once elsewhere`, () =>
      Effect.gen(function*() {
        const house = yield* makeHouse
        const first = yield* Scope.make()
        const hang = gate()
        const cell = house.build(counterKind, {
          journal: (journal) => ({
            ...journal,
            load: (ids) => Effect.zipLeft(journal.load(ids), wait === "load" ? hang.wait : Effect.void),
            outcomes: (pairs) => Effect.zipLeft(journal.outcomes(pairs), wait === "outcomes" ? hang.wait : Effect.void),
            commit: (units) => Effect.zipLeft(journal.commit(units), wait === "commit" ? hang.wait : Effect.void)
          })
        })
        if (wait === "backOff") house.store.fate = () => ({ _tag: "LoseThenCommit" })
        const serving = yield* Effect.forkIn(cell.serve, first)
        // Old enough to be looked up.
        yield* TestClock.adjust("10 seconds")
        const commands = wait === "mail" ? [] : ["1", "2"].map((item) => wire("a", add(item), { id: freshId() }))
        const answers = post(cell, commands)
        yield* settle
        yield* Scope.close(first, Exit.void)
        expect((yield* Fiber.await(serving))._tag).toBe("Failure")
        yield* cell.stop
        expect(answers).toEqual(commands.map(() => moved))
        expect(cell.intake.size).toBe(0)
        house.store.land()
        house.store.fate = () => ({ _tag: "Commit" })
        yield* Effect.scoped(Effect.gen(function*() {
          const successor = yield* house.counters()
          expect(yield* successor.all(commands)).toEqual(commands.map((_, i) => added(i + 1)))
        }))
        expect(items(house.store, "a")).toEqual(commands.map((_, i) => `${i + 1}`))
      }))
  }

  it.effect("closing the scope leaves no fibre behind, whatever it waits for", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      for (const hangs of ["nothing", "load", "commit", "stop"] as const) {
        const hang = gate()
        expect(
          yield* leftovers(Effect.gen(function*() {
            house.store.readFate = () => hangs === "load" ? { _tag: "Delay", until: hang.wait } : { _tag: "Read" }
            house.store.fate = () =>
              hangs === "commit" || hangs === "stop" ? { _tag: "Delay", until: hang.wait } : { _tag: "Commit" }
            const { cell } = yield* house.counters()
            post(cell, [wire(hangs, add("x"))])
            yield* settle
            if (hangs === "stop") yield* Effect.forkScoped(cell.stop)
            yield* settle
          }))
        ).toBe(0)
      }
    }))

  it.effect("a cell that is served again after an interruption goes on where it was", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const cell = house.build(counterKind)
      const hang = gate()
      fates(house.store, { _tag: "Delay", until: hang.wait })
      const serving = yield* Effect.fork(cell.serve)
      const answers = post(cell, ["1", "2"].map((item) => wire("a", add(item))))
      yield* settle
      yield* Fiber.interrupt(serving)
      const again = yield* Effect.fork(cell.serve)
      yield* settle
      expect(answers).toEqual([1, 2].map(added))
      yield* Fiber.interrupt(again)
    }))
})
