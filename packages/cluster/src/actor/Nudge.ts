/**
 * Wakes workers when there is something for them, so that they need not look all the time. Within a process it is a call;
 * between processes a notification of the database, which is a hint and no more: it may be lost with its connection, so that
 * a slower look stands behind it.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Duration, Effect, FiberSet, Layer, Stream } from "effect"
import { randomUUID } from "node:crypto"

/** The outbox has rows. */
export const outboxTopic = "outbox"
/** This partition of the event log has events: one topic for each, since whoever is woken asks the database. */
export const eventsTopic = (partition: number): string => `events ${partition}`
/** The shop's clock was moved otherwise than by time's going on; the database itself says so. */
export const clockTopic = "clock"
/** Deliveries may have become due otherwise than by their member's deciding so. */
export const dueTopic = "due"
/** There is something that members are to hear about their deliveries. */
export const owedTopic = "owed"
/** Actors have written to this table, which is one that is awaited. */
export const writtenTopic = (table: string): string => `written ${table}`

export class Nudge extends Context.Tag("@hikyaku/cluster/Nudge")<Nudge, {
  /** Says that there is something; cheap, and called as often as there is. */
  readonly tell: (topic: string) => void
  /** Grows with everything that is told of the topic. */
  readonly told: (topic: string) => number
  /** Waits until more was told of the topic than `seen`: ask `told` before you look, and nothing falls in between. */
  readonly beyond: (topic: string, seen: number) => Effect.Effect<void>
}>() {}

interface Topic {
  told: number
  readonly waiting: Set<() => void>
}

const makeLocal = () => {
  const topics = new Map<string, Topic>()
  const of = (name: string): Topic => {
    let topic = topics.get(name)
    if (topic === undefined) topics.set(name, topic = { told: 0, waiting: new Set() })
    return topic
  }
  const tell = (name: string) => {
    const topic = of(name)
    topic.told++
    for (const wake of [...topic.waiting]) wake()
  }
  const beyond = (name: string, seen: number) =>
    Effect.async<void>((resume) => {
      const topic = of(name)
      if (topic.told > seen) {
        resume(Effect.void)
        return
      }
      const wake = () => {
        topic.waiting.delete(wake)
        resume(Effect.void)
      }
      topic.waiting.add(wake)
      return Effect.sync(() => topic.waiting.delete(wake))
    })
  return { tell, told: (name: string) => of(name).told, beyond }
}

/** Within one process. */
export const layerMemory: Layer.Layer<Nudge> = Layer.sync(Nudge, () => Nudge.of(makeLocal()))

const channel = "hikyaku_nudge"
/** A notification: who tells, then the topics. */
const originEnd = "|"
const topicEnd = "\n"
/** Least time between two notifications of a process: what it tells meanwhile is told once, at its end. */
const tellInterval = Duration.millis(25)
/** Topics in one notification: far below the 8,000 bytes that PostgreSQL takes. */
const topicsMax = 64
/** How long a listener rests that could not listen. */
const listenRest = Duration.seconds(1)
/** How long it listens on one connection: one that breaks says nothing, and would be listened to for ever. */
export const listenFor = Duration.seconds(15)

const make = (connectionFor: Duration.Duration) =>
  Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    const run = yield* FiberSet.makeRuntime<never>()
    const local = makeLocal()
    /** Whoever listens to others hears itself too, and has been told already. */
    const origin = randomUUID()
    /** Topics that the others are not told of yet. */
    const untold = new Set<string>()
    let telling = false
    const tellOthers = Effect.gen(function*() {
      // What one step of this process tells goes together.
      yield* Effect.yieldNow()
      while (untold.size > 0) {
        const topics = [...untold].slice(0, topicsMax)
        for (const topic of topics) untold.delete(topic)
        // A hint: who misses it looks by themselves.
        yield* Effect.ignore(sql`select pg_notify(${channel}, ${`${origin}${originEnd}${topics.join(topicEnd)}`})`)
        yield* Effect.sleep(tellInterval)
      }
      telling = false
    })
    const hear = (payload: string): void => {
      const end = payload.indexOf(originEnd)
      if (payload.slice(0, Math.max(end, 0)) === origin) return
      for (const topic of payload.slice(end + 1).split(topicEnd)) local.tell(topic)
    }
    let listening = false
    const listen = () => {
      if (listening) return
      listening = true
      run(
        sql.listen(channel).pipe(
          Stream.runForEach((payload) => Effect.sync(() => hear(payload))),
          // Of the whole and not of the stream, which would race each notification against the end.
          Effect.timeoutOption(connectionFor),
          // Not to be heard from a connection that is gone is no fault, nor is its end.
          Effect.as(Duration.zero),
          Effect.catchAllCause(() => Effect.succeed(listenRest)),
          Effect.flatMap(Effect.sleep),
          Effect.forever,
          // Begun where a layer is built, which may not be interruptible; a process that ends waits for nobody's next word (R25).
          Effect.interruptible
        )
      )
    }
    return Nudge.of({
      told: local.told,
      beyond: (topic, seen) => {
        listen()
        return local.beyond(topic, seen)
      },
      tell: (topic) => {
        local.tell(topic)
        untold.add(topic)
        if (telling) return
        telling = true
        run(Effect.interruptible(tellOthers))
      }
    })
  })

/** Between processes; each tells, and those listen that wait for something. A connection is listened to for so long. */
export const layerWith = (connectionFor: Duration.Duration): Layer.Layer<Nudge, never, PgClient.PgClient> =>
  Layer.scoped(Nudge, make(connectionFor))

export const layer = layerWith(listenFor)
