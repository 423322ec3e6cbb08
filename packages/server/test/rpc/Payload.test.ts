import { depthMax, payloadFault, valuesMax } from "@hikyaku/server/rpc/Payload"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const nested = (depth: number): unknown => depth === 0 ? 1 : { a: nested(depth - 1) }

describe("G16 what no payload may hold", () => {
  it("takes every JSON value of sound text", () => {
    fc.assert(fc.property(fc.jsonValue({ stringUnit: "grapheme" }), (value) => {
      fc.pre(!JSON.stringify(value).includes("\\u0000"))
      expect(payloadFault(value)).toBeNull()
    }))
  })

  it.each<[string, unknown, string]>([
    ["U+0000", { a: [{ b: "x\u0000" }] }, "a[0].b"],
    ["a lone surrogate", { a: "\udc00x" }, "a"],
    ["U+0000 in a name", { a: { "b\u0000": 1 } }, "a"],
    ["NaN, which only MessagePack can carry", { a: Number.NaN }, "a"],
    ["infinity", [Number.POSITIVE_INFINITY], "[0]"],
    ["a big integer", { a: 2n ** 60n }, "a"],
    ["a date", { a: new Date(0) }, "a"],
    ["a map", { a: new Map() }, "a"],
    ["bytes", { a: new Uint8Array(3) }, "a"],
    ["a function", { a: () => 1 }, "a"]
  ])("refuses %s", (_, payload, path) => {
    expect(payloadFault(payload)).toMatchObject({ _tag: "BadInput", path })
  })

  it("bounds depth and size", () => {
    expect(payloadFault(nested(depthMax))).toBeNull()
    expect(payloadFault(nested(depthMax + 1))).toMatchObject({ reason: expect.stringContaining("nested") })
    expect(payloadFault(Array.from({ length: valuesMax }, () => 0))).toMatchObject({
      reason: expect.stringContaining("values")
    })
  })
})
