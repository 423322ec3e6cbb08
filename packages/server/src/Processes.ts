/**
 * What each process does from start to end. A process that another one started says on its standard output, in one line,
 * when it serves: `hikyaku-ready {"url": ...}`; everything else it says goes to standard error.
 */
import { HttpServer } from "@effect/platform"
import { Config, ConfigProvider, Console, Context, Effect, Layer } from "effect"
import { databaseLayer } from "./ClusterNode.ts"
import * as Database from "./Database.ts"
import { listenerConfig } from "./http/HttpListener.ts"
import * as Program from "./Program.ts"
import * as Sandbox from "./sandbox/SandboxMain.ts"
import { runnerConfig } from "./Settings.ts"

/** Tells whoever started this process that it serves. */
const ready = (what: Readonly<Record<string, unknown>>) => Console.log(`hikyaku-ready ${JSON.stringify(what)}`)

/** Keeps a layer alive until the process is told to stop; says so once it is built. */
const serve = <E, R>(layer: Layer.Layer<never, E, R>, what: Readonly<Record<string, unknown>>) =>
  Effect.scoped(Layer.build(layer).pipe(Effect.andThen(ready(what)), Effect.andThen(Effect.never)))

const databaseUrl = Config.redacted("DATABASE_URL")

/** Hosts actors; any number, on any hosts, sharing one database. */
export const runner = Effect.gen(function*() {
  const url = yield* databaseUrl
  const address = yield* runnerConfig
  yield* serve(Layer.discard(Program.runner(url, address)), { address, pid: process.pid })
})

/** Serves the API; any number. */
export const gateway = Effect.gen(function*() {
  const url = yield* databaseUrl
  const { host, port } = yield* listenerConfig
  const name = `gateway-${globalThis.crypto.randomUUID()}`
  yield* serve(Layer.discard(Program.gateway(url, name)), { url: `ws://${host}:${port}/rpc`, pid: process.pid })
})

/** The provider sandbox, with its own record. */
export const sandbox = Effect.gen(function*() {
  const config = yield* Sandbox.sandboxConfig
  yield* Sandbox.program(config, (url) => ready({ url, pid: process.pid }))
})

/** Brings the database to this version. */
export const migrate = Effect.scoped(Effect.gen(function*() {
  const database = yield* Database.open
  yield* Program.prepareDatabase.pipe(Effect.provide(databaseLayer(database.url, "hikyaku-migrate")))
  yield* Console.log(`The database is up to date: ${database.description}`)
}))

const guide = (database: string, http: string, sandboxUrl: string) => `
Hikyaku is ready.

  API        ws${http.slice(4)}/rpc      WebSocket, MessagePack (docs/rpc.md)
             ${http}/jsonrpc  JSON-RPC 2.0
  Health     ${http}/health/ready
  Provider   ${sandboxUrl}  the sandbox; its report: ${sandboxUrl}/v1/report
  Database   ${database}

Try next, in another terminal:

  npx hikyaku product define tee --name "Linen tee"
  npx hikyaku product stock tee --level 2
  npx hikyaku cart add tee --member m1
  npx hikyaku status

Ctrl-C stops everything; the data stay.
`

/** Everything in one process: embedded PostgreSQL, one runner, gateway, provider sandbox. */
export const start = Effect.scoped(Effect.gen(function*() {
  const database = yield* Database.open
  const { host, port } = yield* listenerConfig
  const address = yield* runnerConfig
  const sandboxConfig = yield* Sandbox.sandboxConfig
  const sandboxContext = yield* Layer.build(Sandbox.layer(sandboxConfig))
  const sandboxUrl = HttpServer.formatAddress(Context.get(sandboxContext, HttpServer.HttpServer).address)
  // Whoever names a provider of their own means that one.
  const withSandbox = ConfigProvider.orElse(() =>
    ConfigProvider.fromMap(new Map([["HIKYAKU_PROVIDER_URL", sandboxUrl]]), { pathDelim: "_" })
  )
  yield* Effect.withConfigProviderScoped(withSandbox(ConfigProvider.fromEnv()))
  yield* Layer.build(Program.all(database.url, address))
  yield* Console.error(guide(database.description, `http://${host}:${port}`, sandboxUrl))
  yield* ready({ url: `ws://${host}:${port}/rpc`, pid: process.pid })
  return yield* database.died
}))
