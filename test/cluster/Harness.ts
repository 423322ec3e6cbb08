/**
 * A cluster of real processes on a real PostgreSQL, all of which a test may start, stop, kill, freeze and thaw. Everything
 * ends with the scope.
 */
import * as DemoProcess from "@hikyaku/server/demo/DemoProcess"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import { createServer } from "node:net"
import * as path from "node:path"
import { temporaryFolder } from "../TemporaryFolder.ts"
import { serverProgram } from "./ServerProgram.ts"
import { type TestDatabase, testDatabase } from "./TestDatabase.ts"

/** A member was asked for something that it cannot do as it stands, or did not come up. */
export class HarnessFault extends Data.TaggedError("HarnessFault")<{ readonly message: string }> {}

/** A runner or a gateway: at one address for good, with one process after another. */
export interface Member {
  readonly kind: "runner" | "gateway"
  readonly name: string
  /** `host:port`; a gateway's API is at `url`. */
  readonly address: string
  readonly url: string
  readonly log: string
  /** The state of its process. */
  readonly state: () => "up" | "frozen" | "down"
  /** Starts a process at the member's address and waits until it serves. */
  readonly start: Effect.Effect<void, HarnessFault>
  /** SIGTERM, and waits for the end; how it ended, e.g. `exit code 0`. */
  readonly stop: Effect.Effect<string, HarnessFault>
  /** kill -9. */
  readonly kill: Effect.Effect<void, HarnessFault>
  /** SIGSTOP: the process stands still amid whatever it does; its sockets stay open. */
  readonly freeze: Effect.Effect<void, HarnessFault>
  /** SIGCONT. */
  readonly thaw: Effect.Effect<void, HarnessFault>
}

export interface Cluster {
  readonly database: TestDatabase
  readonly runners: ReadonlyArray<Member>
  readonly gateways: ReadonlyArray<Member>
  /** Where the members' logs are. */
  readonly folder: string
}

export interface ClusterOptions {
  readonly runners: number
  readonly gateways: number
  readonly environment?: Readonly<Record<string, string>>
}

const host = "127.0.0.1"

/** A port that nothing listens on at this moment. */
export const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen({ host, port: 0 }, () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

interface Running {
  readonly scope: Scope.CloseableScope
  readonly process: DemoProcess.DemoProcess
  frozen: boolean
}

const makeMember = (
  kind: Member["kind"],
  name: string,
  port: number,
  options: {
    readonly program: string
    readonly database: TestDatabase
    readonly environment: Readonly<Record<string, string | undefined>>
    readonly logFolder: string
  }
): Effect.Effect<Member, never, Scope.Scope> =>
  Effect.gen(function*() {
    const outer = yield* Effect.scope
    let running: Running | null = null
    const fault = (message: string) => new HarnessFault({ message: `${name}: ${message}` })
    const up = Effect.suspend(() => (running === null ? fault("is not running") : Effect.succeed(running)))
    const signal = (process: Running, name: NodeJS.Signals) =>
      Effect.sync(() => {
        globalThis.process.kill(process.process.pid, name)
      })

    const start = Effect.gen(function*() {
      if (running !== null) return yield* fault("is running already")
      const scope = yield* Scope.fork(outer, { _tag: "Sequential" })
      const process = yield* DemoProcess.start({
        name,
        args: [options.program, kind],
        environment: {
          ...options.environment,
          DATABASE_URL: yield* options.database.urlFor(name),
          ...(kind === "runner"
            ? { HIKYAKU_RUNNER_HOST: host, HIKYAKU_RUNNER_PORT: String(port) }
            : { HIKYAKU_HOST: host, HIKYAKU_PORT: String(port) })
        },
        logFolder: options.logFolder
      }).pipe(
        Scope.extend(scope),
        // Also where whoever starts it is interrupted: nobody would know of the process.
        Effect.onError(() => Scope.close(scope, Exit.void)),
        Effect.catchAll((error) => fault(error.message))
      )
      // A frozen process hears no SIGTERM.
      yield* Scope.addFinalizer(
        scope,
        Effect.suspend(() => (running?.frozen === true ? signal(running, "SIGCONT") : Effect.void))
      )
      running = { scope, process, frozen: false }
    })

    const end = (member: Running) =>
      Effect.gen(function*() {
        yield* Scope.close(member.scope, Exit.void)
        running = null
        return yield* member.process.ended
      })

    return {
      kind,
      name,
      address: `${host}:${port}`,
      url: `ws://${host}:${port}/rpc`,
      log: path.join(options.logFolder, `${name}.log`),
      state: () => (running === null ? "down" : running.frozen ? "frozen" : "up"),
      start,
      stop: Effect.flatMap(up, end),
      kill: Effect.flatMap(up, (member) =>
        signal(member, "SIGKILL").pipe(
          Effect.zipRight(member.process.ended),
          Effect.zipRight(Effect.suspend(() => {
            member.frozen = false
            return end(member)
          }))
        )),
      freeze: Effect.flatMap(up, (member) => {
        member.frozen = true
        return signal(member, "SIGSTOP")
      }),
      thaw: Effect.flatMap(up, (member) => {
        member.frozen = false
        return signal(member, "SIGCONT")
      })
    }
  })

/** Starts a database and the members on it. */
export const startCluster = (
  { environment, gateways, runners }: ClusterOptions
): Effect.Effect<Cluster, HarnessFault, Scope.Scope> =>
  Effect.gen(function*() {
    const kept = process.env["HIKYAKU_TEST_LOGS"]
    const folder = kept ?? (yield* temporaryFolder("cluster"))
    yield* Effect.promise(() => fs.mkdir(folder, { recursive: true }))
    const [program, database] = yield* Effect.all([serverProgram, testDatabase], { concurrency: 2 })
    const options = {
      program,
      database,
      logFolder: folder,
      environment: {
        ...process.env,
        // Nobody sends anything here.
        HIKYAKU_PROVIDER_URL: "http://127.0.0.1:9",
        HIKYAKU_PROVIDER_API_KEY: "",
        ...environment
      }
    }
    const make = (kind: Member["kind"], count: number) =>
      Effect.forEach(
        Array.from({ length: count }, (_, n) => `${kind}-${n + 1}`),
        (name) => Effect.flatMap(freePort, (port) => makeMember(kind, name, port, options))
      )
    const members = { runners: yield* make("runner", runners), gateways: yield* make("gateway", gateways) }
    yield* Effect.forEach([...members.runners, ...members.gateways], (member) => member.start, {
      concurrency: "unbounded",
      discard: true
    })
    return { ...members, database, folder }
  })
