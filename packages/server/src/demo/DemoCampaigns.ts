/**
 * The campaigns of the demo, as a marketer would write them: a falling price, the last of a product and its return into
 * stock go at once to those who favour it; a weekly letter goes to those who bought lately. Few messages per member are
 * allowed, so that caps decide.
 */
import { Hikyaku } from "@hikyaku/domain/api/Client"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { Effect } from "effect"
import { CampaignRefused } from "./DemoError.ts"

const hour = 3_600_000
const day = 24 * hour

interface Words {
  readonly subject: string
  readonly html: string
  readonly text: string
}
const mail = (ja: Words, en: Words): CampaignDefinition["content"] => ({ ja: { mail: ja }, en: { mail: en } })

const favouredBy = { _tag: "Favourited", of: { product: "$event" } } as const

const priceDrop: CampaignDefinition = {
  id: "price-drop",
  name: "A favourite has become cheaper",
  trigger: { _tag: "Event", event: "PriceChanged", when: "event.after <= event.before * 0.9" },
  class: "realtime",
  priority: 60,
  channels: ["mail"],
  segment: favouredBy,
  caps: [{ count: 2, windowMs: 7 * day }],
  cooldown: { productMs: day },
  deadlineMs: 6 * hour,
  timePolicy: { _tag: "Immediate" },
  content: mail({
    subject: "{{ product.name }} が値下げになりました",
    html: "<p>お気に入りの <b>{{ product.name }}</b> が {{ parameters.before | number: 2 }} から " +
      "<b>{{ parameters.after | number: 2 }}</b> に値下げされました。</p>",
    text:
      "お気に入りの {{ product.name }} が {{ parameters.before | number: 2 }} から {{ parameters.after | number: 2 }} に値下げされました。"
  }, {
    subject: "{{ product.name }} is cheaper now",
    html: "<p>Your favourite <b>{{ product.name }}</b> fell from {{ parameters.before | number: 2 }} to " +
      "<b>{{ parameters.after | number: 2 }}</b>.</p>",
    text:
      "Your favourite {{ product.name }} fell from {{ parameters.before | number: 2 }} to {{ parameters.after | number: 2 }}."
  })
}

const lastOnes: CampaignDefinition = {
  id: "last-ones",
  name: "The last of a favourite",
  trigger: { _tag: "Event", event: "StockLow" },
  class: "realtime",
  priority: 80,
  channels: ["mail"],
  segment: favouredBy,
  caps: [{ count: 2, windowMs: 7 * day }],
  cooldown: { productMs: day },
  deadlineMs: 3 * hour,
  timePolicy: { _tag: "Immediate" },
  content: mail({
    subject: "{{ product.name }} 残りわずか",
    html: "<p>お気に入りの <b>{{ product.name }}</b> は残り {{ parameters.available }} 点です。</p>",
    text: "お気に入りの {{ product.name }} は残り {{ parameters.available }} 点です。"
  }, {
    subject: "The last of {{ product.name }}",
    html: "<p>Only {{ parameters.available }} left of your favourite <b>{{ product.name }}</b>.</p>",
    text: "Only {{ parameters.available }} left of your favourite {{ product.name }}."
  })
}

const backInStock: CampaignDefinition = {
  id: "back-in-stock",
  name: "A favourite is back",
  trigger: { _tag: "Event", event: "Restocked" },
  class: "realtime",
  priority: 70,
  channels: ["mail"],
  segment: favouredBy,
  caps: [{ count: 2, windowMs: 7 * day }],
  cooldown: { productMs: day },
  deadlineMs: 6 * hour,
  timePolicy: { _tag: "Immediate" },
  // By the member's clock: what happens in the evening is told the next morning.
  deliveryHours: { from: 8 * 60, to: 21 * 60 },
  content: mail({
    subject: "{{ product.name }} が再入荷しました",
    html: "<p>お気に入りの <b>{{ product.name }}</b> が {{ parameters.available }} 点、再入荷しました。</p>",
    text: "お気に入りの {{ product.name }} が {{ parameters.available }} 点、再入荷しました。"
  }, {
    subject: "{{ product.name }} is back",
    html: "<p>{{ parameters.available }} pieces of your favourite <b>{{ product.name }}</b> have come in.</p>",
    text: "{{ parameters.available }} pieces of your favourite {{ product.name }} have come in."
  })
}

const letter: CampaignDefinition = {
  id: "weekly-letter",
  name: "A letter to those who bought lately",
  trigger: { _tag: "Cron", cron: "0 10 * * 1" },
  class: "batch",
  priority: 20,
  channels: ["mail"],
  segment: { _tag: "Did", activity: "bought", withinDays: 14 },
  caps: [{ count: 1, windowMs: 6 * day }],
  deadlineMs: 12 * hour,
  timePolicy: { _tag: "Immediate" },
  content: mail({
    subject: "今週の便り",
    html: "<p>先日はお買い上げありがとうございました。</p>",
    text: "先日はお買い上げありがとうございました。"
  }, {
    subject: "This week's letter",
    html: "<p>Thank you for your purchase.</p>",
    text: "Thank you for your purchase."
  })
}

/** All campaigns of the demo. */
export const campaigns: ReadonlyArray<CampaignDefinition> = [priceDrop, lastOnes, backInStock, letter]

/** Stores them in the shop; what was stored before in the same words stays as it is. */
export const applyCampaigns: Effect.Effect<void, CampaignRefused, Hikyaku> = Effect.gen(function*() {
  const client = yield* Hikyaku
  for (const definition of campaigns) {
    const refused = (reason: string) => new CampaignRefused({ campaign: definition.id, reason })
    const answer = yield* client.campaign.apply({ document: definition, author: "demo" }).pipe(
      Effect.mapError((error) => refused(`${error._tag}: ${error.message}`))
    )
    if (answer._tag === "Invalid") {
      return yield* refused(answer.faults.map(({ message, path }) => `${path}: ${message}`).join("; "))
    }
    if (answer._tag !== "Applied") return yield* refused(answer._tag)
  }
})
