import { describe, expect, it } from "@effect/vitest"
import { inOrder } from "@hikyaku/server/demo/InOrder"
import type { Place } from "@hikyaku/server/demo/ReplayOrder"
import { Deferred, Effect, Exit, FastCheck as fc } from "effect"

/** Places that wait for earlier ones only, as those of a stretch do. */
const placesOf = fc.integer({ min: 0, max: 40 }).chain((length) =>
  fc.tuple(
    ...Array.from({ length }, (_, at) =>
      fc.oneof(
        { weight: 1, arbitrary: fc.constant<Place>({ _tag: "Batched" }) },
        {
          weight: 4,
          arbitrary: fc.record({
            _tag: fc.constant("Single" as const),
            answered: at === 0
              ? fc.constant([])
              : fc.uniqueArray(fc.integer({ min: 0, max: at - 1 }), { maxLength: 3 }),
            sent: fc.integer({ min: -1, max: at - 1 })
          })
        }
      ))
  )
)

describe("steps in order", () => {
  it.effect.prop(
    "each begins once what it waits for is over or sent, no more than so many at a time, and none is left out",
    [placesOf, fc.integer({ min: 1, max: 6 }), fc.infiniteStream(fc.integer({ min: 0, max: 5 }))],
    ([places, most, lasts]) =>
      Effect.gen(function*() {
        const begun: Array<number> = []
        const over = new Set<number>()
        let underWay = 0
        /** Other fibres get so many turns meanwhile; none: over at once. */
        const work = Effect.suspend(() => {
          const turns = lasts.next().value ?? 0
          return turns === 0 ? Effect.void : Effect.repeatN(Effect.yieldNow(), turns - 1)
        })
        yield* inOrder({
          places,
          most,
          over: (place) => {
            expect(over.has(place)).toBe(false)
            over.add(place)
          },
          batched: (together) => {
            expect(together).toEqual(places.flatMap((place, at) => place._tag === "Batched" ? [at] : []))
            return work
          },
          single: (at) =>
            Effect.suspend(() => {
              const place = places[at]
              if (place?._tag !== "Single") throw new Error(`${at} does not go by itself`)
              expect(place.answered.filter((before) => !over.has(before))).toEqual([])
              // What goes together is sent at the start.
              const isSent = place.sent < 0 || begun.includes(place.sent) || places[place.sent]?._tag === "Batched"
              expect(isSent).toBe(true)
              begun.push(at)
              expect(++underWay).toBeLessThanOrEqual(most)
              return Effect.andThen(work, Effect.sync(() => void underWay--))
            })
        })
        expect([...over].sort((a, b) => a - b)).toEqual(places.map((_, at) => at))
      }),
    { fastCheck: { numRuns: 200 } }
  )

  it.effect("of thousands that are over at once none waits for the stack", () =>
    Effect.gen(function*() {
      let over = 0
      const places = Array.from({ length: 20_000 }, (_, at): Place => ({
        _tag: "Single",
        answered: at === 0 ? [] : [at - 1],
        sent: -1
      }))
      yield* inOrder({ places, most: 4, single: () => Effect.void, batched: () => Effect.void, over: () => over++ })
      expect(over).toBe(20_000)
    }))

  it.effect("the first that fails ends it, and nothing goes on", () =>
    Effect.gen(function*() {
      const held = yield* Deferred.make<void>()
      let interrupted = false
      const places: ReadonlyArray<Place> = [0, 1, 2].map(() => ({ _tag: "Single", answered: [], sent: -1 }))
      const exit = yield* Effect.exit(inOrder({
        places,
        most: 3,
        single: (at) =>
          at === 1
            ? Effect.fail("refused")
            : Deferred.await(held).pipe(Effect.onInterrupt(() => Effect.sync(() => interrupted = true))),
        batched: () => Effect.void,
        over: () => {}
      }))
      expect(exit).toEqual(Exit.fail("refused"))
      expect(interrupted).toBe(true)
    }))
})
