import { assert, describe, it } from "@effect/vitest"
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import { ServerDied } from "@hikyaku/server/embedded/EmbeddedPostgresError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs/promises"
import { createServer } from "node:net"
import { query } from "./Sql.ts"
import { dataFolder, quick } from "./TestFolder.ts"

describe("EmbeddedPostgres", () => {
  it.scopedLive("starts on a new folder, durable, on loopback alone and with a password (G2, G17)", () =>
    Effect.gen(function*() {
      const server = yield* EmbeddedPostgres.start({ dataFolder: yield* dataFolder })
      const settings = yield* query(
        server.url,
        `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commit,
           current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets,
           current_setting('server_encoding') AS encoding, current_database() AS database`
      )
      assert.deepStrictEqual(settings, [{
        fsync: "on",
        commit: "on",
        addresses: "127.0.0.1",
        sockets: "",
        encoding: "UTF8",
        database: "hikyaku"
      }])
      assert.strictEqual(server.version.split(".")[0], "18")
      const wrong = yield* Effect.flip(query(server.url.replace(/:[^:@]+@/, ":guess@"), "SELECT 1"))
      assert.match(String(wrong.cause), /password authentication failed/)
    }))

  it.live("keeps data and port over a restart", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const started = Effect.flatMap(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }), (server) =>
        Effect.as(query(server.url, "CREATE TABLE IF NOT EXISTS kept (id int)"), server))
      const first = yield* Effect.scoped(
        Effect.tap(started, (server) =>
          query(server.url, "INSERT INTO kept VALUES (42)"))
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const second = yield* started
        assert.strictEqual(second.port, first.port)
        assert.isFalse(second.adopted)
        assert.deepStrictEqual(yield* query(second.url, "SELECT id FROM kept"), [{ id: 42 }])
      }))
      const log = yield* Effect.promise(() => fs.readFile(first.logFile, "utf8"))
      assert.strictEqual(log.match(/database system is shut down/g)?.length, 2)
    }).pipe(Effect.scoped))

  it.scopedLive("refuses a second start on data in use, without harm to the first", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const first = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
      const refused = yield* Effect.flip(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      assert.strictEqual(refused._tag, "DataInUse")
      assert.include(refused.message, `process ${process.pid}`)
      assert.include(refused.message, folder)
      assert.deepStrictEqual(yield* query(first.url, "SELECT 1 AS one"), [{ one: 1 }])
      // Others can share it.
      const shared = yield* EmbeddedPostgres.running(folder)
      assert.strictEqual(Option.getOrThrow(shared).url, first.url)
    }))

  it.scopedLive("refuses when the port that was asked for is taken, and takes another when it was just the last one", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const { port } = yield* Effect.scoped(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      yield* Effect.acquireRelease(
        Effect.async<ReturnType<typeof createServer>>((resume) => {
          const other = createServer().listen(port, "127.0.0.1", () => resume(Effect.succeed(other)))
        }),
        (other) => Effect.async<void>((resume) => void other.close(() => resume(Effect.void)))
      )
      const refused = yield* Effect.flip(EmbeddedPostgres.start({ dataFolder: folder, settings: quick, port }))
      assert.strictEqual(refused._tag, "PortTaken")
      const server = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
      assert.notStrictEqual(server.port, port)
    }))

  it.scopedLive("tells when the server dies", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const server = yield* EmbeddedPostgres.start({ dataFolder: folder, settings: quick })
      const died = yield* Effect.fork(Effect.flip(server.died))
      process.kill(server.pid, "SIGKILL")
      const error = yield* Fiber.join(died)
      assert.instanceOf(error, ServerDied)
      assert.include(error.message, server.logFile)
    }))

  it.scoped("does not wait for a test's clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(0)
      const server = yield* EmbeddedPostgres.start({ dataFolder: yield* dataFolder, settings: quick })
      assert.isAbove(server.port, 0)
    }))
})
