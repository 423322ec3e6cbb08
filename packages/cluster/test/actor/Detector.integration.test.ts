import { MessageStorage, Runners, ShardingConfig } from "@effect/cluster"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import * as Detector from "@hikyaku/cluster/actor/Detector"
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import { journalSession, runnerSession } from "@hikyaku/cluster/sql/DatabaseSession"
import { sql as runtime } from "@hikyaku/cluster/sql/migrations/0001_runtime"
import { Context, Effect, Layer, Redacted } from "effect"
import { counterKind } from "../../../../test/contracts/CounterKind.ts"
import { freshDatabase } from "../../../../test/Database.ts"

const noRunners = Runners.layerNoop.pipe(
  Layer.provide([MessageStorage.layerNoop, ShardingConfig.layer()])
)

/** Runners r1 to rN in the database, and probers that reach whom `reaches` says. */
const house = (options: {
  readonly runners: number
  readonly probers: ReadonlyArray<string>
  readonly reaches: (prober: string, runner: string) => boolean
}) =>
  Effect.gen(function*() {
    const { url } = yield* freshDatabase()
    const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 }))
    const context = yield* Layer.build(client)
    const database = yield* Effect.provide(SqlClient.SqlClient, context)
    yield* database.unsafe(runtime)
    yield* database.unsafe(`create table cluster_runners (
      machine_id serial primary key, address varchar(255) not null unique, runner text not null,
      healthy boolean not null default true, last_heartbeat timestamp not null default now())`)
    for (let i = 1; i <= options.runners; i++) {
      yield* database`insert into cluster_runners (address, runner) values (${`r${i}:1`}, '')`
    }
    /** Probes of each prober so far. */
    const probes = new Map(options.probers.map((prober) => [prober, 0]))
    for (const prober of options.probers) {
      const runners = Layer.effect(
        Runners.Runners,
        Effect.map(Runners.Runners, (noop) =>
          Runners.Runners.of({
            ...noop,
            ping: (address) =>
              Effect.suspend(() => {
                probes.set(prober, (probes.get(prober) ?? 0) + 1)
                return options.reaches(prober, address.host) ? Effect.void : Effect.never
              })
          }))
      ).pipe(Layer.provide(Layer.fresh(noRunners)))
      yield* Layer.build(Layer.fresh(Detector.layer(prober)).pipe(Layer.provide(runners), Layer.provide(client)))
    }
    const down = Effect.map(
      database<{ readonly address: string }>`select address from cluster_runners where not healthy order by address`,
      (rows) => rows.map(({ address }) => address)
    )
    const until = (test: (down: ReadonlyArray<string>) => boolean) => Effect.repeat(down, { until: test })
    /** Lets every prober go round a few more times; which runners were out of service meanwhile, however shortly. */
    const rounds = Effect.suspend(() => {
      const enough = new Map([...probes].map(([prober, count]) => [prober, count + 4 * options.runners]))
      const seen = new Set<string>()
      return Effect.repeat(Effect.tap(down, (found) => Effect.sync(() => found.forEach((each) => seen.add(each)))), {
        until: () => [...enough].every(([prober, count]) => (probes.get(prober) ?? 0) >= count)
      }).pipe(Effect.map(() => [...seen]))
    })
    return { database, down, until, rounds, url }
  }).pipe(Effect.orDie)

describe("R22: the detector", () => {
  it.scopedLive("two that agree take a runner out of service; who reaches it again puts it back", () =>
    Effect.gen(function*() {
      let gone = true
      const { until } = yield* house({
        runners: 2,
        probers: ["g1", "g2"],
        reaches: (_, runner) => !(gone && runner === "r1")
      })
      yield* until((down) => down.includes("r1:1"))
      gone = false
      yield* until((down) => down.length === 0)
    }))

  it.scopedLive("one alone among several does not", () =>
    Effect.gen(function*() {
      const { rounds } = yield* house({
        runners: 2,
        probers: ["g1", "g2", "g3"],
        reaches: (prober, runner) => !(prober === "g1" && runner === "r1")
      })
      // Not even until the next one who reaches it puts it back.
      expect(yield* rounds).toEqual([])
    }))

  it.scopedLive("never more than half of the runners are out", () =>
    Effect.gen(function*() {
      const { down, rounds, until } = yield* house({ runners: 3, probers: ["g1", "g2"], reaches: () => false })
      yield* until((down) => down.length > 0)
      yield* rounds
      expect(yield* down).toHaveLength(1)
    }), 120_000)

  it.scopedLive("a hung runner's journal sessions are ended, and nobody else's", () =>
    Effect.gen(function*() {
      const { database, until, url } = yield* house({
        runners: 2,
        probers: ["g1"],
        reaches: (_, runner) => runner !== "r1"
      })
      // A name in the connection string is none of theirs.
      const named = new URL(url)
      named.searchParams.set("application_name", "the shop")
      const journalOf = (member: string) =>
        Layer.build(
          Layer.fresh(journalLayer).pipe(
            Layer.provide(JournalSettings.layer(Redacted.make(named.href), journalSession(member)))
          )
        ).pipe(Effect.flatMap((context) => Context.get(context, Journal).of(counterKind).load(["a"]).pipe(Effect.exit)))
      const sessions = database<{ readonly name: string }>`select application_name as name from pg_stat_activity
        where datname = current_database() and application_name like 'hikyaku-journal%' order by 1`
      yield* journalOf("r1:1")
      yield* journalOf("r2:1")
      const names = Effect.map(sessions, (rows) => rows.map(({ name }) => name))
      // The detector may have been here already; then it finds r1 down and ends nothing more.
      yield* until((down) => down.includes("r1:1"))
      yield* Effect.repeat(names, { until: (rows) => !rows.includes("hikyaku-journal r1:1") })
      expect(yield* names).toEqual(["hikyaku-journal r2:1"])
    }))

  it.scopedLive("a hung runner's sessions are ended, so that its locks are free", () =>
    Effect.gen(function*() {
      const { database, until } = yield* house({ runners: 2, probers: ["g1"], reaches: (_, runner) => runner !== "r1" })
      const name = runnerSession("r1:1")
      yield* database`select set_config('application_name', ${name}, false)`.pipe(
        Effect.andThen(until((down) => down.includes("r1:1"))),
        // The session that bears the name ends under it.
        Effect.ignore
      )
      const sessions = database<{ readonly n: number }>`select count(*)::int as n from pg_stat_activity
        where application_name = ${name} and datname = current_database()`
      yield* Effect.repeat(Effect.retry(sessions, { times: 20 }), { until: (rows) => rows[0]?.n === 0 })
    }))
})
