/**
 * The layers of Hikyaku's processes, the platform's part included: what `main.ts` launches. Everything rests on one
 * database; a runner hosts actors and works off what is durable, a gateway serves the API, `start` is both in one process.
 */
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import * as Nudge from "@hikyaku/cluster/actor/Nudge"
import * as Retention from "@hikyaku/cluster/actor/Retention"
import * as ShopClock from "@hikyaku/cluster/actor/ShopClock"
import * as DeliveryStore from "@hikyaku/cluster/delivery/DeliveryStorePostgres"
import * as Catalogue from "@hikyaku/cluster/marketing/Catalogue"
import * as EventLog from "@hikyaku/cluster/marketing/EventLogSql"
import { EventSettings, Shop } from "@hikyaku/cluster/marketing/Shop"
import * as ClusterRunner from "@hikyaku/cluster/Runner"
import { journalSession, runnerSession } from "@hikyaku/cluster/sql/DatabaseSession"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { Effect, Layer, type Redacted } from "effect"
import * as Api from "./Api.ts"
import * as Channels from "./Channels.ts"
import { databaseLayer, gatewayLayer, type NodeAddress, runnerLayer } from "./ClusterNode.ts"
import { shardGroupsConfig, shopConfig, stockMeaningConfig } from "./Settings.ts"
import * as Tracing from "./Tracing.ts"

/** Brings the database to this version and makes sure that outcomes have a place to go; safe to run in many processes. */
export const prepareDatabase = Effect.andThen(migrate, Retention.keepOutcomes)

/** The shop's own settings. */
const shop = Layer.unwrapEffect(Effect.gen(function*() {
  const terms = yield* shopConfig
  const stockMeaning = yield* stockMeaningConfig
  return Layer.merge(
    Layer.succeed(Shop, terms),
    Layer.succeed(EventSettings, { stockMeaning, timeZone: terms.timeZone })
  )
}))

/** What rests on the database. The schema is brought up to date before anything reads it. */
const storage = (url: Redacted.Redacted, name: string, journal?: string) =>
  Layer.mergeAll(
    ShopClock.layer,
    EventLog.layer,
    DeliveryStore.layer,
    journalLayer.pipe(Layer.provide(JournalSettings.layer(url, journal)))
  ).pipe(
    Layer.provide(Layer.effectDiscard(prepareDatabase)),
    Layer.provideMerge(Nudge.layer),
    Layer.provideMerge(databaseLayer(url, name))
  )

/** A runner's, in sessions that bear its name. */
const runnerStorage = (url: Redacted.Redacted, { host, port }: NodeAddress) =>
  storage(url, runnerSession(`${host}:${port}`), journalSession(`${host}:${port}`))

/** All that a runner does, on a member of the cluster that is given. */
const work = Layer.merge(ClusterRunner.runner, Channels.dispatchers).pipe(
  Layer.provide(Catalogue.layer),
  Layer.provide(shop)
)

/** The runner's part in the cluster, in the shard groups that its configuration names. */
const memberOf = (address: NodeAddress) =>
  Layer.unwrapEffect(Effect.map(shardGroupsConfig, (groups) => runnerLayer(address, groups)))

/** A runner, listening for other members at this address. */
export const runner = (url: Redacted.Redacted, address: NodeAddress) =>
  work.pipe(
    Layer.provideMerge(ClusterRunner.client),
    Layer.provideMerge(memberOf(address)),
    Layer.provide(runnerStorage(url, address)),
    Layer.provide(Tracing.layer("hikyaku-runner"))
  )

/** A gateway: the API for shop fronts, operators and marketers. `name` is unique among the members of the cluster. */
export const gateway = (url: Redacted.Redacted, name: string) =>
  Api.layer.pipe(
    Layer.provide(shop),
    Layer.provideMerge(ClusterRunner.client),
    Layer.provideMerge(gatewayLayer(name)),
    Layer.provideMerge(storage(url, `hikyaku-gateway ${name}`)),
    Layer.provide(Tracing.layer("hikyaku-gateway"))
  )

/** Runner and gateway in one process. */
export const all = (url: Redacted.Redacted, address: NodeAddress) =>
  Layer.merge(work, Api.layer.pipe(Layer.provide(shop))).pipe(
    Layer.provideMerge(ClusterRunner.client),
    Layer.provideMerge(memberOf(address)),
    Layer.provideMerge(runnerStorage(url, address)),
    Layer.provide(Tracing.layer("hikyaku"))
  )
