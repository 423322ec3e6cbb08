/**
 * What the dispatcher keeps in the store: the deliveries from `due` on, and the recipient lists. A port; each method is one
 * statement, so that a crash falls between steps and never into one. Deadlines and `not before` are compared with the
 * shop's clock; retries and settle times are real time (R6).
 */
import type { Group } from "@hikyaku/domain/delivery/Dispatch"
import type { Doubtful, ListState, ListStatus } from "@hikyaku/domain/delivery/List"
import type { Speed } from "@hikyaku/domain/delivery/Request"
import type { Attributes, Channel } from "@hikyaku/domain/marketing/Event"
import type { MessageClass } from "@hikyaku/domain/marketing/FrequencyCap"
import { Context, type Effect, Schema } from "effect"
import type { DeliveryResult } from "./Provider.ts"

/** The store did not answer, or refused. A write may have happened; each can be repeated. */
export class StoreFault extends Schema.TaggedError<StoreFault>()("StoreFault", { reason: Schema.String }) {}

/** One dispatcher of one provider account. */
export interface Ownership {
  readonly provider: string
  readonly owner: string
  /** Of the takeover that made it the owner: lists of lower epochs are its to claim, of higher ones not to touch. */
  readonly epoch: number
}

/** What deliveries of one list have in common. */
export interface ListKey {
  readonly campaign: string
  readonly version: number
  readonly class: MessageClass
  readonly channel: Channel
}

/** Deliveries that could become one list. `latestStart` is the deadline itself: prediction is the dispatcher's. */
export interface DueGroup extends ListKey, Pick<Group, "since" | "priority" | "full"> {
  /** Of its first delivery, ms of the shop's clock. */
  readonly deadline: number
  /** Recipients of the request that it is, 0 where it is a campaign's; and who asked for it, "" for the shop itself. */
  readonly size: number
  readonly system: string
}

/** One message as content is made for it. */
export interface ListedDelivery {
  readonly delivery: string
  readonly run: string
  readonly member: string
  readonly address: string
  readonly language: string | null
  readonly product: string | null
  readonly parameters: Attributes
}

/** A list with something to do. Instants in ms of the shop's clock. */
export interface OpenList extends ListKey {
  readonly id: string
  readonly state: ListState
  readonly priority: number
  readonly recipients: number
  readonly polls: number
  readonly since: number
  readonly deadline: number
  /** Real time since its send began, the first one where it is in doubt, ms; null or absent: none has begun. */
  readonly sendAgeMs?: number | null
}

/** What came of making a list: null when nobody is left for it. `refused`: how many were closed instead. */
export interface MadeList {
  readonly list: OpenList | null
  readonly deliveries: ReadonlyArray<ListedDelivery>
  readonly refused: number
}

/** A held delivery: its member judges it again, unless it is `stale`, i.e. why what it says does not hold any more. */
export interface HeldDelivery {
  readonly delivery: string
  readonly member: string
  readonly stale: string | null
}

/** What there is to do now. */
export interface Overview {
  /** The shop's instant, ms. */
  readonly now: number
  /** By group: distinct campaigns, versions, channels and classes with something due. */
  readonly groups: ReadonlyArray<DueGroup>
  /** Lists of this owner whose next step is not put off: queued, uploaded, sent, unknown. */
  readonly lists: ReadonlyArray<OpenList>
  /**
   * Those there is nothing to do for now, but whose messages are still to be sent: put off, uploading, in doubt,
   * or an earlier owner's that is not claimed yet.
   */
  readonly waiting: ReadonlyArray<OpenList>
  /** Queued and uploaded ones of paused requests: they may go on on any day. */
  readonly paused: ReadonlyArray<OpenList>
  /** ms of real time after which the first list's step is no longer put off; null when none is. */
  readonly wakeInMs: number | null
  /** There are deliveries that the shop's clock makes due, or has made. */
  readonly awaitsClock: boolean
}

/** A change of a list's state by an outcome. The list must still be in the state it names, or in doubt about that request. */
export interface ListChange {
  readonly id: string
  readonly from: ListState
  readonly to: ListState
  /** Nothing is asked of the provider for the list for so long, ms of real time. */
  readonly waitMs?: number
}

/** What goes back to a member: the delivery was sent at `at` (the shop's clock), or was provably not. */
export interface Fact {
  readonly _tag: "Sent" | "Refund"
  readonly delivery: string
  readonly member: string
  readonly at: number
}

/** What a closed list leaves of its deliveries that have no result. */
export type Remainder =
  /** Provably not sent. */
  | { readonly status: "failed"; readonly reason: string }
  /** Nobody knows: reported, the cap is kept. */
  | { readonly status: "unknown"; readonly reason: string }

/** Most groups and lists in one overview, facts or held deliveries in one page of the relay, results or expiries in one statement. */
export const groupsMax = 500
export const listsMax = 2_000
export const factsMax = 500
export const heldMax = 500
export const resultsMax = 2_000
export const expiriesMax = 2_000

export class DeliveryStore extends Context.Tag("@hikyaku/cluster/delivery/DeliveryStore")<DeliveryStore, {
  /** Reads what there is to do; `listSize`: from how many deliveries on a group is full. */
  readonly overview: (
    by: Ownership,
    channels: ReadonlyArray<Channel>,
    listSize: number
  ) => Effect.Effect<Overview, StoreFault>
  /**
   * Makes a list of at most `listSize` due deliveries of a group. Address, consent, suppressions and the run's status are
   * looked up here: who must not or cannot be reached is closed with a reason, and refunded.
   */
  readonly makeList: (
    by: Ownership,
    id: string,
    key: ListKey,
    listSize: number
  ) => Effect.Effect<MadeList, StoreFault>
  /** The deliveries of a list that are still in it, in the order of their ids. */
  readonly deliveries: (list: string) => Effect.Effect<ReadonlyArray<ListedDelivery>, StoreFault>
  /** Takes deliveries out of a list that cannot be sent (R19): failed and refunded. */
  readonly dropFromList: (
    list: string,
    deliveries: ReadonlyArray<{ readonly delivery: string; readonly reason: string }>
  ) => Effect.Effect<void, StoreFault>
  /**
   * Notes that requests are about to start: queued lists become uploading, uploaded ones sending. Answers which of them
   * may: those still as named, this owner's, and before their deadline (G13).
   */
  readonly begin: (
    by: Ownership,
    lists: ReadonlyArray<{ readonly id: string; readonly state: ListState }>
  ) => Effect.Effect<ReadonlySet<string>, StoreFault>
  /** Records an outcome; false when the list is past it. */
  readonly change: (change: ListChange) => Effect.Effect<boolean, StoreFault>
  /** Records an outcome that closes the list, and what becomes of its deliveries without a result. */
  readonly close: (change: ListChange, remainder: Remainder) => Effect.Effect<boolean, StoreFault>
  /** Gives up a list of which nothing was sent, past a deadline: what is late is expired and refunded, the rest due again. */
  readonly expireList: (by: Ownership, list: OpenList) => Effect.Effect<boolean, StoreFault>
  /** Closes due deliveries past their deadline, refunds included; at most `expiriesMax`. Answers how many. */
  readonly expireDue: (channels: ReadonlyArray<Channel>) => Effect.Effect<number, StoreFault>
  /** Records results of a sent list, refunds and sent facts included; at most `resultsMax`. A result stands once given. */
  readonly record: (list: string, results: ReadonlyArray<DeliveryResult>) => Effect.Effect<void, StoreFault>
  /** Puts off the next question about a list, counting it as a poll. */
  readonly postpone: (list: string, waitMs: number) => Effect.Effect<void, StoreFault>
  /**
   * Takes over the lists of earlier owners. What they were asking for is in doubt, to be reconciled after `settleMs` of
   * real time; so are own requests that are not `busy`, i.e. under way to this dispatcher's knowledge. Answers how many.
   */
  readonly claim: (by: Ownership, settleMs: number, busy: ReadonlyArray<string>) => Effect.Effect<number, StoreFault>
  /** Closes lists of cancelled requests that have not begun, and withdraws their deliveries; answers how many. */
  readonly sweepCancelled: (request: string | null) => Effect.Effect<number, StoreFault>
  /** Notes how fast the account works, for predictions. */
  readonly noteSpeed: (provider: string, speed: Speed) => Effect.Effect<void, StoreFault>
  /** Status and attempt of lists. */
  readonly statusOf: (lists: ReadonlyArray<string>) => Effect.Effect<
    ReadonlyArray<{ readonly id: string; readonly status: ListStatus; readonly attempt: number }>,
    StoreFault
  >
  /** Held deliveries whose time has come, to be judged again; at most `heldMax`. */
  readonly held: (channels: ReadonlyArray<Channel>) => Effect.Effect<ReadonlyArray<HeldDelivery>, StoreFault>
  /** Lets held deliveries go, or drops them for a reason (refunded). */
  readonly released: (
    verdicts: ReadonlyArray<{ readonly delivery: string; readonly dropped: string | null }>
  ) => Effect.Effect<void, StoreFault>
  /** Facts that the members do not know yet, the least tried first; at most `factsMax`. */
  readonly facts: Effect.Effect<ReadonlyArray<Fact>, StoreFault>
  /** Marks facts: `applied` ones are done, the others were tried once more. */
  readonly relayed: (
    facts: ReadonlyArray<{ readonly fact: Fact; readonly applied: boolean }>
  ) => Effect.Effect<void, StoreFault>
  /** What is due, on its way or not yet known to its member, counted up to about `bound`: 0 when all is quiet. */
  readonly backlog: (bound: number) => Effect.Effect<number, StoreFault>
}>() {}

/** The doubt in which a request leaves its list if no answer comes. */
export const doubtOf = (state: ListState): Doubtful | null =>
  state.status === "uploading" ? "upload" : state.status === "sending" ? "send" : null
