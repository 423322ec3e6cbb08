import { Runner, RunnerAddress, RunnerStorage, ShardId, ShardingConfig, SqlRunnerStorage } from "@effect/cluster"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import * as RunnerStoragePostgres from "@hikyaku/cluster/actor/RunnerStoragePostgres"
import { Context, Effect, Fiber, Layer, Option, Redacted, Schedule } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const address = (port: number) => RunnerAddress.make("127.0.0.1", port)
const runner = (port: number) => Runner.make({ address: address(port), groups: ["default", "hot"], weight: 1 })

const runnersOf = (storage: typeof RunnerStorage.RunnerStorage.Service) =>
  Effect.map(storage.getRunners, (found) => found.toSorted(([a], [b]) => a.address.port - b.address.port))

/** The library's own adapter, which makes its tables, and ours beside it, on one database. */
const both = Effect.gen(function*() {
  const { url } = yield* freshDatabase()
  const database = yield* Layer.build(Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })))
  const store = (port: number, layer: typeof RunnerStoragePostgres.layer) =>
    Layer.build(
      Layer.fresh(layer).pipe(
        Layer.provide(ShardingConfig.layer({
          runnerAddress: Option.some(address(port)),
          availableShardGroups: ["hot", "default"],
          assignedShardGroups: ["hot", "default"]
        })),
        Layer.provide(Layer.succeedContext(database))
      )
    ).pipe(Effect.map(Context.get(RunnerStorage.RunnerStorage)))
  const library = yield* store(1, Layer.orDie(SqlRunnerStorage.layer))
  const ours = yield* store(2, RunnerStoragePostgres.layerWith({ beatMs: 10, graceMs: 0 }))
  return { library, ours, sql: Context.get(database, SqlClient.SqlClient) }
})

const shards = ["default:1", "default:300", "hot:1", "hot:300"].map(ShardId.ShardId.fromString)

describe("the library's runners and shards, as we store them", () => {
  it.scopedLive("a shard is held by one runner, whichever adapter it uses", () =>
    Effect.gen(function*() {
      const { library, ours } = yield* both
      const [a, b, c, d] = shards
      expect(yield* library.acquire(address(1), [a!, c!])).toEqual([a, c])
      expect(yield* ours.acquire(address(2), shards)).toEqual([b, d])
      expect(yield* library.acquire(address(1), [b!, d!])).not.toContain(b)
      expect(yield* ours.refresh(address(2), shards)).toEqual([b, d])
      yield* ours.release(address(2), b!)
      expect(yield* library.acquire(address(1), [b!])).toContain(b)
      yield* library.releaseAll(address(1))
      expect(yield* ours.acquire(address(2), [a!, b!, c!])).toEqual([a, b, c])
      yield* ours.releaseAll(address(2))
      expect(yield* ours.refresh(address(2), shards)).toEqual([])
      expect(yield* library.acquire(address(1), shards)).toHaveLength(4)
    }))

  it.scopedLive("shards that another runner is about to give back are waited for", () =>
    Effect.gen(function*() {
      const { library, ours, sql } = yield* both
      const [a, b] = shards
      yield* library.acquire(address(1), [a!])
      const asking = yield* Effect.fork(ours.acquire(address(2), [a!, b!]))
      // It has tried, and got the other one.
      yield* Effect.repeat(sql`select 1 from pg_locks where locktype = 'advisory' and objid = 1000300`, {
        until: (rows) => rows.length > 0,
        schedule: Schedule.spaced("5 millis")
      })
      yield* library.release(address(1), a!)
      expect(yield* Fiber.join(asking)).toEqual([a, b])
    }))

  it.scopedLive("both adapters know the same runners; one that is not heard of any more is none", () =>
    Effect.gen(function*() {
      const { library, ours, sql } = yield* both
      const first = yield* library.register(runner(1), true)
      const second = yield* ours.register(runner(2), true)
      expect(second).not.toBe(first)
      expect(yield* ours.register(runner(2), true)).toBe(second)
      yield* ours.setRunnerHealth(address(1), false)
      const known = [[runner(1), false], [runner(2), true]]
      expect(yield* runnersOf(ours)).toEqual(known)
      expect(yield* runnersOf(library)).toEqual(known)
      // Asked for its shards, a runner is heard of from then on.
      yield* sql`update cluster_runners set last_heartbeat = now() - interval '1 hour'`
      expect(yield* ours.getRunners).toEqual([])
      yield* ours.refresh(address(2), [])
      yield* Effect.repeat(ours.getRunners, {
        until: (found) => found.length === 1,
        schedule: Schedule.spaced("10 millis")
      })
      expect(yield* library.getRunners).toEqual([[runner(2), true]])
      yield* ours.unregister(address(2))
      expect(yield* sql`select 1 from cluster_runners`).toEqual([])
    }))
})
