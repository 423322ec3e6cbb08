/** A PostgreSQL of one test's own, so that it can be stopped and killed. Its data and its port outlive both. */
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { postgresPurpose, temporaryFolder } from "../TemporaryFolder.ts"

export interface TestDatabase {
  /** The same after every start. */
  readonly url: string
  /** Stops the server, gently or with kill -9 of its main process, and starts it again. */
  readonly restart: (how: "stop" | "kill") => Effect.Effect<void>
}

/**
 * A process that is killed loses nothing that it has handed to the operating system; only a power cut would. So these tests
 * need no fsync.
 */
const settings = { fsync: "off" }

export const testDatabase: Effect.Effect<TestDatabase, never, Scope.Scope> = Effect.gen(function*() {
  const dataFolder = yield* temporaryFolder(postgresPurpose)
  // Of a scope made now, so that whatever is started after this ends before the server, however often that is restarted.
  const outer = yield* Scope.fork(yield* Effect.scope, { _tag: "Sequential" })
  const launch = (port?: number) =>
    Effect.gen(function*() {
      const scope = yield* Scope.fork(outer, { _tag: "Sequential" })
      const server = yield* EmbeddedPostgres.start({ dataFolder, settings, ...(port === undefined ? {} : { port }) }).pipe(
        Scope.extend(scope),
        Effect.orDie
      )
      return { scope, server }
    })
  let current = yield* launch()
  const { port, url } = current.server
  return {
    url,
    restart: (how) =>
      Effect.gen(function*() {
        if (how === "kill") yield* Effect.sync(() => process.kill(current.server.pid, "SIGKILL"))
        yield* Scope.close(current.scope, Exit.void)
        current = yield* launch(port)
      })
  }
})
