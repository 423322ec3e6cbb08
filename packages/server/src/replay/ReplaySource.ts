/**
 * Where a replay's steps come from: a file (the Online Retail data set as CSV, or NDJSON of our own events and steps, plain
 * or gzip) or a generated shop. A file is read through once before the first step is handed out, within its limit: what is
 * broken is refused with nothing changed, and what must come first (openings, falls of prices) is known. Memory does not
 * grow with the lines: see `OnlineRetail` for the maps that are kept.
 */
import { generatedShopSource, generateShop } from "@hikyaku/domain/replay/GeneratedShop"
import { type GeneratedShopInput, GeneratedShopOptions } from "@hikyaku/domain/replay/GeneratedShopOptions"
import { makeOnlineRetailReplay, makeOnlineRetailSurvey, onlineRetailSource } from "@hikyaku/domain/replay/OnlineRetail"
import { onlineRetailColumns, type UnusableReason } from "@hikyaku/domain/replay/OnlineRetailRow"
import { ReplayInputError } from "@hikyaku/domain/replay/ReplayInputError"
import type { Step } from "@hikyaku/domain/replay/Step"
import { Chunk, Effect, ParseResult, Schema, type Scope, Stream } from "effect"
import { csvRecords } from "./CsvRecords.ts"
import { ndjsonSteps } from "./NdjsonSteps.ts"
import { asReplayInputError, openReplayFile, type ReplayFile } from "./ReplayFile.ts"

/** Steps of a generated shop that are handed on together. */
const generatedBatch = 512

/** How far a run of the stream has come. `lines` = `used` + the sum of `unusable`. */
export interface ReplayProgress {
  readonly lines: number
  readonly used: number
  readonly unusable: Readonly<Partial<Record<UnusableReason, number>>>
}

export interface ReplaySource {
  readonly format: "online-retail" | "ndjson" | "generated"
  /** The file's path, or the seed. */
  readonly name: string
  /** Lines that the stream reads (a generated shop: steps), for a progress bar. */
  readonly lines: number
  /** What the steps contain that the source does not: to be told wherever results are shown. */
  readonly derived: ReadonlyArray<string>
  /**
   * The steps: openings first, instants never backwards, ids the same in every run. One run at a time; each starts from the
   * beginning. Fails with `FileChanged` if the file was written to meanwhile.
   */
  readonly stream: Stream.Stream<Step, ReplayInputError>
  /** Of the latest run. */
  readonly progress: Effect.Effect<ReplayProgress>
  /** Lines that could not be used so far in the latest run, by reason. */
  readonly unusable: Effect.Effect<ReplayProgress["unusable"]>
}

/** Counts of one run; written by its stream alone. */
const makeTally = () => {
  let lines = 0
  let unusable = new Map<UnusableReason, number>()
  const count = () => Object.fromEntries(unusable) as ReplayProgress["unusable"]
  const progress = (): ReplayProgress => ({
    lines,
    used: lines - [...unusable.values()].reduce((sum, count) => sum + count, 0),
    unusable: count()
  })
  return {
    restart: () => {
      lines = 0
      unusable = new Map()
    },
    line: (reason?: UnusableReason) => {
      lines += 1
      if (reason !== undefined) unusable.set(reason, (unusable.get(reason) ?? 0) + 1)
    },
    lines: () => lines,
    progress: Effect.sync(progress),
    unusable: Effect.sync(count)
  }
}

/** Opens a file for as long as the scope lasts. `limit` bounds its lines (CSV: without the header; NDJSON: without empty ones). */
export const fromFile = (
  path: string,
  options: { readonly limit?: number | undefined } = {}
): Effect.Effect<ReplaySource, ReplayInputError, Scope.Scope> =>
  Effect.gen(function*() {
    const limit = options.limit ?? Number.MAX_SAFE_INTEGER - 1
    if (!Number.isSafeInteger(limit) || limit < 1) {
      return yield* new ReplayInputError({
        file: path,
        fault: "BadOption",
        detail: `a limit is a whole number of lines, at least 1, not ${limit}`,
        path: "limit"
      })
    }
    const file = yield* openReplayFile(path)
    return yield* (yield* isNdjson(file)) ? ndjson(file, limit) : onlineRetail(file, limit)
  }).pipe(Effect.withSpan("ReplaySource.fromFile", { attributes: { path } }))

/** Our own lines are objects; anything else is taken for CSV, whose header says whether it is. */
const isNdjson = (file: ReplayFile): Effect.Effect<boolean, ReplayInputError> =>
  batches(file, () => firstCharacter(file)).pipe(
    Stream.runHead,
    Effect.flatMap((first) =>
      first._tag === "None" ? file.error("EmptyFile", "the file has no lines") : Effect.succeed(first.value === "{")
    )
  )

async function* firstCharacter(file: ReplayFile): AsyncGenerator<string, void, undefined> {
  for await (const chunk of file.chunks()) {
    const [first] = chunk.toString("utf8").trimStart()
    if (first !== undefined) return yield first
  }
}

const batches = <A>(file: ReplayFile, read: () => AsyncIterable<A>): Stream.Stream<A, ReplayInputError> =>
  Stream.suspend(() => Stream.fromAsyncIterable(read(), asReplayInputError(file.path)))

/** One stream element per step again, in chunks as they were read. */
const flatten = (steps: Stream.Stream<ReadonlyArray<Step>, ReplayInputError>) =>
  Stream.mapChunks(steps, Chunk.flatMap(Chunk.unsafeFromArray))

const onlineRetail = (file: ReplayFile, limit: number): Effect.Effect<ReplaySource, ReplayInputError> =>
  Effect.gen(function*() {
    const records = batches(file, () => csvRecords(file, onlineRetailColumns, limit))
    const survey = makeOnlineRetailSurvey()
    yield* Stream.runForEach(records, (rows) => Effect.sync(() => rows.forEach(survey.row)))
    const plan = survey.plan()
    const tally = makeTally()

    const stream = Stream.suspend(() => {
      tally.restart()
      const replay = makeOnlineRetailReplay(plan)
      const mapped = Stream.map(records, (rows) => {
        const steps: Array<Step> = []
        for (const row of rows) tally.line(replay.row(row, steps))
        return steps
      })
      const end = Effect.suspend(() => {
        const steps: Array<Step> = []
        replay.end(steps)
        return tally.lines() === plan.lines
          ? Effect.as(file.unchanged, steps)
          : file.error("FileChanged", `${tally.lines()} lines where there were ${plan.lines}`)
      })
      return flatten(Stream.make(plan.openings).pipe(Stream.concat(mapped), Stream.concat(Stream.fromEffect(end))))
    })
    return {
      format: "online-retail",
      name: file.path,
      lines: plan.lines,
      derived: [
        `Favourites (${onlineRetailSource}): a member who bought a product favours it from then on.`,
        `Stock: ${plan.popular.length} popular products open with about 60% of what was carted and sell out; ` +
        `${plan.restocks.length} of them are restocked once; all others open with more than was carted.`,
        "Addresses, languages and consent of members."
      ],
      stream,
      progress: tally.progress,
      unusable: tally.unusable
    }
  })

const ndjson = (file: ReplayFile, limit: number): Effect.Effect<ReplaySource, ReplayInputError> =>
  Effect.gen(function*() {
    const steps = batches(file, () => ndjsonSteps(file, limit))
    const lines = yield* Stream.runFold(steps, 0, (sum, batch) => sum + batch.length)
    const tally = makeTally()
    const counted = Stream.suspend(() => {
      tally.restart()
      return Stream.tap(steps, (batch) => Effect.sync(() => batch.forEach(() => tally.line())))
    })
    return {
      format: "ndjson",
      name: file.path,
      lines,
      derived: [],
      stream: flatten(Stream.concat(counted, Stream.fromEffect(Effect.as(file.unchanged, [])))),
      progress: tally.progress,
      unusable: tally.unusable
    }
  })

/** A shop from a seed; sizes that are left out are those of `GeneratedShopOptions`. */
export const generated = (input: GeneratedShopInput = {}): Effect.Effect<ReplaySource, ReplayInputError> =>
  Effect.gen(function*() {
    const options = yield* Schema.decodeUnknown(GeneratedShopOptions, { onExcessProperty: "error" })(input).pipe(
      Effect.mapError((error) => {
        const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
        return new ReplayInputError({
          file: "generated shop",
          fault: "BadOption",
          detail: issue?.message ?? error.message,
          path: issue?.path.join(".") ?? ""
        })
      })
    )
    // Generating is much cheaper than replaying, and a progress bar needs to know the end.
    const all = Stream.suspend(() => Stream.fromIteratorSucceed(generateShop(options), generatedBatch))
    const lines = yield* Stream.runCount(all)
    const tally = makeTally()
    return {
      format: "generated",
      name: options.seed,
      lines,
      derived: [`Everything: a generated shop (${generatedShopSource}) with the seed ${options.seed}.`],
      stream: Stream.suspend(() => {
        tally.restart()
        return all.pipe(
          Stream.mapChunks((chunk) => {
            Chunk.forEach(chunk, () => tally.line())
            return chunk
          })
        )
      }),
      progress: tally.progress,
      unusable: tally.unusable
    }
  })
