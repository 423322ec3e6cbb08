/** `hikyaku event`: what happened in the shop, from a file. */
import { Args, Command, Options } from "@effect/cli"
import { FileSystem } from "@effect/platform"
import { fromParseError } from "@hikyaku/domain/api/BadInput"
import { Event, eventsMax, type ImportView, type Published } from "@hikyaku/domain/api/EventApi"
import { Chunk, Console, Effect, Either, Schedule, Schema, Stream } from "effect"
import { connected, connection } from "../Connection.ts"
import { type CliFailure, CliFailure as Failure, codes, misused, refused } from "../Failure.ts"
import { counts, print, table } from "../Output.ts"

/** Longest line, in characters. */
const lineMax = 1_000_000
/** Progress is told every so many events. */
const progressEvery = 10_000

interface Line {
  readonly number: number
  readonly event: Event
}

const decodeEvent = Schema.decodeUnknownEither(Event, { onExcessProperty: "error" })
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const parse = (text: string, number: number): Effect.Effect<Line, CliFailure> => {
  if (text.length > lineMax) return Effect.fail(misused(`line ${number}: longer than ${lineMax} characters`))
  return Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => misused(`line ${number}: not valid JSON: ${reason(error)}`)
  }).pipe(
    Effect.flatMap((value) =>
      Either.match(decodeEvent(value), {
        onLeft: (error) => Effect.fail(misused(`line ${number}: ${fromParseError(error).message}`)),
        onRight: (event) => Effect.succeed({ number, event })
      })
    )
  )
}

/** The events of a file, in batches: of a file of any length a batch at a time is in memory. Each with its line. */
const batches = (files: FileSystem.FileSystem, file: string, batch: number, after: number) =>
  files.stream(file).pipe(
    Stream.decodeText("utf-8"),
    Stream.splitLines,
    Stream.zipWithIndex,
    Stream.filter(([text]) => text.trim() !== ""),
    Stream.drop(after),
    Stream.mapError((error) =>
      misused(
        "reason" in error && error.reason === "NotFound"
          ? `There is no file ${file}.`
          : `${file} cannot be read: ${error.message}`
      )
    ),
    Stream.mapEffect(([text, index]) => parse(text, index + 1)),
    Stream.grouped(batch),
    Stream.map(Chunk.toReadonlyArray)
  )

/** The server names an event by its place in the call; whoever has the file wants the line. */
const byLine = (lines: ReadonlyArray<Line>, failure: CliFailure): CliFailure =>
  new Failure({
    code: failure.code,
    message: failure.message.replace(/^events\[(\d+)\]/, (_, n: string) => `line ${lines[Number(n)]?.number ?? n}`)
  })

const publish = Command.make("publish", {
  ...connection,
  file: Args.text({ name: "file" }).pipe(Args.withDescription("NDJSON: one event a line.")),
  batch: Options.integer("batch").pipe(
    Options.withDescription(`Events of one call, 1 to ${eventsMax}; default 500.`),
    Options.withDefault(500)
  )
}, (call) =>
  Effect.gen(function*() {
    const { batch, file } = call
    if (batch < 1 || batch > eventsMax) return yield* misused(`--batch must be between 1 and ${eventsMax}`)
    const files = yield* FileSystem.FileSystem
    const done: Record<Published["_tag"], number> = { Appended: 0, Repeated: 0, Differs: 0 }
    let last = 0
    const differing: Array<number> = []
    yield* connected(call, (hikyaku) =>
      Stream.runForEach(batches(files, file, batch, 0), ([first, ...rest]) => {
        if (first === undefined) return Effect.void
        const sent = [first, ...rest]
        return hikyaku.event.publish({ events: [first.event, ...rest.map(({ event }) => event)] }).pipe(
          Effect.tap((answers) =>
            Effect.sync(() => {
              for (const [n, { _tag }] of answers.entries()) {
                done[_tag]++
                const line = sent[n]
                if (_tag === "Differs" && line !== undefined && differing.length < 10) differing.push(line.number)
              }
              last = sent.at(-1)?.number ?? last
            })
          ),
          Effect.tap(() => {
            const total = done.Appended + done.Repeated + done.Differs
            return total % progressEvery < batch && total >= progressEvery && !call.json
              ? Console.error(`${total.toLocaleString("en")} events ...`)
              : Effect.void
          }),
          Effect.mapError((error) =>
            error._tag === "BadInput"
              ? byLine(sent, misused(error.message))
              : error
          )
        )
      })).pipe(
        Effect.mapError((failure) =>
          /^line \d/.test(failure.message) || last > 0
            ? new Failure({
              code: failure.code,
              message: [
                failure.message,
                last === 0 ? "Nothing was published." : `The lines up to ${last} are published.`,
                "Mend it and publish the file again: what is known already is not doubled."
              ].join("\n")
            })
            : failure
        )
      )
    yield* print(
      call,
      done,
      `Published ${file}: ${
        counts({ appended: done.Appended, "known already": done.Repeated, "in conflict": done.Differs })
      }`
    )
    if (done.Differs > 0) {
      return yield* new Failure({
        code: codes.refused,
        message: `Lines whose id was used before with other content were ignored: ${differing.join(", ")}${
          done.Differs > differing.length ? ", ..." : ""
        }`
      })
    }
  })).pipe(Command.withDescription("Publishes events from a file, in their order; safe to repeat."))

/** Rests before a call that found the shop busy is made again; the last one counts as often as it takes. */
const busyRest = Schedule.spaced("1 second")

const importFile = Command.make("import", {
  ...connection,
  file: Args.text({ name: "file" }).pipe(Args.withDescription("NDJSON: one event a line.")),
  name: Options.text("name").pipe(
    Options.withDescription("The import's own name: under the same one it goes on where it was.")
  ),
  batch: Options.integer("batch").pipe(
    Options.withDescription(`Events of one call, 1 to ${eventsMax}; default 500.`),
    Options.withDefault(500)
  )
}, (call) =>
  Effect.gen(function*() {
    const { batch, file, name } = call
    if (batch < 1 || batch > eventsMax) return yield* misused(`--batch must be between 1 and ${eventsMax}`)
    const files = yield* FileSystem.FileSystem
    const progress = yield* connected(call, (hikyaku) =>
      Effect.gen(function*() {
        const none = { import: name, lines: 0, appended: 0, repeated: 0, differing: 0, finished: false }
        let state: ImportView = yield* hikyaku.event.readImport({ import: name }).pipe(
          Effect.catchTag("Unknown", () => Effect.succeed(none))
        )
        if (state.finished) return state
        if (state.lines > 0 && !call.json) yield* Console.error(`Going on after ${state.lines} events.`)
        // One batch is kept back, so that the last one can be said to be the last.
        const take = (lines: ReadonlyArray<Line>, last: boolean) => {
          const [first, ...rest] = lines
          if (first === undefined) return Effect.void
          return hikyaku.event.import({
            import: name,
            firstLine: state.lines + 1,
            events: [first.event, ...rest.map(({ event }) => event)],
            last
          }).pipe(
            Effect.retry({ while: (error) => error._tag === "Overloaded", schedule: busyRest }),
            Effect.mapError((error) => error._tag === "BadInput" ? byLine(lines, misused(error.message)) : error),
            Effect.tap((answer) => {
              const told = Math.floor(state.lines / progressEvery) < Math.floor(answer.lines / progressEvery)
              state = answer
              return told && !call.json ? Console.error(`${answer.lines.toLocaleString("en")} events ...`) : Effect.void
            })
          )
        }
        const before = yield* Stream.runFoldEffect(
          batches(files, file, batch, state.lines),
          [] as ReadonlyArray<Line>,
          (kept, next) => Effect.as(take(kept, false), next)
        )
        yield* take(before, true)
        return state
      })).pipe(
        Effect.mapError((failure) =>
          failure.code === codes.usage && !/^line \d/.test(failure.message) ? failure : new Failure({
            code: failure.code,
            message: `${failure.message}\nThe same command goes on where it was: nothing is lost or doubled.`
          })
        )
      )
    const { appended, differing, finished, lines, repeated } = progress
    if (!finished) return yield* refused(`${file} holds no events${lines > 0 ? " beyond those imported before" : ""}.`)
    yield* print(
      call,
      progress,
      `Imported ${file}: ${counts({ appended, "known already": repeated, "in conflict": differing })}`
    )
  })).pipe(Command.withDescription("Imports a file of any size as the shop can follow; the same command resumes it."))

const type = Args.text({ name: "type" }).pipe(Args.withDescription("The type's name, without custom."))
const kinds = ["string", "number", "boolean"] as const

const register = Command.make("register", {
  ...connection,
  type,
  fields: Options.keyValueMap("field").pipe(
    Options.withDescription("A field of its data and its kind, e.g. --field stars=number; may be repeated.")
  )
}, (call) =>
  Effect.gen(function*() {
    const fields: Record<string, (typeof kinds)[number]> = {}
    for (const [name, value] of call.fields) {
      const kind = kinds.find((known) => known === value)
      if (kind === undefined) return yield* misused(`--field ${name}=${value}: must be ${kinds.join(", ")}`)
      fields[name] = kind
    }
    const answer = yield* connected(call, (hikyaku) => hikyaku.event.registerCustomType({ type: call.type, fields }))
    yield* print(
      call,
      answer,
      `custom.${call.type} is ${answer.created ? "registered" : "known"}: ${
        Object.entries(answer.fields).map(([name, kind]) => `${name} (${kind})`).join(", ")
      }`
    )
  })).pipe(Command.withDescription("Makes a custom event type known, or adds fields to it."))

const types = Command.make(
  "types",
  connection,
  (call) =>
    connected(call, (hikyaku) => hikyaku.event.customTypes()).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          table(
            ["type", "fields"],
            answer.map(({ fields, type }) => [
              `custom.${type}`,
              Object.entries(fields).map(([name, kind]) => `${name}:${kind}`).join(" ")
            ])
          )
        )
      )
    )
).pipe(Command.withDescription("The custom event types."))

export const command = Command.make("event").pipe(
  Command.withDescription("What happened in the shop."),
  Command.withSubcommands([publish, importFile, register, types])
)
