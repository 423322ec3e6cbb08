import { describe, expect, it, vi } from "@effect/vitest"
import type { SandboxEntry } from "@hikyaku/cluster/delivery/sandbox/SandboxEntry"
import { SandboxRecorder } from "@hikyaku/cluster/delivery/sandbox/SandboxService"
import * as SandboxRecord from "@hikyaku/server/sandbox/SandboxRecord"
import { Effect, Either } from "effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"

const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "hikyaku-record-"))),
  (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true }))
)
const end = (n: number): SandboxEntry => ({ t: "end", n, at: n, status: 200 })
const file = (folder: string) => path.join(folder, SandboxRecord.recordFile)
const read = (folder: string) => Effect.promise(() => fs.readFile(file(folder), "utf8"))

/** Counts fdatasync, which leaves no trace that a test could see. */
const spyOnSync = Effect.acquireRelease(
  Effect.promise(async () => {
    const handle = await fs.open(import.meta.filename)
    await handle.close()
    const prototype: fs.FileHandle = Object.getPrototypeOf(handle)
    return vi.spyOn(prototype, "datasync")
  }),
  (spy) => Effect.sync(() => spy.mockRestore())
)

/** What a new owner of the record is told. */
const replay = (folder: string) =>
  Effect.gen(function*() {
    const recorder = yield* SandboxRecorder
    const entries: Array<SandboxEntry> = []
    yield* recorder.replay((entry) => entries.push(entry))
    return entries
  }).pipe(Effect.provide(SandboxRecord.layer(folder)))

/** Writes entries, then lets go of the record. */
const write = (folder: string, entries: ReadonlyArray<SandboxEntry>) =>
  Effect.gen(function*() {
    const recorder = yield* SandboxRecorder
    yield* recorder.replay(() => {})
    entries.forEach(recorder.write)
  }).pipe(Effect.provide(SandboxRecord.layer(folder)))

describe("G9: the sandbox's record", () => {
  it.scopedLive("holds in the file, in order, whatever was durable", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* Effect.gen(function*() {
        const recorder = yield* SandboxRecorder
        yield* recorder.replay(() => {})
        // Many at once, as requests come: each returns only when its own entry can be read back.
        yield* Effect.forEach(
          Array.from({ length: 500 }, (_, n) => n),
          (n) =>
            Effect.gen(function*() {
              recorder.write(end(n))
              yield* recorder.durable
              if (n % 50 === 0) expect(yield* read(folder)).toContain(`${JSON.stringify(end(n))}\n`)
            }),
          { concurrency: 40 }
        )
        const text = yield* read(folder)
        expect(text.split("\n").slice(0, -1).map((line) => JSON.parse(line).n)).toEqual(
          Array.from({ length: 500 }, (_, n) => n)
        )
      }).pipe(Effect.provide(SandboxRecord.layer(folder)))
    }))

  it.scopedLive("is synced before anybody is told, many entries at a time", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const syncs = yield* spyOnSync
      yield* Effect.gen(function*() {
        const recorder = yield* SandboxRecorder
        yield* recorder.replay(() => {})
        const before = syncs.mock.calls.length
        recorder.write(end(0))
        yield* recorder.durable
        expect(syncs.mock.calls.length).toBe(before + 1)
        const told = Effect.forEach(
          Array.from({ length: 300 }, (_, n) => n),
          (n) => Effect.zipRight(Effect.sync(() => recorder.write(end(n))), recorder.durable),
          { concurrency: "unbounded" }
        )
        yield* told
        expect(syncs.mock.calls.length).toBeGreaterThan(before + 1)
        expect(syncs.mock.calls.length).toBeLessThan(before + 20)
      }).pipe(Effect.provide(SandboxRecord.layer(folder)))
    }))

  it.scopedLive("is durable also for entries that left the buffer before somebody waited for them", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* Effect.gen(function*() {
        const recorder = yield* SandboxRecorder
        yield* recorder.replay(() => {})
        recorder.write(end(1))
        yield* Effect.repeat(Effect.delay(read(folder), "1 millis"), { until: (text) => text !== "" })
        const syncs = yield* spyOnSync
        yield* Effect.timeout(recorder.durable, "5 seconds")
        expect(syncs.mock.calls.length).toBe(1)
        // Nothing new since then: returns at once.
        yield* Effect.timeout(recorder.durable, "5 seconds")
      }).pipe(Effect.provide(SandboxRecord.layer(folder)))
    }))

  it.scopedLive("writes what gathered at the last moment", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* write(folder, [end(1), end(2)])
      expect(yield* replay(folder)).toEqual([end(1), end(2)])
    }))

  it.scopedLive("loses a torn last line and nothing else, and goes on after it", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* write(folder, [end(1)])
      yield* Effect.promise(() => fs.appendFile(file(folder), "{\"t\":\"end\",\"n\":2,\"at\":2,\"sta"))
      yield* write(folder, [end(3)])
      expect(yield* replay(folder)).toEqual([end(1), end(3)])
    }))

  it.scopedLive("reads lines longer than a read of the file, and text of any language", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const list: SandboxEntry = {
        t: "list",
        n: 1,
        at: 1,
        listId: "一覧",
        channel: "mail",
        mailKey: "飛脚",
        key: "",
        print: 0,
        rows: Array.from({ length: 60_000 }, (_, i) => [`d-${i}`, `宛先${i}@example.com`] as const)
      }
      yield* write(folder, [list, end(1)])
      expect(yield* replay(folder)).toEqual([list, end(1)])
    }))

  it.scopedLive.each(["not json\n", "{}\n", "{\"t\":\"opened\",\"at\":1,\"format\":99}\n", "\u0000\u0000\n"])(
    "a line that is no entry (%j) stops the start and is named",
    (line) =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        yield* write(folder, [end(1)])
        yield* Effect.promise(() => fs.appendFile(file(folder), line))
        const result = yield* Effect.either(replay(folder))
        expect(Either.isLeft(result) && result.left).toMatchObject({
          _tag: "RecordUnreadable",
          where: expect.stringMatching(/line 2$/)
        })
        // Nobody has touched it.
        expect(yield* read(folder)).toBe(`${JSON.stringify(end(1))}\n${line}`)
      })
  )

  it.scopedLive("has one owner", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const second = yield* Effect.flip(replay(folder)).pipe(Effect.provide(SandboxRecord.layer(folder)))
      expect(second).toMatchObject({ _tag: "DataInUse" })
    }))

  it.scopedLive("answers nobody once it cannot be written, and says so", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      // A device that takes nothing.
      yield* Effect.promise(() => fs.symlink("/dev/full", file(folder)))
      yield* Effect.gen(function*() {
        const recorder = yield* SandboxRecorder
        recorder.write(end(1))
        expect((yield* Effect.exit(recorder.durable))._tag).toBe("Failure")
        expect(yield* Effect.flip(Effect.flatten(SandboxRecord.RecordHealth))).toMatchObject({ _tag: "RecordBroken" })
        recorder.write(end(2))
        expect((yield* Effect.exit(Effect.timeout(recorder.durable, "5 seconds")))._tag).toBe("Failure")
      }).pipe(Effect.provide(SandboxRecord.layer(folder)))
    }))
})
