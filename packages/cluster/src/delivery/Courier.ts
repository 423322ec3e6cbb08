/**
 * A courier carries messages over a channel that keeps no lists: one request, sent when the delivery is started. `provider`
 * makes it a `Provider` on top of the spool, which holds the list between upload and start and remembers what became of it.
 *
 * Whatever a courier promises, a list is begun durably before its first byte. What was begun and has no outcome is repeated
 * only where the channel recognises a repeat (`repeatWithin`); else the answer is `ProviderUnknown`, and the dispatcher
 * reports it (R21).
 */
import { Clock, Duration, Effect, Schedule, type Scope } from "effect"
import {
  type DeliveryResult,
  Provider,
  type ProviderError,
  type ProviderPromises,
  ProviderRejected,
  ProviderUnavailable,
  ProviderUnknown,
  TooLateToStart,
  type UploadRequest
} from "./Provider.ts"
import { Spool, type SpooledList, type SpoolFault } from "./Spool.ts"

export interface Carriage {
  /** Without those whose mail reached their address by another list; never empty. */
  readonly list: SpooledList
  /** The same whenever this list is carried again. */
  readonly idempotencyKey: string
  /** Asked right before the first byte (R20, G13). */
  readonly mayStart: () => boolean
}

export interface Courier {
  readonly promises: ProviderPromises
  /** How long after its begin the channel recognises a list that is carried again; null where it never does. */
  readonly repeatWithin: Duration.Duration | null
  /** Judges a list and looks its addresses up, when it is uploaded. */
  readonly accept: (list: UploadRequest) => Effect.Effect<UploadRequest, ProviderError>
  /**
   * Hands a list over in one request. Every error but `ProviderUnknown` says that nothing was handed over; a message without
   * a result is one of which nobody knows.
   */
  readonly carry: (carriage: Carriage) => Effect.Effect<ReadonlyArray<DeliveryResult>, ProviderError>
}

/** How often and how long a result is written again when the spool does not answer: about 6 s, then it is unknown. */
const recording = Schedule.exponential("50 millis").pipe(Schedule.intersect(Schedule.recurs(7)))
/** How often old lists are forgotten. */
const sweepEvery = Duration.minutes(10)

const unavailable = ({ reason }: SpoolFault) => new ProviderUnavailable({ reason: `the spool: ${reason}` })

/** The result of a message whose mail reached, or may have reached, its address by another list. */
const takenReason = "this mail went to this address before"

export const makeProvider = (
  account: string,
  courier: Courier
): Effect.Effect<typeof Provider.Service, never, Spool | Scope.Scope> =>
  Effect.gen(function*() {
    const spool = yield* Spool
    yield* spool.sweep.pipe(
      Effect.catchAll((fault) => Effect.logWarning("Old lists could not be forgotten", fault)),
      Effect.repeat(Schedule.spaced(sweepEvery)),
      Effect.forkScoped
    )

    const end = (id: string, results: ReadonlyArray<DeliveryResult>) =>
      spool.end(account, id, results).pipe(
        Effect.retry(recording),
        Effect.mapError(({ reason }) => new ProviderUnknown({ reason: `its result could not be recorded: ${reason}` })),
        Effect.as({ sendId: id })
      )
    const taken = (ids: ReadonlySet<string>, at: number): ReadonlyArray<DeliveryResult> =>
      [...ids].map((deliveryId) => ({ deliveryId, outcome: "Rejected", at, reason: takenReason }))

    const carry = (
      id: string,
      list: SpooledList,
      ids: ReadonlySet<string>,
      first: boolean,
      terms: Omit<Carriage, "list">
    ) =>
      Effect.gen(function*() {
        const already = taken(ids, yield* Clock.currentTimeMillis)
        const recipients = list.recipients.filter(({ deliveryId }) => !ids.has(deliveryId))
        const results = recipients.length === 0
          ? []
          : yield* courier.carry({ ...terms, list: { ...list, recipients } }).pipe(
            Effect.tapError((error) =>
              // Of a repeat it is only known that this try came to nothing.
              first && error._tag !== "ProviderUnknown"
                ? spool.undo(account, id).pipe(
                  Effect.retry(recording),
                  // It stays begun: then it is reported as unknown although nothing was sent.
                  Effect.catchAll((fault) => Effect.logWarning("A list stays begun that was not sent", fault))
                )
                : Effect.void
            )
          )
        return yield* end(id, [...results, ...already])
      })

    return Provider.of({
      promises: courier.promises,
      uploadList: ({ startBefore, ...request }) =>
        Effect.gen(function*() {
          if (startBefore !== undefined && (yield* Clock.currentTimeNanos) >= startBefore) {
            return yield* new TooLateToStart()
          }
          const { listSizeMax } = courier.promises
          if (request.recipients.length === 0 || request.recipients.length > listSizeMax) {
            return yield* new ProviderRejected({ reason: `a list holds 1 to ${listSizeMax}`, where: "recipients" })
          }
          const { channel, idempotencyKey: id, listId, mailKey, recipients } = yield* courier.accept(request)
          yield* Effect.mapError(spool.put(account, { id, listId, channel, mailKey, recipients }), unavailable)
          return { uploadId: id }
        }),
      startDelivery: ({ idempotencyKey, startBefore, uploadId }) =>
        Effect.gen(function*() {
          const clock = yield* Effect.clock
          const mayStart = () => startBefore === undefined || clock.unsafeCurrentTimeNanos() < startBefore
          if (!mayStart()) return yield* new TooLateToStart()
          const begun = yield* Effect.mapError(spool.begin(account, uploadId), unavailable)
          const terms = { idempotencyKey, mayStart }
          switch (begun._tag) {
            case "Missing":
              return yield* new ProviderRejected({ reason: "there is no such list", where: "uploadId" })
            case "Ended":
              return { sendId: uploadId }
            case "First":
              return yield* carry(uploadId, begun.list, begun.taken, true, terms)
            case "Again": {
              if (courier.repeatWithin === null) {
                return yield* new ProviderUnknown({ reason: "it was begun before, and what became of it is not known" })
              }
              return begun.sinceMs < Duration.toMillis(courier.repeatWithin)
                ? yield* carry(uploadId, begun.list, begun.taken, false, terms)
                // Too late to find out: it ends without results, which is what unknown means.
                : yield* end(uploadId, taken(begun.taken, yield* Clock.currentTimeMillis))
            }
          }
        }),
      status: ({ sendId }) =>
        Effect.flatMap(Effect.mapError(spool.find(account, sendId), unavailable), (found) => {
          if (found === null) return new ProviderRejected({ reason: "there is no such send", where: "sendId" })
          return Effect.succeed(
            found.results === null
              ? { state: "Sending" as const, results: [] }
              : { state: "Completed" as const, results: found.results }
          )
        }),
      history: () => new ProviderRejected({ reason: "this channel keeps no history", where: "history" })
    })
  })
