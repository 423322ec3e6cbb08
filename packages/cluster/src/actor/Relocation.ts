/**
 * Moving an actor between the cell that it shares with others and a cell of its own (R8, CART-4). The move is a command
 * among the actor's others: what is ahead of it is decided, its commit names the new cell and the next epoch, what is behind
 * it is sent on in order. The cells themselves decide it; no actor kind knows of it.
 */
import { Effect, Schema } from "effect"
import { ActorClient, type Send, type SendError } from "./ActorClient.ts"
import type { ActorKind } from "./ActorKind.ts"

/** Asks the cell that an actor lives in to move it; where it lives already is fine too. */
export const Relocate = Schema.TaggedStruct("hikyaku/Relocate", {
  /** Whether it is to have a cell of its own. */
  hot: Schema.Boolean,
  /**
   * Its cell of its own is served by nobody: the shared cell that is asked takes the actor by its commit. Should the other be
   * alive after all, the fence stops it.
   */
  takeOver: Schema.Boolean
})
export type Relocate = typeof Relocate.Type
const isWhole = Schema.is(Relocate)
/** Asked of every command: the tag alone, for almost all of them. */
export const isRelocate = (command: unknown): command is Relocate =>
  typeof command === "object" && command !== null && "_tag" in command && command._tag === "hikyaku/Relocate" &&
  isWhole(command)

export const isTakeOver = (command: unknown): boolean => isRelocate(command) && command.takeOver && !command.hot

/** Where the actor lives from this commit on; `NotStored`: there is nothing that could be moved, nothing was done. */
export const Relocated = Schema.Union(
  Schema.TaggedStruct("Relocated", {
    cell: Schema.String,
    /** How often it has moved. */
    epoch: Schema.Int
  }),
  Schema.TaggedStruct("NotStored", {})
)
export type Relocated = typeof Relocated.Type

/** A kind as whoever moves its actors sees it. */
const placement = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>
): ActorKind<State, Relocate, Relocated, Event> => ({
  ...kind,
  command: Relocate,
  reply: Relocated,
  decider: {
    ...kind.decider,
    decide: () => {
      throw new Error("where an actor lives is decided by its cell")
    },
    wake: { _tag: "hikyaku/Relocate", hot: false, takeOver: false }
  }
})

/** Moves one actor. The same command id gives the same move once, however often it is sent. */
export const relocate = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  request: Omit<Send<unknown>, "command">,
  where: { readonly hot: boolean; readonly takeOver?: boolean }
): Effect.Effect<Relocated, SendError, ActorClient> =>
  Effect.flatMap(ActorClient, (client) =>
    client.send(placement(kind), {
      ...request,
      command: Relocate.make({ hot: where.hot, takeOver: where.takeOver ?? false })
    }))
