import { assert, describe, it } from "@effect/vitest"
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as ProcessIdentity from "@hikyaku/server/embedded/ProcessIdentity"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { ended, ownerScript, serverOf, spawnOwner, startOwner } from "./OwnerHarness.ts"
import { query } from "./Sql.ts"
import { dataFolder, isRoot, nobody, quick } from "./TestFolder.ts"

/** Completes when the condition holds; the test's own time limit bounds it. */
const eventually = (condition: Effect.Effect<boolean>) =>
  Effect.gen(function*() {
    while (!(yield* condition)) yield* Effect.sleep("5 millis")
  })

/** A server whose owner was killed, with a row in it. */
const orphan = (folder: string) =>
  Effect.gen(function*() {
    const owner = yield* startOwner(yield* ownerScript(), { dataFolder: folder, settings: quick })
    const server = yield* serverOf(owner)
    yield* query(server.url, "CREATE TABLE kept AS SELECT 42 AS id")
    assert.strictEqual(yield* owner.end("SIGKILL"), "SIGKILL")
    return server
  })

describe("ServerProcess", () => {
  it.scopedLive("adopts the server of an owner that was killed (G2)", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const old = yield* orphan(folder)
      const logFile = yield* Effect.scoped(Effect.gen(function*() {
        const server = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
        assert.isTrue(server.adopted)
        assert.strictEqual(server.pid, old.pid)
        assert.deepStrictEqual(yield* query(server.url, "SELECT id FROM kept"), [{ id: 42 }])
        return server.logFile
      }))
      // What was adopted is stopped like one's own.
      assert.isUndefined(yield* ProcessIdentity.inspect(old.pid))
      assert.match(yield* Effect.promise(() => fs.readFile(logFile, "utf8")), /database system is shut down\s*$/)
    }))

  it.scopedLive("replaces an orphan that runs with other settings", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const old = yield* orphan(folder)
      const server = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: { ...quick, work_mem: "5MB" } })
      assert.isFalse(server.adopted)
      assert.notStrictEqual(server.pid, old.pid)
      assert.deepStrictEqual(yield* query(server.url, "SELECT id FROM kept"), [{ id: 42 }])
      assert.deepStrictEqual(yield* query(server.url, "SHOW work_mem"), [{ work_mem: "5MB" }])
    }))

  it.scopedLive("recovers after both were killed, with a stale postmaster.pid (G2)", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const old = yield* orphan(folder)
      process.kill(old.pid, "SIGKILL")
      const server = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
      assert.isFalse(server.adopted)
      assert.deepStrictEqual(yield* query(server.url, "SELECT id FROM kept"), [{ id: 42 }])
    }))

  it.scopedLive("starts although the stale pid now belongs to another process of the same user", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const old = yield* orphan(folder)
      process.kill(old.pid, "SIGKILL")
      const pidFile = path.join(old.data, "postmaster.pid")
      const { gid, uid } = yield* Effect.promise(() => fs.stat(old.data))
      const stranger = yield* Effect.acquireRelease(
        Effect.sync(() => spawn("sleep", ["600"], { uid, gid, cwd: "/", stdio: "ignore" })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      yield* Effect.promise(async () => {
        const text = await fs.readFile(pidFile, "utf8")
        await fs.writeFile(pidFile, text.replace(/^\d+/, String(stranger.pid)))
      })
      const server = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
      assert.isFalse(server.adopted)
      assert.deepStrictEqual(yield* query(server.url, "SELECT id FROM kept"), [{ id: 42 }])
      assert.isNull(stranger.signalCode)
    }))

  it.scopedLive.skipIf(!isRoot)(
    "as an ordinary user: starts although the stale pid now belongs to root",
    () =>
      Effect.gen(function*() {
        const folder = yield* dataFolder
        const user = nobody()
        yield* Effect.promise(() => fs.chown(path.dirname(folder), user.uid, user.gid))
        const script = yield* ownerScript()
        const first = yield* startOwner(script, { dataFolder: folder, settings: quick }, user)
        const { data } = yield* serverOf(first)
        yield* first.end("SIGTERM")
        yield* Effect.promise(() => fs.writeFile(path.join(data, "postmaster.pid"), `${process.pid}\n${data}\n`))
        yield* serverOf(yield* startOwner(script, { dataFolder: folder, settings: quick }, user))
      })
  )

  it.scopedLive("starts although postmaster.pid is empty", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const { data } = yield* Effect.scoped(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      yield* Effect.promise(() => fs.writeFile(path.join(data, "postmaster.pid"), ""))
      yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
    }))

  it.scopedLive("leaves a server alone that somebody else started on the data", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const old = yield* orphan(folder)
      // As it would look after a start by hand.
      const opts = path.join(old.data, "postmaster.opts")
      const noted = yield* Effect.promise(() => fs.readFile(opts, "utf8"))
      yield* Effect.promise(() => fs.writeFile(opts, `/usr/bin/postgres "-D" "${old.data}"\n`))
      const refused = yield* Effect.flip(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      assert.strictEqual(refused._tag, "DataInUse")
      assert.include(refused.message, `process ${old.pid}`)
      assert.deepStrictEqual(yield* query(old.url, "SELECT id FROM kept"), [{ id: 42 }])
      yield* Effect.promise(() => fs.writeFile(opts, noted))
    }))

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.scopedLive(`stops cleanly when its owner gets ${signal}`, () =>
      Effect.gen(function*() {
        const folder = yield* dataFolder
        const owner = yield* startOwner(yield* ownerScript(), { dataFolder: folder, settings: quick })
        const server = yield* serverOf(owner)
        yield* owner.end(signal)
        assert.isUndefined(yield* ProcessIdentity.inspect(server.pid))
        const log = yield* Effect.promise(() => fs.readFile(path.join(server.data, "../server.log"), "utf8"))
        assert.match(log, /database system is shut down\s*$/)
        assert.isFalse(yield* EmbeddedPostgres.stopOrphan(folder))
      }))
  }

  it.scopedLive("lets exactly one of several processes win that start at once", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const script = yield* ownerScript()
      const owners = yield* Effect.forEach(
        [1, 2, 3],
        () => startOwner(script, { dataFolder: folder, settings: quick }),
        { concurrency: "unbounded" }
      )
      const refusals = owners.flatMap(({ said }) => "error" in said ? [said.error] : [])
      assert.deepStrictEqual(refusals, ["DataInUse", "DataInUse"])
    }))

  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    it.scopedLive(`begins anew when the first start got ${signal} amid initdb`, () =>
      Effect.gen(function*() {
        const folder = yield* dataFolder
        const home = path.join(folder, "postgres")
        const leftovers = Effect.promise(async () =>
          (await fs.readdir(home).catch(() => [])).filter((name) => name.startsWith("init-"))
        )
        const child = yield* spawnOwner(yield* ownerScript(), { dataFolder: folder, settings: quick })
        yield* eventually(Effect.flatMap(leftovers, ([name]) =>
          Effect.promise(() =>
            fs.stat(path.join(home, name ?? "none", "data", "PG_VERSION")).then(() =>
              true, () =>
              false)
          )))
        child.kill(signal)
        yield* ended(child)
        if (signal === "SIGTERM") {
          assert.deepStrictEqual(yield* leftovers, [])
        }
        const server = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
        assert.deepStrictEqual(yield* query(server.url, "SELECT 1 AS one"), [{ one: 1 }])
        assert.isTrue(Option.isSome(yield* EmbeddedPostgres.running(folder)))
      }))
  }
})
