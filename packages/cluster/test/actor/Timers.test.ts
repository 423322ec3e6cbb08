import { describe, expect, it } from "@effect/vitest"
import { ActorClient, CommandFault, NoAnswer, type Send, type SendError } from "@hikyaku/cluster/actor/ActorClient"
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { layer as memory } from "@hikyaku/cluster/actor/JournalMemory"
import { layerTest } from "@hikyaku/cluster/actor/ShopClock"
import { failureRest, faultRest, lookInterval, poll, poller, wakeMax, wakeWithin } from "@hikyaku/cluster/actor/Timers"
import { Effect, Either, Layer, TestClock } from "effect"
import { counterKind } from "../../../../test/contracts/CounterKind.ts"
import { makeHouse, start, wire } from "./CellHouse.ts"

/** A client that notes what it is asked to send; `answer` says what becomes of it. */
const noting = (sent: Array<Send<unknown>>, answer: (actor: string) => SendError | null = () => null) =>
  Layer.succeed(ActorClient, {
    send: () => Effect.die("timers send in batches"),
    sendEach: () => Effect.die("timers wait for all"),
    sendAll: ({ decider }, requests) =>
      Effect.sync(() =>
        requests.map((request) => {
          sent.push(request)
          const error = answer(request.actor)
          if (error !== null) return Either.left(error)
          return Either.right(decider.decide(decider.initial(request.actor), request.command, start).reply)
        })
      )
  })

/** Actors that are due so many ms after `start`. */
const remind = (at: Readonly<Record<string, number>>, cell = "c0") =>
  Effect.gen(function*() {
    const house = yield* makeHouse
    yield* TestClock.setTime(0)
    const { all } = yield* house.counters({ name: cell })
    yield* all(Object.entries(at).map(([actor, ms]) => wire(actor, { _tag: "Remind", at: start + ms })))
    yield* TestClock.setTime(start)
    return house
  })

describe("R15: timers are rows", () => {
  it.scoped("what is due in the cells named is woken, oldest first, at the instant of the poll", () =>
    Effect.gen(function*() {
      const { store } = yield* remind({ a: 30, b: 10, c: 5000 })
      const sent: Array<Send<unknown>> = []
      const polling = (cells: ReadonlyArray<string>) =>
        poll(counterKind, cells).pipe(Effect.provide([memory(store), noting(sent), layerTest]))
      expect(yield* polling(["c0"])).toBe(0)
      yield* TestClock.adjust("100 millis")
      expect(yield* polling(["c1"])).toBe(0)
      expect(yield* polling([])).toBe(0)
      expect(yield* polling(["c0", "c1"])).toBe(2)
      expect(sent).toEqual(
        ["b", "a"].map((actor) => ({ actor, command: { _tag: "Wake" }, at: start + 100, within: wakeWithin }))
      )
    }))

  it.scoped("a timer that fires twice, or late, does its work once", () =>
    Effect.gen(function*() {
      const house = yield* remind({ a: 30 })
      const { all } = yield* house.counters()
      const woken = () => house.store.kind("Counter").actors.get("a")
      house.store.now = () => 0
      // The cell's clock is the house's, which counts from `start` again.
      yield* TestClock.setTime(60)
      const version = woken()!.fence.version
      yield* all([wire("a", { _tag: "Wake" }), wire("a", { _tag: "Wake" })])
      expect(woken()).toMatchObject({ dueAt: null, fence: { version: version + 1 } })
      yield* all([wire("a", { _tag: "Wake" })])
      expect(woken()?.fence.version).toBe(version + 1)
    }))

  it.scoped("G19: actors whose wake-up fails do not keep the others asleep", () =>
    Effect.gen(function*() {
      const poisoned = Object.fromEntries(Array.from({ length: wakeMax }, (_, i) => [`poison-${i}`, i / 1000]))
      const { store } = yield* remind({ ...poisoned, "a": 50 })
      const sent: Array<Send<unknown>> = []
      const resting = new Map<string, number>()
      const error = { current: new NoAnswer({ reason: "hangs" }) as SendError }
      const client = noting(sent, (actor) => actor.startsWith("poison") ? error.current : null)
      const polling = Effect.suspend(() => {
        sent.length = 0
        return poll(counterKind, ["c0"], resting).pipe(Effect.provide([memory(store), client, layerTest]))
      })
      yield* TestClock.adjust("100 millis")
      expect(yield* polling).toBe(wakeMax)
      expect(yield* polling).toBe(1)
      expect(sent.map(({ actor }) => actor)).toEqual(["a"])
      yield* TestClock.adjust(failureRest)
      error.current = new CommandFault({ reason: "broken" })
      expect(yield* polling).toBe(wakeMax)
      yield* TestClock.adjust(faultRest - 1)
      expect(yield* polling).toBe(1)
      yield* TestClock.adjust(1)
      expect(yield* polling).toBe(wakeMax)
    }))

  it.scoped("while nothing is due nothing is read; what this process commits is woken when it is due", () =>
    Effect.gen(function*() {
      const house = yield* remind({ a: 300, z: 100_000 })
      const sent: Array<Send<unknown>> = []
      let reads = 0
      house.store.readFate = () => {
        reads++
        return { _tag: "Read" }
      }
      const journal = memory(house.store)
      yield* Effect.gen(function*() {
        const own = (yield* Journal).of(counterKind)
        const polling = yield* poller(counterKind, () => ["c0"], Effect.succeed(["c0"]))
        expect(yield* polling).toBe(0)
        const first = reads
        expect(first).toBeGreaterThan(0)
        for (let ms = 0; ms < 250; ms += 50) {
          yield* TestClock.adjust("50 millis")
          expect(yield* polling).toBe(0)
        }
        expect(reads).toBe(first)
        // It has read when the next is due.
        yield* TestClock.adjust("50 millis")
        expect(yield* polling).toBe(1)
        // Whoever was woken and did not decide otherwise is due still.
        expect(yield* polling).toBe(1)
        const decide = (dueAt: number | null) =>
          Effect.gen(function*() {
            const [a] = yield* own.load(["a"])
            const { epoch } = a!.fence
            const main = counterKind.mainRow(a!.state)
            const change = { clock: start, dueAt, cell: "c0", epoch, main, outcomes: [], rows: [], outbox: [] }
            return yield* own.commit([{ actor: "a", base: a!.fence, writer: "w", asked: [], notAfter: null, change }])
          })
        yield* decide(null)
        // It has read that nothing is due for long; what is decided after that is not read, but known.
        expect(yield* polling).toBe(0)
        yield* decide(start + 400)
        const second = reads
        yield* TestClock.adjust("50 millis")
        expect(yield* polling).toBe(0)
        expect(reads).toBe(second)
        yield* TestClock.adjust("50 millis")
        expect(yield* polling).toBe(1)
        expect(sent.map(({ actor }) => actor)).toEqual(["a", "a", "a"])
      }).pipe(Effect.provide([journal, noting(sent), layerTest]))
    }))

  it.scoped("what another process has left is found by a look now and then, and at once in cells that are new here", () =>
    Effect.gen(function*() {
      const { store } = yield* remind({ a: 10 })
      let cells: ReadonlyArray<string> = ["c1"]
      yield* Effect.gen(function*() {
        const polling = yield* poller(counterKind, () => cells, Effect.sync(() => cells))
        yield* TestClock.adjust("20 millis")
        expect(yield* polling).toBe(0)
        cells = ["c0", "c1"]
        expect(yield* polling).toBe(1)
        // Decided elsewhere: this journal knows nothing of it.
        const later = (dueAt: number) =>
          store.kind("Counter").actors.set("a", { ...store.kind("Counter").actors.get("a")!, dueAt })
        later(start + 90_000)
        expect(yield* polling).toBe(0)
        later(start + 20)
        expect(yield* polling).toBe(0)
        yield* TestClock.adjust(lookInterval)
        expect(yield* polling).toBe(1)
      }).pipe(Effect.provide([memory(store), noting([]), layerTest]))
    }))

  it.scoped("a store that cannot be read is an error of the poll, not its end", () =>
    Effect.gen(function*() {
      const { store } = yield* remind({ a: 0 })
      store.readFate = () => ({ _tag: "Fail" })
      const failed = yield* Effect.either(
        poll(counterKind, ["c0"]).pipe(Effect.provide([memory(store), noting([]), layerTest]))
      )
      expect(Either.isLeft(failed)).toBe(true)
      store.readFate = () => ({ _tag: "Read" })
      const journal = yield* Journal.pipe(Effect.provide(memory(store)))
      expect(yield* journal.of(counterKind).due(["c0"], start, 10)).toEqual([{ actor: "a", cell: "c0" }])
    }))
})
