/** The replay's hand on the shop's clock, on a real database without anybody else. */
import { SqlClient } from "@effect/sql"
import * as PgClient from "@effect/sql-pg/PgClient"
import { describe, expect, it } from "@effect/vitest"
import * as ReplayClock from "@hikyaku/server/demo/ReplayClock"
import { prepareDatabase } from "@hikyaku/server/Program"
import { Chunk, Effect, Fiber, Layer, Option, Redacted, Schedule, TestClock } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const minute = 60_000
const start = Date.UTC(2026, 0, 5, 10)

const database = Layer.unwrapScoped(
  Effect.map(freshDatabase(), ({ url }) => PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
)
const shop = ReplayClock.layer.pipe(
  Layer.provideMerge(Layer.effectDiscard(prepareDatabase)),
  Layer.provideMerge(database),
  Layer.orDie
)

const now = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ readonly at: number }>`select (extract(epoch from shop_now()) * 1000)::float8 as at`,
    (rows) => rows[0]?.at
  ))
const product = (id: string, dueAt: number) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql`insert into product values (${id}, 1, 'w', 'c', 0, to_timestamp(0), to_timestamp(${dueAt / 1000}::float8), '',
      1000, 1000, 1, null, null, false, false, 0, 0, 0, 0, 0, 0, 0, 0)`
  )

/** What runners do: timers that are due fire. Notes at which instant each did. */
const fireTimers = (fired: Array<readonly [string, number]>) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql<{ readonly id: string; readonly at: number }>`update product set due_at = null where due_at <= shop_now()
      returning id, (extract(epoch from shop_now()) * 1000)::float8 as at`.pipe(
        Effect.tap((rows) => Effect.sync(() => fired.push(...rows.map(({ at, id }) => [id, at] as const)))),
        Effect.repeat(Schedule.spaced("5 millis"))
      )
  )

const realTurn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
/** The end of what runs by the test's clock, while the database answers in real time. */
const adjusting = <A, E>(fiber: Fiber.Fiber<A, E>) =>
  TestClock.adjust("1 seconds").pipe(
    Effect.zipRight(realTurn),
    Effect.zipRight(Fiber.poll(fiber)),
    Effect.repeat({ until: Option.isSome }),
    Effect.zipRight(Fiber.join(fiber))
  )

describe("R6: the replay's clock", () => {
  it.scopedLive("moves on and never back, and makes room for outcomes of its time", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const clock = yield* ReplayClock.ReplayClock
      yield* clock.begin(start)
      expect(yield* now).toBe(start)
      expect(yield* clock.advance(start + minute)).toBe(start + minute)
      expect(yield* clock.advance(start)).toBe(start + minute)
      expect(yield* now).toBe(start + minute)
      const far = start + 300 * 1_440 * minute
      yield* clock.advance(far)
      for (const at of [start, start + 44 * 1_440 * minute, start + 200 * 1_440 * minute, far, far + 1_440 * minute]) {
        const id = `${at.toString(16).padStart(12, "0").replace(/^(.{8})/, "$1-")}-7000-8000-000000000000`
        yield* sql`insert into outcome (kind, actor, command, hash, reply) values ('K', 'a', ${id}::uuid, '', '{}')`
      }
      yield* clock.end
      expect(Math.abs(((yield* now) ?? 0) - Date.now())).toBeLessThan(minute)
      expect(yield* sql`select mode, instant from shop_clock`).toEqual([{ mode: "real", instant: null }])
    }).pipe(Effect.provide(shop)), 60_000)

  it.scopedLive("rests on its way wherever a timer is due, near its due time", () =>
    Effect.gen(function*() {
      const clock = yield* ReplayClock.ReplayClock
      const fired: Array<readonly [string, number]> = []
      yield* Effect.forkScoped(fireTimers(fired))
      yield* clock.begin(start)
      yield* product("past", start - minute)
      yield* product("soon", start + 7 * minute)
      yield* product("neighbour", start + 9 * minute)
      yield* product("later", start + 33 * minute)
      yield* product("beyond", start + 500 * minute)
      yield* clock.pass(start + 60 * minute)
      expect(fired).toEqual([
        ["past", start],
        ["soon", start + 10 * minute],
        ["neighbour", start + 10 * minute],
        ["later", start + 40 * minute]
      ])
      expect(yield* now).toBe(start + 60 * minute)
      expect(yield* clock.backlog()).toMatchObject({ timers: 0, outbox: 0 })
    }).pipe(Effect.provide(shop)), 60_000)

  it.scopedLive("rests where a run begins, and waits for none that begins later", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const clock = yield* ReplayClock.ReplayClock
      const began: Array<readonly [string, number]> = []
      const run = (id: string, beginsAt: number) =>
        sql`insert into run (id, campaign, version, cause, parameters, class, priority, started_at, begins_at, deadline)
          values (${id}, 'c', 1, '{}', '{}', 'realtime', 0, to_timestamp(${beginsAt / 1000}::float8),
            to_timestamp(${beginsAt / 1000}::float8), to_timestamp(${(start + 1_440 * minute) / 1000}::float8))`
      /** What the run worker does: it takes no run before its time. */
      yield* Effect.forkScoped(
        sql<{ readonly id: string; readonly at: number }>`update run set status = 'finished'
          where status = 'running' and begins_at <= shop_now()
          returning id, (extract(epoch from shop_now()) * 1000)::float8 as at`.pipe(
          Effect.tap((rows) => Effect.sync(() => began.push(...rows.map(({ at, id }) => [id, at] as const)))),
          Effect.repeat(Schedule.spaced("5 millis"))
        )
      )
      yield* Effect.forkScoped(fireTimers([]))
      yield* clock.begin(start)
      // As a stretch of a replay does: its events are judged before the clock has come to the last of them.
      yield* run("now", start)
      yield* run("later", start + 50 * minute)
      yield* run("beyond", start + 90 * minute)
      yield* product("timer", start + 9 * minute)
      yield* clock.settle
      expect(began).toEqual([["now", start]])
      yield* clock.pass(start + 60 * minute)
      expect(began).toEqual([["now", start], ["later", start + 50 * minute]])
    }).pipe(Effect.provide(shop)), 60_000)

  it.scopedLive(
    "follows the shop's work only as far as the first deadline of what is on its way",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const clock = yield* ReplayClock.ReplayClock
        const at = (minutes: number) => new Date(start + minutes * minute)
        const delivery = (id: string, deadline: number) =>
          sql`insert into delivery (id, run, campaign, version, member, channel, class, priority, status, not_before, deadline,
          held, created_at) values (${id}, 'r', 'c', 1, 'm', 'mail', 'realtime', 0, 'due', ${at(0)}, ${
            at(deadline)
          }, false,
          ${at(0)})`
        const list = (id: string, status: string, deadline: number) =>
          sql`insert into delivery_list (id, provider, owner, epoch, campaign, version, class, channel, priority, status,
          recipients, deadline, due_since)
        values (${id}, 'main', 'o', 1, 'c', 1, 'realtime', 'mail', 0, ${status}, 1, ${at(deadline)}, ${at(0)})`
        const justBefore = (minutes: number) => start + minutes * minute - 1_000
        yield* clock.begin(start)
        yield* delivery("due", 20)
        yield* list("sending", "sending", 40)
        yield* list("sent", "sent", 5)
        expect(yield* clock.follow(start + 10 * minute)).toBe(start + 10 * minute)
        expect(yield* clock.follow(start + 90 * minute)).toBe(justBefore(20))
        expect(yield* now).toBe(justBefore(20))
        yield* sql`update delivery set status = 'listed'`
        expect(yield* clock.follow(start + 90 * minute)).toBe(justBefore(40))
        // What is late already holds nothing up for good: whoever waits for rest moves on.
        yield* delivery("late", 30)
        expect(yield* clock.follow(start + 90 * minute)).toBe(justBefore(40))
        expect(yield* clock.advance(start + 90 * minute)).toBe(start + 90 * minute)
        yield* sql`update delivery_list set status = 'sent'`
        yield* sql`update delivery set status = 'expired'`
        expect(yield* clock.follow(start + 100 * minute)).toBe(start + 100 * minute)
      }).pipe(Effect.provide(shop)),
    60_000
  )

  it.scoped(
    "lets a send end that was accepted a stretch ago at most, and waits for it before time goes on beyond",
    () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const clock = yield* ReplayClock.ReplayClock
        const list = (id: string, status: string, sentAt: number) =>
          sql`insert into delivery_list (id, provider, owner, epoch, campaign, version, class, channel, priority, status,
            recipients, deadline, due_since, sent_at)
          values (${id}, 'main', 'o', 1, 'c', 1, 'realtime', 'mail', 0, ${status}, 1,
            to_timestamp(${(start + 1_440 * minute) / 1000}::float8), to_timestamp(${start / 1000}::float8),
            to_timestamp(${sentAt / 1000}::float8))`
        const told = sql`insert into delivery_sent (delivery, member, at)
        select id, 'm', sent_at from delivery_list where id = 'sent'`
        /** What a dispatcher and the relay do in the end; at which instant they did. */
        const ends = sql<{ readonly at: number }>`with ended as (
          update delivery_list set status = 'completed' where status = 'sent' returning 1),
        heard as (update delivery_sent set relayed_at = clock_timestamp() where relayed_at is null returning 1)
        select (extract(epoch from shop_now()) * 1000)::float8 as at from shop_clock
        where exists (select from ended) and exists (select from heard)`
        yield* clock.begin(start)
        yield* list("sent", "sent", start)
        yield* told
        yield* clock.pass(start + 60 * minute)
        expect(yield* clock.backlog(start)).toMatchObject({ deliveries: 0 })
        expect(yield* clock.backlog(start + 1)).toMatchObject({ deliveries: 2 })
        expect(yield* clock.backlog()).toMatchObject({ deliveries: 2 })

        const later = start + ReplayClock.endsWithinMs + minute
        const passing = yield* Effect.fork(clock.pass(later))
        // It has looked, and waits until it looks again; or it has passed.
        yield* Effect.repeat(
          Effect.zipRight(realTurn, Effect.all([TestClock.sleeps(), Fiber.poll(passing)])),
          { until: ([sleeps, exit]) => Chunk.isNonEmpty(sleeps) || Option.isSome(exit) }
        )
        expect(yield* Fiber.poll(passing)).toEqual(Option.none())
        expect(yield* now).toBe(start + 60 * minute)
        expect(yield* ends).toEqual([{ at: start + 60 * minute }])
        yield* adjusting(passing)
        expect(yield* now).toBe(later)

        // One that is not known to have been accepted never lags behind.
        yield* list("sending", "sending", later)
        expect(yield* clock.backlog(later)).toMatchObject({ deliveries: 1 })
      }).pipe(Effect.provide(shop)),
    60_000
  )

  it.scoped("says what it waits for when nothing moves any more", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const clock = yield* ReplayClock.ReplayClock
      yield* clock.begin(start)
      yield* sql`insert into outbox (kind, actor, version, happenings) values ('Product', 'p', 1, '[]')`
      const settling = yield* Effect.fork(Effect.flip(clock.settle))
      const stuck = yield* adjusting(settling)
      expect(stuck).toMatchObject({ _tag: "PipelineStuck", instant: start, waitsFor: "outbox: 1" })
      expect(stuck.message).toContain("2026-01-05T10:00:00.000Z")
    }).pipe(Effect.provide(shop)), 60_000)
})
