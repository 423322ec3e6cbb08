/**
 * Where the data of the embedded PostgreSQL are, whose they are, and how they begin.
 * Keyed by the data folder (`.hikyaku`); written by the process that holds its claim.
 *
 *     .hikyaku/postgres/            the home: everything of the server, unless it must lie elsewhere
 *       data/                       what PostgreSQL calls the data directory
 *       password                    of the superuser `hikyaku`; readable by whoever starts the server alone
 *       server.log                  what the server says
 *       owner-N.json                who owns it, see OwnerClaim
 *     .hikyaku/postgres-home.json   only when the home lies elsewhere: where
 *
 * The home must lie elsewhere when Hikyaku runs as root, PostgreSQL therefore as another
 * user, and that user may not enter a folder above (a checkout below /root). Then it is
 * `/var/lib/hikyaku/<hash of the data folder's path>`: a place that survives restarts of
 * the machine, which a temporary folder does not. The pointer, not the hash, is what later
 * starts go by, so moving the checkout keeps the data.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createHash, randomBytes, randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import type { Binaries } from "./Binaries.ts"
import { attempt, readText, replaceText, statOf, syncFolder } from "./DataFile.ts"
import {
  DataFolderUnusable,
  DataMissing,
  InitFailed,
  type NoUserToRunAs,
  VersionMismatch
} from "./EmbeddedPostgresError.ts"
import * as ServerUser from "./ServerUser.ts"

/** The superuser that Hikyaku connects as, and the database that it connects to. */
export const databaseUser = "hikyaku"

/** Where homes go that cannot lie in the data folder. */
export const systemFolderDefault = "/var/lib/hikyaku"

/** A located home. `user` is whom PostgreSQL runs as; none means ourselves. */
export interface Home {
  readonly folder: string
  readonly user: Option.Option<ServerUser.ServerUser>
  /** Where the pointer file is or belongs; none when the home lies in the data folder. */
  readonly pointer: Option.Option<string>
}

export const dataOf = (home: Pick<Home, "folder">) => path.join(home.folder, "data")
export const logFileOf = (home: Pick<Home, "folder">) => path.join(home.folder, "server.log")
const passwordFileOf = (home: Pick<Home, "folder">) => path.join(home.folder, "password")

const Pointer = Schema.parseJson(Schema.Struct({ home: Schema.NonEmptyString }))

/** Longest time for `initdb`; it takes half a second, and several on a slow disk. */
const initTimeoutMs = 120_000

/** Longest time for one look at whether a user can enter a folder. */
const reachTimeoutMs = 10_000

/** Whether PostgreSQL could keep its data in this folder: tried, since modes do not say it all (ACLs, mounts). */
const canHost = (folder: string, user: ServerUser.ServerUser) =>
  Effect.gen(function*() {
    const trial = path.join(folder, `trial-${randomUUID()}`)
    const owned = yield* Effect.tryPromise(async () => {
      await fs.mkdir(trial, { mode: 0o700 })
      await fs.chown(trial, user.uid, user.gid)
      const { mode, uid } = await fs.stat(trial)
      return uid === user.uid >>> 0 && (mode & 0o777) === 0o700
    }).pipe(Effect.orElseSucceed(() => false))
    const entered = yield* ServerUser.run("/bin/sh", ["-c", "cd \"$0\" && : > file && rm file", trial], {
      user: Option.some(user),
      timeoutMs: reachTimeoutMs
    })
    yield* Effect.ignore(Effect.tryPromise(() => fs.rm(trial, { recursive: true, force: true })))
    return owned && entered.code === 0
  })

/** Created with a mode that lets the server's user pass, whatever the umask; existing folders stay as they are. */
const makeFolder = (folder: string, mode: number) =>
  attempt(folder, "creating it", async () => {
    await fs.mkdir(path.dirname(folder), { recursive: true })
    try {
      await fs.mkdir(folder)
      await fs.chmod(folder, mode)
    } catch (error) {
      const found = await fs.stat(folder).catch(() => undefined)
      if (found?.isDirectory() !== true) throw error
    }
  })

/** Existing data are the server user's; a root of ours runs PostgreSQL as that user. */
const userOfData = (home: string) =>
  Effect.gen(function*() {
    const found = yield* statOf(path.join(home, "data"))
    if (found === undefined) return undefined
    const us = process.getuid?.() ?? found.uid
    if (us !== 0) {
      if (found.uid === us) return Option.none()
      return yield* new DataFolderUnusable({
        folder: home,
        reason: `its data belong to the user with id ${found.uid}`,
        advice: "Start as that user or as root, or choose another folder."
      })
    }
    if (found.uid === 0) {
      return yield* new DataFolderUnusable({
        folder: home,
        reason: "its data belong to root, whom PostgreSQL refuses to run as",
        advice: `Give them to another user (chown -R postgres ${path.join(home, "data")}), or choose another folder.`
      })
    }
    return Option.some({ uid: found.uid | 0, gid: found.gid | 0 })
  })

/** The home that the pointer names, or undefined when there is no pointer. */
const pointedHome = (pointer: string) =>
  Effect.gen(function*() {
    const text = yield* readText(pointer)
    if (text === undefined) return undefined
    const { home } = yield* Schema.decodeUnknown(Pointer)(text).pipe(
      Effect.mapError(() =>
        new DataFolderUnusable({
          folder: path.dirname(pointer),
          reason: `${pointer} does not say where the data are`,
          advice: "Write {\"home\":\"<folder>\"} into it, or delete it to begin with an empty database."
        })
      )
    )
    if ((yield* statOf(home)) === undefined) return yield* new DataMissing({ pointer, home })
    return home
  })

/** The home of the data folder if it has one yet; nothing is created. */
export const find = (dataFolder: string): Effect.Effect<Option.Option<string>, DataFolderUnusable | DataMissing> =>
  Effect.gen(function*() {
    const pointed = yield* pointedHome(path.join(path.resolve(dataFolder), "postgres-home.json"))
    if (pointed !== undefined) return Option.some(pointed)
    const inside = path.join(path.resolve(dataFolder), "postgres")
    return (yield* statOf(path.join(inside, "data"))) === undefined ? Option.none() : Option.some(inside)
  })

/** Finds the home, or makes an empty one. Two that do so at once get the same. */
export const locate = (options: {
  readonly dataFolder: string
  readonly systemFolder: string
}): Effect.Effect<Home, DataFolderUnusable | DataMissing | NoUserToRunAs> =>
  Effect.gen(function*() {
    yield* makeFolder(path.resolve(options.dataFolder), 0o755)
    const dataFolder = yield* attempt(
      options.dataFolder,
      "following its links",
      () => fs.realpath(options.dataFolder)
    )
    const pointer = path.join(dataFolder, "postgres-home.json")
    const pointed = yield* pointedHome(pointer)
    const inside = path.join(dataFolder, "postgres")
    const user = (yield* userOfData(pointed ?? inside)) ?? (yield* ServerUser.forNewData)

    if (pointed !== undefined) return { folder: pointed, user, pointer: Option.some(pointer) }
    const home: Home = { folder: inside, user, pointer: Option.none() }
    const hasData = (yield* statOf(dataOf(home))) !== undefined
    if (Option.isNone(user)) {
      yield* makeFolder(inside, 0o700)
      return home
    }
    if (yield* canHost(hasData ? inside : dataFolder, user.value)) {
      yield* makeFolder(inside, 0o755)
      // One without data may be left over from an ordinary user's start that came to nothing.
      if (!hasData) yield* attempt(inside, "opening it", () => fs.chmod(inside, 0o755))
      return home
    }
    if (hasData) {
      return yield* new DataFolderUnusable({
        folder: inside,
        reason: `the user with id ${user.value.uid}, whose data it holds, can no longer enter it`,
        advice: "A folder above it was closed (chmod): open it again, or move the data folder."
      })
    }
    const hash = createHash("sha256").update(dataFolder).digest("hex").slice(0, 16)
    const elsewhere = path.join(options.systemFolder, hash)
    yield* makeFolder(options.systemFolder, 0o755)
    yield* makeFolder(elsewhere, 0o755)
    if (!(yield* canHost(elsewhere, user.value))) {
      return yield* new DataFolderUnusable({
        folder: dataFolder,
        reason: `PostgreSQL runs as the user with id ${user.value.uid}, who can enter neither it nor ${elsewhere}`,
        advice: "Choose a data folder that every user can enter."
      })
    }
    return { folder: elsewhere, user, pointer: Option.some(pointer) }
  })

/** Whether the data folder that the home belonged to was deleted: no pointer leads to it. */
export const isDisowned = (home: Home): Effect.Effect<boolean, DataFolderUnusable> =>
  Option.match(home.pointer, {
    onNone: () => Effect.succeed(false),
    onSome: (pointer) => Effect.map(statOf(pointer), (found) => found === undefined)
  })

/**
 * Settles a home that lies elsewhere: sets aside what an earlier data folder of this path
 * left in it (that data folder was deleted; whoever did so wants to begin anew, but a
 * database is not ours to delete), and writes the pointer. Only with the claim, and with no
 * server running on it.
 */
const settle = (home: Home) =>
  Effect.gen(function*() {
    if (Option.isNone(home.pointer) || !(yield* isDisowned(home))) return
    if ((yield* statOf(dataOf(home))) !== undefined) {
      const aside = `${dataOf(home)}-of-a-deleted-folder-${randomUUID()}`
      yield* attempt(home.folder, "setting old data aside", () => fs.rename(dataOf(home), aside))
      yield* Effect.logWarning(
        `The data folder that these data belonged to was deleted; they are kept in ${aside}. Delete them if nobody wants them.`
      )
    }
    yield* replaceText(home.pointer.value, `${JSON.stringify({ home: home.folder })}\n`, 0o644)
  })

/** Removes what a killed start left half-made. */
const removeLeftovers = (home: Home) =>
  attempt(home.folder, "removing leftovers", async () => {
    for (const name of await fs.readdir(home.folder)) {
      if (/^(?:init|trial)-|\.tmp$/.test(name)) {
        // Its initdb may have outlived us and still be writing; then it stays until the next start.
        await fs.rm(path.join(home.folder, name), { recursive: true, force: true, maxRetries: 3 }).catch(() =>
          undefined
        )
      }
    }
  })

/** Containers often run as a number that no user has (`docker run --user 1000`); initdb wants a name. */
const adviceFor = (output: string): string =>
  /could not look up effective user ID/.test(output)
    ? "The user that you run as has no name: give it a line in /etc/passwd, or start as root."
    : /No space left/.test(output)
    ? "Free some space and start again."
    : "Remove the cause and start again."

/** Creates the data in a folder beside, and renames it when it is whole: a killed initdb leaves nothing that looks like data. */
const create = (home: Home, binaries: Binaries, durable: boolean) =>
  Effect.gen(function*() {
    const staging = path.join(home.folder, `init-${randomUUID()}`)
    const data = path.join(staging, "data")
    const passwordFile = path.join(staging, "password")
    const password = randomBytes(24).toString("base64url")
    yield* Effect.acquireUseRelease(
      attempt(home.folder, "creating the data", async () => {
        await fs.mkdir(data, { recursive: true, mode: 0o700 })
        await fs.writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
        if (Option.isNone(home.user)) return
        const { gid, uid } = home.user.value
        for (const owned of [data, passwordFile, staging]) await fs.chown(owned, uid, gid)
      }),
      () =>
        Effect.gen(function*() {
          const ended = yield* ServerUser.run(
            path.join(binaries.folder, "initdb"),
            [
              `--pgdata=${data}`,
              `--username=${databaseUser}`,
              `--pwfile=${passwordFile}`,
              "--auth=scram-sha-256",
              "--encoding=UTF8",
              "--locale=C",
              ...(durable ? [] : ["--no-sync"])
            ],
            { user: home.user, timeoutMs: initTimeoutMs }
          )
          if (ended.code !== 0) {
            return yield* new InitFailed({
              folder: home.folder,
              advice: adviceFor(ended.output),
              logTail: ended.output.trim()
            })
          }
          // The password before the data: with the data alone nobody could log in.
          yield* replaceText(passwordFileOf(home), `${password}\n`)
          yield* attempt(home.folder, "finishing the data", async () => {
            await fs.rename(data, dataOf(home))
            await syncFolder(home.folder)
          })
        }),
      () =>
        Effect.ignore(
          attempt(home.folder, "clearing up", () => fs.rm(staging, { recursive: true, force: true, maxRetries: 3 }))
        )
    )
  })

/**
 * Makes sure that the home holds data of this version. Only with the claim. `durable`
 * false skips the sync to disk (tests).
 */
export const initialise = (
  home: Home,
  binaries: Binaries,
  durable: boolean
): Effect.Effect<void, DataFolderUnusable | InitFailed | VersionMismatch> =>
  Effect.gen(function*() {
    yield* removeLeftovers(home)
    yield* settle(home)
    const version = yield* readText(path.join(dataOf(home), "PG_VERSION"))
    if (version === undefined) {
      if ((yield* statOf(dataOf(home))) !== undefined) {
        return yield* new DataFolderUnusable({
          folder: dataOf(home),
          reason: "it holds no PG_VERSION, so it is no database",
          advice: "Move it out of the way; a new one is then created."
        })
      }
      return yield* create(home, binaries, durable)
    }
    const major = /^\d+/.exec(binaries.version)?.[0] ?? binaries.version
    if (version.trim() !== major) {
      return yield* new VersionMismatch({
        folder: home.folder,
        dataVersion: version.trim(),
        serverVersion: binaries.version
      })
    }
  })

/** The superuser's password. */
export const password = (folder: string): Effect.Effect<string, DataFolderUnusable> =>
  Effect.flatMap(readText(passwordFileOf({ folder })), (text) =>
    text === undefined || text.trim() === ""
      ? Effect.fail(
        new DataFolderUnusable({
          folder,
          reason: `${passwordFileOf({ folder })}, which holds the password of user ${databaseUser}, is missing`,
          advice: "Bring it back, or set a new password with `postgres --single` and write it into that file."
        })
      )
      : Effect.succeed(text.trim()))
