import { type EffectiveCampaign, make } from "@hikyaku/cluster/marketing/RuleIndex"
import type { CampaignDefinition, Trigger } from "@hikyaku/domain/marketing/Campaign"
import { compileTrigger, periodOf, triggerInputs } from "@hikyaku/domain/marketing/CampaignTrigger"
import type { Event, Happening } from "@hikyaku/domain/marketing/Event"
import type { RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { Either } from "effect"
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"

const now = Date.UTC(2025, 5, 2, 3)
const context = { timeZone: "Asia/Tokyo", customTypes: { review: { stars: "number" as const } } }
const campaign = (id: string, trigger: Trigger, over: Partial<CampaignDefinition> = {}): EffectiveCampaign => ({
  campaign: id,
  version: 1,
  definition: {
    id,
    name: id,
    trigger,
    class: "realtime",
    priority: 1,
    channels: ["mail"],
    segment: { _tag: "Everyone" },
    deadlineMs: 3_600_000,
    timePolicy: { _tag: "Immediate" },
    content: {},
    ...over
  }
})
const on = (event: string, when?: string): Trigger => ({
  _tag: "Event",
  event,
  ...(when === undefined ? {} : { when })
})
const product = (over: Partial<RuleProduct> = {}): RuleProduct => ({
  id: "p1",
  name: "Shirt",
  price: 500,
  category: "tops",
  brand: "Kumo",
  stock: 3,
  attributes: {},
  ...over
})
const priceChanged = (before: number, after: number, id = "p1"): Pick<Event, "at" | "happening"> => ({
  at: now,
  happening: { _tag: "PriceChanged", product: id, before, after }
})

describe("matching", () => {
  it("finds the campaigns that fire, by priority, with the parameters of event and table", () => {
    const rows = [["when: event.after", "then: tier", "then: after"], ["< 600", "1", "cheap"]]
    const index = make([
      campaign("b", on("PriceChanged", "event.after < event.before")),
      campaign("a", on("PriceChanged")),
      campaign("table", { _tag: "Table", event: "PriceChanged", table: { hit: "first", rows } }, { priority: 9 }),
      campaign("other", on("Restocked")),
      campaign("dear", on("PriceChanged", "event.after > 600")),
      campaign("cron", { _tag: "Cron", cron: "0 9 * * 1" })
    ], context)
    const own = { event: "PriceChanged", before: 800, after: 500 }
    expect(index.match(priceChanged(800, 500), product(), now)).toEqual([
      { campaign: "table", version: 1, parameters: { ...own, tier: 1, after: "cheap" } },
      { campaign: "a", version: 1, parameters: own },
      { campaign: "b", version: 1, parameters: own }
    ])
    expect([...index.types].sort()).toEqual(["PriceChanged", "Restocked"])
    expect(index.match({ at: now, happening: { _tag: "SoldOut", product: "p1" } }, product(), now)).toEqual([])
  })

  it("heeds the period, by the time of the event", () => {
    const index = make(
      [campaign("june", on("PriceChanged"), { period: { from: "2025-06-01", until: "2025-06-30" } })],
      context
    )
    const match = (at: number) => index.match({ ...priceChanged(2, 1), at }, null, Math.max(at, now)).length
    expect(match(Date.UTC(2025, 4, 31, 14))).toBe(0)
    expect(match(Date.UTC(2025, 4, 31, 16))).toBe(1)
    expect(match(Date.UTC(2025, 5, 30, 14))).toBe(1)
    expect(match(Date.UTC(2025, 5, 30, 15))).toBe(0)
    expect(index.explain({ ...priceChanged(2, 1), at: Date.UTC(2025, 6, 30) }, null, Date.UTC(2025, 6, 30))[0]?.outcome)
      .toEqual({ _tag: "Silent", reason: "outside the campaign's period" })
  })

  it("custom events by their registered type", () => {
    const index = make([campaign("r", on("custom.review", "event.data.stars >= 4"))], context)
    const review = (stars: number): Happening => ({ _tag: "Custom", type: "review", product: "p1", data: { stars } })
    expect(index.match({ at: now, happening: review(5) }, null, now)[0]?.parameters).toEqual({
      event: "custom.review",
      stars: 5
    })
    expect(index.match({ at: now, happening: review(3) }, null, now)).toEqual([])
  })

  it("a trigger that does not compile never fires and is named; the others do", () => {
    const index = make([
      campaign("broken", on("custom.gone")),
      campaign("wrong", on("PriceChanged", "event.aftr < 3")),
      campaign("right", on("PriceChanged"))
    ], context)
    expect(index.broken.map((each) => each.campaign)).toEqual(["broken", "wrong"])
    expect(index.match(priceChanged(2, 1), null, now).map((each) => each.campaign)).toEqual(["right"])
  })

  it("explains why a campaign did not fire", () => {
    const index = make([campaign("low", on("PriceChanged", "product.stock <= 1"))], context)
    expect(index.explain(priceChanged(2, 1), product({ stock: null }), now)).toEqual([
      { campaign: "low", version: 1, outcome: { _tag: "Silent", reason: "No such key: stock" } }
    ])
  })
})

describe("the index", () => {
  const condition = fc.constantFrom(
    "event.after < event.before * 0.9",
    "product.category == 'tops'",
    "product.category in ['tops', 'bags'] && event.after < 600",
    "event.product == 'p2'",
    "'Kumo' == product.brand && product.stock <= 1",
    "product.brand == 'Hoshi' || event.after < 300",
    "!(product.category == 'tops')",
    "product.id == 'p1' && product.category == 'bags'"
  )
  const products = fc.option(
    fc.record({
      id: fc.constantFrom("p1", "p2"),
      category: fc.constantFrom("tops", "bags", null),
      brand: fc.constantFrom("Kumo", "Hoshi", null),
      stock: fc.constantFrom(0, 3, null)
    }),
    { nil: null }
  )

  it("finds exactly what judging every campaign would (property)", () => {
    fc.assert(fc.property(
      fc.array(fc.option(condition, { nil: undefined }), { maxLength: 12 }),
      products,
      fc.integer({ min: 0, max: 1_000 }),
      fc.integer({ min: 0, max: 1_000 }),
      (conditions, over, before, after) => {
        const campaigns = conditions.map((when, i) => campaign(`c${i}`, on("PriceChanged", when), { priority: i % 3 }))
        const event = priceChanged(before, after, over?.id ?? "p1")
        const known = over === null ? null : product({ ...over, price: after })
        const inputs = triggerInputs(event, known, now)
        const expected = campaigns.filter(({ definition }) => {
          const trigger = Either.getOrThrow(compileTrigger(definition, context))
          return trigger !== null && trigger.judge(inputs)._tag === "Fires" && periodOf(definition, "UTC").from <= now
        }).map((each) => each.campaign).sort()
        const found = make(campaigns, context).match(event, known, now).map((each) => each.campaign)
        expect([...found].sort()).toEqual(expected)
      }
    ))
  })

  it("judges what could match, not what exists", () => {
    const campaigns = [
      ...Array.from(
        { length: 500 },
        (_, i) => campaign(`c${i}`, on("PriceChanged", `product.id == 'p${i}' && event.after < 600`))
      ),
      ...Array.from(
        { length: 500 },
        (_, i) => campaign(`d${i}`, on("PriceChanged", `product.brand in ['b${i}', 'Kumo${i % 10}']`))
      ),
      campaign("all", on("PriceChanged", "event.after < 600"))
    ]
    const index = make(campaigns, context)
    const judges = [...index.compiled.values()].map(({ trigger }) => vi.spyOn(Either.getOrThrow(trigger)!, "judge"))
    const found = index.match(priceChanged(800, 500, "p7"), product({ id: "p7", brand: "Kumo3" }), now)
    expect(found.length).toBe(1 + 50 + 1)
    expect(judges.filter((judge) => judge.mock.calls.length > 0).length).toBe(found.length)
    expect(judges.every((judge) => judge.mock.calls.length <= 1)).toBe(true)
  })

  it("compiles again only what has changed", () => {
    const a = campaign("a", on("PriceChanged"))
    const first = make([a, campaign("b", on("PriceChanged"))], context)
    const second = make([a, { ...campaign("b", on("Restocked")), version: 2 }], context, first)
    expect(second.compiled.get("a/1")).toBe(first.compiled.get("a/1"))
    expect(second.match(priceChanged(2, 1), null, now).map((each) => each.campaign)).toEqual(["a"])
    const other = make([a], { ...context, customTypes: {} }, second)
    expect(other.compiled.get("a/1")).not.toBe(second.compiled.get("a/1"))
  })
})
