/**
 * The demo's cluster: a PostgreSQL of its own (or the one of DATABASE_URL), the provider sandbox, two runners and a gateway,
 * each a process as it would be anywhere else. The clock is a replay's before the first of them starts.
 */
import { FetchHttpClient } from "@effect/platform"
import type { SqlClient } from "@effect/sql"
import type { PgClient } from "@effect/sql-pg"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import type { SettingsPatch } from "@hikyaku/cluster/delivery/sandbox/SandboxSettings"
import { Context, Deferred, Effect, ExecutionStrategy, FiberId, Layer, Option, Redacted, Scope } from "effect"
import * as fs from "node:fs/promises"
import { createServer } from "node:net"
import * as path from "node:path"
import { databaseLayer } from "../ClusterNode.ts"
import * as EmbeddedPostgres from "../embedded/EmbeddedPostgres.ts"
import type { ServerDied } from "../embedded/EmbeddedPostgresError.ts"
import { prepareDatabase } from "../Program.ts"
import * as SandboxClient from "../sandbox/SandboxClient.ts"
import { databaseConfig } from "../Settings.ts"
import { FileUnwritable, type ProcessDied, type ProcessNotReady, SandboxRefused } from "./DemoError.ts"
import { databaseIn } from "./DemoFolder.ts"
import * as DemoProcess from "./DemoProcess.ts"

/** Requests that the provider allows at one time, and starts within one second. */
export const providerConcurrency = 4
export const providerPerSecond = 200

/** How the sandbox behaves in a demo: a quick provider, so that months fit into minutes. */
const sandboxSettings: SettingsPatch = {
  concurrency: { total: providerConcurrency, upload: null },
  perSecond: { total: providerPerSecond },
  latency: { _tag: "LogNormal", medianMs: 8, sigma: 0.4, maxMs: 60 },
  uploadPerRecipientMs: 0.02,
  sendDuration: { baseMs: 10, perRecipientMs: 0.02 }
}

/** What the demo's processes are told beside the environment that the demo itself was given. */
const shopSettings = {
  // The replay's instants travel in commands; the clock follows them.
  HIKYAKU_EVENT_AHEAD_MAX: "2 days",
  HIKYAKU_PROVIDER_CONCURRENCY: String(providerConcurrency),
  HIKYAKU_PROVIDER_RATE: String(providerPerSecond),
  // What this sandbox keeps; doubts about requests of a runner that was killed are resolved after these.
  HIKYAKU_PROVIDER_REQUEST_TIMEOUT: "3 seconds",
  HIKYAKU_PROVIDER_LONGEST_PROCESSING_TIME: "1 seconds",
  HIKYAKU_PROVIDER_SETTLE_TIME: "200 millis"
}

/** Where things are, for people and tests; also in `demo.json` in the demo's folder. */
export interface DemoPlaces {
  readonly folder: string
  readonly database: string
  readonly gateway: { readonly url: string; readonly pid: number; readonly log: string }
  readonly sandbox: { readonly url: string; readonly pid: number; readonly log: string }
  readonly runners: ReadonlyArray<{ readonly address: string; readonly pid: number; readonly log: string }>
}

export interface DemoCluster {
  readonly places: DemoPlaces
  /** Runners that have ended so far. */
  readonly runnersLost: Effect.Effect<number>
  /** Fails when something has died that the demo cannot go on without. */
  readonly died: Effect.Effect<never, ProcessDied>
}

export interface DemoDatabase {
  readonly url: Redacted.Redacted
  readonly description: string
  readonly died: Effect.Effect<never, ServerDied>
  readonly context: Context.Context<SqlClient.SqlClient | PgClient.PgClient>
}

/** The database of the demo, migrated: of DATABASE_URL, else a server with its data in the demo's folder. */
export const openDatabase = (folder: string) =>
  Effect.gen(function*() {
    const given = yield* databaseConfig
    const server = Option.isSome(given)
      ? { url: given.value, description: "the database of DATABASE_URL", died: Effect.never }
      : yield* Effect.map(
        EmbeddedPostgres.start({ dataFolder: databaseIn(folder) }),
        ({ died, port, url, version }) => ({
          url: Redacted.make(url),
          description: `PostgreSQL ${version} on 127.0.0.1:${port}`,
          died
        })
      )
    const context = yield* Layer.build(databaseLayer(server.url, "hikyaku-demo"))
    yield* Effect.provide(prepareDatabase, context)
    const database: DemoDatabase = { ...server, context }
    return database
  })

/** A port that nothing listens on at this moment. */
const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen({ host: "127.0.0.1", port: 0 }, () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

const text = (ready: Readonly<Record<string, unknown>>, field: string): string => {
  const value = ready[field]
  return typeof value === "string" ? value : ""
}

export interface ClusterOptions {
  /** The server's `main.js`. */
  readonly main: string
  readonly folder: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly runners: number
  readonly say: (line: string) => Effect.Effect<void>
}

/** Starts the processes; they end with the scope. Provides the sandbox's other side. */
export const startCluster = (
  options: ClusterOptions,
  database: DemoDatabase
): Effect.Effect<
  { readonly cluster: DemoCluster; readonly sandbox: typeof SandboxControl.Service },
  ProcessNotReady | FileUnwritable | SandboxRefused,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const { folder, main, say } = options
    // Closed from the last to the first: the gateway, then both runners at once (what one handed over the other would have to
    // hand over again), then the provider, which they may be waiting for.
    const scope = yield* Effect.scope
    const ofProvider = yield* Scope.fork(scope, ExecutionStrategy.sequential)
    const ofRunners = yield* Scope.fork(scope, ExecutionStrategy.parallel)
    const ofGateway = yield* Scope.fork(scope, ExecutionStrategy.sequential)
    const inherited = {
      ...options.environment,
      ...shopSettings,
      DATABASE_URL: Redacted.value(database.url),
      // Whatever the shell has for single processes is not for five of them.
      HIKYAKU_DATA_FOLDER: path.join(folder, "data")
    }
    const launch = (name: string, subcommand: string, environment: Readonly<Record<string, string>>) =>
      DemoProcess.start({
        name,
        args: [main, subcommand],
        environment: { ...inherited, ...environment },
        logFolder: folder
      })

    const sandboxPort = yield* freePort
    const provider = { HIKYAKU_PROVIDER_URL: `http://127.0.0.1:${sandboxPort}`, HIKYAKU_PROVIDER_API_KEY: "" }
    const runner = (n: number) =>
      Effect.gen(function*() {
        const port = yield* freePort
        const process = yield* launch(`runner-${n}`, "runner", {
          ...provider,
          HIKYAKU_RUNNER_HOST: "127.0.0.1",
          HIKYAKU_RUNNER_PORT: String(port)
        }).pipe(Scope.extend(yield* Scope.fork(ofRunners, ExecutionStrategy.sequential)))
        return { process, address: `127.0.0.1:${port}` }
      })
    const gatewayPort = yield* freePort
    // All at once: nobody asks the provider for anything before there is somebody to write to.
    const [sandboxProcess, runners, gateway] = yield* Effect.all([
      launch("sandbox", "sandbox", {
        HIKYAKU_SANDBOX_HOST: "127.0.0.1",
        HIKYAKU_SANDBOX_PORT: String(sandboxPort),
        HIKYAKU_SANDBOX_API_KEY: "",
        HIKYAKU_SANDBOX_FOLDER: path.join(folder, "sandbox")
      }).pipe(Scope.extend(ofProvider)),
      Effect.forEach(Array.from({ length: options.runners }, (_, n) => n + 1), runner, { concurrency: "unbounded" }),
      launch("gateway", "gateway", {
        ...provider,
        HIKYAKU_HOST: "127.0.0.1",
        HIKYAKU_PORT: String(gatewayPort)
      }).pipe(Scope.extend(ofGateway))
    ], { concurrency: "unbounded" })

    const sandboxUrl = text(sandboxProcess.ready, "url")
    const sandbox = Context.get(
      yield* Layer.build(SandboxClient.layer(sandboxUrl).pipe(Layer.provide(FetchHttpClient.layer))),
      SandboxControl
    )
    yield* sandbox.configure(sandboxSettings).pipe(
      Effect.mapError((error) => new SandboxRefused({ reason: error.reason }))
    )

    const places: DemoPlaces = {
      folder,
      database: database.description,
      gateway: { url: text(gateway.ready, "url"), pid: gateway.pid, log: gateway.log },
      sandbox: { url: sandboxUrl, pid: sandboxProcess.pid, log: sandboxProcess.log },
      runners: runners.map(({ address, process }) => ({ address, pid: process.pid, log: process.log }))
    }
    const file = path.join(folder, "demo.json")
    yield* Effect.tryPromise({
      try: async () => {
        // In one step: whoever waits for the file finds it whole.
        await fs.writeFile(`${file}.new`, JSON.stringify(places, null, 2))
        await fs.rename(`${file}.new`, file)
      },
      catch: (cause) => new FileUnwritable({ file, reason: String(cause) })
    })

    // The death of a runner is what a cluster is for, as long as one is left.
    const lastRunner = Deferred.unsafeMake<never, ProcessDied>(FiberId.none)
    let alive = runners.length
    yield* Effect.forEach(runners, ({ address, process }) =>
      process.died.pipe(
        Effect.catchAll((death) => {
          alive--
          if (alive === 0) return Deferred.fail(lastRunner, death)
          return say(`${process.name} (${address}, process ${process.pid}) has ended: ${death.how}; ${alive} left`)
        }),
        Effect.forkScoped
      ), { discard: true })
    const died = Effect.raceAll([sandboxProcess.died, gateway.died, Deferred.await(lastRunner)])
    return { cluster: { places, died, runnersLost: Effect.sync(() => runners.length - alive) }, sandbox }
  })
