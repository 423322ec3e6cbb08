/**
 * A bounded number of turns: while all are taken the most urgent of those who wait goes next, and of equally urgent ones
 * whoever has waited longest.
 */
import { Effect } from "effect"

export interface Turns {
  /** Runs the effect in a turn of its own. `urgency` is a whole number from 0; more is more urgent. */
  readonly withTurn: <A, E, R>(urgency: number, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** Those of one urgency, in the order in which they came. */
type Line = Set<() => void>

export const makeTurns = (max: number): Turns => {
  let free = max
  /** By urgency. */
  const lines: Array<Line | undefined> = []

  const give = (): void => {
    // Short: urgencies are lengths of chains of steps.
    for (let urgency = lines.length - 1; urgency >= 0; urgency--) {
      for (const go of lines[urgency] ?? []) return go()
    }
    free++
  }

  const take = (urgency: number): Effect.Effect<void> =>
    Effect.async<void>((resume) => {
      if (free > 0) {
        free--
        resume(Effect.void)
        return Effect.sync(give)
      }
      const line: Line = lines[urgency] ??= new Set()
      const go = () => {
        line.delete(go)
        resume(Effect.void)
      }
      line.add(go)
      return Effect.sync(() => {
        // Given, and interrupted before it could be used: then it goes on to the next.
        if (!line.delete(go)) give()
      })
    })

  return {
    withTurn: (urgency, effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.zipRight(restore(take(urgency)), Effect.ensuring(restore(effect), Effect.sync(give)))
      )
  }
}
