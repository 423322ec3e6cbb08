import {
  admits,
  type CapHold,
  CapRule,
  fits,
  governs,
  type Interval,
  matters,
  windowMaxMs
} from "@hikyaku/domain/marketing/FrequencyCap"
import { Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const at = (instant: number): Interval => ({ notBefore: instant, deadline: instant })
const span = (notBefore: number, deadline: number): Interval => ({ notBefore, deadline })

/** Every way in which pending deliveries can end up at instants of their own. */
function* realisations(intervals: ReadonlyArray<Interval>): Generator<ReadonlyArray<number>> {
  const [first, ...rest] = intervals
  if (first === undefined) {
    yield []
    return
  }
  for (let t = first.notBefore; t <= first.deadline; t++) for (const others of realisations(rest)) yield [t, ...others]
}

/** The most messages in one window [t, t + windowMs) that contains `instant`. */
const fullest = (times: ReadonlyArray<number>, windowMs: number, instant: number): number => {
  let most = 0
  for (let t = instant - windowMs + 1; t <= instant; t++) {
    most = Math.max(most, times.filter((time) => time >= t && time < t + windowMs).length)
  }
  return most
}

const interval = fc.tuple(fc.integer({ min: 0, max: 24 }), fc.integer({ min: 0, max: 5 }))
  .map(([notBefore, length]) => span(notBefore, notBefore + length))

describe("sliding windows over possible sending times (R18, G7)", () => {
  it("admits exactly what no sending times whatever can turn into too many in one window", () => {
    const seen = { admitted: 0, refused: 0 }
    fc.assert(
      fc.property(
        fc.array(interval, { maxLength: 4 }),
        interval,
        fc.integer({ min: 0, max: 4 }),
        fc.integer({ min: 1, max: 9 }),
        (holds, candidate, count, windowMs) => {
          let breakable = count === 0
          for (const times of realisations([candidate, ...holds])) {
            if (breakable) break
            breakable = fullest(times, windowMs, times[0]!) > count
          }
          const admitted = fits(holds, count, windowMs, candidate)
          seen[admitted ? "admitted" : "refused"]++
          expect(admitted).toBe(!breakable)
        }
      ),
      { numRuns: 1_500 }
    )
    // Tightness would be vacuous if one of the answers never came up.
    expect(seen.admitted).toBeGreaterThan(200)
    expect(seen.refused).toBeGreaterThan(200)
  })

  it("keeps every window within the cap through admissions, narrowing and refunds", () => {
    const step = fc.record({
      interval,
      /** What happens to the oldest pending one afterwards. */
      fate: fc.constantFrom("nothing", "sent", "refunded"),
      share: fc.double({ min: 0, max: 1, noNaN: true })
    })
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 25 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 9 }),
        (steps, count, windowMs) => {
          const pick = (hold: Interval, share: number) =>
            Math.min(hold.deadline, hold.notBefore + Math.floor(share * (hold.deadline - hold.notBefore + 1)))
          const pending: Array<Interval> = []
          const sent: Array<number> = []
          for (const { fate, interval, share } of steps) {
            if (fits([...pending, ...sent.map(at)], count, windowMs, interval)) pending.push(interval)
            if (fate === "nothing") continue
            const oldest = pending.shift()
            if (oldest !== undefined && fate === "sent") sent.push(pick(oldest, share))
          }
          const times = [...sent, ...pending.map((hold, i) => pick(hold, steps[i % steps.length]!.share))]
          for (const time of times) expect(fullest(times, windowMs, time)).toBeLessThanOrEqual(count)
        }
      ),
      { numRuns: 1_000 }
    )
  })

  it("lets two messages exactly one window apart, and not a millisecond less", () => {
    expect(fits([at(1_000)], 1, 100, at(1_100))).toBe(true)
    expect(fits([at(1_000)], 1, 100, at(1_099))).toBe(false)
    expect(fits([at(1_000)], 1, 100, at(900))).toBe(true)
    expect(fits([at(1_000)], 1, 100, at(901))).toBe(false)
  })

  it("makes a pending message occupy every window that it may fall into, and its real one once it was sent", () => {
    expect(fits([span(0, 1_000)], 1, 100, at(1_050))).toBe(false)
    expect(fits([at(10)], 1, 100, at(1_050))).toBe(true)
    expect(fits([], 1, 100, span(0, 1_000))).toBe(true)
  })

  it("does not count two holds together that no one window can touch", () => {
    // Both are near the newcomer, never near each other.
    expect(fits([at(0), at(180)], 2, 100, span(90, 91))).toBe(true)
    expect(fits([at(0), at(98)], 2, 100, at(50))).toBe(false)
  })
})

const hold = (channel: CapHold["channel"], messageClass: CapHold["class"], instant = 0): CapHold => ({
  ...at(instant),
  channel,
  class: messageClass
})

describe("cap rules", () => {
  it("takes zero for a prohibition and a missing count for a mistake", () => {
    expect(admits([], { count: 0, windowMs: 1 }, at(0))).toBe(false)
    expect(Schema.is(CapRule)({ count: 0, windowMs: 1 })).toBe(true)
    expect(Schema.is(CapRule)({ windowMs: 1 })).toBe(false)
  })

  it("counts and limits messages of its channel and class only", () => {
    const rule: CapRule = { channel: "mail", class: "batch", count: 1, windowMs: 100 }
    expect(governs(rule, "mail", "batch")).toBe(true)
    expect(governs(rule, "line", "batch")).toBe(false)
    expect(governs(rule, "mail", "realtime")).toBe(false)
    expect(admits([hold("line", "batch"), hold("mail", "realtime"), hold("mail", "transactional")], rule, at(0))).toBe(
      true
    )
    expect(admits([hold("line", "batch"), hold("mail", "batch")], rule, at(0))).toBe(false)
  })

  it("leaves transactional messages out of every rule that does not name them", () => {
    const rule: CapRule = { count: 1, windowMs: 100 }
    expect(governs(rule, "mail", "transactional")).toBe(false)
    expect(admits([hold("mail", "transactional"), hold("mail", "transactional")], rule, at(0))).toBe(true)
    const named: CapRule = { class: "transactional", count: 1, windowMs: 100 }
    expect(governs(named, "mail", "transactional")).toBe(true)
    expect(admits([hold("mail", "batch")], named, at(0))).toBe(true)
    expect(admits([hold("mail", "transactional")], named, at(0))).toBe(false)
  })

  it("refuses counts and windows out of bounds", () => {
    const is = Schema.is(CapRule)
    for (const bad of [{ count: -1, windowMs: 1 }, { count: 1.5, windowMs: 1 }, { count: 1, windowMs: 0 }]) {
      expect(is(bad)).toBe(false)
    }
    expect(is({ count: 1, windowMs: windowMaxMs })).toBe(true)
    expect(is({ count: 1, windowMs: windowMaxMs + 1 })).toBe(false)
    expect(is({ count: 1, windowMs: 1, class: "realtme" })).toBe(false)
    expect(is({ count: 1, windowMs: 1, channel: "fax" })).toBe(false)
  })

  it("forgets a hold only when no message from now on can share a window with it", () => {
    fc.assert(
      fc.property(interval, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 20 }), (old, now, windowMs) => {
        const disturbs = !fits([old], 1, windowMs, at(now))
        if (now > old.deadline) expect(matters(old, now, windowMs)).toBe(disturbs)
        else expect(matters(old, now, windowMs)).toBe(true)
      })
    )
  })
})
