import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import * as Nudge from "@hikyaku/cluster/actor/Nudge"
import { Context, Duration, Effect, Fiber, Layer, Redacted, Stream } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

describe("nudges between processes", () => {
  it.scopedLive("reach whoever listens elsewhere, again after the listener's connection broke", () =>
    Effect.gen(function*() {
      const { url } = yield* freshDatabase()
      const database = PgClient.layer({ url: Redacted.make(url), maxConnections: 3, applicationName: "nudge-test" })
      const processOf = Layer.build(
        Layer.fresh(Nudge.layerWith(Duration.millis(500)).pipe(Layer.provideMerge(database)))
      )
      const here = yield* processOf
      const there = yield* processOf
      const nudge = Context.get(here, Nudge.Nudge)
      const listener = Context.get(there, Nudge.Nudge)
      const sql = Context.get(here, SqlClient.SqlClient)
      /** Tells until it is heard: a listener that has only begun may miss the first. */
      const heard = Effect.gen(function*() {
        const waiting = yield* Effect.fork(listener.beyond("work", listener.told("work")))
        yield* Effect.sync(() => nudge.tell("work")).pipe(
          Effect.delay("20 millis"),
          Effect.repeat({ until: () => waiting.unsafePoll() !== null })
        )
        yield* Fiber.join(waiting)
      })
      yield* heard
      expect(listener.told("other")).toBe(0)
      yield* sql`select pg_terminate_backend(pid) from pg_stat_activity
        where query like 'LISTEN%' and datname = current_database()`
      yield* heard
    }).pipe(Effect.orDie))

  it.scopedLive("what a process tells in one step goes in one notification, and it does not hear itself", () =>
    Effect.gen(function*() {
      const { url } = yield* freshDatabase()
      const database = PgClient.layer({ url: Redacted.make(url), maxConnections: 3 })
      const processOf = Effect.map(
        Layer.build(Layer.fresh(Nudge.layer.pipe(Layer.provideMerge(database)))),
        (context) => Context.get(context, Nudge.Nudge)
      )
      const here = yield* processOf
      const there = yield* processOf
      const sql = Context.get(yield* Layer.build(Layer.fresh(database)), PgClient.PgClient)
      const notifications: Array<string> = []
      yield* sql.listen("hikyaku_nudge").pipe(
        Stream.runForEach((payload) => Effect.sync(() => notifications.push(payload))),
        Effect.forkScoped
      )
      const tells = (from: typeof here, to: typeof here, topic: string) =>
        Effect.gen(function*() {
          const waiting = yield* Effect.fork(to.beyond(topic, to.told(topic)))
          yield* Effect.sync(() => from.tell(topic)).pipe(
            Effect.delay("20 millis"),
            Effect.repeat({ until: () => waiting.unsafePoll() !== null })
          )
          yield* Fiber.join(waiting)
        })
      // All three listen from here on.
      yield* tells(here, there, "begun")
      yield* tells(there, here, "begun too")
      yield* tells(there, here, "watched").pipe(Effect.repeat({ until: () => notifications.length > 0 }))
      yield* Effect.sleep("100 millis")
      notifications.length = 0

      const topics = Array.from({ length: 8 }, (_, n) => `topic ${n}`)
      const heard = yield* Effect.fork(Effect.forEach(topics, (topic) => there.beyond(topic, 0), { discard: true }))
      yield* Effect.sync(() => topics.forEach(here.tell))
      yield* Fiber.join(heard)
      // Notifications come in order: whoever has heard this one has heard those before it.
      yield* tells(there, here, "afterwards")
      yield* Effect.repeat(Effect.sleep("5 millis"), {
        until: () => notifications.some((payload) => payload.includes("afterwards"))
      })
      expect(notifications.filter((payload) => payload.includes("topic"))).toHaveLength(1)
      expect(topics.map(here.told)).toEqual(topics.map(() => 1))
      expect(topics.map(there.told)).toEqual(topics.map(() => 1))
    }).pipe(Effect.orDie))

  it.scopedLive("R25: end with their process, whatever is still listened to", () =>
    Effect.gen(function*() {
      const { url } = yield* freshDatabase()
      const database = PgClient.layer({ url: Redacted.make(url), maxConnections: 3 })
      yield* Effect.gen(function*() {
        // As a process builds its layers.
        const context = yield* Effect.uninterruptible(
          Layer.build(Nudge.layerWith(Duration.days(1)).pipe(Layer.provideMerge(database)))
        )
        const sql = Context.get(context, SqlClient.SqlClient)
        const nudge = Context.get(context, Nudge.Nudge)
        yield* Effect.forkScoped(nudge.beyond("work", nudge.told("work")))
        const listening = sql<{ readonly n: number }>`select count(*)::int as n from pg_stat_activity
          where query like 'LISTEN%' and datname = current_database()`
        yield* Effect.repeat(listening, { until: (rows) => rows[0]?.n === 1 })
      }).pipe(Effect.scoped)
    }).pipe(Effect.orDie), 30_000)
})
