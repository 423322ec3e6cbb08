/**
 * A worker that looks for work again and again: at once when it found plenty, soon when it found some (what comes in
 * meanwhile is done together: a look costs the same for one as for hundreds), after a rest when it found none.
 */
import { Duration, Effect } from "effect"

/** How long work gathers between two looks that both found some. */
const gather = Duration.millis(20)
/** How long a worker rests after a failure, doubled up to the maximum. */
const failureRestMin = Duration.millis(100)
const failureRestMax = Duration.seconds(5)

/**
 * Repeats `step` for ever; it answers how much it found to do, `plenty` being as much as it takes at once. A failure is
 * logged and tried again, never the end.
 */
export const workLoop = <E, R>(
  name: string,
  rest: Duration.Duration,
  step: Effect.Effect<number, E, R>,
  plenty: number
): Effect.Effect<never, never, R> => {
  let failureRest = failureRestMin
  return step.pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        failureRest = failureRestMin
      })
    ),
    Effect.flatMap((found) => found >= plenty ? Effect.yieldNow() : Effect.sleep(found > 0 ? gather : rest)),
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
}
