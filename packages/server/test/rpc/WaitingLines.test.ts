import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { WaitingLines } from "@hikyaku/server/rpc/WaitingLines"
import { describe, expect, it } from "vitest"

const ticket = (n: number) => commandIdFrom(1_800_000_000_000, 0, 0, n / 2 ** 48)

describe("waiting lines", () => {
  it("tell a place in line, and the time to its turn at the rate at which the line moves", () => {
    let now = 0
    const lines = new WaitingLines(() => now)
    for (let n = 0; n < 1_000; n++) lines.enter("hot", ticket(n))
    lines.enter("cold", ticket(5_000))
    expect(lines.standing("hot", ticket(999))).toEqual({ position: 1_000, estimate: null })
    expect(lines.standing("cold", ticket(5_000))).toEqual({ position: 1, estimate: null })
    for (let n = 0; n < 500; n++) {
      now += 2
      lines.leave("hot", ticket(n), true)
    }
    // 500 a second; the first of them is counted from when it was served.
    expect(lines.standing("hot", ticket(999))).toEqual({ position: 500, estimate: 1_002 })
    expect(lines.standing("hot", ticket(500))).toEqual({ position: 1, estimate: 2 })
    expect(lines.standing("hot", ticket(0))).toBe(null)
  })

  it("R10: one product's line is bounded, others have room; when it has emptied there is room again", () => {
    let now = 0
    const lines = new WaitingLines(() => now, 100)
    for (let n = 0; n < 100; n++) expect(lines.enter("hot", ticket(n))).toBe(null)
    for (let n = 0; n < 50; n++) {
      now += 10
      lines.leave("hot", ticket(n), true)
      expect(lines.enter("hot", ticket(100 + n))).toBe(null)
    }
    // 100 a second, and half of 100 ahead.
    expect(lines.enter("hot", ticket(999))).toBeGreaterThanOrEqual(450)
    expect(lines.enter("hot", ticket(999))).toBeLessThanOrEqual(550)
    expect(lines.enter("hot", ticket(60))).toBe(null)
    expect(lines.enter("cold", ticket(999))).toBe(null)
    for (let n = 50; n < 150; n++) lines.leave("hot", ticket(n), true)
    expect(lines.enter("hot", ticket(999))).toBe(null)
  })

  it("tell when a ticket has left, once", () => {
    const lines = new WaitingLines(() => 0)
    let heard = 0
    lines.enter("p", ticket(1))
    expect(lines.whenLeft("p", ticket(2), () => heard++)).toBe(null)
    lines.whenLeft("p", ticket(1), () => heard++)
    lines.whenLeft("p", ticket(1), () => heard++)?.()
    lines.leave("p", ticket(1), false)
    lines.leave("p", ticket(1), false)
    expect(heard).toBe(1)
  })
})
