/** `npm run demo` from end to end: real processes, a small generated shop, and sums that agree. */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { expectInvariants, smallShop, startDemo } from "../DemoRun.ts"

describe("G1, G3, G4, G7, G9, G10: the demo on a cluster of two runners", () => {
  it.scopedLive(
    "carts, campaigns, caps and deliveries agree with the tables and the provider",
    () =>
      Effect.gen(function*() {
        const demo = yield* startDemo(smallShop, () => Effect.void)
        const { output, report } = yield* demo.ended
        yield* expectInvariants(report, demo.sql)
        expect(report).toMatchObject({ runnersLost: 0, input: { format: "generated", unusable: {} } })
        expect(report.input.used).toBe(report.input.lines)
        expect(report.latency.cartAdd.count).toBe(report.cartAdds)
        expect(output).toContain("checks hold")
      }),
    150_000
  )

  it.scopedLive(
    "bad input ends it before anything is started, with the place named (G16)",
    () =>
      Effect.gen(function*() {
        const demo = yield* startDemo(["--events", import.meta.filename], () => Effect.void)
        const failed = yield* Effect.flip(Effect.sandbox(demo.ended))
        expect(String(failed)).toContain("Demo.test.ts, line 1")
      }),
    60_000
  )
})
