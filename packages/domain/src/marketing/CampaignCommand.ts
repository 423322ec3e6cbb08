/**
 * What a Campaign actor is told and answers. Keyed by the campaign's id. It decides when its campaign fires (trigger state:
 * cooldowns, runs and budget per day, period, schedule) and starts runs; what a run then does is not its business.
 */
import { Schema } from "effect"
import { CommandId, Instant, MemberId, ProductId, Text } from "../Identifier.ts"
import { CampaignDefinition } from "./Campaign.ts"
import { Attributes } from "./Event.ts"

/** Who changed something, for the audit. */
const Author = Text(200).pipe(Schema.minLength(1))
const Version = Schema.Int.pipe(Schema.positive())
const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/**
 * `draft`: not effective yet. `paused`: nothing fires, its runs stop, its unsent deliveries are held. `cancelled`: for good;
 * its unsent deliveries are dropped and their caps given back.
 */
export const CampaignStatus = Schema.Literal("draft", "active", "paused", "cancelled")
export type CampaignStatus = typeof CampaignStatus.Type

/** Stores a new version. Only validated definitions may come here: the actor trusts them. */
export const Define = Schema.TaggedStruct("Define", {
  definition: CampaignDefinition,
  author: Author,
  /** The shop's time zone, in which the campaign's days and schedule are meant. */
  timeZone: Text(64),
  /** The version that was edited: if it is no longer the current one, nothing is stored. Without it: whatever is current. */
  base: optional(Schema.Int.pipe(Schema.nonNegative()))
})
/** Makes an earlier version the current one again, as a new version; its definition is given by who has read it. */
export const Rollback = Schema.TaggedStruct("Rollback", {
  to: Version,
  definition: CampaignDefinition,
  author: Author,
  timeZone: Text(64)
})
export const Pause = Schema.TaggedStruct("Pause", { author: Author })
export const Resume = Schema.TaggedStruct("Resume", { author: Author })
export const Cancel = Schema.TaggedStruct("Cancel", { author: Author })
/** The trigger matched an event. Idempotent by the event's place in the log, whatever the command's id. */
export const Fire = Schema.TaggedStruct("Fire", {
  partition: Schema.Int.pipe(Schema.between(0, 65_535)),
  offset: Schema.Int.pipe(Schema.nonNegative()),
  event: Text(200),
  /** When it happened, ms. */
  at: Instant,
  /** The version whose trigger matched: the run keeps it. */
  version: Version,
  product: optional(ProductId),
  member: optional(MemberId),
  parameters: Attributes
})
/** Starts a run by hand, whatever cooldown, period and runs per day say; the budget holds. */
export const StartRunNow = Schema.TaggedStruct("StartRunNow", {
  /** Minted by who asks; the run's id is made of it, so that asking twice starts one run. */
  request: CommandId,
  author: Author,
  product: optional(ProductId),
  member: optional(MemberId),
  parameters: Attributes
})
const Count = Schema.Int.pipe(Schema.between(0, 100_000_000))
/** A page of a run, by the id after which it begins; '' for the first. */
const PageOfRun = { run: Text(63), page: Text(256) }
/** Takes messages from the day's budget for a page of a run; asked again for the same page, what it took before is given back first. */
export const Spend = Schema.TaggedStruct("Spend", {
  ...PageOfRun,
  count: Count,
  /** Messages that were accepted today and then provably not sent, as the store counts them: they cost nothing. */
  unsent: optional(Count)
})
/** States how many of the messages that a page took from the budget were accepted; the rest is given back. */
export const Settle = Schema.TaggedStruct("Settle", { ...PageOfRun, used: Count })
/** The schedule's timer. */
export const Wake = Schema.TaggedStruct("Wake", {})
export const ReadCampaign = Schema.TaggedStruct("ReadCampaign", {})

export const CampaignCommand = Schema.Union(
  Define,
  Rollback,
  Pause,
  Resume,
  Cancel,
  Fire,
  StartRunNow,
  Spend,
  Settle,
  Wake,
  ReadCampaign
)
export type CampaignCommand = typeof CampaignCommand.Type

/** Why a firing starts no run. */
export const SuppressReason = Schema.Literal(
  /** The campaign's status. */
  "draft",
  "paused",
  "cancelled",
  "outsidePeriod",
  /** The deadline has passed already. */
  "late",
  "campaignCooldown",
  "productCooldown",
  "runsPerDay",
  "budget"
)
export type SuppressReason = typeof SuppressReason.Type

/** `changed`: false if this very definition was the current one already. */
export const Defined = Schema.TaggedStruct("Defined", { version: Version, changed: Schema.Boolean })
export const VersionConflict = Schema.TaggedStruct("VersionConflict", { current: Schema.Int })
export const StatusChanged = Schema.TaggedStruct("StatusChanged", { status: CampaignStatus, changed: Schema.Boolean })
/** It cannot be done in this state, or to this campaign. */
export const NotAllowed = Schema.TaggedStruct("NotAllowed", {
  status: Schema.NullOr(CampaignStatus),
  hint: Schema.String
})
export const RunStarted = Schema.TaggedStruct("RunStarted", { run: Schema.String, version: Version, deadline: Instant })
export const Suppressed = Schema.TaggedStruct("Suppressed", { reason: SuppressReason })
/** The event was decided before. */
export const Duplicate = Schema.TaggedStruct("Duplicate", {})
/** How many of the messages asked for are within the budget; 0 too if the campaign is not active. */
export const Granted = Schema.TaggedStruct("Granted", { count: Schema.Int })
/** The budget knows what the page used; `changed`: whether it did not before. */
export const Settled = Schema.TaggedStruct("Settled", { changed: Schema.Boolean })
export const Woken = Schema.TaggedStruct("Woken", { run: Schema.NullOr(Schema.String) })
export const UnknownCampaign = Schema.TaggedStruct("UnknownCampaign", {})

/** A campaign as an operator sees it. */
export const CampaignView = Schema.TaggedStruct("CampaignView", {
  id: Schema.String,
  status: CampaignStatus,
  version: Version,
  definition: CampaignDefinition,
  author: Schema.String,
  timeZone: Schema.String,
  runs: Schema.Int,
  runsToday: Schema.Int,
  spentToday: Schema.Int,
  suppressed: Schema.Record({ key: Schema.String, value: Schema.Int }),
  lastRunAt: Schema.NullOr(Instant),
  nextCycle: Schema.NullOr(Instant)
})

export const CampaignReply = Schema.Union(
  Defined,
  VersionConflict,
  StatusChanged,
  NotAllowed,
  RunStarted,
  Suppressed,
  Duplicate,
  Granted,
  Settled,
  Woken,
  UnknownCampaign,
  CampaignView
)
export type CampaignReply = typeof CampaignReply.Type

/** What led to a run. The run's id follows from it, so that the same cause is the same run. */
export const RunCause = Schema.Union(
  Schema.TaggedStruct("Event", {
    partition: Schema.Int,
    offset: Schema.Int,
    event: Schema.String,
    at: Instant
  }),
  Schema.TaggedStruct("Cycle", { at: Instant }),
  Schema.TaggedStruct("Hand", { request: CommandId, author: Schema.String })
)
export type RunCause = typeof RunCause.Type

/** One firing of a campaign. It keeps the version it started with. */
export interface Run {
  readonly id: string
  readonly version: number
  readonly cause: RunCause
  readonly startedAt: number
  /** When its members are asked: at once, or after its trigger's delay. */
  readonly beginsAt: number
  readonly deadline: number
  readonly product: string | null
  readonly member: string | null
  readonly parameters: Attributes
}

/** Facts about a campaign. */
export type CampaignEvent =
  | {
    readonly _tag: "CampaignDefined"
    readonly version: number
    readonly definition: CampaignDefinition
    readonly author: string
    readonly timeZone: string
    readonly at: number
    readonly status: CampaignStatus
    readonly rolledBackTo: number | null
    readonly nextCycle: number | null
  }
  | {
    readonly _tag: "StatusSet"
    readonly status: CampaignStatus
    readonly author: string
    readonly at: number
    readonly nextCycle: number | null
  }
  | {
    readonly _tag: "RunBegan"
    readonly run: Run
    /** The shop's day that the run counts for: whole days of the local calendar since 1970. */
    readonly day: number
    /** Whether the product's cooldown begins. */
    readonly cools: boolean
  }
  | { readonly _tag: "FiringSuppressed"; readonly cause: RunCause; readonly reason: SuppressReason }
  | { readonly _tag: "CooldownsLapsed"; readonly products: ReadonlyArray<string> }
  /** A page of a run now takes `count` from the day's budget, instead of what it took before. */
  | {
    readonly _tag: "BudgetSpent"
    readonly run: string
    readonly page: string
    readonly count: number
    readonly unsent: number
    readonly day: number
  }
  | { readonly _tag: "CycleSet"; readonly at: number | null }
