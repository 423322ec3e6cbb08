import { ServiceRate } from "@hikyaku/cluster/actor/ServiceRate"
import { describe, expect, it } from "vitest"

describe("a measured rate of service", () => {
  it("is what was served of late, and unknown before and after", () => {
    const rate = new ServiceRate()
    expect(rate.perMs(0)).toBe(null)
    expect(rate.retryAfter(5_000, 0)).toBe(1_000)
    for (let now = 0; now < 1_000; now += 10) rate.count(now, 20)
    expect(rate.perMs(1_000)).toBeCloseTo(2)
    // Half of what waits, at 2 per ms.
    expect(rate.retryAfter(8_000, 1_000)).toBe(2_000)
    // Nothing for a while: what was measured before says nothing.
    expect(rate.perMs(5_000)).toBe(null)
    expect(rate.retryAfter(8_000, 5_000)).toBe(1_000)
  })

  it("follows the service when that gets slower", () => {
    const rate = new ServiceRate()
    for (let now = 0; now < 2_000; now += 10) rate.count(now, 20)
    const fast = rate.retryAfter(8_000, 2_000)
    for (let now = 2_000; now < 4_000; now += 10) rate.count(now, 5)
    expect(rate.retryAfter(8_000, 4_000)).toBe(4 * fast)
  })

  it("tells times within bounds", () => {
    const rate = new ServiceRate()
    for (let now = 0; now <= 1_000; now += 10) rate.count(now, 1_000)
    expect(rate.retryAfter(1, 1_000)).toBe(50)
    const slow = new ServiceRate()
    slow.count(0, 1)
    expect(slow.retryAfter(1e9, 1_000)).toBe(10_000)
  })
})
