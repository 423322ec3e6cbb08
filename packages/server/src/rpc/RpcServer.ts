/**
 * Serves the whole API: over WebSocket (`/rpc`, MessagePack), over HTTP (`POST /rpc/http`, MessagePack or NDJSON by content
 * type) and as JSON-RPC 2.0 (`POST /jsonrpc`). Add it to the routes of the process's one HTTP server.
 */
import { type HttpApp, HttpLayerRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServerRequest } from "@effect/platform-node"
import { RpcSerialization, RpcServer } from "@effect/rpc"
import { HikyakuApi } from "@hikyaku/domain/api/Api"
import { payloadMax } from "@hikyaku/domain/api/Client"
import { Entrance } from "@hikyaku/domain/api/Entrance"
import { Effect, Layer } from "effect"
import { Listener, originAllowed, socketPath } from "../http/HttpListener.ts"
import { Tracing } from "../Tracing.ts"
import * as AddLane from "./AddLane.ts"
import { CartAdds } from "./CartAdds.ts"
import { codes, errorBody, jsonRpcSerialization } from "./JsonRpc.ts"
import { guard } from "./RequestGuard.ts"
import { msgPackSerialization, ndjsonSerialization } from "./Serialization.ts"

export const httpPath = "/rpc/http"
export const jsonRpcPath = "/jsonrpc"

type Serialization = RpcSerialization.RpcSerialization["Type"]

/** Runs the API on a protocol. A defect fails its own call, not the connection with everything under way on it. */
const serve = (protocol: RpcServer.Protocol["Type"], lane: AddLane.AddLane | null = null) =>
  Effect.flatMap(
    Tracing,
    ({ on }) =>
      RpcServer.make(HikyakuApi, { spanPrefix: "rpc", disableFatalDefects: true, disableTracing: !on }).pipe(
        Effect.provideService(RpcServer.Protocol, guard(HikyakuApi, lane?.protocol ?? protocol, lane)),
        Effect.interruptible,
        Effect.forkScoped
      )
  )

/** The API as a handler of single HTTP requests. */
const handler = (serialization: Serialization) =>
  Effect.gen(function*() {
    const { httpApp, protocol } = yield* RpcServer.makeProtocolWithHttpApp.pipe(
      Effect.provideService(RpcSerialization.RpcSerialization, serialization)
    )
    yield* serve(protocol)
    return httpApp
  })

const tooLargeText = `the payload is larger than ${payloadMax} bytes`

/**
 * The body of a request that did not say how long it is, or null when it is beyond the bound: the rest is then read away, so
 * that the sender hears the answer instead of a broken connection.
 */
const readBody = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.async<Uint8Array<ArrayBuffer> | null>((resume) => {
    const source = NodeHttpServerRequest.toIncomingMessage(request)
    const chunks: Array<Uint8Array> = []
    let size = 0
    const onData = (chunk: Uint8Array) => {
      size += chunk.length
      if (size <= payloadMax) return void chunks.push(chunk)
      source.off("data", onData)
      source.resume()
      resume(Effect.succeed(null))
    }
    source.on("data", onData)
    source.once("end", () => resume(Effect.succeed(new Uint8Array(Buffer.concat(chunks)))))
    source.once("error", () => resume(Effect.interrupt))
  })

/** Refuses bodies beyond the bound, announced or not, before they are read into memory. */
const bounded = <E, R>(app: HttpApp.Default<E, R>, tooLarge: HttpServerResponse.HttpServerResponse) =>
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const length = request.headers["content-length"]
    if (length !== undefined) return Number(length) > payloadMax ? tooLarge : yield* app
    const body = yield* readBody(request)
    if (body === null) return tooLarge
    const whole = new Request("http://localhost/", { method: "POST", headers: request.headers, body })
    return yield* Effect.provideService(app, HttpServerRequest.HttpServerRequest, HttpServerRequest.fromWeb(whole))
  })

const refusal = (status: number, text: string) => HttpServerResponse.text(`${text}\n`, { status })

const mediaType = (request: HttpServerRequest.HttpServerRequest): string =>
  (request.headers["content-type"] ?? "").split(";")[0]?.trim().toLowerCase() ?? ""

/** No web page of another site may call, and none may pass its call off as a form. */
const fromHere = <E, R>(
  app: (request: HttpServerRequest.HttpServerRequest) => HttpApp.Default<E, R>,
  origins: ReadonlyArray<string>
) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    originAllowed(request.headers["origin"], origins)
      ? app(request)
      : Effect.succeed(refusal(403, "pages of this origin may not call: see HIKYAKU_ORIGINS")))

/** The routes; the handlers of the groups and the entrance are still to be provided. */
export const layer = Layer.scopedDiscard(
  Effect.gen(function*() {
    const router = yield* HttpLayerRouter.HttpRouter
    const { options: { origins } } = yield* Listener

    const socket = yield* RpcServer.makeProtocolSocketServer.pipe(
      Effect.provideService(RpcSerialization.RpcSerialization, msgPackSerialization)
    )
    const adds = yield* CartAdds
    const entrance = yield* Entrance
    const { call: trace } = yield* Tracing
    // Only connections that last gather calls; over HTTP each call is a request of its own.
    yield* serve(socket, yield* AddLane.make({ protocol: socket, adds, entrance, trace }))
    yield* router.add(
      "GET",
      socketPath,
      HttpServerResponse.text("this is the address of a WebSocket\n", {
        status: 426,
        headers: { connection: "upgrade", upgrade: "websocket" }
      })
    )

    const msgPack = yield* handler(msgPackSerialization)
    const ndjson = yield* handler(ndjsonSerialization)
    const byType = new Map([
      [msgPackSerialization.contentType, msgPack],
      [ndjsonSerialization.contentType, ndjson]
    ])
    const types = [...byType.keys()].join(" or ")
    yield* router.add(
      "POST",
      httpPath,
      fromHere((request) => {
        const app = byType.get(mediaType(request))
        return app === undefined
          ? Effect.succeed(refusal(415, `the content type must be ${types}`))
          : bounded(app, refusal(413, tooLargeText))
      }, origins)
    )

    const json = yield* handler(jsonRpcSerialization(HikyakuApi))
    const jsonTooLarge = HttpServerResponse.text(errorBody(codes.invalidRequest, tooLargeText), {
      status: 413,
      contentType: "application/json"
    })
    const notification = HttpServerResponse.empty({ status: 204 })
    const answered = Effect.map(
      json,
      (response) => response.body._tag === "Uint8Array" && response.body.contentLength === 0 ? notification : response
    )
    yield* router.add(
      "POST",
      jsonRpcPath,
      fromHere((request) =>
        mediaType(request) === "application/json"
          ? bounded(answered, jsonTooLarge)
          : Effect.succeed(
            HttpServerResponse.text(errorBody(codes.invalidRequest, "the content type must be application/json"), {
              status: 415,
              contentType: "application/json"
            })
          ), origins)
    )
  })
)
