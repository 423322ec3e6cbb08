/**
 * Makes the contents of requests' deliveries: the template in the version that the request was made with, in the member's
 * language, with the request's parameters and the recipient's own. Mails of batch class carry a link by which the address
 * unsubscribes from the system; others where their template names it (`unsubscribe_url`). What is a campaign's goes to the
 * campaigns' renderer.
 */
import { SqlClient } from "@effect/sql"
import { campaignRequest } from "@hikyaku/domain/delivery/Request"
import type { CampaignContent } from "@hikyaku/domain/marketing/Campaign"
import { compileContent, type CompiledContent, describeFault, renderContent } from "@hikyaku/domain/marketing/Content"
import { contentScope } from "@hikyaku/domain/marketing/ContentScope"
import type { Attributes, Channel } from "@hikyaku/domain/marketing/Event"
import { Effect, Either } from "effect"
import { UnsubscribeLinks } from "../marketing/UnsubscribeLinks.ts"
import type { ListedDelivery } from "./DeliveryStore.ts"
import { ContentUnavailable, type Render, type Rendering } from "./ListContent.ts"

type Language = "ja" | "en"
/** The languages in the order in which they stand in for a missing one. */
const languages: ReadonlyArray<Language> = ["ja", "en"]
/** Requests whose templates are kept compiled. */
const requestsMax = 64
/** The clock by which dates in a request's mail are written. */
const timeZone = "Asia/Tokyo"

interface Compiled {
  readonly system: string
  readonly links: boolean
  readonly template: string
  readonly parameters: Attributes
  readonly contents: Partial<Record<Language, Either.Either<CompiledContent, string>>>
}

/** A renderer for both. */
export const withRequests = (campaigns: Render) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const unsubscribe = yield* UnsubscribeLinks
    const kept = new Map<string, Compiled>()

    const compiledOf = (request: string) =>
      Effect.gen(function*() {
        const known = kept.get(request)
        if (known !== undefined) return known
        const rows = yield* sql<Omit<Compiled, "contents"> & { readonly content: CampaignContent }>`
          select q.template, q.parameters, q.system, q.links, t.content from mail_request q
          join mail_template t on t.id = q.template and t.version = q.template_version where q.id = ${request}`
        const row = rows[0]
        if (row === undefined) return null
        const contents: Compiled["contents"] = Object.fromEntries(languages.flatMap((language) => {
          const fields = row.content[language]?.mail
          if (fields === undefined) return []
          const content = compileContent("mail", fields)
          return [[language, Either.mapLeft(content, (faults) => faults.map(describeFault).join("; "))]]
        }))
        const { links, parameters, system, template } = row
        const compiled: Compiled = { template, parameters, system, links, contents }
        if (kept.size >= requestsMax) kept.clear()
        kept.set(request, compiled)
        return compiled
      })

    const one = (
      { contents, links, parameters, system, template }: Compiled,
      channel: Channel,
      delivery: ListedDelivery
    ): Rendering => {
      const language = languages.find((each) => each === delivery.language && contents[each] !== undefined) ??
        languages.find((each) => contents[each] !== undefined)
      const content = language === undefined ? undefined : contents[language]
      if (language === undefined || content === undefined) {
        return { _tag: "Unrenderable", reason: `template ${template} has no mail` }
      }
      if (Either.isLeft(content)) return { _tag: "Unrenderable", reason: content.left }
      const { address, delivery: id } = delivery
      const unsubscribeUrl = links ? unsubscribe.url({ address, channel, system, delivery: id }) : undefined
      const rendered = renderContent(content.right, {
        scope: contentScope({
          campaign: { id: template, name: template },
          member: { id: delivery.member, language: delivery.language, attributes: {} },
          product: null,
          parameters: { ...parameters, ...delivery.parameters },
          unsubscribeUrl
        }),
        timeZone,
        language
      })
      if (Either.isLeft(rendered)) return { _tag: "Unrenderable", reason: describeFault(rendered.left) }
      const { subject, ...rest } = rendered.right
      // For the header of the same meaning, whose link mail programs show.
      const header = unsubscribeUrl === undefined ? {} : { parameters: { unsubscribe_url: unsubscribeUrl } }
      return { _tag: "Rendered", content: rest, ...header, ...(subject === undefined ? {} : { subject }) }
    }

    const render: Render = (key, deliveries) => {
      const request = campaignRequest(key.campaign)
      if (request === null) return campaigns(key, deliveries)
      return compiledOf(request).pipe(
        Effect.mapError((cause) => new ContentUnavailable({ reason: String(cause) })),
        Effect.map((compiled) => ({
          renderings: deliveries.map((delivery): Rendering =>
            compiled === null
              ? { _tag: "Unrenderable", reason: `there is no request ${request}, or not its template` }
              : one(compiled, key.channel, delivery)
          )
        }))
      )
    }
    return render
  })
