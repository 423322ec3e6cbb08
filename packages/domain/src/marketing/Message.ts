/**
 * One message of a campaign to one member: the campaign's template for the channel in the member's language, with what it may
 * take. The same for what is sent and for what a marketer is shown beforehand. Pure.
 */
import { Either } from "effect"
import type { CampaignDefinition, Messages } from "./Campaign.ts"
import { compileContent, type CompiledContent, type FieldFault, type Fields, renderContent } from "./Content.ts"
import { contentScope, type ContentSubject } from "./ContentScope.ts"
import type { Channel } from "./Event.ts"

export type Language = "ja" | "en"

/** In the order in which one stands in for another that is missing. */
const languages: ReadonlyArray<Language> = ["ja", "en"]

export interface MessageSubject extends Omit<ContentSubject, "campaign" | "product"> {
  /** Null where the run is about none, or the catalogue does not know it. */
  readonly product: ContentSubject["product"]
  /** IANA name: the member's, or the shop's. */
  readonly timeZone: string
}

export type Message =
  | { readonly _tag: "Composed"; readonly language: Language; readonly parts: Fields }
  /** The campaign has nothing for the channel in any language. */
  | { readonly _tag: "Contentless"; readonly language: Language }
  | { readonly _tag: "Faulty"; readonly language: Language; readonly faults: ReadonlyArray<FieldFault> }

const fieldsOf = (messages: Messages | undefined, channel: Channel): Fields | undefined => messages?.[channel]

const languageFor = ({ content }: CampaignDefinition, channel: Channel, wanted: string | null): Language => {
  const has = (language: Language) => fieldsOf(content[language], channel) !== undefined
  const own = languages.find((language) => language === wanted)
  return own !== undefined && has(own) ? own : languages.find(has) ?? "ja"
}

type Compiled = Either.Either<CompiledContent, ReadonlyArray<FieldFault>> | null

/** Compiled once per definition: whoever composes many messages keeps the definition. */
const compiledByDefinition = new WeakMap<CampaignDefinition, Map<string, Compiled>>()

const compiledOf = (definition: CampaignDefinition, channel: Channel, language: Language): Compiled => {
  let known = compiledByDefinition.get(definition)
  if (known === undefined) compiledByDefinition.set(definition, known = new Map())
  const key = `${channel}/${language}`
  let compiled = known.get(key)
  if (compiled === undefined) {
    const fields = fieldsOf(definition.content[language], channel)
    known.set(key, compiled = fields === undefined ? null : compileContent(channel, fields))
  }
  return compiled
}

/** The banners go to the foot of a mail whose template does not place them itself. */
const withFoot = (content: CompiledContent, parts: Fields, banners: string): Fields => {
  const { html } = parts
  if (html === undefined || banners === "" || content.variables.includes("banners")) return parts
  const end = html.toLowerCase().lastIndexOf("</body>")
  return { ...parts, html: end < 0 ? html + banners : html.slice(0, end) + banners + html.slice(end) }
}

/** Composes one message. `subject.banners`: the day's, which a campaign without banners leaves out. */
export const composeMessage = (definition: CampaignDefinition, channel: Channel, subject: MessageSubject): Message => {
  const language = languageFor(definition, channel, subject.member.language)
  const compiled = compiledOf(definition, channel, language)
  if (compiled === null) return { _tag: "Contentless", language }
  if (Either.isLeft(compiled)) return { _tag: "Faulty", language, faults: compiled.left }
  const { timeZone, ...rest } = subject
  const banners = definition.banners === false ? "" : subject.banners ?? ""
  const scope = contentScope({ ...rest, banners, campaign: { id: definition.id, name: definition.name } })
  return Either.match(renderContent(compiled.right, { scope, timeZone, language }), {
    onLeft: (fault): Message => ({ _tag: "Faulty", language, faults: [fault] }),
    onRight: (parts): Message => ({
      _tag: "Composed",
      language,
      parts: channel === "mail" ? withFoot(compiled.right, parts, banners) : parts
    })
  })
}
