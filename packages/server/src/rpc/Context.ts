/** The part of a handler's surroundings that its calls need. */
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { Context, Effect } from "effect"

/** The actors alone: calls are run in it, whatever else the handlers were built from. */
export const actorsOnly: Effect.Effect<Context.Context<ActorClient>, never, ActorClient> = Effect.map(
  ActorClient,
  (actors) => Context.make(ActorClient, actors)
)
