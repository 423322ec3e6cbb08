import type { Happening } from "@hikyaku/domain/marketing/Event"
import { compile, compileExpression, costMax, type RuleInputs, sourceLengthMax } from "@hikyaku/domain/marketing/Rule"
import type { RuleError } from "@hikyaku/domain/marketing/RuleError"
import {
  eventView,
  filterScope,
  memberView,
  productView,
  type RuleMember,
  type RuleProduct,
  type RuleScope,
  triggerScope
} from "@hikyaku/domain/marketing/RuleScope"
import { Either } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const now = Date.UTC(2025, 5, 2, 3)
const product: RuleProduct = {
  id: "sku-1",
  name: "Linen shirt",
  price: 5900,
  category: "tops",
  brand: "Kumo",
  stock: 1,
  attributes: { colour: "white", season: "summer", weight: 180, limited: true }
}
const member: RuleMember = {
  id: "m-1",
  language: "ja",
  timeZone: "Asia/Tokyo",
  attributes: { rank: "gold", points: 1200 },
  consents: { mail: true, line: false }
}
const priceChanged: Happening = { _tag: "PriceChanged", product: "sku-1", before: 8000, after: 5900 }

const scope = (type: string): RuleScope => {
  const found = triggerScope(type, { review_posted: { stars: "number", text: "string" } })
  if (found === undefined) throw new Error(`no scope for ${type}`)
  return found
}
const inputs = (happening: Happening, over: Partial<RuleInputs> = {}): RuleInputs => ({
  event: eventView({ at: now, happening }),
  product: productView(product),
  member: memberView(member),
  parameters: { tier: 2 },
  now: new Date(now),
  ...over
})
const judge = (
  source: string,
  happening: Happening = priceChanged,
  over: Partial<RuleInputs> = {},
  where = scope(happening._tag === "Custom" ? `custom.${happening.type}` : happening._tag)
) => {
  const rule = compile(source, where)
  if (Either.isLeft(rule)) throw new Error(`${source}: ${rule.left.message}`)
  return rule.right.test(inputs(happening, over))
}
const fault = (source: string, type = "PriceChanged"): RuleError => {
  const rule = compile(source, scope(type))
  if (Either.isRight(rule)) throw new Error(`${source} compiled`)
  return rule.left
}

describe("conditions as marketers write them", () => {
  it.each([
    ["event.after < event.before * 0.9", true],
    ["event.after < event.before - 1000", true],
    ["event.after <= 5900 && event.after >= 5900", true],
    ["event.after == 5900", true],
    ["event.after in [4900, 5900]", true],
    ["event.after / event.before < 0.5", false],
    ["product.stock <= 1", true],
    ["product.stock == 1", true],
    ["product.stock * 0.5 < 1", true],
    ["product.stock in [1, 2]", true],
    ["product.category == \"tops\"", true],
    ["product.category in ['bags', 'shoes']", false],
    ["product.attributes.season == 'summer' && product.attributes.limited", true],
    ["product.attributes.weight + 20 == 200", true],
    ["has(product.attributes.sleeve) && product.attributes.sleeve == 'long'", false],
    ["product.name.lowerAscii().contains('linen')", true],
    ["now.getHours('Asia/Tokyo') == 12", true],
    ["now - event.at < duration('1h')", true]
  ])("%s is %s", (source, expected) => {
    expect(judge(source)).toEqual(expected ? { _tag: "Matched" } : { _tag: "NotMatched", reason: null })
  })

  it("sees the member in a member filter only", () => {
    const source =
      "member.attributes.rank in ['gold', 'silver'] && member.attributes.points >= 1000 && member.consents.mail"
    expect(judge(`${source} && parameters.tier == 2`, priceChanged, {}, filterScope)).toEqual({ _tag: "Matched" })
    expect(fault(source).hint).toContain("memberFilter")
  })

  it("knows the fields of every event type from its schema", () => {
    expect(judge("event.quantity * 2 == 4", { _tag: "Purchased", member: "m", product: "sku-1", quantity: 2 }))
      .toEqual({ _tag: "Matched" })
    expect(judge("event.change._tag == 'Level' && event.change.level <= 1", {
      _tag: "StockChanged",
      product: "sku-1",
      change: { _tag: "Level", level: 1 },
      sourceVersion: 3
    })).toEqual({ _tag: "Matched" })
    expect(judge("event.data.stars >= 4", {
      _tag: "Custom",
      type: "review_posted",
      product: "sku-1",
      data: { stars: 5, text: "!" }
    })).toEqual({ _tag: "Matched" })
    expect(triggerScope("custom.unheard_of", {})).toBeUndefined()
    expect(triggerScope("Custom", {})).toBeUndefined()
  })
})

describe("what cannot be judged did not match, and says why", () => {
  it.each(
    [
      ["event.price > 100", { _tag: "Purchased", member: "m", product: "p", quantity: 1 }, "No such key: price"],
      ["product.attributes.sleeve == 'long'", priceChanged, "No such key: sleeve"],
      ["1 / (product.stock - 1) == 0", priceChanged, "division by zero"],
      ["product.attributes.season > 3", priceChanged, "no such overload"],
      ["product.attributes.season", priceChanged, "neither true nor false: summer"]
    ] satisfies ReadonlyArray<[string, Happening, string]>
  )("%s", (source, happening, reason) => {
    const outcome = judge(source, happening)
    expect(outcome._tag).toBe("NotMatched")
    expect(outcome._tag === "NotMatched" ? outcome.reason : "").toContain(reason)
  })

  it("a product that the catalogue does not know", () => {
    expect(judge("product.stock <= 1", priceChanged, { product: undefined }))
      .toEqual({ _tag: "NotMatched", reason: "Unknown variable: product" })
    expect(judge("product.stock <= 1", priceChanged, { product: productView({ ...product, stock: null }) }))
      .toEqual({ _tag: "NotMatched", reason: "No such key: stock" })
  })
})

describe("G16: faults say where and what was meant", () => {
  it.each([
    ["event.aftr < 3", "Unknown", 6, 10, "did you mean after?"],
    ["has(event.aftr)", "Unknown", 10, 14, "did you mean after?"],
    ["evnt.after < 3", "Unknown", 0, 4, "did you mean event?"],
    ["product.stok <= 1", "Unknown", 8, 12, "did you mean stock?"],
    ["event.after = 3", "Syntax", 12, 13, "write == to compare"],
    ["event.after < 3 and product.stock < 2", "Syntax", 16, 19, "write && for and"],
    ["event.after < 3 & product.stock < 2", "Syntax", 16, 17, "write && for and"],
    ["event.after ＜ 3", "Syntax", 12, 13, "a full-width character: write <"],
    ["event.after　< 3", "Syntax", 11, 12, "a full-width space: write an ordinary one"],
    ["product.brand == “Kumo”", "Syntax", 17, 18, "write straight quotes: \""],
    ["product.brand == Kumo", "Unknown", 17, 21, "text belongs in quotes"],
    ["event.after < '3'", "Type", 0, 17, "numbers with numbers"],
    ["product.name.includes('x')", "Type", 0, 26, "known are size"],
    ["product.name.startWith('x')", "Type", 0, 27, "did you mean startsWith?"],
    ["event.after", "NotACondition", 0, 11, "compare it"],
    ["event.after <", "Syntax", 13, 13, null],
    ["", "Syntax", 0, 0, null]
  ])("%s", (source, kind, start, end, hint) => {
    const found = fault(source)
    expect({ kind: found.kind, start: found.start, end: found.end }).toEqual({ kind, start, end })
    if (hint === null) expect(found.hint).toBeNull()
    else expect(found.hint).toContain(hint)
  })

  it("checks a custom event's data against its registration", () => {
    expect(fault("event.data.starz > 3", "custom.review_posted").hint).toBe("did you mean stars?")
    expect(fault("has(event.data.starz)", "custom.review_posted").hint).toBe("did you mean stars?")
  })

  it("explains what is missing where a trigger has no product or event", () => {
    expect(fault("product.stock <= 1", "MemberJoined").hint).toContain("not about a product")
    const filter = compile("event.after < 3", filterScope)
    expect(Either.isLeft(filter) ? filter.left.hint : "").toContain("into the trigger")
  })
})

describe("G16: denial of service by a rule is bounded", () => {
  it("refuses long sources, deep nesting and many parts", () => {
    expect(fault("true || ".repeat(400) + "true").kind).toBe("TooLong")
    expect(fault("true" + " ".repeat(sourceLengthMax)).kind).toBe("TooLong")
    expect(fault("(".repeat(900) + "true" + ")".repeat(900)).kind).toBe("TooLong")
    expect(fault("[".repeat(900)).kind).toBe("TooLong")
    expect(fault("product.attributes" + ".a".repeat(900)).kind).toBe("TooLong")
    expect(fault("!".repeat(1990) + "true").kind).toBe("TooLong")
    expect(fault("-".repeat(1990) + "1 == 1").kind).toBe("TooLong")
    expect(fault("[" + "1,".repeat(300) + "1] == []").kind).toBe("TooLong")
  })

  it("refuses what multiplies: nested loops, doubled lists, regular expressions", () => {
    const loops = "event.tickets.all(a, event.tickets.all(b, event.tickets.all(c, a == b || b == c)))"
    expect(fault(loops, "StockShort").kind).toBe("TooCostly")
    let doubled = "a20.size() > 0"
    for (let i = 20; i > 0; i--) doubled = `cel.bind(a${i}, a${i - 1} + a${i - 1}, ${doubled})`
    expect(["TooCostly", "TooLong"]).toContain(fault(`cel.bind(a0, [1, 2], ${doubled})`).kind)
    let eight = "a8.size() > 0"
    for (let i = 8; i > 0; i--) eight = `cel.bind(a${i}, a${i - 1} + a${i - 1}, ${eight})`
    expect(fault(`cel.bind(a0, product.name.split(''), ${eight})`).kind).toBe("TooCostly")
    expect(fault("product.name.split('').map(a, product.name.split('')).size() > 1").kind).toBe("TooCostly")
    expect(fault("product.name.matches('(a+)+$')").kind).toBe("NotAllowed")
    expect(fault("[product.name].exists(n, n.matches('(a+)+$'))").kind).toBe("NotAllowed")
  })

  it("still allows a loop over what an event carries", () => {
    const rule = compile("event.tickets.exists(t, t.startsWith('0190')) && event.shortage > 3", scope("StockShort"))
    expect(Either.isRight(rule)).toBe(true)
    expect(costMax).toBeLessThanOrEqual(50_000)
  })

  it("any text at all ends in a rule or an error, and judging never throws", () => {
    const tokens =
      "event product member now . after stock attributes ( ) [ ] { } ! - && || == < in + * / ? : , 1 0.5 'x' exists map has x true size"
    const token = fc.constantFrom(...tokens.split(" "))
    fc.assert(
      fc.property(
        fc.oneof(fc.array(token, { maxLength: 30 }).map((t) => t.join(" ")), fc.fullUnicodeString()),
        (source) => {
          const rule = compile(source, scope("PriceChanged"))
          if (Either.isRight(rule)) {
            expect(["Matched", "NotMatched"]).toContain(rule.right.test(inputs(priceChanged))._tag)
          } else expect(rule.left.end).toBeGreaterThanOrEqual(rule.left.start)
        }
      ),
      { numRuns: 500 }
    )
  })

  it("numbers compare as numbers whatever their kind", () => {
    const sources = ["event.after < event.before * 0.9", "event.before - event.after > 10", "product.stock <= 1"]
    const rules = sources.map((source) => Either.getOrThrow(compile(source, scope("PriceChanged"))))
    const money = fc.double({ min: 0, max: 10_000_000, noNaN: true })
    fc.assert(fc.property(money, money, fc.integer({ min: 0, max: 5 }), (before, after, stock) => {
      const given = inputs({ _tag: "PriceChanged", product: "p", before, after }, {
        product: productView({ ...product, stock })
      })
      const expected = [after < before * 0.9, before - after > 10, stock <= 1]
      expect(rules.map((rule) => rule.test(given)._tag === "Matched")).toEqual(expected)
    }))
  })
})

describe("expressions and equalities", () => {
  it("gives values as plain scalars", () => {
    const value = (source: string) =>
      Either.getOrThrow(compileExpression(source, scope("PriceChanged"))).value(inputs(priceChanged))
    expect(value("product.stock")).toEqual({ _tag: "Value", value: 1 })
    expect(value("event.after / 2")).toEqual({ _tag: "Value", value: 2950 })
    expect(value("product.name + '!'")).toEqual({ _tag: "Value", value: "Linen shirt!" })
    expect(value("event.after / 0")._tag).toBe("NoValue")
    expect(Either.isLeft(compileExpression("product.attributes", scope("PriceChanged")))).toBe(true)
  })

  it("names the equalities without which a rule cannot match", () => {
    const of = (source: string) => Either.getOrThrow(compile(source, scope("PriceChanged"))).equalities
    expect(of("product.category == 'tops' && event.after < 3")).toEqual([
      { owner: "product", field: "category", values: ["tops"] }
    ])
    expect(of("'sku-1' == event.product && product.brand in ['a', 'b']")).toEqual([
      { owner: "event", field: "product", values: ["sku-1"] },
      { owner: "product", field: "brand", values: ["a", "b"] }
    ])
    expect(of("product.category == 'tops' || event.after < 3")).toEqual([])
    expect(of("!(product.category == 'tops')")).toEqual([])
    expect(of("product.category == product.brand")).toEqual([])
    expect(of("'sku' in [product.id]")).toEqual([])
  })
})
