/**
 * The HTTP client for requests to providers, which must not start late (R20, G13). It differs from the usual one in three
 * things: a request is given to a connection only when that is open, handshake included; right before its first byte, in
 * the same turn, `StartGuard` is asked whether it may still start; and a failure before that byte is marked as such, so that
 * it is known not to have happened.
 *
 * What remains between the question and the first byte is one call of the operating system: a process frozen in there is
 * what the documented margin of G9 is for.
 */
import { HttpClient, HttpClientError, type HttpClientRequest, HttpClientResponse } from "@effect/platform"
import { NothingWritten, StartGuard, StartRefused } from "@hikyaku/cluster/delivery/StartGuard"
import { Context, Effect, Layer } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import * as Tls from "node:tls"

export interface ProviderClientOptions {
  /** Longest time for a connection, handshake included. Default 3,000 ms. Keep it below the request timeout. */
  readonly connectTimeoutMs?: number
  /** Most connections to one provider; requests beyond it wait for one. Default 256. */
  readonly connectionsMax?: number
  /** When an unused connection is closed; shorter than what servers wait, lest both meet. Default 4,000 ms. */
  readonly idleTimeoutMs?: number
  /** Largest answer in bytes. Default 64 MiB. */
  readonly answerBytesMax?: number
  /** Certificate authority (PEM) to trust instead of the public ones. */
  readonly ca?: string
}

type Connected = ((error: Error | null, socket: Net.Socket) => void) | undefined

/** Hands out the connection once it is open; the agent takes it through the callback when nothing is returned. */
const whenOpen = (socket: Net.Socket, open: "connect" | "secureConnect", timeoutMs: number, connected: Connected) => {
  const timer = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs)
  const failed = (error: Error) => {
    clearTimeout(timer)
    connected?.(error, socket)
  }
  socket.once("error", failed)
  socket.once(open, () => {
    clearTimeout(timer)
    socket.off("error", failed)
    connected?.(null, socket)
  })
}

const agents = (options: Http.AgentOptions, connectTimeoutMs: number, ca: string | undefined) => {
  class OpenAgent extends Http.Agent {
    override createConnection(to: Http.ClientRequestArgs, connected: Connected): undefined {
      const socket = Net.connect({ host: to.host ?? "localhost", port: Number(to.port ?? 80) })
      whenOpen(socket, "connect", connectTimeoutMs, connected)
    }
  }
  class OpenTlsAgent extends Https.Agent {
    override createConnection(to: Https.RequestOptions, connected: Connected): undefined {
      const host = to.host ?? "localhost"
      const socket = Tls.connect({
        host,
        port: Number(to.port ?? 443),
        // An address cannot be a server name.
        ...(Net.isIP(host) === 0 && { servername: to.servername ?? host }),
        ...(ca !== undefined && { ca })
      })
      whenOpen(socket, "secureConnect", connectTimeoutMs, connected)
    }
  }
  return { http: new OpenAgent(options), https: new OpenTlsAgent(options) }
}

const make = (options: ProviderClientOptions) =>
  Effect.gen(function*() {
    const answerBytesMax = options.answerBytesMax ?? 64 * 1024 * 1024
    const connectionsMax = options.connectionsMax ?? 256
    // The agent's own bound does not count connections that are being opened.
    const connections = yield* Effect.makeSemaphore(connectionsMax)
    const agent = yield* Effect.acquireRelease(
      Effect.sync(() =>
        agents(
          { keepAlive: true, maxFreeSockets: connectionsMax, timeout: options.idleTimeoutMs ?? 4000 },
          options.connectTimeoutMs ?? 3000,
          options.ca
        )
      ),
      ({ http, https }) =>
        Effect.sync(() => {
          http.destroy()
          https.destroy()
        })
    )

    return HttpClient.make((request, url, _signal, fiber) => {
      const { mayStart } = Context.get(fiber.currentContext, StartGuard)
      const exchange = Effect.async<HttpClientResponse.HttpClientResponse, HttpClientError.HttpClientError>(
        (resume) => {
          let begun = false
          const fail = (cause: unknown) =>
            resume(Effect.fail(
              new HttpClientError.RequestError({
                request,
                reason: "Transport",
                cause: begun || cause instanceof StartRefused ? cause : new NothingWritten({ reason: String(cause) })
              })
            ))
          const body = bytesOf(request)
          if (body === undefined) {
            return resume(Effect.fail(
              new HttpClientError.RequestError({
                request,
                reason: "Encode",
                description: "only bodies held in memory can be sent in one turn"
              })
            ))
          }
          const secure = url.protocol === "https:"
          let outgoing: Http.ClientRequest
          try {
            outgoing = (secure ? Https : Http).request(url, {
              agent: secure ? agent.https : agent.http,
              method: request.method,
              headers: request.headers
            })
          } catch (cause) {
            return fail(cause)
          }
          outgoing.on("error", fail)
          // The connection is open here, and the bytes leave when the listeners of this event have run.
          outgoing.once("socket", () => {
            if (mayStart()) begun = true
            else outgoing.destroy(new StartRefused())
          })
          outgoing.once("response", (incoming) => {
            const chunks: Array<Buffer> = []
            let size = 0
            incoming.on("data", (chunk: Buffer) => {
              chunks.push(chunk)
              size += chunk.length
              if (size > answerBytesMax) incoming.destroy(new Error(`an answer of more than ${answerBytesMax} bytes`))
            })
            incoming.on("error", fail)
            incoming.on("end", () => resume(Effect.succeed(response(request, incoming, Buffer.concat(chunks)))))
          })
          outgoing.end(body)
          return Effect.sync(() => outgoing.destroy())
        }
      )
      return connections.withPermits(1)(exchange)
    })
  })

const bytesOf = ({ body }: HttpClientRequest.HttpClientRequest): Uint8Array | undefined =>
  body._tag === "Empty" ? new Uint8Array() : body._tag === "Uint8Array" ? body.body : undefined

const response = (request: HttpClientRequest.HttpClientRequest, incoming: Http.IncomingMessage, bytes: Buffer) => {
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    for (const value of values ?? []) headers.append(name, value)
  }
  const status = incoming.statusCode ?? 0
  // These must not have a body, says the constructor.
  const bodiless = status === 204 || status === 205 || status === 304
  const answer = HttpClientResponse.fromWeb(request, new Response(bodiless ? null : bytes, { status, headers }))
  // It is all here: as the stream of a web response it would be read in turns of its own, for which the next request waits.
  return Object.defineProperty(answer, "text", { value: Effect.sync(() => new TextDecoder().decode(bytes)) })
}

/** The client; its connections close with the scope. */
export const layer = (options: ProviderClientOptions = {}): Layer.Layer<HttpClient.HttpClient> =>
  Layer.scoped(HttpClient.HttpClient, make(options))
