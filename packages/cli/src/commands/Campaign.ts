/** `hikyaku campaign`: definitions checked, stored and compared. */
import { Args, Command, Options } from "@effect/cli"
import type { CampaignSummary } from "@hikyaku/domain/api/CampaignApi"
import { Effect, Option } from "effect"
import { author, connected, connection } from "../Connection.ts"
import { isFile, read } from "../Document.ts"
import { refused } from "../Failure.ts"
import { counts, facts, instant, print, table } from "../Output.ts"
import { explain, run, runs, runSettings } from "./CampaignRun.ts"
import { campaign, invalid, limit, notAllowed, subject, warned } from "./CampaignSubject.ts"
import { count, preview, sample } from "./CampaignTrial.ts"

const file = Args.file({ name: "file" }).pipe(Args.withDescription("The definition, as JSON or YAML."))
const apply = Command.make("apply", {
  ...connection,
  file,
  author,
  base: Options.integer("base").pipe(
    Options.withDescription("The version you edited: refused if somebody stored another one meanwhile."),
    Options.optional
  )
}, (call) =>
  Effect.gen(function*() {
    const document = yield* read(call.file)
    const answer = yield* connected(call, (hikyaku) =>
      hikyaku.campaign.apply({ document, author: call.author, base: Option.getOrUndefined(call.base) }))
    switch (answer._tag) {
      case "Invalid":
        return yield* invalid(call.file, answer.faults)
      case "NotAllowed":
        return yield* notAllowed(call.file, answer)
      case "VersionConflict":
        return yield* refused(
          `Somebody has stored version ${answer.current} since; nothing was stored.\nSee what changed: hikyaku campaign diff ${call.file}`
        )
      case "Applied":
        return yield* print(
          call,
          answer,
          (answer.changed
            ? `Version ${answer.version} is stored and in force from the next event on.`
            : `Nothing to do: version ${answer.version} says exactly that.`) + warned(answer.warnings)
        )
    }
  })).pipe(Command.withDescription("Checks a definition and stores it as the next version."))

const validate = Command.make("validate", { ...connection, file }, (call) =>
  Effect.gen(function*() {
    const document = yield* read(call.file)
    const answer = yield* connected(call, (hikyaku) => hikyaku.campaign.validate({ document }))
    if (answer._tag === "Invalid") return yield* invalid(call.file, answer.faults)
    yield* print(call, answer, `${call.file} can run.${warned(answer.warnings)}`)
  })).pipe(Command.withDescription("Checks a definition and stores nothing."))

const summaryRow = (s: CampaignSummary) => [
  s.id,
  s.status,
  s.version,
  s.trigger,
  s.runs,
  instant(s.lastRunAt),
  s.name
]

const list = Command.make(
  "list",
  { ...connection, limit },
  (call) =>
    connected(call, (hikyaku) => hikyaku.campaign.list({ limit: call.limit })).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          table(["campaign", "status", "version", "trigger", "runs", "last run", "name"], answer.map(summaryRow))
        )
      )
    )
).pipe(Command.withDescription("All campaigns."))

const show = Command.make(
  "show",
  {
    ...connection,
    campaign,
    version: Options.integer("version").pipe(Options.withDescription("Default: the current one."), Options.optional)
  },
  (call) =>
    connected(
      call,
      (hikyaku) => hikyaku.campaign.get({ campaign: call.campaign, version: Option.getOrUndefined(call.version) })
    ).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          [
            facts([
              ["campaign", answer.summary.id],
              ["status", answer.summary.status],
              ["version", `${answer.version.version} by ${answer.version.author}, ${instant(answer.version.at)}`],
              ["runs", `${answer.summary.runs}, ${answer.summary.runsToday} today`],
              ["not fired", counts(answer.summary.suppressed)]
            ]),
            JSON.stringify(answer.definition, null, 2)
          ].join("\n\n")
        )
      )
    )
).pipe(Command.withDescription("A campaign's state and definition."))

const versions = Command.make(
  "versions",
  { ...connection, campaign, limit },
  (call) =>
    connected(call, (hikyaku) => hikyaku.campaign.versions({ campaign: call.campaign, limit: call.limit })).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          table(
            ["version", "stored", "by", ""],
            answer.map((v) => [
              v.version,
              instant(v.at),
              v.author,
              [v.current ? "current" : "", v.rolledBackTo === null ? "" : `repeats ${v.rolledBackTo}`].filter(Boolean)
                .join(", ")
            ])
          )
        )
      )
    )
).pipe(Command.withDescription("The versions of a campaign, the newest first."))

const value = (of: unknown): string => (of === null ? "-" : JSON.stringify(of))

const diff = Command.make("diff", {
  ...connection,
  subject,
  from: Options.integer("from").pipe(Options.withDescription("Default: the current version."), Options.optional),
  to: Options.integer("to").pipe(
    Options.withDescription("Default: the file, or the current version."),
    Options.optional
  )
}, (call) =>
  Effect.gen(function*() {
    const document = isFile(call.subject) ? yield* read(call.subject) : undefined
    const id = typeof document === "object" && document !== null && "id" in document
      ? String(document.id)
      : call.subject
    const answer = yield* connected(call, (hikyaku) =>
      hikyaku.campaign.diff({
        campaign: id,
        from: Option.getOrUndefined(call.from),
        to: Option.getOrUndefined(call.to),
        document
      }))
    const what = `version ${answer.from} and ${answer.to === null ? call.subject : `version ${answer.to}`} of ${id}`
    yield* print(
      call,
      answer,
      answer.differences.length === 0
        ? `Nothing differs between ${what}.`
        : `What differs between ${what}:\n${
          table(["field", "before", "after"], answer.differences.map((d) => [d.path, value(d.before), value(d.after)]))
        }`
    )
  })).pipe(Command.withDescription("What differs between two versions, or between a version and a file."))

const rollback = Command.make(
  "rollback",
  {
    ...connection,
    campaign,
    author,
    to: Options.integer("to").pipe(Options.withDescription("The version to go back to."))
  },
  (call) =>
    connected(
      call,
      (hikyaku) => hikyaku.campaign.rollback({ campaign: call.campaign, author: call.author, to: call.to })
    ).pipe(
      Effect.flatMap((answer) =>
        answer._tag === "NotAllowed"
          ? Effect.fail(notAllowed(call.campaign, answer))
          : print(call, answer, `Version ${answer.version} is in force; it says what version ${call.to} said.`)
      )
    )
).pipe(Command.withDescription("Makes an earlier version the current one again."))

const setStatus = (name: "pause" | "resume" | "cancel", description: string) =>
  Command.make(
    name,
    { ...connection, campaign, author },
    (call) =>
      connected(call, (hikyaku) => hikyaku.campaign[name]({ campaign: call.campaign, author: call.author })).pipe(
        Effect.flatMap((answer) =>
          answer._tag === "NotAllowed"
            ? Effect.fail(notAllowed(call.campaign, answer))
            : print(call, answer, `${call.campaign} is ${answer.status}${answer.changed ? "" : ", as it was"}.`)
        )
      )
  ).pipe(Command.withDescription(description))

export const command = Command.make("campaign").pipe(
  Command.withDescription("Campaigns: check, store, compare, try out, explain."),
  Command.withSubcommands([
    apply,
    validate,
    list,
    show,
    versions,
    diff,
    rollback,
    setStatus("pause", "Nothing fires, its runs stop, its unsent messages are held."),
    setStatus("resume", "Goes on with a paused campaign."),
    setStatus("cancel", "Ends a campaign for good: unsent messages are dropped."),
    count,
    sample,
    preview,
    runs,
    run,
    ...runSettings,
    explain
  ])
)
