/** `hikyaku delivery send | fix`: recipients of a file become a request, as a stream; broken ones are told by their line. */
import { Args, Command, Options } from "@effect/cli"
import type { Hikyaku } from "@hikyaku/domain/api/Client"
import { type RowFaultView, rowsMax } from "@hikyaku/domain/api/RequestApi"
import { Console, type Context, Effect, Option, Stream } from "effect"
import { connected, connection } from "../Connection.ts"
import { type CallError, type CliFailure, misused } from "../Failure.ts"
import { facts, instant, print, table } from "../Output.ts"
import { type ReadRow, type Row, rowsOf, sizeOf } from "../RecipientFile.ts"
import { key, outlookText } from "./DeliverySubject.ts"

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

const faultTable = (faults: ReadonlyArray<RowFaultView>, all: number, request: string): string =>
  [
    `${all.toLocaleString("en")} rows are broken and are left out:`,
    table(["line", "field", "reason"], faults.map(({ field, line, reason }) => [line, field, reason])),
    ...(all > faults.length ? [`All of them: hikyaku delivery faults ${request}`] : []),
    `Mend them in the file, then: hikyaku delivery fix ${request} FILE`
  ].join("\n")

export const send = Command.make("send", {
  ...connection,
  key,
  file,
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
  )
}, (call) =>
  connected(call, (hikyaku) =>
    Effect.gen(function*() {
      const view = yield* hikyaku.request.open({
        key: call.key,
        idempotencyKey: Option.getOrElse(call.idempotencyKey, () => call.mail),
        mail: call.mail,
        template: call.template,
        deadline: call.deadline,
        sendAt: Option.getOrUndefined(call.sendAt),
        class: Option.getOrUndefined(call.class)
      })
      const request = { key: call.key, request: view.id }
      if (view.lines > 0 && !call.json) yield* Console.error(`Going on after ${view.lines.toLocaleString("en")} rows.`)
      const { broken, faults } = yield* addRows(hikyaku, request, call.file, ({ line }) => line > view.lines)
      const answer = yield* hikyaku.request.submit(request)
      return { ...answer, faults, brokenNow: broken }
    })).pipe(
      Effect.flatMap(({ brokenNow, ...answer }) =>
        print(
          call,
          answer,
          [
            facts([
              ["request", answer.request.id],
              ["recipients", answer.request.recipients],
              ["sent this mail already", answer.request.repeated],
              ["broken", answer.request.broken],
              ["deadline", instant(answer.request.deadline)],
              ["predicted end", outlookText(answer.outlook)]
            ]),
            ...(brokenNow === 0 ? [] : [faultTable(answer.faults, brokenNow, answer.request.id)]),
            `Next: hikyaku delivery show ${answer.request.id}`
          ].join("\n\n")
        )
      )
    )).pipe(Command.withDescription("Asks for a mail to the recipients of a file. The same command resumes it."))

export const fix = Command.make(
  "fix",
  {
    ...connection,
    key,
    request: Args.text({ name: "request" }),
    file
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
          yield* addOnly(hikyaku, { key: call.key, request: call.request }, call.file, lines)
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
).pipe(Command.withDescription("Takes the rows of a request that were broken from a mended file."))

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
