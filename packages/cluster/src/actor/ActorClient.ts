/**
 * The face of the actors: looks like one call per command, travels in batches (R7, R9). A retry after a lost runner is
 * automatic and safe, because every command carries an id.
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import { Context, type Effect, type Either, Schema } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import type { TraceContext } from "./Wire.ts"

/** Too much is waiting; nothing was done. Not an outcome: the same command id may be sent again. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {
  /** ms after which there is likely to be room. */
  retryAfter: Schema.Number
}) {}
/** No answer within the deadline; whether it was executed is not known until the same id is sent again. */
export class NoAnswer extends Schema.TaggedError<NoAnswer>()("NoAnswer", { reason: Schema.String }) {}
/** The command id was used before with other content; nothing was done. */
export class ContentDiffers
  extends Schema.TaggedError<ContentDiffers>()("ContentDiffers", { command: Schema.String })
{}
/** The command id is older than outcomes are kept (or from the future); it was not executed by this call. */
export class CommandExpired extends Schema.TaggedError<CommandExpired>()("CommandExpired", {
  command: Schema.String,
  reason: Schema.String
}) {}
/** The command cannot be executed: it breaks the actor's code or the store refuses it. Nothing was done. */
export class CommandFault extends Schema.TaggedError<CommandFault>()("CommandFault", { reason: Schema.String }) {}

export const SendError = Schema.Union(Overloaded, NoAnswer, ContentDiffers, CommandExpired, CommandFault)
export type SendError = typeof SendError.Type

export interface Send<Command> {
  readonly actor: string
  readonly command: Command
  /** Minted by whoever wants the effect once; a fresh one when left out. */
  readonly id?: CommandId | undefined
  /** ms from now until which an answer is of use; default `deadlineDefault`. */
  readonly within?: number | undefined
  /** Logical instant (ms) of a replay; runners heed it only on a logical clock. */
  readonly at?: number | undefined
  /** The trace that the command belongs to; only for commands that are sampled. */
  readonly trace?: TraceContext | undefined
}

/** How long a caller waits who does not say, ms. */
export const deadlineDefault = 10_000

export class ActorClient extends Context.Tag("@hikyaku/cluster/ActorClient")<
  ActorClient,
  {
    readonly send: <State, Command, Reply, Event>(
      kind: ActorKind<State, Command, Reply, Event>,
      request: Send<Command>
    ) => Effect.Effect<Reply, SendError>
    /** Many at once, for runs and relays; answers in order, each its own reply or error. */
    readonly sendAll: <State, Command, Reply, Event>(
      kind: ActorKind<State, Command, Reply, Event>,
      requests: ReadonlyArray<Send<Command>>
    ) => Effect.Effect<ReadonlyArray<Either.Either<Reply, SendError>>>
    /**
     * Many at once, each answered when it is: `done` is called once per request that is not given up, in any order. Succeeds
     * when all are queued, with what gives one of them up: if that has not left by then, it never will.
     */
    readonly sendEach: <State, Command, Reply, Event>(
      kind: ActorKind<State, Command, Reply, Event>,
      requests: ReadonlyArray<Send<Command>>,
      done: (index: number, answer: Either.Either<Reply, SendError>, repeated: boolean) => void
    ) => Effect.Effect<(index: number) => void>
  }
>() {}
