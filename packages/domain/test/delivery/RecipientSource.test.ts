/** Sources of recipients: registrations of tables and segments that mean nothing are refused with the place (G16). */
import { type RecipientTable, segmentFaultOf, tableFaultOf } from "@hikyaku/domain/delivery/RecipientSource"
import { describe, expect, it } from "vitest"

const table: RecipientTable = { schema: "crm", relation: "people", key: "id", address: "mail", parameters: ["points"] }

describe("sources of recipients (MAIL-1, G16)", () => {
  it("a table says whom its rows mean in one way, and each parameter once", () => {
    expect(tableFaultOf(table)).toBe(null)
    expect(tableFaultOf({ ...table, address: undefined, member: "m" })).toBe(null)
    expect(tableFaultOf({ ...table, member: "m" })?.path).toBe("address")
    expect(tableFaultOf({ ...table, address: undefined })?.path).toBe("address")
    expect(tableFaultOf({ ...table, parameters: ["a", "a"] })).toMatchObject({ path: "parameters[1]" })
    expect(tableFaultOf({ ...table, parameters: ["x", "member"] })).toMatchObject({ path: "parameters[1]" })
  })

  it("a segment of a request speaks of no event", () => {
    expect(segmentFaultOf({ _tag: "Favourited", of: { product: "tee" } })).toBe(null)
    expect(segmentFaultOf({ _tag: "Favourited", of: { product: "$event" } })).toMatch(/event/)
    expect(segmentFaultOf({ _tag: "Not", of: { _tag: "EventMember" } })).toMatch(/event/)
    expect(segmentFaultOf({ _tag: "Attribute", name: "city", is: "lt", value: "Kyoto" })).toMatch(/numbers/)
  })
})
