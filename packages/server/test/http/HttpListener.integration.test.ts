/** The listener's life: it says why it cannot listen, and closing it leaves no socket behind, whoever holds on (G19, R25). */
import { HttpLayerRouter, HttpServerResponse } from "@effect/platform"
import { expect, it } from "@effect/vitest"
import * as HttpListener from "@hikyaku/server/http/HttpListener"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import * as Net from "node:net"
import { describe } from "vitest"

const served = (options: Partial<HttpListener.ListenerOptions> = {}) =>
  HttpLayerRouter.serve(
    HttpLayerRouter.add("GET", "/", HttpServerResponse.text("here")),
    { disableLogger: true, disableListenLog: true }
  ).pipe(Layer.provideMerge(HttpListener.layer({ port: 0, ...options })))

const connect = (port: number) =>
  Effect.async<Net.Socket, Error>((resume) => {
    const socket = Net.connect({ host: "127.0.0.1", port })
    socket.once("connect", () => resume(Effect.succeed(socket)))
    socket.once("error", (error) => resume(Effect.fail(error)))
  })

describe("the listener", () => {
  it.live("closes within its grace although peers hold on, and frees the port", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(served(), scope)
      const { port } = Context.get(context, HttpListener.Listener)
      const silent = yield* connect(port)
      const half = yield* connect(port)
      half.write("POST /jsonrpc HTTP/1.1\r\nHost: x\r\n")
      const ended = Effect.async<void>((resume) => {
        silent.once("close", () => resume(Effect.void))
        silent.resume()
      })
      yield* Effect.all([Scope.close(scope, Exit.void), ended], { concurrency: 2 }).pipe(Effect.timeout("3 seconds"))
      half.destroy()
      expect(yield* Effect.flip(connect(port))).toMatchObject({ code: "ECONNREFUSED" })
    }))

  it.scopedLive("says which port is taken and what to do", () =>
    Effect.gen(function*() {
      const { port } = Context.get(yield* Layer.build(served()), HttpListener.Listener)
      const error = yield* Effect.flip(Layer.build(served({ port })))
      expect(error).toMatchObject({ _tag: "ListenError", port })
      expect(error.message).toContain("HIKYAKU_PORT")
    }))

  it.scopedLive("lets no page of another site open a WebSocket", () =>
    Effect.gen(function*() {
      const { port } = Context.get(yield* Layer.build(served()), HttpListener.Listener)
      const upgrade = (origin: string) =>
        Effect.gen(function*() {
          const socket = yield* connect(port)
          yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
          socket.write([
            "GET /rpc HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            `Origin: ${origin}`,
            "",
            ""
          ].join("\r\n"))
          return yield* Effect.async<string>((resume) => {
            socket.once("data", (data) => resume(Effect.succeed(data.toString().split("\r\n")[0] ?? "")))
          })
        })
      expect(yield* upgrade("https://evil.example")).toContain("401")
      expect(yield* upgrade("null")).toContain("401")
      expect(yield* upgrade("http://localhost:4000")).toContain("101")
    }))

  it("judges origins", () => {
    expect(HttpListener.originAllowed(undefined, [])).toBe(true)
    expect(HttpListener.originAllowed("http://127.0.0.1:9", [])).toBe(true)
    expect(HttpListener.originAllowed("http://localhost.evil.example", [])).toBe(false)
    expect(HttpListener.originAllowed("https://shop.example", ["https://shop.example"])).toBe(true)
    expect(HttpListener.originAllowed("https://shop.example:8443", ["https://shop.example"])).toBe(false)
  })
})
