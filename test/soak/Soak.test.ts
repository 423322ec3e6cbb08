/**
 * The soak: a minute of it in every run of the cluster's tests, longer ones by `npm run soak -- cart --minutes 10`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { display } from "./Display.ts"
import { enough, soak, soakTable } from "./Soak.ts"

const settings = Effect.runSync(Config.all({
  /** How long shoppers shop. */
  minutes: Config.number("HIKYAKU_SOAK_MINUTES").pipe(Config.withDefault(1)),
  seed: Config.nonEmptyString("HIKYAKU_SOAK_SEED").pipe(Config.withDefault("1"))
}))

/** What starting, the last visits and judging may take beside it, ms. */
const beside = 240_000

describe("G1 G2 G3 G4 G5 G6: a shop whose runners, gateways and database die, stand still and come back", () => {
  it.scopedLive(`stays right for ${settings.minutes} min with seed ${settings.seed}`, () =>
    Effect.gen(function*() {
      const report = yield* soak({ ...settings, runners: 2, gateways: 2, shoppers: 12, progress: display() })
      const { judgement } = report
      process.stderr.write(`\n${soakTable(report)}\n`)
      for (const problem of judgement.problems.slice(0, 12)) process.stderr.write(`${problem}\n`)
      expect(judgement.problems).toEqual([])
      // It has seen something.
      expect(Object.values(report.blows).reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(enough.blows)
      expect(judgement.acknowledged).toBeGreaterThan(enough.acknowledged * settings.minutes)
      expect(judgement.rounds).toBeGreaterThan(enough.rounds * settings.minutes)
      expect(judgement.audited.products).toBeGreaterThan(enough.products * settings.minutes)
      // Every history is judged as a whole, whatever its length.
      const { judged, tooLong, undecided } = judgement.linear
      expect({ tooLong, undecided }).toEqual({ tooLong: [], undecided: [] })
      expect(judged).toBeGreaterThan(enough.products * settings.minutes)
    }), settings.minutes * 60_000 + beside)
})
