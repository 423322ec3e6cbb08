import { CommandId, commandTime } from "@hikyaku/domain/Identifier"
import { idAt, share } from "@hikyaku/domain/replay/Fingerprint"
import { Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const instant = fc.integer({ min: 946_684_800_000, max: 4_102_444_800_000 })

describe("R3 ids of a replay", () => {
  it("are UUIDs of version 7 that carry the line's time, the same for the same content", () => {
    fc.assert(fc.property(instant, fc.string(), (at, content) => {
      const id = idAt(at, content)
      expect(Schema.is(CommandId)(id)).toBe(true)
      expect(commandTime(id)).toBe(at)
      expect(idAt(at, content)).toBe(id)
    }))
  })

  it("differ between lines, however alike", () => {
    const at = Date.UTC(2010, 11, 1)
    const ids = new Set<string>()
    for (let line = 0; line < 100_000; line++) ids.add(idAt(at, `ticket ${line} 536365`))
    expect(ids.size).toBe(100_000)
  })

  it("choose evenly", () => {
    const chosen = Array.from({ length: 10_000 }, (_, member) => share(`mail ${member}`)).filter((part) => part < 0.3)
    expect(chosen.length).toBeGreaterThan(2_800)
    expect(chosen.length).toBeLessThan(3_200)
  })
})
