/** The provider sandbox as a process: its configuration, and the program that the subcommand `sandbox` runs. */
import { HttpServer } from "@effect/platform"
import { layer as layerService } from "@hikyaku/cluster/delivery/sandbox/SandboxService"
import { Config, Effect, Layer, Redacted } from "effect"
import * as SandboxRecord from "./SandboxRecord.ts"
import * as SandboxServer from "./SandboxServer.ts"

export interface SandboxConfig extends SandboxServer.SandboxServerConfig {
  /** Where the record is kept; one living process per folder. */
  readonly folder: string
}

/** `HIKYAKU_SANDBOX_HOST`, `_PORT`, `_FOLDER` and `_API_KEY`. */
export const sandboxConfig: Config.Config<SandboxConfig> = Config.nested(
  Config.all({
    host: Config.string("HOST").pipe(Config.withDefault("127.0.0.1")),
    port: Config.port("PORT").pipe(Config.withDefault(8025)),
    folder: Config.string("FOLDER").pipe(Config.withDefault(".hikyaku/sandbox")),
    apiKey: Config.redacted("API_KEY").pipe(Config.withDefault(Redacted.make("")))
  }),
  "HIKYAKU_SANDBOX"
)

/** The sandbox, record and server, within this process; provides its `SandboxControl`, address and record's health. */
export const layer = (config: SandboxConfig) =>
  SandboxServer.layer(config).pipe(
    Layer.provideMerge(layerService()),
    Layer.provideMerge(SandboxRecord.layer(config.folder))
  )

/**
 * Runs the sandbox until it is interrupted; fails when its record cannot be read or written. `onListening` gets the
 * address, e.g. `http://127.0.0.1:8025`.
 */
export const program = (config: SandboxConfig, onListening: (url: string) => Effect.Effect<void> = () => Effect.void) =>
  Effect.gen(function*() {
    const url = yield* HttpServer.addressFormattedWith(Effect.succeed)
    yield* Effect.logInfo("provider sandbox listening").pipe(Effect.annotateLogs({ url, folder: config.folder }))
    yield* onListening(url)
    return yield* Effect.flatten(SandboxRecord.RecordHealth)
  }).pipe(Effect.provide(layer(config)))
