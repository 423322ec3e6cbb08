/**
 * Makes the contents of deliveries: the campaign version's templates in the member's language, with the product as the
 * catalogue has it now, the member's own data, what the event said, the day's banners and a link to unsubscribe.
 */
import { SqlClient } from "@effect/sql"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { describeFault } from "@hikyaku/domain/marketing/Content"
import type { Attributes, Channel } from "@hikyaku/domain/marketing/Event"
import { composeMessage } from "@hikyaku/domain/marketing/Message"
import type { RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { Context, Effect } from "effect"
import type { ListedDelivery, ListKey } from "../delivery/DeliveryStore.ts"
import { ContentUnavailable, type Render, type Rendering } from "../delivery/ListContent.ts"
import { productsOf } from "./ProductFacts.ts"
import { Shop } from "./Shop.ts"
import { UnsubscribeLinks } from "./UnsubscribeLinks.ts"

/** Versions whose templates are kept compiled. */
const versionsMax = 64

/** The banners that a mail carries at its foot, as HTML made by this system; where nobody keeps any there are none. */
export class BannerFoot extends Context.Reference<BannerFoot>()("@hikyaku/cluster/BannerFoot", {
  defaultValue: (): {
    /** What mails carry that are made now; `''` for nothing. */
    readonly html: Effect.Effect<string, ContentUnavailable>
  } => ({ html: Effect.succeed("") })
}) {}

interface MemberRow {
  readonly id: string
  readonly time_zone: string | null
  readonly attributes: Attributes
}

const unavailable = (cause: unknown) => new ContentUnavailable({ reason: String(cause) })

export const makeRender = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const shop = yield* Shop
  const links = yield* UnsubscribeLinks
  const foot = yield* BannerFoot
  const definitions = new Map<string, CampaignDefinition>()

  const definitionOf = ({ campaign, version }: ListKey) =>
    Effect.gen(function*() {
      const key = `${campaign}/${version}`
      const known = definitions.get(key)
      if (known !== undefined) return known
      const rows = yield* sql<{ readonly definition: CampaignDefinition }>`
        select definition from campaign_version where campaign = ${campaign} and version = ${version}`
      const definition = rows[0]?.definition
      if (definition === undefined) return null
      if (definitions.size >= versionsMax) definitions.clear()
      definitions.set(key, definition)
      return definition
    })

  const products = (ids: ReadonlyArray<string>) => Effect.provideService(productsOf(ids), SqlClient.SqlClient, sql)
  const members = (ids: ReadonlyArray<string>) =>
    ids.length === 0 ? Effect.succeed([]) : sql<MemberRow>`
      select id, time_zone, attributes from member where id in ${sql.in([...new Set(ids)])}`

  const one = (
    definition: CampaignDefinition,
    channel: Channel,
    delivery: ListedDelivery,
    banners: string,
    product: RuleProduct | undefined,
    member: MemberRow | undefined
  ): Rendering => {
    const unsubscribeUrl = links.url({ member: delivery.member, channel, delivery: delivery.delivery })
    const message = composeMessage(definition, channel, {
      member: { id: delivery.member, language: delivery.language, attributes: member?.attributes ?? {} },
      product: product ?? null,
      parameters: delivery.parameters,
      timeZone: member?.time_zone ?? shop.timeZone,
      banners,
      unsubscribeUrl
    })
    switch (message._tag) {
      case "Contentless":
        return { _tag: "Unrenderable", reason: `the campaign has no content for ${channel}` }
      case "Faulty":
        return { _tag: "Unrenderable", reason: message.faults.map(describeFault).join("; ") }
      case "Composed": {
        const { subject, ...content } = message.parts
        // For the header of the same meaning, whose link mail programs show.
        const parameters = channel === "mail" ? { parameters: { unsubscribe_url: unsubscribeUrl } } : {}
        return { _tag: "Rendered", content, ...parameters, ...(subject === undefined ? {} : { subject }) }
      }
    }
  }

  const render: Render = (key, deliveries) =>
    Effect.gen(function*() {
      const definition = yield* definitionOf(key)
      if (definition === null) {
        const reason = `campaign ${key.campaign} has no version ${key.version}`
        return { renderings: deliveries.map((): Rendering => ({ _tag: "Unrenderable", reason })) }
      }
      const [productRows, memberRows, banners] = yield* Effect.all([
        products(deliveries.flatMap((delivery) => delivery.product ?? [])),
        members(deliveries.map((delivery) => delivery.member)),
        key.channel === "mail" && definition.banners !== false ? foot.html : Effect.succeed("")
      ], { concurrency: 2 })
      const productById = new Map(productRows.map((row) => [row.id, row]))
      const memberById = new Map(memberRows.map((row) => [row.id, row]))
      return {
        renderings: deliveries.map((delivery) =>
          one(
            definition,
            key.channel,
            delivery,
            banners,
            delivery.product === null ? undefined : productById.get(delivery.product),
            memberById.get(delivery.member)
          )
        )
      }
    }).pipe(Effect.mapError(unavailable))

  return render
})
