/** `hikyaku delivery ...`: what waits, at what pace it goes out, and the requests of other systems. */
import { Args, Command, Options } from "@effect/cli"
import { CampaignContent, RequestStatus, type RequestView } from "@hikyaku/domain/api/RequestApi"
import { noMessageLimits } from "@hikyaku/domain/delivery/MessageRate"
import type { ProviderView } from "@hikyaku/domain/delivery/ProviderCommand"
import { Effect, Option, Schema } from "effect"
import { connected, connection } from "../Connection.ts"
import { read } from "../Document.ts"
import { misused } from "../Failure.ts"
import { type Cell, counts, facts, instant, print, table } from "../Output.ts"
import { faultRows, fix, send } from "./DeliveryRequest.ts"
import { key, outlookText, request, sourceText } from "./DeliverySubject.ts"
import { recipients } from "./DeliveryTable.ts"

const operations = ["upload", "send", "status", "history"] as const

const span = (ms: number): string => {
  const seconds = Math.max(0, Math.round(ms / 1_000))
  return seconds < 120
    ? `${seconds} s`
    : seconds < 7_200
    ? `${Math.round(seconds / 60)} min`
    : `${Math.round(seconds / 3_600)} h`
}

const ago = (now: number, at: number | null): Cell => at === null ? null : span(now - at)

/** How much of an account's limits on messages is in use. */
const messageFacts = ({ messages }: typeof ProviderView.Type): ReadonlyArray<readonly [string, Cell]> => {
  const row = (name: string, of: { readonly limit: number | null; readonly used: number } | undefined) =>
    of === undefined || of.limit === null ? [] : [[name, `${of.used} of ${of.limit}`] as const]
  return [...row("messages this second", messages?.second), ...row("messages within 24 hours", messages?.day)]
}

const queue = Command.make(
  "queue",
  connection,
  (call) =>
    connected(
      call,
      (hikyaku) =>
        Effect.all({ queue: hikyaku.delivery.queue(), providers: hikyaku.delivery.providers() }, { concurrency: 2 })
    )
      .pipe(
        Effect.flatMap((answer) => {
          const { now, classes } = answer.queue
          const accounts = answer.providers.map(({ id, view }) => {
            const { concurrency } = view.limits ?? { concurrency: null }
            const total = concurrency?.total ?? null
            const used = view.slots.length
            const rows = operations.map((operation): ReadonlyArray<Cell> => {
              const { allowed, blockedUntil } = view.pushback[operation]
              const own = concurrency?.[operation] ?? null
              const why = blockedUntil > now
                ? `the provider asked for a pause until ${instant(blockedUntil)}`
                : allowed !== null
                ? `held at ${
                  Math.floor(allowed)
                } since the provider pushed back; grows with each request that goes well`
                : view.held?.[operation] !== undefined && view.held[operation] !== null
                ? `held back by ${view.held[operation].by} for ${span(view.held[operation].forMs)}`
                : own === null
                ? "bounded by the total alone"
                : "as configured"
              return [operation, view.slots.filter((slot) => slot.operation === operation).length, own, why]
            })
            return [
              facts([
                ["provider", id],
                [
                  "slots in use",
                  total === null ? `${used}` : `${used} of ${total} (${Math.round(100 * used / total)} %)`
                ],
                ["requests a second", view.limits?.perSecond.total ?? null],
                ...messageFacts(view),
                ["dispatcher", view.owner === "" ? "none" : `heard of ${ago(now, view.seenAt)} ago`]
              ]),
              table(["operation", "in use", "limit", "why"], rows)
            ].join("\n\n")
          })
          return print(
            call,
            answer,
            [
              table(
                ["class", "due", "later", "in lists", "oldest", "predicted end"],
                classes.map((one) => [
                  one.class,
                  one.due,
                  one.later,
                  one.listed,
                  ago(now, one.oldest),
                  instant(one.finishAt)
                ])
              ),
              ...accounts
            ].join("\n\n")
          )
        })
      )
).pipe(Command.withDescription("What waits, by class, and the provider's limits: what they are and why."))

const bound = (name: string, what: string) =>
  Options.integer(name).pipe(Options.withDescription(what), Options.optional)

const limit = Command.make("limit", {
  ...connection,
  provider: Args.text({ name: "provider" }),
  total: bound("total", "Requests at one time, all operations together."),
  upload: bound("upload", "Uploads at one time."),
  send: bound("send", "Sends at one time."),
  status: bound("status", "Questions about sends at one time."),
  perSecond: bound("per-second", "Requests that start within any second."),
  messagesPerSecond: bound("messages-per-second", "Messages whose sends start within any second; 0 for no limit."),
  messagesPerDay: bound("messages-per-day", "Messages whose sends start within any 24 hours; 0 for no limit."),
  keptForRealtime: bound("kept-for-realtime", "Of a day's messages, those that batch leaves to realtime.")
}, (call) =>
  connected(call, (hikyaku) =>
    Effect.gen(function*() {
      const account = (yield* hikyaku.delivery.providers()).find(({ id }) => id === call.provider)
      const before = account?.view.limits
      if (before === undefined || before === null) return yield* misused(`There is no provider ${call.provider}.`)
      const or = (option: Option.Option<number>, known: number | null) => Option.getOrElse(option, () => known)
      const orNone = (option: Option.Option<number>, known: number | null) => or(option, known) || null
      const { concurrency, messages = noMessageLimits, perSecond } = before
      return yield* hikyaku.delivery.limit({
        provider: call.provider,
        limits: {
          ...before,
          concurrency: {
            ...concurrency,
            total: or(call.total, concurrency.total),
            upload: or(call.upload, concurrency.upload),
            send: or(call.send, concurrency.send),
            status: or(call.status, concurrency.status)
          },
          perSecond: { ...perSecond, total: or(call.perSecond, perSecond.total) },
          messages: {
            perSecond: orNone(call.messagesPerSecond, messages.perSecond),
            perDay: orNone(call.messagesPerDay, messages.perDay),
            keptForRealtime: or(call.keptForRealtime, messages.keptForRealtime ?? null) ?? undefined
          }
        }
      })
    })).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          facts([
            ["provider", answer.id],
            ["at one time", answer.limits.concurrency.total],
            ["a second", answer.limits.perSecond.total],
            ["messages a second", answer.limits.messages?.perSecond ?? null],
            ["messages a day", answer.limits.messages?.perDay ?? null],
            ["of these kept for realtime", answer.limits.messages?.keptForRealtime ?? null]
          ])
        )
      )
    )).pipe(Command.withDescription("Sets limits of a provider; those not named stay as they are."))

const system = Command.make("system", {
  ...connection,
  system: Args.text({ name: "system" }),
  templates: Options.text("template").pipe(
    Options.withDescription("A template that it may send; give it once for each."),
    Options.repeated
  ),
  tables: Options.text("table").pipe(
    Options.withDescription("A registered table of which it may take recipients; give it once for each."),
    Options.repeated
  ),
  segments: Options.boolean("segments").pipe(Options.withDescription("It may write to segments of the members.")),
  class: Options.choice("class", ["batch", "realtime"] as const).pipe(Options.optional),
  priority: Options.integer("priority").pipe(Options.optional)
}, (call) =>
  connected(call, (hikyaku) =>
    hikyaku.request.registerSystem({
      system: call.system,
      templates: call.templates,
      tables: call.tables,
      segments: call.segments,
      class: Option.getOrUndefined(call.class),
      priority: Option.getOrUndefined(call.priority)
    })).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          `${facts([["system", answer.system], ["key", answer.key]])}\n\nKeep it: it is told this once.`
        )
      )
    )).pipe(Command.withDescription("Registers a system, or changes it; it gets a new key."))

const template = Command.make("template", {
  ...connection,
  template: Args.text({ name: "template" }),
  file: Args.file({ name: "content", exists: "yes" }).pipe(
    Args.withDescription("JSON or YAML: {ja: {mail: {subject, html, text}}, en: ...}")
  )
}, (call) =>
  Effect.gen(function*() {
    const document = yield* read(call.file)
    const content = yield* Schema.decodeUnknown(CampaignContent)(document).pipe(
      Effect.mapError((error) => misused(`${call.file}: ${error.message}`))
    )
    const answer = yield* connected(
      call,
      (hikyaku) => hikyaku.request.saveTemplate({ template: call.template, content })
    )
    yield* print(call, answer, `${answer.template}, version ${answer.version}`)
  })).pipe(Command.withDescription("Keeps a template for requests."))

const columns = ["request", "system", "mail", "class", "status", "recipients", "broken", "deadline"]
const row = (view: RequestView): ReadonlyArray<Cell> => [
  view.id,
  view.system,
  view.mail,
  view.class,
  view.status,
  view.recipients,
  view.broken,
  instant(view.deadline)
]

const requests = Command.make("requests", {
  ...connection,
  system: Options.text("system").pipe(Options.optional),
  status: Options.choice("status", RequestStatus.literals).pipe(Options.optional)
}, (call) =>
  connected(call, (hikyaku) =>
    hikyaku.request.list({
      system: Option.getOrUndefined(call.system),
      status: Option.getOrUndefined(call.status)
    })).pipe(Effect.flatMap((answer) => print(call, answer, table(columns, answer.map(row)))))).pipe(
    Command.withDescription("Requests of other systems, the newest first.")
  )

const show = Command.make(
  "show",
  { ...connection, request },
  (call) =>
    connected(call, (hikyaku) => hikyaku.request.read({ request: call.request })).pipe(
      Effect.flatMap((answer) => {
        const { deliveries, outlook, request } = answer
        const { source } = request
        const open = deliveries.due + deliveries.listed
        const done = open === 0 && request.status === "accepted" && (source === null || source.done)
        return print(
          call,
          answer,
          facts([
            ["request", request.id],
            ["system", request.system],
            ["mail", `${request.mail}, template ${request.template}`],
            ["status", done ? "done" : request.status],
            ...(source === null ? [] : [["taken from", sourceText(source)] as const]),
            ["rows", request.lines],
            ["recipients", request.recipients],
            ["sent this mail already", request.repeated],
            ["broken", request.broken],
            ["deliveries", counts(Object.fromEntries(Object.entries(deliveries).filter(([, n]) => n > 0)))],
            ["deadline", instant(request.deadline)],
            ["predicted end", done ? null : outlookText(outlook)]
          ])
        )
      })
    )
).pipe(Command.withDescription("A request, and what became of its recipients."))

const faults = Command.make(
  "faults",
  {
    ...connection,
    request,
    after: Options.integer("after").pipe(Options.withDescription("Go on after this line."), Options.optional)
  },
  (call) =>
    connected(
      call,
      (hikyaku) => hikyaku.request.faults({ request: call.request, after: Option.getOrUndefined(call.after) })
    ).pipe(
      Effect.flatMap((answer) => print(call, answer, faultRows(answer)))
    )
).pipe(Command.withDescription("Rows of a request that are no recipients."))

const change = (name: "pause" | "resume" | "cancel", what: string) =>
  Command.make(
    name,
    { ...connection, key, request },
    (call) =>
      connected(call, (hikyaku) => hikyaku.request[name]({ key: call.key, request: call.request })).pipe(
        Effect.flatMap((answer) =>
          print(
            call,
            answer,
            answer.deliveries === 0 ? answer.status : `${answer.status}; ${answer.deliveries} recipients were withdrawn`
          )
        )
      )
  ).pipe(Command.withDescription(what))

const retry = Command.make(
  "retry",
  {
    ...connection,
    key,
    request,
    within: Options.integer("minutes").pipe(Options.withDescription("The new deadline, minutes from now."))
  },
  (call) =>
    connected(
      call,
      (hikyaku) =>
        hikyaku.request.retry({ key: call.key, request: call.request, deadline: Date.now() + call.within * 60_000 })
    )
      .pipe(
        Effect.flatMap((answer) => print(call, answer, `${answer.deliveries} recipients are due again`))
      )
).pipe(Command.withDescription("Sends to those whose delivery failed, and only to those."))

export const command = Command.make("delivery").pipe(
  Command.withDescription("What goes out, at what pace, and who asked for it."),
  Command.withSubcommands([
    queue,
    limit,
    send,
    fix,
    requests,
    show,
    faults,
    change("pause", "Starts nothing more of a request until it is resumed."),
    change("resume", "Goes on with a paused request."),
    change("cancel", "Withdraws what has not been sent of a request, for good."),
    retry,
    system,
    template,
    recipients
  ])
)
