/**
 * W3: whom a run addresses, and the campaign that does. Members with a profile and 1.5 messages of the last days in their
 * caps, who favourited one product; a filter that each passes, caps that each is within, two channels of which one is
 * allowed, and an hour some hours ahead, so that nothing is sent while it is measured.
 */
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CapRule } from "@hikyaku/domain/marketing/FrequencyCap"
import { defineMembers } from "../rig/Books.ts"
import type { Postgres } from "../rig/Postgres.ts"

/** The shop's cap in this bench. */
export const cap: CapRule = { count: 30, windowMs: 7 * 86_400_000 }
export const campaignId = "fanout"
/** How long the messages make sense, ms. */
export const deadlineMs = 48 * 3_600_000

/** What every run addresses: the members who favourited it. */
export interface Audience {
  readonly product: string
  readonly from: number
  readonly count: number
}

/** Three audiences that share no member: to warm up with, the small one and the large one. */
export const audiencesOf = (members: number): { readonly [name in "warm" | "small" | "large"]: Audience } => {
  const small = Math.floor(members / 10)
  return {
    large: { product: "large", from: 0, count: members },
    small: { product: "small", from: members, count: small },
    warm: { product: "warm", from: members + small, count: small }
  }
}

export const source = "bench_fanout_members"

/** A database with the members, from which every system gets its copy. */
export const load = async (postgres: Postgres, members: number): Promise<void> => {
  await postgres.migrated(source)
  const database = await postgres.connect(source)
  const { large, small, warm } = audiencesOf(members)
  await defineMembers(database.admin, warm.from + warm.count)
  for (const { count, from, product } of [large, small, warm]) {
    await database.admin.query(
      `insert into favourite (member, product, category, brand, at)
       select 'm' || i, $1, 'tops', 'kumo', now() - interval '1 day' from generate_series($2::int, $3::int) i`,
      [product, from, from + count - 1]
    )
    await database.admin.query("insert into catalogue_product (id, name, price) values ($1, $1, 4900)", [product])
  }
  await database.admin.query("vacuum analyze")
  await postgres.close(database)
}

/** The hour, by the shop's clock (UTC here), at which the messages may leave. */
export const slotHour = (now: number): number => (new Date(now).getUTCHours() + 6) % 24

export const definition = (now: number): CampaignDefinition => ({
  id: campaignId,
  name: "Fan-out",
  trigger: { _tag: "Event", event: "PriceChanged", when: "event.after < event.before" },
  class: "batch",
  priority: 10,
  channels: ["line", "mail"],
  segment: { _tag: "Favourited", of: { product: "$event" } },
  memberFilter: "member.attributes.tier in ['gold', 'silver', 'none']",
  caps: [cap],
  deadlineMs,
  timePolicy: { _tag: "Slots", hours: [slotHour(now)] },
  content: {
    ja: { mail: { subject: "値下げ", html: "<p>値下げ</p>", text: "値下げ" }, line: { message: `{"type":"text"}` } }
  }
})
