/** `hikyaku event`: what happened in the shop, from a file. */
import { Args, Command, Options } from "@effect/cli"
import { FileSystem } from "@effect/platform"
import { fromParseError } from "@hikyaku/domain/api/BadInput"
import { Event, eventsMax, type Published } from "@hikyaku/domain/api/EventApi"
import { Chunk, Console, Effect, Either, Schema, Stream } from "effect"
import { connected, connection } from "../Connection.ts"
import { type CliFailure, CliFailure as Failure, codes, misused } from "../Failure.ts"
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
    const lines = files.stream(file).pipe(
      Stream.decodeText("utf-8"),
      Stream.splitLines,
      Stream.zipWithIndex,
      Stream.filter(([text]) => text.trim() !== ""),
      Stream.mapError((error) =>
        misused(
          "reason" in error && error.reason === "NotFound"
            ? `There is no file ${file}.`
            : `${file} cannot be read: ${error.message}`
        )
      ),
      Stream.mapEffect(([text, index]) => parse(text, index + 1)),
      Stream.grouped(batch)
    )
    yield* connected(call, (hikyaku) =>
      Stream.runForEach(lines, (chunk) => {
        const [first, ...rest] = Chunk.toReadonlyArray(chunk)
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
  Command.withSubcommands([publish, register, types])
)
