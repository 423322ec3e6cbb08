/** A PostgreSQL of one test's own, so that it can be stopped and killed. Its data and its port outlive both. */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { postgresPurpose, temporaryFolder } from "../TemporaryFolder.ts"

export interface TestDatabase {
  /** The same after every start. */
  readonly url: string
  /**
   * The same for a member of the cluster, as a user of that name: so a test sees in `pg_stat_activity` whose sessions are
   * whose.
   */
  readonly urlFor: (member: string) => Effect.Effect<string>
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
      const server = yield* EmbeddedPostgres.start({ dataFolder, settings, ...(port === undefined ? {} : { port }) })
        .pipe(
          Scope.extend(scope),
          Effect.orDie
        )
      return { scope, server }
    })
  let current = yield* launch()
  const { port, url } = current.server
  const { password } = new URL(url)
  const users = new Set<string>()
  return {
    url,
    urlFor: (member) =>
      Effect.gen(function*() {
        if (!users.has(member)) {
          const sql = yield* SqlClient.SqlClient
          yield* sql`create role ${sql(member)} superuser login password '${sql.literal(decodeURIComponent(password))}'`
          users.add(member)
        }
        const own = new URL(url)
        own.username = member
        return own.href
      }).pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })), Effect.orDie),
    restart: (how) =>
      Effect.gen(function*() {
        if (how === "kill") yield* Effect.sync(() => process.kill(current.server.pid, "SIGKILL"))
        yield* Scope.close(current.scope, Exit.void)
        current = yield* launch(port)
      })
  }
})
