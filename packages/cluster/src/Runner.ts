/**
 * The layers of one member of the cluster: a runner hosts cells and works off what is durable, a gateway only sends.
 * Platform and configuration are left open; the server supplies them.
 */
import { Singleton } from "@effect/cluster"
import { ruleFilter } from "@hikyaku/domain/marketing/RuleFilter"
import { Duration, Effect, Layer } from "effect"
import * as ActorClientCluster from "./actor/ActorClientCluster.ts"
import type { ActorKind } from "./actor/ActorKind.ts"
import * as CellEntity from "./actor/CellEntity.ts"
import { LocalCells } from "./actor/CellEntity.ts"
import * as HotCells from "./actor/HotCells.ts"
import { HotGroup } from "./actor/HotGroup.ts"
import { eventsTopic, outboxTopic, writtenTopic } from "./actor/Nudge.ts"
import { cellsDefault, checkCells } from "./actor/Placement.ts"
import * as Retention from "./actor/Retention.ts"
import * as Timers from "./actor/Timers.ts"
import { workLoop } from "./actor/WorkLoop.ts"
import { runDispatcher } from "./delivery/Dispatcher.ts"
import type { DispatcherSettings } from "./delivery/DispatcherSettings.ts"
import type { Render } from "./delivery/ListContent.ts"
import { providerKind } from "./delivery/ProviderActor.ts"
import * as RequestSources from "./delivery/RequestSources.ts"
import * as RequestStore from "./delivery/RequestStore.ts"
import { campaignKind, campaignTable } from "./marketing/CampaignActor.ts"
import { EventLog, partitions, relayMax } from "./marketing/EventLog.ts"
import * as EventProcessor from "./marketing/EventProcessor.ts"
import * as MarketingRetention from "./marketing/MarketingRetention.ts"
import { makeMemberKind, memberKind } from "./marketing/MemberActor.ts"
import * as RunWorker from "./marketing/RunWorker.ts"
import { Shop } from "./marketing/Shop.ts"
import { productKind } from "./stock/ProductActor.ts"

/** Rests of the workers when there is nothing to do: what each adds to a realtime event's way, at most. */
export const relayRest = Duration.millis(25)
export const eventsRest = Duration.millis(50)
export const runsRest = Duration.millis(50)

/** Hosts one kind: its cells and its timers. */
const host = <State, Command, Reply, Event>(kind: ActorKind<State, Command, Reply, Event>) =>
  Layer.merge(CellEntity.layer(kind), Timers.layer(kind))

/** Hosts a kind whose actors get cells of their own when they are hot (CART-4). */
const hostHot = <State, Command, Reply, Event>(kind: ActorKind<State, Command, Reply, Event>) =>
  Layer.mergeAll(CellEntity.layer(kind, { hot: true }), Timers.layer(kind, { hot: true }), HotCells.layer(kind)).pipe(
    Layer.provide(HotGroup.layer)
  )

/** The members, with the shop's own time zone; who sends to them needs no more than `memberKind`. */
const members = Layer.unwrapEffect(
  Effect.map(Shop, ({ timeZone }) => host(makeMemberKind({ filter: ruleFilter, timeZone })))
)

/** Every kind of actor, on this runner. Refuses to start when the store counts its cells differently. */
const kinds = Layer.mergeAll(hostHot(productKind), members, host(campaignKind), host(providerKind)).pipe(
  Layer.provide(LocalCells.layer),
  Layer.provide(
    Layer.effectDiscard(
      Effect.forEach(
        [productKind, memberKind, campaignKind, providerKind],
        (kind) => checkCells(kind.name, cellsDefault),
        { discard: true }
      )
    )
  )
)

const relay = Singleton.make(
  "outbox-relay",
  Effect.flatMap(
    EventLog,
    (log) => workLoop("The outbox relay", relayRest, log.relay, relayMax, { topic: outboxTopic, takesAll: true })
  )
)

/** A processor per partition, spread over the runners. */
const events = Layer.unwrapScoped(Effect.map(EventProcessor.make, (processor) =>
  Layer.mergeAll(
    Layer.empty,
    ...Array.from({ length: partitions }, (_, partition) =>
      Singleton.make(
        `events-${partition}`,
        workLoop(
          `Events of partition ${partition}`,
          eventsRest,
          processor.step(partition),
          EventProcessor.stepMax,
          { topic: eventsTopic(partition), takesAll: true, inStep: true }
        )
      ))
  )))

const runs = Layer.unwrapEffect(
  Effect.map(
    RunWorker.make,
    (worker) =>
      Layer.merge(
        Singleton.make(
          "runs",
          workLoop(
            "Realtime runs",
            runsRest,
            worker.step("realtime"),
            RunWorker.runLimitsDefault.runsAtOnce,
            { topic: writtenTopic(campaignTable.name), urgent: true }
          )
        ),
        Singleton.make(
          "runs-batch",
          workLoop(
            "Batch runs",
            runsRest,
            worker.step("batch"),
            RunWorker.runLimitsDefault.runsAtOnce,
            { topic: writtenTopic(campaignTable.name) }
          )
        )
      )
  )
).pipe(Layer.provide(LocalCells.layer))

/** How often requests with a source are looked for where nobody tells of them. */
const sourcesRest = Duration.millis(250)

/** Takes the recipients of requests that name a table or a segment. */
const sources = Layer.unwrapEffect(
  Effect.map(RequestSources.make, (worker) =>
    Singleton.make(
      "request-sources",
      workLoop(
        "Requests with a source",
        sourcesRest,
        worker.step,
        // Whatever is unfinished has a page to take.
        1,
        { topic: RequestSources.sourcesTopic }
      )
    ))
).pipe(Layer.provide(RequestStore.layer))

/** One dispatcher per provider account, wherever the cluster puts it. */
export const dispatcher = (settings: DispatcherSettings, render: Render) =>
  Singleton.make(`dispatcher-${settings.account}`, runDispatcher({ settings, render, members: memberKind })).pipe(
    Layer.provide(LocalCells.layer)
  )

/** Sends commands to actors, from any member. */
export const client = ActorClientCluster.layer()

/** All that one runner hosts, but for the dispatchers of its provider accounts. */
export const runner = Layer.mergeAll(
  kinds,
  relay,
  events,
  runs,
  sources,
  Singleton.make("retention", Retention.loop),
  Singleton.make("marketing-retention", MarketingRetention.loop).pipe(Layer.provide(MarketingRetention.layerConfig))
)
