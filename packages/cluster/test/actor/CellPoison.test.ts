import { describe, expect, it } from "@effect/vitest"
import type { KindJournal } from "@hikyaku/cluster/actor/Journal"
import type { WireReply } from "@hikyaku/cluster/actor/Wire"
import { type CommandId } from "@hikyaku/domain/Identifier"
import { Effect, TestClock } from "effect"
import { type Counter, counterKind } from "../../../../test/contracts/CounterKind.ts"
import {
  add,
  added,
  fates,
  gate,
  items,
  makeHouse,
  post,
  read,
  recording,
  settle,
  speak,
  total,
  wire
} from "./CellHouse.ts"

const poison = { _tag: "Throw" }
const fault = expect.objectContaining({ _tag: "Fault" })

/** A store that kills the round of any cell that brings it this item. */
const deadly = (item: string) => (journal: KindJournal<Counter>): KindJournal<Counter> => ({
  ...journal,
  commit: (units) =>
    units.some((unit) => unit.change?.rows.some((row) => row.row["item"] === item) ?? false)
      ? Effect.die(new Error("deadly"))
      : journal.commit(units)
})

describe("R10, G19: a command that breaks something hurts only itself", () => {
  it.scoped("one that breaks the decider", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all } = yield* house.counters()
      expect(
        yield* all([
          wire("a", add("1")),
          wire("a", poison),
          wire("a", add("2")),
          wire("b", add("1")),
          wire("b", poison)
        ])
      ).toEqual([added(1), fault, added(2), added(1), fault])
    }))

  it.scoped("one that cannot be turned into rows", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all } = yield* house.counters()
      expect(
        yield* all([
          wire("a", add("1")),
          wire("a", { _tag: "BreakRows" }),
          wire("a", add("2")),
          wire("b", add("1")),
          wire("a", { _tag: "BreakRows" }),
          wire("a", read)
        ])
      ).toEqual([added(1), fault, added(2), added(1), fault, total(2)])
      expect(items(house.store, "a")).toEqual(["1", "2"])
    }))

  it.scoped("one that the store refuses, among others of its actor", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all } = yield* house.counters()
      expect(
        yield* all([
          wire("a", add("1")),
          wire("a", add("\u0000")),
          wire("a", add("2")),
          wire("a", add("1")),
          wire("b", add("1"))
        ])
      ).toEqual([added(1), fault, added(2), fault, added(1)])
      expect(items(house.store, "a")).toEqual(["1", "2"])
    }))

  it.scoped("all of an actor's commands may be refused", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all } = yield* house.counters()
      const bad = Array.from({ length: 9 }, () => wire("a", add("\u0000")))
      expect(yield* all([...bad, wire("b", add("1"))])).toEqual([...bad.map(() => fault), added(1)])
      expect(house.store.commits).toBeLessThan(25)
    }))

  it.scoped("one that kills its round: it is found by halving, the others are executed once", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters({ journal: deadly("deadly") })
      const n = 500
      const commands = Array.from({ length: n }, (_, i) => wire(`${i % 7}`, add(i === 300 ? "deadly" : `${i}`)))
      const answers = post(cell, commands)
      const neighbour = post(cell, [wire("neighbour", add("x"))])
      yield* settle
      expect(answers.filter((answer) => answer?._tag === "Fault")).toEqual([answers[300]])
      expect(answers.filter((answer) => answer?._tag === "Reply")).toHaveLength(n - 1)
      expect(neighbour).toEqual([added(1)])
      // Twice the number of halvings.
      expect(house.store.commits).toBeLessThan(2 * Math.ceil(Math.log2(n)) + 3)
      const order = Array.from({ length: 7 }, (_, actor) => items(house.store, `${actor}`).map(Number))
      expect(order).toEqual(order.map((numbers) => numbers.toSorted((a, b) => a - b)))
      // And it goes on.
      expect(yield* speak(cell).one(wire("0", read))).toEqual(total(order[0]!.length))
    }))

  it.scoped("several that kill, and new mail meanwhile", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters({ journal: deadly("deadly") })
      const answers = post(cell, Array.from({ length: 40 }, (_, i) => wire("a", add(i % 10 === 3 ? "deadly" : `${i}`))))
      yield* Effect.yieldNow()
      const later = post(cell, [wire("a", add("later")), wire("b", add("later"))])
      yield* settle
      expect(answers.map((answer) => answer?._tag)).toEqual(
        Array.from({ length: 40 }, (_, i) => i % 10 === 3 ? "Fault" : "Reply")
      )
      expect(later).toEqual([added(37), added(1)])
    }))

  it.scoped("one whose actor cannot be loaded", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const before = yield* house.counters()
      yield* before.all([wire("cursed", add("x")), wire("b", add("x"))])
      const kind = {
        ...counterKind,
        restore: (...[id, main, children]: Parameters<typeof counterKind.restore>) => {
          if (id === "cursed") throw new Error("no such shape")
          return counterKind.restore(id, main, children)
        }
      }
      const { all } = speak((yield* house.open(kind)).cell)
      expect(yield* all([wire("b", add("y")), wire("cursed", add("y")), wire("c", add("y"))]))
        .toEqual([added(2), fault, added(1)])
    }))

  it.scoped("a cell whose loop fails starts again and loses nothing", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const cell = house.build(counterKind)
      const take = cell.intake.take.bind(cell.intake)
      let broken = 1
      cell.intake.take = (max) => {
        const entries = take(max)
        if (broken-- > 0) throw new Error("broken")
        return entries
      }
      yield* Effect.forkScoped(cell.serve)
      const answers = post(cell, ["1", "2"].map((item) => wire("a", add(item))))
      yield* TestClock.adjust("5 seconds")
      expect(answers).toEqual([1, 2].map(added))
    }))

  it.scoped("ids that no store can hold do not reach it, so that nobody's query fails", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const asked: Array<string> = []
      const { all } = yield* house.counters({
        journal: (journal) => ({
          ...journal,
          load: (ids) => {
            asked.push(...ids)
            return journal.load(ids)
          }
        })
      })
      const bad = ["", "a\u0000b", "\ud800", "x".repeat(257)]
      const id = "not-a-uuid" as CommandId
      expect(
        yield* all([...bad.map((actor) => wire(actor, add("x"))), wire("a", add("x")), wire("a", add("y"), { id })])
      ).toEqual([...bad.map(() => fault), added(1), fault])
      expect(asked).toEqual(["a"])
    }))

  it.scoped("a command that is none, or cannot even be read", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { all } = yield* house.counters()
      const loop: Record<string, unknown> = {}
      loop["loop"] = loop
      const bad = [null, 5, "Add", { _tag: "Add", item: "x" }, 10n, loop]
      expect(yield* all([...bad.map((command) => wire("a", command)), wire("a", add("x"))]))
        .toEqual([...bad.map(() => fault), added(1)])
    }))

  it.scoped("a waiter that fails keeps nobody else from hearing", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const heard: Array<WireReply> = []
      cell.offer([wire("a", add("x")), wire("a", add("y"))], 1, (index, reply) => {
        if (index === 0) throw new Error("deaf")
        heard.push(reply)
      })
      yield* settle
      expect(heard).toEqual([added(2)])
      expect(cell.intake.size).toBe(0)
    }))

  it.scoped("R1: not even a fault is told by a cell that has lost its actor", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const touchy = {
        ...counterKind,
        decider: {
          ...counterKind.decider,
          decide: (...[state, command, now]: Parameters<typeof counterKind.decider.decide>) => {
            if (state.total === 1 && command._tag === "Read") throw new Error("not while it is one")
            return counterKind.decider.decide(state, command, now)
          }
        }
      }
      const frozen = speak((yield* house.open(touchy)).cell)
      const successor = yield* house.counters()
      yield* frozen.one(wire("a", add("x")))
      yield* successor.one(wire("a", add("y")))
      expect(yield* frozen.one(wire("a", read))).toEqual(total(2))
    }))

  it.scoped("R3: a repeat that would break now gets the outcome that it had", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const touchy = {
        ...counterKind,
        decider: {
          ...counterKind.decider,
          decide: (...[state, command, now]: Parameters<typeof counterKind.decider.decide>) => {
            if (state.total > 0) throw new Error("only at the beginning")
            return counterKind.decider.decide(state, command, now)
          }
        }
      }
      const first = speak((yield* house.open(touchy)).cell)
      const second = speak((yield* house.open(touchy)).cell)
      const command = wire("a", add("x"))
      expect(yield* first.one(command)).toEqual(added(1))
      expect(yield* second.one(command)).toEqual(added(1))
      expect(yield* second.one(wire("a", add("y")))).toEqual(fault)
    }))
})

describe("R23, G19: fairness", () => {
  it.scoped("an actor with a huge queue delays its cell-mates by one bounded round", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const units: Parameters<typeof recording>[0] = []
      const { cell } = yield* house.counters({ journal: recording(units), limits: { roundMax: 50 } })
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const rush = post(cell, Array.from({ length: 600 }, (_, i) => wire("rush", add(`${i}`))))
      yield* settle
      const mates = post(cell, ["a", "b", "c"].map((actor) => wire(actor, add("x"))))
      commit.open()
      yield* settle
      expect(mates).toEqual([1, 1, 1].map(added))
      expect(units.findIndex((group) => group.some((unit) => unit.actor === "a"))).toBe(1)
      expect(rush.at(-1)).toEqual(added(600))
      expect(
        Math.max(...units.map((group) => group.reduce((sum, unit) => sum + (unit.change?.outcomes.length ?? 0), 0)))
      )
        .toBe(50)
    }))

  it.scoped("nor does it take their room", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters({ limits: { commandsMax: 50, roundMax: 10 } })
      const rush = post(cell, Array.from({ length: 80 }, (_, i) => wire("rush", add(`${i}`))))
      const mate = post(cell, [wire("mate", add("x"))])
      yield* settle
      expect(mate).toEqual([added(1)])
      // The newest of the rush made room, and whoever was let in is served in order.
      expect(rush.filter((reply) => reply?._tag === "Overloaded")).toHaveLength(31)
      expect(rush.slice(0, 49)).toEqual(Array.from({ length: 49 }, (_, i) => added(i + 1)))
    }))
})
