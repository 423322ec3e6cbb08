/**
 * The provider sandbox over HTTP: a bulk mail provider to try Hikyaku against, whose own record says whether it was treated
 * well. JSON; described with examples in docs/sandbox.md.
 *
 *     POST /v1/lists               upload a list          201 {uploadId}
 *     POST /v1/lists/:id/send      start its delivery     202 {sendId}
 *     GET  /v1/sends/:id           status                 200 {state, results}
 *     GET  /v1/history?...         what it knows          200 {lists, sends, deliveries, next?}
 *     POST /v1/history             the same, for long questions
 *
 *     GET  /v1/report              counts, limits, violations, duplicates, utilisation
 *     GET  /v1/report/requests     each request's start and end (?after=n)
 *     GET  /v1/report/mails        how often each address got each mail (?from=position)
 *     GET  /v1/settings            PUT: change some of them
 *     POST /v1/reset               forget lists, sends and tallies
 *
 * Refusals: 4xx {"error": {reason, where}}; 429 with `Retry-After` and `error.retryAfterMs`. Only the first five are the
 * provider's and count; a request begins to count when its headers are here and ends when its answer goes to the socket.
 */
import { HttpIncomingMessage, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer, NodeHttpServerRequest } from "@effect/platform-node"
import { RequestRefused, type SandboxRequest, type SendTerms } from "@hikyaku/cluster/delivery/sandbox/Sandbox"
import { SandboxControl, type SandboxUnavailable } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { SandboxService } from "@hikyaku/cluster/delivery/sandbox/SandboxService"
import { type Operation, readPatch, type SettingsRefused } from "@hikyaku/cluster/delivery/sandbox/SandboxSettings"
import { Effect, Either, FiberRef, Layer, Option, Redacted } from "effect"
import { timingSafeEqual } from "node:crypto"
import * as Http from "node:http"
import { readHistory, readHistoryParameters, readSend, readStatus, readUpload } from "./SandboxInput.ts"

export interface SandboxServerConfig {
  /** Loopback unless somebody means otherwise. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Demanded as `Authorization: Bearer` of every request; "": none is. */
  readonly apiKey: Redacted.Redacted
}

/** Largest body in bytes: 10,000 recipients with 6 KB each. */
export const bodyBytesMax = 64 * 1024 * 1024
/** Most connections at one time. */
export const connectionsMax = 1024
/** When an unused connection is closed; longer than what our client waits. */
const keepAliveMs = 30_000
/** How long a client may take to send a request. */
const receiveMs = 60_000

const json = (status: number, body: object) =>
  HttpServerResponse.text(JSON.stringify(body), { status, contentType: "application/json" })

const refusal = (status: number, { reason, where }: { readonly reason: string; readonly where: string }) =>
  json(status, { error: { reason, where } })

const readBody = Effect.flatMap(
  HttpServerRequest.HttpServerRequest,
  (request) =>
    Number(request.headers["content-length"] ?? 0) > bodyBytesMax
      ? new RequestRefused({ status: 413, reason: `at most ${bodyBytesMax} bytes`, where: "body" })
      : request.text.pipe(
        HttpIncomingMessage.withMaxBodySize(Option.some(bodyBytesMax)),
        Effect.mapError((error) => new RequestRefused({ status: 400, reason: error.message, where: "body" }))
      )
)

/** Ends the connection under the answer; the response that follows goes nowhere. */
const cut = Effect.map(HttpServerRequest.HttpServerRequest, (request) => {
  NodeHttpServerRequest.toServerResponse(request).destroy()
  return HttpServerResponse.empty()
})

/** One of the provider's own requests, which count. */
const counted = (
  op: Operation,
  read: Effect.Effect<
    Either.Either<SandboxRequest, RequestRefused>,
    RequestRefused,
    HttpServerRequest.HttpServerRequest
  >,
  send?: SendTerms
) =>
  Effect.gen(function*() {
    const service = yield* SandboxService
    const request = yield* HttpServerRequest.HttpServerRequest
    const reply = yield* service.handle(
      op,
      Effect.provideService(Effect.flatten(read), HttpServerRequest.HttpServerRequest, request),
      send
    )
    switch (reply._tag) {
      case "Answered":
        return json(reply.status, reply.body)
      case "Refused":
        return refusal(reply.refusal.status, reply.refusal)
      case "Throttled": {
        const { retryAfterMs } = reply
        const body = { error: { reason: "too many requests", where: "request", retryAfterMs } }
        return HttpServerResponse.setHeader(json(429, body), "retry-after", String(Math.ceil(retryAfterMs / 1000)))
      }
      case "Broken":
        return refusal(500, { reason: "internal error", where: "request" })
      case "Cut":
        return yield* cut
      case "HalfOpen":
        return yield* Effect.never
    }
  })

const keyHeader = (request: HttpServerRequest.HttpServerRequest) => request.headers["idempotency-key"]
const parameters = Effect.map(
  HttpServerRequest.HttpServerRequest,
  (request) => new URL(request.url, "http://sandbox").searchParams
)

const control = <A extends object>(
  use: (control: typeof SandboxControl.Service) => Effect.Effect<
    A,
    SettingsRefused | SandboxUnavailable | RequestRefused,
    HttpServerRequest.HttpServerRequest
  >
) =>
  Effect.flatMap(SandboxControl, use).pipe(
    Effect.map((answer) => json(200, answer)),
    Effect.catchTags({
      SettingsRefused: (error) => Effect.succeed(refusal(422, error)),
      RequestRefused: (error) => Effect.succeed(refusal(error.status, error)),
      SandboxUnavailable: (error) => Effect.succeed(refusal(500, { reason: error.reason, where: "sandbox" }))
    })
  )

/** A count in the query string, by default 0. */
const position = (name: string) =>
  Effect.flatMap(parameters, (all) => {
    const value = Number(all.get(name) ?? 0)
    return Number.isSafeInteger(value) && value >= 0
      ? Effect.succeed(value)
      : new RequestRefused({ status: 422, reason: "a count is expected", where: name })
  })

const settingsPatch = Effect.flatMap(readBody, (text) =>
  Effect.flatMap(
    Effect.try({
      try: (): unknown => JSON.parse(text),
      catch: (error) => new RequestRefused({ status: 400, reason: String(error), where: "body" })
    }),
    readPatch
  ))

const routes = HttpRouter.empty.pipe(
  HttpRouter.post(
    "/v1/lists",
    counted(
      "upload",
      Effect.flatMap(
        HttpServerRequest.HttpServerRequest,
        (request) => Effect.map(readBody, (text) => readUpload(text, keyHeader(request)))
      )
    )
  ),
  HttpRouter.post(
    "/v1/lists/:id/send",
    Effect.gen(function*() {
      const { id } = yield* HttpRouter.params
      const send = readSend(id ?? "", keyHeader(yield* HttpServerRequest.HttpServerRequest))
      return yield* counted("send", Effect.succeed(send), Either.isRight(send) ? send.right : undefined)
    })
  ),
  HttpRouter.get(
    "/v1/sends/:id",
    Effect.flatMap(HttpRouter.params, ({ id }) => counted("status", Effect.succeed(readStatus(id ?? ""))))
  ),
  HttpRouter.get("/v1/history", counted("history", Effect.map(parameters, readHistoryParameters))),
  HttpRouter.post("/v1/history", counted("history", Effect.map(readBody, readHistory))),
  HttpRouter.get("/v1/report", control((control) => control.report)),
  HttpRouter.get("/v1/report/requests", control((control) => Effect.flatMap(position("after"), control.requests))),
  HttpRouter.get("/v1/report/mails", control((control) => Effect.flatMap(position("from"), control.mails))),
  HttpRouter.get("/v1/settings", control((control) => control.settings)),
  HttpRouter.put("/v1/settings", control((control) => Effect.flatMap(settingsPatch, control.configure))),
  HttpRouter.post("/v1/reset", control((control) => Effect.as(control.reset, {})))
)

/** Compares without telling by its time how much was right. */
const sameKey = (given: string, expected: string): boolean => {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}

const app = (apiKey: string) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) =>
      apiKey === "" || sameKey(request.headers["authorization"] ?? "", `Bearer ${apiKey}`)
        ? Effect.catchTag(
          routes,
          "RouteNotFound",
          () => Effect.succeed(refusal(404, { reason: "no such place", where: request.url }))
        )
        : Effect.succeed(refusal(401, { reason: "a valid key is missing", where: "authorization" }))
  )

/** Serves the sandbox; the address is that of the `HttpServer` which it provides. */
export const layer = (config: SandboxServerConfig) =>
  Layer.unwrapEffect(Effect.sync(() => {
    const server = Http.createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: receiveMs, noDelay: true })
    server.maxConnections = connectionsMax
    return Layer.scopedDiscard(Effect.gen(function*() {
      yield* HttpServer.serveEffect(app(Redacted.value(config.apiKey)))
      // Answers that never come would keep the server from closing.
      yield* Effect.addFinalizer(() => Effect.sync(() => server.closeAllConnections()))
    })).pipe(
      Layer.provideMerge(NodeHttpServer.layerServer(() => server, { host: config.host, port: config.port })),
      Layer.locally(FiberRef.currentTracerEnabled, false)
    )
  }))
