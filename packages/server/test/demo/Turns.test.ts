import { describe, expect, it } from "@effect/vitest"
import { makeTurns } from "@hikyaku/server/demo/Turns"
import { Deferred, Effect, Fiber } from "effect"

/** Those who have a turn say so in `begun` and keep it until they are let go. */
const scene = (max: number) =>
  Effect.gen(function*() {
    const turns = makeTurns(max)
    const begun: Array<string> = []
    const ask = (name: string, urgency: number) =>
      Effect.gen(function*() {
        const go = yield* Deferred.make<void>()
        const held = Effect.zipRight(Effect.sync(() => begun.push(name)), Deferred.await(go))
        const fiber = yield* Effect.fork(turns.withTurn(urgency, held))
        yield* settled
        return { fiber, let: Effect.zipRight(Deferred.succeed(go, undefined), Fiber.join(fiber)) }
      })
    return { begun, ask }
  })
/** Whoever can go on has done so. */
const settled = Effect.forEach(Array.from({ length: 10 }), () => Effect.yieldNow(), { discard: true })

describe("turns", () => {
  it.effect("are as many as there are, and go to the most urgent who waits, of equals to the first", () =>
    Effect.gen(function*() {
      const { ask, begun } = yield* scene(2)
      const first = yield* ask("a", 1)
      const second = yield* ask("b", 1)
      yield* ask("c", 1)
      yield* ask("d", 1)
      const urgent = yield* ask("e", 3)
      const less = yield* ask("f", 2)
      expect(begun).toEqual(["a", "b"])
      yield* first.let
      expect(begun).toEqual(["a", "b", "e"])
      yield* second.let
      expect(begun).toEqual(["a", "b", "e", "f"])
      yield* urgent.let
      expect(begun).toEqual(["a", "b", "e", "f", "c"])
      yield* less.let
      expect(begun).toEqual(["a", "b", "e", "f", "c", "d"])
    }))

  it.effect("pass on when whoever has or awaits one gives up, or fails", () =>
    Effect.gen(function*() {
      const { ask, begun } = yield* scene(1)
      const first = yield* ask("a", 1)
      const waiting = yield* ask("b", 2)
      yield* ask("c", 1)
      yield* Fiber.interrupt(waiting.fiber)
      expect(begun).toEqual(["a"])
      yield* Fiber.interrupt(first.fiber)
      yield* settled
      expect(begun).toEqual(["a", "c"])

      const one = makeTurns(1)
      expect((yield* Effect.exit(one.withTurn(1, Effect.fail("no"))))._tag).toBe("Failure")
      expect(yield* one.withTurn(1, Effect.succeed("next"))).toBe("next")
    }))
})
