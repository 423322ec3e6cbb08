import { assert, describe, it } from "@effect/vitest"
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { temporaryFolder } from "../../../../test/TemporaryFolder.ts"
import { ownerScript, serverOf, startOwner } from "./OwnerHarness.ts"
import { query } from "./Sql.ts"
import { dataFolder, isRoot, nobody, quick } from "./TestFolder.ts"

/** A folder that only root may enter, like /root, and a system folder beside it. */
const closedFolder = Effect.gen(function*() {
  const systemFolder = path.join(yield* temporaryFolder("system"), "hikyaku")
  const closed = path.dirname(yield* dataFolder)
  yield* Effect.promise(() => fs.chmod(closed, 0o700))
  return { dataFolder: path.join(closed, ".hikyaku"), systemFolder, settings: quick }
})

describe("DataFolder", () => {
  it.scopedLive("refuses data of another major version", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const { data } = yield* Effect.scoped(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      yield* Effect.promise(() => fs.writeFile(path.join(data, "PG_VERSION"), "12\n"))
      const refused = yield* Effect.flip(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      assert.strictEqual(refused._tag, "VersionMismatch")
    }))

  it.scopedLive("says what is missing when the password is gone, and changes nothing", () =>
    Effect.gen(function*() {
      const folder = yield* dataFolder
      const { data } = yield* Effect.scoped(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      yield* Effect.promise(() => fs.rm(path.join(data, "../password")))
      const refused = yield* Effect.flip(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }))
      assert.strictEqual(refused._tag, "DataFolderUnusable")
      assert.include(refused.message, "password")
    }))

  it.scopedLive("says so when the folder cannot be made", () =>
    Effect.gen(function*() {
      const file = path.join(yield* temporaryFolder("file"), "file")
      yield* Effect.promise(() => fs.writeFile(file, ""))
      const refused = yield* Effect.flip(EmbeddedPostgres.start({ dataFolder: path.join(file, ".hikyaku") }))
      assert.strictEqual(refused._tag, "DataFolderUnusable")
    }))

  it.scopedLive.skipIf(!isRoot)(
    "as root: serves an ordinary user too, who can go on with the data",
    () =>
      Effect.gen(function*() {
        const folder = yield* dataFolder
        const user = nobody()
        yield* Effect.promise(() => fs.chown(path.dirname(folder), user.uid, user.gid))
        const script = yield* ownerScript()
        const first = yield* startOwner(script, { dataFolder: folder, settings: quick }, user)
        const server = yield* serverOf(first)
        assert.strictEqual((yield* Effect.promise(() => fs.stat(server.data))).uid, user.uid)
        yield* query(server.url, "CREATE TABLE kept AS SELECT 42 AS id")
        yield* first.end("SIGTERM")
        // Root in between, which must leave nothing behind that the user cannot read.
        yield* Effect.scoped(
          Effect.flatMap(EmbeddedPostgres.start({ dataFolder: folder, settings: quick }), (same) =>
            query(same.url, "INSERT INTO kept VALUES (43)"))
        )
        const second = yield* serverOf(yield* startOwner(script, { dataFolder: folder, settings: quick }, user))
        assert.deepStrictEqual(yield* query(second.url, "SELECT sum(id)::int AS sum FROM kept"), [{ sum: 85 }])
      })
  )

  it.scopedLive.skipIf(!isRoot)(
    "as root: below a closed folder the data lie elsewhere, and are found again",
    () =>
      Effect.gen(function*() {
        const options = yield* closedFolder
        const first = yield* Effect.scoped(
          Effect.tap(EmbeddedPostgres.start(options), (server) =>
            query(server.url, "CREATE TABLE kept AS SELECT 42 AS id"))
        )
        assert.isTrue(first.data.startsWith(options.systemFolder))
        // The checkout may move: the pointer goes with it.
        const moved = `${options.dataFolder}-moved`
        yield* Effect.promise(() =>
          fs.rename(options.dataFolder, moved)
        )
        const second = yield* EmbeddedPostgres.start({ ...options, dataFolder: moved })
        assert.strictEqual(second.data, first.data)
        assert.deepStrictEqual(yield* query(second.url, "SELECT id FROM kept"), [{ id: 42 }])
        const shared = yield* EmbeddedPostgres.running(moved)
        assert.isTrue(Option.isSome(shared))
      })
  )

  it.scopedLive.skipIf(!isRoot)(
    "as root: does not begin anew when data elsewhere have vanished",
    () =>
      Effect.gen(function*() {
        const options = yield* closedFolder
        const { data } = yield* Effect.scoped(EmbeddedPostgres.start(options))
        yield* Effect.promise(() => fs.rm(path.dirname(data), { recursive: true }))
        const refused = yield* Effect.flip(EmbeddedPostgres.start(options))
        assert.strictEqual(refused._tag, "DataMissing")
      })
  )

  it.scopedLive.skipIf(!isRoot)(
    "as root: begins anew after the data folder was deleted, and keeps the old data",
    () =>
      Effect.gen(function*() {
        const options = yield* closedFolder
        const owner = yield* startOwner(yield* ownerScript(), options)
        const old = yield* serverOf(owner)
        yield* query(old.url, "CREATE TABLE kept AS SELECT 42 AS id")
        yield* owner.end("SIGKILL")
        yield* Effect.promise(() => fs.rm(options.dataFolder, { recursive: true }))
        const server = yield* EmbeddedPostgres.start(options)
        assert.isFalse(server.adopted)
        assert.deepStrictEqual(yield* query(server.url, "SELECT to_regclass('kept') AS kept"), [{ kept: null }])
        const names = yield* Effect.promise(() => fs.readdir(path.dirname(server.data)))
        assert.strictEqual(names.filter((name) => name.startsWith("data-of-a-deleted-folder-")).length, 1)
      })
  )
})
