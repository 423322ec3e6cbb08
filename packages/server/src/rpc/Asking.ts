/** How handlers ask actors and the store: what goes wrong there becomes an error of the API, or a fault of our own. */
import { SqlError } from "@effect/sql"
import {
  ActorClient,
  type CommandFault,
  type ContentDiffers as ClientContentDiffers,
  type Send,
  type SendError
} from "@hikyaku/cluster/actor/ActorClient"
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import type { TraceContext } from "@hikyaku/cluster/actor/Wire"
import {
  type CommandError,
  ContentDiffers,
  Expired,
  Fault,
  NotAnswered,
  Overloaded,
  Unavailable
} from "@hikyaku/domain/api/ApiError"
import { Context, Effect, Option, type ParseResult, Tracer } from "effect"

type AnyFailure = SendError | ClientContentDiffers | CommandFault

/** A failed command as the API tells it. */
export const commandError = (error: AnyFailure): CommandError => {
  switch (error._tag) {
    case "Overloaded":
      return new Overloaded({ retryAfter: error.retryAfter })
    case "NoAnswer":
      return new NotAnswered({ reason: error.reason })
    case "ContentDiffers":
      return new ContentDiffers({ id: error.command })
    case "CommandExpired":
      return new Expired({ id: error.command, reason: error.reason })
    case "CommandFault":
      return new Fault({ reason: "the command cannot be executed; nothing was done" })
  }
}

/** The trace that the caller's call belongs to, if it is sampled. */
export const currentTrace: Effect.Effect<TraceContext | undefined> = Effect.contextWith((context) => {
  const span = Context.getOption(context, Tracer.ParentSpan)
  return Option.isSome(span) && span.value.sampled
    ? { traceId: span.value.traceId, spanId: span.value.spanId }
    : undefined
})

/** Asks one actor. */
export const ask = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  request: Send<Command>
): Effect.Effect<Reply, CommandError, ActorClient> =>
  Effect.flatMap(
    Effect.zip(ActorClient, currentTrace),
    ([actors, trace]) => actors.send(kind, trace === undefined ? request : { ...request, trace })
  ).pipe(
    Effect.tapErrorTag("CommandFault", (error) => Effect.logError(`${kind.name} ${request.actor}: ${error.reason}`)),
    Effect.mapError(commandError)
  )

/** PostgreSQL's classes of errors that lie in the connection or the server, not in the statement. */
const unreachable = new Set(["08", "53", "57"])

const isUnreachable = (error: SqlError.SqlError): boolean => {
  const { cause } = error
  if (typeof cause !== "object" || cause === null || !("code" in cause) || typeof cause.code !== "string") return true
  // Codes of the operating system (ECONNREFUSED) have no class.
  return !/^[0-9A-Z]{5}$/.test(cause.code) || unreachable.has(cause.code.slice(0, 2))
}

/** A query's answer. An unreachable store is an error of the API; anything else is a fault of ours. */
export const stored = <A, R>(
  query: Effect.Effect<A, SqlError.SqlError | ParseResult.ParseError, R>
): Effect.Effect<A, Unavailable, R> =>
  Effect.catchAll(query, (error) =>
    error instanceof SqlError.SqlError && isUnreachable(error)
      ? Effect.zipRight(
        Effect.logWarning("the store cannot be reached", error),
        new Unavailable({ reason: "the store cannot be reached; try again" })
      )
      : Effect.die(error))
