/**
 * A member of the shop: profile, consents, suppressions, and what their frequency caps, channel and hours are decided on.
 * Keyed by the member's id. Written by the Member actor alone, which also inserts the delivery row in the commit that
 * consumes a cap; from then on the dispatcher owns that row's status.
 *
 * Commands and replies are small plain objects: a run sends one per member, and what is the same for all of them is one
 * shared object, `terms`, that is encoded and decoded once per page.
 */
import { ParseResult, Schema } from "effect"
import { CampaignId, Instant, MemberId, ProductId, Text } from "../Identifier.ts"
import { type Responses, type ResponsesByChannel } from "./Channel.ts"
import { Attributes, Channel } from "./Event.ts"
import { type CapHold, CapRule, MessageClass, windowMaxMs } from "./FrequencyCap.ts"
import { DailyHours, TimePolicy } from "./SendTime.ts"
import { VolumeTerms } from "./Volume.ts"

/** One firing of a campaign. No colon: with a member's id it makes the delivery's id, which must name both beyond doubt. */
export const RunId = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, {
    message: () => "RunId: 1 to 63 of A-Z a-z 0-9 . _ - beginning with a letter or digit"
  }),
  Schema.annotations({ identifier: "RunId" })
)
export type RunId = typeof RunId.Type

/** Key of a delivery: run and member, without the channel (R18). */
export const deliveryId = (run: string, member: string): string => `${run}:${member}`
/** The run of a delivery of this member, or null when the id is not one of theirs. */
export const runOf = (delivery: string, member: string): string | null =>
  delivery.length === delivery.indexOf(":") + 1 + member.length && delivery.endsWith(`:${member}`)
    ? delivery.slice(0, delivery.length - member.length - 1)
    : null

/** Most cap rules of one kind that a decision looks at. */
export const capRulesMax = 20
const CapRules = Schema.Array(CapRule).pipe(Schema.maxItems(capRulesMax))
const Share = Schema.Number.pipe(Schema.between(0, 1))

/** What is the same for every member of a run: the campaign's own settings and the shop's. */
export const Terms = Schema.Struct({
  class: MessageClass,
  /** The higher one wins where campaigns compete for the last slot of a cap. */
  priority: Schema.Int.pipe(Schema.between(0, 1_000)),
  /** Channels that may be used, the preferred one first. */
  channels: Schema.NonEmptyArray(Channel).pipe(Schema.maxItems(4)),
  /** The campaign's own caps: they count its own deliveries only. */
  caps: CapRules,
  /** The shop's caps: they count every campaign's deliveries. */
  globalCaps: CapRules,
  /** Time before the campaign may write to the member about the same product again, ms; 0: at once. */
  cooldownMs: Schema.Int.pipe(Schema.between(0, windowMaxMs)),
  /** Share of members who get nothing of this campaign, so that its effect can be measured; the same ones in every run. */
  holdoutShare: Share,
  timePolicy: TimePolicy,
  quietHours: Schema.optionalWith(DailyHours, { exact: true }),
  deliveryHours: Schema.optionalWith(DailyHours, { exact: true }),
  outsideHours: Schema.Literal("hold", "drop"),
  /** The shop's time zone, for members of whom none is known. */
  timeZone: Text(64),
  /** Condition on the member, as the filter given to the decider reads it (CEL, or a decision table's name and version). */
  filter: Schema.optionalWith(Text(16_000), { exact: true }),
  /** The shop's volume optimisation; without it there is none. */
  volume: Schema.optionalWith(VolumeTerms, { exact: true }),
  /** Share of messages that try a channel which is not the best known; default 0.1. */
  explorationShare: Schema.optionalWith(Share, { exact: true }),
  /**
   * Whether a delivery may take the place of held ones of lower priority. Only safe where the dispatcher asks `Release`
   * for every delivery whose row says `held`; default false.
   */
  displaces: Schema.optionalWith(Schema.Boolean, { exact: true }),
  /** Decides without consuming or writing anything (shadow campaigns, G18); default false. */
  shadow: Schema.optionalWith(Schema.Boolean, { exact: true }),
  /** Longest window that any rule of the shop uses, ms: what lies further back is forgotten; default 400 days. */
  keepMs: Schema.optionalWith(Schema.Int.pipe(Schema.between(0, windowMaxMs)), { exact: true })
}).annotations({ identifier: "Terms" })
export type Terms = typeof Terms.Type

export const explorationShareDefault = 0.1

// A page of a run is thousands of commands with the same terms: on the wire they are one text, decoded once.
const termsMax = 256
const byText = new Map<string, Terms>()
const texts = new WeakMap<Terms, string>()
const decodeTerms = ParseResult.decodeUnknown(Schema.parseJson(Terms))
const encodeTerms = Schema.encodeSync(Schema.parseJson(Terms))

const SharedTerms = Schema.transformOrFail(
  Schema.String,
  Schema.declare((value): value is Terms => typeof value === "object" && value !== null),
  {
    strict: true,
    decode: (text) => {
      const known = byText.get(text)
      if (known !== undefined) return ParseResult.succeed(known)
      return ParseResult.map(decodeTerms(text), (terms) => {
        if (byText.size >= termsMax) byText.clear()
        byText.set(text, terms)
        return terms
      })
    },
    encode: (terms) => {
      let text = texts.get(terms)
      if (text === undefined) texts.set(terms, text = encodeTerms(terms))
      return ParseResult.succeed(text)
    }
  }
)

/** What became of a message, as far as a member's figures are concerned. */
export const FeedbackKind = Schema.Literal("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
export type FeedbackKind = typeof FeedbackKind.Type

const DeliveryId = Text(128)

/** Joins, or changes what is given; what is left out stays. A withdrawn member joins anew, without consents. */
export const SetProfile = Schema.TaggedStruct("SetProfile", {
  address: Schema.optionalWith(Schema.NullOr(Text(320)), { exact: true }),
  language: Schema.optionalWith(Schema.Literal("ja", "en"), { exact: true }),
  timeZone: Schema.optionalWith(Text(64), { exact: true }),
  /** All of them: they replace those there were. */
  attributes: Schema.optionalWith(Attributes, { exact: true })
})
export const SetConsent = Schema.TaggedStruct("SetConsent", { channel: Channel, consent: Schema.Boolean })
export const Withdraw = Schema.TaggedStruct("Withdraw", {})
/** Nothing goes out on the channel any more, whatever the member consented to. */
export const Suppress = Schema.TaggedStruct("Suppress", { channel: Channel, reason: Text(200) })
export const Unsuppress = Schema.TaggedStruct("Unsuppress", { channel: Channel })
/** Asks for one message to the member: by run, so that asking twice is asking once. */
export const Consider = Schema.TaggedStruct("Consider", {
  run: RunId,
  campaign: CampaignId,
  version: Schema.Int,
  terms: SharedTerms,
  product: Schema.optionalWith(ProductId, { exact: true }),
  parameters: Schema.optionalWith(Attributes, { exact: true }),
  /** Earliest and latest instant at which it makes sense to send. */
  notBefore: Instant,
  deadline: Instant
})
export type Consider = typeof Consider.Type
/** Asked by the dispatcher for a held delivery when its time has come: consent and competition are judged again. */
export const Release = Schema.TaggedStruct("Release", { delivery: DeliveryId })
/** The delivery was sent at this instant: its hold narrows to it. */
export const Sent = Schema.TaggedStruct("Sent", { delivery: DeliveryId, at: Instant })
/** The delivery was provably not sent: its cap is given back (R19). */
export const Refund = Schema.TaggedStruct("Refund", { delivery: DeliveryId })
export const Feedback = Schema.TaggedStruct("Feedback", {
  delivery: DeliveryId,
  channel: Channel,
  kind: FeedbackKind,
  at: Instant
})
export const ReadMember = Schema.TaggedStruct("ReadMember", {})

export const MemberCommand = Schema.Union(
  Consider,
  Sent,
  Refund,
  Release,
  Feedback,
  SetProfile,
  SetConsent,
  Withdraw,
  Suppress,
  Unsuppress,
  ReadMember
)
export type MemberCommand = typeof MemberCommand.Type

/** Why a member does not get a message, in the order in which it is asked. */
export const RejectionReason = Schema.Literal(
  "Unknown",
  "Withdrawn",
  "TooLate",
  "Filtered",
  "FilterFault",
  "NoConsent",
  "Suppressed",
  "NoChannel",
  "QuietHours",
  "OutsideHours",
  "NoSlot",
  "Cooldown",
  "Volume",
  "Capped",
  "Full",
  "Holdout"
)
export type RejectionReason = typeof RejectionReason.Type
/** Why a held delivery is not released. */
export const DropReason = Schema.Literal("Withdrawn", "NoConsent", "Suppressed", "NoChannel", "Displaced", "Refunded")
export type DropReason = typeof DropReason.Type

export const Accepted = Schema.TaggedStruct("Accepted", {
  delivery: DeliveryId,
  channel: Channel,
  notBefore: Instant,
  deadline: Instant
})
export const Rejected = Schema.TaggedStruct("Rejected", { reason: RejectionReason })
/** The profile, consent or suppression is as asked; `changed` tells whether it was not before. */
export const Done = Schema.TaggedStruct("Done", { changed: Schema.Boolean })
/** The command names something that cannot be: nothing was changed. */
export const Refused = Schema.TaggedStruct("Refused", { field: Schema.String, hint: Schema.String })
export const Narrowed = Schema.TaggedStruct("Narrowed", {})
/** `first`: whether this refund is the one that gave the cap back. */
export const Refunded = Schema.TaggedStruct("Refunded", { first: Schema.Boolean })
/** It is on record as sent: the cap stays consumed. */
export const KeptAsSent = Schema.TaggedStruct("KeptAsSent", {})
/** No such delivery is held: never was, or too long ago to touch any window. */
export const NotHeld = Schema.TaggedStruct("NotHeld", {})
/** May be sent, to this address, before this deadline. */
export const Released = Schema.TaggedStruct("Released", {
  channel: Channel,
  address: Schema.NullOr(Schema.String),
  deadline: Instant
})
export const Dropped = Schema.TaggedStruct("Dropped", { reason: DropReason })
export const Noted = Schema.TaggedStruct("Noted", { changed: Schema.Boolean })

export const HoldPhase = Schema.Literal("held", "due", "sent", "refunded", "displaced", "dropped")
export type HoldPhase = typeof HoldPhase.Type

const HoldSchema = Schema.Struct({
  run: Schema.String,
  campaign: Schema.String,
  product: Schema.NullOr(Schema.String),
  channel: Channel,
  class: MessageClass,
  priority: Schema.Number,
  notBefore: Schema.Number,
  deadline: Schema.Number,
  phase: HoldPhase,
  heard: Schema.Number
})

/** A member as an operator sees them. */
export const MemberView = Schema.TaggedStruct("MemberView", {
  id: MemberId,
  joined: Schema.Boolean,
  withdrawn: Schema.Boolean,
  address: Schema.NullOr(Schema.String),
  language: Schema.NullOr(Schema.Literal("ja", "en")),
  timeZone: Schema.NullOr(Schema.String),
  attributes: Attributes,
  consents: Schema.partial(Schema.Record({ key: Channel, value: Schema.Boolean })),
  suppressions: Schema.partial(Schema.Record({ key: Channel, value: Schema.String })),
  holds: Schema.Array(HoldSchema)
})

export const MemberReply = Schema.Union(
  Accepted,
  Rejected,
  Done,
  Refused,
  Narrowed,
  Refunded,
  KeptAsSent,
  NotHeld,
  Released,
  Dropped,
  Noted,
  MemberView
)
export type MemberReply = typeof MemberReply.Type

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

export type { Responses }
