/**
 * The client, made from this package alone: `client.cart.add({...})`. What carries the calls is the caller's: a WebSocket
 * (`layerSocket`), HTTP (`layerHttp`), or any other protocol of @effect/rpc. Clock and randomness are those of the caller's
 * Effect environment, so that a test can drive them.
 */
import { RpcClient, type RpcClientError, type RpcGroup, RpcSerialization } from "@effect/rpc"
import { Clock, Context, Effect, Layer, Random } from "effect"
import { type CommandId, commandIdFrom, type TicketId } from "../Identifier.ts"
import { HikyakuApi } from "./Api.ts"
import * as Carriage from "./Carriage.ts"
import type { Add, AddOutcome, CartError } from "./CartApi.ts"
import { framed } from "./Frame.ts"

/** Where a server listens unless it is told otherwise. */
export const urlDefault = "ws://127.0.0.1:4000/rpc"
/** Largest message in either direction, in bytes. */
export const payloadMax = 4 * 1024 * 1024

type Rpcs = RpcGroup.Rpcs<typeof HikyakuApi>
type Failure = RpcClientError.RpcClientError
type General = {
  readonly [P in RpcClient.RpcClient.Prefixes<Rpcs>]: RpcClient.RpcClient.From<
    RpcClient.RpcClient.Prefixed<Rpcs, P>,
    Failure,
    P
  >
}
/** A function per method; `cart.add` takes no options of its own, since it may leave together with others. */
type Calls = Omit<General, "cart"> & {
  readonly cart: Omit<General["cart"], "add"> & {
    readonly add: (call: Add) => Effect.Effect<AddOutcome, CartError | Failure>
  }
}

export class Hikyaku extends Context.Tag("@hikyaku/api/Hikyaku")<Hikyaku, Calls>() {}

/** How messages are written: MessagePack, readable for peers with and without its record extension. */
export const serialization: RpcSerialization.RpcSerialization["Type"] = framed(RpcSerialization.makeMsgPack({
  useRecords: true,
  mapsAsObjects: true,
  maxBufferSize: payloadMax
}))
export const layerSerialization: Layer.Layer<RpcSerialization.RpcSerialization> = Layer.succeed(
  RpcSerialization.RpcSerialization,
  serialization
)

/** The client over whatever protocol is given. */
export const layer: Layer.Layer<Hikyaku, never, RpcClient.Protocol> = Layer.scoped(
  Hikyaku,
  RpcClient.make(HikyakuApi, { spanPrefix: "hikyaku", disableTracing: true })
)

/** The client over a connection that lasts: calls made at one time leave together (see Carriage). */
const layerTogether = (traced: boolean): Layer.Layer<Hikyaku, never, RpcClient.Protocol> =>
  Layer.scoped(
    Hikyaku,
    Effect.gen(function*() {
      const { add, protocol } = yield* Carriage.make(yield* RpcClient.Protocol, traced)
      const calls = yield* RpcClient.make(HikyakuApi, { spanPrefix: "hikyaku", disableTracing: !traced }).pipe(
        Effect.provideService(RpcClient.Protocol, protocol)
      )
      return { ...calls, cart: { ...calls.cart, add } }
    })
  )

/**
 * Over a socket, e.g. `NodeSocket.layerWebSocket(urlDefault)`. A lost connection is opened anew; calls under way fail. Calls
 * made at one time share a message, without anybody waiting for it.
 */
export const layerSocket = (options?: {
  /** Whether calls wait while there is no connection; otherwise they fail at once. Default false. */
  readonly waitForConnection?: boolean | undefined
  /**
   * Whether each call begins or continues a trace, with the tracer of the caller's environment (`headSampled` makes that
   * cheap); otherwise the server decides. Default false.
   */
  readonly traced?: boolean | undefined
}) =>
  layerTogether(options?.traced ?? false).pipe(
    Layer.provide(RpcClient.layerProtocolSocket({ retryTransientErrors: options?.waitForConnection ?? false })),
    Layer.provide(layerSerialization)
  )

/** Over HTTP, one request per call; `url` e.g. `http://127.0.0.1:4000/rpc/http`. */
export const layerHttp = (url: string) =>
  layer.pipe(Layer.provide(RpcClient.layerProtocolHttp({ url })), Layer.provide(layerSerialization))

/** A fresh command id: a UUIDv7 of now. */
export const mintCommandId: Effect.Effect<CommandId> = Effect.gen(function*() {
  const now = yield* Clock.currentTimeMillis
  return commandIdFrom(now, yield* Random.next, yield* Random.next, yield* Random.next)
})
/** A fresh ticket id. Keep it: with the same id a call can be repeated without doubling its effect. */
export const mintTicket: Effect.Effect<TicketId> = Effect.map(mintCommandId, (id): TicketId => id)
