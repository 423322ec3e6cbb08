/** What is under way is kept within the room at every instant, and what starts next is chosen when it starts. */
import { it } from "@effect/vitest"
import type { OpenList } from "@hikyaku/cluster/delivery/DeliveryStore"
import type { Work } from "@hikyaku/cluster/delivery/ListRequests"
import { answered, type Ending, neverStarted } from "@hikyaku/cluster/delivery/SlotDesk"
import { breakerMaxMs, makeStartingLine, type Ready } from "@hikyaku/cluster/delivery/StartingLine"
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import type { Shares } from "@hikyaku/domain/delivery/Dispatch"
import type { Room } from "@hikyaku/domain/delivery/ProviderCommand"
import { noCounts, type Operation, operations } from "@hikyaku/domain/delivery/RateLimit"
import { Clock, Duration, Effect, Scope, TestClock, TestContext } from "effect"
import fc from "fast-check"
import { describe, expect } from "vitest"

const unlimited: Room = { total: null, upload: null, send: null, status: null, history: null }
const shares: Shares = { batch: 0.25, ageMs: 60_000 }
const forEver = 1n << 60n

const listOf = (id: string): OpenList => ({
  id,
  campaign: "c",
  version: 1,
  class: "batch",
  channel: "mail",
  state: { status: "queued", attempt: 0 },
  priority: 0,
  recipients: 1,
  polls: 0,
  since: 0,
  deadline: 0
})

const ready = (
  id: string,
  cls: DeliveryClass,
  operation: Operation = "upload",
  of: Partial<Pick<Ready, "deadline" | "slot">> & { readonly latestStart?: number } = {}
): Ready => ({
  work: { list: listOf(id), operation },
  candidate: { id, operation, class: cls, latestStart: of.latestStart ?? 1_000, deadline: null, since: 0, priority: 0 },
  deadline: of.deadline ?? null,
  slot: of.slot === undefined ? { id: `${id}/slot`, startBefore: forEver } : of.slot
})

/** How a request goes: how long until its answer, how that ends for its place, and how long until it is on record. */
interface Course {
  readonly takesMs: number
  readonly ending: Ending
  readonly recordMs: number
}
const quick: Course = { takesMs: 100, ending: answered, recordMs: 0 }

/** A line before a provider that counts what it is busy with, and notes every start that breaks the room of that instant. */
const makeStage = (first: Room, courseOf: (id: string) => Course, batchShare = shares.batch) =>
  Effect.gen(function*() {
    let room = first
    const scope = yield* Effect.scope
    const busy = { ...noCounts }
    const peak = { ...noCounts, total: 0 }
    const started: Array<string> = []
    const broken: Array<string> = []
    const finished: Array<string> = []
    const within = () => operations.reduce((sum, operation) => sum + busy[operation], 0)
    const perform = ({ list, operation }: Work, _: bigint, over: (ending: Ending) => Effect.Effect<void>) =>
      Effect.gen(function*() {
        const { ending, recordMs, takesMs } = courseOf(list.id)
        started.push(list.id)
        busy[operation]++
        if (busy[operation] > (room[operation] ?? Infinity)) broken.push(`${operation} ${busy[operation]}`)
        if (within() > (room.total ?? Infinity)) broken.push(`total ${within()}`)
        peak[operation] = Math.max(peak[operation], busy[operation])
        peak.total = Math.max(peak.total, within())
        yield* Effect.sleep(Duration.millis(takesMs))
        const release = Effect.sync(() => busy[operation]--)
        // Without an answer the provider may be busy for as long as the ending says, up to its last ms.
        if (ending.busyForMs > 0) yield* Effect.forkScoped(Effect.delay(release, Duration.millis(ending.busyForMs - 1)))
        else yield* release
        yield* over(ending)
        yield* Effect.sleep(Duration.millis(recordMs))
        return ending
      }).pipe(Effect.provideService(Scope.Scope, scope))
    const line = yield* makeStartingLine(
      { ...shares, batch: batchShare },
      () => room,
      perform,
      ({ work }) => Effect.sync(() => finished.push(work.list.id))
    )
    return {
      line,
      started,
      broken,
      finished,
      busy,
      peak,
      within,
      setRoom: (next: Room) => room = next,
      room: () => room
    }
  })

const arbitraryRoom: fc.Arbitrary<Room> = (() => {
  const bound = fc.option(fc.integer({ min: 0, max: 5 }), { nil: null })
  return fc.record({ total: bound, upload: bound, send: bound, status: bound, history: bound })
})()
const arbitraryCourse: fc.Arbitrary<Course> = fc.record({
  takesMs: fc.integer({ min: 1, max: 400 }),
  recordMs: fc.integer({ min: 0, max: 200 }),
  ending: fc.record({
    started: fc.constant(true),
    busyForMs: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, {
      weight: 1,
      arbitrary: fc.integer({ min: 2, max: 900 })
    }),
    throttledForMs: fc.oneof(
      { weight: 5, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 500 }) }
    )
  })
})
const arbitraryStep = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constant("Ready" as const),
      operation: fc.constantFrom(...operations),
      class: fc.constantFrom("realtime" as const, "batch" as const),
      course: arbitraryCourse
    })
  },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Pass" as const), ms: fc.integer({ min: 1, max: 300 }) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Room" as const), room: arbitraryRoom }) }
)

describe("what is under way stays within the room (G9)", () => {
  it("at every start, through lost answers, 429s and a room that changes; and no place with work for it stays free (G12)", () =>
    fc.assert(
      fc.asyncProperty(
        arbitraryRoom,
        fc.array(arbitraryStep, { minLength: 5, maxLength: 60 }),
        (room, steps) =>
          Effect.gen(function*() {
            const courses = new Map<string, Course>()
            const stage = yield* makeStage(room, (id) => courses.get(id) ?? quick)
            const settled = Effect.repeatN(Effect.yieldNow(), 20)
            for (const [index, step] of steps.entries()) {
              switch (step._tag) {
                case "Ready":
                  courses.set(`${index}`, step.course)
                  stage.line.add(ready(`${index}`, step.class, step.operation))
                  break
                case "Pass":
                  yield* TestClock.adjust(Duration.millis(step.ms))
                  break
                case "Room":
                  stage.setRoom(step.room)
              }
              yield* stage.line.launch
              yield* settled
            }
            expect(stage.broken).toEqual([])
            // When all that is under way has ended, a room that is wide open takes whatever is left.
            stage.setRoom(unlimited)
            yield* TestClock.adjust(Duration.seconds(5))
            yield* stage.line.launch
            yield* TestClock.adjust(Duration.seconds(5))
            expect(stage.line.all()).toEqual([])
            expect(stage.within()).toBe(0)
            expect(new Set(stage.started).size).toBe(stage.started.length)
            expect(stage.finished.length).toBe(stage.started.length)
          }).pipe(Effect.scoped, Effect.provide(TestContext.TestContext), Effect.runPromise)
      ),
      { numRuns: 60 }
    ))

  it.scoped("leaves no place free for which something is ready (work conservation, G12)", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage({ ...unlimited, total: 3 }, () => quick)
      for (let n = 0; n < 9; n++) stage.line.add(ready(`${n}`, "batch"))
      yield* stage.line.launch
      for (let round = 1; round <= 3; round++) {
        yield* Effect.repeatN(Effect.yieldNow(), 20)
        expect(stage.within()).toBe(3)
        expect(stage.started.length).toBe(3 * round)
        yield* TestClock.adjust(Duration.millis(100))
      }
      expect(stage.within()).toBe(0)
    }))

  it.scoped("keeps the place of a request without an answer until the provider must be done with it (R20)", () =>
    Effect.gen(function*() {
      const lost: Course = { takesMs: 50, ending: { ...answered, busyForMs: 1_000 }, recordMs: 0 }
      const stage = yield* makeStage({ ...unlimited, total: 1 }, (id) => id === "lost" ? lost : quick)
      stage.line.add(ready("lost", "batch"))
      yield* stage.line.launch
      stage.line.add(ready("next", "batch"))
      yield* TestClock.adjust(Duration.millis(1_049))
      expect(stage.started).toEqual(["lost"])
      yield* TestClock.adjust(Duration.millis(2))
      expect(stage.started).toEqual(["lost", "next"])
      expect(stage.broken).toEqual([])
    }))

  it.scoped("stops trying when the provider cannot be reached, then tries one at a time until it can (circuit breaker)", () =>
    Effect.gen(function*() {
      let reachable = false
      const gone: Course = { takesMs: 10, ending: { ...neverStarted, unreachable: true }, recordMs: 0 }
      const stage = yield* makeStage({ ...unlimited, total: 8 }, () => reachable ? quick : gone)
      for (let n = 0; n < 40; n++) stage.line.add(ready(`${n}`, "batch"))
      yield* stage.line.launch
      yield* TestClock.adjust(Duration.millis(100))
      // Those that were under way when it became too many, and no more.
      const tried = stage.started.length
      expect(tried).toBeLessThan(20)
      yield* TestClock.adjust(Duration.millis(100))
      yield* stage.line.launch
      expect(stage.started.length).toBe(tried)
      for (let n = 1; n <= 3; n++) {
        yield* TestClock.adjust(Duration.millis(breakerMaxMs))
        yield* stage.line.launch
        yield* TestClock.adjust(Duration.millis(50))
        expect(stage.started.length).toBe(tried + n)
      }
      reachable = true
      yield* TestClock.adjust(Duration.millis(breakerMaxMs))
      yield* stage.line.launch
      yield* TestClock.adjust(Duration.seconds(1))
      expect(stage.line.all()).toEqual([])
      expect(stage.broken).toEqual([])
    }))

  it.scoped("rests an operation that got a 429 for as long as it says, and no other", () =>
    Effect.gen(function*() {
      const pushedBack: Course = { takesMs: 10, ending: { ...answered, throttledForMs: 500 }, recordMs: 0 }
      const stage = yield* makeStage({ ...unlimited, total: 1 }, (id) => id === "first" ? pushedBack : quick)
      stage.line.add(ready("first", "batch"))
      yield* stage.line.launch
      stage.line.add(ready("upload", "batch"))
      stage.line.add(ready("send", "batch", "send", { latestStart: 9_000 }))
      yield* TestClock.adjust(Duration.millis(20))
      expect(stage.started).toEqual(["first", "send"])
      yield* TestClock.adjust(Duration.millis(489))
      yield* stage.line.launch
      expect(stage.started).toEqual(["first", "send"])
      yield* TestClock.adjust(Duration.millis(2))
      yield* stage.line.launch
      yield* Effect.repeatN(Effect.yieldNow(), 20)
      expect(stage.started).toEqual(["first", "send", "upload"])
    }))
})

describe("who starts is decided when it starts (G11, G12)", () => {
  it.scoped("the published example: limit 2, four batch requests and one realtime, which takes the first place that frees", () =>
    Effect.gen(function*() {
      const takes: Readonly<Record<string, number>> = { b1: 300, b2: 500, b3: 400, b4: 600, now: 100 }
      const stage = yield* makeStage({ ...unlimited, total: 2 }, (id) => ({ ...quick, takesMs: takes[id] ?? 0 }))
      for (const [index, id] of ["b1", "b2", "b3", "b4"].entries()) {
        stage.line.add(ready(id, "batch", "upload", { latestStart: 1_000 + index }))
      }
      yield* stage.line.launch
      yield* TestClock.adjust(Duration.millis(100))
      stage.line.add(ready("now", "realtime", "upload", { latestStart: 99_999 }))
      yield* stage.line.launch
      yield* TestClock.adjust(Duration.millis(199))
      expect(stage.started).toEqual(["b1", "b2"])
      yield* TestClock.adjust(Duration.millis(1))
      expect(stage.started).toEqual(["b1", "b2", "now"])
      yield* TestClock.adjust(Duration.seconds(2))
      expect(stage.started).toEqual(["b1", "b2", "now", "b3", "b4"])
      expect(stage.peak.total).toBe(2)
    }))

  it.scoped("realtime goes first whatever it asks for, and however urgent batch is", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage({ ...unlimited, total: 1 }, () => quick)
      stage.line.add(ready("first", "batch"))
      yield* stage.line.launch
      stage.line.add(ready("batch", "batch", "send", { latestStart: 1 }))
      stage.line.add(ready("now", "realtime", "upload", { latestStart: 99_999 }))
      yield* TestClock.adjust(Duration.millis(100))
      expect(stage.started).toEqual(["first", "now"])
    }))

  it.scoped("gives batch its share of the places while realtime never ends", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage({ ...unlimited, total: 1 }, () => quick, 0.25)
      let n = 0
      const refill = () => {
        const waiting = stage.line.all()
        for (const cls of ["realtime", "batch"] as const) {
          const have = waiting.filter(({ candidate }) => candidate.class === cls).length
          for (let k = have; k < 2; k++) stage.line.add(ready(`${cls}${n++}`, cls))
        }
      }
      refill()
      yield* stage.line.launch
      for (let round = 0; round < 80; round++) {
        yield* Effect.repeatN(Effect.yieldNow(), 5)
        refill()
        yield* TestClock.adjust(Duration.millis(100))
      }
      const batch = stage.started.filter((id) => id.startsWith("batch")).length
      expect(batch).toBeGreaterThanOrEqual(19)
      expect(batch).toBeLessThanOrEqual(21)
    }))

  it.scoped("starts nothing after its deadline or its slot's lease, and nothing without a slot (G13, R20)", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage({ ...unlimited, total: 1 }, () => quick)
      const nanos = yield* Clock.currentTimeNanos
      stage.line.add(ready("first", "batch", "upload", { latestStart: 1 }))
      yield* stage.line.launch
      stage.line.add(ready("late", "batch", "upload", { deadline: nanos + 99_000_000n }))
      stage.line.add(ready("lapsed", "batch", "upload", { slot: { id: "s", startBefore: nanos + 100_000_000n } }))
      stage.line.add(ready("without", "batch", "upload", { slot: null }))
      yield* TestClock.adjust(Duration.seconds(1))
      yield* stage.line.launch
      expect(stage.started).toEqual(["first"])
      expect((yield* stage.line.close).length).toBe(3)
    }))

  it.scoped("starts nothing once it is closed", () =>
    Effect.gen(function*() {
      const stage = yield* makeStage({ ...unlimited, total: 1 }, () => quick)
      stage.line.add(ready("one", "batch"))
      expect((yield* stage.line.close).map(({ work }) => work.list.id)).toEqual(["one"])
      stage.line.add(ready("two", "batch"))
      yield* stage.line.launch
      expect(stage.started).toEqual([])
    }))
})
