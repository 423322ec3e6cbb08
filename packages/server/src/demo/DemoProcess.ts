/**
 * A process of the demo's cluster: started, waited for until it says that it serves, watched, and stopped with its scope.
 * What it says goes to a log file of its own, also when nobody is left to read it.
 */
import { Clock, Config, Deferred, Duration, Effect, FiberId, Option, Schedule, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { FileUnwritable, ProcessDied, ProcessNotReady } from "./DemoError.ts"

/** What a process says on its standard output, in one line and followed by JSON, once it serves. */
export const readyMark = "hikyaku-ready "

/** Names the process with which a process ends, see `untilOrphaned`. */
const parentVariable = "HIKYAKU_PARENT_PID"
/** How often a process looks whether its parent lives. */
const parentLook = Duration.seconds(1)

/** Completes when the process that started this one is gone; never where none was named. */
export const untilOrphaned: Effect.Effect<void> = Effect.gen(function*() {
  const parent = yield* Effect.orElseSucceed(Config.option(Config.integer(parentVariable)), () => Option.none<number>())
  if (Option.isNone(parent)) return yield* Effect.never
  yield* Effect.repeat(Effect.sync(() => process.ppid), {
    schedule: Schedule.spaced(parentLook),
    until: (pid) => pid !== parent.value
  })
})

/** Longest time from its start until a process serves. */
const readyWithin = Duration.seconds(60)
/** What a process gets to end after SIGTERM, before SIGKILL: longer than what its own finalizers are given. */
const stopWithin = Duration.seconds(20)
/** Bytes of the log that go into an error. */
const tailBytes = 2_000

export interface ProcessOptions {
  /** For messages and the log's name, e.g. `runner-1`. */
  readonly name: string
  /** Program and arguments after the executable of Node. */
  readonly args: ReadonlyArray<string>
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly logFolder: string
}

export interface DemoProcess {
  readonly name: string
  readonly pid: number
  readonly log: string
  /** The JSON of its ready line. */
  readonly ready: Readonly<Record<string, unknown>>
  /** Completes with how the process ended, once it has. */
  readonly ended: Effect.Effect<string>
  /** Fails once the process has ended without being asked to. */
  readonly died: Effect.Effect<never, ProcessDied>
}

const tailOf = (log: string) =>
  Effect.promise(async () => {
    const text = await fs.readFile(log).catch(() => Buffer.alloc(0))
    return text.subarray(-tailBytes).toString("utf8").trim()
  })

/**
 * Room for what is young, MiB: a process with hundreds of calls under way collects it a third less often than with Node's 16,
 * and takes less of it for old.
 */
const processFlags = ["--max-semi-space-size=64"]

const describeEnd = (code: number | null, signal: NodeJS.Signals | null): string =>
  signal === null ? `exit code ${String(code)}` : `signal ${signal}`

/** Ready, or not an object: then the process speaks another language than we do. */
const readReady = (line: string): Readonly<Record<string, unknown>> | null => {
  if (!line.startsWith(readyMark)) return null
  try {
    const value: unknown = JSON.parse(line.slice(readyMark.length))
    return typeof value === "object" && value !== null ? { ...value } : null
  } catch {
    return null
  }
}

/** SIGTERM, patience, SIGKILL. The pid is signalled through the child's handle, so that it is never somebody else's. */
const stop = (child: ChildProcess, ended: Effect.Effect<string>) =>
  Effect.gen(function*() {
    if (child.exitCode !== null || child.signalCode !== null) return
    yield* Effect.sync(() => child.kill("SIGTERM"))
    // In a finalizer nothing can be interrupted unless it says so: without it the time limit would wait for the end.
    const end = yield* Effect.timeoutOption(Effect.interruptible(ended), stopWithin)
    if (end._tag === "Some") return
    yield* Effect.logWarning(`process ${child.pid ?? 0} does not stop: SIGKILL`)
    yield* Effect.sync(() => child.kill("SIGKILL"))
    yield* Effect.asVoid(ended)
  }).pipe(Effect.withClock(Clock.make()))

/** Starts a process and waits until it serves. Closing the scope ends it, within 20 seconds at the worst. */
export const start = (
  options: ProcessOptions
): Effect.Effect<DemoProcess, ProcessNotReady | FileUnwritable, Scope.Scope> =>
  Effect.gen(function*() {
    const { args, environment, logFolder, name } = options
    const log = path.join(logFolder, `${name}.log`)
    const file = yield* Effect.acquireRelease(
      Effect.tryPromise({
        try: () => fs.open(log, "a", 0o600),
        catch: (cause) => new FileUnwritable({ file: log, reason: String(cause) })
      }),
      (handle) => Effect.promise(() => handle.close())
    )
    const end = Deferred.unsafeMake<string>(FiberId.none)
    const ended = Deferred.await(end)
    let asked = false
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [...processFlags, ...args], {
          // Should this process be killed, nobody is left to stop the other.
          env: { ...environment, [parentVariable]: String(process.pid) },
          // A session of its own: Ctrl-C in a terminal reaches the demo alone, which then stops everything in order.
          detached: true,
          stdio: ["ignore", "pipe", file.fd]
        })
        child.once("exit", (code, signal) => Deferred.unsafeDone(end, Effect.succeed(describeEnd(code, signal))))
        child.once("error", (error) => Deferred.unsafeDone(end, Effect.succeed(error.message)))
        return child
      }),
      (child) => Effect.zipRight(Effect.sync(() => asked = true), stop(child, ended))
    )
    const says = Effect.async<Readonly<Record<string, unknown>>>((resume) => {
      if (child.stdout === null) return
      // Read to the end: a full pipe would stop the process.
      createInterface(child.stdout).on("line", (line) => {
        const ready = readReady(line)
        if (ready !== null) resume(Effect.succeed(ready))
      })
    })
    const notReady = (reason: string) =>
      Effect.flatMap(tailOf(log), (tail) => new ProcessNotReady({ name, reason, log, tail }))
    const ready = yield* says.pipe(
      Effect.raceFirst(Effect.flatMap(ended, (how) => notReady(`it ended with ${how}`))),
      Effect.timeoutOption(readyWithin),
      Effect.flatMap((said) =>
        said._tag === "Some"
          ? Effect.succeed(said.value)
          : notReady(`it does not serve after ${Duration.format(readyWithin)}`)
      )
    )
    const pid = child.pid ?? 0
    return {
      name,
      pid,
      log,
      ready,
      ended,
      died: Effect.gen(function*() {
        const how = yield* ended
        if (asked) return yield* Effect.never
        return yield* new ProcessDied({ name, pid, how, log, tail: yield* tailOf(log) })
      })
    }
  })
