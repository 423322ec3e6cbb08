/**
 * What a gateway process serves, ready to be wired: give it the actors' client, the store, the event log, the shop's clock
 * and terms, and it listens. More routes (console, metrics) are added beside `RpcServer.layer`.
 */
import { HttpLayerRouter } from "@effect/platform"
import { HotGroup } from "@hikyaku/cluster/actor/HotGroup"
import * as DeliveryStore from "@hikyaku/cluster/delivery/DeliveryStorePostgres"
import * as RequestStore from "@hikyaku/cluster/delivery/RequestStore"
import * as EventImport from "@hikyaku/cluster/marketing/EventImport"
import * as Checkout from "@hikyaku/cluster/stock/Checkout"
import * as GivenUp from "@hikyaku/cluster/stock/GivenUp"
import { Effect, Layer } from "effect"
import * as Channels from "./Channels.ts"
import * as Health from "./http/Health.ts"
import * as HttpListener from "./http/HttpListener.ts"
import * as Unsubscribe from "./http/Unsubscribe.ts"
import * as Webhooks from "./http/Webhooks.ts"
import * as AdminHandlers from "./rpc/AdminHandlers.ts"
import * as AdminQuery from "./rpc/AdminQuery.ts"
import * as CampaignHandlers from "./rpc/CampaignHandlers.ts"
import * as CampaignQuery from "./rpc/CampaignQuery.ts"
import * as CampaignTrial from "./rpc/CampaignTrial.ts"
import * as CartAdds from "./rpc/CartAdds.ts"
import * as CartHandlers from "./rpc/CartHandlers.ts"
import * as CartQuery from "./rpc/CartQuery.ts"
import * as CustomTypes from "./rpc/CustomTypes.ts"
import * as DeliveryHandlers from "./rpc/DeliveryHandlers.ts"
import * as Entrance from "./rpc/Entrance.ts"
import * as EventHandlers from "./rpc/EventHandlers.ts"
import * as InboxHandlers from "./rpc/InboxHandlers.ts"
import * as MemberHandlers from "./rpc/MemberHandlers.ts"
import * as ProductHandlers from "./rpc/ProductHandlers.ts"
import * as RequestHandlers from "./rpc/RequestHandlers.ts"
import * as RpcServer from "./rpc/RpcServer.ts"

/** Tickets given up and orders left behind, gone on with for as long as the process lives. */
const sagas = Layer.mergeAll(Checkout.layerResumer, GivenUp.layerResumer).pipe(
  Layer.provideMerge(Layer.mergeAll(Checkout.layer, GivenUp.layer))
)

/** The handlers of every group. */
export const handlers = Layer.mergeAll(
  CartHandlers.layer,
  ProductHandlers.layer,
  EventHandlers.layer.pipe(Layer.provide(EventImport.layer)),
  MemberHandlers.layer,
  CampaignHandlers.layer,
  DeliveryHandlers.layer,
  RequestHandlers.layer.pipe(Layer.provide(Layer.merge(RequestStore.layer, DeliveryStore.layer))),
  AdminHandlers.layer,
  InboxHandlers.layer
).pipe(
  Layer.provideMerge(CartAdds.layer),
  Layer.provide(CampaignTrial.layer),
  Layer.provide(Layer.mergeAll(CartQuery.layer, CampaignQuery.layer, CustomTypes.layer, AdminQuery.layer)),
  Layer.provide(sagas),
  Layer.provide(HotGroup.layer)
)

/** The API's routes with everything behind them. */
export const routes = Layer.mergeAll(RpcServer.layer, Health.routes, Unsubscribe.routes, Webhooks.routes).pipe(
  Layer.provide(handlers),
  Layer.provide(Channels.gateway),
  Layer.provide(Entrance.layer),
  Layer.provide(Health.layerChecks),
  Layer.provide(Health.layer)
)

/** Listens and serves as told. The listener stays visible, so that others learn the port. */
export const layerWith = (options: Partial<HttpListener.ListenerOptions>) =>
  HttpLayerRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(HttpListener.layer(options))
  )

/** Listens and serves as the environment says: see `listenerConfig` and `eventBoundsConfig`. */
export const layer = Layer.unwrapEffect(Effect.map(HttpListener.listenerConfig, layerWith)).pipe(
  Layer.provide(EventHandlers.layerBounds)
)
