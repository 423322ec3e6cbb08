/** How commands reach the shop. */
import { Options } from "@effect/cli"
import { NodeSocket } from "@effect/platform-node"
import { fromParseError } from "@hikyaku/domain/api/BadInput"
import { Hikyaku, layerSocket, urlDefault } from "@hikyaku/domain/api/Client"
import { Config, type Context, Effect, Layer, ParseResult } from "effect"
import { type CallError, type CliFailure, explain, misused } from "./Failure.ts"

/** Options of every command. */
export const connection = {
  url: Options.text("url").pipe(
    Options.withDescription(`The shop's WebSocket. Also HIKYAKU_URL. Default ${urlDefault}`),
    Options.withFallbackConfig(Config.nonEmptyString("HIKYAKU_URL")),
    Options.withDefault(urlDefault)
  ),
  json: Options.boolean("json").pipe(Options.withDescription("Print the answer as JSON, for other programs."))
}

export interface Connection {
  readonly url: string
  readonly json: boolean
}

/** Who is noted down for changes. */
export const author = Options.text("author").pipe(
  Options.withDescription("Who does it, for the audit. Also HIKYAKU_AUTHOR. Default: your user name."),
  Options.withFallbackConfig(
    Config.nonEmptyString("HIKYAKU_AUTHOR").pipe(Config.orElse(() => Config.nonEmptyString("USER")))
  ),
  Options.withDefault("cli")
)

/** Runs calls on a connection of their own; what fails is explained. */
export const connected = <A>(
  { url }: Connection,
  use: (hikyaku: Context.Tag.Service<Hikyaku>) => Effect.Effect<A, CallError | CliFailure>
): Effect.Effect<A, CliFailure> => {
  if (!/^wss?:\/\//.test(url)) return Effect.fail(misused(`${url} is no WebSocket: write it like ${urlDefault}`))
  const client = layerSocket().pipe(Layer.provide(NodeSocket.layerWebSocket(url)))
  return Effect.flatMap(Hikyaku, use).pipe(
    Effect.provide(client),
    // What the schema refuses never leaves this process.
    Effect.catchAllDefect((defect) =>
      ParseResult.isParseError(defect) ? Effect.fail(misused(fromParseError(defect).message)) : Effect.die(defect)
    ),
    Effect.mapError((error) => (error._tag === "CliFailure" ? error : explain(error, url)))
  )
}
