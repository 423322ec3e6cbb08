/** What leaves a client in which frame, and that each call stays a call of its own. */
import { RpcClientError, type RpcMessage } from "@effect/rpc"
import { expect, it } from "@effect/vitest"
import * as Carriage from "@hikyaku/domain/api/Carriage"
import type { Add } from "@hikyaku/domain/api/CartApi"
import { mintTicket, serialization } from "@hikyaku/domain/api/Client"
import { frameMax } from "@hikyaku/domain/api/Frame"
import { Cause, Effect, Exit, Fiber } from "effect"
import { describe } from "vitest"

type Sent = RpcMessage.FromClientEncoded

/** A connection that notes its frames, read as a server reads them, and answers when told to. */
const connect = Effect.gen(function*() {
  const ours = serialization.unsafeMake()
  const theirs = serialization.unsafeMake()
  const frames: Array<ReadonlyArray<Sent>> = []
  let hear: (message: RpcMessage.FromServerEncoded) => Effect.Effect<void> = () => Effect.void
  let broken: RpcClientError.RpcClientError | null = null
  const carriage = yield* Carriage.make({
    supportsAck: true,
    supportsTransferables: false,
    send: (message) =>
      Effect.suspend(() => {
        if (broken !== null) return Effect.fail(broken)
        const bytes = ours.encode(message)
        if (bytes !== undefined) frames.push(theirs.decode(bytes) as ReadonlyArray<Sent>)
        return Effect.void
      }),
    run: (f) => {
      hear = f
      return Effect.never
    }
  }, false)
  yield* Effect.forkScoped(carriage.protocol.run(() => Effect.void))
  yield* settle
  const add = (product: string) =>
    Effect.flatMap(mintTicket, (ticket) => carriage.add({ ticket, product, member: "m1", quantity: 1 }))
  return {
    carriage,
    frames,
    add,
    answer: (message: RpcMessage.FromServerEncoded) => Effect.zipRight(hear(message), settle),
    pong: Effect.suspend(() => Effect.zipRight(hear({ _tag: "Pong" }), settle)),
    breakDown: (error: RpcClientError.RpcClientError) =>
      Effect.suspend(() => {
        broken = error
        return Effect.zipRight(hear({ _tag: "ClientProtocolError", error }), settle)
      })
  }
})

const settle = Effect.yieldNow().pipe(Effect.repeatN(50), Effect.asVoid)

const requests = (frame: ReadonlyArray<Sent> | undefined) =>
  (frame ?? []).flatMap((message) => (message._tag === "Request" ? [message] : []))
const products = (frame: ReadonlyArray<Sent> | undefined) =>
  requests(frame).map(({ payload }) => (payload as Add).product)
const idOf = (frame: ReadonlyArray<Sent> | undefined, n = 0): string => requests(frame)[n]?.id ?? "?"

describe("the carriage", () => {
  it.scoped("a lone call leaves at once; calls made at one time leave together, in their order", () =>
    Effect.gen(function*() {
      const { add, frames } = yield* connect
      yield* Effect.fork(add("p0"))
      yield* settle
      expect(frames.map(products)).toEqual([["p0"]])
      for (let i = 1; i <= 3; i++) yield* Effect.fork(add(`p${i}`))
      yield* settle
      expect(frames.map(products)).toEqual([["p0"], ["p1", "p2", "p3"]])
    }))

  it.scoped("calls gather while the server has not taken the last frames in, and leave when it has", () =>
    Effect.gen(function*() {
      const { add, frames, pong } = yield* connect
      for (let i = 0; i < Carriage.framesMax + 3; i++) {
        yield* Effect.fork(add(`p${i}`))
        yield* settle
      }
      expect(frames).toHaveLength(Carriage.framesMax)
      yield* pong
      expect(products(frames[Carriage.framesMax])).toEqual([0, 1, 2].map((i) => `p${Carriage.framesMax + i}`))
    }))

  it.scoped("R10: a frame is bounded in messages and in text", () =>
    Effect.gen(function*() {
      const { add, carriage, frames } = yield* connect
      for (let i = 0; i < frameMax + 10; i++) yield* Effect.fork(add("p"))
      yield* settle
      expect(frames.map((frame) => requests(frame).length)).toEqual([frameMax, 10])
      const large = (id: string): Sent => ({
        _tag: "Request",
        id,
        tag: "event.publish",
        payload: { text: "x".repeat(Carriage.frameTextMax - 1_000) },
        headers: []
      })
      yield* Effect.all([carriage.protocol.send(large("1")), carriage.protocol.send(large("2"))])
      yield* settle
      expect(frames.slice(2).map((frame) => requests(frame).map(({ id }) => id))).toEqual([["1"], ["2"]])
    }))

  it.scoped("each call gets its own outcome, error or defect, in whatever order they come", () =>
    Effect.gen(function*() {
      const { add, answer, frames } = yield* connect
      const fibers = []
      for (let i = 0; i < 4; i++) fibers.push(yield* Effect.fork(add(`p${i}`)))
      yield* settle
      const exit = (n: number, exit: RpcMessage.ResponseExitEncoded["exit"]) =>
        answer({ _tag: "Exit", requestId: idOf(frames[0], n), exit })
      const fail = (error: unknown) => ({ _tag: "Failure", cause: { _tag: "Fail", error } }) as const
      yield* exit(3, { _tag: "Success", value: { _tag: "Nonsense" } })
      yield* exit(2, fail({ _tag: "Overloaded", retryAfter: 77 }))
      yield* exit(1, { _tag: "Success", value: { _tag: "SoldOut" } })
      yield* exit(0, { _tag: "Success", value: { _tag: "Allocated", sequence: 1, expiresAt: 1_800_000_000_000 } })
      const exits = yield* Effect.forEach(fibers, Fiber.await)
      expect(exits[0]).toEqual(Exit.succeed({ _tag: "Allocated", sequence: 1, expiresAt: 1_800_000_000_000 }))
      expect(exits[1]).toEqual(Exit.succeed({ _tag: "SoldOut" }))
      expect(yield* Effect.flip(exits[2]!)).toMatchObject({ _tag: "Overloaded", retryAfter: 77 })
      expect(Exit.isFailure(exits[3]!) && Cause.isDie(exits[3].cause)).toBe(true)
    }))

  it.scoped("what is interrupted before it left never leaves; afterwards the server is told", () =>
    Effect.gen(function*() {
      const { add, frames, pong } = yield* connect
      const first = yield* Effect.fork(add("first"))
      yield* settle
      yield* Fiber.interrupt(first)
      yield* settle
      expect(frames[1]).toMatchObject([{ _tag: "Interrupt", requestId: idOf(frames[0]) }, { _tag: "Ping" }])
      for (let i = 2; i < Carriage.framesMax; i++) {
        yield* Effect.fork(add("more"))
        yield* settle
      }
      const late = yield* Effect.fork(add("late"))
      yield* Effect.fork(add("later"))
      yield* settle
      yield* Fiber.interrupt(late)
      yield* pong
      expect(products(frames.at(-1))).toEqual(["later"])
    }))

  it.scoped("a lost connection fails all that was under way or waited, and nothing of it is sent later", () =>
    Effect.gen(function*() {
      const { add, breakDown, frames } = yield* connect
      const fibers = []
      for (let i = 0; i < Carriage.framesMax + 2; i++) {
        fibers.push(yield* Effect.fork(Effect.flip(add("p"))))
        yield* settle
      }
      const lost = new RpcClientError.RpcClientError({ reason: "Protocol", message: "lost" })
      yield* breakDown(lost)
      expect(yield* Effect.forEach(fibers, Fiber.join)).toEqual(fibers.map(() => lost))
      expect(yield* Effect.flip(add("p"))).toEqual(lost)
      expect(frames).toHaveLength(Carriage.framesMax)
    }))

  it.scoped("a payload that its schema refuses never leaves", () =>
    Effect.gen(function*() {
      const { carriage, frames } = yield* connect
      const ticket = yield* mintTicket
      const exit = yield* Effect.exit(carriage.add({ ticket, product: "a b", member: "m", quantity: 1 }))
      expect(Exit.isFailure(exit) && Cause.isDie(exit.cause)).toBe(true)
      expect(frames).toEqual([])
    }))
})
