import { HttpClient } from "@effect/platform"
import { describe, expect, it } from "@effect/vitest"
import * as HttpProvider from "@hikyaku/cluster/delivery/HttpProvider"
import { Provider, type ProviderError } from "@hikyaku/cluster/delivery/Provider"
import { sandboxPromises } from "@hikyaku/cluster/delivery/ProviderMemory"
import { failureOfTransport } from "@hikyaku/cluster/delivery/ProviderWire"
import { StartGuard } from "@hikyaku/cluster/delivery/StartGuard"
import * as ProviderClient from "@hikyaku/server/http/ProviderClient"
import { Deferred, Duration, Effect, Fiber, Layer, Redacted } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { testCertificate } from "./TestCertificate.ts"

/** A server on a free port of the loopback; counts the connections and bytes that reach it. */
const listen = <S extends Net.Server>(server: S, scheme: "http" | "https" = "http") => {
  const seen = { url: "", server, connections: 0, bytes: 0 }
  const sockets = new Set<Net.Socket>()
  return Effect.acquireRelease(
    Effect.async<typeof seen>((resume) => {
      server.on("connection", (socket: Net.Socket) => {
        seen.connections++
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
        if (!(server instanceof Http.Server)) socket.on("data", (chunk: Buffer) => (seen.bytes += chunk.length))
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        seen.url = `${scheme}://localhost:${typeof address === "object" ? address?.port : 0}`
        resume(Effect.succeed(seen))
      })
    }),
    () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        sockets.forEach((socket) => socket.destroy())
      })
  )
}

const silent = () => Net.createServer(() => {})
const answering = (answer: (request: Http.IncomingMessage, response: Http.ServerResponse) => void) =>
  Http.createServer((request, response) => {
    request.resume()
    request.on("end", () => answer(request, response))
  })
const json = (response: Http.ServerResponse, body: unknown) => response.end(JSON.stringify(body))

/** Long, so that a busy machine ends nothing; where a test is about an answer that does not come it is short. */
const patient = Duration.seconds(20)
const over = (baseUrl: string, options?: ProviderClient.ProviderClientOptions, requestTimeout = patient) =>
  HttpProvider.layer({ ...sandboxPromises, baseUrl, apiKey: Redacted.make("key"), requestTimeout }).pipe(
    Layer.provide(ProviderClient.layer(options))
  )
const status = Effect.flatMap(Provider, (provider) => provider.status({ sendId: "s-1" }))
const outcome = (effect: Effect.Effect<unknown, ProviderError, Provider>) =>
  Effect.map(Effect.either(effect), (result) => result._tag === "Left" ? result.left._tag : "success")
const sending = { state: "Sending", results: [] }

describe("R21: what a failure says about the request", () => {
  it.scopedLive("a refused connection: not written", () =>
    Effect.gen(function*() {
      const port = yield* Effect.scoped(Effect.map(listen(silent()), ({ url }) => url))
      expect(yield* Effect.provide(outcome(status), over(port))).toBe("ProviderUnavailable")
    }))

  it.scopedLive("a host that does not exist: not written", () =>
    Effect.gen(function*() {
      expect(yield* Effect.provide(outcome(status), over("http://nobody.invalid"))).toBe("ProviderUnavailable")
    }))

  it.scopedLive("a connection that is cut once the request is there: unknown", () =>
    Effect.gen(function*() {
      const server = yield* listen(Net.createServer((socket) => socket.once("data", () => socket.destroy())))
      expect(yield* Effect.provide(outcome(status), over(server.url))).toBe("ProviderUnknown")
    }))

  it.scopedLive("no answer: unknown after the time-out, and the connection is closed", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<void>()
      const server = yield* listen(Net.createServer((socket) => {
        socket.resume().once("close", () => Deferred.unsafeDone(closed, Effect.void))
      }))
      const result = yield* Effect.provide(
        Effect.zipLeft(outcome(status), Effect.timeout(Deferred.await(closed), "5 seconds")),
        over(server.url, undefined, Duration.millis(500))
      )
      expect(result).toBe("ProviderUnknown")
      expect(server.bytes).toBeGreaterThan(0)
    }))

  it.scopedLive("an interrupted caller closes the connection", () =>
    Effect.gen(function*() {
      const arrived = yield* Deferred.make<void>()
      const closed = yield* Deferred.make<void>()
      const server = yield* listen(Net.createServer((socket) => {
        socket.once("data", () => Deferred.unsafeDone(arrived, Effect.void))
        socket.once("close", () => Deferred.unsafeDone(closed, Effect.void))
      }))
      yield* Effect.gen(function*() {
        const caller = yield* Effect.fork(status)
        yield* Deferred.await(arrived)
        yield* Fiber.interrupt(caller)
        yield* Effect.timeout(Deferred.await(closed), "5 seconds")
      }).pipe(Effect.provide(over(server.url)))
    }))

  it.scopedLive("an answer that breaks off: unknown", () =>
    Effect.gen(function*() {
      const server = yield* listen(answering((request, response) => {
        response.writeHead(200, { "content-length": "100" }).write("{\"state\":")
        setImmediate(() => request.socket.destroy())
      }))
      expect(yield* Effect.provide(outcome(status), over(server.url))).toBe("ProviderUnknown")
    }))

  it.scopedLive.each([
    ["no JSON", "<html>"],
    ["another shape", "{\"state\":\"Sent\"}"],
    ["too much", JSON.stringify({ ...sending, more: "x".repeat(5000) })]
  ])("an answer of 200 that is %s: unknown", ([, body]) =>
    Effect.gen(function*() {
      const server = yield* listen(answering((_, response) => response.end(body)))
      const result = Effect.provide(outcome(status), over(server.url, { answerBytesMax: 4000 }))
      expect(yield* result).toBe("ProviderUnknown")
    }))

  it.scopedLive("a handshake that does not come to an end: not written", () =>
    Effect.gen(function*() {
      const server = yield* listen(silent(), "https")
      const result = yield* Effect.provide(outcome(status), over(server.url, { connectTimeoutMs: 100 }))
      expect(result).toBe("ProviderUnavailable")
      expect(server.connections).toBe(1)
    }))

  it.scopedLive("a certificate that nobody trusts: not written", () =>
    Effect.gen(function*() {
      const requests: Array<string> = []
      const server = yield* listen(
        Https.createServer(testCertificate, (request, response) => {
          requests.push(request.url ?? "")
          json(response, sending)
        }),
        "https"
      )
      expect(yield* Effect.provide(outcome(status), over(server.url))).toBe("ProviderUnavailable")
      const trusting = over(server.url, { ca: testCertificate.cert })
      expect(yield* Effect.provide(outcome(status), trusting)).toBe("success")
      expect(requests).toEqual(["/v1/sends/s-1"])
    }))
})

describe("what is said and heard", () => {
  const listOf = (name: string) => ({
    listId: "l-1",
    channel: "mail",
    mailKey: "run",
    recipients: [{ deliveryId: "d-1", address: "a@shop.example", content: { text: `${name}さん、こんにちは` } }]
  })

  it.scopedLive("an upload says the same whether it was prepared or not", () =>
    Effect.gen(function*() {
      const bodies: Array<unknown> = []
      const { url } = yield* listen(Http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          bodies.push(JSON.parse(Buffer.concat(chunks).toString("utf8")))
          json(response, { uploadId: "u-1" })
        })
      }))
      const upload = Effect.gen(function*() {
        const provider = yield* Provider
        const [one, other] = [listOf("山田"), listOf("佐藤")]
        yield* provider.prepareList?.(one) ?? Effect.die("nothing is prepared")
        for (const list of [one, other]) yield* provider.uploadList({ ...list, idempotencyKey: "k" })
      })
      yield* Effect.provide(upload, over(url))
      expect(bodies).toEqual([listOf("山田"), listOf("佐藤")])
    }))

  it.scopedLive("an answer is read as a whole, wherever it was cut on its way", () =>
    Effect.gen(function*() {
      const result = { deliveryId: "d-1", outcome: "Rejected", at: 1, reason: "宛先不明" }
      const bytes = Buffer.from(JSON.stringify({ state: "Completed", results: [result] }))
      // Within a character.
      const cut = bytes.indexOf("宛") + 1
      const { url } = yield* listen(answering((_, response) => {
        response.write(bytes.subarray(0, cut), () => setImmediate(() => response.end(bytes.subarray(cut))))
      }))
      expect(yield* Effect.provide(status, over(url))).toEqual({ state: "Completed", results: [result] })
    }))
})

describe("the place of a request (G9)", () => {
  it.scopedLive("is told to be free when the whole of an answer is here that says it was done, and by no other", () =>
    Effect.gen(function*() {
      const told = async (answer: (response: Http.ServerResponse) => void, requestTimeout?: Duration.Duration) => {
        let free = 0
        const outcomes = await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
          const { url } = yield* listen(answering((_, response) => answer(response)))
          const answered = Effect.sync(() => void free++)
          return yield* Effect.provide(
            outcome(Effect.flatMap(Provider, (provider) => provider.status({ sendId: "s-1", answered }))),
            over(url, undefined, requestTimeout)
          )
        })))
        return [free, outcomes]
      }
      const answers = {
        done: yield* Effect.promise(() => told((response) => json(response, sending))),
        // It is free all the same: what it says is another matter.
        unreadable: yield* Effect.promise(() => told((response) => response.end("what?"))),
        half: yield* Effect.promise(() =>
          told((response) => {
            response.writeHead(200, { "content-length": "100" })
            response.write("{", () => response.destroy())
          })
        ),
        unending: yield* Effect.promise(() => told((response) => void response.write("{"), Duration.millis(200))),
        throttled: yield* Effect.promise(() => told((response) => response.writeHead(429).end("{}"))),
        broken: yield* Effect.promise(() => told((response) => response.writeHead(500).end("{}")))
      }
      expect(answers).toEqual({
        done: [1, "success"],
        unreadable: [1, "ProviderUnknown"],
        half: [0, "ProviderUnknown"],
        unending: [0, "ProviderUnknown"],
        throttled: [0, "Throttled"],
        broken: [0, "ProviderUnknown"]
      })
    }))
})

describe("R20, G13: the guard is asked in the turn of the first byte", () => {
  /** What becomes of a request whose guard says `yes` after the number of times given. */
  const guarded = (client: HttpClient.HttpClient, url: string, mayStart: () => boolean) =>
    client.get(`${url}/v1/sends/s-1`).pipe(
      Effect.provideService(StartGuard, { mayStart }),
      Effect.match({ onSuccess: () => "success", onFailure: (error) => failureOfTransport(error.cause)._tag })
    )
  const withClient = <A, E, R>(use: (client: HttpClient.HttpClient) => Effect.Effect<A, E, R>) =>
    Effect.flatMap(HttpClient.HttpClient, use).pipe(
      Effect.provide(ProviderClient.layer({ ca: testCertificate.cert }))
    )

  it.scopedLive("on a new connection: asked when it is open, and nothing is written", () =>
    Effect.gen(function*() {
      const server = yield* listen(silent())
      let asked = 0
      const result = yield* withClient((client) =>
        guarded(client, server.url, () => {
          asked++
          return false
        })
      )
      expect(result).toBe("TooLateToStart")
      expect(asked).toBe(1)
      expect(server.bytes).toBe(0)
    }))

  it.scopedLive.each(["http", "https"] as const)(
    "on a connection already open (%s): nothing is written",
    (scheme) =>
      Effect.gen(function*() {
        let requests = 0
        const answer = (_: Http.IncomingMessage, response: Http.ServerResponse) => {
          requests++
          json(response, sending)
        }
        const server = scheme === "http"
          ? yield* listen(Http.createServer(answer))
          : yield* listen(Https.createServer(testCertificate, answer), "https")
        yield* withClient((client) =>
          Effect.gen(function*() {
            expect(yield* guarded(client, server.url, () => true)).toBe("success")
            expect(yield* guarded(client, server.url, () => false)).toBe("TooLateToStart")
            expect(yield* guarded(client, server.url, () => true)).toBe("success")
          })
        )
        expect(requests).toBe(2)
      })
  )

  it.scopedLive("not before the handshake is over", () =>
    Effect.gen(function*() {
      const server = yield* listen(silent(), "https")
      let asked = 0
      const result = yield* guardedQuickly(server.url, () => {
        asked++
        return true
      })
      expect(result).toBe("ProviderUnavailable")
      expect(asked).toBe(0)
    }))
  const guardedQuickly = (url: string, mayStart: () => boolean) =>
    Effect.flatMap(HttpClient.HttpClient, (client) => guarded(client, url, mayStart)).pipe(
      Effect.provide(ProviderClient.layer({ connectTimeoutMs: 100 }))
    )
})

describe("the provider's client", () => {
  it.scopedLive("keeps connections open, within their bound", () =>
    Effect.gen(function*() {
      const server = yield* listen(answering((_, response) => json(response, sending)))
      yield* Effect.gen(function*() {
        for (let i = 0; i < 5; i++) yield* status
        expect(server.connections).toBe(1)
        yield* Effect.forEach(Array.from({ length: 40 }), () => status, { concurrency: 40 })
        expect(server.connections).toBeLessThanOrEqual(3)
      }).pipe(Effect.provide(over(server.url, { connectionsMax: 3 })))
    }))

  it.scopedLive("notices a connection that was closed while unused", () =>
    Effect.gen(function*() {
      const closed = yield* Deferred.make<void>()
      const server = yield* listen(answering((request, response) => {
        json(response, sending)
        // Not announced to the client, as when a proxy gives up on a connection.
        response.once("finish", () => request.socket.end(() => Deferred.unsafeDone(closed, Effect.void)))
      }))
      yield* Effect.gen(function*() {
        yield* status
        yield* Deferred.await(closed)
        yield* Effect.repeat(Effect.delay(Effect.void, "5 millis"), {
          until: () => Effect.map(connectionsOf(server.server), (open) => open === 0)
        })
        yield* status
        expect(server.connections).toBe(2)
      }).pipe(Effect.provide(over(server.url)))
    }))

  it.scopedLive("leaves no connection behind when its scope closes (R25)", () =>
    Effect.gen(function*() {
      const server = yield* listen(answering((_, response) => json(response, sending)))
      yield* Effect.provide(status, over(server.url))
      yield* Effect.repeat(Effect.delay(connectionsOf(server.server), "5 millis"), { until: (open) => open === 0 })
    }))

  it.scopedLive("sends the key, no trace ids, and one request per call", () =>
    Effect.gen(function*() {
      const seen: Array<Http.IncomingHttpHeaders> = []
      const server = yield* listen(answering((request, response) => {
        seen.push(request.headers)
        json(response, { uploadId: "u-1" })
      }))
      yield* Effect.flatMap(Provider, (provider) =>
        provider.uploadList({ listId: "l", channel: "mail", mailKey: "m", recipients: [], idempotencyKey: "key-1" }))
        .pipe(Effect.withSpan("test"), Effect.provide(over(server.url)))
      expect(seen).toHaveLength(1)
      expect(seen[0]).toMatchObject({ authorization: "Bearer key", "idempotency-key": "key-1" })
      expect(seen[0]).not.toHaveProperty("traceparent")
      expect(seen[0]).not.toHaveProperty("b3")
      const bad = yield* Effect.flatMap(Provider, (provider) =>
        Effect.flip(provider.startDelivery({ uploadId: "u", idempotencyKey: "鍵\n" }))).pipe(
          Effect.provide(over(server.url))
        )
      expect(bad).toMatchObject({ _tag: "ProviderRejected", where: "idempotencyKey" })
      expect(seen).toHaveLength(1)
    }))
})

const connectionsOf = (server: Net.Server) =>
  Effect.async<number>((resume) => {
    server.getConnections((_, open) => resume(Effect.succeed(open)))
  })
