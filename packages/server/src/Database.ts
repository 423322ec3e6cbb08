/** The database of a process: the one named by `DATABASE_URL`, or an embedded PostgreSQL that lives as long as the scope. */
import { Effect, Option, Redacted } from "effect"
import * as EmbeddedPostgres from "./embedded/EmbeddedPostgres.ts"
import { databaseConfig } from "./Settings.ts"

export interface Database {
  readonly url: Redacted.Redacted
  /** What to say about it. */
  readonly description: string
  /** Ends, with a failure, when an embedded server dies. */
  readonly died: Effect.Effect<never, unknown>
}

/** `DATABASE_URL`, or a server of our own with its data in the data folder. */
export const open = Effect.gen(function*() {
  const given = yield* databaseConfig
  if (Option.isSome(given)) {
    const database: Database = { url: given.value, description: "DATABASE_URL", died: Effect.never }
    return database
  }
  const options = yield* EmbeddedPostgres.config
  const server = yield* EmbeddedPostgres.start(options)
  const adopted = server.adopted ? ", adopted from a process that was killed" : ""
  const database: Database = {
    url: Redacted.make(server.url),
    description: `PostgreSQL ${server.version} on 127.0.0.1:${server.port}, data in ${server.data}${adopted}`,
    died: server.died
  }
  return database
})
