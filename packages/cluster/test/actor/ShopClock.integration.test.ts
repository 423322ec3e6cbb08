import { SqlClient } from "@effect/sql"
import { describe, expect, it } from "@effect/vitest"
import * as Nudge from "@hikyaku/cluster/actor/Nudge"
import * as ShopClock from "@hikyaku/cluster/actor/ShopClock"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import * as PreparedClient from "@hikyaku/cluster/sql/PreparedClient"
import { Context, Duration, Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const instant = Date.UTC(2011, 0, 3)

const database = Effect.gen(function*() {
  const { url } = yield* freshDatabase()
  const client = PreparedClient.layer({ url: Redacted.make(url), maxConnections: 4, applicationName: "clock-test" })
  const context = yield* Layer.build(client)
  yield* Effect.provide(migrate, context)
  return { client, sql: Context.get(context, SqlClient.SqlClient) }
})

const moveTo = (sql: SqlClient.SqlClient, at: number) =>
  sql`update shop_clock set mode = 'logical', instant = to_timestamp(${at / 1000}::float8)`

/** Tells by hand: no notification of the database comes beside it. */
const byHand = () => {
  let wake = (): void => {}
  let told = 0
  const nudge = Nudge.Nudge.of({
    tell: () => {
      told++
      wake()
    },
    told: () => told,
    beyond: (_topic, seen) =>
      Effect.async((resume) => {
        if (told > seen) return resume(Effect.void)
        wake = () => resume(Effect.void)
      })
  })
  return { nudge, layer: Layer.succeed(Nudge.Nudge, nudge) }
}

/** Sockets have their turn, and no time passes. */
const turn = Effect.promise(() => new Promise<void>((next) => setImmediate(next)))

describe("R6: the shop's clock in a process", () => {
  it.scopedLive("is told when the logical instant moves, and of nothing while it stands", () =>
    Effect.gen(function*() {
      const { client, sql } = yield* database
      const nudge = yield* Layer.build(Layer.fresh(Nudge.layer.pipe(Layer.provide(client))))
      const listener = Context.get(nudge, Nudge.Nudge)
      // Until it listens it may miss what is told.
      const begun = yield* Effect.fork(listener.beyond(Nudge.clockTopic, 0))
      for (let n = 0; begun.unsafePoll() === null; n++) {
        yield* moveTo(sql, instant + n)
        yield* Effect.sleep("10 millis")
      }
      // Notifications come in order: whoever has heard a mark has heard what was told before it.
      const heardAll = (mark: string) =>
        Effect.zipRight(sql`select pg_notify('hikyaku_nudge', ${`|${mark}`})`, listener.beyond(mark, 0))
      yield* heardAll("begun")
      const told = listener.told(Nudge.clockTopic)
      yield* sql`update shop_clock set instant = greatest(instant, to_timestamp(${instant / 1000}::float8))`
      yield* heardAll("stands")
      expect(listener.told(Nudge.clockTopic)).toBe(told)
      yield* moveTo(sql, instant + 3_600_000)
      yield* heardAll("moved")
      expect(listener.told(Nudge.clockTopic)).toBe(told + 1)
    }).pipe(Effect.orDie))

  it.scopedLive("follows as soon as it is told, whatever else wakes it", () =>
    Effect.gen(function*() {
      const { client, sql } = yield* database
      yield* moveTo(sql, instant)
      const { layer, nudge } = byHand()
      const context = yield* Layer.build(ShopClock.layer.pipe(Layer.provide(Layer.merge(client, layer))))
      const clock = Context.get(context, ShopClock.ShopClock)
      expect(clock.now()).toBe(instant)
      expect(clock.logical()).toBe(true)
      const followed = (at: number) =>
        Effect.timed(Effect.repeat(Effect.sleep("1 millis"), { until: () => clock.now() === at }))
      // Nobody tells: it looks by itself, later.
      yield* moveTo(sql, instant + 1_000)
      yield* followed(instant + 1_000)
      // Told between two looks, also while one is under way.
      for (let n = 2; n < 12; n++) {
        yield* moveTo(sql, instant + n * 1_000)
        nudge.tell(Nudge.clockTopic)
        yield* followed(instant + n * 1_000)
      }
    }).pipe(Effect.orDie))

  it.scoped("follows when it is told though no time passes, and not before", () =>
    Effect.gen(function*() {
      const { client, sql } = yield* database
      yield* moveTo(sql, instant)
      const { layer, nudge } = byHand()
      const context = yield* Layer.build(ShopClock.layer.pipe(Layer.provide(Layer.merge(client, layer))))
      const clock = Context.get(context, ShopClock.ShopClock)
      yield* moveTo(sql, instant + 1_000)
      yield* Effect.repeatN(turn, 20)
      expect(clock.now()).toBe(instant)
      nudge.tell(Nudge.clockTopic)
      yield* Effect.repeat(turn, { until: () => clock.now() === instant + 1_000 })
    }).pipe(Effect.orDie), 20_000)

  it.scopedLive("a replay's beginning and its end are noticed without being told", () =>
    Effect.gen(function*() {
      const { client, sql } = yield* database
      const context = yield* Layer.build(ShopClock.layer.pipe(Layer.provide(client)))
      const clock = Context.get(context, ShopClock.ShopClock)
      expect(clock.logical()).toBe(false)
      expect(Math.abs(clock.now() - clock.real())).toBeLessThan(Duration.toMillis("1 seconds"))
      yield* moveTo(sql, instant)
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => clock.logical() })
      expect(clock.now()).toBe(instant)
      yield* sql`update shop_clock set mode = 'real', instant = null`
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => !clock.logical() })
    }).pipe(Effect.orDie))
})
