/**
 * `hikyaku delivery send | fix`: recipients of a file become a request, as a stream; those of a table or segment are taken by
 * the shop itself. Broken ones are told by their line.
 */
import { Args, Command, Options } from "@effect/cli"
import type { Hikyaku } from "@hikyaku/domain/api/Client"
import { RecipientSource, type RequestView, type RowFaultView, rowsMax } from "@hikyaku/domain/api/RequestApi"
import { Console, type Context, Duration, Effect, Option, Schedule, Schema, Stream } from "effect"
import { connected, connection } from "../Connection.ts"
import { read } from "../Document.ts"
import { type CallError, type CliFailure, misused } from "../Failure.ts"
import { facts, instant, print, table } from "../Output.ts"
import { type ReadRow, type Row, rowsOf, sizeOf } from "../RecipientFile.ts"
import { key, outlookText, sourceText } from "./DeliverySubject.ts"

type Client = Context.Tag.Service<Hikyaku>

/** Broken rows shown at once. */
const shownMax = 20
const barWidth = 30

const when = (name: string) =>
  Options.text(name).pipe(Options.mapEffect((text) => {
    const at = Date.parse(text)
    return Number.isNaN(at)
      ? Effect.dieMessage(`--${name}: ${text} is no time; write it like 2026-12-01T09:00:00+09:00`)
      : Effect.succeed(at)
  }))

const file = Args.file({ name: "recipients", exists: "yes" }).pipe(
  Args.withDescription("CSV with a heading line, or NDJSON: a column member or address, the others are parameters.")
)

/** A line on a terminal that tells how far it is. */
const progress = (total: number) => {
  const { stderr } = process
  return (bytes: number, rows: number) =>
    Effect.sync(() => {
      if (!stderr.isTTY) return
      const share = total === 0 ? 1 : Math.min(1, bytes / total)
      const full = Math.round(share * barWidth)
      stderr.write(
        `\r${"█".repeat(full)}${"·".repeat(barWidth - full)} ${(share * 100).toFixed(0).padStart(3)} %  ${
          rows.toLocaleString("en")
        } recipients`
      )
      if (share === 1) stderr.write("\n")
    })
}

const readRows = (name: string) =>
  Stream.fromAsyncIterable(rowsOf(name), (cause) => misused(`${name} cannot be read: ${String(cause)}`))

/** Sends consecutive rows; answers the faults of all. */
const addRows = (
  client: Client,
  request: { readonly key: string; readonly request: string },
  name: string,
  wanted: (row: ReadRow) => boolean
) =>
  Effect.gen(function*() {
    const show = progress(yield* Effect.promise(() => sizeOf(name)))
    const faults: Array<RowFaultView> = []
    let broken = 0
    let count = 0
    let bytes = 0
    const send = (rows: ReadonlyArray<ReadRow>): Effect.Effect<void, CallError> =>
      Effect.gen(function*() {
        const [first] = rows
        if (first === undefined) return
        const answer = yield* client.request.add({
          ...request,
          firstLine: first.line,
          rows: rows.map(({ row }): Row => row)
        })
        broken += answer.faults.length
        faults.push(...answer.faults.slice(0, Math.max(0, shownMax - faults.length)))
        count += rows.length
        bytes = rows[rows.length - 1]?.bytes ?? bytes
        yield* show(bytes, count)
      })
    yield* readRows(name).pipe(
      Stream.filter(wanted),
      Stream.grouped(rowsMax),
      Stream.runForEach((chunk) => send([...chunk]))
    )
    return { faults, broken, count }
  })

/** Broken rows, with their keys where they have some. */
export const faultRows = (faults: ReadonlyArray<RowFaultView>): string =>
  faults.some(({ key }) => key !== undefined)
    ? table(
      ["line", "key", "field", "reason"],
      faults.map(({ field, key, line, reason }) => [line, key ?? null, field, reason])
    )
    : table(["line", "field", "reason"], faults.map(({ field, line, reason }) => [line, field, reason]))

const faultTable = (faults: ReadonlyArray<RowFaultView>, all: number, request: string, place: "file" | "table") =>
  [
    `${all.toLocaleString("en")} rows are broken and are left out:`,
    faultRows(faults),
    ...(all > faults.length ? [`All of them: hikyaku delivery faults ${request}`] : []),
    `Mend them in the ${place}, then: hikyaku delivery fix ${request}${place === "file" ? " FILE" : ""}`
  ].join("\n")

/** How often it is asked how far the taking of a source has come. */
const lookEvery = Duration.millis(300)

/** Waits until the shop has taken the request's source, or cannot go on with it. */
const taken = (client: Client, request: RequestView) =>
  Effect.gen(function*() {
    const show = progress(request.source?.rows ?? 0)
    const look = client.request.read({ request: request.id }).pipe(
      Effect.tap(({ request: { lines } }) => show(lines, lines))
    )
    const isOver = ({ request: { source, status } }: Effect.Effect.Success<typeof look>) =>
      source === null || source.done || source.fault !== null || status === "cancelled"
    return yield* Effect.repeat(look, { schedule: Schedule.spaced(lookEvery), until: isOver }).pipe(
      Effect.zipRight(look)
    )
  })

/** Where recipients come from: a file, a registered table, or a segment in a file. Just one of them. */
const sourceOf = (
  file: Option.Option<string>,
  tableName: Option.Option<string>,
  segment: Option.Option<string>
) =>
  Effect.gen(function*() {
    const given = [file, tableName, segment].filter(Option.isSome).length
    if (given !== 1) return yield* misused("Give a file of recipients, or --table, or --segment.")
    if (Option.isSome(tableName)) return { _tag: "Table", table: tableName.value } as const
    if (Option.isNone(segment)) return null
    const document = yield* read(segment.value)
    return yield* Schema.decodeUnknown(RecipientSource)({ _tag: "Segment", segment: document }).pipe(
      Effect.mapError((error) => misused(`${segment.value}: ${error.message}`))
    )
  })

export const send = Command.make("send", {
  ...connection,
  key,
  file: Args.optional(file),
  table: Options.text("table").pipe(
    Options.withDescription("Takes the recipients from this registered table instead."),
    Options.optional
  ),
  segment: Options.file("segment", { exists: "yes" }).pipe(
    Options.withDescription("Takes the members of this segment instead: JSON or YAML, as in a campaign."),
    Options.optional
  ),
  mail: Options.text("mail").pipe(
    Options.withDescription("The mail, across systems: nobody gets it twice at one address.")
  ),
  template: Options.text("template"),
  deadline: when("deadline").pipe(Options.withDescription("By then it is finished, e.g. 2026-12-01T09:00:00+09:00.")),
  sendAt: when("send-at").pipe(Options.withDescription("Nothing goes out before."), Options.optional),
  class: Options.choice("class", ["batch", "realtime"] as const).pipe(Options.optional),
  idempotencyKey: Options.text("idempotency-key").pipe(
    Options.withDescription("Your name for this request: the same one goes on with it. Default: the mail."),
    Options.optional
  ),
  detach: Options.boolean("detach").pipe(
    Options.withDescription("Does not wait until the recipients of a table or segment are taken.")
  )
}, (call) =>
  Effect.gen(function*() {
    const from = yield* sourceOf(call.file, call.table, call.segment)
    const { brokenNow, ...answer } = yield* connected(call, (hikyaku) =>
      Effect.gen(function*() {
        const view = yield* hikyaku.request.open({
          key: call.key,
          idempotencyKey: Option.getOrElse(call.idempotencyKey, () => call.mail),
          mail: call.mail,
          template: call.template,
          deadline: call.deadline,
          sendAt: Option.getOrUndefined(call.sendAt),
          class: Option.getOrUndefined(call.class),
          ...(from !== null && { from })
        })
        const request = { key: call.key, request: view.id }
        if (view.lines > 0 && !call.json) {
          yield* Console.error(`Going on after ${view.lines.toLocaleString("en")} rows.`)
        }
        if (Option.isSome(call.file)) {
          const { broken, faults } = yield* addRows(hikyaku, request, call.file.value, ({ line }) => line > view.lines)
          return { ...(yield* hikyaku.request.submit(request)), faults, brokenNow: broken }
        }
        const submitted = yield* hikyaku.request.submit(request)
        if (call.detach) return { ...submitted, faults: [], brokenNow: 0 }
        const { deliveries: _, ...now } = yield* taken(hikyaku, view)
        const faults = now.request.broken === 0
          ? []
          : yield* hikyaku.request.faults({ request: view.id, limit: shownMax })
        return { ...now, faults, brokenNow: now.request.broken }
      }))
    const { source } = answer.request
    yield* print(
      call,
      answer,
      [
        facts([
          ["request", answer.request.id],
          ...(source === null ? [] : [["taken from", sourceText(source)] as const]),
          ["recipients", answer.request.recipients],
          ["sent this mail already", answer.request.repeated],
          ["broken", answer.request.broken],
          ["deadline", instant(answer.request.deadline)],
          ["predicted end", outlookText(answer.outlook)]
        ]),
        ...(brokenNow === 0
          ? []
          : [faultTable(answer.faults, brokenNow, answer.request.id, source === null ? "file" : "table")]),
        `Next: hikyaku delivery show ${answer.request.id}`
      ].join("\n\n")
    )
  })).pipe(
    Command.withDescription(
      "Asks for a mail to the recipients of a file, table or segment. The same command resumes it."
    )
  )

export const fix = Command.make(
  "fix",
  {
    ...connection,
    key,
    request: Args.text({ name: "request" }),
    file: Args.optional(file)
  },
  (call) =>
    connected(
      call,
      (hikyaku): Effect.Effect<{ readonly mended: number; readonly left: number }, CallError | CliFailure> =>
        Effect.gen(function*() {
          const lines = new Set<number>()
          for (let after = 0;;) {
            const page = yield* hikyaku.request.faults({ request: call.request, after })
            for (const { line } of page) lines.add(line)
            const last = page[page.length - 1]
            if (last === undefined) break
            after = last.line
          }
          // Whatever lies between broken rows is there already; it is passed over.
          const before = lines.size
          const request = { key: call.key, request: call.request }
          yield* Option.isSome(call.file)
            ? addOnly(hikyaku, request, call.file.value, lines)
            : mendAll(hikyaku, request)
          const left = (yield* hikyaku.request.read({ request: call.request })).request.broken
          return { mended: before - left, left }
        })
    ).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          `${answer.mended.toLocaleString("en")} rows are mended, ${answer.left.toLocaleString("en")} are still broken.`
        )
      )
    )
).pipe(
  Command.withDescription("Takes the rows of a request that were broken from a mended file, or from its mended table.")
)

/** Has all broken rows of a table looked up again. */
const mendAll = (client: Client, request: { readonly key: string; readonly request: string }) =>
  Effect.gen(function*() {
    for (let after: number | null = 0; after !== null;) {
      const page: { readonly last: number | null } = yield* client.request.mend({ ...request, after })
      after = page.last
    }
  })

/** Sends the rows of these lines alone, each in a call of its own: they lie apart. */
const addOnly = (
  client: Client,
  request: { readonly key: string; readonly request: string },
  name: string,
  lines: ReadonlySet<number>
) =>
  readRows(name).pipe(
    Stream.filter(({ line }) => lines.has(line)),
    Stream.mapEffect(({ line, row }) => client.request.add({ ...request, firstLine: line, rows: [row] }), {
      concurrency: 8
    }),
    Stream.runDrain
  )
