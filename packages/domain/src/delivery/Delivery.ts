/**
 * One message to one recipient, as a status machine. Keyed by (run, member) (R18). The Member actor writes the first row,
 * `due`; from then on the dispatcher of the provider account alone moves it. What a terminal status means for the member's
 * caps (R18, R19) is said here and nowhere else.
 */
import { Schema } from "effect"

/** Every status is one of these; the store's check constraint lists the same. */
export const deliveryStatuses = [
  /** Waiting for its turn, maybe held until `not_before`. */
  "due",
  /** In a recipient list; the list's status says how far it got. */
  "listed",
  /** The provider carried it out; a bounce is one too, since it was tried. */
  "sent",
  /** Provably not sent: refused by the provider, or the whole send came to nothing. */
  "failed",
  /** Provably not sent: its deadline passed before a request for it started (G13). */
  "expired",
  /** Provably not sent: withdrawn, suppressed, without consent or address, or a second one to the same address. */
  "suppressed",
  /** Nobody knows and nobody will ask again: reported, never resent (R21). */
  "unknown"
] as const
export const DeliveryStatus = Schema.Literal(...deliveryStatuses)
export type DeliveryStatus = typeof DeliveryStatus.Type

/** Realtime goes ahead of batch at every step (MAIL-4). */
export const deliveryClasses = ["realtime", "batch"] as const
export const DeliveryClass = Schema.Literal(...deliveryClasses)
export type DeliveryClass = typeof DeliveryClass.Type

/** What can happen to a delivery. `Unlisted`: its list was given up before it was started. */
export type DeliveryEvent =
  | { readonly _tag: "Listed" }
  | { readonly _tag: "Unlisted" }
  | { readonly _tag: "Sent" }
  | { readonly _tag: "Failed" }
  | { readonly _tag: "Expired" }
  | { readonly _tag: "Suppressed" }
  | { readonly _tag: "LeftUnknown" }

const next: Readonly<Record<DeliveryStatus, Partial<Record<DeliveryEvent["_tag"], DeliveryStatus>>>> = {
  due: { Listed: "listed", Expired: "expired", Suppressed: "suppressed" },
  listed: {
    Unlisted: "due",
    Sent: "sent",
    Failed: "failed",
    Expired: "expired",
    // Its request was cancelled before the list was started.
    Suppressed: "suppressed",
    LeftUnknown: "unknown"
  },
  // What was unknown can still be proved, by a late answer or by the provider's history; a proof is never undone.
  unknown: { Sent: "sent", Failed: "failed" },
  sent: {},
  failed: {},
  expired: {},
  suppressed: {}
}

/** The status after an event, or null where the event cannot happen (a repeat, or a message from the past). */
export const deliveryStep = (status: DeliveryStatus, event: DeliveryEvent): DeliveryStatus | null =>
  next[status][event._tag] ?? null

/** Statuses from which a delivery can get to `to` by what is known about it: the condition of the store's updates. */
export const statusesBefore = (to: DeliveryStatus): ReadonlyArray<DeliveryStatus> =>
  deliveryStatuses.filter((from) => Object.values(next[from]).includes(to))

/**
 * What the status means for the member's caps: `refund` (provably not sent, given back once), `narrow` (sent: the occupied
 * windows shrink to the real time), `keep` (open, or unknown: counts as sent, G8).
 */
export const capEffect = (status: DeliveryStatus): "refund" | "narrow" | "keep" => {
  switch (status) {
    case "failed":
    case "expired":
    case "suppressed":
      return "refund"
    case "sent":
      return "narrow"
    case "due":
    case "listed":
    case "unknown":
      return "keep"
  }
}

/** Whether nothing but a proof about the past can still change the status. */
export const isTerminal = (status: DeliveryStatus): boolean => status !== "due" && status !== "listed"
