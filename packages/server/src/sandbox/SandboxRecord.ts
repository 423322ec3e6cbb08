/**
 * The sandbox's record: a file of one JSON entry per line, appended to and never changed, from which the sandbox comes back
 * as it was. Written by the one sandbox process that owns the folder.
 *
 * Entries gather while the disk is at work and go down together (a group commit): `durable` returns after the fdatasync that
 * covers what was written before. Entries that nobody waits for (the ends of requests) are written at once but not synced by
 * themselves: a death loses at most the last of them, and their requests count as cut by it. A write that fails ends the
 * sandbox: what was not recorded must not be answered.
 */
import { SandboxEntry } from "@hikyaku/cluster/delivery/sandbox/SandboxEntry"
import { RecordUnreadable, SandboxRecorder } from "@hikyaku/cluster/delivery/sandbox/SandboxService"
import { Context, Deferred, Effect, Either, Layer, ParseResult, Schema } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { attempt, syncFolder } from "../embedded/DataFile.ts"
import * as OwnerClaim from "../embedded/OwnerClaim.ts"

/** The record's name in its folder. */
export const recordFile = "provider.ndjson"

/** The record cannot be written any more (disk full, device lost). */
export class RecordBroken extends Schema.TaggedError<RecordBroken>()("RecordBroken", {
  file: Schema.String,
  reason: Schema.String
}) {}

/** Fails when the record cannot be written any more; whoever runs the sandbox ends with it. */
export class RecordHealth extends Context.Tag("@hikyaku/server/sandbox/RecordHealth")<
  RecordHealth,
  Effect.Effect<never, RecordBroken>
>() {}

const decode = Schema.decodeUnknownEither(Schema.parseJson(SandboxEntry))
const newline = 0x0a

/** Folds every whole line; returns the length in bytes of the part that consists of whole lines. */
const readLines = async (file: fs.FileHandle, name: string, each: (entry: SandboxEntry) => void): Promise<number> => {
  let rest: Array<Buffer> = []
  let whole = 0
  let line = 0
  for await (const chunk of file.createReadStream({ autoClose: false, start: 0, highWaterMark: 1024 * 1024 })) {
    if (!Buffer.isBuffer(chunk)) continue
    let from = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      const bytes = Buffer.concat([...rest, chunk.subarray(from, end)])
      rest = []
      from = end + 1
      line++
      whole += bytes.length + 1
      const entry = decode(bytes.toString("utf8"))
      if (Either.isLeft(entry)) {
        const reason = ParseResult.ArrayFormatter.formatErrorSync(entry.left)[0]?.message ?? "not an entry"
        throw new RecordUnreadable({ where: `${name}, line ${line}`, reason: reason.slice(0, 500) })
      }
      each(entry.right)
    }
    if (from < chunk.length) rest.push(chunk.subarray(from))
  }
  return whole
}

const make = (folder: string) =>
  Effect.gen(function*() {
    const name = path.join(folder, recordFile)
    yield* attempt(folder, "creating the folder", () => fs.mkdir(folder, { recursive: true }))
    yield* OwnerClaim.acquire(folder)
    const file = yield* Effect.acquireRelease(
      attempt(folder, "opening the record", async () => {
        const handle = await fs.open(name, "a+", 0o600)
        await syncFolder(folder)
        return handle
      }),
      (handle) => Effect.promise(() => handle.close())
    )
    const health = yield* Deferred.make<never, RecordBroken>()

    let pending: Array<string> = []
    /** Entries written so far, and how many of them are known to be durable. */
    let written = 0
    let durable = 0
    let syncWanted = false
    const newRound = Effect.map(Effect.fiberId, (id) => Deferred.unsafeMake<void, RecordBroken>(id))
    /** The round that gathers, and the one on its way to the disk if that will be durable. */
    let gathering = yield* newRound
    let syncing: typeof gathering | undefined
    const work = yield* Effect.makeLatch(false)

    const writeRound = Effect.gen(function*() {
      const text = pending.join("")
      const upTo = written
      const sync = syncWanted
      const round = gathering
      pending = []
      syncWanted = false
      syncing = sync ? round : undefined
      gathering = yield* newRound
      yield* work.close
      yield* Effect.tryPromise({
        try: async () => {
          if (text !== "") await file.appendFile(text)
          if (sync) await file.datasync()
        },
        catch: (cause) => new RecordBroken({ file: name, reason: String(cause) })
      }).pipe(
        // Whatever waits, now or later, must not be told that it is durable.
        Effect.tapError((error) =>
          Effect.all([Deferred.fail(health, error), Deferred.fail(round, error), Deferred.fail(gathering, error)])
        )
      )
      if (sync) durable = upTo
      syncing = undefined
      yield* Deferred.succeed(round, undefined)
    })

    // Finalizers run in reverse: the loop ends first, then what gathered at the last moment goes down.
    yield* Effect.addFinalizer(() => Effect.ignore(Effect.when(writeRound, () => pending.length > 0)))
    yield* Effect.forkScoped(
      Effect.ignore(Effect.forever(Effect.zipRight(work.await, Effect.uninterruptible(writeRound))))
    )

    const recorder: typeof SandboxRecorder.Service = {
      replay: (each) =>
        Effect.tryPromise({
          try: async () => file.truncate(await readLines(file, name, each)),
          catch: (cause) =>
            cause instanceof RecordUnreadable ? cause : new RecordUnreadable({ where: name, reason: String(cause) })
        }),
      write: (entry) => {
        pending.push(`${JSON.stringify(entry)}\n`)
        written++
        work.unsafeOpen()
      },
      durable: Effect.suspend(() => {
        if (durable === written) return Effect.void
        if (pending.length === 0 && syncing !== undefined) return Effect.orDie(Deferred.await(syncing))
        syncWanted = true
        work.unsafeOpen()
        return Effect.orDie(Deferred.await(gathering))
      })
    }
    return Context.make(SandboxRecorder, recorder).pipe(Context.add(RecordHealth, Deferred.await(health)))
  })

/** The record in this folder, which is created if need be; held by this process alone until the scope closes. */
export const layer = (folder: string) => Layer.scopedContext(make(folder))
