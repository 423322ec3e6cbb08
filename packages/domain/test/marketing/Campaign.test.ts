import { CampaignDefinition, campaignJsonSchema, difference } from "@hikyaku/domain/marketing/Campaign"
import { audienceOf, termsOf } from "@hikyaku/domain/marketing/CampaignTerms"
import { type CampaignContext, instantOf, periodOf } from "@hikyaku/domain/marketing/CampaignTrigger"
import { encodeCampaign, validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import { showPath } from "@hikyaku/domain/marketing/DocumentFault"
import { Terms } from "@hikyaku/domain/marketing/Member"
import { Either, Schema } from "effect"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { example, exampleNames, exampleText } from "./CampaignExamples.ts"

const context: CampaignContext = { timeZone: "Asia/Tokyo", customTypes: { review_posted: { stars: "number" } } }
const dayMs = 86_400_000

const valid = (document: unknown) =>
  Either.getOrThrowWith(validateCampaign(document, context), (faults) => new Error(JSON.stringify(faults, null, 1)))
/** Faults as `path: message (hint)`. */
const faults = (document: unknown): ReadonlyArray<string> =>
  Either.match(validateCampaign(document, context), {
    onLeft: (found) =>
      found.map(({ hint, message, path }) => `${showPath(path)}: ${message}${hint === null ? "" : ` (${hint})`}`),
    onRight: () => []
  })
const warnings = (document: unknown) =>
  valid(document).warnings.map(({ message, path }) => `${showPath(path)}: ${message}`)

const mail = { subject: "Hello", html: "<p>Hello</p>", text: "Hello" }
const minimal = {
  id: "hello",
  name: "Hello",
  trigger: { _tag: "Event", event: "PriceChanged" },
  class: "batch",
  priority: 1,
  channels: ["mail"],
  segment: { _tag: "Everyone" },
  deadlineMs: 3_600_000,
  timePolicy: { _tag: "Immediate" },
  content: { en: { mail } }
}

describe("examples/campaigns", () => {
  it("there are at least six", () => expect(exampleNames.length).toBeGreaterThanOrEqual(6))

  it.each(exampleNames)("%s is valid without a warning, and stored as it is written", (name) => {
    const document = example(name)
    const { definition, warnings } = valid(document)
    expect(warnings).toEqual([])
    expect(encodeCampaign(definition)).toEqual(document)
  })

  it("the decision table is its CSV, cell by cell", () => {
    const { trigger } = valid(example("decision-table.json")).definition
    const csv = exampleText("decision-table.csv").trim().split("\n").map((line) =>
      [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].map((match) => match[1] ?? "").slice(0, 8).map((cell) =>
        cell.startsWith("\"") ? cell.slice(1, -1).replaceAll("\"\"", "\"") : cell
      )
    )
    expect(trigger._tag === "Table" ? trigger.table.rows : []).toEqual(csv)
  })
})

describe("G16: validation reports every fault with its path and a hint", () => {
  it("unknown fields: did you mean", () => {
    expect(faults({ ...minimal, prioritty: 3, chanels: [] })).toEqual([
      "prioritty: unknown field (did you mean priority?)",
      "chanels: unknown field (did you mean channels?)"
    ])
    expect(faults({ ...minimal, trigger: { _tag: "Event", event: "PriceChanged", whem: "true" } })).toEqual([
      "trigger.whem: unknown field (did you mean when?)"
    ])
    expect(faults({ ...minimal, content: { en: { mail: { ...mail, titel: "x" } } } })).toEqual([
      "content.en.mail.titel: unknown field (known are subject, html, text)"
    ])
  })

  it("all faults of the form at once", () => {
    const { name: _, ...nameless } = minimal
    expect(
      faults({
        ...nameless,
        id: "white space",
        class: "realtme",
        priority: 1_001,
        channels: ["mail", "fax"],
        deadlineMs: "1h",
        caps: [{ count: -1, windowMs: dayMs }],
        segment: { _tag: "All", of: [{ _tag: "Favorited" }, { _tag: "Did", activity: "bougt" }] },
        holdoutShare: 2
      }).toSorted()
    ).toEqual([
      "caps[0].count: Expected a number between 0 and 1000, actual -1",
      "channels[1]: \"fax\" is not one of mail, line, push, onsite",
      "class: \"realtme\" is not one of realtime, batch, transactional (did you mean realtime?)",
      "deadlineMs: expected a number, found \"1h\"",
      "holdoutShare: Expected a number between 0 and 1, actual 2",
      "id: 1 to 36 of A-Z a-z 0-9 . _ - beginning with a letter or digit",
      "name: is missing",
      "priority: Expected a number between 0 and 1000, actual 1001",
      expect.stringMatching(
        /^segment\.of\[0\]\._tag: "Favorited" is not one of Everyone, .*Not \(did you mean Favourited\?\)$/
      ),
      "segment.of[1].activity: \"bougt\" is not one of viewed, carted, bought, returned, delivered, opened, clicked (did you mean bought?)"
    ])
  })

  it("all faults of the meaning at once", () => {
    expect(faults({
      ...minimal,
      trigger: { _tag: "Event", event: "PriceChanged", when: "event.aftr < 3" },
      period: { from: "2025-02-30", until: "2025-01-01" },
      channels: ["mail", "line"],
      segment: { _tag: "EventMember" },
      memberFilter: "event.after < 3",
      content: { en: { mail: { ...mail, subject: "{{ product.nmae }}" } } }
    })).toEqual([
      "trigger.when: event has no field aftr (characters 6 to 10) (did you mean after?)",
      "period.from: 2025-02-30 is no day or time that exists",
      "segment: EventMember: PriceChanged events are not about a member",
      "memberFilter: Unknown variable: event (characters 0 to 5) (a member filter sees member, parameters and now: put conditions on the event into the trigger)",
      "content.en.mail: {{ product.nmae }} has no value: nothing gives it (did you mean product.name?)",
      "content.en.line: is missing: the campaign uses the channel line"
    ])
  })

  it("a fault of the form does not hide those of the meaning beside it, and makes none up", () => {
    const { segment: _, ...without } = minimal
    expect(faults({
      ...without,
      priority: 5_000,
      trigger: { _tag: "Event", event: "PriceChanged", when: "event.aftr < 3" },
      content: { en: { mail: { ...mail, subject: "{{ product.nmae }}" } } }
    })).toEqual([
      "priority: Expected a number between 0 and 1000, actual 5000",
      "segment: is missing",
      "trigger.when: event has no field aftr (characters 6 to 10) (did you mean after?)",
      "content.en.mail: {{ product.nmae }} has no value: nothing gives it (did you mean product.name?)"
    ])
    expect(faults({ ...minimal, channels: ["line", "fax"] })).toEqual([
      "channels[1]: \"fax\" is not one of mail, line, push, onsite"
    ])
    expect(faults({ ...minimal, content: { en: 3 } })).toHaveLength(1)
    expect(faults({ ...minimal, trigger: { _tag: "Event" }, memberFilter: "x.y" })).toEqual([
      "trigger.event: is missing"
    ])
  })

  it("parameters that the trigger does not give", () => {
    const subject = "{{ parameters.beffore }} {{ parameters.headline }} {{ parameters.after }}"
    expect(faults({ ...minimal, content: { en: { mail: { ...mail, subject } } } })).toEqual([
      "content.en.mail: {{ parameters.beffore }} has no value: nothing gives it (did you mean parameters.before?)",
      "content.en.mail: {{ parameters.headline }} has no value: nothing gives it"
    ])
  })

  it("triggers: unknown events, tables with the place of the cell, schedules", () => {
    expect(faults({ ...minimal, trigger: { _tag: "Event", event: "PriceChange" } }))
      .toEqual(["trigger.event: there are no PriceChange events (did you mean PriceChanged?)"])
    expect(faults({ ...minimal, trigger: { _tag: "Event", event: "custom.review_postd" } }))
      .toEqual(["trigger.event: there are no custom.review_postd events (did you mean custom.review_posted?)"])
    const rows = [["when: event.after", "then: tier"], ["< 10", "1"], ["< ten", "2"]]
    expect(faults({ ...minimal, trigger: { _tag: "Table", event: "PriceChanged", table: { hit: "first", rows } } }))
      .toEqual(["trigger.table.rows[2][0]: ten is not a number"])
    const cron = (expression: string, timeZone?: string) =>
      faults({
        ...minimal,
        trigger: { _tag: "Cron", cron: expression, ...(timeZone === undefined ? {} : { timeZone }) }
      })
    expect(cron("0 9 * * 1")).toEqual([])
    expect(cron("0 9 * *")[0]).toContain("five are needed")
    expect(cron("0 0 31 2 *")).toEqual(["trigger.cron: this day never comes"])
    expect(cron("0 9 * * 1", "Asia/Tokio")[0]).toContain("is not a time zone")
  })

  it("a schedule has no event to speak of", () => {
    const scheduled = { ...minimal, trigger: { _tag: "Cron", cron: "0 9 * * 1" } }
    expect(faults({ ...scheduled, segment: { _tag: "Favourited", of: { product: "$event" } } })[0]).toContain(
      "a schedule has none"
    )
    expect(faults({ ...scheduled, content: { en: { mail: { ...mail, text: "{{ product.name }}" } } } })[0])
      .toContain("product.name")
  })

  it("hostile documents end in faults, not in a stack overflow", () => {
    let segment: unknown = { _tag: "Everyone" }
    for (let i = 0; i < 5_000; i++) segment = { _tag: "Not", of: segment }
    expect(faults({ ...minimal, segment })).toEqual([": nested deeper than 32"])
    let nine: unknown = { _tag: "Everyone" }
    for (let i = 0; i < 9; i++) nine = { _tag: "Not", of: nine }
    expect(faults({ ...minimal, segment: nine })).toEqual(["segment: nested deeper than 8"])
    const many = { _tag: "Any", of: Array.from({ length: 60 }, () => ({ _tag: "Everyone" })) }
    expect(faults({ ...minimal, segment: many })[0]).toContain("61 conditions")
    expect(faults({ ...minimal, trigger: { _tag: "Event", event: "PriceChanged", when: "(".repeat(1_900) } })[0])
      .toContain("Exceeded maxDepth")
    for (const document of [null, 3, "x", [], undefined, new Map()]) expect(faults(document).length).toBeGreaterThan(0)
    expect(faults({ ...minimal, name: "a\u0000b" })[0]).toContain("U+0000")
  })

  it("warns of what is legal and probably a mistake", () => {
    expect(warnings({
      ...minimal,
      caps: [{ count: 0, windowMs: dayMs }, { channel: "line", count: 1, windowMs: dayMs }, {
        class: "realtime",
        count: 1,
        windowMs: 1
      }],
      runsPerDay: 0,
      content: { en: { mail, onsite: { title: "x", body: "y" } } }
    })).toEqual([
      "content.en.onsite: is never used: the campaign does not use the channel onsite",
      "caps[0].count: a cap of 0 forbids every message",
      "caps[1].channel: never applies: the campaign does not use the channel line",
      "caps[2].class: never applies: the campaign's class is batch",
      "runsPerDay: 0 allows no run at all"
    ])
    const rows = [["when: event.after", "then: tier"], ["< 10", "1"], ["< 5", "2"]]
    expect(warnings({ ...minimal, trigger: { _tag: "Table", event: "PriceChanged", table: { hit: "first", rows } } }))
      .toEqual(["trigger.table.rows[2]: row 2 never decides: row 1 always decides before it"])
  })
})

describe("zero and absent are different things", () => {
  it("in the definition and in the terms of its runs", () => {
    const shop = {
      timeZone: "Asia/Tokyo",
      globalCaps: [{ count: 5, windowMs: 7 * dayMs }],
      deliveryHours: { batch: { from: 540, to: 1200 } },
      quietHours: null,
      volume: null
    }
    const absent = valid(minimal).definition
    const zero = valid({ ...minimal, caps: [{ count: 0, windowMs: dayMs }] }).definition
    const empty = valid({ ...minimal, caps: [] }).definition
    expect("caps" in absent).toBe(false)
    expect(encodeCampaign(absent)).toEqual(minimal)
    expect(encodeCampaign(zero)).toMatchObject({ caps: [{ count: 0 }] })
    expect(termsOf(absent, shop).caps).toEqual([])
    expect(termsOf(empty, shop).caps).toEqual([])
    expect(termsOf(zero, shop).caps).toEqual([{ count: 0, windowMs: dayMs }])
    expect(termsOf(absent, shop).globalCaps).toEqual(shop.globalCaps)
    expect(difference(absent, zero).map(({ path }) => showPath(path))).toEqual(["caps"])
    expect(Either.isRight(Schema.validateEither(Terms)(termsOf(zero, shop)))).toBe(true)
  })

  it("the campaign's hours take the place of the shop's, its filter travels as text", () => {
    const definition = valid({
      ...minimal,
      deliveryHours: { from: 600, to: 660 },
      memberFilter: { hit: "first", rows: [["when: member.language"], ["ja"]] }
    }).definition
    const terms = termsOf(definition, {
      timeZone: "Asia/Tokyo",
      globalCaps: [],
      deliveryHours: { batch: { from: 0, to: 60 } },
      quietHours: { from: 1, to: 2 },
      volume: null
    })
    expect(terms.deliveryHours).toEqual({ from: 600, to: 660 })
    expect(terms.quietHours).toEqual({ from: 1, to: 2 })
    expect(terms.outsideHours).toBe("hold")
    expect(terms.filter).toBe("{\"hit\":\"first\",\"rows\":[[\"when: member.language\"],[\"ja\"]]}")
  })
})

describe("audience", () => {
  it("leaves out who is excluded, keeps debug members only, and puts the event in its place", () => {
    const definition = valid({
      ...minimal,
      segment: {
        _tag: "Any",
        of: [{ _tag: "Favourited", of: { product: "$event" } }, {
          _tag: "Did",
          activity: "bought",
          of: { brand: "$event" }
        }]
      },
      exclude: {
        members: ["m-1"],
        lists: ["staff"],
        segment: { _tag: "Did", activity: "bought", of: { product: "$event" } }
      },
      debugMembersOnly: true
    }).definition
    expect(audienceOf(definition, { product: { id: "sku", category: "tops", brand: null }, member: null })).toEqual({
      _tag: "All",
      of: [
        {
          _tag: "Any",
          of: [{ _tag: "Favourited", of: { product: "sku" } }, { _tag: "Members", ids: [] }]
        },
        { _tag: "OnList", list: "debug" },
        { _tag: "Not", of: { _tag: "Members", ids: ["m-1"] } },
        { _tag: "Not", of: { _tag: "OnList", list: "staff" } },
        { _tag: "Not", of: { _tag: "Did", activity: "bought", of: { product: "sku" } } }
      ]
    })
  })
})

describe("periods", () => {
  it("days and local times are the shop's; the last day is included", () => {
    const period = periodOf({ period: { from: "2025-06-01", until: "2025-06-30" } }, "Asia/Tokyo")
    expect(new Date(period.from).toISOString()).toBe("2025-05-31T15:00:00.000Z")
    expect(new Date(period.until).toISOString()).toBe("2025-06-30T15:00:00.000Z")
    expect(instantOf("2025-06-01T09:00", "Asia/Tokyo", false)).toBe(Date.UTC(2025, 5, 1))
    expect(instantOf("2025-06-01T09:00:00+02:00", "Asia/Tokyo", false)).toBe(Date.UTC(2025, 5, 1, 7))
    expect(instantOf("2025-06-01T09:00Z", "Asia/Tokyo", false)).toBe(Date.UTC(2025, 5, 1, 9))
    expect(instantOf("2025-13-01", "Asia/Tokyo", false)).toBeNull()
    expect(instantOf("2025-06-01T25:00", "Asia/Tokyo", false)).toBeNull()
    expect(periodOf({}, "Asia/Tokyo")).toEqual({ from: -Infinity, until: Infinity })
    // A day on which the clock is set forward has 23 hours.
    const [from, until] = [false, true].map((end) => instantOf("2025-03-09", "America/New_York", end) ?? 0)
    expect((until ?? 0) - (from ?? 0)).toBe(23 * 3_600_000)
  })
})

describe("versions", () => {
  it("what differs, by path", () => {
    const before = valid(example("price-drop.json")).definition
    const after: CampaignDefinition = {
      ...before,
      priority: 1,
      channels: ["mail"],
      trigger: { _tag: "Event", event: "PriceChanged" }
    }
    expect(difference(before, before)).toEqual([])
    expect(difference(before, after).map(({ after, path }) => [showPath(path), after])).toEqual([
      ["channels[0]", "mail"],
      ["channels[1]", undefined],
      ["channels[2]", undefined],
      ["priority", 1],
      ["trigger.when", undefined]
    ])
  })

  it("the published JSON Schema names every field", () => {
    const schema = JSON.parse(JSON.stringify(campaignJsonSchema()))
    expect(schema.$ref).toBe("#/$defs/CampaignDefinition")
    expect(Object.keys(schema.$defs.CampaignDefinition.properties)).toEqual(Object.keys(CampaignDefinition.fields))
    expect(schema.$defs.CampaignDefinition.additionalProperties).toBe(false)
    expect(schema.$defs.Segment.anyOf.length).toBeGreaterThan(10)
    const published = readFileSync(new URL("../../../../docs/campaign.schema.json", import.meta.url), "utf8")
    expect(JSON.parse(published), "docs/campaign.schema.json: write campaignJsonSchema() there").toEqual(schema)
  })
})
