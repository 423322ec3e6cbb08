import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import * as Nudge from "@hikyaku/cluster/actor/Nudge"
import { Context, Duration, Effect, Fiber, Layer, Redacted } from "effect"
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
