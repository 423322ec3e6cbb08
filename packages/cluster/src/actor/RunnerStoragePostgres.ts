/**
 * What the cluster library stores of its runners: who there is, in the library's own table, and who holds which shard, as
 * advisory locks with the library's own numbers. Its adapter gives shards back one by one, and when the session of its locks
 * has ended it learns so at the next refresh, up to ten seconds later; a refresh that fails ends every cell, for ten seconds
 * more. This one keeps the locks across sessions (`AdvisoryLocks`), so that a restart of the database, or a runner that was
 * taken for dead, costs no more than the moment itself. What two runners that believe to hold one shard would do to each other,
 * the fence decides (R5).
 */
import { ClusterError, RunnerStorage, ShardingConfig } from "@effect/cluster"
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { Duration, Effect, Layer, Option, Redacted } from "effect"
import * as AdvisoryLocks from "../sql/AdvisoryLocks.ts"

/** Locks of a shard group begin at a multiple of this: the library's numbers, so that its adapter and this one exclude each other. */
const groupStride = 1_000_000

/**
 * How long shards are waited for that their runners have not given back yet. A runner that comes asks for its shards at once;
 * those who have them see it a moment later, and then give all of them back together. The library itself would ask again a
 * second after it was told that there are none, and nobody serves them meanwhile. Less than it waits for an answer.
 */
const handOff: AdvisoryLocks.Patience = { mostMs: 1_500, moreMs: 300, everyMs: 25 }

/** The number of a shard's lock; `shard` as `group:n`, groups in the order of their names. */
export const shardLock = (groups: ReadonlyArray<string>, shard: string): number => {
  const at = shard.lastIndexOf(":")
  return (groups.indexOf(shard.slice(0, at)) + 1) * groupStride + Number(shard.slice(at + 1))
}

const make = (settings: { readonly beatMs: number; readonly graceMs: number }) =>
  Effect.gen(function*() {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const { applicationName, url } = (yield* PgClient.PgClient).config
    if (url === undefined) return yield* Effect.dieMessage("the shard locks need a database that is named by a URL")
    const { availableShardGroups, runnerAddress, shardLockExpiration } = yield* ShardingConfig.ShardingConfig
    const groups = [...new Set(availableShardGroups)].sort()
    const self = Option.match(runnerAddress, { onNone: () => "", onSome: ({ host, port }) => `${host}:${port}` })
    const locks = yield* AdvisoryLocks.make({
      ...settings,
      connectionString: Redacted.value(url),
      // The name by which the detector ends the sessions of a runner that hangs.
      session: applicationName ?? "",
      beat: { text: "update cluster_runners set last_heartbeat = now() where address = $1", values: [self] }
    })
    const numbers = (shards: ReadonlyArray<string>) => shards.map((shard) => shardLock(groups, shard))
    const named = (shards: ReadonlyArray<string>, kept: ReadonlyArray<number>) => {
      const set = new Set(kept)
      return shards.filter((shard) => set.has(shardLock(groups, shard)))
    }
    const stale = sql`last_heartbeat < now() - interval '${
      sql.literal(String(Duration.toSeconds(shardLockExpiration)))
    } seconds'`
    const quietly = <A, E>(query: Effect.Effect<A, E>) =>
      Effect.withTracerEnabled(ClusterError.PersistenceError.refail(query), false)
    return RunnerStorage.makeEncoded({
      getRunners: quietly(
        sql<{ readonly runner: string; readonly healthy: boolean }>`
          select runner, healthy from cluster_runners where not (${stale})`
      ).pipe(Effect.map((rows) => rows.map(({ healthy, runner }) => [runner, healthy] as const))),
      register: (address, runner, healthy) =>
        quietly(
          sql<{ readonly id: number }>`insert into cluster_runners (address, runner, last_heartbeat, healthy)
            values (${address}, ${runner}, now(), ${healthy})
            on conflict (address) do update set runner = excluded.runner, last_heartbeat = excluded.last_heartbeat,
              healthy = excluded.healthy
            returning machine_id as id`
        ).pipe(Effect.map((rows) => Number(rows[0]?.id))),
      unregister: (address) =>
        Effect.asVoid(quietly(sql`delete from cluster_runners where address = ${address} or ${stale}`)),
      setRunnerHealth: (address, healthy) =>
        Effect.asVoid(quietly(sql`update cluster_runners set healthy = ${healthy} where address = ${address}`)),
      acquire: (_address, shards) => Effect.map(locks.acquire(numbers(shards), handOff), (got) => named(shards, got)),
      refresh: (_address, shards) => Effect.sync(() => named(shards, locks.kept(numbers(shards)))),
      release: (_address, shard) => locks.release(numbers([shard])),
      releaseAll: () => locks.releaseAll
    })
  })

type Needs = SqlClient.SqlClient | PgClient.PgClient | ShardingConfig.ShardingConfig

/** The library's tables are there: `migrate` makes them. */
export const layerWith = (
  settings: { readonly beatMs: number; readonly graceMs: number }
): Layer.Layer<RunnerStorage.RunnerStorage, never, Needs> => Layer.scoped(RunnerStorage.RunnerStorage, make(settings))

export const layer = layerWith(AdvisoryLocks.advisoryLockDefaults)
