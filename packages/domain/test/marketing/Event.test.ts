import { Attributes } from "@hikyaku/domain/marketing/Event"
import { Schema } from "effect"
import { describe, expect, it } from "vitest"

describe("G16 attributes", () => {
  it("take what JSON can say, and neither NaN nor an infinity, by whatever door", () => {
    const accepts = Schema.is(Attributes)
    expect(accepts({ size: 1.5, tier: "gold", member: true })).toBe(true)
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(accepts({ size: bad }), String(bad)).toBe(false)
    }
  })
})
