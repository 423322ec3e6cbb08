/**
 * A process that owns an embedded PostgreSQL, for tests that kill it. Bundled and started by
 * `OwnerHarness.ts` with the options of `start` as its argument (JSON); says in one line of
 * JSON what came of it, then lives until it is told to stop.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as EmbeddedPostgres from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"

const say = (what: object) => Effect.sync(() => process.stdout.write(`${JSON.stringify(what)}\n`))

const options: EmbeddedPostgres.Options = JSON.parse(process.argv[2] ?? "{}")

EmbeddedPostgres.start(options).pipe(
  Effect.tapError((error) => say({ error: error._tag, message: error.message })),
  Effect.tap(({ adopted, data, pid, port, url }) => say({ adopted, data, pid, port, url })),
  Effect.flatMap((server) => server.died),
  Effect.scoped,
  Effect.provide(Logger.remove(Logger.defaultLogger)),
  NodeRuntime.runMain({ disableErrorReporting: true, disablePrettyLogger: true })
)
