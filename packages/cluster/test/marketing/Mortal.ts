/**
 * A worker that dies at a chosen step. Everything it does to the world goes through the store and the actors, so these two are
 * what is watched: each statement and each call has a point before it and one after it, and a call to several actors one in
 * the midst, where half of them have been told.
 */
import { SqlClient } from "@effect/sql"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { type Context, Deferred, Effect, Fiber } from "effect"

export interface Life {
  /** The points that were passed, in words. */
  readonly passed: Array<string>
  /** Whether it came to the fatal one. */
  readonly died: boolean
}

/** The first words of a statement, to name it by. */
const wordsOf = (query: unknown): string => {
  const text = Array.isArray(query) ? String(query[0]) : String(query)
  return text.trim().replaceAll(/\s+/gu, " ").slice(0, 40)
}

/** Lets `work` live until its `fatal`-th point, counted from 0, or to its end if it has fewer; there it does nothing more. */
export const liveUntil = <A, E, R>(
  fatal: number,
  work: Effect.Effect<A, E, R>
): Effect.Effect<Life, E, R | SqlClient.SqlClient | ActorClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const client = yield* ActorClient
    const passed: Array<string> = []
    const death = yield* Deferred.make<void>()
    let dead = false
    const point = (name: string) =>
      Effect.suspend(() => {
        if (dead) return Effect.never
        passed.push(name)
        if (passed.length <= fatal) return Effect.void
        dead = true
        return Effect.zipRight(Deferred.succeed(death, undefined), Effect.never)
      })
    const around = <A, E, R>(name: string, step: Effect.Effect<A, E, R>) =>
      Effect.zipRight(point(`before ${name}`), Effect.zipLeft(step, point(`after ${name}`)))

    const mortalSql = new Proxy(sql, {
      apply: (target, self, args: ReadonlyArray<unknown>) =>
        around(wordsOf(args[0]), Reflect.apply(target, self, args)),
      get: (target, key) =>
        key === "unsafe"
          ? (...args: Parameters<typeof sql.unsafe>) => around(wordsOf(args[0]), target.unsafe(...args))
          : Reflect.get(target, key)
    })
    const mortalClient: Context.Tag.Service<ActorClient> = {
      ...client,
      send: (kind, request) => around(`send ${kind.name}`, client.send(kind, request)),
      sendAll: (kind, requests) => {
        const half = Math.ceil(requests.length / 2)
        return around(
          `send all ${kind.name}`,
          Effect.gen(function*() {
            const first = yield* client.sendAll(kind, requests.slice(0, half))
            yield* point(`amid send all ${kind.name}`)
            return [...first, ...yield* client.sendAll(kind, requests.slice(half))]
          })
        )
      }
    }
    const worker = yield* Effect.fork(
      work.pipe(Effect.provideService(SqlClient.SqlClient, mortalSql), Effect.provideService(ActorClient, mortalClient))
    )
    const died = yield* Effect.race(
      Effect.as(Fiber.join(worker), false),
      Effect.as(Deferred.await(death), true)
    )
    yield* Fiber.interrupt(worker)
    return { passed, died }
  })
