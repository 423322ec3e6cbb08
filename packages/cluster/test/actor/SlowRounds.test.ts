/** A client, a carrier and cells whose commits take longer than a carrier waits. */
import { describe, expect, it } from "@effect/vitest"
import { type CarrierOptions, carry, carryTimeout, directTimeout } from "@hikyaku/cluster/actor/Carrier"
import { ClientQueue, type Post, queueLimitsDefault } from "@hikyaku/cluster/actor/ClientQueue"
import { keptFor, keptMax } from "@hikyaku/cluster/actor/Intake"
import { cellOf } from "@hikyaku/cluster/actor/Placement"
import { decodeAnswer, encodeGroups, type WireCommand, type WireReply } from "@hikyaku/cluster/actor/Wire"
import { Duration, Effect, FiberSet, TestClock } from "effect"
import { add, added, makeHouse, post, read, settle, total, wire } from "./CellHouse.ts"

const cells = 2
/** An actor of each cell. */
const [a, b] = ["c0", "c1"].map((cell) =>
  Array.from({ length: 100 }, (_, i) => `actor-${i}`).find((actor) => cellOf(actor, cells) === cell)!
) as [string, string]

/** Lets what has become ready run. */
const turns = Effect.yieldNow().pipe(Effect.repeatN(20))
/** ms by which time goes on between two looks. */
const tick = 10

/**
 * Two cells of one runner and a client of theirs. Messages take `latency` ms each way, commits `commit` ms; after `timeout`
 * ms the client gives a message up for lost.
 */
const makeScene = (times: { readonly latency: number; readonly commit: number; readonly timeout: number }) =>
  Effect.gen(function*() {
    const house = yield* makeHouse
    const run = yield* FiberSet.makeRuntime<never>()
    const after: CarrierOptions["after"] = (ms, callback) => {
      let open = true
      run(Effect.sleep(Duration.millis(ms)).pipe(Effect.andThen(Effect.sync(() => open && callback()))))
      return () => {
        open = false
      }
    }
    const own = new Map([
      ["Counter/c0", (yield* house.counters({ name: "c0" })).cell],
      ["Counter/c1", (yield* house.counters({ name: "c1" })).cell]
    ])
    let messages = 0
    const send: Post = (_, groups, done) => {
      messages++
      let heard = false
      const once = (answer: Parameters<typeof done>[0]) => {
        if (heard) return
        heard = true
        done(answer)
      }
      let giveUp = () => {}
      // The library lets the runner know that the caller is gone.
      after(times.timeout, () => {
        once(null)
        after(times.latency, () => giveUp())
      })
      after(times.latency, () => {
        giveUp = carry({ runner: "r1", cells: own, after }, "Counter", encodeGroups(groups), (answer) => {
          after(times.latency, () => once(decodeAnswer(answer)))
        })
      })
    }
    const queue = new ClientQueue({
      cells,
      limits: queueLimitsDefault,
      post: send,
      rest: (ms, wake) => void after(ms, wake),
      monotonic: () => house.clock.unsafeCurrentTimeMillis()
    })
    const ask = ({ actor, command, id }: WireCommand) => {
      const heard: Array<WireReply> = []
      queue.send({
        actor,
        id,
        command,
        at: null,
        expiresAt: house.clock.unsafeCurrentTimeMillis() + 60_000,
        resume: (reply) => heard.push(reply),
        settled: false,
        sent: false,
        astray: false
      })
      return heard
    }
    const pass = (ms: number) =>
      TestClock.adjust(Duration.millis(tick)).pipe(Effect.zipRight(turns), Effect.repeatN(Math.ceil(ms / tick) - 1))
    const heard = [ask(wire(a, add("0"))), ask(wire(b, add("0")))]
    yield* pass(1000)
    expect(heard).toEqual([[added(1)], [added(1)]])
    // From here on both cells are known to live at one runner, and travel together.
    house.store.fate = () => ({ _tag: "Delay", until: Effect.sleep(Duration.millis(times.commit)) })
    return { house, ask, pass, messages: () => messages }
  })

describe("R9: what is pending is collected by its id, however long rounds take", () => {
  for (const latency of [0, 30, 60]) {
    it.scoped(`reads and writes whose round outlasts the carrier, ${latency} ms away, are answered by one round`, () =>
      Effect.gen(function*() {
        const { ask, house, messages, pass } = yield* makeScene({ latency, commit: carryTimeout + 50, timeout: 5000 })
        const before = { commits: house.store.commits, messages: messages() }
        const heard = [ask(wire(a, read)), ask(wire(b, read))]
        yield* pass(800)
        expect(heard).toEqual([[total(1)], [total(1)]])
        expect(house.store.commits - before.commits).toBe(2)
        expect(messages() - before.messages).toBeLessThan(8)
        const written = [ask(wire(a, add("1"))), ask(wire(b, add("1")))]
        yield* pass(800)
        expect(written).toEqual([[added(2)], [added(2)]])
        expect(house.store.commits - before.commits).toBe(4)
      }))
  }

  it.scoped("a read of one cell whose round outlasts the direct wait too", () =>
    Effect.gen(function*() {
      const { ask, pass } = yield* makeScene({ latency: 20, commit: directTimeout + 300, timeout: 5000 })
      const heard = ask(wire(a, read))
      yield* pass(3 * directTimeout)
      expect(heard).toEqual([total(1)])
    }))

  it.scoped("a read whose messages are given up for lost before they are answered", () =>
    Effect.gen(function*() {
      const { ask, pass } = yield* makeScene({ latency: 10, commit: 350, timeout: 300 })
      const heard = ask(wire(a, read))
      yield* pass(2000)
      expect(heard).toEqual([total(1)])
    }))
})

describe("R1: an answer that is kept", () => {
  /** A read that nobody waited for when it was answered. */
  const unheard = Effect.gen(function*() {
    const house = yield* makeHouse
    const { cell, one } = yield* house.counters()
    const question = wire("a", read)
    cell.offer([question], 1, () => false)
    yield* settle
    yield* one(wire("a", add("x")))
    return { house, cell, question }
  })

  it.scoped("is for the command that it answers, and for one who asks again", () =>
    Effect.gen(function*() {
      const { cell, question } = yield* unheard
      const first = post(cell, [question])
      yield* settle
      const second = post(cell, [question])
      yield* settle
      expect([...first, ...second]).toEqual([total(0), total(1)])
    }))

  it.scoped("is not for another content", () =>
    Effect.gen(function*() {
      const { cell, question } = yield* unheard
      const other = post(cell, [{ ...question, command: { _tag: "Remove", item: "none" } }])
      yield* settle
      expect(other).toEqual([{ _tag: "Reply", reply: { _tag: "Done" } }])
    }))

  it.scoped("is gone when the store has another history (R5)", () =>
    Effect.gen(function*() {
      const { cell, house, question } = yield* unheard
      house.store.generation++
      yield* speakOnce(cell)
      const again = post(cell, [question])
      yield* settle
      expect(again).toEqual([total(1)])
    }))

  it.scoped(`is gone after ${keptFor} ms, and there are ${keptMax} of them`, () =>
    Effect.gen(function*() {
      const { cell, house, question } = yield* unheard
      const many = Array.from({ length: keptMax + 10 }, () => wire("a", read))
      yield* TestClock.adjust("2 seconds")
      yield* speakOnce(cell)
      yield* TestClock.adjust(Duration.millis(keptFor + 1))
      yield* speakOnce(cell)
      const again = post(cell, [question])
      yield* settle
      expect(again).toEqual([total(1)])
      cell.offer(many, 1, () => false)
      yield* settle
      yield* settle
      const { commits } = house.store
      const collected = post(cell, many.slice(10))
      expect(new Set(collected.map((reply) => JSON.stringify(reply))).size).toBe(1)
      expect(collected).not.toContain(undefined)
      expect(house.store.commits).toBe(commits)
      expect(post(cell, many.slice(0, 10))).toEqual(Array.from({ length: 10 }, () => undefined))
    }))

  const speakOnce = (cell: Parameters<typeof post>[0]) =>
    Effect.andThen(Effect.sync(() => post(cell, [wire("z", read)])), settle)
})
