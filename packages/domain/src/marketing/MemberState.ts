/**
 * What is known of a member: profile, consents, suppressions, and what their frequency caps, channel and hours are decided
 * on. The Member actor's state and facts; nobody else writes them.
 */
import { Schema } from "effect"
import type { ResponsesByChannel } from "./Channel.ts"
import type { Attributes, Channel } from "./Event.ts"
import type { CapHold } from "./FrequencyCap.ts"
import type { DropReason, RejectionReason } from "./Member.ts"

export const HoldPhase = Schema.Literal("held", "due", "sent", "refunded", "displaced", "dropped")
export type HoldPhase = typeof HoldPhase.Type

/**
 * One message that may be, or was, sent. `held`: its time has not come, `due`: it may be sent now, `sent`: at `notBefore`
 * (= `deadline`). The other phases occupy nothing; they are remembered for a while so that repeats are recognised.
 */
export interface Hold extends CapHold {
  readonly run: string
  readonly campaign: string
  readonly product: string | null
  readonly priority: number
  readonly phase: HoldPhase
  /** Bit 1: a response was counted. */
  readonly heard: number
}

/** What is learnt of a member. */
export interface Habits {
  readonly responses: ResponsesByChannel
  /** Responses by hour of the member's local day, 24 counts; null before the first. */
  readonly hours: ReadonlyArray<number> | null
  /** Times they unsubscribed or complained. */
  readonly objections: number
}

export interface Member {
  readonly id: string
  readonly joined: boolean
  readonly withdrawn: boolean
  readonly address: string | null
  readonly language: "ja" | "en" | null
  readonly timeZone: string | null
  readonly attributes: Attributes
  readonly consents: Readonly<Partial<Record<Channel, boolean>>>
  readonly suppressions: Readonly<Partial<Record<Channel, string>>>
  /** What occupies caps. Plain arrays of small records: a million members fit into memory. */
  readonly holds: ReadonlyArray<Hold>
  /** Deliveries that were given back not long ago; they occupy nothing. */
  readonly gone: ReadonlyArray<Hold>
  readonly habits: Habits
  /** Rows written to the decision ledger so far: the next one's number. */
  readonly decisions: number
}

/** Most holds of one member; whoever has more gets nothing until some have aged. */
export const holdsMax = 1_000
/** Most deliveries remembered that were given back, and for how long after their deadline, ms. */
export const goneMax = 16
export const goneKeptMs = 86_400_000

const nothing = Object.freeze({})
const none: ReadonlyArray<Hold> = Object.freeze([])
const noHabits: Habits = Object.freeze({ responses: nothing, hours: null, objections: 0 })

/** A member of whom nothing is stored. */
export const unknownMember = (id: string): Member => ({
  id,
  joined: false,
  withdrawn: false,
  address: null,
  language: null,
  timeZone: null,
  attributes: nothing,
  consents: nothing,
  suppressions: nothing,
  holds: none,
  gone: none,
  habits: noHabits,
  decisions: 0
})

/** Where in the chain of judgements a decision fell. */
export type Stage = "member" | "filter" | "channel" | "time" | "cooldown" | "volume" | "cap" | "holdout" | "release"

/** Facts about a member. */
export type MemberEvent =
  | {
    readonly _tag: "ProfileSet"
    readonly address: string | null
    readonly language: "ja" | "en" | null
    readonly timeZone: string | null
    readonly attributes: Attributes
  }
  | { readonly _tag: "ConsentSet"; readonly channel: Channel; readonly consent: boolean }
  | { readonly _tag: "MemberLeft" }
  | { readonly _tag: "ChannelSuppressed"; readonly channel: Channel; readonly reason: string }
  | { readonly _tag: "ChannelRestored"; readonly channel: Channel }
  | {
    readonly _tag: "DeliveryAccepted"
    readonly hold: Hold
    readonly version: number
    /** The latest instant at which a request for it may start: its deadline, as the dispatcher sees it. */
    readonly startBy: number
    readonly parameters: Attributes | null
    /** Where it differs from the campaign's first channel and earliest time: why. */
    readonly why: string | null
    readonly keepMs: number
    readonly at: number
  }
  | {
    readonly _tag: "DeliveryRejected"
    readonly run: string
    readonly campaign: string
    readonly stage: Stage
    readonly reason: RejectionReason
    readonly why: string | null
    readonly at: number
  }
  | { readonly _tag: "DeliveryDisplaced"; readonly run: string; readonly by: string; readonly at: number }
  | { readonly _tag: "DeliveryReleased"; readonly run: string; readonly at: number }
  | { readonly _tag: "DeliveryDropped"; readonly run: string; readonly reason: DropReason; readonly at: number }
  | { readonly _tag: "DeliverySent"; readonly run: string; readonly at: number }
  | { readonly _tag: "DeliveryRefunded"; readonly run: string; readonly at: number }
  /** A first response to a delivery; `hour` is the member's local one. */
  | { readonly _tag: "ResponseHeard"; readonly run: string; readonly channel: Channel; readonly hour: number }
  | { readonly _tag: "Objected"; readonly channel: Channel; readonly kind: "complained" | "unsubscribed" }
