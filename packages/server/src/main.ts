/**
 * The processes of Hikyaku, one subcommand each. Configuration is read from the environment and documented beside its owner;
 * this file only launches.
 */
import { Command } from "@effect/cli"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Cause, Effect, Logger } from "effect"
import { fileURLToPath } from "node:url"
import { demo as runDemo } from "./demo/Demo.ts"
import { demoOptions } from "./demo/DemoOptions.ts"
import { untilOrphaned } from "./demo/DemoProcess.ts"
import * as Processes from "./Processes.ts"
import * as Shutdown from "./Shutdown.ts"

const start = Command.make("start", {}, () => Processes.start).pipe(
  Command.withDescription("Everything in one process: database, runner, gateway, provider sandbox.")
)
const runner = Command.make("runner", {}, () => Processes.runner).pipe(
  Command.withDescription("Hosts actors. Any number, on any hosts, sharing the database of DATABASE_URL.")
)
const gateway = Command.make("gateway", {}, () => Processes.gateway).pipe(
  Command.withDescription("Serves the API. Any number.")
)
const sandbox = Command.make("sandbox", {}, () => Processes.sandbox).pipe(
  Command.withDescription("The provider sandbox, with a durable record of its own.")
)
const migrate = Command.make("migrate", {}, () => Processes.migrate).pipe(
  Command.withDescription("Brings the database to this version.")
)
const demo = Command.make("demo", demoOptions, (options) =>
  runDemo(options, {
    main: fileURLToPath(import.meta.url),
    environment: process.env,
    screen: { write: (text) => process.stderr.write(text), isTerminal: process.stderr.isTTY },
    print: (text) => process.stdout.write(text)
  }).pipe(
    // What is wrong with a file or a sum is told in words, not as a trace.
    Effect.catchAll((error) =>
      Effect.sync(() => {
        process.stderr.write(`\n${error.message}\n`)
        process.exitCode = 1
      })
    )
  )).pipe(
    Command.withDescription(
      "A cluster of real processes, a shop replayed through it, and a report whose sums must agree."
    )
  )

const main = Command.make("hikyaku-server").pipe(
  Command.withSubcommands([start, demo, runner, gateway, sandbox, migrate])
)

// What is said on standard output is for whoever started the process; the log goes to standard error.
const logger = Logger.replace(
  Logger.defaultLogger,
  process.stderr.isTTY ? Logger.prettyLogger({ stderr: true }) : Logger.withConsoleError(Logger.logfmtLogger)
)

Shutdown.bounded(process).pipe(
  Effect.zipRight(Command.run(main, { name: "Hikyaku", version: "0.1.0" })(process.argv)),
  Effect.raceFirst(untilOrphaned),
  Effect.provide(NodeContext.layer),
  // Nobody exports spans yet.
  Effect.withTracerEnabled(false),
  // Told with our logger: the platform's own report would go to standard output.
  Effect.tapErrorCause((cause) => Cause.isInterruptedOnly(cause) ? Effect.void : Effect.logError(cause)),
  Effect.provide(logger),
  NodeRuntime.runMain({ disablePrettyLogger: true, disableErrorReporting: true })
)
