/**
 * A bound on a process's end. Finalizers see work through and give back what others may need, and some of them ask the
 * database to do so: while it is down they would wait for it as long as it takes. What a process has not done by then is done
 * without it: cells and slots are fenced, locks end with their sessions.
 */
import { Duration, Effect } from "effect"

/** From the first signal until the process is gone, whatever has not ended; less than the 30 s that most supervisors give. */
export const shutdownMax = Duration.seconds(25)
/** Exit code of a process that did not end by itself. */
export const overdueCode = 75

const signals = ["SIGINT", "SIGTERM"] as const

/** From now on, for as long as the process lives: the scope's end does not lift the bound, since it is what may hang. */
export const bounded = (
  process: {
    readonly once: (signal: "SIGINT" | "SIGTERM", listener: () => void) => unknown
    readonly exit: (code: number) => unknown
  },
  max: Duration.Duration = shutdownMax
): Effect.Effect<void> =>
  Effect.sync(() => {
    let waiting = false
    for (const signal of signals) {
      process.once(signal, () => {
        if (waiting) return
        waiting = true
        const timer = setTimeout(() => {
          globalThis.process.stderr.write(
            `${signal} was ${Duration.format(max)} ago and something still has not ended: it ends now\n`
          )
          process.exit(overdueCode)
        }, Duration.toMillis(max))
        // Whoever is done earlier does not wait for it.
        timer.unref()
      })
    }
  })
