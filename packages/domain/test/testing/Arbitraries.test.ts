import { describe, expect, it } from "@effect/vitest"
import { CommandId, commandTime } from "@hikyaku/domain/Identifier"
import { AddToCart, ProductCommand, ProductEvent, ProductReply } from "@hikyaku/domain/stock/Product"
import { arbitrary, canonical, commandIdPool, commandIds, withFields } from "@hikyaku/domain/testing"
import { Schema } from "effect"
import * as fc from "fast-check"

describe("Arbitraries", () => {
  it("make what the schemas accept, and it survives JSON", () => {
    const survives = <A>(schema: Schema.Schema<A>) =>
      fc.assert(fc.property(arbitrary(schema), (value) => {
        const back = Schema.decodeUnknownSync(schema)(JSON.parse(JSON.stringify(Schema.encodeSync(schema)(value))))
        expect(canonical(back)).toBe(canonical(value))
      }))
    survives(ProductCommand)
    survives(ProductReply)
    survives(ProductEvent)
  })

  it("make ids of the times asked for", () => {
    const [from, to] = [1_760_000_000_000, 1_760_000_060_000]
    fc.assert(fc.property(commandIds(from, to), (id) => {
      expect(Schema.is(CommandId)(id)).toBe(true)
      expect(commandTime(id)).toBeGreaterThanOrEqual(from)
      expect(commandTime(id)).toBeLessThanOrEqual(to)
    }))
    const pool = commandIdPool(1_000, from)
    expect(new Set(pool).size).toBe(1_000)
    expect(pool.every((id) => Schema.is(CommandId)(id) && commandTime(id) === from)).toBe(true)
  })

  it("put fields of one's own into values of a schema", () => {
    fc.assert(fc.property(withFields(AddToCart, { member: fc.constant("m-1") }), (command) => {
      expect(command.member).toBe("m-1")
      expect(Schema.is(AddToCart)(command)).toBe(true)
    }))
  })
})
