/** The whole API on a free port, over a database of its own and actors in memory; and ways to call it. */
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeHttpClient, NodeSocket } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import * as ShopClock from "@hikyaku/cluster/actor/ShopClock"
import * as EventLog from "@hikyaku/cluster/marketing/EventLogSql"
import { Shop } from "@hikyaku/cluster/marketing/Shop"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import * as Client from "@hikyaku/domain/api/Client"
import type { ShopTerms } from "@hikyaku/domain/marketing/CampaignTerms"
import * as Api from "@hikyaku/server/Api"
import { Listener, type ListenerOptions } from "@hikyaku/server/http/HttpListener"
import { Clock, Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"
import * as MemoryActors from "../../../cluster/test/stock/MemoryActors.ts"

export const terms: ShopTerms = {
  timeZone: "Asia/Tokyo",
  globalCaps: [],
  deliveryHours: {},
  quietHours: null,
  volume: null
}

/** Partitions for the outcomes of yesterday to tomorrow, as a running process keeps them. */
const partitions = Effect.gen(function*() {
  const sql = yield* PgClient.PgClient
  const now = yield* Clock.currentTimeMillis
  yield* sql`select outcome_partitions(${now - 86_400_000}::float8::bigint, ${now + 86_400_000}::float8::bigint, false)`
})

const database = Layer.unwrapScoped(
  Effect.map(freshDatabase(), ({ url }) => PgClient.layer({ url: Redacted.make(url), maxConnections: 6 }))
).pipe(Layer.orDie)

/** What the API rests on. */
export const layerBase = Layer.mergeAll(
  EventLog.layer,
  ShopClock.layer,
  MemoryActors.layer,
  Layer.succeed(Shop, terms)
).pipe(
  Layer.provide(Layer.effectDiscard(Effect.andThen(migrate, partitions)).pipe(Layer.orDie)),
  Layer.provideMerge(database)
)

export const layer = (options: Partial<ListenerOptions> = {}) =>
  Api.layerWith({ port: 0, ...options }).pipe(
    Layer.provideMerge(layerBase),
    Layer.provideMerge(NodeHttpClient.layerUndici),
    Layer.orDie
  )

/** A client over the WebSocket. */
export const webSocketClient = Layer.unwrapEffect(
  Effect.map(
    Listener,
    ({ port }) => Client.layerSocket().pipe(Layer.provide(NodeSocket.layerWebSocket(`ws://127.0.0.1:${port}/rpc`)))
  )
)
/** A client over HTTP. */
export const httpClient = Layer.unwrapEffect(
  Effect.map(
    Listener,
    ({ port }) => Client.layerHttp(`http://127.0.0.1:${port}/rpc/http`).pipe(Layer.provide(NodeHttpClient.layerUndici))
  )
)

export interface Posted {
  readonly status: number
  readonly text: string
}

/** Sends bytes or text as they are. */
export const post = (
  path: string,
  body: string | Uint8Array,
  contentType: string,
  headers: Readonly<Record<string, string>> = {}
) =>
  Effect.gen(function*() {
    const { port } = yield* Listener
    const client = yield* HttpClient.HttpClient
    const request = HttpClientRequest.post(`http://127.0.0.1:${port}${path}`).pipe(
      HttpClientRequest.setHeaders(headers),
      typeof body === "string"
        ? HttpClientRequest.bodyText(body, contentType)
        : HttpClientRequest.bodyUint8Array(body, contentType)
    )
    const response = yield* client.execute(request)
    const posted: Posted = { status: response.status, text: yield* response.text }
    return posted
  })

/** A JSON-RPC body as it is; the answer parsed. */
export const postJson = (body: string) =>
  Effect.map(post("/jsonrpc", body, "application/json"), ({ status, text }) => ({
    status,
    answer: text === "" ? undefined : JSON.parse(text) as unknown
  }))
