/** The members' methods on top of the Member actors. */
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { type CommandError, Unknown } from "@hikyaku/domain/api/ApiError"
import { badInput } from "@hikyaku/domain/api/BadInput"
import { deadlineDefault } from "@hikyaku/domain/api/CartApi"
import { MemberApi } from "@hikyaku/domain/api/MemberApi"
import type { MemberCommand, MemberReply } from "@hikyaku/domain/marketing/Member"
import { Effect } from "effect"
import { ask } from "./Asking.ts"
import { actorsOnly } from "./Context.ts"

interface Call {
  readonly member: string
  readonly deadline?: number | undefined
  readonly at?: number | undefined
}

const tell = ({ at, deadline, member }: Call, command: MemberCommand) =>
  ask(memberKind, { actor: member, command, within: deadline ?? deadlineDefault, at })

/** A change that was made, or named something that cannot be. */
export const change = (call: Call, command: MemberCommand) =>
  Effect.flatMap(tell(call, command), (reply): Effect.Effect<Extract<MemberReply, { _tag: "Done" }>, CommandError> => {
    switch (reply._tag) {
      case "Done":
        return Effect.succeed(reply)
      case "Refused":
        return badInput(reply.field, reply.hint)
      default:
        return Effect.dieMessage(`the Member actor answered ${reply._tag}`)
    }
  })

export const layer = MemberApi.toLayer(Effect.gen(function*() {
  const context = yield* actorsOnly
  return MemberApi.of({
    "member.join": ({ at, deadline, member, ...profile }) =>
      Effect.provide(change({ at, deadline, member }, { _tag: "SetProfile", ...profile }), context),
    "member.consent": ({ channel, consent, ...call }) =>
      Effect.provide(change(call, { _tag: "SetConsent", channel, consent }), context),
    "member.withdraw": (call) => Effect.provide(change(call, { _tag: "Withdraw" }), context),
    "member.read": (call) =>
      tell(call, { _tag: "ReadMember" }).pipe(
        Effect.flatMap((reply) => {
          if (reply._tag !== "MemberView") return Effect.dieMessage(`the Member actor answered ${reply._tag}`)
          const known = reply.joined || reply.withdrawn || Object.keys(reply.consents).length > 0 ||
            Object.keys(reply.suppressions).length > 0
          return known ? Effect.succeed(reply) : new Unknown({ what: "member", id: call.member })
        }),
        Effect.provide(context)
      )
  })
}))
