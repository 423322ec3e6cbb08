/**
 * Campaigns as marketers keep them: checked, stored in versions, looked at before they are let loose, and explained
 * afterwards (RTM-3). An edit takes effect without a release; a run keeps the version it started with.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { CampaignId, CommandId, MemberId, ProductId, Text } from "../Identifier.ts"
import { CampaignDefinition } from "../marketing/Campaign.ts"
import { CampaignStatus, SuppressReason } from "../marketing/CampaignCommand.ts"
import { Attributes, Channel } from "../marketing/Event.ts"
import { RunId } from "../marketing/Member.ts"
import { CommandError, CommonError, Unknown } from "./ApiError.ts"
import { Deadline } from "./CartApi.ts"
import { Limit } from "./DeliveryApi.ts"

/** Members of one sample. */
export const sampleMax = 100

const campaign = { campaign: CampaignId }
const by = {
  ...campaign,
  /** Who does it, for the audit. */
  author: Text(200).pipe(Schema.minLength(1)),
  deadline: Schema.optional(Deadline)
}
const Version = Schema.Int.pipe(Schema.positive())

/** What is wrong with a definition: where, what, and what was probably meant. */
export const DefinitionFault = Schema.Struct({
  path: Schema.String,
  message: Schema.String,
  hint: Schema.NullOr(Schema.String)
})
export type DefinitionFault = typeof DefinitionFault.Type

/** A definition that cannot run; nothing was stored. */
export const Invalid = Schema.TaggedStruct("Invalid", { faults: Schema.Array(DefinitionFault) })
/** It can run; `warnings` deserve a second look. */
export const Valid = Schema.TaggedStruct("Valid", { warnings: Schema.Array(DefinitionFault) })
/** Stored and in force. `changed`: false if this very definition was the current one already. */
export const Applied = Schema.TaggedStruct("Applied", {
  version: Version,
  changed: Schema.Boolean,
  warnings: Schema.Array(DefinitionFault)
})
/** Somebody else has stored a version in the meantime; nothing was stored. */
export const VersionConflict = Schema.TaggedStruct("VersionConflict", { current: Schema.Int })
export const StatusChanged = Schema.TaggedStruct("StatusChanged", { status: CampaignStatus, changed: Schema.Boolean })
/** It cannot be done to this campaign as it stands. */
export const NotAllowed = Schema.TaggedStruct("NotAllowed", {
  status: Schema.NullOr(CampaignStatus),
  hint: Schema.String
})

/** A campaign in a list. Instants are ms since the epoch. */
export const CampaignSummary = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  status: CampaignStatus,
  version: Version,
  trigger: Schema.String,
  runs: Schema.Number,
  runsToday: Schema.Number,
  spentToday: Schema.Number,
  lastRunAt: Schema.NullOr(Schema.Number),
  /** Firings that started no run, by reason. */
  suppressed: Schema.Record({ key: Schema.String, value: Schema.Number })
})
export type CampaignSummary = typeof CampaignSummary.Type

export const CampaignVersion = Schema.Struct({
  version: Version,
  author: Schema.String,
  at: Schema.Number,
  current: Schema.Boolean,
  /** The version that this one repeats. */
  rolledBackTo: Schema.NullOr(Schema.Int)
})
export type CampaignVersion = typeof CampaignVersion.Type

/** One difference; `before` or `after` is null where the field was not there. */
export const Difference = Schema.Struct({ path: Schema.String, before: Schema.Unknown, after: Schema.Unknown })
export type Difference = typeof Difference.Type

/**
 * What led to a run, as it stands in the store. Bounds are for what comes in: what is there must be shown, even if it is of
 * a year that no event would be taken from.
 */
const CauseView = Schema.Union(
  Schema.TaggedStruct("Event", {
    partition: Schema.Number,
    offset: Schema.Number,
    event: Schema.String,
    at: Schema.Number
  }),
  Schema.TaggedStruct("Cycle", { at: Schema.Number }),
  Schema.TaggedStruct("Hand", { request: Schema.String, author: Schema.String })
)

export const RunView = Schema.Struct({
  id: Schema.String,
  campaign: Schema.String,
  version: Version,
  status: Schema.String,
  cause: CauseView,
  product: Schema.NullOr(Schema.String),
  member: Schema.NullOr(Schema.String),
  startedAt: Schema.Number,
  deadline: Schema.Number,
  /** Members asked so far. */
  considered: Schema.Number,
  accepted: Schema.Number,
  rejected: Schema.Record({ key: Schema.String, value: Schema.Number }),
  finishedAt: Schema.NullOr(Schema.Number)
})
export type RunView = typeof RunView.Type

/** Why a member did, or did not, get a run's message. */
export const Explanation = Schema.Struct({
  member: Schema.String,
  run: RunView,
  /** Whether the run has come past this member already. */
  considered: Schema.Boolean,
  /** The last word on it, in words. */
  verdict: Schema.String,
  delivery: Schema.NullOr(Schema.Struct({
    id: Schema.String,
    channel: Channel,
    status: Schema.String,
    notBefore: Schema.Number,
    deadline: Schema.Number,
    sentAt: Schema.NullOr(Schema.Number),
    /** Why it was not sent, or why the provider refused it. */
    reason: Schema.NullOr(Schema.String),
    /** Why this channel and this hour, where they are not the campaign's first. */
    why: Schema.NullOr(Schema.String)
  })),
  /** What the stages decided, in order, where it was not simply "go on". */
  decisions: Schema.Array(Schema.Struct({
    stage: Schema.String,
    decision: Schema.String,
    reason: Schema.String,
    detail: Schema.NullOr(Schema.Unknown),
    at: Schema.Number
  }))
})
export type Explanation = typeof Explanation.Type

/** A stored campaign (its current version, or the one named), or a document that is not stored yet. */
export const Subject = Schema.Union(
  Schema.Struct({ ...campaign, version: Schema.optional(Version) }),
  /** The definition as an object, as it is written in JSON or YAML. */
  Schema.Struct({ document: Schema.Unknown })
)
export type Subject = typeof Subject.Type
/** What led there, for segments and templates that speak of it. */
const cause = { product: Schema.optional(ProductId), eventMember: Schema.optional(MemberId) }

/** Members judged who would get nothing, by the reason that a run would give (`NoConsent`, `Capped`, `Holdout`, ...). */
const leftOut = { leftOut: Schema.Record({ key: Schema.String, value: Schema.Number }) }

/** One rendered message. */
export const Rendered = Schema.Struct({
  channel: Channel,
  language: Schema.String,
  /** By part of the message: `subject`, `html`, `text`; `message`; `payload`; `title`, `body`. */
  parts: Schema.Record({ key: Schema.String, value: Schema.String }),
  /** Parameters that the templates want and nobody gives. */
  faults: Schema.Array(DefinitionFault)
})
export type Rendered = typeof Rendered.Type

const error = Schema.Union(CommandError, Unknown)

export const CampaignApi = RpcGroup.make(
  /**
   * Checks a definition and stores it as the campaign's next version, in force from the very next event. `base`: the version
   * that was edited; if it is no longer the current one nothing is stored.
   */
  Rpc.make("campaign.apply", {
    payload: {
      document: Schema.Unknown,
      author: by.author,
      base: Schema.optional(Schema.Int.pipe(Schema.nonNegative())),
      deadline: by.deadline
    },
    success: Schema.Union(Applied, Invalid, VersionConflict, NotAllowed),
    error: CommandError
  }),
  /** Checks a definition and stores nothing. */
  Rpc.make("campaign.validate", {
    payload: { document: Schema.Unknown },
    success: Schema.Union(Valid, Invalid),
    error: CommonError
  }),
  /** A campaign's definition and state: the current version, or the one named. */
  Rpc.make("campaign.get", {
    payload: { ...campaign, version: Schema.optional(Version) },
    success: Schema.Struct({ summary: CampaignSummary, version: CampaignVersion, definition: CampaignDefinition }),
    error: Schema.Union(CommonError, Unknown)
  }),
  /** All campaigns, by id. */
  Rpc.make("campaign.list", {
    payload: { status: Schema.optional(CampaignStatus), after: Schema.optional(CampaignId), limit: Limit },
    success: Schema.Array(CampaignSummary),
    error: CommonError
  }),
  /** The versions of a campaign, the newest first. */
  Rpc.make("campaign.versions", {
    payload: { ...campaign, limit: Limit },
    success: Schema.Array(CampaignVersion),
    error: Schema.Union(CommonError, Unknown)
  }),
  /** What differs between two versions, or between a version and a document. `to` defaults to the current version. */
  Rpc.make("campaign.diff", {
    payload: {
      ...campaign,
      from: Schema.optional(Version),
      to: Schema.optional(Version),
      document: Schema.optional(Schema.Unknown)
    },
    success: Schema.Struct({
      from: Schema.Int,
      to: Schema.NullOr(Schema.Int),
      differences: Schema.Array(Difference)
    }),
    error: Schema.Union(CommonError, Unknown)
  }),
  /** Makes an earlier version the current one again, as a new version. */
  Rpc.make("campaign.rollback", {
    payload: { ...by, to: Version },
    success: Schema.Union(Applied, NotAllowed),
    error
  }),
  /** Nothing fires, its runs stop, its unsent deliveries are held. */
  Rpc.make("campaign.pause", { payload: by, success: Schema.Union(StatusChanged, NotAllowed), error }),
  Rpc.make("campaign.resume", { payload: by, success: Schema.Union(StatusChanged, NotAllowed), error }),
  /** For good: unsent deliveries are dropped, their caps given back. */
  Rpc.make("campaign.cancel", { payload: by, success: Schema.Union(StatusChanged, NotAllowed), error }),
  /**
   * Whom a run would send to if it began now: each member of the segment is judged as the run would, and nothing is written.
   * Of a segment with more than 100,000 members a random part is judged, `judged` of `members`.
   */
  Rpc.make("campaign.count", {
    payload: { of: Subject, ...cause, parameters: Schema.optional(Attributes) },
    success: Schema.Union(
      Schema.TaggedStruct("Counted", {
        /** Members of the segment, those excluded left out. */
        members: Schema.Number,
        judged: Schema.Number,
        /** Of those judged, how many would be sent to, and on which channel. */
        reachable: Schema.Number,
        channels: Schema.Record({ key: Schema.String, value: Schema.Number }),
        ...leftOut
      }),
      Invalid
    ),
    error: Schema.Union(CommonError, Unknown)
  }),
  /** Some of the members whom a run would send to; the same ones when asked again. */
  Rpc.make("campaign.sample", {
    payload: {
      of: Subject,
      ...cause,
      parameters: Schema.optional(Attributes),
      limit: Schema.optional(Schema.Int.pipe(Schema.between(1, sampleMax)))
    },
    success: Schema.Union(
      Schema.TaggedStruct("Sampled", {
        /** Members judged until there were enough. */
        judged: Schema.Number,
        ...leftOut,
        members: Schema.Array(Schema.Struct({
          id: Schema.String,
          language: Schema.NullOr(Schema.String),
          /** Those of the campaign's channels on which they can be reached. */
          channels: Schema.Array(Channel)
        }))
      }),
      Invalid
    ),
    error: Schema.Union(CommonError, Unknown)
  }),
  /** The message as a real member would get it, for a real product. */
  Rpc.make("campaign.preview", {
    payload: {
      of: Subject,
      member: MemberId,
      product: Schema.optional(ProductId),
      /** Default: the campaign's first channel. */
      channel: Schema.optional(Channel),
      /** What the event would give. */
      parameters: Schema.optional(Attributes)
    },
    success: Schema.Union(Schema.TaggedStruct("Previewed", { message: Rendered }), Invalid),
    error: Schema.Union(CommonError, Unknown)
  }),
  /** Why a member did, or did not, get a run's message. */
  Rpc.make("campaign.explain", {
    payload: { member: MemberId, run: RunId },
    success: Explanation,
    error: Schema.Union(CommonError, Unknown)
  }),
  /** The runs of a campaign, or of all, the newest first. */
  Rpc.make("campaign.runs", {
    payload: { campaign: Schema.optional(CampaignId), limit: Limit },
    success: Schema.Array(RunView),
    error: CommonError
  }),
  /**
   * Pauses a run, goes on with it, or cancels it; what it had accepted and is not sent yet is held back with it, or dropped
   * with its caps given back. Answers the status that the run has then, and whether this changed it.
   */
  Rpc.make("campaign.setRun", {
    payload: { run: RunId, to: Schema.Literal("running", "paused", "cancelled") },
    success: Schema.Struct({ status: Schema.String, changed: Schema.Boolean }),
    error: Schema.Union(CommonError, Unknown)
  }),
  /**
   * Starts a run by hand, whatever cooldown, period and runs per day say; the budget holds. `request` is minted by the
   * caller: the same one again starts no second run.
   */
  Rpc.make("campaign.runNow", {
    payload: { ...by, request: CommandId, ...cause, parameters: Schema.optional(Attributes) },
    success: Schema.Union(
      Schema.TaggedStruct("RunStarted", { run: Schema.String, version: Version, deadline: Schema.Number }),
      Schema.TaggedStruct("Suppressed", { reason: SuppressReason }),
      NotAllowed
    ),
    error
  })
)
