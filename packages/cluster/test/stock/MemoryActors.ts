/**
 * Actors in memory behind the port of the real ones: the same deciders, no cluster, no store. A test can make commands
 * late, so that the caller gives up before they are executed, or refuse them.
 */
import {
  ActorClient,
  CommandFault,
  ContentDiffers,
  deadlineDefault,
  NoAnswer,
  type Send,
  type SendError
} from "@hikyaku/cluster/actor/ActorClient"
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { fingerprint } from "@hikyaku/cluster/actor/Wire"
import { run } from "@hikyaku/domain/Actor"
import { Clock, Context, Effect, Either, FiberId, FiberSet, Layer } from "effect"

/** What becomes of a command: executed, executed only when the test says so, or answered with an error and never executed. */
export type Fate = "now" | "late" | SendError

export class ActorControl extends Context.Tag("test/ActorControl")<ActorControl, {
  /** Judges commands that arrive from now on. */
  readonly judge: (fate: (kind: string, tag: string, actor: string) => Fate) => void
  /** Executes what was late; how many commands that was. */
  readonly catchUp: () => number
  /** Tags of the commands that were executed. */
  readonly executed: () => ReadonlyArray<string>
}>() {}

const tagOf = (command: unknown): string =>
  typeof command === "object" && command !== null && "_tag" in command ? String(command._tag) : "?"

const make = Effect.gen(function*() {
  const clock = yield* Clock.clockWith(Effect.succeed)
  const fork = yield* FiberSet.makeRuntime<never>()
  const states = new Map<string, unknown>()
  const clocks = new Map<string, number>()
  const outcomes = new Map<string, { readonly hash: string; readonly reply: unknown }>()
  const late: Array<() => void> = []
  const executed: Array<string> = []
  let fateOf: (kind: string, tag: string, actor: string) => Fate = () => "now"

  const isKnown = (kind: string, { actor, id }: Send<unknown>): boolean => outcomes.has(`${kind}/${actor}/${id}`)

  const execute = <State, Command, Reply, Event>(
    kind: ActorKind<State, Command, Reply, Event>,
    { actor, at, command, id }: Send<Command>
  ): Either.Either<Reply, SendError> => {
    const key = `${kind.name}/${actor}`
    const hash = fingerprint(command)
    const known = id === undefined ? undefined : outcomes.get(`${key}/${id}`)
    if (known !== undefined) {
      // Written by the same kind below.
      if (known.hash === hash) return Either.right(known.reply as Reply)
      return Either.left(new ContentDiffers({ command: id ?? "" }))
    }
    executed.push(tagOf(command))
    const before = states.has(key) ? states.get(key) as State : kind.decider.initial(actor)
    try {
      // An actor's clock never runs backwards (R6).
      const now = Math.max(at ?? clock.unsafeCurrentTimeMillis(), clocks.get(key) ?? 0)
      clocks.set(key, now)
      const { decision, state } = run(kind.decider, before, command, now)
      states.set(key, state)
      if (decision.final && id !== undefined) outcomes.set(`${key}/${id}`, { hash, reply: decision.reply })
      return Either.right(decision.reply)
    } catch (error) {
      return Either.left(new CommandFault({ reason: String(error) }))
    }
  }

  const send = <State, Command, Reply, Event>(
    kind: ActorKind<State, Command, Reply, Event>,
    request: Send<Command>
  ): Effect.Effect<Reply, SendError> =>
    Effect.suspend(() => {
      const fate = fateOf(kind.name, tagOf(request.command), request.actor)
      if (fate === "now") return execute(kind, request)
      if (fate !== "late") return Effect.fail(fate)
      late.push(() => void execute(kind, request))
      return Effect.delay(Effect.fail(new NoAnswer({ reason: "late" })), request.within ?? deadlineDefault)
    })

  const actors = ActorClient.of({
    send,
    sendEach: (kind, requests, done) =>
      Effect.sync(() => {
        const fibers = requests.map((request, n) => {
          const repeated = isKnown(kind.name, request)
          const fiber = fork(Effect.either(send(kind, request)))
          fiber.addObserver((exit) => exit._tag === "Success" && done(n, exit.value, repeated))
          return fiber
        })
        return (n) => fibers[n]?.unsafeInterruptAsFork(FiberId.none)
      }),
    sendAll: (kind, requests) =>
      Effect.forEach(requests, (request) => Effect.either(send(kind, request)), { concurrency: "unbounded" })
  })
  const control = ActorControl.of({
    judge: (fate) => {
      fateOf = fate
    },
    catchUp: () => {
      const count = late.length
      for (const command of late.splice(0)) command()
      return count
    },
    executed: () => executed
  })
  return Context.make(ActorClient, actors).pipe(Context.add(ActorControl, control))
})

export const layer: Layer.Layer<ActorClient | ActorControl> = Layer.scopedContext(make)
