/**
 * Where the process listens: one port for HTTP and for WebSockets. The library's own server takes WebSocket messages of up
 * to 100 MiB and closes as slowly as its slowest peer; this one has bounds for both, and lets no foreign web page in.
 */
import { HttpServer, SocketServer } from "@effect/platform"
import { NodeHttpServer, NodeSocketServer } from "@effect/platform-node"
import { payloadMax } from "@hikyaku/domain/api/Client"
import { Config, Context, Duration, Effect, Layer, Schema } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

export interface ListenerOptions {
  /** Address to bind. Default 127.0.0.1: nobody else's machine. */
  readonly host: string
  /** Port; 0 picks a free one. Default 4000. */
  readonly port: number
  /** Connections at one time; those beyond it are refused. Default 10,000. */
  readonly connectionsMax: number
  /**
   * Web origins that may call besides pages served from this machine, e.g. `https://console.example.com`. Callers that are
   * no browsers send no origin and are not concerned.
   */
  readonly origins: ReadonlyArray<string>
}

export const listenerDefault: ListenerOptions = { host: "127.0.0.1", port: 4000, connectionsMax: 10_000, origins: [] }

/** HIKYAKU_HOST, HIKYAKU_PORT, HIKYAKU_CONNECTIONS_MAX, HIKYAKU_ORIGINS (separated by commas). */
export const listenerConfig: Config.Config<ListenerOptions> = Config.all({
  host: Config.nonEmptyString("HIKYAKU_HOST").pipe(Config.withDefault(listenerDefault.host)),
  port: Config.port("HIKYAKU_PORT").pipe(Config.withDefault(listenerDefault.port)),
  connectionsMax: Config.integer("HIKYAKU_CONNECTIONS_MAX").pipe(Config.withDefault(listenerDefault.connectionsMax)),
  origins: Config.array(Config.nonEmptyString(), "HIKYAKU_ORIGINS").pipe(Config.withDefault(listenerDefault.origins))
})

export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  host: Schema.String,
  port: Schema.Number,
  cause: Schema.Defect
}) {
  override get message(): string {
    const code = this.cause instanceof Error && "code" in this.cause ? this.cause.code : undefined
    const where = `${this.host}:${this.port}`
    if (code === "EADDRINUSE") {
      return `${where} is in use: another server runs there, or set HIKYAKU_PORT to a free port`
    }
    if (code === "EACCES") return `${where} may not be bound by this user: choose a port above 1024`
    return `cannot listen on ${where}: ${String(this.cause)}`
  }
}

/** Time in which the headers of a request must have come, ms. */
const headersTimeoutMs = 10_000
/** Time in which a whole request must have come, ms. */
const requestTimeoutMs = 30_000
/** Largest header of a request, in bytes. */
const headerMax = 16 * 1024
/** What peers get to answer the closing of their connection; then it is cut. */
const closeGrace = Duration.seconds(1)

const loopback: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"])

/** Whether a page of this origin may call: only browsers say where a call comes from, and they say so truly. */
export const originAllowed = (origin: string | undefined, origins: ReadonlyArray<string>): boolean => {
  if (origin === undefined) return true
  if (origins.includes(origin)) return true
  try {
    return loopback.has(new URL(origin).hostname)
  } catch {
    return false
  }
}

/** Path of the WebSocket. */
export const socketPath = "/rpc"

export class Listener extends Context.Tag("@hikyaku/server/Listener")<Listener, {
  readonly options: ListenerOptions
  /** The port that was bound. */
  readonly port: number
}>() {}

const make = (options: ListenerOptions) =>
  Effect.gen(function*() {
    const connections = new Set<Net.Socket>()
    let cut: NodeJS.Timeout | undefined
    yield* Effect.addFinalizer(() => Effect.sync(() => clearTimeout(cut)))
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const server = Http.createServer({
          headersTimeout: headersTimeoutMs,
          requestTimeout: requestTimeoutMs,
          maxHeaderSize: headerMax
        })
        server.maxConnections = options.connectionsMax
        server.on("connection", (socket: Net.Socket) => {
          connections.add(socket)
          socket.once("close", () => connections.delete(socket))
        })
        return server
      }),
      (server) =>
        Effect.async<void>((resume) => {
          if (!server.listening) return resume(Effect.void)
          server.close(() => resume(Effect.void))
          server.closeIdleConnections()
        })
    )
    const listen = Effect.async<void, ListenError>((resume) => {
      server.once("error", (cause) =>
        resume(Effect.fail(new ListenError({ host: options.host, port: options.port, cause }))))
      server.listen({ host: options.host, port: options.port }, () =>
        resume(Effect.void))
    })
    const webSockets = NodeSocketServer.makeWebSocket({
      server,
      path: socketPath,
      maxPayload: payloadMax,
      perMessageDeflate: false,
      verifyClient: ({ origin }: { readonly origin: string | undefined }) => originAllowed(origin, options.origins)
    }).pipe(Effect.mapError((cause) => new ListenError({ host: options.host, port: options.port, cause: cause.cause })))
    const [sockets] = yield* Effect.all([webSockets, listen], { concurrency: "unbounded" })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        cut = setTimeout(() => {
          for (const socket of connections) socket.destroy()
        }, Duration.toMillis(closeGrace))
      })
    )
    const address = server.address()
    if (address === null || typeof address === "string") return yield* Effect.dieMessage("the server has no port")
    const http = HttpServer.make({
      address: { _tag: "TcpAddress", hostname: address.address, port: address.port },
      serve: (app, middleware) =>
        Effect.gen(function*() {
          const handler = yield* (middleware === undefined
            ? NodeHttpServer.makeHandler(app)
            : NodeHttpServer.makeHandler(app, middleware))
          server.on("request", handler)
          yield* Effect.addFinalizer(() => Effect.sync(() => server.off("request", handler)))
        })
    })
    return Context.make(HttpServer.HttpServer, http).pipe(
      Context.add(SocketServer.SocketServer, sockets),
      Context.add(Listener, { options, port: address.port })
    )
  })

export const layer = (
  options: Partial<ListenerOptions> = {}
): Layer.Layer<HttpServer.HttpServer | SocketServer.SocketServer | Listener, ListenError> =>
  Layer.scopedContext(make({ ...listenerDefault, ...options }))
