/** The sandbox as a process that is killed: needs the build, as `npm test` makes it. */
import { describe, expect, it } from "@effect/vitest"
import * as HttpProvider from "@hikyaku/cluster/delivery/HttpProvider"
import { Provider } from "@hikyaku/cluster/delivery/Provider"
import { sandboxPromises } from "@hikyaku/cluster/delivery/ProviderMemory"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import * as ProviderClient from "@hikyaku/server/http/ProviderClient"
import * as SandboxClient from "@hikyaku/server/sandbox/SandboxClient"
import { recordFile } from "@hikyaku/server/sandbox/SandboxRecord"
import { Deferred, Duration, Effect, Fiber, Layer, Redacted } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { recount } from "../../../cluster/test/delivery/sandbox/Recount.ts"

const launcher = path.join(import.meta.dirname, "SandboxProcess.mjs")

const temporaryFolder = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "hikyaku-sandbox-"))),
  (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true }))
)

/** Starts a sandbox process on the folder; `kill` is SIGKILL and returns when the process is gone. */
const startProcess = (folder: string) =>
  Effect.gen(function*() {
    const exited = yield* Deferred.make<void>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [launcher, folder], { stdio: ["ignore", "pipe", "inherit"] })
        child.once("exit", () => Deferred.unsafeDone(exited, Effect.void))
        return child
      }),
      (child) => Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(exited))
    )
    const listening = Effect.async<string>((resume) => {
      createInterface(child.stdout).once("line", (url) => resume(Effect.succeed(url)))
    })
    const url = yield* Effect.timeout(listening, "20 seconds")
    const apiKey = Redacted.make("")
    const context = yield* Layer.build(
      Layer.merge(
        HttpProvider.layer({ ...sandboxPromises, baseUrl: url, apiKey, requestTimeout: Duration.seconds(5) }),
        SandboxClient.layer(url, apiKey)
      ).pipe(Layer.provide(ProviderClient.layer()))
    )
    return {
      use: Effect.provide(context),
      kill: Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), Deferred.await(exited))
    }
  })

const readRecord = (folder: string) =>
  Effect.promise(async (): Promise<Parameters<typeof recount>[0]> => {
    const text = await fs.readFile(path.join(folder, recordFile), "utf8")
    return text.split("\n").slice(0, -1).map((line) => JSON.parse(line))
  })

const report = Effect.flatMap(SandboxControl, (sandbox) => sandbox.report)

/** What one client was told. */
const told = { uploaded: new Set<string>(), sent: new Set<string>(), throttled: 0, unknown: 0, refused: 0 }

/** One delivery, to one of 20 addresses, so that some of them get the mail twice. */
const deliver = (n: number) =>
  Effect.gen(function*() {
    const provider = yield* Provider
    const { uploadId } = yield* provider.uploadList({
      listId: `list-${n}`,
      channel: "mail",
      mailKey: "mail",
      recipients: [{ deliveryId: `d-${n}`, address: `p${n % 20}@example.com` }],
      idempotencyKey: `upload-${n}`
    })
    told.uploaded.add(uploadId)
    const { sendId } = yield* provider.startDelivery({ uploadId, idempotencyKey: `send-${n}` })
    told.sent.add(sendId)
  }).pipe(Effect.catchAll((error) =>
    Effect.sync(() => {
      if (error._tag === "Throttled") told.throttled++
      else if (error._tag === "ProviderUnknown") told.unknown++
      else told.refused++
    })
  ))

describe("G9, G10: the sandbox's testimony survives kill -9", () => {
  it.scopedLive("under load, with a torn last line", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const first = yield* startProcess(folder)
      yield* first.use(Effect.gen(function*() {
        const sandbox = yield* SandboxControl
        yield* sandbox.configure({
          concurrency: { total: 4, upload: 3 },
          perSecond: { total: null },
          latency: { _tag: "Uniform", minMs: 2, maxMs: 12 },
          uploadPerRecipientMs: 0
        })
        // Six clients where four are allowed, until the process dies under them.
        const clients = yield* Effect.fork(
          Effect.forEach(Array.from({ length: 2000 }, (_, n) => n), deliver, { concurrency: 6, discard: true })
        )
        // A fifth must have come while four were under way, and a client must have heard that it was one too many.
        yield* Effect.repeat(Effect.delay(report, "5 millis"), {
          until: ({ peakConcurrency }) => told.sent.size >= 60 && told.throttled > 0 && peakConcurrency.total === 5
        })
        yield* first.kill
        yield* Fiber.interrupt(clients)
      }))
      expect(told.throttled).toBeGreaterThan(0)
      const before = yield* readRecord(folder)
      yield* Effect.promise(() => fs.appendFile(path.join(folder, recordFile), "{\"t\":\"end\",\"n\":1,\"a"))

      const second = yield* startProcess(folder)
      yield* second.use(Effect.gen(function*() {
        const provider = yield* Provider
        const after = yield* report
        const seen = yield* provider.history({ query: { _tag: "Since", since: 0 } })
        // What was acknowledged is there, and what a client was refused is counted.
        const uploads = new Set(seen.lists.map(({ uploadId }) => uploadId))
        const sends = new Set(seen.sends.map(({ sendId }) => sendId))
        expect([...told.uploaded].filter((id) => !uploads.has(id))).toEqual([])
        expect([...told.sent].filter((id) => !sends.has(id))).toEqual([])
        expect(after.violations.total).toBeGreaterThanOrEqual(told.throttled)
        expect(after.violations.total).toBeLessThanOrEqual(told.throttled + 6)
        expect(after.cutByDeath).toBeLessThanOrEqual(6)
        expect(after.peakConcurrency.total).toBe(5)
        expect(after.processes).toBe(2)
        // The report is what the lines say, counted by somebody else.
        const counted = recount(before)
        expect(after.requests).toEqual(counted.requests)
        expect(after.violations).toMatchObject(counted.violations)
        expect(after.peakConcurrency).toEqual(counted.peakConcurrency)
        expect(after.mailed).toBe(counted.mailed)
        expect(after.duplicates.total).toBe(counted.doubles)
        expect(after.duplicates.total).toBeGreaterThan(0)
        expect(after.requestMs.total).toBeCloseTo(counted.requestMs, 3)
        // And it goes on: the history question above is already in it.
        const sandbox = yield* SandboxControl
        expect(yield* sandbox.settings).toMatchObject({ concurrency: { total: 4, upload: 3 } })
        expect((yield* report).requests.history).toBe(1)
      }))
    }), 60_000)

  it.scopedLive("a quiet one comes back with the same report", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const first = yield* startProcess(folder)
      const before = yield* first.use(Effect.zipRight(
        Effect.forEach([1, 2, 3, 21], deliver),
        Effect.repeat(report, { until: ({ underWay }) => underWay.total === 0 })
      ))
      yield* first.kill
      const second = yield* startProcess(folder)
      const after = yield* second.use(report)
      expect(before).toMatchObject({ requests: { total: 8 }, mailed: 3, duplicates: { total: 1 } })
      expect(after).toEqual({ ...before, processes: 2 })
    }), 60_000)

  it.scopedLive("a second process on the same record is refused", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* startProcess(folder)
      const [code, output] = yield* Effect.async<[number | null, string]>((resume) => {
        const child = spawn(process.execPath, [launcher, folder], { stdio: ["ignore", "pipe", "pipe"] })
        const chunks: Array<string> = []
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => chunks.push(String(chunk)))
        child.once("close", (code) => resume(Effect.succeed([code, chunks.join("")])))
      })
      expect(code).toBe(1)
      expect(output).toMatch(/DataInUse/)
    }), 60_000)
})
