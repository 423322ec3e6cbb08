/** Starts `OwnerProcess.ts` as a process of its own, to be killed. */
import type { Options } from "@hikyaku/server/embedded/EmbeddedPostgres"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath, pathToFileURL } from "node:url"
import { temporaryFolder } from "../../../../test/TemporaryFolder.ts"

const Said = Schema.parseJson(Schema.Union(
  Schema.Struct({
    adopted: Schema.Boolean,
    data: Schema.String,
    pid: Schema.Int,
    port: Schema.Int,
    url: Schema.String
  }),
  Schema.Struct({ error: Schema.String, message: Schema.String })
))

/** A process, and the first thing that it said: its server, or its error. */
export interface Owner {
  readonly pid: number
  readonly said: typeof Said.Type
  /** Signals its whole group, as Ctrl-C does, and waits for its end; its exit code, or the signal that ended it. */
  readonly end: (signal: NodeJS.Signals) => Effect.Effect<number | string>
}

/** Waits for the end of a process: its exit code, or the signal that ended it. */
export const ended = (child: ChildProcess) =>
  Effect.async<number | string>((resume) => {
    const tell = () => resume(Effect.succeed(child.exitCode ?? child.signalCode ?? "unknown"))
    if (child.exitCode !== null || child.signalCode !== null) tell()
    else child.once("exit", tell)
  })

const sources = fileURLToPath(new URL("../../src/embedded/", import.meta.url))
const bundles = new Map<string, Promise<string>>()

/** Bundled once per worker and place. */
const bundled = (resolveFrom: string): Promise<string> => {
  const known = bundles.get(resolveFrom)
  if (known !== undefined) return known
  const made = build({
    entryPoints: [fileURLToPath(new URL("OwnerProcess.ts", import.meta.url))],
    write: false,
    bundle: true,
    platform: "node",
    format: "cjs",
    conditions: ["@hikyaku/source"],
    define: { "import.meta.url": JSON.stringify(pathToFileURL(path.join(resolveFrom, "Binaries.js")).href) },
    logLevel: "error"
  }).then(({ outputFiles }) => outputFiles.map(({ text }) => text).join(""))
  bundles.set(resolveFrom, made)
  return made
}

/**
 * Bundles the script into one file that any user can read, since a checkout below /root
 * could not be read by others. It looks for npm packages as if it lay in `resolveFrom`.
 */
export const ownerScript = (resolveFrom = sources): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const file = path.join(yield* temporaryFolder("owner"), "OwnerProcess.cjs")
    yield* Effect.promise(async () => fs.writeFile(file, await bundled(resolveFrom)))
    return file
  })

/** Starts the process, without waiting for what it says; killed with the scope if it still lives. */
export const spawnOwner = (script: string, options: Options, user: { uid?: number; gid?: number } = {}) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, [script, JSON.stringify(options)], {
        ...user,
        cwd: "/",
        detached: true,
        stdio: "pipe"
      })
    ),
    (child) =>
      Effect.suspend(() => {
        if (child.exitCode !== null || child.signalCode !== null) return Effect.void
        child.kill("SIGTERM")
        return ended(child)
      })
  )

/** Starts the process and waits until it has said what came of it. */
export const startOwner = (
  script: string,
  options: Options,
  user: { uid?: number; gid?: number } = {}
): Effect.Effect<Owner, never, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* spawnOwner(script, options, user)
    let complaints = ""
    child.stderr.on("data", (chunk: Buffer) => complaints += chunk.toString())
    const line = yield* Effect.async<string>((resume) => {
      const lines = createInterface({ input: child.stdout })
      lines.once("line", (first) => resume(Effect.succeed(first)))
      child.once("close", () => resume(Effect.die(new Error(`The owner ended without a word. ${complaints}`))))
    })
    const said = yield* Effect.orDie(Schema.decodeUnknown(Said)(line))
    const { pid } = child
    if (pid === undefined) return yield* Effect.die(new Error("The owner has no pid"))
    return {
      pid,
      said,
      end: (signal) =>
        Effect.suspend(() => {
          process.kill(-pid, signal)
          return ended(child)
        })
    }
  })

/** The server that the owner runs; the test fails if it runs none. */
export const serverOf = (owner: Owner) =>
  "error" in owner.said ? Effect.die(new Error(owner.said.message)) : Effect.succeed(owner.said)
