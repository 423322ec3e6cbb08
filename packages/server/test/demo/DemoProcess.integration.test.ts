/** Processes of the demo's cluster: real ones, that start, fail to, die and are stopped. */
import { describe, expect, it } from "@effect/vitest"
import * as DemoProcess from "@hikyaku/server/demo/DemoProcess"
import { Effect, Exit, Scope } from "effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"

const folder = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "hikyaku-process-"))),
  (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true }))
)

const start = (logFolder: string, script: string) =>
  DemoProcess.start({ name: "one", args: ["-e", script], environment: { GREETING: "hello" }, logFolder })

const serves = `console.error("starting"); console.log("noise");
console.log('hikyaku-ready {"url": "' + process.env.GREETING + '", "parent": ' + process.env.HIKYAKU_PARENT_PID + '}');
const alive = setInterval(() => {}, 1000);`

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("a process of the demo", () => {
  it.scopedLive("is ready when it says so, and gone with its scope", () =>
    Effect.gen(function*() {
      const logFolder = yield* folder
      const scope = yield* Scope.make()
      const one = yield* Scope.extend(
        // It listens before it says that it is ready: it may be asked to go at once.
        start(logFolder, `process.on("SIGTERM", () => { console.error("asked"); clearInterval(alive) }); ${serves}`),
        scope
      )
      expect(one.ready).toEqual({ url: "hello", parent: process.pid })
      expect(isAlive(one.pid)).toBe(true)
      yield* Scope.close(scope, Exit.void)
      expect(isAlive(one.pid)).toBe(false)
      expect(yield* one.ended).toBe("exit code 0")
      const log = yield* Effect.promise(() => fs.readFile(one.log, "utf8"))
      expect(log).toContain("starting")
      expect(log).toContain("asked")
    }), 30_000)

  it.scopedLive("that ends before it serves is told with the end of its log", () =>
    Effect.gen(function*() {
      const logFolder = yield* folder
      const failed = yield* Effect.flip(start(logFolder, `console.error("no such table"); process.exit(3)`))
      expect(failed._tag).toBe("ProcessNotReady")
      expect(failed.message).toContain("exit code 3")
      expect(failed.message).toContain("no such table")
    }), 30_000)

  it.scopedLive("that dies is told, and one that is stopped is not", () =>
    Effect.gen(function*() {
      const logFolder = yield* folder
      const one = yield* start(logFolder, serves)
      yield* Effect.sync(() => process.kill(one.pid, "SIGKILL"))
      const death = yield* Effect.flip(one.died)
      expect(death).toMatchObject({ _tag: "ProcessDied", pid: one.pid, how: "signal SIGKILL" })

      const scope = yield* Scope.make()
      const two = yield* Scope.extend(start(logFolder, serves), scope)
      yield* Scope.close(scope, Exit.void)
      expect(yield* two.ended).toBe("signal SIGTERM")
      const told = yield* Effect.raceFirst(Effect.either(two.died), Effect.as(Effect.sleep("50 millis"), null))
      expect(told).toBeNull()
    }), 30_000)
})
