/**
 * How a process takes part in the cluster: a runner listens and hosts cells, a gateway only sends. Messages between runners
 * are neither encrypted nor authenticated here, so that a runner binds to loopback unless it is told otherwise.
 */
import { RunnerAddress, type Runners, type Sharding, ShardingConfig, SqlMessageStorage } from "@effect/cluster"
import { NodeClusterSocket } from "@effect/platform-node"
import type { SqlClient } from "@effect/sql"
import type { PgClient } from "@effect/sql-pg"
import * as Detector from "@hikyaku/cluster/actor/Detector"
import { defaultGroup, hotGroup } from "@hikyaku/cluster/actor/Placement"
import * as RunnerStorage from "@hikyaku/cluster/actor/RunnerStoragePostgres"
import * as PreparedClient from "@hikyaku/cluster/sql/PreparedClient"
import { Duration, Layer, Option, type Redacted } from "effect"

export interface NodeAddress {
  readonly host: string
  readonly port: number
}

/**
 * Connections to the database that a process keeps beside the journal's: one of them holds the shard locks. Few, since each
 * plans every statement for itself: with twelve planning took a third of the database's time in a replay, with these a fifth.
 */
const connectionsMax = 6

/** Groups are the same in every process of a cluster and only ever grow at the alphabetical end. */
const groups = [defaultGroup, hotGroup]

const sharding = {
  availableShardGroups: groups,
  assignedShardGroups: groups,
  // How soon members see that a runner came or went; the detector says so long before a lock would expire.
  refreshAssignmentsInterval: Duration.millis(250),
  // How soon it is seen that another holds a shard; this asks nobody, so that a database that stalls does no harm.
  shardLockRefreshInterval: Duration.seconds(2),
  sendRetryInterval: Duration.millis(50),
  simulateRemoteSerialization: false
} as const

/** The process's database client. Its sessions carry the member's name, so that a hung runner's can be ended. */
export const databaseLayer = (
  url: Redacted.Redacted,
  name: string
): Layer.Layer<SqlClient.SqlClient | PgClient.PgClient> =>
  Layer.orDie(PreparedClient.layer({ url, maxConnections: connectionsMax, applicationName: name }))

type ShardingSettings = Partial<ShardingConfig.ShardingConfig["Type"]>
type Stores = SqlClient.SqlClient | PgClient.PgClient

/** What the library stores, where it has to be: its own adapter for messages, ours for runners and shards. */
const storesOf = (shardingConfig: ShardingSettings) =>
  Layer.merge(SqlMessageStorage.layer, RunnerStorage.layer).pipe(
    Layer.provide(ShardingConfig.layerFromEnv(shardingConfig))
  )

/** A runner at this address, which takes shards of these groups. */
export const runnerLayer = (
  address: NodeAddress,
  assignedShardGroups: ReadonlyArray<string> = groups
): Layer.Layer<Sharding.Sharding | Runners.Runners, never, Stores> => {
  const shardingConfig = {
    ...sharding,
    assignedShardGroups,
    runnerAddress: Option.some(RunnerAddress.make(address.host, address.port))
  }
  return Detector.layer(`${address.host}:${address.port}`).pipe(
    Layer.provideMerge(NodeClusterSocket.layer({ storage: "byo", shardingConfig })),
    Layer.provide(storesOf(shardingConfig)),
    Layer.orDie
  )
}

/** A member that hosts nothing. `name` is unique among the members. */
export const gatewayLayer = (name: string): Layer.Layer<Sharding.Sharding | Runners.Runners, never, Stores> => {
  const shardingConfig = { ...sharding, runnerAddress: Option.none() }
  return Detector.layer(name).pipe(
    Layer.provideMerge(NodeClusterSocket.layer({ storage: "byo", clientOnly: true, shardingConfig })),
    Layer.provide(storesOf(shardingConfig)),
    Layer.orDie
  )
}
