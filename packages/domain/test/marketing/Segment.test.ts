import type { Happening } from "@hikyaku/domain/marketing/Event"
import {
  activityOf,
  dayMs,
  faultOf,
  matches,
  needs,
  resolve,
  type Segment,
  type SegmentProfile
} from "@hikyaku/domain/marketing/Segment"
import { describe, expect, it } from "vitest"

const now = Date.UTC(2025, 5, 2)
const profile: SegmentProfile = {
  id: "m-1",
  withdrawn: false,
  language: "ja",
  attributes: { rank: "gold", points: 1200, vip: true },
  lists: new Set(["debug"]),
  favourites: [{ product: "p1", category: "tops", brand: "Kumo", at: now - 7 * dayMs }],
  activities: [
    { activity: "viewed", product: "p1", category: "tops", brand: "Kumo", count: 2, lastAt: now - 3 * dayMs },
    { activity: "viewed", product: "p2", category: "tops", brand: null, count: 1, lastAt: now - 10 * dayMs },
    { activity: "bought", product: "p3", category: null, brand: "Kumo", count: 1, lastAt: now - 30 * dayMs }
  ]
}
const is = (segment: Segment, of: SegmentProfile = profile) => matches(segment, of, now)

describe("the predicate", () => {
  it("windows reach back exactly", () => {
    expect(is({ _tag: "Favourited", of: { product: "p1" }, withinDays: 7 })).toBe(true)
    expect(matches({ _tag: "Favourited", of: { product: "p1" }, withinDays: 7 }, profile, now + 1)).toBe(false)
    expect(is({ _tag: "Favourited", of: { category: "tops" } })).toBe(true)
    expect(is({ _tag: "Favourited", of: { brand: "Hoshi" } })).toBe(false)
    expect(is({ _tag: "Favourited" })).toBe(true)
  })
  it("counts over what is asked for", () => {
    expect(is({ _tag: "Did", activity: "viewed", of: { category: "tops" }, atLeast: 3 })).toBe(true)
    expect(is({ _tag: "Did", activity: "viewed", of: { category: "tops" }, atLeast: 3, withinDays: 5 })).toBe(false)
    expect(is({ _tag: "Did", activity: "viewed", of: { brand: "Kumo" }, atLeast: 2, withinDays: 5 })).toBe(true)
    expect(is({ _tag: "Did", activity: "carted" })).toBe(false)
  })
  it("attributes: what is missing satisfies nothing, kinds never mix", () => {
    const attribute = (name: string, op: "eq" | "ne" | "lt" | "ge", value: string | number | boolean) =>
      is({ _tag: "Attribute", name, is: op, value })
    expect(attribute("points", "ge", 1200)).toBe(true)
    expect(attribute("points", "lt", 1200)).toBe(false)
    expect(attribute("points", "eq", "1200")).toBe(false)
    expect(attribute("points", "ne", "1200")).toBe(true)
    expect(attribute("rank", "lt", 3)).toBe(false)
    expect(attribute("nothing", "ne", 1)).toBe(false)
    expect(attribute("toString", "ne", 1)).toBe(false)
    expect(attribute("vip", "eq", true)).toBe(true)
    expect(is({ _tag: "HasAttribute", name: "rank" })).toBe(true)
    expect(is({ _tag: "HasAttribute", name: "constructor" })).toBe(false)
    expect(is({ _tag: "AttributeIn", name: "rank", values: ["silver", "gold"] })).toBe(true)
    expect(is({ _tag: "AttributeIn", name: "points", values: ["1200"] })).toBe(false)
  })
  it("combines", () => {
    const yes: Segment = { _tag: "Speaks", language: "ja" }
    const no: Segment = { _tag: "OnList", list: "staff" }
    expect(is({ _tag: "All", of: [yes, { _tag: "Not", of: no }, { _tag: "OnList", list: "debug" }] })).toBe(true)
    expect(is({ _tag: "Any", of: [no, { _tag: "Members", ids: ["m-1"] }] })).toBe(true)
    expect(is({ _tag: "All", of: [yes, no] })).toBe(false)
  })
  it("who has left belongs to no segment", () => {
    const gone = { ...profile, withdrawn: true }
    expect(is({ _tag: "Everyone" }, gone)).toBe(false)
    expect(is({ _tag: "Not", of: { _tag: "OnList", list: "staff" } }, gone)).toBe(false)
  })
})

describe("what the event stands for", () => {
  const segment: Segment = {
    _tag: "All",
    of: [
      { _tag: "Did", activity: "viewed", of: { category: "$event" }, withinDays: 30 },
      { _tag: "Not", of: { _tag: "Did", activity: "bought", of: { product: "$event" } } },
      { _tag: "EventMember" }
    ]
  }
  it("is named", () => {
    expect(needs(segment)).toEqual({ product: true, member: true })
    expect(needs({ _tag: "Favourited", of: { product: "p1" } })).toEqual({ product: false, member: false })
  })
  it("is put in its place", () => {
    const product = { id: "p2", category: "tops", brand: null }
    expect(is(resolve(segment, { product, member: "m-1" }))).toBe(true)
    expect(is(resolve(segment, { product, member: "m-2" }))).toBe(false)
    expect(is(resolve(segment, { product: { ...product, id: "p3" }, member: "m-1" }))).toBe(false)
  })
  it("nobody meets a condition on something that is not known", () => {
    expect(is(resolve(segment, { product: null, member: "m-1" }))).toBe(false)
    expect(is(resolve(segment, { product: { id: "p2", category: null, brand: null }, member: "m-1" }))).toBe(false)
    expect(is(segment)).toBe(false)
  })
})

describe("bounds", () => {
  it("order is for numbers", () => {
    expect(faultOf({ _tag: "Attribute", name: "rank", is: "lt", value: "gold" })).toContain("compares numbers")
    expect(faultOf({ _tag: "Attribute", name: "rank", is: "lt", value: 3 })).toBeNull()
  })
})

describe("what counts as an activity", () => {
  it("is the same as the aggregation says", () => {
    const feedback = (kind: "opened" | "bounced"): Happening => ({
      _tag: "MessageFeedback",
      member: "m",
      delivery: "d",
      channel: "mail",
      feedback: kind
    })
    expect(activityOf({ _tag: "Purchased", member: "m", product: "p", quantity: 1 })).toBe("bought")
    expect(activityOf(feedback("opened"))).toBe("opened")
    expect(activityOf(feedback("bounced"))).toBeNull()
    expect(activityOf({ _tag: "Favourited", member: "m", product: "p" })).toBeNull()
  })
})
