import { assert, describe, it } from "@effect/vitest"
import * as OwnerClaim from "@hikyaku/server/embedded/OwnerClaim"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { temporaryFolder } from "../../../../test/TemporaryFolder.ts"

const folder = temporaryFolder("claim")

/** A claim of a process that has ended: its pid is this one's, its beginning is not. */
const deadClaim = JSON.stringify({ owner: { pid: process.pid, startedAt: "1@long-ago" }, state: "running" })

describe("OwnerClaim", () => {
  it.scopedLive("is refused while it is held, and free again afterwards", () =>
    Effect.gen(function*() {
      const where = yield* folder
      const scope = yield* Scope.make()
      yield* Scope.extend(OwnerClaim.acquire(where), scope)
      const refused = yield* Effect.flip(OwnerClaim.acquire(where))
      assert.strictEqual(refused._tag, "DataInUse")
      assert.include(refused.message, `process ${process.pid}`)
      yield* Scope.close(scope, Exit.void)
      yield* OwnerClaim.acquire(where)
    }))

  it.scopedLive("passes from a dead owner, even if its pid lives on in another process", () =>
    Effect.gen(function*() {
      const where = yield* folder
      yield* Effect.promise(() => fs.writeFile(path.join(where, "owner-7.json"), deadClaim))
      assert.isTrue(Option.isNone(yield* OwnerClaim.livingOwner(where)))
      yield* OwnerClaim.acquire(where)
      assert.deepStrictEqual(yield* Effect.promise(() => fs.readdir(where)), ["owner-8.json"])
    }))

  it.scopedLive("passes from a claim that cannot be read", () =>
    Effect.gen(function*() {
      const where = yield* folder
      yield* Effect.promise(() => fs.writeFile(path.join(where, "owner-1.json"), "{"))
      yield* OwnerClaim.acquire(where)
    }))

  it.scopedLive("goes to exactly one of many that find a dead owner at once", () =>
    Effect.gen(function*() {
      for (let round = 0; round < 5; round++) {
        const where = yield* folder
        yield* Effect.promise(() => fs.writeFile(path.join(where, "owner-3.json"), deadClaim))
        const outcomes = yield* Effect.forEach(
          Array.from({ length: 16 }),
          () => Effect.either(OwnerClaim.acquire(where)),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(outcomes.filter((outcome) => outcome._tag === "Right").length, 1, `round ${round}`)
        for (const outcome of outcomes) {
          if (outcome._tag === "Left") assert.strictEqual(outcome.left._tag, "DataInUse")
        }
      }
    }))

  it.scopedLive("waits for an owner that is stopping", () =>
    Effect.gen(function*() {
      const where = yield* folder
      const scope = yield* Scope.make()
      const claim = yield* Scope.extend(OwnerClaim.acquire(where), scope)
      yield* claim.stopping
      const begun = yield* Deferred.make<void>()
      const next = yield* Effect.fork(Effect.zipRight(Deferred.succeed(begun, undefined), OwnerClaim.acquire(where)))
      yield* Deferred.await(begun)
      // A claim that is running would have been refused by now.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.isTrue(Option.isNone(yield* Fiber.poll(next)))
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(next)
    }))
})
