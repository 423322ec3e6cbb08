/**
 * The demo's folder: database, logs, the sandbox's record. The one that is named stays; a temporary one goes with the demo,
 * but for the logs of one that fails. What a demo that was killed has left is cleared away by the next one.
 */
import { Effect, Exit, Option, type Scope } from "effect"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as EmbeddedPostgres from "../embedded/EmbeddedPostgres.ts"
import { FileUnwritable } from "./DemoError.ts"

/** Temporary folders carry the pid of their demo. */
const prefix = "hikyaku-demo-"
/** Where the data are; everything else is logs, and the sandbox's record. */
const databaseFolder = "database"

export const databaseIn = (folder: string): string => path.join(folder, databaseFolder)

const remove = (name: string) => Effect.promise(() => fs.rm(name, { recursive: true, force: true, maxRetries: 3 }))

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
}

/** Stops the servers of demos that were killed, and removes their folders; what cannot be removed stays. */
const sweep = Effect.gen(function*() {
  const names = yield* Effect.tryPromise(() => fs.readdir(os.tmpdir()))
  for (const name of names) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid === undefined || isAlive(Number(pid))) continue
    const folder = path.join(os.tmpdir(), name)
    yield* Effect.ignore(EmbeddedPostgres.stopOrphan(databaseIn(folder)))
    yield* Effect.ignore(remove(folder))
  }
})

/** Opens the folder named, else a temporary one. */
export const openFolder = (
  named: Option.Option<string>,
  say: (line: string) => Effect.Effect<void>
): Effect.Effect<string, FileUnwritable, Scope.Scope> => {
  if (Option.isSome(named)) {
    const folder = path.resolve(named.value)
    return Effect.tryPromise({
      try: () => fs.mkdir(folder, { recursive: true }),
      catch: (cause) => new FileUnwritable({ file: folder, reason: String(cause) })
    }).pipe(Effect.as(folder))
  }
  const create = Effect.tryPromise({
    try: async () => {
      const folder = await fs.mkdtemp(path.join(os.tmpdir(), `${prefix}${process.pid}-`))
      // PostgreSQL runs as another user when we are root, and must get in.
      await fs.chmod(folder, 0o755)
      return folder
    },
    catch: (cause) => new FileUnwritable({ file: os.tmpdir(), reason: String(cause) })
  })
  return Effect.zipRight(
    Effect.ignore(sweep),
    Effect.acquireRelease(create, (folder, exit) => {
      if (Exit.isSuccess(exit) || Exit.isInterrupted(exit)) return remove(folder)
      // Of a failure the logs are worth keeping, not the data.
      return Effect.zipRight(remove(databaseIn(folder)), say(`The logs are in ${folder}, until the next demo`))
    })
  )
}
