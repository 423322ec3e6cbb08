import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { composeMessage, type MessageSubject } from "@hikyaku/domain/marketing/Message"
import { describe, expect, it } from "vitest"

const mail = (html: string) => ({ mail: { subject: "For {{ member.id }}", html, text: "{{ product.name }}" } })
const campaign = (
  content: CampaignDefinition["content"],
  over: Partial<CampaignDefinition> = {}
): CampaignDefinition => ({
  id: "c",
  name: "Sale",
  trigger: { _tag: "Event", event: "PriceChanged" },
  class: "batch",
  priority: 1,
  channels: ["mail"],
  segment: { _tag: "Everyone" },
  deadlineMs: 3_600_000,
  timePolicy: { _tag: "Immediate" },
  content,
  ...over
})
const subject: MessageSubject = {
  member: { id: "m-1", language: "en", attributes: {} },
  product: { id: "tee", name: "Tee", price: 80, category: null, brand: null, stock: 1, attributes: {} },
  parameters: {},
  timeZone: "Asia/Tokyo",
  banners: "<img src=\"banner\">",
  unsubscribeUrl: "https://mail.shop.example/u/1.a.b?x=1&y=2"
}
const htmlOf = (definition: CampaignDefinition, over: Partial<MessageSubject> = {}) => {
  const message = composeMessage(definition, "mail", { ...subject, ...over })
  return message._tag === "Composed" ? message.parts["html"] : message
}

describe("composing a message", () => {
  it("fills the link to unsubscribe, escaped for its place", () => {
    const definition = campaign({ en: mail("<a href=\"{{ unsubscribe_url }}\">x</a>") }, { banners: false })
    expect(htmlOf(definition)).toBe("<a href=\"https://mail.shop.example/u/1.a.b?x=1&amp;y=2\">x</a>")
  })
  it("puts the day's banners where the template says, else at the foot, or nowhere", () => {
    expect(htmlOf(campaign({ en: mail("<p>a</p>") }))).toBe("<p>a</p><img src=\"banner\">")
    expect(htmlOf(campaign({ en: mail("<html><body>a</BODY></html>") }))).toBe(
      "<html><body>a<img src=\"banner\"></BODY></html>"
    )
    expect(htmlOf(campaign({ en: mail("{{ banners }}<p>a</p>") }))).toBe("<img src=\"banner\"><p>a</p>")
    expect(htmlOf(campaign({ en: mail("<p>a</p>") }, { banners: false }))).toBe("<p>a</p>")
    // A template that places them works without any too.
    expect(htmlOf(campaign({ en: mail("{{ banners }}<p>a</p>") }, { banners: false }))).toBe("<p>a</p>")
    expect(htmlOf(campaign({ en: mail("<p>a</p>") }), { banners: "" })).toBe("<p>a</p>")
  })
  it("takes the member's language, else the one there is; says what is missing", () => {
    const both = campaign({ ja: mail("<p>日本語</p>"), en: mail("<p>English</p>") }, { banners: false })
    expect(htmlOf(both)).toBe("<p>English</p>")
    expect(htmlOf(both, { member: { ...subject.member, language: null } })).toBe("<p>日本語</p>")
    expect(htmlOf(campaign({ ja: mail("<p>日本語</p>") }, { banners: false }))).toBe("<p>日本語</p>")
    expect(composeMessage(both, "line", subject)).toEqual({ _tag: "Contentless", language: "ja" })
    expect(htmlOf(both, { product: null })).toMatchObject({
      _tag: "Faulty",
      faults: [{ kind: "Missing", field: "text" }]
    })
    expect(htmlOf(campaign({ en: mail("{% if %}") }))).toMatchObject({ _tag: "Faulty", faults: [{ field: "html" }] })
  })
})
