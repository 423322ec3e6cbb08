/** A batch with realtime mails between it, through two kill -9: the small form of `npm run soak -- delivery`. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { provider } from "../../bench/dispatch/Mix.ts"
import { percentile } from "../../bench/dispatch/Witness.ts"
import { concurrency, deliveryKill } from "./DeliveryKill.ts"

describe("G9, G10, G11: the runner that sends a batch is killed twice (kill -9)", () => {
  it.scopedLive(
    "every recipient gets it once, the limit holds, realtime overtakes: by the sandbox's record alone",
    () =>
      Effect.gen(function*() {
        const { due, verdict } = yield* deliveryKill({
          recipients: 5_000,
          takes: provider,
          minutes: 4,
          progress: () => {}
        })
        expect(verdict.violations).toBe(0)
        expect(verdict.peak).toBeLessThanOrEqual(concurrency)
        expect(verdict.duplicates).toBe(0)
        expect(verdict.mailed).toBe(due)
        // Whoever waited in line with the batch would have waited for half of it.
        expect(percentile(verdict.realtimeMs, 0.5)).toBeLessThan(percentile(verdict.batchMs, 0.5) / 4)
      }),
    900_000
  )
})
