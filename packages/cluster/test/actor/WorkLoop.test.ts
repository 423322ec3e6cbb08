import { describe, expect, it } from "@effect/vitest"
import { layerMemory, Nudge } from "@hikyaku/cluster/actor/Nudge"
import { restMax, workLoop } from "@hikyaku/cluster/actor/WorkLoop"
import { Duration, Effect, TestClock } from "effect"
import { settle } from "./CellHouse.ts"

const rest = Duration.millis(50)

/** A worker of ten pieces at a time; `at` are the instants (ms) at which it looked. */
const worker = (topic?: string, takesAll = false, urgent = false, inStep = false) =>
  Effect.gen(function*() {
    const at: Array<number> = []
    const work = { left: 0, looking: Effect.void as Effect.Effect<void> }
    const step = Effect.clockWith((clock) =>
      Effect.suspend(() => {
        at.push(clock.unsafeCurrentTimeMillis())
        const found = Math.min(10, work.left)
        work.left -= found
        return Effect.as(work.looking, found)
      })
    )
    yield* Effect.forkScoped(workLoop("work", rest, step, 10, { topic, takesAll, urgent, inStep }))
    yield* settle
    return { at, work }
  })

/** Time passes in small steps, so that each sleep begins when it should. */
const pass = (ms: number) => TestClock.adjust("10 millis").pipe(Effect.zipRight(settle), Effect.repeatN(ms / 10 - 1))
const gaps = (at: ReadonlyArray<number>) => at.slice(1).map((each, i) => each - at[i]!)

describe("a worker that looks for work", () => {
  it.scoped("rests evenly where nobody tells it of any", () =>
    Effect.gen(function*() {
      const { at } = yield* worker("outbox")
      yield* pass(400)
      expect(gaps(at)).toEqual([50, 50, 50, 50, 50, 50, 50, 50])
    }))

  it.scoped("gathers as long as the last look took, within bounds", () =>
    Effect.gen(function*() {
      const { at, work } = yield* worker()
      for (const [looking, gap] of [[10, 10 + 20], [60, 60 + 60], [500, 500 + 100]] as const) {
        work.looking = Effect.sleep(Duration.millis(looking))
        work.left = 1_000
        yield* pass(200)
        at.length = 0
        // Some, and less than a whole batch, at each look.
        work.left = 0
        const some = Effect.sync(() => work.left = 3).pipe(Effect.zipRight(pass(10)), Effect.repeatN(219))
        yield* some
        expect(new Set(gaps(at).slice(2)), `looking takes ${looking} ms`).toEqual(new Set([gap]))
      }
    }))

  it.scoped("gathers no longer than it must where somebody waits for it", () =>
    Effect.gen(function*() {
      const { at, work } = yield* worker(undefined, false, true)
      work.looking = Effect.sleep("60 millis")
      const some = Effect.sync(() => work.left = 3).pipe(Effect.zipRight(pass(10)), Effect.repeatN(59))
      yield* some
      expect(new Set(gaps(at).slice(2))).toEqual(new Set([60 + 20]))
    }))

  it.scoped("looks at the same instants as others in step, however long each look takes", () =>
    Effect.gen(function*() {
      const workers = yield* Effect.forEach([0, 30, 70], (looking) =>
        Effect.tap(worker(undefined, false, false, true), ({ work }) => {
          work.looking = Effect.sleep(Duration.millis(looking))
        }))
      yield* pass(500)
      for (const { at } of workers) {
        at.length = 0
      }
      const some = Effect.sync(() => {
        for (const { work } of workers) {
          work.left = 3
        }
      })
      yield* some.pipe(Effect.zipRight(pass(10)), Effect.repeatN(99))
      for (const [n, least] of [10, 30 + 30, 70 + 70].entries()) {
        const { at } = workers[n]!
        // The first one may have found nothing and have rested.
        expect(
          new Set(
            at.slice(2).map((each) =>
              each % 20
            )
          )
        ).toEqual(new Set([0]))
        expect(new Set(gaps(at).slice(2))).toEqual(new Set([Math.ceil(least / 20) * 20]))
      }
    }))

  it.scoped("rests longer and longer where it is told, never beyond the bound, and is awake at once when it is", () =>
    Effect.gen(function*() {
      const nudge = yield* Nudge
      const { at, work } = yield* worker("outbox")
      yield* pass(3000)
      expect(gaps(at)).toEqual([50, 100, 200, 400, 500, 500, 500, 500])
      expect(Duration.toMillis(restMax)).toBe(500)
      at.length = 0
      nudge.tell("another topic")
      yield* settle
      expect(at).toEqual([])
      work.left = 15
      nudge.tell("outbox")
      yield* settle
      expect(at).toEqual([3000, 3000])
      // What it found last makes it look soon, and more often than before.
      yield* pass(200)
      expect(gaps(at)).toEqual([0, 20, 50, 100])
      // So does what it finds without having been told.
      yield* pass(3000)
      work.left = 1
      yield* pass(500)
      expect(work.left).toBe(0)
      const found = at.length
      yield* pass(300)
      expect(gaps(at).slice(found - 1)).not.toContain(500)
    }).pipe(Effect.provide(layerMemory)))

  it.scoped("which takes all there is at a time looks again when it is told, not to find nothing", () =>
    Effect.gen(function*() {
      const nudge = yield* Nudge
      const { at, work } = yield* worker("outbox", true)
      yield* pass(100)
      at.length = 0
      work.left = 3
      nudge.tell("outbox")
      yield* pass(200)
      // After it has gathered and rested, and no sooner.
      expect(gaps(at)).toEqual([20 + 50, 100])
      at.length = 0
      work.left = 3
      nudge.tell("outbox")
      yield* pass(10)
      work.left = 3
      nudge.tell("outbox")
      yield* pass(20)
      expect(gaps(at)).toEqual([20])
    }).pipe(Effect.provide(layerMemory)))

  it.scoped("does not miss what it is told of while it looks", () =>
    Effect.gen(function*() {
      const nudge = yield* Nudge
      const { at, work } = yield* worker("outbox")
      yield* pass(1500)
      const before = at.length
      // It comes too late for the look that is under way.
      work.looking = Effect.sync(() => {
        work.looking = Effect.void
        work.left = 1
        nudge.tell("outbox")
      })
      yield* pass(500)
      const [look, next] = at.slice(before)
      expect(next).toBe(look)
      expect(work.left).toBe(0)
    }).pipe(Effect.provide(layerMemory)))
})
