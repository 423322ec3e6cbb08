/**
 * A recipient list (a chunk of what is due) as a state machine: queued, uploading, uploaded, sending, sent, completed; or
 * failed, expired, unknown. Keyed by its id, written by the dispatcher that owns it, each step a conditional update on
 * (status, attempt): so two dispatchers that both believe they own a list cannot both take a step.
 *
 * A state that is about to cause a request at the provider (`uploading`, `sending`) is stored before the request starts.
 * Who finds a list in such a state without knowing the answer knows only that the request may have happened: that is
 * `unknown`, and it is reconciled before anything is repeated (R21).
 */
import { Schema } from "effect"

export const listStatuses = [
  "queued",
  "uploading",
  "uploaded",
  "sending",
  "sent",
  "completed",
  "failed",
  "expired",
  "unknown"
] as const
export const ListStatus = Schema.Literal(...listStatuses)
export type ListStatus = typeof ListStatus.Type

/** The request whose outcome is not known. */
export type Doubtful = "upload" | "send"

/**
 * A list as far as its steps are concerned. `attempt` counts the requests begun for it, uploads and sends together.
 * `inDoubt`: an earlier send may have happened, and this one repeats it with the key by which the provider knows it (R21).
 * Nothing but the provider's acceptance ends that doubt: no deadline, refusal or cancellation proves that nothing was sent.
 */
export type ListState =
  | { readonly status: "queued"; readonly attempt: number }
  | { readonly status: "uploading"; readonly attempt: number }
  | { readonly status: "uploaded"; readonly attempt: number; readonly uploadId: string; readonly inDoubt?: true }
  | { readonly status: "sending"; readonly attempt: number; readonly uploadId: string; readonly inDoubt?: true }
  | { readonly status: "sent"; readonly attempt: number; readonly uploadId: string; readonly sendId: string }
  | { readonly status: "completed"; readonly attempt: number }
  | { readonly status: "failed"; readonly attempt: number; readonly reason: string }
  | { readonly status: "expired"; readonly attempt: number }
  | { readonly status: "unknown"; readonly attempt: number; readonly of: "upload" }
  | { readonly status: "unknown"; readonly attempt: number; readonly of: "send"; readonly uploadId: string }

export type ListEvent =
  | { readonly _tag: "RequestBegun" }
  /** The provider took the list, or its history shows it. */
  | { readonly _tag: "UploadAccepted"; readonly uploadId: string }
  /** The provider took the order to send, or its history shows it. `uploadId` where the history names another upload. */
  | { readonly _tag: "SendAccepted"; readonly sendId: string; readonly uploadId?: string }
  /** Known not to have happened, and worth another try. */
  | { readonly _tag: "NotDone" }
  /** The send may have happened, and the provider recognises a repeat of it (R21). */
  | { readonly _tag: "RepeatDue" }
  /** Known not to have happened, now or ever. */
  | { readonly _tag: "Refused"; readonly reason: string }
  /** Nobody can find out what became of the send, and it is not repeated (R21: at most once). */
  | { readonly _tag: "GivenUp"; readonly reason: string }
  /** No answer, or its owner is gone: the request may have happened. */
  | { readonly _tag: "OutcomeLost" }
  /** A result per recipient is on record. */
  | { readonly _tag: "ResultsRecorded" }
  /** The whole send came to nothing: nobody got anything. */
  | { readonly _tag: "SendFailed"; readonly reason: string }
  /** Before it was uploaded nobody was left in it. */
  | { readonly _tag: "Emptied" }
  /** A deadline in it passed before it was started. */
  | { readonly _tag: "DeadlinePassed" }

/** Whether a list that is about to repeat its send, or repeats it, may have gone out already. */
export const mayHaveGone = (state: ListState): boolean => "inDoubt" in state && state.inDoubt === true

/** The state after an event, or null where the event cannot happen: then nothing may be written. */
export const listStep = (state: ListState, event: ListEvent): ListState | null => {
  const { attempt } = state
  switch (event._tag) {
    case "RequestBegun":
      if (state.status === "queued") return { status: "uploading", attempt: attempt + 1 }
      if (state.status === "uploaded") return { ...state, status: "sending", attempt: attempt + 1 }
      return null
    case "UploadAccepted":
      return state.status === "uploading" || (state.status === "unknown" && state.of === "upload")
        ? { status: "uploaded", attempt, uploadId: event.uploadId }
        : null
    case "SendAccepted":
      return state.status === "sending" || (state.status === "unknown" && state.of === "send")
        ? { status: "sent", attempt, uploadId: event.uploadId ?? state.uploadId, sendId: event.sendId }
        : null
    case "NotDone":
      if (state.status === "uploading" || (state.status === "unknown" && state.of === "upload")) {
        return { status: "queued", attempt }
      }
      // Of a repeat this says nothing about the send before it.
      if (state.status === "sending") return { ...state, status: "uploaded" }
      if (state.status === "unknown" && state.of === "send") {
        return { status: "uploaded", attempt, uploadId: state.uploadId }
      }
      return null
    case "RepeatDue":
      return state.status === "unknown" && state.of === "send"
        ? { status: "uploaded", attempt, uploadId: state.uploadId, inDoubt: true }
        : null
    case "Refused":
      if (mayHaveGone(state)) return null
      return state.status === "uploading" || state.status === "sending" || state.status === "unknown"
        ? { status: "failed", attempt, reason: event.reason }
        : null
    case "GivenUp":
      return mayHaveGone(state) || (state.status === "unknown" && state.of === "send") || state.status === "sent"
        ? { status: "failed", attempt, reason: event.reason }
        : null
    case "OutcomeLost":
      if (state.status === "uploading") return { status: "unknown", attempt, of: "upload" }
      if (state.status === "sending") return { status: "unknown", attempt, of: "send", uploadId: state.uploadId }
      return null
    case "ResultsRecorded":
      return state.status === "sent" ? { status: "completed", attempt } : null
    case "SendFailed":
      return state.status === "sent" ? { status: "failed", attempt, reason: event.reason } : null
    case "Emptied":
      return state.status === "queued" || state.status === "uploading" ? { status: "completed", attempt } : null
    case "DeadlinePassed":
      if (mayHaveGone(state)) return null
      return state.status === "queued" || state.status === "uploaded" ? { status: "expired", attempt } : null
  }
}

/** Whether nothing more will happen to the list. */
export const isClosed = (status: ListStatus): boolean =>
  status === "completed" || status === "failed" || status === "expired"

/**
 * The slot of a request: names the list, what is asked and which attempt, so that its end can be told from the list's row;
 * `turn` makes it unique where one attempt asks for slots several times.
 */
export const slotOf = (list: string, operation: string, attempt: number, turn: number): string =>
  `${list}/${operation}/${attempt}/${turn}`

/** What a slot was for; null where it names something else. */
export const slotParts = (
  slot: string
): { readonly list: string; readonly operation: string; readonly attempt: number } | null => {
  const parts = /^([^/]+)\/([a-z]+)\/(\d{1,9})\/\d+$/.exec(slot)
  return parts === null ? null : { list: parts[1] ?? "", operation: parts[2] ?? "", attempt: Number(parts[3]) }
}

/** Whether a list's row tells that a request for it has ended: it has an outcome, or a later attempt was begun. */
export const hasEnded = (
  row: { readonly status: ListStatus; readonly attempt: number },
  operation: string,
  attempt: number
): boolean =>
  row.attempt > attempt ||
  (row.attempt === attempt && row.status !== "unknown" &&
    ((operation === "upload" && row.status !== "uploading") || (operation === "send" && row.status !== "sending")))
