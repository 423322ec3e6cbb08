/**
 * The provider: whoever carries messages to recipients for us, over a network, with limits and a memory of its own. A port;
 * adapters are the bulk mail provider over HTTP (`HttpProvider`) and the in-process one of the tests (`ProviderMemory`).
 *
 * One call of a method is at most one request to the provider: no retries, no paging, no chunking inside. Whoever calls
 * owns the limits (G9) and therefore has to know each request. What a failure says about the request:
 *
 * | error | did it happen? | examples |
 * | --- | --- | --- |
 * | `ProviderUnavailable` | no: nothing was written | refused connection, unknown host, failed handshake |
 * | `TooLateToStart` | no: `startBefore` had passed when the connection was at hand, nothing was written | |
 * | `Throttled` | no: the provider refused before it looked | 429 |
 * | `ProviderRejected` | no: the provider says that it did nothing, and will say so again | 4xx but for those below |
 * | `ProviderUnknown` | nobody knows; reconcile (R21) | time-out, cut connection, 5xx, an answer that cannot be read |
 *
 * 5xx counts as unknown always: a 503 too may come from a gateway behind which the request was carried out. So do 408, 409
 * and 3xx, which can mean that a twin of the request is under way or was done elsewhere. An interrupted call is unknown too.
 * The reads (`status`, `history`) change nothing, but while their outcome is unknown they may occupy a slot (R20).
 */
import { Context, type Duration, type Effect, Schema } from "effect"

/** The provider asks for a pause: known not to have happened. `retryAfter`: ms on the wire, the least time to wait. */
export class Throttled
  extends Schema.TaggedError<Throttled>()("Throttled", { retryAfter: Schema.DurationFromMillis })
{}

/** Refused for good, known not to have happened. `where`: the field or thing at fault, e.g. `recipients[3].address`. */
export class ProviderRejected extends Schema.TaggedError<ProviderRejected>()("ProviderRejected", {
  reason: Schema.String,
  where: Schema.String
}) {}

/** The request may have happened, may still be under way, or may never have arrived. */
export class ProviderUnknown extends Schema.TaggedError<ProviderUnknown>()("ProviderUnknown", {
  reason: Schema.String
}) {}

/** Not one byte was written: known not to have happened. */
export class ProviderUnavailable extends Schema.TaggedError<ProviderUnavailable>()("ProviderUnavailable", {
  reason: Schema.String
}) {}

/** `startBefore` had passed before the first byte was written (G13, R20): known not to have happened. */
export class TooLateToStart extends Schema.TaggedError<TooLateToStart>()("TooLateToStart", {}) {}

/** Every way in which a request can fail; all but `ProviderUnknown` are known not to have happened. */
export type ProviderError = Throttled | ProviderRejected | ProviderUnknown | ProviderUnavailable | TooLateToStart

/** What every request may carry. */
export interface RequestTerms {
  /**
   * Instant of Effect's clock in nanoseconds (`Clock.currentTimeNanos`, monotonic within a process) from which on the
   * request must not start. The adapter looks at it in the turn in which it writes the first byte, on a connection already
   * open (R20), where its HTTP client can do so (`StartGuard`), else right before it hands the request over.
   */
  readonly startBefore?: bigint | undefined
  /**
   * Run by an adapter that can when the whole answer is here and says that it was done, before it is read: the provider
   * has nothing more to do for it, so that its place is free. Not run by others: what they answer says the same later.
   */
  readonly answered?: Effect.Effect<void> | undefined
}

/** One message to one recipient. */
export interface Recipient {
  /** Our id of the message; results and history name it. */
  readonly deliveryId: string
  /** Where the channel delivers: a mail address, a LINE user id, a device token, a member id. */
  readonly address: string
  /** Overrides the list's, where messages of several mails travel in one list. */
  readonly mailKey?: string | undefined
  readonly subject?: string | undefined
  /** Rendered parts by name, e.g. `html` and `text`. */
  readonly content?: Readonly<Record<string, string>> | undefined
  /** What travels beside the content, e.g. `unsubscribe_url`. We merge templates: no adapter leaves that to its provider yet. */
  readonly parameters?: Readonly<Record<string, unknown>> | undefined
}

/** A recipient list of at most `promises.listSizeMax` messages. */
export interface UploadRequest extends RequestTerms {
  /** Our id of the list; history finds the upload by it. */
  readonly listId: string
  /** `mail`; `line`, `push` and `onsite` for adapters that carry them. */
  readonly channel: string
  /** The mail (or run) that the list belongs to: with the address the key of "no mail twice" (G10). */
  readonly mailKey: string
  /** The provider's reference of a template, or the template itself, as the adapter documents. */
  readonly template?: string | undefined
  readonly recipients: ReadonlyArray<Recipient>
  /** Repeated with the same content it gets the first answer, where the provider keeps retry keys. */
  readonly idempotencyKey: string
}

/** What an upload says, the same in all its attempts. */
export type ListContent = Omit<UploadRequest, keyof RequestTerms | "idempotencyKey">

export interface StartRequest extends RequestTerms {
  readonly uploadId: string
  readonly idempotencyKey: string
}

export interface StatusRequest extends RequestTerms {
  readonly sendId: string
}

export const Outcome = Schema.Literal("Sent", "Bounced", "Rejected")
/** `Sent`: handed to the recipient's side. `Bounced`: tried, came back. `Rejected`: the provider did not try. */
export type Outcome = typeof Outcome.Type

export const DeliveryResult = Schema.Struct({
  deliveryId: Schema.String,
  outcome: Outcome,
  /** ms since the epoch, by the provider's clock. */
  at: Schema.Number,
  reason: Schema.optional(Schema.String)
})
export type DeliveryResult = typeof DeliveryResult.Type

export const SendState = Schema.Literal("Queued", "Sending", "Completed", "Failed")
/** `Completed`: a result per recipient is there. `Failed`: the whole send came to nothing, nobody got anything. */
export type SendState = typeof SendState.Type

export const SendStatus = Schema.Struct({
  state: SendState,
  /** One per recipient when `Completed`, else empty. */
  results: Schema.Array(DeliveryResult)
})
export type SendStatus = typeof SendStatus.Type

/**
 * What to look up. `Deliveries` and `Recipients` name at most `historyLookupMax` things and are answered at once; the
 * others in pages. `Recipients` is the question before a mail goes out a second time, by whichever system (MAIL-6).
 */
export type HistoryQuery =
  | { readonly _tag: "Deliveries"; readonly deliveryIds: ReadonlyArray<string> }
  | { readonly _tag: "Recipients"; readonly mailKey: string; readonly addresses: ReadonlyArray<string> }
  | { readonly _tag: "List"; readonly listId: string; readonly cursor?: string | undefined }
  | { readonly _tag: "Mail"; readonly mailKey: string; readonly cursor?: string | undefined }
  /** `since`: ms since the epoch, by the provider's clock. */
  | { readonly _tag: "Since"; readonly since: number; readonly cursor?: string | undefined }

/** Most ids or addresses in one history request. */
export const historyLookupMax = 10_000

export interface HistoryRequest extends RequestTerms {
  readonly query: HistoryQuery
}

/**
 * What the provider knows, in order of acceptance. A list without a send was uploaded and not started. A message that is
 * not here, asked for `promises.settleTime` after the end of its request, was not accepted.
 */
export const History = Schema.Struct({
  lists: Schema.Array(Schema.Struct({
    uploadId: Schema.String,
    listId: Schema.String,
    mailKey: Schema.String,
    recipients: Schema.Number,
    at: Schema.Number
  })),
  sends: Schema.Array(Schema.Struct({
    sendId: Schema.String,
    uploadId: Schema.String,
    listId: Schema.String,
    state: SendState,
    at: Schema.Number
  })),
  /** One per recipient and send. `Accepted`: will go out; `Failed`: its send came to nothing. */
  deliveries: Schema.Array(Schema.Struct({
    deliveryId: Schema.String,
    mailKey: Schema.String,
    address: Schema.String,
    sendId: Schema.String,
    state: Schema.Literal("Accepted", "Sent", "Bounced", "Rejected", "Failed"),
    at: Schema.Number,
    reason: Schema.optional(Schema.String)
  })),
  /** Ask again with this cursor: there is more. */
  next: Schema.optional(Schema.String)
})
export type History = typeof History.Type

/** What can be promised about this provider depends on what it offers (R21); the adapter states it. */
export interface ProviderPromises {
  /** How unknown outcomes are resolved: by its history, by repeating with the same key, or not at all (never resent). */
  readonly reconciliation: "history" | "retry-key" | "at-most-once"
  /**
   * How long after a send began a repeat with its key is recognised; what is in doubt for longer is reported, since a repeat
   * could be a second mail. Absent: the adapter itself judges repeats that come late.
   */
  readonly retryKeyValidity?: Duration.Duration | undefined
  /** Counted from the latest moment at which the request can have ended: from then on the history is complete. */
  readonly settleTime: Duration.Duration
  /** How long the provider may work on a request of which we have heard nothing more (R20). */
  readonly longestProcessingTime: Duration.Duration
  /** When the adapter gives up waiting for an answer, counted from the call (R20). */
  readonly requestTimeout: Duration.Duration
  /** Most recipients in one list. */
  readonly listSizeMax: number
}

export class Provider extends Context.Tag("@hikyaku/cluster/delivery/Provider")<Provider, {
  readonly promises: ProviderPromises
  /**
   * Gets ready what the uploads of this very content will write, recognised by its `recipients`: so that a place at the
   * provider does not wait for it. No request, and nothing has to come of it.
   */
  readonly prepareList?: (list: ListContent) => Effect.Effect<void>
  /** Uploads a recipient list; nothing is sent yet. */
  readonly uploadList: (request: UploadRequest) => Effect.Effect<{ readonly uploadId: string }, ProviderError>
  /** Starts the delivery of an uploaded list. Without a retry key in force each call is a delivery of its own. */
  readonly startDelivery: (request: StartRequest) => Effect.Effect<{ readonly sendId: string }, ProviderError>
  readonly status: (request: StatusRequest) => Effect.Effect<SendStatus, ProviderError>
  /** What the provider knows (R21, MAIL-6). */
  readonly history: (request: HistoryRequest) => Effect.Effect<History, ProviderError>
}>() {}
