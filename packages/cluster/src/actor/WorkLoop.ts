/**
 * A worker that looks for work again and again: at once when it found plenty, soon when it found some (what comes in
 * meanwhile is done together: a look costs the same for one as for hundreds), after a rest when it found none. Who is told
 * when there is work rests longer and longer while there is none: a look costs the same for nothing, too.
 */
import { Clock, Duration, Effect, Option } from "effect"
import { Nudge } from "./Nudge.ts"

/**
 * How long work gathers between two looks that both found some: as long as the last took, within these. When everything is
 * slow there is more to do at a time, and each look costs less of it.
 */
const gatherMin = Duration.millis(20)
const gatherMax = Duration.millis(100)
/** Workers in step look at multiples of `gatherMin`, and gather for so long at the least. */
const beatRest = Duration.millis(10)
/** The time from now to the first beat that is at least so far away. */
const toBeat = (least: Duration.Duration) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const beat = Duration.toMillis(gatherMin)
    return Duration.millis(Math.ceil((now + Duration.toMillis(least)) / beat) * beat - now)
  })
/** How long a worker rests after a failure, doubled up to the maximum. */
const failureRestMin = Duration.millis(100)
const failureRestMax = Duration.seconds(5)
/** Longest rest of a worker that is told when there is work: how late it may be when the telling is lost. */
export const restMax = Duration.millis(500)

export interface WorkLoopOptions {
  /** What it is told of, where there is a `Nudge`. */
  readonly topic?: string | undefined
  /** A step that finds less than plenty leaves nothing behind: the next look waits until it is told. */
  readonly takesAll?: boolean
  /** Somebody waits for what it does: it gathers no longer than it must, however long a look takes. */
  readonly urgent?: boolean
  /** It looks again at the same instants as the others of its kind in this process, so that their looks can be one. */
  readonly inStep?: boolean
}

/**
 * Repeats `step` for ever; it answers how much it found to do, `plenty` being as much as it takes at once. A failure is
 * logged and tried again, never the end.
 */
export const workLoop = <E, R>(
  name: string,
  rest: Duration.Duration,
  step: Effect.Effect<number, E, R>,
  plenty: number,
  { inStep = false, takesAll = false, topic, urgent = false }: WorkLoopOptions = {}
): Effect.Effect<never, never, R> =>
  Effect.flatMap(Effect.serviceOption(Nudge), (service) => {
    const nudge = topic === undefined ? null : Option.getOrNull(service)
    let failureRest = failureRestMin
    let idleRest = rest
    let seen = 0
    const idle = nudge === null || topic === undefined ? Effect.sleep(rest) : Effect.suspend(() => {
      const pause = idleRest
      idleRest = Duration.min(Duration.max(restMax, rest), Duration.times(idleRest, 2))
      // Told of work: the next that comes is likely to be near.
      const told = Effect.andThen(nudge.beyond(topic, seen), Effect.sync(() => idleRest = rest))
      return Effect.raceFirst(Effect.sleep(pause), told)
    })
    return Effect.sync(() => {
      if (nudge !== null && topic !== undefined) seen = nudge.told(topic)
    }).pipe(
      Effect.andThen(Effect.timed(step)),
      Effect.tap(([, found]) =>
        Effect.sync(() => {
          failureRest = failureRestMin
          if (found > 0) idleRest = rest
        })
      ),
      Effect.flatMap(([took, found]) => {
        if (found >= plenty) return Effect.yieldNow()
        if (found === 0) return idle
        const maximum = urgent ? gatherMin : gatherMax
        const gather = Duration.clamp(took, { minimum: inStep ? beatRest : gatherMin, maximum })
        const gathering = inStep ? Effect.flatMap(toBeat(gather), Effect.sleep) : Effect.sleep(gather)
        // Nothing is left of what it was told of: it looks again when told, at the end of the shortest rest at the latest.
        return takesAll && nudge !== null ? Effect.zipRight(gathering, idle) : gathering
      }),
      Effect.catchAllCause((cause) =>
        Effect.logWarning(`${name} failed and goes on`, cause).pipe(
          Effect.andThen(Effect.suspend(() => {
            const pause = failureRest
            failureRest = Duration.min(failureRestMax, Duration.times(failureRest, 2))
            return Effect.sleep(pause)
          }))
        )
      ),
      Effect.forever
    )
  })
