import { make } from "@hikyaku/cluster/marketing/RuleIndex"
import { run } from "@hikyaku/domain/Actor"
import { campaignDecider } from "@hikyaku/domain/marketing/CampaignDecider"
import { audienceOf, termsOf } from "@hikyaku/domain/marketing/CampaignTerms"
import { validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import { compileContent, renderContent } from "@hikyaku/domain/marketing/Content"
import { contentScope } from "@hikyaku/domain/marketing/ContentScope"
import type { Attributes, Happening } from "@hikyaku/domain/marketing/Event"
import { type Member, unknownMember } from "@hikyaku/domain/marketing/MemberState"
import { ruleFilter } from "@hikyaku/domain/marketing/RuleFilter"
import type { RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { dayMs, matches, type SegmentProfile } from "@hikyaku/domain/marketing/Segment"
import { Either } from "effect"
import { describe, expect, it } from "vitest"
import { example, exampleNames } from "../../../domain/test/marketing/CampaignExamples.ts"

const now = Date.UTC(2025, 1, 3, 3)
const context = { timeZone: "Asia/Tokyo", customTypes: {} }
const product: RuleProduct = {
  id: "sku-1",
  name: "コート \"冬\" <A&B>",
  price: 12_000,
  category: "coats",
  brand: "Kumo",
  stock: 2,
  attributes: {}
}
const wanting: SegmentProfile = {
  id: "m-1",
  withdrawn: false,
  language: "ja",
  attributes: {},
  lists: new Set(),
  favourites: [{ product: "sku-1", category: "coats", brand: "Kumo", at: now - dayMs }],
  activities: [
    { activity: "viewed", product: "sku-1", category: "coats", brand: "Kumo", count: 1, lastAt: now - dayMs }
  ]
}
const stranger: SegmentProfile = { ...wanting, id: "m-2", favourites: [], activities: [] }
const owner: SegmentProfile = {
  ...wanting,
  activities: [
    ...wanting.activities,
    { activity: "bought", product: "sku-1", category: "coats", brand: "Kumo", count: 1, lastAt: now - dayMs / 2 }
  ]
}
const member = (over: Partial<Member>): Member => ({ ...unknownMember("m-1"), joined: true, language: "ja", ...over })
const ticket = "0194c8a0-0000-7000-8000-000000000000"

interface Case {
  /** An event that fires it and one of the same type that does not; none for a schedule. */
  readonly fires?: Happening
  readonly silent?: Happening
  readonly parameters?: Attributes
  /** Members of the filter, in and out. */
  readonly passes?: Partial<Member>
  readonly fails?: Partial<Member>
  /** Whether who has just bought the product is left out. */
  readonly owners: boolean
}

const cases: Readonly<Record<string, Case>> = {
  "price-drop.json": {
    fires: { _tag: "PriceChanged", product: "sku-1", before: 20_000, after: 18_000 },
    silent: { _tag: "PriceChanged", product: "sku-1", before: 20_000, after: 18_001 },
    owners: false
  },
  "last-one.json": {
    fires: { _tag: "StockLow", product: "sku-1", available: 1 },
    silent: { _tag: "StockLow", product: "sku-1", available: 2 },
    owners: false
  },
  "back-in-stock.json": {
    fires: { _tag: "Restocked", product: "sku-1", available: 3 },
    silent: { _tag: "Restocked", product: "sku-1", available: 0 },
    owners: false
  },
  "abandoned-cart.json": {
    fires: { _tag: "CartExpired", product: "sku-1", member: "m-1", ticket, quantity: 2 },
    silent: { _tag: "CartExpired", product: "sku-1", member: "m-1", ticket, quantity: 3 },
    passes: { attributes: {} },
    fails: { attributes: { staff: true } },
    owners: false
  },
  "left-in-cart.json": {
    fires: { _tag: "CartAdded", product: "sku-1", member: "m-1", ticket, quantity: 1 },
    silent: { _tag: "CartAdded", product: "sku-2", member: "m-1", ticket, quantity: 1 },
    passes: { attributes: {} },
    fails: { attributes: { staff: true } },
    owners: false
  },
  "weekly.json": {
    passes: { language: "en", attributes: { country: "GB" } },
    fails: { language: "en", attributes: { country: "FR" } },
    owners: true
  },
  "decision-table.json": {
    fires: { _tag: "PriceChanged", product: "sku-1", before: 20_000, after: 12_000 },
    silent: { _tag: "PriceChanged", product: "sku-1", before: 20_000, after: 19_000 },
    parameters: { tier: 2, headline_ja: "冬物セール", headline_en: "Winter sale" },
    owners: false
  }
}

describe("examples/campaigns run", () => {
  it("every one of them has a case here", () => expect(Object.keys(cases).sort()).toEqual([...exampleNames]))

  it.each(exampleNames)("%s", (name) => {
    const { fails, fires, owners, parameters, passes, silent } = cases[name]!
    const { definition } = Either.getOrThrowWith(
      validateCampaign(example(name), context),
      (f) => new Error(JSON.stringify(f))
    )
    const index = make([{ campaign: definition.id, version: 1, definition }], context)
    // A cheaper one, for rules that look at the price.
    const other: RuleProduct = { ...product, id: "sku-2", price: 900 }
    const match = (happening: Happening) =>
      index.match(
        { at: now, happening },
        "product" in happening && happening.product === other.id ? other : product,
        now
      )

    // The trigger.
    const { state } = run(
      campaignDecider,
      campaignDecider.initial(definition.id),
      { _tag: "Define", definition, author: "aya", timeZone: "Asia/Tokyo" },
      now
    )
    let given: Attributes = {}
    if (fires === undefined || silent === undefined) {
      const due = campaignDecider.dueAt(state)
      // Friday at ten in Tokyo.
      expect(due).toBe(Date.UTC(2025, 1, 7, 1))
      expect(run(campaignDecider, state, { _tag: "Wake" }, due ?? 0).decision.events[0]?._tag).toBe("RunBegan")
    } else {
      expect(match(silent)).toEqual([])
      const [found] = match(fires)
      expect(found?.campaign).toBe(definition.id)
      given = found?.parameters ?? {}
      expect(given).toMatchObject(parameters ?? {})
      const { decision } = run(campaignDecider, state, {
        _tag: "Fire",
        partition: 0,
        offset: 1,
        event: "e",
        at: now,
        version: 1,
        product: "sku-1",
        parameters: given
      }, now)
      expect(decision.reply._tag).toBe("RunStarted")
    }

    // Whom it is for.
    const audience = audienceOf(definition, {
      product: { id: "sku-1", category: "coats", brand: "Kumo" },
      member: "m-1"
    })
    expect([wanting, stranger, owner].map((each) => matches(audience, each, now))).toEqual([true, false, owners])
    expect(matches(audience, { ...wanting, withdrawn: true }, now)).toBe(false)
    const shop = { timeZone: "Asia/Tokyo", globalCaps: [], deliveryHours: {}, quietHours: null, volume: null }
    const { filter } = termsOf(definition, shop)
    const judged = (over: Partial<Member>) =>
      filter === undefined
        ? null
        : ruleFilter(filter, { member: member(over), campaign: "c", product: null, parameters: given, now })
    expect(judged(passes ?? {})).toBeNull()
    if (fails !== undefined) expect(judged(fails)).toMatchObject({ fault: false })

    // What it says, in both languages, on each of its channels.
    for (const language of ["ja", "en"] as const) {
      for (const channel of definition.channels) {
        const content = Either.getOrThrow(compileContent(channel, { ...definition.content[language]?.[channel] }))
        const rendered = renderContent(content, {
          scope: contentScope({
            campaign: { id: definition.id, name: definition.name },
            member: { id: "m-1", language, attributes: {} },
            product: fires === undefined ? null : product,
            parameters: given,
            unsubscribeUrl: "https://mail.shop.example/u/1.token.signature"
          }),
          timeZone: "Asia/Tokyo",
          language
        })
        expect(Either.isLeft(rendered) ? rendered.left : null).toBeNull()
      }
    }
  })
})
