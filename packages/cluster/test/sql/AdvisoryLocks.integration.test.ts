import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import * as AdvisoryLocks from "@hikyaku/cluster/sql/AdvisoryLocks"
import { Context, Effect, Fiber, Layer, Option, Redacted, Schedule } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const beat = { text: "select $1::text", values: ["alive"] }

/** A database, holders of locks on it, and a look at who holds what. */
const house = Effect.gen(function*() {
  const { url } = yield* freshDatabase()
  const context = yield* Layer.build(Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 2 })))
  const sql = Context.get(context, SqlClient.SqlClient)
  const holder = (session: string, settings: Partial<AdvisoryLocks.AdvisoryLockSettings> = {}) =>
    AdvisoryLocks.make({ ...AdvisoryLocks.advisoryLockDefaults, connectionString: url, session, beat, ...settings })
  const heldBy = (session: string) =>
    sql<{ readonly key: number }>`select objid::int as key from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and granted and application_name = ${session} and database =
        (select oid from pg_database where datname = current_database()) order by objid`.pipe(
      Effect.map((rows) => rows.map(({ key }) => key)),
      Effect.orDie
    )
  const until = (session: string, keys: ReadonlyArray<number>) =>
    Effect.repeat(heldBy(session), {
      until: (held) => JSON.stringify(held) === JSON.stringify(keys),
      schedule: Schedule.spaced("10 millis")
    })
  const end = (session: string) =>
    sql`select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = ${session}`
  return { end, heldBy, holder, until }
})

describe("locks that outlive their session", () => {
  it.scopedLive("are of one holder at a time, until they are given back", () =>
    Effect.gen(function*() {
      const { heldBy, holder } = yield* house
      const one = yield* holder("one")
      const two = yield* holder("two")
      expect(yield* one.acquire([1, 2, 3])).toEqual([1, 2, 3])
      expect(yield* two.acquire([2, 3, 4])).toEqual([4])
      expect(yield* one.acquire([1])).toEqual([1])
      yield* one.release([1, 2])
      expect(yield* heldBy("one")).toEqual([3])
      expect(yield* two.acquire([1, 2, 3])).toEqual([1, 2])
      // What was not to be had is not waited for.
      yield* one.releaseAll
      expect(yield* heldBy("one")).toEqual([])
      yield* two.release([4])
      expect(yield* heldBy("two")).toEqual([1, 2])
    }))

  it.scopedLive("are waited for as long as it is said: until all are there, or no more come", () =>
    Effect.gen(function*() {
      const { holder, until } = yield* house
      const one = yield* holder("one")
      const other = yield* holder("other")
      yield* other.acquire([1, 2])
      const patient = { mostMs: 600_000, moreMs: 600_000, everyMs: 10 }
      const asking = yield* Effect.fork(one.acquire([1, 2, 3], patient))
      yield* until("one", [3])
      yield* other.release([1])
      yield* until("one", [1, 3])
      expect(Option.isNone(yield* Fiber.poll(asking))).toBe(true)
      yield* other.release([2])
      expect(yield* Fiber.join(asking)).toEqual([1, 2, 3])
      // Some are there, and the others do not come; none comes at all.
      expect(yield* other.acquire([3, 4], { ...patient, moreMs: 50 })).toEqual([4])
      expect(yield* other.acquire([1, 2], { ...patient, mostMs: 50 })).toEqual([])
    }))

  it.scopedLive("R22: come back by themselves when somebody has ended the session, and count as held meanwhile", () =>
    Effect.gen(function*() {
      const { end, holder, until } = yield* house
      const one = yield* holder("one")
      const keys = Array.from({ length: 300 }, (_, n) => n + 1)
      yield* one.acquire(keys)
      yield* end("one")
      expect(one.kept(keys)).toEqual(keys)
      yield* until("one", keys)
      expect(one.kept(keys)).toEqual(keys)
    }))

  it.scopedLive("that another has taken meanwhile are waited for, and given up when they do not come back in time", () =>
    Effect.gen(function*() {
      const { end, holder, until } = yield* house
      const patient = yield* holder("patient")
      const hasty = yield* holder("hasty", { graceMs: 0 })
      const other = yield* holder("other")
      yield* patient.acquire([1, 2])
      yield* hasty.acquire([3, 4])
      yield* Effect.forEach([["patient", 1], ["hasty", 3]] as const, ([session, key]) =>
        end(session).pipe(
          Effect.zipRight(other.acquire([key])),
          // Whether the other was quicker is chance.
          Effect.repeat({ until: (got) => got.length > 0 })
        ))
      yield* until("patient", [2])
      expect(patient.kept([1, 2])).toEqual([1, 2])
      yield* until("hasty", [4])
      expect(hasty.kept([3, 4])).toEqual([4])
      yield* other.releaseAll
      yield* until("patient", [1, 2])
      // What was given up is nobody's until it is asked for again.
      expect(hasty.kept([3, 4])).toEqual([4])
      yield* until("hasty", [4])
      expect(yield* hasty.acquire([3])).toEqual([3])
    }))

  it.scopedLive("are not left behind by whoever stopped waiting for them", () =>
    Effect.gen(function*() {
      const { holder, until } = yield* house
      const one = yield* holder("one")
      const other = yield* holder("other")
      yield* one.acquire([1])
      for (let key = 2; key <= 30; key++) {
        const asking = yield* Effect.fork(one.acquire([key]))
        yield* Effect.replicateEffect(Effect.yieldNow(), key)
        yield* Fiber.interrupt(asking)
        // What was on its way arrives, and goes back.
        yield* Effect.repeat(other.acquire([key]), { until: (got) => got.length > 0 })
      }
      yield* until("one", [1])
    }))

  it.scopedLive("are free when their holder's scope closes", () =>
    Effect.gen(function*() {
      const { heldBy, holder } = yield* house
      yield* Effect.scoped(Effect.flatMap(holder("one"), (one) => one.acquire([1, 2])))
      expect(yield* heldBy("one")).toEqual([])
      expect(yield* Effect.flatMap(holder("two"), (two) => two.acquire([1, 2]))).toEqual([1, 2])
    }))
})
