import type { Responses } from "@hikyaku/domain/marketing/Channel"
import { explainTolerance, tolerated, type VolumeTerms } from "@hikyaku/domain/marketing/Volume"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const terms: VolumeTerms = { base: 4, min: 1, max: 12, windowMs: 7 * 86_400_000, expectedShare: 0.2 }
const mail = (sent: number, responded: number) => ({ mail: { sent, responded } })

describe("volume optimisation (RTM-9)", () => {
  it("begins at the base and follows the member", () => {
    expect(tolerated(terms, {}, 0).count).toBe(4)
    expect(tolerated(terms, mail(10, 2), 0).count).toBe(4)
    expect(tolerated(terms, mail(30, 0), 0).count).toBe(1)
    expect(tolerated(terms, mail(30, 20), 0).count).toBe(11)
    expect(tolerated(terms, mail(200, 200), 0).count).toBe(12)
  })

  it("counts all channels together", () => {
    const both = tolerated(terms, { mail: { sent: 20, responded: 0 }, line: { sent: 20, responded: 0 } }, 0)
    expect(both).toEqual(tolerated(terms, mail(40, 0), 0))
  })

  it("halves for every objection, down to the least", () => {
    expect(tolerated({ ...terms, base: 8 }, {}, 1).count).toBe(4)
    expect(tolerated({ ...terms, base: 8 }, {}, 2).count).toBe(2)
    expect(tolerated({ ...terms, base: 8 }, {}, 99).count).toBe(1)
    expect(tolerated({ ...terms, min: 0 }, {}, 99).count).toBe(0)
  })

  it("stays within its bounds, never falls by a response and never rises by silence", () => {
    const known = fc.nat({ max: 200 }).chain((sent) =>
      fc.nat({ max: sent }).map((responded): Responses => ({ sent, responded }))
    )
    fc.assert(fc.property(known, fc.nat({ max: 5 }), fc.nat({ max: 50 }), (known, objections, base) => {
      const at = (responses: Responses, objections: number) =>
        tolerated({ ...terms, base }, { mail: responses }, objections).count
      const now = at(known, objections)
      expect(now).toBeGreaterThanOrEqual(terms.min)
      expect(now).toBeLessThanOrEqual(terms.max)
      expect(at({ ...known, sent: known.sent + 1 }, objections)).toBeLessThanOrEqual(now)
      expect(at(known, objections + 1)).toBeLessThanOrEqual(now)
      if (known.responded < known.sent) {
        expect(at({ ...known, responded: known.responded + 1 }, objections)).toBeGreaterThanOrEqual(now)
      }
    }))
  })

  it("explains itself", () => {
    expect(explainTolerance(terms, tolerated(terms, mail(30, 0), 2))).toBe(
      "tolerates 1 in 168 h: answered 0 of 30 (5% with prior, average 20%, base 4, 2 objections)"
    )
  })
})
