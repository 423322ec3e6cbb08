/** The process behind `npx hikyaku`. */
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Effect, Exit, Logger, LogLevel } from "effect"
import * as Cli from "./Cli.ts"

Cli.run(process.argv).pipe(
  Effect.provide(NodeContext.layer),
  Logger.withMinimumLogLevel(LogLevel.None),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    disablePrettyLogger: true,
    teardown: (exit, end) => end(Exit.isSuccess(exit) ? 0 : Cli.codeOf(exit.cause))
  })
)
