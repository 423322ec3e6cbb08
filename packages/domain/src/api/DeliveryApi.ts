/** What became of messages: deliveries, the lists in which they went out, and the providers that carry them. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { DeliveryClass, DeliveryStatus } from "../delivery/Delivery.ts"
import { ListStatus } from "../delivery/List.ts"
import { ProviderView } from "../delivery/ProviderCommand.ts"
import { Limits } from "../delivery/RateLimit.ts"
import { CampaignId, MemberId, Text } from "../Identifier.ts"
import { Channel } from "../marketing/Event.ts"
import { MessageClass } from "../marketing/FrequencyCap.ts"
import { RunId } from "../marketing/Member.ts"
import { CommandError, CommonError, Unknown } from "./ApiError.ts"
import { Deadline } from "./CartApi.ts"
import { Done } from "./MemberApi.ts"

/** Rows of one answer. */
export const pageMax = 500
/** Rows of one answer where the call does not say. */
export const pageDefault = 50

export const Limit = Schema.optional(
  Schema.Int.pipe(Schema.between(1, pageMax), Schema.annotations({ description: `between 1 and ${pageMax}` }))
)

/** Instants are ms since the epoch. */
export const DeliveryView = Schema.Struct({
  id: Schema.String,
  run: Schema.String,
  campaign: Schema.String,
  version: Schema.Int,
  member: Schema.String,
  channel: Channel,
  class: MessageClass,
  status: DeliveryStatus,
  product: Schema.NullOr(Schema.String),
  notBefore: Schema.Number,
  deadline: Schema.Number,
  /** Why it is not what the campaign would have sent first, or what became of it. */
  why: Schema.NullOr(Schema.String),
  list: Schema.NullOr(Schema.String)
})
export type DeliveryView = typeof DeliveryView.Type

export const ListView = Schema.Struct({
  id: Schema.String,
  provider: Schema.String,
  campaign: Schema.String,
  class: Schema.String,
  channel: Schema.String,
  status: ListStatus,
  recipients: Schema.Int,
  attempt: Schema.Int,
  deadline: Schema.Number,
  createdAt: Schema.Number,
  reason: Schema.NullOr(Schema.String)
})
export type ListView = typeof ListView.Type

const member = { member: MemberId, channel: Channel, deadline: Schema.optional(Deadline) }

export const DeliveryApi = RpcGroup.make(
  /** Deliveries by status and channel, of one run or campaign or of all. */
  Rpc.make("delivery.summary", {
    payload: { run: Schema.optional(RunId), campaign: Schema.optional(CampaignId) },
    success: Schema.Array(Schema.Struct({ channel: Channel, status: DeliveryStatus, count: Schema.Int })),
    error: CommonError
  }),
  /** Deliveries in the order of their ids, from after `after`; at most `limit` (default 50, at most 500). */
  Rpc.make("delivery.list", {
    payload: {
      run: Schema.optional(RunId),
      campaign: Schema.optional(CampaignId),
      member: Schema.optional(MemberId),
      status: Schema.optional(DeliveryStatus),
      after: Schema.optional(Text(200)),
      limit: Limit
    },
    success: Schema.Array(DeliveryView),
    error: CommonError
  }),
  /** Recipient lists, the newest first. `open`: only those with something left to do. */
  Rpc.make("delivery.lists", {
    payload: {
      provider: Schema.optional(Text(64)),
      campaign: Schema.optional(CampaignId),
      class: Schema.optional(DeliveryClass),
      open: Schema.optional(Schema.Boolean),
      limit: Limit
    },
    success: Schema.Array(ListView),
    error: CommonError
  }),
  /** The provider accounts: limits, who owns them, the slots in use. */
  Rpc.make("delivery.providers", {
    success: Schema.Array(Schema.Struct({ id: Schema.String, view: ProviderView })),
    error: CommandError
  }),
  /**
   * What waits, by class: due now, due later, in lists, and since when the one that is due longest is (ms since the epoch,
   * null where none is). Counted up to a bound, so that the question stays cheap.
   */
  Rpc.make("delivery.queue", {
    success: Schema.Struct({
      /** The shop's instant, ms. */
      now: Schema.Number,
      classes: Schema.Array(Schema.Struct({
        class: MessageClass,
        due: Schema.Int,
        later: Schema.Int,
        listed: Schema.Int,
        oldest: Schema.NullOr(Schema.Number),
        /** When it is through if nothing else comes, ms; null where nothing waits. */
        finishAt: Schema.NullOr(Schema.Number)
      }))
    }),
    error: CommonError
  }),
  /** Sets what an account may use at one time and in a second, from the next request on. */
  Rpc.make("delivery.limit", {
    payload: { provider: Text(64), limits: Limits, deadline: Schema.optional(Deadline) },
    success: Schema.Struct({ id: Schema.String, limits: Limits }),
    error: Schema.Union(CommandError, Unknown)
  }),
  /** Nothing goes out to the member on the channel any more, whatever they consented to. */
  Rpc.make("delivery.suppress", {
    payload: { ...member, reason: Text(200) },
    success: Done,
    error: Schema.Union(CommandError, Unknown)
  }),
  /** Lifts a suppression. */
  Rpc.make("delivery.unsuppress", { payload: member, success: Done, error: Schema.Union(CommandError, Unknown) })
)
