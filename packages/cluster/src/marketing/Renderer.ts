/**
 * Makes the contents of deliveries: the campaign version's templates in the member's language, with the product as the
 * catalogue has it now, the member's own data and what the event said. Compiled once per version, channel and language.
 */
import { SqlClient } from "@effect/sql"
import type { CampaignDefinition, Messages } from "@hikyaku/domain/marketing/Campaign"
import {
  compileContent,
  type CompiledContent,
  describeFault,
  type Fields,
  renderContent
} from "@hikyaku/domain/marketing/Content"
import { contentScope } from "@hikyaku/domain/marketing/ContentScope"
import type { Attributes, Channel } from "@hikyaku/domain/marketing/Event"
import type { RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { Effect, Either } from "effect"
import type { ListedDelivery, ListKey } from "../delivery/DeliveryStore.ts"
import { ContentUnavailable, type Render, type Rendering } from "../delivery/ListContent.ts"
import { Shop } from "./Shop.ts"

type Language = "ja" | "en"

/** Versions whose templates are kept compiled. */
const versionsMax = 64

interface MemberRow {
  readonly id: string
  readonly language: string | null
  readonly time_zone: string | null
  readonly attributes: Attributes
}

/** The languages of a campaign in the order in which they stand in for a missing one. */
const fallbacks: ReadonlyArray<Language> = ["ja", "en"]

const unavailable = (cause: unknown) => new ContentUnavailable({ reason: String(cause) })

export const makeRender = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const shop = yield* Shop
  const definitions = new Map<string, CampaignDefinition>()
  const compiled = new Map<string, Either.Either<CompiledContent, string>>()

  const definitionOf = ({ campaign, version }: ListKey) =>
    Effect.gen(function*() {
      const key = `${campaign}/${version}`
      const known = definitions.get(key)
      if (known !== undefined) return known
      const rows = yield* sql<{ readonly definition: CampaignDefinition }>`
        select definition from campaign_version where campaign = ${campaign} and version = ${version}`
      const definition = rows[0]?.definition
      if (definition === undefined) return null
      if (definitions.size >= versionsMax) {
        definitions.clear()
        compiled.clear()
      }
      definitions.set(key, definition)
      return definition
    })

  const fieldsOf = (messages: Messages | undefined, channel: Channel): Fields | undefined => messages?.[channel]

  const contentOf = (key: ListKey, definition: CampaignDefinition, language: Language) => {
    const name = `${key.campaign}/${key.version}/${key.channel}/${language}`
    let content = compiled.get(name)
    if (content === undefined) {
      const fields = fieldsOf(definition.content[language], key.channel)
      content = fields === undefined
        ? Either.left(`the campaign has no content for ${key.channel} in ${language}`)
        : Either.mapLeft(compileContent(key.channel, fields), (faults) => faults.map(describeFault).join("; "))
      compiled.set(name, content)
    }
    return content
  }

  const languageOf = (definition: CampaignDefinition, channel: Channel, wanted: string | null): Language => {
    const has = (language: Language) => fieldsOf(definition.content[language], channel) !== undefined
    const own = fallbacks.find((language) => language === wanted)
    return own !== undefined && has(own) ? own : fallbacks.find(has) ?? "ja"
  }

  const products = (ids: ReadonlyArray<string>) =>
    ids.length === 0 ? Effect.succeed([]) : sql<RuleProduct>`
      select id, name, price, category, brand, available as stock, attributes from catalogue_product
      where id in ${sql.in([...new Set(ids)])}`
  const members = (ids: ReadonlyArray<string>) =>
    ids.length === 0 ? Effect.succeed([]) : sql<MemberRow>`
      select id, language, time_zone, attributes from member where id in ${sql.in([...new Set(ids)])}`

  const one = (
    definition: CampaignDefinition,
    content: CompiledContent,
    language: Language,
    delivery: ListedDelivery,
    product: RuleProduct | undefined,
    member: MemberRow | undefined
  ): Rendering => {
    const rendered = renderContent(content, {
      scope: contentScope({
        campaign: { id: definition.id, name: definition.name },
        member: { id: delivery.member, language: delivery.language, attributes: member?.attributes ?? {} },
        product: product ?? null,
        parameters: delivery.parameters
      }),
      timeZone: member?.time_zone ?? shop.timeZone,
      language
    })
    if (Either.isLeft(rendered)) return { _tag: "Unrenderable", reason: describeFault(rendered.left) }
    const { subject, ...rest } = rendered.right
    return { _tag: "Rendered", content: rest, ...(subject === undefined ? {} : { subject }) }
  }

  const render: Render = (key, deliveries) =>
    Effect.gen(function*() {
      const definition = yield* definitionOf(key)
      if (definition === null) {
        const reason = `campaign ${key.campaign} has no version ${key.version}`
        return { renderings: deliveries.map((): Rendering => ({ _tag: "Unrenderable", reason })) }
      }
      const [productRows, memberRows] = yield* Effect.all([
        products(deliveries.flatMap((delivery) => delivery.product ?? [])),
        members(deliveries.map((delivery) => delivery.member))
      ], { concurrency: 2 })
      const productById = new Map(productRows.map((row) => [row.id, row]))
      const memberById = new Map(memberRows.map((row) => [row.id, row]))
      const renderings = deliveries.map((delivery): Rendering => {
        const language = languageOf(definition, key.channel, delivery.language)
        return Either.match(contentOf(key, definition, language), {
          onLeft: (reason): Rendering => ({ _tag: "Unrenderable", reason }),
          onRight: (content) =>
            one(
              definition,
              content,
              language,
              delivery,
              delivery.product === null ? undefined : productById.get(delivery.product),
              memberById.get(delivery.member)
            )
        })
      })
      return { renderings }
    }).pipe(Effect.mapError(unavailable))

  return render
})
