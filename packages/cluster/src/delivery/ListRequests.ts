/**
 * One request to the provider for one list, and what its outcome means. The outcome is on record before the slot is given
 * back; so whoever finds a free slot finds the outcome too. Its place at the provider is another's before that: the next
 * request, which has a slot of its own, starts as soon as the answer is here. What may have happened and is not known to have is in doubt
 * (`unknown`), and is asked of the provider's history once that must be complete (R21): nothing is repeated on a guess.
 */
import { learnPace, type Pace, predictMs } from "@hikyaku/domain/delivery/Dispatch"
import { type ListEvent, type ListState, listStep, mayHaveGone } from "@hikyaku/domain/delivery/List"
import type { Operation } from "@hikyaku/domain/delivery/RateLimit"
import { Clock, Duration, Effect, Schedule } from "effect"
import { DeliveryStore, type OpenList, type Remainder, resultsMax, type StoreFault } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import type { ListContents } from "./ListContent.ts"
import { type DeliveryResult, type History, Provider, type ProviderError, type RequestTerms } from "./Provider.ts"
import { endingOf, lostFor, type Outcome, outcomeOf } from "./RequestOutcome.ts"
import { answered, type Ending, neverStarted, refused } from "./SlotDesk.ts"

/** What a slot is wanted for. `list` is as it was before the request begins. */
export interface Work {
  readonly list: OpenList
  readonly operation: Operation
}

/** How long a record that the store did not take waits before it is tried again, and at most: until it is taken. */
const recordFirst = Duration.millis(50)
const recordMax = Duration.seconds(2)
const persistently = Schedule.exponential(recordFirst).pipe(Schedule.union(Schedule.spaced(recordMax)))

/** Recipients that one list may lose to refusals that name them; after that the whole list fails. */
const shedMax = 20

type Over = (ending: Ending) => Effect.Effect<void>

/** What an upload takes before any was seen, ms. */
const paceAtFirst: Pace = { requestMs: 200, perRecipientMs: 0.05 }
/** A send's status is asked for so much later than it is expected to be completed: to ask twice costs a request. */
const lateness = 1.1
/** Sends whose acceptance is remembered, to learn how long they take. */
const acceptedMax = 10_000

/** The rest of this turn of the event loop: a connection writes at its end, after all fibres that can go on. */
const whenWritten = Effect.async<void>((resume) => {
  const turn = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(turn))
})

const sheddable = /^recipients\[(\d{1,9})\]/

export interface ListRequests {
  /**
   * Makes the request and records its outcome; answers how it ended for its slot, and says so to `over` as soon as it is
   * known, before it is on record. Begun lists only for uploads and sends.
   */
  readonly perform: (work: Work, startBefore: bigint, over: Over) => Effect.Effect<Ending>
  /** Takes back that a request begins: it never started. */
  readonly takeBack: (work: Work) => Effect.Effect<void>
  /** How long uploads take, and how long sends take until they are completed. */
  readonly pace: () => { readonly upload: Pace; readonly sending: Pace }
  /** Resolves a doubt about which there is nothing to ask: by the retry key, or by giving up. */
  readonly resolveWithoutHistory: (list: OpenList) => Effect.Effect<void>
  /** Reports a list that may have been sent as unknown: nothing will be asked about it any more, and nothing is refunded. */
  readonly giveUp: (list: OpenList, reason: string) => Effect.Effect<void>
  /** ms after the last sign of a request from which on the provider's history tells of it. */
  readonly settleMs: number
}

export const makeRequests = (settings: DispatcherSettings, contents: ListContents) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const provider = yield* Provider
    const { promises } = provider
    const processingMs = Duration.toMillis(promises.longestProcessingTime)
    const settleMs = processingMs + Duration.toMillis(promises.settleTime)
    const lost = lostFor(processingMs)
    /** Tries in a row that came to nothing, refused recipients and where a history's pages go on: hints, lost at a restart. */
    const failures = new Map<string, number>()
    const shed = new Map<string, number>()
    const cursors = new Map<string, string>()
    const acceptedAt = new Map<string, number>()
    let uploadPace = paceAtFirst
    let sendingPace: Pace = { requestMs: settings.statusFirstMs, perRecipientMs: settings.statusFirstMs / 1_000 }

    const surely = <A>(record: Effect.Effect<A, StoreFault>): Effect.Effect<A> =>
      record.pipe(
        Effect.tapError((fault) =>
          Effect.logWarning("An outcome could not be recorded; it will be tried again", fault)
        ),
        Effect.retry(persistently),
        // `persistently` never ends.
        Effect.orDie
      )

    /** Whatever starts in the place that is free is written before this one's outcome is put on record. */
    const freed = (over: Over, ending: Ending) => Effect.zipRight(over(ending), whenWritten)
    const termsOf = (over: Over, startBefore: bigint): RequestTerms => ({
      startBefore,
      answered: freed(over, answered)
    })

    const ask = <A>(over: Over, request: Effect.Effect<A, ProviderError>): Effect.Effect<Outcome<A>> =>
      outcomeOf(request).pipe(
        Effect.tap((outcome) => freed(over, endingOf(outcome, processingMs)))
      )

    const backOff = (id: string): number => {
      const before = failures.get(id) ?? 0
      failures.set(id, before + 1)
      return Math.min(settings.retryMaxMs, settings.retryFirstMs * 2 ** Math.min(before, 20))
    }
    const forget = (id: string): void => {
      failures.delete(id)
      shed.delete(id)
      cursors.delete(id)
      acceptedAt.delete(id)
    }

    const change = (list: OpenList, from: ListState, event: ListEvent, waitMs?: number) => {
      const to = listStep(from, event)
      if (to === null) return Effect.dieMessage(`a list that is ${from.status} cannot have ${event._tag}`)
      return surely(store.change({ id: list.id, from, to, ...(waitMs !== undefined && { waitMs }) }))
    }
    const close = (list: OpenList, from: ListState, event: ListEvent, remainder: Remainder) => {
      const to = listStep(from, event)
      if (to === null) return Effect.dieMessage(`a list that is ${from.status} cannot have ${event._tag}`)
      return surely(store.close({ id: list.id, from, to }, remainder)).pipe(
        Effect.tap(() => Effect.sync(() => forget(list.id)))
      )
    }
    const isLost = (list: OpenList, begun: ListState, reason: string) =>
      change(list, begun, { _tag: "OutcomeLost" }, settleMs).pipe(
        Effect.zipRight(
          Effect.logInfo("No answer to a request; the provider's history will tell", reason).pipe(
            Effect.annotateLogs({ list: list.id, request: begun.status })
          )
        ),
        Effect.as(lost)
      )

    const upload = (list: OpenList, begun: ListState, startBefore: bigint, over: Over) =>
      Effect.gen(function*() {
        const content = contents.get(list.id)
        if (content === undefined) {
          yield* change(list, begun, { _tag: "NotDone" })
          return neverStarted
        }
        const from = yield* Clock.currentTimeMillis
        const outcome = yield* ask(
          over,
          provider.uploadList({
            ...content,
            idempotencyKey: `${list.id}/${begun.attempt}`,
            ...termsOf(over, startBefore)
          })
        )
        switch (outcome._tag) {
          case "Answered":
            uploadPace = learnPace(uploadPace, list.recipients, (yield* Clock.currentTimeMillis) - from)
            yield* change(list, begun, { _tag: "UploadAccepted", uploadId: outcome.answer.uploadId })
            failures.delete(list.id)
            contents.forget(list.id)
            return answered
          case "NotDone":
            yield* change(list, begun, { _tag: "NotDone" }, outcome.waitMs ?? backOff(list.id))
            return outcome.ending
          case "Lost":
            return yield* isLost(list, begun, outcome.reason)
          case "Refused": {
            const index = sheddable.exec(outcome.where)?.[1]
            const refused = index === undefined ? undefined : content.recipients[Number(index)]
            const before = shed.get(list.id) ?? 0
            contents.forget(list.id)
            if (refused === undefined || before >= shedMax) {
              const reason = `${outcome.where}: ${outcome.reason}`
              yield* close(list, begun, { _tag: "Refused", reason }, { status: "failed", reason })
              return answered
            }
            // One address that the provider does not take is no reason to send to none of the others.
            shed.set(list.id, before + 1)
            yield* surely(store.dropFromList(list.id, [{ delivery: refused.deliveryId, reason: outcome.reason }]))
            const left = content.recipients.length > 1
            yield* change(list, begun, left ? { _tag: "NotDone" } : { _tag: "Emptied" })
            return answered
          }
        }
      })

    const send = (
      list: OpenList,
      begun: ListState & { readonly status: "sending" },
      startBefore: bigint,
      over: Over
    ) =>
      Effect.gen(function*() {
        const { uploadId } = begun
        const outcome = yield* ask(
          over,
          provider.startDelivery({
            uploadId,
            idempotencyKey: `${list.id}/${uploadId}`,
            ...termsOf(over, startBefore)
          })
        )
        switch (outcome._tag) {
          case "Answered":
            if (acceptedAt.size < acceptedMax) acceptedAt.set(list.id, yield* Clock.currentTimeMillis)
            yield* change(list, begun, { _tag: "SendAccepted", sendId: outcome.answer.sendId }, firstPoll(list))
            failures.delete(list.id)
            return answered
          case "NotDone":
            yield* change(list, begun, { _tag: "NotDone" }, outcome.waitMs ?? backOff(list.id))
            return outcome.ending
          case "Lost":
            return yield* isLost(list, begun, outcome.reason)
          case "Refused": {
            const reason = `${outcome.where}: ${outcome.reason}`
            // That a repeat is refused does not say that nothing came of the send before it.
            yield* mayHaveGone(begun)
              ? close(list, begun, { _tag: "GivenUp", reason }, { status: "unknown", reason })
              : close(list, begun, { _tag: "Refused", reason }, { status: "failed", reason })
            return refused
          }
        }
      })

    const record = (list: OpenList, results: ReadonlyArray<DeliveryResult>) =>
      Effect.gen(function*() {
        for (let from = 0; from < results.length; from += resultsMax) {
          yield* surely(store.record(list.id, results.slice(from, from + resultsMax)))
        }
      })
    const complete = (list: OpenList) =>
      close(list, list.state, { _tag: "ResultsRecorded" }, {
        status: "unknown",
        reason: "the provider gave no result"
      })
    const firstPoll = (list: OpenList): number =>
      Math.min(
        settings.statusMaxMs,
        Math.max(settings.statusFirstMs, lateness * predictMs(sendingPace, list.recipients))
      )
    /** By the provider's clock, but within what ours has seen. */
    const learnSending = (list: OpenList, results: ReadonlyArray<DeliveryResult>) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const from = acceptedAt.get(list.id)
        if (from === undefined) return
        const last = results.reduce((latest, { at }) => Math.max(latest, at), from)
        sendingPace = learnPace(sendingPace, list.recipients, Math.min(now, last) - from)
      })
    const nextPoll = (list: OpenList): number =>
      Math.min(settings.statusMaxMs, settings.statusFirstMs * 2 ** Math.min(list.polls, 20))
    /** What a question that was not answered leaves behind. */
    const unanswered = (list: OpenList, outcome: Exclude<Outcome<unknown>, { readonly _tag: "Answered" }>) => {
      const wait = outcome._tag === "NotDone" ? outcome.waitMs ?? nextPoll(list) : nextPoll(list)
      return Effect.as(surely(store.postpone(list.id, wait)), endingOf(outcome, processingMs))
    }

    const status = (list: OpenList, sendId: string, startBefore: bigint, over: Over) =>
      Effect.gen(function*() {
        const outcome = yield* ask(over, provider.status({ sendId, ...termsOf(over, startBefore) }))
        if (outcome._tag !== "Answered") return yield* unanswered(list, outcome)
        switch (outcome.answer.state) {
          case "Completed":
            yield* learnSending(list, outcome.answer.results)
            yield* record(list, outcome.answer.results)
            yield* complete(list)
            return answered
          case "Failed": {
            const reason = "the send came to nothing"
            yield* close(list, list.state, { _tag: "SendFailed", reason }, { status: "failed", reason })
            return answered
          }
          case "Queued":
          case "Sending":
            yield* surely(store.postpone(list.id, nextPoll(list)))
            return answered
        }
      })

    /** A doubt is resolved by what the history shows of the list; it is complete, since the settle time has passed. */
    const reconcile = (list: OpenList, history: History) =>
      Effect.gen(function*() {
        const { state } = list
        if (state.status !== "unknown") return
        const accepted = history.sends.find((one) => one.listId === list.id)
        const uploaded = history.lists.find((one) => one.listId === list.id)
        if (state.of === "send" && accepted !== undefined) {
          const { sendId, uploadId } = accepted
          yield* change(list, state, { _tag: "SendAccepted", sendId, uploadId }, 0)
        } else if (state.of === "upload" && uploaded !== undefined) {
          yield* change(list, state, { _tag: "UploadAccepted", uploadId: uploaded.uploadId })
        } else if (history.next !== undefined) {
          cursors.set(list.id, history.next)
          yield* surely(store.postpone(list.id, 0))
          return
        } else yield* change(list, state, { _tag: "NotDone" })
        cursors.delete(list.id)
      })

    /** A send whose status never says that it is completed: what the history knows of its messages counts. */
    const complement = (list: OpenList, sendId: string, history: History) =>
      Effect.gen(function*() {
        const own = history.deliveries.filter((one) => one.sendId === sendId)
        yield* record(
          list,
          own.flatMap(({ at, deliveryId, reason, state }): ReadonlyArray<DeliveryResult> => {
            if (state === "Accepted") return []
            const outcome = state === "Failed" ? "Rejected" : state
            return [{ deliveryId, outcome, at, ...(reason !== undefined && { reason }) }]
          })
        )
        if (history.next !== undefined) cursors.set(list.id, history.next)
        else cursors.delete(list.id)
        const left = yield* surely(store.deliveries(list.id))
        if (left.length === 0) yield* complete(list)
        else yield* surely(store.postpone(list.id, history.next === undefined ? nextPoll(list) : 0))
      })

    const history = (list: OpenList, startBefore: bigint, over: Over) =>
      Effect.gen(function*() {
        const cursor = cursors.get(list.id)
        const query = { _tag: "List" as const, listId: list.id, ...(cursor !== undefined && { cursor }) }
        const outcome = yield* ask(over, provider.history({ query, ...termsOf(over, startBefore) }))
        if (outcome._tag !== "Answered") return yield* unanswered(list, outcome)
        if (list.state.status === "sent") yield* complement(list, list.state.sendId, outcome.answer)
        else yield* reconcile(list, outcome.answer)
        return answered
      })

    const giveUp = (list: OpenList, reason: string): Effect.Effect<void> =>
      Effect.asVoid(close(list, list.state, { _tag: "GivenUp", reason }, { status: "unknown", reason }))

    const requests: ListRequests = {
      settleMs,
      pace: () => ({ upload: uploadPace, sending: sendingPace }),
      takeBack: ({ list }) => {
        const begun = listStep(list.state, { _tag: "RequestBegun" })
        return begun === null ? Effect.void : Effect.asVoid(change(list, begun, { _tag: "NotDone" }))
      },
      perform: ({ list, operation }, startBefore, over) => {
        const { state } = list
        switch (operation) {
          case "upload":
          case "send": {
            const begun = listStep(state, { _tag: "RequestBegun" })
            if (begun?.status === "uploading") return upload(list, begun, startBefore, over)
            if (begun?.status === "sending") return send(list, begun, startBefore, over)
            return Effect.dieMessage(`nothing to ${operation} for a list that is ${state.status}`)
          }
          case "status":
            return state.status === "sent"
              ? status(list, state.sendId, startBefore, over)
              : Effect.dieMessage(`no status of a list that is ${state.status}`)
          case "history":
            return history(list, startBefore, over)
        }
      },
      resolveWithoutHistory: (list) =>
        Effect.gen(function*() {
          const { state } = list
          // An upload sends nothing, so it may be repeated; a send only where the provider recognises the repeat.
          if (state.status === "unknown" && state.of === "upload") {
            return yield* change(list, state, { _tag: "NotDone" })
          }
          if (state.status === "unknown" && promises.reconciliation === "retry-key") {
            return yield* change(list, state, { _tag: "RepeatDue" })
          }
          yield* giveUp(list, "no answer to the send, and no way to find out")
        }),
      giveUp
    }
    return requests
  })
