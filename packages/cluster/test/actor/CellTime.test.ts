import { describe, expect, it } from "@effect/vitest"
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { Effect, TestClock } from "effect"
import {
  type Counter,
  type CounterCommand,
  type CounterEvent,
  counterKind,
  type CounterReply
} from "../../../../test/contracts/CounterKind.ts"
import {
  add,
  added,
  fates,
  gate,
  items,
  makeHouse,
  post,
  read,
  settle,
  speak,
  start,
  total,
  wire
} from "./CellHouse.ts"

/** A counter that writes down when it was asked. */
const watched = (instants: Array<number>): ActorKind<Counter, CounterCommand, CounterReply, CounterEvent> => ({
  ...counterKind,
  decider: {
    ...counterKind.decider,
    decide: (state, command, now) => {
      instants.push(now)
      return counterKind.decider.decide(state, command, now)
    }
  }
})

describe("R6: time never runs backwards for an actor", () => {
  it.scoped("a successor whose clock is behind goes on from its predecessor's last instant", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const instants: Array<number> = []
      const kind = watched(instants)
      const fast = speak((yield* house.open(kind, { ahead: 5000 })).cell)
      const slow = speak((yield* house.open(kind)).cell)
      yield* fast.one(wire("a", add("x")))
      yield* slow.one(wire("a", add("y")))
      yield* TestClock.adjust("6 seconds")
      yield* slow.one(wire("a", add("z")))
      expect(instants).toEqual([start + 5000, start + 5000, start + 6000])
      expect(house.store.kind("Counter").actors.get("a")?.clock).toBe(start + 6000)
    }))

  it.scoped("a read has told the time: what follows in this cell is not earlier", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const instants: Array<number> = []
      let ahead = 0
      const { one } = speak((yield* house.open(watched(instants), { ahead: () => ahead })).cell)
      yield* one(wire("a", add("x")))
      ahead = 70
      yield* one(wire("a", read))
      ahead = 0
      yield* one(wire("a", add("y")))
      expect(instants).toEqual([start, start + 70, start + 70])
    }))

  it.scoped("a replay's commands carry their instant; outside of a replay it counts for nothing", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const instants: Array<number> = []
      const kind = watched(instants)
      const replay = speak((yield* house.open(kind, { logical: true })).cell)
      const real = speak((yield* house.open(kind)).cell)
      yield* replay.one(wire("a", add("x"), { at: start + 9000 }))
      yield* replay.one(wire("a", add("y"), { at: start + 8000 }))
      yield* replay.one(wire("b", add("y"), { at: Number.NaN }))
      yield* real.one(wire("c", add("x"), { at: start + 9000 }))
      expect(instants).toEqual([start + 9000, start + 9000, start, start])
    }))
})

describe("R6, R10: deadlines", () => {
  it.scoped("a command that expired while it waited is dropped undecided", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const instants: Array<number> = []
      const { cell } = yield* house.open(watched(instants))
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      post(cell, [wire("a", add("x"))])
      yield* settle
      const answers = post(cell, [wire("a", add("y"), { within: 99 }), wire("a", add("z"), { within: 1000 })])
      yield* TestClock.adjust("100 millis")
      commit.open()
      yield* settle
      expect(answers).toEqual([{ _tag: "Late" }, added(2)])
      expect(instants).toHaveLength(2)
    }))

  it.scoped("what is late at the commit is not written, and what was decided with it and has time left is", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const answers = post(cell, [
        wire("a", add("late"), { within: 50 }),
        wire("a", add("x"), { within: 5000 }),
        wire("a", add("soon"), { within: 60 }),
        wire("b", add("y"), { within: 5000 })
      ])
      yield* TestClock.adjust("100 millis")
      commit.open()
      yield* settle
      expect(answers).toEqual([{ _tag: "Late" }, added(1), { _tag: "Late" }, added(1)])
      expect(items(house.store, "a")).toEqual(["x"])
    }))

  it.scoped("a store whose clock is ahead of the cell's does not tire those who have time", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      house.store.now = () => house.now() + 200
      const answers = post(cell, [wire("a", add("late"), { within: 100 }), wire("a", add("x"), { within: 5000 })])
      yield* settle
      expect(answers).toEqual([{ _tag: "Late" }, added(1)])
    }))

  it.scoped("a read with little time holds back no write and is itself answered", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { cell } = yield* house.counters()
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const answers = post(cell, [wire("a", read, { within: 50 }), wire("a", add("x"), { within: 5000 })])
      yield* TestClock.adjust("100 millis")
      commit.open()
      yield* settle
      expect(answers).toEqual([total(0), added(1)])
      expect(house.store.commits).toBe(1)
    }))

  it.scoped("a deadline that is no number is over", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { one } = yield* house.counters()
      expect(yield* one(wire("a", add("x"), { within: Number.NaN }))).toEqual({ _tag: "Late" })
    }))
})
