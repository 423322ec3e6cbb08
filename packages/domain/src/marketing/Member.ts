/**
 * A member of the shop: what may be asked of one and what is answered; what is known of one is `MemberState.ts`. Keyed by the
 * member's id. Written by the Member actor alone, which also inserts the delivery row in the commit that consumes a cap; from
 * then on the dispatcher owns that row's status.
 *
 * Commands and replies are small plain objects: a run sends one per member, and what is the same for all of them is one
 * shared object, `terms`, that is encoded and decoded once per page.
 */
import { Either, type ParseResult, Schema } from "effect"
import { CampaignId, Instant, MemberId, ProductId, Text } from "../Identifier.ts"
import { Attributes, Channel } from "./Event.ts"
import { CapRule, MessageClass, windowMaxMs } from "./FrequencyCap.ts"
import { HoldPhase } from "./MemberState.ts"
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
  /**
   * Longest time from the start of a provider's request to the sending itself, ms; default 0. A delivery must be started so
   * much before the end of what it occupies, so that a message sent late still falls into windows that counted it.
   */
  lagMs: Schema.optionalWith(Schema.Int.pipe(Schema.between(0, 86_400_000)), { exact: true }),
  /** Longest window that any rule of the shop uses, ms: what lies further back is forgotten; default 400 days. */
  keepMs: Schema.optionalWith(Schema.Int.pipe(Schema.between(0, windowMaxMs)), { exact: true })
}).annotations({ identifier: "Terms" })
export type Terms = typeof Terms.Type

export const explorationShareDefault = 0.1

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
/** What a run asks of a member: one message, by run, so that asking twice is asking once. */
export const Page = Schema.Struct({
  run: RunId,
  campaign: CampaignId,
  version: Schema.Int,
  product: Schema.optionalWith(ProductId, { exact: true }),
  /** What content is made from, beside product and member. */
  parameters: Schema.optionalWith(Attributes, { exact: true }),
  /** Earliest and latest instant at which it makes sense to send, ms since the epoch. */
  notBefore: Instant,
  deadline: Instant
})
export interface Consideration extends Schema.Schema.Type<typeof Page> {
  readonly terms: Terms
}

/** Longest texts of one command, characters. */
export const pageLengthMax = 65_536
export const termsLengthMax = 65_536

/**
 * Asks for one message. A page of a run is thousands of these that differ in the member alone, or in the product: each is
 * two texts, made once by `considerCommand` and understood once by `readConsider`, which costs less than anything else
 * that could be done with an object. The answer is `Accepted` or `Rejected`, or `Refused` when a text cannot be read.
 */
export const Consider = Schema.TaggedStruct("Consider", {
  page: Schema.String.pipe(Schema.maxLength(pageLengthMax)),
  terms: Schema.String.pipe(Schema.maxLength(termsLengthMax))
})
export type Consider = typeof Consider.Type

const encodeTerms = Schema.encodeSync(Schema.parseJson(Terms))
const encodePage = Schema.encodeSync(Schema.parseJson(Page))
const textOfTerms = new WeakMap<Terms, string>()
const commands = new WeakMap<Consideration, Consider>()

/** The command for a consideration; the same object for the same object. Throws on what its schemas do not allow. */
export const considerCommand = (consideration: Consideration): Consider => {
  const known = commands.get(consideration)
  if (known !== undefined) return known
  const { terms, ...page } = consideration
  let text = textOfTerms.get(terms)
  if (text === undefined) textOfTerms.set(terms, text = encodeTerms(terms))
  const command: Consider = { _tag: "Consider", page: encodePage(page), terms: text }
  commands.set(consideration, command)
  return command
}

/** Texts kept understood; past it all are read again. */
const pagesMax = 256
const termsMax = 64
const decodeTerms = Schema.decodeUnknownEither(Schema.parseJson(Terms))
const decodePage = Schema.decodeUnknownEither(Schema.parseJson(Page))
const understood = new Map<string, { readonly terms: Terms; readonly pages: Map<string, Consideration> }>()

/** What a command asks for, or what is wrong with its texts. */
export const readConsider = (command: Consider): Either.Either<Consideration, ParseResult.ParseError> => {
  const known = understood.get(command.terms)
  const seen = known?.pages.get(command.page)
  return seen === undefined ? understand(command, known?.terms) : Either.right(seen)
}

const understand = (command: Consider, knownTerms: Terms | undefined) =>
  Either.gen(function*() {
    const terms = knownTerms ?? (yield* decodeTerms(command.terms))
    const consideration: Consideration = { ...(yield* decodePage(command.page)), terms }
    let kept = understood.get(command.terms)
    if (kept === undefined) {
      if (understood.size >= termsMax) understood.clear()
      understood.set(command.terms, kept = { terms, pages: new Map() })
    }
    if (kept.pages.size >= pagesMax) kept.pages.clear()
    kept.pages.set(command.page, consideration)
    return consideration
  })

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

// Replies are made here, not read from outside: their schemas check no more than their shape.
/** Consumes its caps from now on. No request for it may start before `notBefore` or after `deadline`. */
export const Accepted = Schema.TaggedStruct("Accepted", {
  delivery: Schema.String,
  channel: Channel,
  notBefore: Schema.Number,
  deadline: Schema.Number
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
/** May be sent, to this address. */
export const Released = Schema.TaggedStruct("Released", { channel: Channel, address: Schema.NullOr(Schema.String) })
export const Dropped = Schema.TaggedStruct("Dropped", { reason: DropReason })
export const Noted = Schema.TaggedStruct("Noted", { changed: Schema.Boolean })

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
