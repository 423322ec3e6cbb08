/** A worker that looks for work again and again: at once while there is some, after a rest when there was none. */
import { Duration, Effect } from "effect"

/** How long a worker rests after a failure, doubled up to the maximum. */
const failureRestMin = Duration.millis(100)
const failureRestMax = Duration.seconds(5)

/** Repeats `step` for ever; it answers how much it found to do. A failure is logged and tried again, never the end. */
export const workLoop = <E, R>(
  name: string,
  rest: Duration.Duration,
  step: Effect.Effect<number, E, R>
): Effect.Effect<never, never, R> => {
  let failureRest = failureRestMin
  return step.pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        failureRest = failureRestMin
      })
    ),
    Effect.flatMap((found) => (found > 0 ? Effect.yieldNow() : Effect.sleep(rest))),
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
