/** Runs the built sandbox on the folder given, on any free port, and prints its address: what the tests start and kill. */
import { NodeRuntime } from "@effect/platform-node"
import { program } from "@hikyaku/server/sandbox/SandboxMain"
import { Effect, Logger, LogLevel, Redacted } from "effect"

const print = (url) => Effect.sync(() => process.stdout.write(`${url}\n`))

NodeRuntime.runMain(
  program({ host: "127.0.0.1", port: 0, folder: process.argv[2], apiKey: Redacted.make("") }, print).pipe(
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error))
  )
)
