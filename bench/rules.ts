/**
 * Judging events against 10, 100 and 1,000 active campaigns: ten of them are about every price, each other about one
 * category. What could match stays the same, so the cost must too. Beside it every rule of the event's type is judged
 * (`every-rule`), which is what a list of compiled rules costs. In one process, without a store: the rules alone.
 */
import { type EffectiveCampaign, make } from "@hikyaku/cluster/marketing/RuleIndex"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { Event } from "@hikyaku/domain/marketing/Event"
import type { RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { type Bench, bench } from "./rig/Bench.ts"
import { atMost } from "./rig/Report.ts"

const sizes = [10, 100, 1_000]
const broad = 10
const categories = 2_000
const now = Date.UTC(2025, 5, 2, 3)
const context = { timeZone: "Asia/Tokyo", customTypes: {} }
/** Events judged by every rule are fewer: it only has to be seen what one costs. */
const everyShare = 20

const campaignOf = (i: number): EffectiveCampaign => {
  const price = "event.after <= event.before * 0.9 && event.after > 100.0"
  const id = `c-${i}`
  const definition: CampaignDefinition = {
    id,
    name: id,
    trigger: {
      _tag: "Event",
      event: "PriceChanged",
      when: i < broad ? `${price} && event.after > ${i}.0` : `product.category == 'category-${i}' && ${price}`
    },
    class: "realtime",
    priority: i % 1_000,
    channels: ["mail"],
    segment: { _tag: "Favourited", of: { product: "$event" } },
    deadlineMs: 3_600_000,
    timePolicy: { _tag: "Immediate" },
    content: {}
  }
  return { campaign: id, version: 1, definition }
}

const eventOf = (i: number): { readonly event: Pick<Event, "at" | "happening">; readonly product: RuleProduct } => ({
  event: {
    at: now,
    happening: { _tag: "PriceChanged", product: `p-${i}`, before: 1_000, after: i % 2 === 0 ? 850 : 990 }
  },
  product: {
    id: `p-${i}`,
    name: `Product ${i}`,
    price: 850,
    category: `category-${i % categories}`,
    brand: "kumo",
    stock: 3,
    attributes: {}
  }
})

const perSecond = (n: number, judge: (i: number) => unknown): number => {
  for (let i = 0; i < Math.min(n, 2_000); i++) judge(i)
  const start = performance.now()
  for (let i = 0; i < n; i++) judge(i)
  return Math.round(n / (performance.now() - start) * 1000)
}

const measure = (run: Bench, size: number): void => {
  const { n } = run.options
  const index = make(Array.from({ length: size }, (_, i) => campaignOf(i)), context)
  const events = Array.from({ length: n }, (_, i) => eventOf(i))
  const matched = (i: number) => index.match(events[i]!.event, events[i]!.product, now).map((each) => each.campaign)
  const every = (i: number) =>
    index.explain(events[i]!.event, events[i]!.product, now)
      .flatMap((each) => each.outcome._tag === "Fires" ? [each.campaign] : [])
  // Both find the same campaigns.
  const ok = events.every((_, i) => i % everyShare !== 0 || matched(i).toSorted().join() === every(i).toSorted().join())
  run.report.add({ peer: "hikyaku", workload: "rules", n: size, per_s: perSecond(n, matched), ok })
  run.report.add({
    peer: "every-rule",
    workload: "rules",
    n: size,
    per_s: perSecond(Math.ceil(n / everyShare), every),
    ok
  })
}

await bench("rules", async (run) => {
  await run.repeat(async () => {
    for (const size of sizes) {
      await run.still()
      measure(run, size)
    }
  })
  return run.goals((report) => {
    const at = (n: number) => report.find("hikyaku", "rules", { n })
    const [few, many] = [at(sizes[0]!), at(sizes.at(-1)!)]
    const ratio = (few.per_s ?? Number.NaN) / (many.per_s ?? Number.NaN)
    const what = `an event against ${many.n} campaigns (${many.per_s}/s) by one against ${few.n} (${few.per_s}/s)`
    return [atMost("rules", what, ratio, 1.5, "x", few.ok && many.ok)]
  })
})
