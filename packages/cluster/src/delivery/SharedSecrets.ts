/**
 * Secrets that the processes of one cluster share and nobody has to configure: the first process that needs one makes it, all
 * others read it. As safe as the database; who wants them elsewhere configures them.
 */
import { SqlClient } from "@effect/sql"
import { Context, Effect, Layer, Redacted } from "effect"
import { randomBytes } from "node:crypto"

/** Bytes of a secret. */
const secretBytes = 32

export class SharedSecrets extends Context.Tag("@hikyaku/cluster/delivery/SharedSecrets")<SharedSecrets, {
  /** The secret of this name; a store that does not answer is a defect, since nothing can start without it. */
  readonly get: (name: string) => Effect.Effect<Redacted.Redacted>
}>() {}

export const layer: Layer.Layer<SharedSecrets, never, SqlClient.SqlClient> = Layer.effect(
  SharedSecrets,
  Effect.map(SqlClient.SqlClient, (sql) =>
    SharedSecrets.of({
      get: (name) =>
        Effect.gen(function*() {
          const value = randomBytes(secretBytes).toString("base64url")
          yield* sql`insert into shared_secret (name, value) values (${name}, ${value}) on conflict do nothing`
          const rows = yield* sql<{ readonly value: string }>`select value from shared_secret where name = ${name}`
          return Redacted.make(rows[0]?.value ?? value)
        }).pipe(Effect.orDie)
    }))
)
