/** Runs `hikyaku` in this process against the API of a test, as somebody at a terminal would see it. */
import { NodeContext } from "@effect/platform-node"
import * as Cli from "@hikyaku/cli/Cli"
import { Listener } from "@hikyaku/server/http/HttpListener"
import { Console, Effect, Exit } from "effect"

export interface Printed {
  /** The exit code. */
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs it with these arguments and no others. */
export const runAt = (url: string, ...args: ReadonlyArray<string>): Effect.Effect<Printed> =>
  Effect.gen(function*() {
    const out: Array<string> = []
    const err: Array<string> = []
    const keep = (lines: Array<string>) => (...parts: ReadonlyArray<unknown>) =>
      Effect.sync(() => void lines.push(parts.join(" ")))
    const keepNow = (lines: Array<string>) => (...parts: ReadonlyArray<unknown>) => void lines.push(parts.join(" "))
    const usual = yield* Console.consoleWith(Effect.succeed)
    const console: Console.Console = {
      ...usual,
      log: keep(out),
      error: keep(err),
      unsafe: { ...globalThis.console, log: keepNow(out), error: keepNow(err) }
    }
    const exit = yield* Cli.run(["node", "hikyaku", ...args, "--url", url]).pipe(
      Effect.provide(NodeContext.layer),
      Effect.withConsole(console),
      Effect.exit
    )
    return { code: Exit.isSuccess(exit) ? 0 : Cli.codeOf(exit.cause), out: out.join("\n"), err: err.join("\n") }
  })

/** The same, on the API that listens. */
export const run = (...args: ReadonlyArray<string>): Effect.Effect<Printed, never, Listener> =>
  Effect.flatMap(Listener, ({ port }) => runAt(`ws://127.0.0.1:${port}/rpc`, ...args))
