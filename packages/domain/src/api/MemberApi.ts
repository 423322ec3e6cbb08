/** Members: profile, consent and what the shop may send them. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { MemberId } from "../Identifier.ts"
import { Channel } from "../marketing/Event.ts"
import { MemberView, SetProfile } from "../marketing/Member.ts"
import { CommandError, Unknown } from "./ApiError.ts"
import { At, Deadline } from "./CartApi.ts"

const call = { member: MemberId, deadline: Schema.optional(Deadline), at: At }
const { _tag: _set, ...profile } = SetProfile.fields

/** `changed`: whether it was not so before. */
export const Done = Schema.TaggedStruct("Done", { changed: Schema.Boolean })

export const MemberApi = RpcGroup.make(
  /** Joins, or changes what is given; what is left out stays. `attributes` replace those there were. */
  Rpc.make("member.join", { payload: { ...call, ...profile }, success: Done, error: CommandError }),
  /** Gives or withdraws consent to one channel; without it nothing goes out there. */
  Rpc.make("member.consent", {
    payload: { ...call, channel: Channel, consent: Schema.Boolean },
    success: Done,
    error: CommandError
  }),
  /** The member leaves: nothing is sent any more, consents are forgotten. */
  Rpc.make("member.withdraw", { payload: call, success: Done, error: CommandError }),
  /** The member as the shop knows them, with what occupies their caps. */
  Rpc.make("member.read", { payload: call, success: MemberView, error: Schema.Union(CommandError, Unknown) })
)
