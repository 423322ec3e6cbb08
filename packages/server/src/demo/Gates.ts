/**
 * Holds steps back until the clock is near: by intervals of logical time, each let go as a whole once the clock is no further
 * than so long from its end.
 */
import { Deferred, Effect, FiberId } from "effect"

export interface GateLimits {
  /** Length of an interval, logical ms. */
  readonly intervalMs: number
  /** How far ahead of the clock anything may be that is let go, logical ms; at least an interval's length. */
  readonly aheadMax: number
}

export interface Gates {
  /** The interval of an instant. */
  readonly intervalOf: (at: number) => number
  /** Waits until what belongs to this instant, one of those given, may go. */
  readonly letGo: (at: number) => Effect.Effect<void>
  /** The clock has come to this instant. */
  readonly open: (instant: number) => void
}

/** Gates for what belongs to these instants; all are closed. */
export const makeGates = (instants: ReadonlyArray<number>, { aheadMax, intervalMs }: GateLimits): Gates => {
  const intervalOf = (at: number): number => Math.floor(at / intervalMs)
  const closed = new Map(instants.map((at) => [intervalOf(at), Deferred.unsafeMake<void>(FiberId.none)]))
  return {
    intervalOf,
    letGo: (at) =>
      Effect.suspend(() => {
        const gate = closed.get(intervalOf(at))
        return gate === undefined ? Effect.void : Deferred.await(gate)
      }),
    open: (instant) => {
      for (const [interval, gate] of closed) {
        if ((interval + 1) * intervalMs > instant + aheadMax) continue
        closed.delete(interval)
        Deferred.unsafeDone(gate, Effect.void)
      }
    }
  }
}
