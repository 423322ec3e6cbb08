/**
 * Databases for tests: a fresh one per suite on the server that `PostgresSetup.ts` started,
 * and an older PostgreSQL where the machine has one.
 *
 *     const { url } = yield* freshDatabase()        // in a test or a layer; dropped with the scope
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import type { EmbeddedPostgresError } from "@hikyaku/server/embedded/EmbeddedPostgresError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { existsSync } from "node:fs"
import * as path from "node:path"
import { inject } from "vitest"
import { postgresPurpose, temporaryFolder } from "./TemporaryFolder.ts"

/** Connections to a server do not wait for a test's clock. */
const inRealTime = Effect.withClock(Clock.make())

const onServer = <A, E>(serverUrl: string, use: (sql: SqlClient.SqlClient) => Effect.Effect<A, E>) =>
  inRealTime(
    Effect.flatMap(SqlClient.SqlClient, use).pipe(
      Effect.provide(PgClient.layer({ url: Redacted.make(serverUrl), maxConnections: 1 })),
      Effect.orDie
    )
  )

/** An empty database on this server; dropped with the scope, with whoever is still connected. */
export const databaseOn = (serverUrl: string): Effect.Effect<{ readonly url: string }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const name = `test_${randomUUID().replaceAll("-", "")}`
      const url = new URL(serverUrl)
      url.pathname = `/${name}`
      return Effect.as(
        onServer(serverUrl, (sql) => sql`CREATE DATABASE ${sql(name)} TEMPLATE template0`),
        { name, url: url.href }
      )
    }),
    ({ name }) =>
      onServer(serverUrl, (sql) => sql`DROP DATABASE IF EXISTS ${sql(name)} WITH (FORCE)`).pipe(
        // A test may have stopped the server; the whole server goes at the end of the run anyway.
        Effect.catchAllCause((cause) => Effect.logWarning(`${name} was not dropped`, cause))
      )
  )

/** An empty database of its own for a suite, on the server of this test run. */
export const freshDatabase = (): Effect.Effect<{ readonly url: string }, never, Scope.Scope> =>
  Effect.suspend(() => databaseOn(inject("postgresUrl")))

/** Debian's programs of PostgreSQL 15, the oldest version that Hikyaku is tested with. */
const debianBinaries = "/usr/lib/postgresql/15/bin"

/** Whether `startDebianPostgres` can work here: `describe.skipIf(!hasDebianPostgres)`. */
export const hasDebianPostgres = existsSync(path.join(debianBinaries, "postgres"))

/** A server of PostgreSQL 15 in a temporary folder; both go with the scope. Takes about a second. */
export const startDebianPostgres = (): Effect.Effect<
  EmbeddedPostgres.RunningPostgres,
  EmbeddedPostgresError,
  Scope.Scope
> =>
  Effect.flatMap(
    temporaryFolder(postgresPurpose),
    (dataFolder) => EmbeddedPostgres.start({ dataFolder, binaries: debianBinaries, settings: { fsync: "off" } })
  )
