import { chance } from "@hikyaku/domain/marketing/Chance"
import {
  channels,
  counted,
  expectedResponse,
  memoryMax,
  rankChannels,
  type Responses
} from "@hikyaku/domain/marketing/Channel"
import type { Channel } from "@hikyaku/domain/marketing/Event"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const responses = fc.nat({ max: 200 }).chain((sent) =>
  fc.nat({ max: sent }).map((responded): Responses => ({ sent, responded }))
)

describe("channel optimisation (RTM-7)", () => {
  it("prefers the channel that the member answers", () => {
    const known = { mail: { sent: 40, responded: 2 }, line: { sent: 40, responded: 16 } }
    expect(rankChannels(["mail", "line", "push"], known, 0, 0.5)).toEqual({
      order: ["line", "push", "mail"],
      explored: false
    })
  })

  it("keeps the campaign's order while nothing is known, and for equals", () => {
    expect(rankChannels(["push", "mail", "line"], {}, 0, 0).order).toEqual(["push", "mail", "line"])
    const same = { mail: { sent: 10, responded: 2 }, line: { sent: 10, responded: 2 } }
    expect(rankChannels(["line", "mail"], same, 0, 0).order).toEqual(["line", "mail"])
  })

  it("is not decided by one lucky open, nor for ever by a bad start", () => {
    const lucky = { mail: { sent: 40, responded: 20 }, line: { sent: 1, responded: 1 } }
    expect(rankChannels(["line", "mail"], lucky, 0, 0).order[0]).toBe("mail")
    const unlucky = { mail: { sent: 40, responded: 8 }, line: { sent: 3, responded: 0 } }
    expect(rankChannels(["mail", "line"], unlucky, 0.1, 0.5).order[0]).toBe("mail")
    expect(rankChannels(["mail", "line"], unlucky, 0.1, 0.05)).toEqual({ order: ["line", "mail"], explored: true })
  })

  it("names every eligible channel once, whatever the figures", () => {
    const eligible = fc.shuffledSubarray([...channels])
    fc.assert(fc.property(
      eligible,
      fc.dictionary(fc.constantFrom<Channel>(...channels), responses),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (eligible, known, share, luck) => {
        const { explored, order } = rankChannels(eligible, known, share, luck)
        expect([...order].sort()).toEqual([...eligible].sort())
        if (explored) expect(luck).toBeLessThan(share)
      }
    ))
  })

  it("expects more after a response and less after a message without one", () => {
    fc.assert(fc.property(responses, (known) => {
      const expected = expectedResponse(known)
      expect(expected).toBeGreaterThan(0)
      expect(expected).toBeLessThanOrEqual(1)
      if (known.sent < memoryMax) expect(expectedResponse(counted(known, 1, 0))).toBeLessThan(expected)
      if (known.responded < known.sent) expect(expectedResponse(counted(known, 0, 1))).toBeGreaterThan(expected)
    }))
    // A response may be heard of before the sending is.
    expect(expectedResponse({ sent: 0, responded: 9 })).toBe(1)
  })

  it("forgets by halves, so that the counts stay small and the newer ones weigh more", () => {
    let old: Responses | undefined
    for (let i = 0; i < 10_000; i++) old = counted(old, 1, 1)
    expect(old!.sent).toBeLessThanOrEqual(memoryMax)
    let now: Responses | undefined = old
    for (let i = 0; i < 400; i++) now = counted(now, 1, 0)
    expect(expectedResponse(now)).toBeLessThan(0.2)
  })
})

describe("chance without randomness", () => {
  it("is the same for the same ids and in [0, 1)", () => {
    fc.assert(fc.property(fc.string(), fc.string(), fc.string(), (purpose, a, b) => {
      const share = chance(purpose, a, b)
      expect(share).toBe(chance(purpose, a, b))
      expect(share).toBeGreaterThanOrEqual(0)
      expect(share).toBeLessThan(1)
    }))
  })

  it("is spread evenly over ids in a row, and independent between purposes and between members", () => {
    const n = 20_000
    const below = (purpose: string, a: string) => {
      const hit: Array<boolean> = []
      for (let i = 0; i < n; i++) hit.push(chance(purpose, a, `m${i}`) < 0.2)
      return hit
    }
    const holdout = below("holdout", "spring-sale")
    const channel = below("channel", "spring-sale")
    const other = below("holdout", "spring-sale-2")
    const share = (hits: ReadonlyArray<boolean>) => hits.filter(Boolean).length / n
    const both = (a: ReadonlyArray<boolean>, b: ReadonlyArray<boolean>) => share(a.map((hit, i) => hit && b[i]!))
    for (const hits of [holdout, channel, other]) expect(Math.abs(share(hits) - 0.2)).toBeLessThan(0.015)
    expect(Math.abs(both(holdout, channel) - 0.04)).toBeLessThan(0.008)
    expect(Math.abs(both(holdout, other) - 0.04)).toBeLessThan(0.008)
  })

  it("does not confuse where one id ends and the next begins", () => {
    expect(chance("p", "ab", "c")).not.toBe(chance("p", "a", "bc"))
  })
})
