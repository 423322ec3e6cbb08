/**
 * A runner of the demo's cluster is killed while carts come in and messages go out. So that it dies amid all that on every
 * machine, the database stops whoever records the first mail as sent until the runner is dead.
 */
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { Deferred, Effect, Schedule } from "effect"
import { expectInvariants, smallShop, startDemo } from "../DemoRun.ts"

/** Key of the advisory lock that stands for "not yet". */
const gate = 4_711

/** Closes the gate; `arrived` completes when somebody waits before it. Opens with `open`, or with the scope. */
const closeGate = (sql: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    yield* sql`create function wait_at_gate() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock_shared(${sql.literal(String(gate))}); return null; end $$`
    yield* sql`create trigger gate after insert on delivery_sent for each row execute function wait_at_gate()`
    const closed = yield* Deferred.make<void>()
    const open = yield* Deferred.make<void>()
    yield* sql`select pg_advisory_xact_lock(${gate})`.pipe(
      Effect.zipRight(Deferred.succeed(closed, undefined)),
      Effect.zipRight(Deferred.await(open)),
      sql.withTransaction,
      Effect.forkScoped
    )
    yield* Deferred.await(closed)
    return {
      arrived: sql<{ readonly waits: boolean }>`select exists(select 1 from pg_locks
        where locktype = 'advisory' and objid = ${gate} and not granted) as waits`.pipe(
        Effect.repeat({ schedule: Schedule.spaced("20 millis"), until: ([found]) => found?.waits === true })
      ),
      open: Deferred.succeed(open, undefined)
    }
  })

describe("G1, G2, G3, G4, G7, G9, G10: a runner is killed (kill -9) during the demo", () => {
  it.scopedLive("changes none of the invariants", () =>
    Effect.gen(function*() {
      const demo = yield* startDemo(
        smallShop,
        (sql) => Effect.zipRight(Effect.provideService(migrate, SqlClient.SqlClient, sql), closeGate(sql))
      )
      const { arrived, open } = demo.prepared
      const { runners } = yield* demo.places
      yield* Effect.raceFirst(arrived, Effect.flatMap(demo.ended, () => Effect.dieMessage("no mail was ever sent")))
      const [carts] = yield* demo.sql<{ readonly n: number }>`select count(*)::int as n from allocation`
      expect(carts?.n).toBeGreaterThan(0)
      const [victim] = runners
      yield* Effect.sync(() => process.kill(victim?.pid ?? 0, "SIGKILL"))
      yield* open

      const { output, report } = yield* demo.ended
      expect(output).toContain("runner-1")
      expect(report.runnersLost).toBe(1)
      yield* expectInvariants(report, demo.sql)
    }), 170_000)
})
