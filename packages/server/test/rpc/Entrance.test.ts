import { Headers } from "@effect/platform"
import { Rpc } from "@effect/rpc"
import { expect, it } from "@effect/vitest"
import { Entrance } from "@hikyaku/domain/api/Entrance"
import { layer, layerWith } from "@hikyaku/server/rpc/Entrance"
import { Deferred, Effect, Fiber } from "effect"
import { describe } from "vitest"

const rpc = Rpc.make("admin.health")

describe("the entrance", () => {
  const enter = (next: Effect.Effect<never>) =>
    Effect.flatMap(
      Entrance,
      (entrance) => entrance({ rpc, next, clientId: 1, headers: Headers.empty, payload: undefined })
    )

  it.effect("turns a fault of ours into a typed error that tells nothing but where to look", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(enter(Effect.die(new Error("select secret from table"))))
      expect(error).toMatchObject({ _tag: "Fault", reference: expect.any(String) })
      expect(JSON.stringify(error)).not.toContain("secret")
    }).pipe(Effect.provide(layer)))

  it.effect("refuses calls beyond its bound at once, and has room again when they end", () =>
    Effect.gen(function*() {
      const done = yield* Deferred.make<never>()
      const waiting = yield* Effect.forkAll(Array.from({ length: 3 }, () => enter(Deferred.await(done))))
      yield* Effect.yieldNow({ priority: 1 })
      expect(yield* Effect.flip(enter(Effect.never))).toMatchObject({
        _tag: "Overloaded",
        retryAfter: expect.any(Number)
      })
      yield* Fiber.interrupt(waiting)
      const next = yield* Effect.flip(enter(Effect.die("ran")))
      expect(next).toMatchObject({ _tag: "Fault" })
    }).pipe(Effect.provide(layerWith({ calls: 3, bytes: 1_000 }))))

  it.effect("R10: is bounded in bytes as well, takes any call into an empty house, and recovers by itself", () =>
    Effect.gen(function*() {
      const entrance = yield* Entrance
      const call = (payload: unknown, next: Effect.Effect<never>) =>
        entrance({ rpc, next, clientId: 1, headers: Headers.empty, payload })
      const done = yield* Deferred.make<never>()
      const large = yield* Effect.fork(call({ text: "x".repeat(5_000) }, Deferred.await(done)))
      yield* Effect.yieldNow({ priority: 1 })
      const refused = yield* Effect.flip(call({ text: "x" }, Effect.never))
      expect(refused).toMatchObject({ _tag: "Overloaded" })
      yield* Fiber.interrupt(large)
      const small = yield* Effect.forkAll([1, 2].map(() => call({ text: "x".repeat(100) }, Deferred.await(done))))
      yield* Effect.yieldNow({ priority: 1 })
      expect(yield* Effect.flip(call({ text: "x".repeat(990) }, Effect.never))).toMatchObject({ _tag: "Overloaded" })
      expect(yield* Effect.flip(call({ text: "x".repeat(100) }, Effect.die("ran")))).toMatchObject({ _tag: "Fault" })
      yield* Fiber.interrupt(small)
    }).pipe(Effect.provide(layerWith({ calls: 10, bytes: 1_000 }))))

  it.effect("a list of calls counts as so many", () =>
    Effect.gen(function*() {
      const entrance = yield* Entrance
      const list = (n: number, next: Effect.Effect<never>) =>
        entrance({ rpc, next, clientId: 1, headers: Headers.empty, payload: Array.from({ length: n }, () => 1) })
      yield* Effect.fork(list(8, Effect.never))
      yield* Effect.yieldNow({ priority: 1 })
      expect(yield* Effect.flip(list(3, Effect.never))).toMatchObject({ _tag: "Overloaded" })
      expect(yield* Effect.flip(list(2, Effect.die("ran")))).toMatchObject({ _tag: "Fault" })
    }).pipe(Effect.provide(layerWith({ calls: 10, bytes: 1_000 }))))
})
