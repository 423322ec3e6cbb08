import { describe, expect, it } from "@effect/vitest"
import { carry, carryTimeout, directTimeout } from "@hikyaku/cluster/actor/Carrier"
import type { Cell } from "@hikyaku/cluster/actor/Cell"
import { decodeAnswer, encodeGroups, type WireAnswer, type WireGroup } from "@hikyaku/cluster/actor/Wire"
import { Effect } from "effect"
import { add, added, fates, gate, items, makeHouse, settle, wire } from "./CellHouse.ts"

/** A runner's process, with its timers in the test's hands. */
const runner = (cells: Readonly<Record<string, Pick<Cell<never, never, never, never>, "offer">>>) => {
  const timers: Array<{ readonly ms: number; readonly fire: () => void }> = []
  const own = new Map(Object.entries(cells).map(([name, cell]) => [`Counter/${name}`, cell]))
  const options = {
    runner: "r1",
    cells: own,
    after: (ms: number, fire: () => void) => {
      const timer = { ms, fire }
      timers.push(timer)
      return () => {
        timers.splice(timers.indexOf(timer), 1)
      }
    }
  }
  const send = (bytes: Uint8Array) => {
    const answers: Array<WireAnswer> = []
    const giveUp = carry(options, "Counter", bytes, (answer) => answers.push(decodeAnswer(answer)))
    return { answers, giveUp }
  }
  return { send: (groups: ReadonlyArray<WireGroup>) => send(encodeGroups(groups)), bytes: send, timers }
}

describe("R9: a message is carried to the cells of its runner", () => {
  it.scoped("each group to its cell; what does not live here is said not to", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { send, timers } = runner({
        c0: (yield* house.counters({ name: "c0" })).cell,
        c1: (yield* house.counters({ name: "c1" })).cell
      })
      const { answers } = send([
        { cell: "c0", commands: [wire("a", add("x")), wire("a", add("y"))] },
        { cell: "c9", commands: [wire("z", add("x"))] },
        { cell: "c1", commands: [wire("b", add("x"))] }
      ])
      yield* settle
      expect(answers).toEqual([{ runner: "r1", groups: [[added(1), added(2)], null, [added(1)]] }])
      expect(timers).toEqual([])
    }))

  it.scoped("it does not wait for the slowest; what is pending is collected by its id and executed once", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const commit = gate()
      const slow = yield* house.counters({
        name: "c0",
        journal: (journal) => ({ ...journal, commit: (units) => Effect.andThen(commit.wait, journal.commit(units)) })
      })
      const { send, timers } = runner({ c0: slow.cell, c1: (yield* house.counters({ name: "c1" })).cell })
      const groups = [
        { cell: "c0", commands: [wire("a", add("x")), wire("a", add("y"))] },
        { cell: "c1", commands: [wire("b", add("x"))] }
      ]
      const first = send(groups)
      yield* settle
      expect(first.answers).toEqual([])
      expect(timers.map(({ ms }) => ms)).toEqual([carryTimeout])
      timers[0]!.fire()
      const pending = { _tag: "Pending" }
      expect(first.answers).toEqual([{ runner: "r1", groups: [[pending, pending], [added(1)]] }])
      expect(timers).toEqual([])
      const second = send(groups.slice(0, 1))
      expect(timers.map(({ ms }) => ms)).toEqual([directTimeout])
      commit.open()
      yield* settle
      expect(second.answers).toEqual([{ runner: "r1", groups: [[added(1), added(2)]] }])
      expect(first.answers).toHaveLength(1)
      expect(items(house.store, "a")).toEqual(["x", "y"])
    }))

  it.scoped("R10: bytes that cannot be read are answered, and nobody dies of them", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const { bytes } = runner({ c0: (yield* house.counters({ name: "c0" })).cell })
      for (const message of [new Uint8Array(0), new Uint8Array([0xc1]), new TextEncoder().encode("GET / HTTP/1.1")]) {
        expect(bytes(message).answers).toEqual([{ runner: "r1", groups: [] }])
      }
    }))

  it("R10: a reply that cannot be encoded is a fault of its command alone", () => {
    const loop: Record<string, unknown> = {}
    loop["loop"] = loop
    const { send } = runner({
      c0: {
        offer: (commands, _, reply) =>
          commands.forEach((_, i) => reply(i, { _tag: "Reply", reply: i === 1 ? loop : { n: i } }))
      }
    })
    const { answers } = send([{ cell: "c0", commands: [1, 2, 3].map((n) => wire("a", n)) }])
    const fault = { _tag: "Fault", reason: "the reply cannot be encoded" }
    expect(answers[0]?.groups).toEqual([[{ _tag: "Reply", reply: { n: 0 } }, fault, {
      _tag: "Reply",
      reply: { n: 2 }
    }]])
  })

  it.scoped("R25: a message that is given up leaves no timer, and its late answers go nowhere", () =>
    Effect.gen(function*() {
      const house = yield* makeHouse
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const { send, timers } = runner({ c0: (yield* house.counters({ name: "c0" })).cell })
      const { answers, giveUp } = send([{ cell: "c0", commands: [wire("a", add("x"))] }])
      yield* settle
      giveUp()
      expect(timers).toEqual([])
      commit.open()
      yield* settle
      expect(answers).toEqual([])
      expect(items(house.store, "a")).toEqual(["x"])
    }))

  it("a message of nothing is answered at once", () => {
    const { send, timers } = runner({})
    expect(send([]).answers).toEqual([{ runner: "r1", groups: [] }])
    expect(timers).toEqual([])
  })
})
