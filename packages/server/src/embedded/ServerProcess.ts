/**
 * One PostgreSQL server as a process: launching it on data that this process owns, waiting
 * until it answers, stopping it, and taking over one whose owner was killed.
 *
 * The server runs in a session of its own, so that Ctrl-C in a terminal, which goes to the
 * whole group, reaches Hikyaku alone: PostgreSQL must outlive the finalizers that still
 * have something to write. It therefore also outlives a Hikyaku that is killed; the next
 * start on the same data adopts it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import { createServer } from "node:net"
import * as path from "node:path"
import type { Binaries } from "./Binaries.ts"
import { attempt, belongToFolder } from "./DataFile.ts"
import { databaseUser, dataOf, type Home, logFileOf } from "./DataFolder.ts"
import { DataFolderUnusable, DataInUse, PortTaken, StartFailed } from "./EmbeddedPostgresError.ts"
import * as PostmasterFile from "./PostmasterFile.ts"
import * as ProcessIdentity from "./ProcessIdentity.ts"
import * as ServerSettings from "./ServerSettings.ts"
import { asUser, programEnvironment } from "./ServerUser.ts"

/** A server that takes connections. */
export interface Server {
  readonly identity: ProcessIdentity.ProcessIdentity
  readonly port: number
}

/** The database that Hikyaku uses, and the one that always exists. */
export const databaseName = "hikyaku"
const maintenanceDatabase = "postgres"

/** Longest time from launch to ready. After a crash it holds the replay of at most `max_wal_size` of log. */
const readyTimeout = "5 minutes"
/** Longest wait for an adopted server to become ready and answer; then it is replaced. */
const adoptTimeout = "30 seconds"
const answerTimeout = "10 seconds"
/** Fast shutdown (writes a checkpoint), then immediate (recovery at the next start), then SIGKILL. */
const shutdownSteps = [["SIGINT", "40 seconds"], ["SIGQUIT", "10 seconds"], ["SIGKILL", "5 seconds"]] as const
/** How often to look while its start or stop is awaited, and while it just runs. */
const startPoll = "15 millis"
const endPoll = "500 millis"

/** Ports that are tried before giving up: each was free a moment before. */
const portsMax = 5
/** How often, 250 ms apart, a start is repeated while processes of a killed server still hold its memory. */
const memoryRetriesMax = 60
const memoryRetryPause = "250 millis"

/** A log longer than this is moved to server.log.1 (one is kept) at the next start. */
const logBytesMax = 16 * 1024 * 1024
/** How much of the log goes into an error. */
const logTailBytes = 4_096

const gone = (identity: ProcessIdentity.ProcessIdentity, every: Duration.DurationInput) =>
  Effect.gen(function*() {
    while (yield* ProcessIdentity.isAlive(identity)) yield* Effect.sleep(every)
  })

/** Completes when the server has ended, for whatever reason. */
export const ended = (server: Pick<Server, "identity">): Effect.Effect<void> => gone(server.identity, endPoll)

/** Processes do not wait for a test's clock. Finalizers need it too: they run with the clock of whoever closes the scope. */
export const inRealTime = Effect.withClock(Clock.make())

/** Stops the server: gently, then less so; nothing happens if it has ended. At most 55 seconds. */
export const stop = (identity: ProcessIdentity.ProcessIdentity): Effect.Effect<void> =>
  inRealTime(Effect.gen(function*() {
    for (const [signal, patience] of shutdownSteps) {
      if (!(yield* ProcessIdentity.signal(identity, signal))) return
      if (signal !== "SIGINT") yield* Effect.logWarning(`PostgreSQL (process ${identity.pid}) does not stop: ${signal}`)
      if (Option.isSome(yield* Effect.timeoutOption(gone(identity, startPoll), patience))) return
    }
  }))

/** Waits until the server is ready for connections, or has ended. */
const settled = (
  data: string,
  identity: ProcessIdentity.ProcessIdentity
): Effect.Effect<"ready" | "ended", DataFolderUnusable> =>
  Effect.gen(function*() {
    for (;;) {
      if (!(yield* ProcessIdentity.isAlive(identity))) return "ended"
      const file = yield* PostmasterFile.read(data)
      if (Option.exists(file, ({ pid, ready }) => pid === identity.pid && ready)) return "ready"
      yield* Effect.sleep(startPoll)
    }
  })

/** A client of the superuser; one connection. */
const clientOf = (port: number, password: string, database: string) =>
  PgClient.layer({
    host: "127.0.0.1",
    port,
    database,
    username: databaseUser,
    password: Redacted.make(password),
    maxConnections: 1,
    connectTimeout: answerTimeout,
    applicationName: "hikyaku-start"
  })

/** Logs in, and makes sure that the database exists. The reason if that fails. */
const answers = (port: number, password: string): Effect.Effect<void, string> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const found = yield* sql`SELECT 1 FROM pg_database WHERE datname = ${databaseName}`
    if (found.length === 0) yield* sql`CREATE DATABASE ${sql(databaseName)}`
  }).pipe(
    Effect.provide(clientOf(port, password, maintenanceDatabase)),
    Effect.mapError((error) =>
      `it does not answer: ${error.cause instanceof Error ? error.cause.message : error.message}`
    ),
    Effect.timeoutFail({ duration: answerTimeout, onTimeout: () => `it does not answer within ${answerTimeout}` })
  )

const openLog = (home: Home) =>
  attempt(home.folder, "opening server.log", async () => {
    const file = logFileOf(home)
    const size = await fs.stat(file).then((found) => found.size, () => 0)
    if (size > logBytesMax) await fs.rename(file, `${file}.1`)
    const handle = await fs.open(file, "a", 0o600)
    await belongToFolder(file)
    return { handle, from: size > logBytesMax ? 0 : size }
  })

const logTail = (home: Home, from: number) =>
  Effect.tryPromise(async () => {
    const text = (await fs.readFile(logFileOf(home))).subarray(from)
    return text.subarray(-logTailBytes).toString("utf8").trim()
  }).pipe(Effect.orElseSucceed(() => "(the log cannot be read)"))

/** A port of loopback that is free now. */
const freePort: Effect.Effect<number, DataFolderUnusable> = Effect.async((resume) => {
  const probe = createServer()
  const fail = (reason: string) =>
    resume(
      Effect.fail(new DataFolderUnusable({ folder: "127.0.0.1", reason, advice: "Check the loopback interface." }))
    )
  probe.on("error", (error) => fail(error.message))
  probe.listen(0, "127.0.0.1", () => {
    const address = probe.address()
    probe.close(() =>
      typeof address === "object" && address !== null ? resume(Effect.succeed(address.port)) : fail("no port was given")
    )
  })
})

interface Launch {
  readonly home: Home
  readonly binaries: Binaries
  readonly settings: ServerSettings.ServerSettings
  readonly password: string
  /** None: the last one if it is free, so that those who still know it find the server again; else any. */
  readonly port: Option.Option<number>
}

const argumentsOf = (launch: Pick<Launch, "home" | "settings">) =>
  ServerSettings.commandLine(dataOf(launch.home), launch.settings)

/** Starts the process; from then on the scope stops it. Undefined if it could not even begin, or ended at once. */
const spawned = (launch: Launch, port: number, log: fs.FileHandle) =>
  Effect.acquireRelease(
    Effect.flatMap(
      attempt(launch.home.folder, "starting postgres", () =>
        new Promise<number>((resolve, reject) => {
          const child = spawn(
            path.join(launch.binaries.folder, "postgres"),
            [...argumentsOf(launch), ...ServerSettings.portArgument(port)],
            {
              ...asUser(launch.home.user),
              cwd: "/",
              detached: true,
              env: programEnvironment,
              stdio: ["ignore", log.fd, log.fd]
            }
          )
          // Whether it lives is asked of the system, the same way as for one that was adopted.
          child.unref()
          child.on("error", reject)
          child.on("spawn", () => child.pid === undefined ? reject(new Error("no pid")) : resolve(child.pid))
        })),
      ProcessIdentity.inspect
    ),
    (identity) => identity === undefined ? Effect.void : stop(identity)
  )

/** One launch on one port. */
const launchOn = (launch: Launch, port: number) =>
  Effect.gen(function*() {
    const { from, handle } = yield* openLog(launch.home)
    const identity = yield* Effect.ensuring(spawned(launch, port, handle), Effect.promise(() => handle.close()))
    const failed = (reason: string) =>
      Effect.flatMap(logTail(launch.home, from), (tail) =>
        new StartFailed({ folder: launch.home.folder, reason, logFile: logFileOf(launch.home), logTail: tail }))
    if (identity === undefined) {
      return yield* failed("it ended at once")
    }

    const outcome = yield* settled(dataOf(launch.home), identity).pipe(
      Effect.timeoutTo({
        duration: readyTimeout,
        onSuccess: (state) =>
          state,
        onTimeout: () => "late" as const
      })
    )
    if (outcome !== "ready") {
      return yield* failed(outcome === "ended" ? "it ended while starting" : `it was not ready after ${readyTimeout}`)
    }
    yield* Effect.catchAll(answers(port, launch.password), failed)
    return { identity, port }
  })

/** Starts a server on the home's data and waits until it answers. The scope stops it. */
export const launch = (
  options: Launch
): Effect.Effect<Server, DataFolderUnusable | PortTaken | StartFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const noted = yield* PostmasterFile.lastCommand(dataOf(options.home))
    let port = Option.getOrUndefined(options.port) ??
      (noted === undefined ? undefined : ServerSettings.notedPort(noted))
    let ports = 1
    let memoryRetries = 0
    for (;;) {
      const tried = port ?? (yield* freePort)
      const outcome = yield* Effect.either(launchOn(options, tried))
      if (outcome._tag === "Right") return outcome.right
      const error = outcome.left
      if (error._tag === "StartFailed" && /Address already in use/.test(error.logTail)) {
        if (Option.isSome(options.port)) return yield* new PortTaken({ port: tried })
        if (ports++ >= portsMax) return yield* error
        port = undefined
      } else if (error._tag === "StartFailed" && /pre-existing shared memory block/.test(error.logTail)) {
        if (memoryRetries++ >= memoryRetriesMax) return yield* error
        port = tried
        yield* Effect.sleep(memoryRetryPause)
      } else {
        return yield* error
      }
    }
  })

/**
 * Deals with a server whose owner is no more: takes it over when it is just what we would
 * start, answers, and `adoptable`; stops it otherwise. A stale postmaster.pid is made
 * harmless. Only with the claim. Fails with `DataInUse` when somebody else started it.
 */
export const adoptOrStop = (
  options: Launch & { readonly adoptable: boolean }
): Effect.Effect<Option.Option<Server>, DataFolderUnusable | DataInUse, Scope.Scope> =>
  Effect.gen(function*() {
    const data = dataOf(options.home)
    const living = yield* PostmasterFile.livingServer(data)
    if (Option.isNone(living)) {
      yield* PostmasterFile.defuse(data)
      return Option.none()
    }
    const identity = living.value
    // Until it is ready it may not have noted its command line yet.
    const outcome = yield* settled(data, identity).pipe(
      Effect.timeoutTo({ duration: adoptTimeout, onSuccess: (state) => state, onTimeout: () => "late" as const })
    )
    if (outcome === "ended") {
      yield* PostmasterFile.defuse(data)
      return Option.none()
    }
    const noted = (yield* PostmasterFile.lastCommand(data)) ?? ""
    if (!ServerSettings.isOurs(noted)) {
      return yield* new DataInUse({ folder: options.home.folder, ownerPid: null, serverPid: identity.pid })
    }
    const port = Option.getOrUndefined(yield* PostmasterFile.read(data))?.port
    const wanted = options.adoptable && outcome === "ready" && port !== undefined &&
      Option.getOrElse(options.port, () => port) === port && ServerSettings.isSame(noted, argumentsOf(options))
    // Ours from here on, whatever becomes of this start.
    yield* Effect.addFinalizer(() => stop(identity))
    if (wanted && Option.isSome(yield* Effect.option(answers(port, options.password)))) {
      yield* Effect.logInfo(`Took over PostgreSQL (process ${identity.pid}), which a killed process had left running`)
      return Option.some({ identity, port })
    }
    yield* Effect.logInfo(`Stopping PostgreSQL (process ${identity.pid}), which a killed process had left running`)
    yield* stop(identity)
    return Option.none()
  })
