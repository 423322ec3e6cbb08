/** What members find in the shop itself: on-site notices; and where they are reached outside of it. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { MemberId, Text } from "../Identifier.ts"
import { Channel } from "../marketing/Event.ts"
import { CommonError } from "./ApiError.ts"

/** Notices of one answer, most and where the call does not say. */
export const noticesMax = 200
export const noticesDefault = 50
/** Notices that one call names. */
export const namedMax = 500

/** Number of a notice in its member's inbox: 1, 2, 3, ... without gaps. */
const Position = Schema.Int.pipe(Schema.between(0, 1_000_000_000), Schema.annotations({ identifier: "Position" }))
const Address = Text(4_096).pipe(Schema.minLength(1))
const NoticeId = Text(128).pipe(Schema.minLength(1))

/** Instants are ms since the epoch. `title` is text; `body` is HTML made from the campaign's template, values escaped. */
export const NoticeView = Schema.Struct({
  id: Schema.String,
  n: Schema.Int,
  title: Schema.String,
  body: Schema.String,
  at: Schema.Number,
  readAt: Schema.NullOr(Schema.Number)
})
export type NoticeView = typeof NoticeView.Type

export const InboxApi = RpcGroup.make(
  /** Notices of a member, the newest first; go on with `before` = the last one's `n`. `unread`: how many there are in all. */
  Rpc.make("inbox.list", {
    payload: {
      member: MemberId,
      before: Schema.optional(Position),
      unreadOnly: Schema.optional(Schema.Boolean),
      limit: Schema.optional(Schema.Int.pipe(Schema.between(1, noticesMax)))
    },
    success: Schema.Struct({ notices: Schema.Array(NoticeView), unread: Schema.Int }),
    error: CommonError
  }),
  /**
   * New notices of a member as they come, each once and in order, until the caller has heard enough. `after`: begins with those
   * that came after that number, so that nothing is missed between two connections; default: with the next one.
   */
  Rpc.make("inbox.watch", {
    payload: { member: MemberId, after: Schema.optional(Position) },
    success: NoticeView,
    error: CommonError,
    stream: true
  }),
  /** Marks notices as read: those named, or all up to a number. `changed`: how many were not read before. */
  Rpc.make("inbox.read", {
    payload: {
      member: MemberId,
      what: Schema.Union(
        Schema.Struct({ ids: Schema.NonEmptyArray(NoticeId).pipe(Schema.maxItems(namedMax)) }),
        Schema.Struct({ upTo: Position })
      )
    },
    success: Schema.Struct({ changed: Schema.Int }),
    error: CommonError
  }),
  /**
   * Registers where a member is reached: the user id that LINE gave the shop's account, or the device token of the app. It
   * belongs to the member who registered it last; the one registered last is used.
   */
  Rpc.make("contact.register", {
    payload: {
      member: MemberId,
      channel: Schema.Literal("line", "push"),
      address: Address
    },
    success: Schema.Struct({}),
    error: CommonError
  }),
  /** Forgets an address of a member, as at logging out. `changed`: whether it was theirs. */
  Rpc.make("contact.forget", {
    payload: {
      member: MemberId,
      channel: Schema.Literal("line", "push"),
      address: Address
    },
    success: Schema.Struct({ changed: Schema.Boolean }),
    error: CommonError
  }),
  /** Which of these addresses get nothing any more, whoever they belong to, and why. */
  Rpc.make("contact.suppressed", {
    payload: { channel: Channel, addresses: Schema.NonEmptyArray(Address).pipe(Schema.maxItems(namedMax)) },
    success: Schema.Array(Schema.Struct({
      address: Schema.String,
      cause: Schema.Literal("hard bounce", "soft bounces", "complaint", "operator"),
      reason: Schema.String
    })),
    error: CommonError
  }),
  /** Lets an address be reached again; its bounces are counted anew. What its member said or did stays. */
  Rpc.make("contact.unsuppress", {
    payload: { channel: Channel, address: Address },
    success: Schema.Struct({ changed: Schema.Boolean }),
    error: CommonError
  }),
  /** Registered systems whose mails the owner of an address has declined (by a mail's link to unsubscribe), and since when. */
  Rpc.make("contact.unsubscribed", {
    payload: { channel: Channel, address: Address },
    success: Schema.Array(Schema.Struct({ system: Schema.String, at: Schema.Number })),
    error: CommonError
  }),
  /** Takes that back for one system, since the owner of the address wants its mails again. `changed`: whether they were declined. */
  Rpc.make("contact.resubscribe", {
    payload: { channel: Channel, address: Address, system: Text(128).pipe(Schema.minLength(1)) },
    success: Schema.Struct({ changed: Schema.Boolean }),
    error: CommonError
  })
)
