import { HikyakuApi } from "@hikyaku/domain/api/Api"
import { BadInput, fromParseError, pathMax, reasonMax } from "@hikyaku/domain/api/BadInput"
import { CartApi } from "@hikyaku/domain/api/CartApi"
import { Either, Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const add = CartApi.requests.get("cart.add")?.payloadSchema
const decode = (schema: Schema.Schema.AnyNoContext, input: unknown) =>
  Schema.decodeUnknownEither(schema, { onExcessProperty: "error" })(input)
const good = { ticket: "01890a5d-ac96-774b-bcce-b302099a8057", product: "p", member: "m", quantity: 1 }

describe("G16 bad input says what and where", () => {
  it.each([
    [{ ...good, quantity: 0 }, "quantity", /between 1 and 10000/],
    [{ ...good, ticket: "x" }, "ticket", /version 7/],
    [{ ...good, member: undefined }, "member", /nothing/],
    [{ ...good, quantitty: 1 }, "quantitty", /field/],
    [null, "", /./],
    ["text", "", /./]
  ])("%j", (input, path, reason) => {
    if (add === undefined) return expect.fail("cart.add is gone")
    const decoded = decode(add, input)
    if (Either.isRight(decoded)) return expect.fail("was accepted")
    const fault = fromParseError(decoded.left)
    expect(fault).toBeInstanceOf(BadInput)
    expect(fault.path).toBe(path)
    expect(fault.reason).toMatch(reason)
  })

  it("stays small and can be written down whatever was sent, for every method", () => {
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.constant("\ud800"), fc.constant("x".repeat(10_000)))
    const input = fc.oneof(
      fc.jsonValue(),
      fc.dictionary(text, fc.oneof(text, fc.double(), fc.jsonValue()), { maxKeys: 5 }),
      fc.record(Object.fromEntries(Object.keys(good).map((name) => [name, fc.oneof(text, fc.jsonValue())])))
    )
    const schemas = [...HikyakuApi.requests.values()].map((rpc) => rpc.payloadSchema)
    fc.assert(
      fc.property(fc.constantFrom(...schemas), input, (schema, value) => {
        const decoded = decode(schema, value)
        if (Either.isRight(decoded)) return
        const fault = fromParseError(decoded.left)
        expect(fault.path.length).toBeLessThanOrEqual(pathMax)
        expect(fault.reason.length).toBeLessThanOrEqual(reasonMax)
        expect(fault.hint?.length ?? 0).toBeLessThanOrEqual(reasonMax)
        expect((fault.path + fault.reason + (fault.hint ?? "")).isWellFormed()).toBe(true)
      }),
      { numRuns: 500 }
    )
  })
})
