/** `hikyaku campaign count | sample | preview`: a campaign looked at before it is let loose. */
import { Command, Options } from "@effect/cli"
import { Effect, Option } from "effect"
import { connected, connection } from "../Connection.ts"
import { refused } from "../Failure.ts"
import { counts, print, table } from "../Output.ts"
import { eventMember, faultsTable, invalid, productOption, subject, subjectOf } from "./CampaignSubject.ts"

const parameters = Options.keyValueMap("parameter").pipe(
  Options.withDescription("What the event would give, e.g. --parameter before=100; may be repeated."),
  Options.optional
)
/** Numbers as numbers. */
const parametersOf = (given: Option.Option<Iterable<readonly [string, string]>>) =>
  Object.fromEntries(
    [...Option.getOrElse(given, () => [])].map(([name, text]) => [
      name,
      text !== "" && Number.isFinite(Number(text)) ? Number(text) : text
    ])
  )

const leftOutLine = (leftOut: Readonly<Record<string, number>>): string =>
  Object.keys(leftOut).length === 0 ? "" : `\nLeft out: ${counts(leftOut)}`

export const count = Command.make(
  "count",
  { ...connection, subject, product: productOption, eventMember, parameters },
  (call) =>
    Effect.gen(function*() {
      const of = yield* subjectOf(call.subject)
      const answer = yield* connected(call, (hikyaku) =>
        hikyaku.campaign.count({
          of,
          product: Option.getOrUndefined(call.product),
          eventMember: Option.getOrUndefined(call.eventMember),
          parameters: parametersOf(call.parameters)
        }))
      if (answer._tag === "Invalid") return yield* invalid(call.subject, answer.faults)
      yield* print(
        call,
        answer,
        `A run would send to ${answer.reachable.toLocaleString("en")} of ${
          answer.judged.toLocaleString("en")
        } members: ${counts(answer.channels)}${leftOutLine(answer.leftOut)}${
          answer.judged < answer.members
            ? `\nThe segment has ${answer.members.toLocaleString("en")} members; these were drawn at random.`
            : ""
        }`
      )
    })
).pipe(Command.withDescription("How many members a run would send to, and why not to the others."))

export const sample = Command.make("sample", {
  ...connection,
  subject,
  product: productOption,
  eventMember,
  parameters,
  limit: Options.integer("limit").pipe(Options.withDescription("Default 10."), Options.withDefault(10))
}, (call) =>
  Effect.gen(function*() {
    const of = yield* subjectOf(call.subject)
    const answer = yield* connected(call, (hikyaku) =>
      hikyaku.campaign.sample({
        of,
        product: Option.getOrUndefined(call.product),
        eventMember: Option.getOrUndefined(call.eventMember),
        parameters: parametersOf(call.parameters),
        limit: call.limit
      }))
    if (answer._tag === "Invalid") return yield* invalid(call.subject, answer.faults)
    yield* print(
      call,
      answer,
      table(["member", "language", "channels"], answer.members.map((m) => [m.id, m.language, m.channels.join(", ")])) +
        leftOutLine(answer.leftOut)
    )
  })).pipe(Command.withDescription("Some of the members a run would send to."))

export const preview = Command.make("preview", {
  ...connection,
  subject,
  member: Options.text("member").pipe(Options.withDescription("A real member.")),
  product: Options.text("product").pipe(Options.withDescription("A real product."), Options.optional),
  channel: Options.choice("channel", ["mail", "line", "push", "onsite"]).pipe(
    Options.withDescription("Default: the campaign's first."),
    Options.optional
  ),
  parameters
}, (call) =>
  Effect.gen(function*() {
    const of = yield* subjectOf(call.subject)
    const answer = yield* connected(call, (hikyaku) =>
      hikyaku.campaign.preview({
        of,
        member: call.member,
        product: Option.getOrUndefined(call.product),
        channel: Option.getOrUndefined(call.channel),
        parameters: parametersOf(call.parameters)
      }))
    if (answer._tag === "Invalid") return yield* invalid(call.subject, answer.faults)
    const { channel, faults, language, parts } = answer.message
    if (faults.length > 0) {
      return yield* refused(`${call.member} would get nothing by ${channel} (${language}):\n${faultsTable(faults)}`)
    }
    yield* print(
      call,
      answer,
      [
        `By ${channel}, in ${language}, to ${call.member}:`,
        ...Object.entries(parts).map(([name, text]) => `--- ${name}\n${text}`)
      ].join("\n")
    )
  })).pipe(Command.withDescription("The message as a real member would get it."))
