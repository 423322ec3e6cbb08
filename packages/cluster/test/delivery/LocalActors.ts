/** The actors in this process on a real journal, one command of an actor at a time: what the dispatcher needs of the cluster. */
import { ActorClient, CommandFault, NoAnswer, type Send, type SendError } from "@hikyaku/cluster/actor/ActorClient"
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { type Live, UnitBuilder } from "@hikyaku/cluster/actor/UnitBuilder"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { Array as Arr, Context, Effect, Either, Layer } from "effect"

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
    const lives = new Map<string, { readonly turn: Effect.Semaphore; live: unknown }>()

    const decide = <S, C, R, E>(kind: ActorKind<S, C, R, E>, request: Send<C>): Effect.Effect<R, SendError> => {
      const store = journal.of(kind)
      const key = `${kind.name}/${request.actor}`
      const entry = lives.get(key) ?? { turn: Effect.unsafeMakeSemaphore(1), live: null }
      lives.set(key, entry)
      const fresh = Effect.map(store.load([request.actor]), (loaded): Live<S> =>
        loaded[0] ?? {
          state: kind.decider.initial(request.actor),
          fence: { version: 0, writer: "", cell, epoch: 0 },
          clock: 0
        })
      return Effect.gen(function*() {
        const id = request.id ?? commandIdFrom(clock.real(), Math.random(), Math.random(), Math.random())
        for (;;) {
          // The key says the kind: nothing else is kept under it.
          const live = entry.live === null ? yield* fresh : entry.live as Live<S>
          const unit = new UnitBuilder(kind, request.actor, live)
          const { reply } = unit.decide(request.command, clock.now(), id, "hash", Number.POSITIVE_INFINITY)
          const built = unit.build("local")
          // Now and then an actor is dropped from memory, as after a failover.
          entry.live = null
          const [verdict] = yield* store.commit([built.unit])
          if (verdict?._tag === "Fault") return yield* new CommandFault({ reason: verdict.reason })
          if (verdict?._tag === "Committed") {
            if (Math.random() < 0.9) entry.live = built.live
            return reply
          }
          const known = yield* store.outcomes([{ actor: request.actor, command: id }])
          // Encoded by the kind's own schema a moment ago.
          if (known[0] !== undefined) return known[0].reply as R
        }
      }).pipe(
        entry.turn.withPermits(1),
        Effect.catchTags({
          CommitUnknown: ({ reason }) => new NoAnswer({ reason }),
          JournalUnavailable: ({ reason }) => new NoAnswer({ reason })
        }),
        Effect.filterOrFail(() => !mishaps.loseAnswer(kind.name), () => new NoAnswer({ reason: "lost by the test" }))
      )
    }

    return ActorClient.of({
      send: decide,
      sendEach: () => Effect.die("nobody here wants answers one by one"),
      // In order per actor: a permit may go to whoever comes later than one who waits for it.
      sendAll: (kind, requests) =>
        Effect.gen(function*() {
          const byActor = Arr.groupBy(
            requests.map((request, index) => ({ request, index })),
            (one) => one.request.actor
          )
          const answers = yield* Effect.forEach(
            Object.values(byActor),
            (own) =>
              Effect.forEach(own, ({ index, request }) =>
                Effect.map(Effect.either(decide(kind, request)), (answer) => ({ index, answer }))),
            { concurrency: 100 }
          )
          return answers.flat().toSorted((a, b) =>
            a.index - b.index
          ).map(({ answer }) => answer)
        })
    })
  })
)

/** The answer, or the error as a defect. */
export const surely = <A>(either: Either.Either<A, unknown>): A => Either.getOrThrow(either)
