/**
 * Folders for tests. They go with their scope, and carry the pid of the process that made
 * them, so that a later run can tell which of them a killed run has left (PostgresSetup).
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"

const prefix = "hikyaku-test-"

/** The purpose of folders that are data folders of an embedded PostgreSQL. */
export const postgresPurpose = "postgres"

/** An empty folder that every user may enter (PostgreSQL runs as another one when we are root). */
export const temporaryFolder = (purpose: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await fs.mkdtemp(path.join(os.tmpdir(), `${prefix}${process.pid}-${purpose}-`))
      await fs.chmod(folder, 0o755)
      return folder
    }),
    (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true, maxRetries: 3 }))
  )

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
}

/** The folders with this purpose whose processes are no more. */
export const abandonedFolders = (purpose: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () =>
    (await fs.readdir(os.tmpdir()))
      .filter((name) => {
        const pid = new RegExp(`^${prefix}(\\d+)-${purpose}-`).exec(name)?.[1]
        return pid !== undefined && !isAlive(Number(pid))
      })
      .map((name) => path.join(os.tmpdir(), name))
  )
