/** The actors in this process, one command at a time, on a real journal: what the dispatcher needs of the cluster. */
import { ActorClient, CommandFault, NoAnswer, type Send, type SendError } from "@hikyaku/cluster/actor/ActorClient"
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { Journal, type Loaded } from "@hikyaku/cluster/actor/Journal"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { UnitBuilder } from "@hikyaku/cluster/actor/UnitBuilder"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { Context, Effect, Either, Layer } from "effect"

/** What goes wrong between caller and actor; both return whether it shall, per command. */
export class Mishaps extends Context.Tag("Mishaps")<Mishaps, {
  /** The command is carried out and its answer lost. */
  loseAnswer: (kind: string) => boolean
}>() {}

const cell = "local"

export const layer = Layer.effect(
  ActorClient,
  Effect.gen(function*() {
    const journal = yield* Journal
    const clock = yield* ShopClock
    const mishaps = yield* Mishaps
    const turn = yield* Effect.makeSemaphore(1)

    const decide = <S, C, R, E>(kind: ActorKind<S, C, R, E>, request: Send<C>): Effect.Effect<R, SendError> =>
      Effect.gen(function*() {
        const store = journal.of(kind)
        const id = request.id ?? commandIdFrom(clock.real(), Math.random(), Math.random(), Math.random())
        for (;;) {
          const known = yield* store.outcomes([{ actor: request.actor, command: id }])
          // Encoded by the kind's own schema a moment ago.
          if (known[0] !== undefined) return known[0].reply as R
          const loaded = yield* store.load([request.actor])
          const live: Loaded<S> = loaded[0] ?? {
            actor: request.actor,
            state: kind.decider.initial(request.actor),
            fence: { version: 0, writer: "", cell, epoch: 0 },
            clock: 0
          }
          const unit = new UnitBuilder(kind, request.actor, live)
          const { reply } = unit.decide(request.command, clock.now(), id, "hash", Number.POSITIVE_INFINITY)
          const [verdict] = yield* store.commit([unit.build("local").unit])
          if (verdict?._tag === "Fault") return yield* new CommandFault({ reason: verdict.reason })
          if (verdict?._tag === "Committed") return reply
        }
      }).pipe(
        turn.withPermits(1),
        Effect.catchTags({
          CommitUnknown: ({ reason }) => new NoAnswer({ reason }),
          JournalUnavailable: ({ reason }) => new NoAnswer({ reason })
        }),
        Effect.filterOrFail(() => !mishaps.loseAnswer(kind.name), () => new NoAnswer({ reason: "lost by the test" }))
      )

    return ActorClient.of({
      send: decide,
      sendAll: (kind, requests) => Effect.forEach(requests, (request) => Effect.either(decide(kind, request)))
    })
  })
)

/** The answer, or the error as a defect. */
export const surely = <A>(either: Either.Either<A, unknown>): A => Either.getOrThrow(either)
