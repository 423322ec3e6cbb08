/** `hikyaku member`: members, their consents, what they hold. */
import { Args, Command, Options } from "@effect/cli"
import { Effect, Option } from "effect"
import { connected, connection } from "../Connection.ts"
import { facts, instant, print, table } from "../Output.ts"

const member = Args.text({ name: "member" }).pipe(Args.withDescription("The member's id."))
const channels = ["mail", "line", "push", "onsite"] as const

const join = Command.make("join", {
  ...connection,
  member,
  address: Options.text("address").pipe(Options.withDescription("Where mail reaches them."), Options.optional),
  language: Options.choice("language", ["ja", "en"]).pipe(Options.optional),
  timeZone: Options.text("time-zone").pipe(Options.withDescription("IANA name, e.g. Asia/Tokyo."), Options.optional),
  consent: Options.choice("consent", channels).pipe(
    Options.withDescription("A channel they agree to; may be repeated."),
    Options.repeated
  )
}, (call) =>
  connected(call, (hikyaku) =>
    Effect.gen(function*() {
      const answer = yield* hikyaku.member.join({
        member: call.member,
        ...Option.match(call.address, { onNone: () => ({}), onSome: (address) => ({ address }) }),
        ...Option.match(call.language, { onNone: () => ({}), onSome: (language) => ({ language }) }),
        ...Option.match(call.timeZone, { onNone: () => ({}), onSome: (timeZone) => ({ timeZone }) })
      })
      for (const channel of call.consent) {
        yield* hikyaku.member.consent({ member: call.member, channel, consent: true })
      }
      return answer
    })).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          `${call.member} ${answer.changed ? "has joined, or was changed" : "is as you said already"}`
        )
      )
    )).pipe(Command.withDescription("A member joins, or what is known of them changes."))

const consent = (name: string, given: boolean, what: string) =>
  Command.make(
    name,
    { ...connection, member, channel: Args.choice(channels.map((c) => [c, c]), { name: "channel" }) },
    (call) =>
      connected(
        call,
        (hikyaku) => hikyaku.member.consent({ member: call.member, channel: call.channel, consent: given })
      ).pipe(
        Effect.flatMap((answer) => print(call, answer, `${call.member} ${what} ${call.channel}`))
      )
  ).pipe(Command.withDescription(`The member ${what} a channel.`))

const show = Command.make(
  "show",
  { ...connection, member },
  (call) =>
    connected(call, (hikyaku) => hikyaku.member.read({ member: call.member })).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          facts([
            ["member", answer.id],
            ["standing", answer.withdrawn ? "has left" : answer.joined ? "has joined" : "never joined"],
            ["address", answer.address],
            ["language", answer.language],
            ["time zone", answer.timeZone],
            ["agreed to", channels.filter((channel) => answer.consents[channel] === true).join(", ") || "nothing"],
            [
              "suppressed",
              Object.entries(answer.suppressions).map(([c, why]) => `${c} (${why})`).join(", ") || "nothing"
            ]
          ]) + (answer.holds.length === 0 ? "" : `\n\nMessages that count for their caps:\n${
            table(
              ["run", "channel", "class", "phase", "from", "to"],
              answer.holds.map((hold) => [
                hold.run,
                hold.channel,
                hold.class,
                hold.phase,
                instant(hold.notBefore),
                instant(hold.deadline)
              ])
            )
          }`)
        )
      )
    )
).pipe(Command.withDescription("What is known of a member."))

export const command = Command.make("member").pipe(
  Command.withDescription("Members and their consents."),
  Command.withSubcommands([
    join,
    consent("consent", true, "agrees to"),
    consent("object", false, "no longer agrees to"),
    show
  ])
)
