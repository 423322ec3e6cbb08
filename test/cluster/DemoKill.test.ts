/** A runner of the demo's cluster is killed while carts come in and messages go out. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { awaitCount, expectInvariants, smallShop, startDemo } from "../DemoRun.ts"

describe("G1, G2, G3, G4, G7, G9, G10: a runner is killed (kill -9) during the demo", () => {
  it.scopedLive("changes none of the invariants", () =>
    Effect.gen(function*() {
      const demo = yield* startDemo(smallShop)
      const { runners } = yield* demo.places
      // In the middle of things: some hundred carts are in, some messages have gone out.
      yield* awaitCount(demo, "allocation", 120)
      yield* awaitCount(demo, "delivery_sent", 1)
      if (yield* demo.isOver) yield* Effect.dieMessage(`over before its time: ${(yield* demo.ended).output}`)
      const [victim] = runners
      yield* Effect.sync(() => process.kill(victim?.pid ?? 0, "SIGKILL"))

      const { output, report } = yield* demo.ended
      expect(output).toContain("runner-1")
      expect(report.runnersLost).toBe(1)
      yield* expectInvariants(report, demo.sql)
    }), 170_000)
})
