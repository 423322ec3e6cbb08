/** What became of one request to the provider, and what that means for its place there. */
import { Duration, Effect } from "effect"
import type { ProviderError } from "./Provider.ts"
import { answered, type Ending, neverStarted, refused } from "./SlotDesk.ts"

export type Outcome<A> =
  | { readonly _tag: "Answered"; readonly answer: A }
  | { readonly _tag: "Refused"; readonly reason: string; readonly where: string }
  /** Known not to have happened; worth another try after `waitMs`, or after a back-off where null. */
  | { readonly _tag: "NotDone"; readonly waitMs: number | null; readonly ending: Ending }
  | { readonly _tag: "Lost"; readonly reason: string }

/** The place of a request without an answer: the provider may be busy with it for so long, ms. */
export const lostFor = (processingMs: number): Ending => ({
  started: true,
  busyForMs: processingMs,
  throttledForMs: null
})

export const endingOf = (outcome: Outcome<unknown>, processingMs: number): Ending => {
  switch (outcome._tag) {
    case "NotDone":
      return outcome.ending
    case "Lost":
      return lostFor(processingMs)
    case "Refused":
      return refused
    case "Answered":
      return answered
  }
}

/** Makes the request. */
export const outcomeOf = <A>(request: Effect.Effect<A, ProviderError>): Effect.Effect<Outcome<A>> =>
  request.pipe(
    Effect.map((answer): Outcome<A> => ({ _tag: "Answered", answer })),
    Effect.catchTags({
      Throttled: ({ retryAfter }) =>
        Effect.succeed<Outcome<A>>({
          _tag: "NotDone",
          waitMs: Duration.toMillis(retryAfter),
          ending: { ...answered, throttledForMs: Duration.toMillis(retryAfter) }
        }),
      TooLateToStart: () => Effect.succeed<Outcome<A>>({ _tag: "NotDone", waitMs: 0, ending: neverStarted }),
      ProviderUnavailable: () =>
        Effect.succeed<Outcome<A>>({
          _tag: "NotDone",
          waitMs: null,
          ending: { ...neverStarted, unreachable: true }
        }),
      ProviderRejected: ({ reason, where }) => Effect.succeed<Outcome<A>>({ _tag: "Refused", reason, where }),
      ProviderUnknown: ({ reason }) => Effect.succeed<Outcome<A>>({ _tag: "Lost", reason })
    }),
    // An adapter that dies may have written something.
    Effect.catchAllDefect((defect) => Effect.succeed<Outcome<A>>({ _tag: "Lost", reason: String(defect) }))
  )
