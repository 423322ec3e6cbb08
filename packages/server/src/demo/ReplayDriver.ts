/**
 * Drives a replay through the shop: openings, then stretch after stretch of steps, many under way at once in the order that
 * `ReplayOrder` demands, and the clock along with them. While a stretch is under way the clock stands at the oldest step
 * that is not answered yet, so that no step finds it ahead of its own time and timers fire in between.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { Hikyaku } from "@hikyaku/domain/api/Client"
import type { SourceId } from "@hikyaku/domain/Identifier"
import type { Event } from "@hikyaku/domain/marketing/Event"
import { isOpening, openingEvents, type Step } from "@hikyaku/domain/replay/Step"
import { Duration, Effect, Option, Schedule, Stream } from "effect"
import type { PipelineStuck, StepFailed } from "./DemoError.ts"
import { inOrder } from "./InOrder.ts"
import { makeCalls, type Seen } from "./ReplayCalls.ts"
import { endsWithinMs, ReplayClock } from "./ReplayClock.ts"
import { endsBefore, orderOf, type StretchLimits } from "./ReplayOrder.ts"

/** A stretch is two hours of the logical clock, well below the time that messages have; and bounded in its steps. */
export const stretchLimits: StretchLimits = { lengthMs: endsWithinMs, stepsMax: 5_000 }
/** Calls under way at one time. */
const callsMax = 256
/** How often the clock follows the steps, real time. */
const followEvery = Duration.millis(100)
/** Events of openings published between two looks at what has become of them. */
const openingsMax = 5_000
/** Between two looks at how far the event log is judged. */
const judgedLook = Duration.millis(15)
/** After the last step so much logical time passes: carts lapse, messages held overnight leave. */
const afterwardsMs = 36 * 3_600_000

/**
 * From when on a product counts as low: the record does not say, and a shop that sells by the dozen rarely has exactly one
 * piece left.
 */
export const lowStock = {
  of: (openingStock: number): number => Math.max(1, Math.floor(openingStock / 20)),
  note: "Low stock: the last twentieth of what a product opened with, at least one piece."
}

/** How far a replay has come, for whoever watches. */
export interface ReplayState {
  /** The logical instant, ms; 0 before the first step. */
  instant: number
  firstAt: number
  lastAt: number
  steps: number
  stretches: number
  /** Where the real time went, ms: openings, steps under way, waiting for the shop to come to rest. */
  readonly spent: { openings: number; steps: number; rests: number }
  /** Steps by tag, openings included. */
  readonly byTag: Record<string, number>
  readonly seen: Seen
}

type ReplayError = SqlError.SqlError | PipelineStuck | StepFailed

export interface ReplayDriver {
  readonly state: ReplayState
  /** Fills the shop with the openings, and runs `then` when it is at rest; then drives the steps, and lets time pass after them. */
  readonly run: <E, E2, R2>(
    steps: Stream.Stream<Step, E>,
    opened: Effect.Effect<void, E2, R2>
  ) => Effect.Effect<void, ReplayError | E | E2, R2>
}

/** Steps in stretches; the openings are a stretch of their own, which comes first. */
export const inStretches = <E>(
  steps: Stream.Stream<Step, E>,
  limits: StretchLimits
): Stream.Stream<ReadonlyArray<Step>, E> =>
  steps.pipe(
    Stream.map(Option.some),
    Stream.concat(Stream.succeed(Option.none<Step>())),
    Stream.mapAccum<ReadonlyArray<Step>, Option.Option<Step>, ReadonlyArray<Step>>([], (gathered, next) => {
      if (Option.isNone(next)) return [[], gathered]
      const step = next.value
      const last = gathered.at(-1)
      const ends = last !== undefined &&
        (isOpening(last) !== isOpening(step) || (!isOpening(step) && endsBefore(gathered, step, limits)))
      if (ends) return [[step], gathered]
      return [append(gathered, step), none]
    }),
    Stream.filter((stretch) => stretch.length > 0)
  )

const none: ReadonlyArray<Step> = []
/** The array is the accumulator's own until it is handed on: a copy per step would cost the square of its length. */
const append = (gathered: ReadonlyArray<Step>, step: Step): ReadonlyArray<Step> => {
  if (gathered.length === 0) return [step]
  if (Array.isArray(gathered)) gathered.push(step)
  return gathered
}

export const makeDriver = (source: SourceId) =>
  Effect.gen(function*() {
    const clock = yield* ReplayClock
    const sql = yield* SqlClient.SqlClient
    const client = yield* Hikyaku

    // Shared by all who wait, so that a thousand of them ask once.
    const judged = yield* Effect.cachedWithTTL(
      sql<{ readonly partition: number; readonly end: number; readonly judged: number }>`
        select p.partition, (p.next_offset - 1)::float8 as "end", c."offset"::float8 as judged
        from event_partition p join consumer_offset c on c.partition = p.partition and c.consumer = 'judge'`,
      judgedLook
    )
    const awaitJudged = Effect.gen(function*() {
      // Not the shared answer: what was just published must be in it.
      const ends = yield* sql<{ readonly partition: number; readonly end: number }>`
        select partition, (next_offset - 1)::float8 as "end" from event_partition`
      const goal = new Map(ends.map((row) => [row.partition, row.end]))
      for (;;) {
        const rows = yield* judged
        if (rows.every((row) => row.judged >= (goal.get(row.partition) ?? -1))) return
        yield* Effect.sleep(judgedLook)
      }
    })

    const calls = makeCalls(client, awaitJudged)
    const state: ReplayState = {
      instant: 0,
      firstAt: 0,
      lastAt: 0,
      steps: 0,
      stretches: 0,
      spent: { openings: 0, steps: 0, rests: 0 },
      byTag: {},
      seen: calls.seen
    }

    const tally = (steps: ReadonlyArray<Step>): void => {
      for (const { _tag } of steps) state.byTag[_tag] = (state.byTag[_tag] ?? 0) + 1
      state.steps += steps.length
    }
    const timed = <A, E, R>(what: keyof ReplayState["spent"], work: Effect.Effect<A, E, R>) =>
      Effect.map(Effect.timed(work), ([duration, result]) => {
        state.spent[what] += Duration.toMillis(duration)
        return result
      })
    const cameTo = Effect.map((instant: number) => state.instant = instant)
    const moveTo = (at: number) => cameTo(clock.advance(at))

    /** Openings in parts, so that the log does not run far ahead of those who work it off. */
    const open = (steps: ReadonlyArray<Step>) =>
      Effect.gen(function*() {
        const events: Array<Event> = steps.flatMap((step) => (isOpening(step) ? openingEvents(step, source) : []))
        for (let from = 0; from < events.length; from += openingsMax) {
          yield* calls.publish(events.slice(from, from + openingsMax))
          yield* clock.settle
        }
        yield* Effect.forEach(steps, (step) =>
          step._tag === "ProductOpening"
            ? calls.lowFrom(step.product, lowStock.of(step.stock), step.at)
            : Effect.void, { concurrency: callsMax, discard: true })
      })

    const stretch = (steps: ReadonlyArray<Step>) =>
      Effect.suspend(() => {
        const done = new Uint8Array(steps.length)
        let oldest = 0
        const events = (places: ReadonlyArray<number>): ReadonlyArray<Event> =>
          places.flatMap((place) => {
            const step = steps[place]
            return step?._tag === "Publish" ? [step.event] : []
          })
        const follow = Effect.suspend(() => {
          const at = steps[Math.min(oldest, steps.length - 1)]?.at ?? 0
          return at > state.instant ? Effect.asVoid(cameTo(clock.follow(at))) : Effect.void
        }).pipe(Effect.repeat(Schedule.spaced(followEvery)))
        return inOrder({
          places: orderOf(steps, calls.expiryOf),
          single: (place) => calls.perform(steps[place]!),
          batched: (places) => calls.publish(events(places)),
          most: callsMax,
          over: (place) => {
            done[place] = 1
            while (done[oldest] === 1) oldest++
          }
        }).pipe(Effect.raceFirst(Effect.zipRight(follow, Effect.never)))
      })

    const pass = (at: number) => Effect.zipRight(timed("rests", clock.pass(at)), moveTo(at))

    return {
      state,
      run: (steps, opened) =>
        Effect.gen(function*() {
          let isOpen = false
          const step = (steps: ReadonlyArray<Step>) =>
            Effect.gen(function*() {
              const [first] = steps
              if (first === undefined) return
              tally(steps)
              if (isOpening(first)) return yield* timed("openings", open(steps))
              if (!isOpen) {
                isOpen = true
                yield* moveTo(first.at)
                yield* opened
                state.firstAt = first.at
              }
              yield* pass(first.at)
              calls.forget(first.at)
              yield* timed("steps", stretch(steps))
              state.lastAt = steps.at(-1)?.at ?? first.at
              yield* pass(state.lastAt)
              state.stretches++
            })
          yield* Stream.runForEach(inStretches(steps, stretchLimits), step)
          if (isOpen) yield* pass(state.lastAt + afterwardsMs)
        })
    } satisfies ReplayDriver
  })
