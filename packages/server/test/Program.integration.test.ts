/** The whole shop in one process, with real cells and a collector of traces, from outside. */
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import { NodeHttpClient, NodeSocket } from "@effect/platform-node"
import { expect, layer } from "@effect/vitest"
import { Hikyaku, layerHttp, layerSocket, mintTicket } from "@hikyaku/domain/api/Client"
import { headSampled } from "@hikyaku/domain/api/HeadSampling"
import * as Program from "@hikyaku/server/Program"
import { ConfigProvider, Context, Effect, Layer, Redacted, Schedule } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { freshDatabase } from "../../../test/Database.ts"

interface Span {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly links: ReadonlyArray<{ readonly spanId: string }>
  readonly service: string
}
interface Body {
  readonly resourceSpans: ReadonlyArray<{
    readonly resource: {
      readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: { readonly stringValue?: string } }>
    }
    readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<Omit<Span, "service">> }>
  }>
}

/** A collector: an HTTP server that keeps the spans that it is sent. */
const collector = Effect.acquireRelease(
  Effect.async<{ readonly url: string; readonly spans: ReadonlyArray<Span>; readonly close: () => void }>((resume) => {
    const spans: Array<Span> = []
    const server = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString()) as Body
        for (const { resource, scopeSpans } of resourceSpans) {
          const name = resource.attributes.find(({ key }) => key === "service.name")?.value.stringValue ?? "?"
          for (const scope of scopeSpans) spans.push(...scope.spans.map((span) => ({ ...span, service: name })))
        }
        response.writeHead(200).end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}/v1/traces`, spans, close: () => void server.close() }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const freePort = Effect.async<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** The shop front's own tracer: all of its calls are traced, or none. */
const frontTracer = (url: string, ratio: number) =>
  Layer.unwrapScoped(
    Effect.map(
      OtlpTracer.make({ url, resource: { serviceName: "front" }, exportInterval: "100 millis" }),
      (tracer) =>
        Layer.setTracer(
          headSampled(tracer, { ratio, random: Math.random, heads: (name) => name.startsWith("hikyaku.") })
        )
    )
  ).pipe(Layer.provide(Layer.merge(NodeHttpClient.layerUndici, OtlpSerialization.layerJson)))

class Shop extends Context.Tag("test/Shop")<Shop, {
  readonly port: number
  readonly collectorUrl: string
  readonly spans: ReadonlyArray<Span>
}>() {}

const layerShop = Layer.scoped(
  Shop,
  Effect.gen(function*() {
    const { spans, url: collectorUrl } = yield* collector
    const { url: database } = yield* freshDatabase()
    const [port, runnerPort] = [yield* freePort, yield* freePort]
    const config = ConfigProvider.fromMap(
      new Map([
        ["HIKYAKU_TRACE_URL", collectorUrl],
        ["HIKYAKU_TRACE_RATIO", "0"],
        ["HIKYAKU_PORT", String(port)],
        ["HIKYAKU_PROVIDER_URL", "http://127.0.0.1:9"],
        ["HIKYAKU_PROVIDER_API_KEY", "x"]
      ]),
      { pathDelim: "_" }
    )
    const shop = Program.all(Redacted.make(database), { host: "127.0.0.1", port: runnerPort })
    yield* Layer.build(shop).pipe(Effect.withConfigProvider(config))
    return { port, collectorUrl, spans }
  })
)

/** A client over a WebSocket, whose calls take traces along. */
const socketClient = Effect.flatMap(Shop, ({ port }) =>
  Effect.map(
    Layer.build(
      layerSocket({ waitForConnection: true, traced: true }).pipe(
        Layer.provide(NodeSocket.layerWebSocket(`ws://127.0.0.1:${port}/rpc`))
      )
    ),
    Context.get(Hikyaku)
  ))
const httpClient = Effect.flatMap(Shop, ({ port }) =>
  Effect.map(
    Layer.build(
      layerHttp(`http://127.0.0.1:${port}/rpc/http`).pipe(Layer.provide(NodeHttpClient.layerUndici))
    ),
    Context.get(Hikyaku)
  ))

const define = (hikyaku: Context.Tag.Service<Hikyaku>, product: string) =>
  Effect.gen(function*() {
    yield* hikyaku.product.define({ product })
    const change = { _tag: "Level", level: 5 } as const
    yield* hikyaku.product.changeStock({ product, source: "t", sourceVersion: 1, meaning: "physical", change })
  })

layer(layerShop, { excludeTestServices: true, timeout: "120 seconds" })("the whole shop", (it) => {
  it.scoped("CART-5 one trace joins front, gateway, cell and commit; what is not sampled leaves nothing", () =>
    Effect.gen(function*() {
      const { collectorUrl, spans } = yield* Shop
      const hikyaku = yield* socketClient
      const quiet = <A, E>(effect: Effect.Effect<A, E>) => Effect.provide(effect, frontTracer(collectorUrl, 0))
      yield* quiet(define(hikyaku, "tee"))
      const add = Effect.flatMap(
        mintTicket,
        (ticket) => hikyaku.cart.add({ ticket, product: "tee", member: "m1", quantity: 1 })
      )
      yield* quiet(add)
      const traced = Effect.provide(add, frontTracer(collectorUrl, 1))
      expect(yield* traced).toMatchObject({ _tag: "Allocated", sequence: 2 })
      const names = ["cell.commit", "cell.decide", "cell.wait", "hikyaku.cart.add", "rpc.cart.add"]
      yield* Effect.suspend(() =>
        spans.length >= names.length ? Effect.void : Effect.fail(`only ${spans.map(({ name }) => name).join()}`)
      ).pipe(Effect.retry(Schedule.spaced("50 millis").pipe(Schedule.intersect(Schedule.recurs(400)))))
      expect(spans.map(({ name }) => name).toSorted()).toEqual(names)
      expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1)
      const of = (name: string) => spans.find((span) => span.name === name)
      expect(of("hikyaku.cart.add")).toMatchObject({ service: "front" })
      expect(of("rpc.cart.add")).toMatchObject({ service: "hikyaku", parentSpanId: of("hikyaku.cart.add")?.spanId })
      for (const part of ["cell.wait", "cell.decide", "cell.commit"]) {
        expect(of(part)?.parentSpanId, part).toBe(of("rpc.cart.add")?.spanId)
      }
      expect(of("cell.commit")?.links.map(({ spanId }) => spanId)).toEqual([of("rpc.cart.add")?.spanId])
    }))

  it.scoped("G3, G6 a repeat never contradicts what was answered, over either way in", () =>
    Effect.gen(function*() {
      const socket = yield* socketClient
      const http = yield* httpClient
      yield* define(http, "given-up")
      for (const [giveUp, tag] of [[http.cart.expire, "TimedOut"], [http.cart.cancel, "Cancelled"]] as const) {
        const line = { ticket: yield* mintTicket, product: "given-up" }
        const add = { ...line, member: "m1", quantity: 1 }
        const first = yield* socket.cart.add(add)
        expect(first).toMatchObject({ _tag: "Allocated" })
        // Nothing else was answered yet: the first outcome again.
        expect(yield* http.cart.add(add)).toEqual(first)
        expect(yield* giveUp(line)).toEqual({ _tag: tag })
        expect(yield* http.cart.add(add)).toEqual({ _tag: tag })
        expect(yield* socket.cart.add(add)).toEqual({ _tag: tag })
        expect(yield* socket.cart.status(line)).toEqual({ _tag: tag })
      }
      expect(yield* http.product.stock({ product: "given-up" })).toMatchObject({ available: 5, allocated: 0 })
    }))
})
