/** Data folders for tests of the embedded PostgreSQL, and who runs the tests. */
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import * as path from "node:path"
import { postgresPurpose, temporaryFolder } from "../../../../test/TemporaryFolder.ts"

/** Whether the tests run as root; some need it, and say so loudly when they are skipped. */
export const isRoot = process.getuid?.() === 0
if (!isRoot) process.stderr.write("SKIPPED: tests of the embedded PostgreSQL that need root\n")

/** An ordinary user, for tests that run as root. */
export const nobody = () => ({
  uid: Number(execFileSync("id", ["-u", "nobody"])),
  gid: Number(execFileSync("id", ["-g", "nobody"]))
})

/** Without sync to disk, and with little memory: there may be many servers at once. */
export const quick = { fsync: "off", shared_buffers: "16MB" }

/** A data folder; with the scope goes also a server that a killed process left on it. */
export const dataFolder: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const folder = path.join(yield* temporaryFolder(postgresPurpose), ".hikyaku")
  yield* Effect.addFinalizer(() => Effect.ignore(EmbeddedPostgres.stopOrphan(folder)))
  return folder
})
