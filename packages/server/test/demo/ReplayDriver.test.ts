import { describe, expect, it } from "@effect/vitest"
import type { Step } from "@hikyaku/domain/replay/Step"
import { LatencyHistogram } from "@hikyaku/server/demo/LatencyHistogram"
import { nextRest } from "@hikyaku/server/demo/ReplayClock"
import { inStretches } from "@hikyaku/server/demo/ReplayDriver"
import { Chunk, Effect, Stream } from "effect"

const start = Date.UTC(2026, 0, 5, 9)
const minute = 60_000
const view = (minutes: number): Step => {
  const at = start + minutes * minute
  return {
    _tag: "Publish",
    at,
    event: { source: "test", id: String(minutes), at, happening: { _tag: "Viewed", member: "m", product: "p" } }
  }
}
const opening: Step = { _tag: "ProductOpening", at: start, product: "p", name: "p", price: 1, stock: 1 }

describe("stretches of a stream", () => {
  const stretches = (steps: ReadonlyArray<Step>, stepsMax = 100) =>
    inStretches(Stream.fromIterable(steps), { lengthMs: 60 * minute, stepsMax }).pipe(
      Stream.runCollect,
      Effect.map((found) =>
        Chunk.toReadonlyArray(found).map((stretch) => stretch.map(({ at }) => (at - start) / minute))
      )
    )

  it.effect("hold every step once, in order, the last one too", () =>
    Effect.gen(function*() {
      expect(yield* stretches([0, 10, 59, 60, 200, 201].map(view))).toEqual([[0, 10, 59], [60], [200, 201]])
      expect(yield* stretches([1, 2, 3, 4, 5].map(view), 2)).toEqual([[1, 2], [3, 4], [5]])
      expect(yield* stretches([])).toEqual([])
    }))

  it.effect("never mix openings with what follows, however many openings there are", () =>
    Effect.gen(function*() {
      expect(yield* stretches([opening, opening, opening, view(0)], 2)).toEqual([[0, 0, 0], [0]])
    }))
})

describe("rests on the way to an instant", () => {
  const ten = 10 * minute
  it("are where something is due, with its neighbours, and never past the goal", () => {
    expect(nextRest(null, start)).toBeNull()
    expect(nextRest(start + 1, start)).toBeNull()
    expect(nextRest(start, start)).toBeNull()
    expect(nextRest(start + 1, start + 3 * ten)).toBe(start + ten)
    expect(nextRest(start + ten, start + 3 * ten)).toBe(start + ten)
    expect(nextRest(start + 1, start + 2)).toBe(start + 2)
  })
})

describe("latencies", () => {
  it("are told within 2%, in a memory of fixed size", () => {
    const histogram = new LatencyHistogram()
    for (let ms = 1; ms <= 10_000; ms++) histogram.record(ms)
    expect(histogram.quantile(0.5)).toBeGreaterThan(5_000 * 0.98)
    expect(histogram.quantile(0.5)).toBeLessThan(5_000 * 1.02)
    expect(histogram.quantile(0.99)).toBeGreaterThan(9_900 * 0.98)
    expect(histogram.quantiles()).toMatchObject({ count: 10_000, max: 10_000 })
    expect(new LatencyHistogram().quantiles()).toEqual({ count: 0, p50: 0, p99: 0, max: 0 })
  })
})
