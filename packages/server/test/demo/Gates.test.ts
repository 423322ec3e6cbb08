import { describe, expect, it } from "@effect/vitest"
import { makeGates } from "@hikyaku/server/demo/Gates"
import { gateLimits } from "@hikyaku/server/demo/ReplayDriver"
import { Effect } from "effect"

const minute = 60_000
const start = Date.UTC(2026, 0, 5, 10)

describe("gates of a stretch", () => {
  it.effect("let go what the clock is near, intervals as a whole, and never what is too far ahead of it", () =>
    Effect.gen(function*() {
      const minutes = [0, 1, 29, 30, 75, 140]
      const gates = makeGates(minutes.map((each) => start + each * minute), {
        intervalMs: 30 * minute,
        aheadMax: 60 * minute
      })
      const gone: Array<number> = []
      for (const each of minutes) {
        yield* Effect.fork(Effect.map(gates.letGo(start + each * minute), () => gone.push(each)))
      }
      const goneAt = (minutes: number) =>
        Effect.sync(() => gates.open(start + minutes * minute)).pipe(
          Effect.zipRight(Effect.forEach(Array.from({ length: 10 }), () => Effect.yieldNow())),
          Effect.map(() => [...gone])
        )
      expect(yield* goneAt(-31)).toEqual([])
      expect(yield* goneAt(-30)).toEqual([0, 1, 29])
      expect(yield* goneAt(0)).toEqual([0, 1, 29, 30])
      expect(yield* goneAt(29)).toEqual([0, 1, 29, 30])
      expect(yield* goneAt(30)).toEqual([0, 1, 29, 30, 75])
      expect(yield* goneAt(300)).toEqual([0, 1, 29, 30, 75, 140])
      // Who comes late does not wait.
      yield* gates.letGo(start + 75 * minute)
    }))

  it("always let the clock's own interval go: a stretch would never get on otherwise", () => {
    expect(gateLimits.aheadMax).toBeGreaterThanOrEqual(gateLimits.intervalMs)
  })
})
