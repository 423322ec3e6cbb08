/** The API from outside, over all its protocols: what works, and what bad input does (G16): a typed error, nothing else. */
import { HttpClient } from "@effect/platform"
import { Socket } from "@effect/platform"
import { NodeSocket } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { Hikyaku, mintTicket, payloadMax } from "@hikyaku/domain/api/Client"
import { Listener } from "@hikyaku/server/http/HttpListener"
import { Cause, Effect, Exit, Fiber, Queue } from "effect"
import * as TestApi from "./TestApi.ts"

const call = (method: string, params?: unknown, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: "2.0", method, params, id })

const failureOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit)
    ? Cause.failureOption(exit.cause).pipe((option) => option._tag === "Some" ? option.value : exit.cause)
    : exit

layer(TestApi.layer(), { excludeTestServices: true })("the API", (it) => {
  const anywhere = TestApi.webSocketClient
  const define = (product: string, stock: number) =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      yield* hikyaku.product.define({ product, name: "a shirt" })
      yield* hikyaku.product.changeStock({
        product,
        source: "test",
        sourceVersion: 1,
        meaning: "physical",
        change: { _tag: "Level", level: stock }
      })
    })

  describe.each([["WebSocket", TestApi.webSocketClient], ["HTTP", TestApi.httpClient]] as const)(
    "over %s",
    (name, client) => {
      it.effect("allocates stock, first in first out", () =>
        Effect.gen(function*() {
          const hikyaku = yield* Hikyaku
          const product = `fifo-${name}`
          yield* define(product, 2)
          const add = Effect.flatMap(
            mintTicket,
            (ticket) => hikyaku.cart.add({ ticket, product, member: "m1", quantity: 1 })
          )
          const outcomes = yield* Effect.all([add, add, add])
          expect(outcomes.map((outcome) => outcome._tag)).toEqual(["Allocated", "Allocated", "SoldOut"])
          const level = yield* hikyaku.product.stock({ product })
          expect(level).toMatchObject({ available: 0, allocated: 2, takenIn: 2 })
        }).pipe(Effect.provide(client)))

      it.effect("G16 bad input names the place and changes nothing", () =>
        Effect.gen(function*() {
          const hikyaku = yield* Hikyaku
          const product = `bad-${name}`
          yield* define(product, 5)
          const ticket = yield* mintTicket
          const unknown = yield* Effect.exit(
            hikyaku.cart.add({ ticket, product: "nobody-knows", member: "m", quantity: 1 })
          )
          expect(failureOf(unknown)).toMatchObject({ _tag: "UnknownProduct", product: "nobody-knows" })
          const twice = yield* Effect.exit(
            hikyaku.cart.checkout({ order: `o-${name}`, lines: [{ ticket, product }, { ticket, product }] })
          )
          expect(failureOf(twice)).toMatchObject({ _tag: "BadInput", path: "lines[1].ticket" })
          expect(yield* hikyaku.product.stock({ product })).toMatchObject({ available: 5, allocated: 0 })
        }).pipe(Effect.provide(client)))
    }
  )

  it.effect("a repeat gets the first outcome, other content under the same ticket is refused (G3)", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      yield* define("repeat", 1)
      const ticket = yield* mintTicket
      const add = { ticket, product: "repeat", member: "m1", quantity: 1 }
      const first = yield* hikyaku.cart.add(add)
      expect(yield* hikyaku.cart.add(add)).toEqual(first)
      const other = yield* Effect.exit(hikyaku.cart.add({ ...add, quantity: 2 }))
      expect(failureOf(other)).toMatchObject({ _tag: "ContentDiffers", id: ticket })
    }).pipe(Effect.provide(anywhere)))

  describe("G16 JSON-RPC 2.0", () => {
    const ticket = "01890a5d-ac96-774b-bcce-b302099a8057"
    const good = { ticket, product: "json", member: "m1", quantity: 1 }

    it.effect("answers under the caller's id, whatever it is", () =>
      Effect.gen(function*() {
        for (const id of ["a-1", 0, 7, 1.5, null]) {
          const { answer, status } = yield* TestApi.postJson(call("event.customTypes", {}, id))
          expect(status).toBe(200)
          expect(answer).toEqual({ jsonrpc: "2.0", result: [], id })
        }
      }))

    it.effect.each(
      [
        ["broken JSON", "{\"jsonrpc\": ", -32700],
        ["not JSON at all", "hello", -32700],
        ["nothing", "", -32700],
        ["a number", "5", -32600],
        ["an empty batch", "[]", -32600],
        ["no version", "{\"method\":\"cart.add\",\"id\":1}", -32600],
        ["another version", "{\"jsonrpc\":\"1.0\",\"method\":\"cart.add\",\"id\":1}", -32600],
        ["no method", "{\"jsonrpc\":\"2.0\",\"id\":1}", -32600],
        ["a method that is a number", "{\"jsonrpc\":\"2.0\",\"method\":1,\"id\":1}", -32600],
        ["an id that is an object", "{\"jsonrpc\":\"2.0\",\"method\":\"cart.add\",\"id\":{}}", -32600],
        ["an unknown method", call("cart.ad", good), -32601],
        ["a method of the transport", call("@effect/rpc/Ping", {}), -32601],
        ["a method of every object", call("constructor", {}), -32601],
        ["parameters by position", call("cart.add", [1]), -32602],
        ["no parameters", call("cart.add"), -32602]
      ] as const
    )("%s", ([, body, code]) =>
      Effect.gen(function*() {
        const { answer } = yield* TestApi.postJson(body)
        expect(answer).toMatchObject({ jsonrpc: "2.0", error: { code, message: expect.any(String) } })
        expect(answer).not.toHaveProperty("result")
      }))

    it.effect.each(
      [
        ["quantity 0", { quantity: 0 }, "quantity"],
        ["quantity too large", { quantity: 10_001 }, "quantity"],
        ["a broken quantity", { quantity: 1.5 }, "quantity"],
        ["a quantity in words", { quantity: "1" }, "quantity"],
        ["no quantity", { quantity: undefined }, "quantity"],
        ["a ticket that is no id", { ticket: "x" }, "ticket"],
        ["a ticket of version 4", { ticket: "c5a1c9a6-1d7a-4c5c-8b3a-6f0d3d9a7a10" }, "ticket"],
        ["a ticket in capitals", { ticket: ticket.toUpperCase() }, "ticket"],
        ["an empty product", { product: "" }, "product"],
        ["a product with a blank", { product: "a b" }, "product"],
        ["a product that is SQL", { product: "x'; drop table product; --" }, "product"],
        ["a member that is too long", { member: "m".repeat(65) }, "member"],
        ["U+0000 in the member", { member: "m\u0000" }, "member"],
        ["a lone surrogate in the member", { member: "m\ud800" }, "member"],
        ["a deadline beyond the bound", { deadline: 3_600_000 }, "deadline"],
        ["a field that is not there", { quantitty: 1 }, "quantitty"]
      ] as const
    )("cart.add with %s", ([, change, path]) =>
      Effect.gen(function*() {
        const { answer } = yield* TestApi.postJson(call("cart.add", { ...good, ...change }))
        expect(answer).toMatchObject({ error: { code: -32602, data: { _tag: "BadInput", path } }, id: 1 })
      }))

    it.effect("says what was probably meant", () =>
      Effect.gen(function*() {
        const field = yield* TestApi.postJson(call("cart.add", { ...good, quantitty: 1 }))
        expect(field.answer).toMatchObject({ error: { data: { hint: expect.stringContaining("quantity") } } })
        const method = yield* TestApi.postJson(call("cart.ad", good))
        expect(method.answer).toMatchObject({ error: { data: { hint: expect.stringContaining("cart.add") } } })
      }))

    it.effect("answers a batch in one list, without the notifications, each call on its own", () =>
      Effect.gen(function*() {
        const { answer } = yield* TestApi.postJson(`[
          {"jsonrpc":"2.0","method":"event.customTypes","id":"one"},
          {"jsonrpc":"2.0","method":"event.customTypes"},
          {"jsonrpc":"2.0","method":"nothing.here","id":2},
          7,
          {"jsonrpc":"2.0","method":"product.stock","params":{"product":"unknown"},"id":3}
        ]`)
        expect(answer).toHaveLength(4)
        expect(answer).toEqual(expect.arrayContaining([
          { jsonrpc: "2.0", result: [], id: "one" },
          expect.objectContaining({ id: 2, error: expect.objectContaining({ code: -32601 }) }),
          expect.objectContaining({ id: null, error: expect.objectContaining({ code: -32600 }) }),
          expect.objectContaining({ id: 3, error: expect.objectContaining({ code: -32005 }) })
        ]))
      }))

    it.effect("answers nothing to a notification", () =>
      Effect.gen(function*() {
        const { answer, status } = yield* TestApi.postJson(
          JSON.stringify({ jsonrpc: "2.0", method: "event.customTypes" })
        )
        expect({ answer, status }).toEqual({ answer: undefined, status: 204 })
      }))

    it.effect("refuses a batch beyond the bound", () =>
      Effect.gen(function*() {
        const one = JSON.parse(call("event.customTypes", {})) as unknown
        const { answer } = yield* TestApi.postJson(JSON.stringify(Array.from({ length: 101 }, () => one)))
        expect(answer).toMatchObject({ error: { code: -32600 } })
      }))

    it.effect("refuses a payload beyond the bound with 413, announced or not", () =>
      Effect.gen(function*() {
        const large = call("cart.add", { ...good, member: "m".repeat(payloadMax) })
        const announced = yield* TestApi.postJson(large)
        expect(announced).toMatchObject({ status: 413, answer: { error: { code: -32600 } } })
        const { port } = yield* Listener
        const chunked = yield* Effect.promise(() =>
          fetch(`http://127.0.0.1:${port}/jsonrpc`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: new Blob([large]).stream(),
            duplex: "half"
          } as RequestInit)
        )
        expect(chunked.status).toBe(413)
      }))

    it.effect("takes no deep nesting, no form of a web page and no call from another site", () =>
      Effect.gen(function*() {
        const deep = "[".repeat(100_000) + "]".repeat(100_000)
        const nested = yield* TestApi.postJson(
          `{"jsonrpc":"2.0","method":"campaign.validate","params":{"document":${deep}},"id":1}`
        )
        expect(nested.answer).toMatchObject({ error: { code: -32602 } })
        const form = yield* TestApi.post("/jsonrpc", call("event.customTypes"), "text/plain")
        expect(form.status).toBe(415)
        const foreign = yield* TestApi.post("/jsonrpc", call("event.customTypes"), "application/json", {
          origin: "https://evil.example"
        })
        expect(foreign.status).toBe(403)
        const own = yield* TestApi.post("/jsonrpc", call("event.customTypes"), "application/json", {
          origin: "http://localhost:4000"
        })
        expect(own.status).toBe(200)
      }))
  })

  describe("G16 raw bytes", () => {
    it.effect.each(
      [
        ["application/msgpack", new Uint8Array([0xc1])],
        ["application/msgpack", new Uint8Array([0xc0, 0xc0])],
        ["application/msgpack", crypto.getRandomValues(new Uint8Array(300))],
        ["application/ndjson", "{\"_tag\":\"Request\""],
        ["application/ndjson", "null"],
        ["application/ndjson", "[1]"],
        ["application/ndjson", JSON.stringify({ _tag: "Request", id: "x", tag: "cart.add", payload: {}, headers: [] })],
        ["application/ndjson", JSON.stringify({ _tag: "Request", id: 5, tag: "cart.add", payload: {}, headers: [] })],
        ["application/ndjson", JSON.stringify({ _tag: "Request", id: "1", tag: 5 })],
        ["application/ndjson", JSON.stringify({ _tag: "Nonsense" })]
      ] as const
    )("over HTTP as %s", ([type, body]) =>
      Effect.gen(function*() {
        const { status, text } = yield* TestApi.post("/rpc/http", body, type)
        expect(status).toBe(200)
        if (type === "application/ndjson") expect(text).toContain("Defect")
        yield* stillThere
      }))

    it.effect("an unknown method and bad input are typed errors over NDJSON too", () =>
      Effect.gen(function*() {
        const request = (tag: string, payload: unknown) =>
          JSON.stringify({ _tag: "Request", id: "1", tag, payload, headers: "nonsense" })
        const unknown = yield* TestApi.post("/rpc/http", request("cart.nothing", {}), "application/ndjson")
        expect(unknown.text).toContain("\"UnknownMethod\"")
        const bad = yield* TestApi.post("/rpc/http", request("product.stock", { product: "" }), "application/ndjson")
        expect(bad.text).toContain("\"BadInput\"")
        expect((yield* TestApi.post("/rpc/http", "{}", "text/plain")).status).toBe(415)
      }))

    it.scoped("over the WebSocket the connection says so and goes on, or is closed; others never notice", () =>
      Effect.gen(function*() {
        const { port } = yield* Listener
        const frames: ReadonlyArray<string | Uint8Array> = [
          new Uint8Array([0xc1]),
          "text",
          new Uint8Array([0xc0]),
          new Uint8Array(0),
          new Uint8Array([0x93, 1, 2, 3])
        ]
        for (const frame of frames) {
          const answers = yield* Queue.unbounded<string>()
          yield* Effect.scoped(Effect.gen(function*() {
            const socket = yield* Socket.makeWebSocket(`ws://127.0.0.1:${port}/rpc`)
            const write = yield* socket.writer
            yield* Effect.forkScoped(
              socket.runRaw((data) => Queue.offer(answers, typeof data)).pipe(
                Effect.exit,
                Effect.zipRight(Queue.offer(answers, "closed"))
              )
            )
            yield* write(frame)
            if (frame.length > 0) yield* Queue.take(answers)
          }))
          yield* stillThere
        }
        // One message beyond the bound: closed with 1009, not read into memory.
        const closed = yield* Effect.scoped(Effect.gen(function*() {
          const socket = yield* Socket.makeWebSocket(`ws://127.0.0.1:${port}/rpc`)
          const write = yield* socket.writer
          const running = yield* Effect.fork(Effect.flip(socket.runRaw(() => {})))
          yield* write(new Uint8Array(payloadMax + 1))
          return yield* Fiber.join(running)
        }))
        expect(closed).toMatchObject({ reason: "Close", code: 1009 })
        yield* stillThere
      }).pipe(Effect.provide(NodeSocket.layerWebSocketConstructor)))

    const stillThere = Effect.gen(function*() {
      const { answer } = yield* TestApi.postJson(call("event.customTypes"))
      expect(answer).toMatchObject({ result: [] })
    })
  })

  it.effect("is alive, is ready, and says of what", () =>
    Effect.gen(function*() {
      const { port } = yield* Listener
      const client = yield* HttpClient.HttpClient
      const live = yield* client.get(`http://127.0.0.1:${port}/health/live`)
      expect(live.status).toBe(200)
      const ready = yield* client.get(`http://127.0.0.1:${port}/health/ready`)
      expect(ready.status).toBe(200)
      expect(yield* ready.json).toMatchObject({ ok: true, components: [{ name: "store" }, { name: "runners" }] })
      expect((yield* client.get(`http://127.0.0.1:${port}/rpc`)).status).toBe(426)
      expect((yield* client.get(`http://127.0.0.1:${port}/nothing`)).status).toBe(404)
    }))

  it.effect("nothing of all that was executed", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const rows = yield* sql<{ readonly n: number }>`select count(*)::int as n from product`
      expect(rows[0]?.n).toBe(0)
      expect(yield* sql`select * from ticket_given_up`).toEqual([])
      const hikyaku = yield* Hikyaku
      const exit = yield* Effect.exit(hikyaku.product.stock({ product: "json" }))
      expect(failureOf(exit)).toMatchObject({ _tag: "UnknownProduct" })
    }).pipe(Effect.provide(anywhere)))
})
