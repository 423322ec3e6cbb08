/** The client of the actors over the cluster library's messaging. */
import { Sharding } from "@effect/cluster"
import { type CommandId, commandIdFrom } from "@hikyaku/domain/Identifier"
import { Clock, Duration, Effect, Either, FiberSet, Layer } from "effect"
import {
  ActorClient,
  CommandExpired,
  CommandFault,
  ContentDiffers,
  deadlineDefault,
  NoAnswer,
  Overloaded,
  type Send,
  type SendError
} from "./ActorClient.ts"
import type { ActorKind } from "./ActorKind.ts"
import { cellEntity } from "./CellEntity.ts"
import { ClientQueue, type Item, type Post, type QueueLimits, queueLimitsDefault } from "./ClientQueue.ts"
import { cellsDefault } from "./Placement.ts"
import { decodeAnswer, encodable, encodeGroups, type WireAnswer, type WireGroup, type WireReply } from "./Wire.ts"

/**
 * A message that is not answered by then is sent again; the ids make that safe. A runner that lives answers within
 * `directTimeout`, so that longer silence means a message swallowed by a dying one (P8) or a runner that is overwhelmed: for
 * the latter's sake the wait doubles with each message in a row that one cell leaves unanswered.
 */
const messageTimeoutMin = 800
const messageTimeoutMax = 5000
/** How often deadlines are looked at: what a caller may wait beyond its own. */
const expireInterval = Duration.millis(25)

export interface ClientOptions {
  /** Cells per kind; the same in every process of a cluster, checked against the store. */
  readonly cells?: number | undefined
  readonly limits?: Partial<QueueLimits> | undefined
}

/** A fresh command id by the process's clock. */
const mint = (now: number): CommandId => commandIdFrom(now, Math.random(), Math.random(), Math.random())

const isRepeat = (reply: WireReply): boolean => reply._tag === "Reply" && reply.repeated === true

const toResult = <Reply>(id: CommandId, reply: WireReply): Either.Either<Reply, SendError> => {
  switch (reply._tag) {
    case "Reply":
      // The runner has encoded it by the kind's schema; both sides are ours.
      return Either.right(reply.reply as Reply)
    case "Overloaded":
      return Either.left(new Overloaded({ retryAfter: reply.retryAfter }))
    case "Differs":
      return Either.left(new ContentDiffers({ command: id }))
    case "Expired":
      return Either.left(new CommandExpired({ command: id, reason: reply.reason }))
    case "Fault":
      return Either.left(new CommandFault({ reason: reply.reason }))
    case "Late":
    case "Moved":
    case "Pending":
      return Either.left(new NoAnswer({ reason: "no answer within the deadline" }))
  }
}

/** Finds the commands that cannot travel: they are faults, the others of the message are sent again. */
const withoutFaults = (groups: ReadonlyArray<WireGroup>): WireAnswer => ({
  runner: null,
  groups: groups.map((group) =>
    group.commands.map(({ command }): WireReply =>
      encodable(command) ? { _tag: "Pending" } : { _tag: "Fault", reason: "the command cannot be encoded" }
    )
  )
})

const encoded = (groups: ReadonlyArray<WireGroup>): Uint8Array | null => {
  try {
    return encodeGroups(groups)
  } catch {
    return null
  }
}

const make = (options: ClientOptions) =>
  Effect.gen(function*() {
    const sharding = yield* Sharding.Sharding
    const run = yield* FiberSet.makeRuntime<never>()
    const clock = yield* Clock.clockWith(Effect.succeed)
    const queues = new Map<string, ClientQueue>()
    const monotonic = () => performance.now()

    const open = (kind: string) =>
      Effect.gen(function*() {
        const client = yield* sharding.makeClient(cellEntity(kind))
        // Somebody else may have opened it meanwhile; two queues would not keep one order (R7).
        const opened = queues.get(kind)
        if (opened !== undefined) return opened
        const handles = new Map<string, ReturnType<typeof client>>()
        /** ms to wait for the next message, of cells that left the last one unanswered. */
        const patience = new Map<string, number>()
        const post: Post = (carrier, groups, done) => {
          const bytes = encoded(groups)
          if (bytes === null) {
            done(withoutFaults(groups))
            return
          }
          let handle = handles.get(carrier)
          if (handle === undefined) handles.set(carrier, handle = client(carrier))
          run(
            handle.Handle({ bytes }).pipe(
              Effect.map(decodeAnswer),
              Effect.timeout(Duration.millis(patience.get(carrier) ?? messageTimeoutMin)),
              Effect.tap(() => Effect.sync(() => patience.delete(carrier))),
              Effect.catchTag("TimeoutException", () =>
                Effect.sync(() => {
                  patience.set(carrier, Math.min(messageTimeoutMax, 2 * (patience.get(carrier) ?? messageTimeoutMin)))
                  return null
                })),
              // A lost runner shows as an error, a defect or an interrupt of the call: all mean "send again".
              Effect.catchAllCause(() => Effect.succeed(null)),
              Effect.tap((answer) => Effect.sync(() => done(answer)))
            )
          )
        }
        const queue = new ClientQueue({
          cells: options.cells ?? cellsDefault,
          limits: { ...queueLimitsDefault, ...options.limits },
          post,
          rest: (ms, wake) => run(Effect.sleep(Duration.millis(ms)).pipe(Effect.andThen(Effect.sync(wake)))),
          monotonic
        })
        queues.set(kind, queue)
        return queue
      })
    const queueOf = (kind: string): Effect.Effect<ClientQueue> => {
      const queue = queues.get(kind)
      return queue === undefined ? open(kind) : Effect.succeed(queue)
    }

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const queue of queues.values()) queue.close()
      })
    )
    const expire = Effect.sync(() => {
      for (const queue of queues.values()) queue.expire()
    })
    // Not a schedule: it would take ten times the steps, all day long.
    yield* Effect.sleep(expireInterval).pipe(Effect.zipRight(expire), Effect.forever, Effect.forkScoped)

    const itemOf = <Command>(request: Send<Command>, id: CommandId, resume: Item["resume"]): Item => ({
      actor: request.actor,
      id,
      command: request.command,
      at: request.at ?? null,
      trace: request.trace,
      expiresAt: monotonic() + (request.within ?? deadlineDefault),
      resume,
      settled: false,
      sent: false,
      astray: false
    })

    return ActorClient.of({
      send: <State, Command, Reply, Event>(
        kind: ActorKind<State, Command, Reply, Event>,
        request: Send<Command>
      ) =>
        Effect.flatMap(queueOf(kind.name), (queue) =>
          Effect.async<Reply, SendError>((resume) => {
            const id = request.id ?? mint(clock.unsafeCurrentTimeMillis())
            const item = itemOf(request, id, (reply) => resume(toResult<Reply>(id, reply)))
            queue.send(item)
            return Effect.sync(() => queue.abandon(item))
          })),
      sendAll: <State, Command, Reply, Event>(
        kind: ActorKind<State, Command, Reply, Event>,
        requests: ReadonlyArray<Send<Command>>
      ) =>
        Effect.flatMap(queueOf(kind.name), (queue) =>
          Effect.async<ReadonlyArray<Either.Either<Reply, SendError>>>((resume) => {
            const results: Array<Either.Either<Reply, SendError>> = []
            let left = requests.length
            if (left === 0) {
              resume(Effect.succeed(results))
            }
            const now = clock.unsafeCurrentTimeMillis()
            const items = requests.map((request, i) => {
              const id = request.id ?? mint(now)
              return itemOf(request, id, (reply) => {
                results[i] = toResult<Reply>(id, reply)
                if (--left === 0) {
                  resume(Effect.succeed(results))
                }
              })
            })
            for (const item of items) {
              queue.send(item)
            }
            return Effect.sync(() => {
              for (const item of items) {
                queue.abandon(item)
              }
            })
          })),
      sendEach: <State, Command, Reply, Event>(
        kind: ActorKind<State, Command, Reply, Event>,
        requests: ReadonlyArray<Send<Command>>,
        done: (index: number, answer: Either.Either<Reply, SendError>, repeated: boolean) => void
      ) =>
        Effect.map(queueOf(kind.name), (queue) => {
          const now = clock.unsafeCurrentTimeMillis()
          const items = requests.map((request, i) => {
            const id = request.id ?? mint(now)
            return itemOf(request, id, (reply) =>
              done(i, toResult<Reply>(id, reply), isRepeat(reply)))
          })
          for (const item of items) {
            queue.send(item)
          }
          return (index: number) => {
            const item = items[index]
            if (item !== undefined) {
              queue.abandon(item)
            }
          }
        })
    })
  })

export const layer = (options: ClientOptions = {}): Layer.Layer<ActorClient, never, Sharding.Sharding> =>
  Layer.scoped(ActorClient, make(options))
