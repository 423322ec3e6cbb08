/** What the contract cannot ask of every journal: locks, broken connections, another timeline, interruption. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { Journal, type Unit } from "@hikyaku/cluster/actor/Journal"
import { JournalSettings, layer } from "@hikyaku/cluster/actor/JournalPostgres"
import { sql as runtime } from "@hikyaku/cluster/sql/migrations/0001_runtime"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { Deferred, Effect, Fiber, Layer, Redacted } from "effect"
import { counterKind, counterSql } from "../../../../test/contracts/CounterKind.ts"
import { freshDatabase } from "../../../../test/Database.ts"
import { start } from "./CellHouse.ts"

const unit = (actor: string, version: number): Unit => ({
  actor,
  base: { version, writer: version === 0 ? "" : "w1", cell: "c1", epoch: 0 },
  writer: "w1",
  change: {
    main: { total: version + 1, ceiling: 10, reminded: null },
    clock: start,
    dueAt: null,
    cell: "c1",
    epoch: 0,
    outcomes: [],
    rows: [],
    outbox: []
  },
  asked: [],
  notAfter: null
})

/** A database of its own whose timeline the test can change, and a journal with one lane on it. */
const house = Effect.gen(function*() {
  const { url } = yield* freshDatabase()
  const client = PgClient.layer({ url: Redacted.make(url), maxConnections: 3 })
  const database = new URL(url).pathname.slice(1)
  yield* Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(runtime)
    yield* sql.unsafe(counterSql)
    yield* sql.unsafe(`
      create table test_timeline (system_identifier bigint);
      insert into test_timeline values (1);
      create function public.pg_control_system() returns table (system_identifier bigint)
        language sql stable as 'select system_identifier from public.test_timeline';
      alter database ${database} set search_path = public, pg_catalog`)
  }).pipe(Effect.provide(client), Effect.scoped)
  const settings = Layer.succeed(JournalSettings, {
    url: Redacted.make(url),
    ...JournalSettings.defaults,
    lanes: 1,
    connections: 2
  })
  const context = yield* Layer.build(Layer.merge(Layer.fresh(layer).pipe(Layer.provide(settings)), Layer.orDie(client)))
  return yield* Effect.gen(function*() {
    const journal = yield* Journal
    return { journal, counters: journal.of(counterKind), sql: yield* SqlClient.SqlClient }
  }).pipe(Effect.provide(context))
})

const tags = (verdicts: ReadonlyArray<{ readonly _tag: string }>) => verdicts.map(({ _tag }) => _tag)
/** How many of the journal's connections wait for a lock. */
const waiting = (sql: SqlClient.SqlClient) =>
  sql<{ readonly n: number }>`select count(*)::int as n from pg_stat_activity
    where application_name = 'hikyaku-journal' and wait_event_type = 'Lock' and datname = current_database()`
/** Repeats until the store answers again. */
const eventually = <A, E>(effect: Effect.Effect<A, E>) => Effect.retry(effect, { times: 20 })

describe("the journal on PostgreSQL", () => {
  it.scopedLive("R25: interruption reaches what has not left yet", () =>
    Effect.gen(function*() {
      const { counters, sql } = yield* house
      expect(tags(yield* counters.commit([unit("a", 0)]))).toEqual(["Committed"])
      const locked = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const lock = yield* Effect.fork(
        sql`select from counter where id = 'a' for update`.pipe(
          Effect.andThen(Deferred.succeed(locked, undefined)),
          Effect.andThen(Deferred.await(release)),
          sql.withTransaction
        )
      )
      yield* Deferred.await(locked)
      const blocked = yield* Effect.fork(counters.commit([unit("a", 1)]))
      const queued = yield* Effect.fork(counters.commit([unit("b", 0)]))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(queued)
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(lock)
      expect(tags(yield* Fiber.join(blocked))).toEqual(["Committed"])
      expect(tags(yield* counters.commit([unit("c", 0)]))).toEqual(["Committed"])
      expect((yield* counters.load(["a", "b", "c"])).map(({ actor, fence }) => `${actor}${fence.version}`).toSorted())
        .toEqual(["a2", "c1"])
    }))

  it.scopedLive("R4: a connection that breaks leaves the commit unknown, and the next one is fresh", () =>
    Effect.gen(function*() {
      const { counters, sql } = yield* house
      yield* counters.commit([unit("a", 0)])
      const locked = yield* Deferred.make<void>()
      const release = yield* Deferred.make<void>()
      const lock = yield* Effect.fork(
        sql`select from counter where id = 'a' for update`.pipe(
          Effect.andThen(Deferred.succeed(locked, undefined)),
          Effect.andThen(Deferred.await(release)),
          sql.withTransaction
        )
      )
      yield* Deferred.await(locked)
      const blocked = yield* Effect.fork(Effect.flip(counters.commit([unit("a", 1)])))
      yield* Effect.repeat(waiting(sql), { until: (rows) => rows[0]?.n === 1 })
      yield* sql`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'hikyaku-journal' and datname = current_database()`
      expect((yield* Fiber.join(blocked))._tag).toBe("CommitUnknown")
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(lock)
      expect(tags(yield* eventually(counters.commit([unit("a", 1)])))).toEqual(["Committed"])
    }))

  // Against PostgreSQL 18, not only against our fence: see commitSql.
  it.scopedLive("R4: a commit that waits for another writer's is told that it is stale, with outcomes in it", () =>
    Effect.gen(function*() {
      const { counters, sql } = yield* house
      const day = 86_400_000
      yield* sql`select outcome_partitions(${start - day}, ${start + day}, false)`
      let ids = 0
      const command = () => commandIdFrom(start + ids++, 0.5, 0.25, 0.125)
      const remembering = (actor: string): Unit => {
        const next = unit(actor, 1)
        const outcomes = [{ command: command(), hash: "h", reply: {} }]
        return { ...next, asked: [command()], change: { ...next.change!, outcomes } }
      }
      // Which group finds the freed memory in use again is a matter of its size.
      for (const size of [1, 2, 3, 5, 8, 13, 30, 60, 100, 200]) {
        const actors = Array.from({ length: size }, (_, n) => `a${size}-${n}-${"x".repeat(n % 40)}`)
        yield* counters.commit(actors.map((actor) => unit(actor, 0)))
        const locked = yield* Deferred.make<void>()
        const release = yield* Deferred.make<void>()
        const rival = yield* Effect.fork(
          sql`update counter set version = version + 1, writer = 'w2' where id = ${actors[0]!}`.pipe(
            Effect.andThen(Deferred.succeed(locked, undefined)),
            Effect.andThen(Deferred.await(release)),
            sql.withTransaction
          )
        )
        yield* Deferred.await(locked)
        const waits = yield* Effect.fork(counters.commit(actors.map(remembering)))
        yield* Effect.repeat(waiting(sql), { until: (rows) => rows[0]?.n === 1 })
        yield* Deferred.succeed(release, undefined)
        yield* Fiber.join(rival)
        expect(tags(yield* Fiber.join(waits))).toEqual(actors.map((_, n) => n === 0 ? "Stale" : "Committed"))
      }
    }))

  it.scopedLive("R5: what was decided on one timeline is not committed on another", () =>
    Effect.gen(function*() {
      const { counters, journal, sql } = yield* house
      yield* counters.commit([unit("a", 0)])
      expect(journal.generation()).toBe(0)
      yield* sql`update test_timeline set system_identifier = 2`
      yield* sql`select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'hikyaku-journal' and datname = current_database()`
      // A cell that has noticed nothing yet goes on until it is told.
      const before = () => journal.generation() === 0
      yield* Effect.repeat(Effect.either(counters.commit([unit("a", 1)])), { while: before })
      expect((yield* eventually(counters.load(["a"])))[0]?.fence.version).toBe(1)
      expect(journal.generation()).toBe(1)
      expect(tags(yield* counters.commit([unit("a", 1)]))).toEqual(["Committed"])
    }))
})
