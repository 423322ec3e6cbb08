/**
 * Carries the steps of a stretch out in the order that `ReplayOrder` demands: each as soon as what it waits for is over, so
 * many at one time. Counts what each waits for and tells whoever waits for it; a fibre for a step is there only while it is
 * under way, since most of a stretch's thousands wait.
 */
import { Deferred, Effect, FiberId, FiberSet } from "effect"
import type { Place } from "./ReplayOrder.ts"

export interface InOrder<E> {
  readonly places: ReadonlyArray<Place>
  /** Carries out what is sent by itself. */
  readonly single: (place: number) => Effect.Effect<void, E>
  /** Carries out all that goes together; of every place of it something waits at most until the end. */
  readonly batched: (places: ReadonlyArray<number>) => Effect.Effect<void, E>
  /** Steps under way at one time. */
  readonly most: number
  /** A step is over. */
  readonly over: (place: number) => void
}

/** Returns when all are over; fails with the first that does. */
export const inOrder = <E>({ batched, most, over, places, single }: InOrder<E>): Effect.Effect<void, E> =>
  Effect.scoped(Effect.gen(function*() {
    if (places.length === 0) return
    const run = yield* FiberSet.make<void, E>()
    const start = yield* FiberSet.runtime(run)<never>()
    const end = Deferred.unsafeMake<void>(FiberId.none)
    /** What each still waits for. */
    const missing = places.map((place) =>
      place._tag === "Batched" ? 0 : place.answered.length + (place.sent < 0 ? 0 : 1)
    )
    const afterSent: ReadonlyArray<Array<number>> = places.map(() => [])
    const afterOver: ReadonlyArray<Array<number>> = places.map(() => [])
    places.forEach((place, at) => {
      if (place._tag === "Batched") return
      for (const before of place.answered) afterOver[before]?.push(at)
      if (place.sent >= 0) afterSent[place.sent]?.push(at)
    })
    let ready: Array<number> = []
    let next = 0
    let underWay = 0
    let left = places.length

    const release = (waiting: ReadonlyArray<number> | undefined): void => {
      for (const place of waiting ?? []) {
        if (--missing[place]! === 0) ready.push(place)
      }
    }
    const ended = (place: number): void => {
      over(place)
      release(afterOver[place])
      if (--left === 0) Deferred.unsafeDone(end, Effect.void)
    }
    let pumping = false
    /** Starts what is ready; a fibre runs to its first wait before the next one is started, so that what was started was sent. */
    const pump = (): void => {
      // What was over at once calls back from within.
      if (pumping) return
      pumping = true
      while (underWay < most && next < ready.length) {
        const place = ready[next++]!
        underWay++
        start(Effect.zipRight(
          single(place),
          Effect.sync(() => {
            underWay--
            ended(place)
            pump()
          })
        ))
        release(afterSent[place])
      }
      if (next === ready.length) {
        ready = []
        next = 0
      }
      pumping = false
    }

    const together = places.flatMap((place, at) => (place._tag === "Batched" ? [at] : []))
    missing.forEach((count, at) => {
      if (count === 0 && places[at]?._tag === "Single") ready.push(at)
    })
    if (together.length > 0) {
      start(Effect.zipRight(
        batched(together),
        Effect.sync(() => {
          together.forEach(ended)
          pump()
        })
      ))
      for (const place of together) release(afterSent[place])
    }
    pump()
    yield* Effect.raceFirst(Deferred.await(end), FiberSet.join(run))
  }))
