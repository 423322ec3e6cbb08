/** The fast lane from outside: many adds in one frame are as many calls, each with its own answer and its own fate. */
import { Socket } from "@effect/platform"
import { NodeSocket } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { Overloaded } from "@hikyaku/cluster/actor/ActorClient"
import { Hikyaku, mintTicket, serialization } from "@hikyaku/domain/api/Client"
import { together } from "@hikyaku/domain/api/Frame"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { Listener } from "@hikyaku/server/http/HttpListener"
import { Clock, Context, Effect, Fiber, Layer, Queue } from "effect"
import { ActorControl } from "../../../cluster/test/stock/MemoryActors.ts"
import * as TestApi from "./TestApi.ts"

const define = (product: string, stock: number) =>
  Effect.gen(function*() {
    const hikyaku = yield* Hikyaku
    yield* hikyaku.product.define({ product })
    yield* hikyaku.product.changeStock({
      product,
      source: "test",
      sourceVersion: 1,
      meaning: "physical",
      change: { _tag: "Level", level: stock }
    })
  })

interface Exit {
  readonly requestId: string
  readonly exit: { readonly _tag: string; readonly value?: unknown; readonly cause?: unknown }
}

/** A connection on which the test writes its own frames; `frames` has what came back, per frame. */
const raw = Effect.gen(function*() {
  const { port } = yield* Listener
  const socket = Context.get(
    yield* Layer.build(NodeSocket.layerWebSocket(`ws://127.0.0.1:${port}/rpc`)),
    Socket.Socket
  )
  const { decode, encode } = serialization.unsafeMake()
  const frames = yield* Queue.unbounded<ReadonlyArray<Exit>>()
  const write = yield* socket.writer
  yield* Effect.forkScoped(
    socket.runRaw((data) => {
      frames.unsafeOffer(decode(data) as ReadonlyArray<Exit>)
    }).pipe(Effect.ignore)
  )
  const send = (first: object, ...others: ReadonlyArray<object>) =>
    Effect.suspend(() => {
      const bytes = encode(together(first, others))
      return bytes === undefined ? Effect.void : write(bytes)
    })
  return { frames, send }
})

const request = (id: number, payload: unknown, tag = "cart.add", extra: object = {}) => ({
  _tag: "Request",
  id: String(id),
  tag,
  payload,
  headers: [],
  ...extra
})

/** Exits by request id, until so many have come; and the size of each frame. */
const collect = (frames: Queue.Dequeue<ReadonlyArray<Exit>>, count: number) =>
  Effect.gen(function*() {
    const exits = new Map<string, Exit["exit"]>()
    const sizes: Array<number> = []
    while (exits.size < count) {
      const frame = yield* Queue.take(frames)
      sizes.push(frame.length)
      for (const { exit, requestId } of frame) exits.set(requestId, exit)
    }
    return { exits, sizes }
  })

layer(TestApi.layer(), { excludeTestServices: true })("the fast lane", (it) => {
  it.scoped("G4, G16 one bad command in a frame hurts only itself; the others are decided in their order", () =>
    Effect.gen(function*() {
      yield* define("frame", 2)
      const { frames, send } = yield* raw
      const tickets = yield* Effect.replicateEffect(mintTicket, 8)
      const good = (n: number) => ({ ticket: tickets[n], product: "frame", member: "m1", quantity: 1 })
      yield* send(
        request(0, good(0)),
        request(1, { ...good(1), quantity: 0 }),
        request(2, { ...good(2), member: "m\u0000" }),
        request(3, { ...good(3), quantitty: 1 }),
        request(4, null),
        request(5, { ...good(5), product: "nobody-knows" }),
        request(6, good(6)),
        request(7, good(7))
      )
      const { exits } = yield* collect(frames, 8)
      const bad = (path: string) => ({ _tag: "Failure", cause: { error: { _tag: "BadInput", path } } })
      expect(exits.get("0")).toMatchObject({ _tag: "Success", value: { _tag: "Allocated", sequence: 1 } })
      expect(exits.get("1")).toMatchObject(bad("quantity"))
      expect(exits.get("2")).toMatchObject(bad("member"))
      expect(exits.get("3")).toMatchObject(bad("quantitty"))
      expect(exits.get("4")).toMatchObject(bad(""))
      expect(exits.get("5")).toMatchObject({ cause: { error: { _tag: "UnknownProduct", product: "nobody-knows" } } })
      expect(exits.get("6")).toMatchObject({ value: { _tag: "Allocated", sequence: 2 } })
      expect(exits.get("7")).toMatchObject({ value: { _tag: "SoldOut" } })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.scoped("adds of one frame are answered in one", () =>
    Effect.gen(function*() {
      yield* define("bulk", 1_000)
      const { frames, send } = yield* raw
      const tickets = yield* Effect.replicateEffect(mintTicket, 200)
      const [first, ...others] = tickets.map((ticket, n) =>
        request(n, { ticket, product: "bulk", member: `m${n}`, quantity: 1 })
      )
      yield* send(first!, ...others)
      const { exits, sizes } = yield* collect(frames, 200)
      const sequences = tickets.map((_, n) =>
        (exits.get(String(n))?.value as { readonly sequence: number } | undefined)?.sequence
      )
      expect(sequences).toEqual(tickets.map((_, n) => n + 1))
      expect(Math.max(...sizes)).toBeGreaterThan(50)
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.scoped("G4 what else is on the connection keeps its place between the adds", () =>
    Effect.gen(function*() {
      yield* define("order", 1)
      const { frames, send } = yield* raw
      const [a, b] = [yield* mintTicket, yield* mintTicket]
      const add = (ticket: string) => ({ ticket, product: "order", member: "m1", quantity: 1 })
      yield* send(
        request(1, add(a)),
        request(2, { ticket: a, product: "order" }, "cart.release"),
        request(3, add(b)),
        request(4, { product: "order" }, "product.stock")
      )
      const { exits } = yield* collect(frames, 4)
      expect(exits.get("1")).toMatchObject({ value: { _tag: "Allocated", sequence: 1 } })
      expect(exits.get("2")).toMatchObject({ value: { _tag: "Released" } })
      expect(exits.get("3")).toMatchObject({ value: { _tag: "Allocated", sequence: 2 } })
      expect(exits.get("4")).toMatchObject({ value: { allocated: 1 } })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.scoped("each has its own deadline and interruption: a slow one holds nobody up", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      yield* define("slow", 5)
      yield* define("quick", 5)
      control.judge((_, tag, actor) => actor === "slow" && tag === "AddToCart" ? "late" : "now")
      const { frames, send } = yield* raw
      const add = (ticket: string, product: string, deadline: number) => ({
        ticket,
        product,
        member: "m1",
        quantity: 1,
        deadline
      })
      const [slow, given, quick] = yield* Effect.replicateEffect(mintTicket, 3)
      yield* send(
        request(1, add(slow!, "slow", 60_000)),
        request(2, add(given!, "slow", 300)),
        request(3, add(quick!, "quick", 60_000))
      )
      expect((yield* collect(frames, 1)).exits.get("3")).toMatchObject({ value: { _tag: "Allocated" } })
      expect(yield* hikyaku.cart.status({ ticket: slow!, product: "slow" })).toEqual({ _tag: "Processing" })
      expect(yield* hikyaku.cart.status({ ticket: given!, product: "slow" })).toEqual({
        _tag: "Waiting",
        position: 2,
        estimate: null
      })
      expect((yield* collect(frames, 1)).exits.get("2")).toMatchObject({ value: { _tag: "TimedOut" } })
      yield* send({ _tag: "Interrupt", requestId: "1" })
      expect((yield* collect(frames, 1)).exits.get("1")).toMatchObject({ cause: { _tag: "Interrupt" } })
      // Its place is free, and the id may be used again.
      expect(yield* hikyaku.cart.status({ ticket: slow!, product: "slow" })).toEqual({ _tag: "NotSeen" })
      control.judge(() => "now")
      yield* send(request(1, add(slow!, "quick", 1_000)))
      expect((yield* collect(frames, 1)).exits.get("1")).toMatchObject({ value: { _tag: "Allocated" } })
      control.catchUp()
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.scoped("a lost connection gives up what waits on it", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      yield* define("gone", 5)
      control.judge((_, tag) => tag === "AddToCart" ? "late" : "now")
      const line = { ticket: yield* mintTicket, product: "gone" }
      yield* Effect.scoped(Effect.gen(function*() {
        const { send } = yield* raw
        yield* send(request(1, { ...line, member: "m1", quantity: 1, deadline: 60_000 }))
        yield* Effect.repeat(hikyaku.cart.status(line), { until: ({ _tag }) => _tag === "Processing" })
      }))
      yield* Effect.repeat(hikyaku.cart.status(line), { until: ({ _tag }) => _tag === "NotSeen" })
      control.judge(() => "now")
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.scoped("a fault of ours with one is told to its caller alone", () =>
    Effect.gen(function*() {
      const control = yield* ActorControl
      yield* define("fine", 5)
      control.judge((_, tag, actor) => actor === "broken" ? new Overloaded({ retryAfter: 321 }) : "now")
      const { frames, send } = yield* raw
      const [a, b] = [yield* mintTicket, yield* mintTicket]
      yield* send(
        request(1, { ticket: a, product: "broken", member: "m1", quantity: 1 }),
        request(2, { ticket: b, product: "fine", member: "m1", quantity: 1 })
      )
      const { exits } = yield* collect(frames, 2)
      expect(exits.get("1")).toMatchObject({ cause: { error: { _tag: "Overloaded", retryAfter: 321 } } })
      expect(exits.get("2")).toMatchObject({ value: { _tag: "Allocated" } })
      control.judge(() => "now")
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.scoped("status waits for an add that somebody waits for here", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      yield* define("watched", 5)
      control.judge((_, tag) => tag === "AddToCart" ? "late" : "now")
      const line = { ticket: yield* mintTicket, product: "watched" }
      const adding = yield* Effect.fork(hikyaku.cart.add({ ...line, member: "m1", quantity: 1, deadline: 300 }))
      yield* Effect.repeat(hikyaku.cart.status(line), { until: ({ _tag }) => _tag === "Processing" })
      expect(yield* hikyaku.cart.status({ ...line, wait: 20_000 })).toEqual({ _tag: "TimedOut" })
      expect(yield* Fiber.join(adding)).toEqual({ _tag: "TimedOut" })
      control.judge(() => "now")
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G3, G6 a repeat of a ticket whose release is still on record", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const sql = yield* SqlClient.SqlClient
      yield* define("recorded", 3)
      const now = yield* Clock.currentTimeMillis
      const ticket = commandIdFrom(now - 3_000, Math.random(), Math.random(), Math.random())
      yield* sql`insert into ticket_given_up (ticket, product, reason) values (${ticket}::uuid, 'recorded', 'TimedOut')`
      expect(yield* hikyaku.cart.add({ ticket, product: "recorded", member: "m1", quantity: 1 })).toEqual({
        _tag: "TimedOut"
      })
      expect(yield* hikyaku.product.stock({ product: "recorded" })).toMatchObject({ available: 3, allocated: 0 })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G3, G6 a repeat of what stands, or was taken out by its owner, gets its first outcome", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      yield* define("stands", 3)
      const line = { ticket: yield* mintTicket, product: "stands" }
      const add = { ...line, member: "m1", quantity: 1 }
      const first = yield* hikyaku.cart.add(add)
      expect(first).toMatchObject({ _tag: "Allocated" })
      expect(yield* hikyaku.cart.add(add)).toEqual(first)
      yield* hikyaku.cart.checkout({ order: "stands-1", lines: [line] })
      expect(yield* hikyaku.cart.add(add)).toEqual(first)
    }).pipe(Effect.provide(TestApi.webSocketClient)))
})
