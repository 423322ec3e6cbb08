/**
 * Liquid as our templates may use it: few tags, pure and bounded filters, no files, no clock, and every value escaped for the
 * place where it stands.
 */
import {
  AssignTag,
  BreakTag,
  CaseTag,
  CommentTag,
  ContinueTag,
  ForTag,
  IfTag,
  InlineCommentTag,
  Liquid,
  UnlessTag
} from "liquidjs"
import { Refusal, type TemplateNames } from "./ContentFault.ts"
import { formatDate, formatNumber, type Language } from "./TemplateFilters.ts"

/** What a template becomes, and so how its values are escaped. */
export type Place =
  /** One line of plain text, such as a mail's subject: no escaping, but no line break either. */
  | "line"
  /** Plain text. */
  | "text"
  | "html"
  /** JSON: values stand in its strings, or are numbers and booleans. */
  | "json"

/** Longest template, characters. */
export const templateLengthMax = 200_000

const tags = {
  assign: AssignTag,
  break: BreakTag,
  case: CaseTag,
  comment: CommentTag,
  continue: ContinueTag,
  for: ForTag,
  if: IfTag,
  unless: UnlessTag,
  "#": InlineCommentTag
}

/** Liquid's own filters that are pure and bounded. Escaping is not among them: it is done by place. */
const filters: ReadonlySet<string> = new Set([
  "abs",
  "append",
  "at_least",
  "at_most",
  "capitalize",
  "ceil",
  "compact",
  "default",
  "divided_by",
  "downcase",
  "first",
  "floor",
  "join",
  "last",
  "lstrip",
  "map",
  "minus",
  "modulo",
  "plus",
  "prepend",
  "remove",
  "remove_first",
  "replace",
  "replace_first",
  "reverse",
  "round",
  "rstrip",
  "size",
  "slice",
  "sort",
  "split",
  "strip",
  "strip_newlines",
  "times",
  "truncate",
  "uniq",
  "upcase",
  "url_encode",
  "where"
])
export const templateNames: TemplateNames = { tags: Object.keys(tags), filters: [...filters, "date", "number"] }

const asText = (value: unknown): string => {
  if (value === null || value === undefined) throw new Refusal("Missing", "has no value")
  // Half a character would be refused by stores and providers.
  if (typeof value === "string") return value.toWellFormed()
  if (typeof value === "number" || typeof value === "boolean") return String(value)
  throw new Refusal("BadValue", "is a list or an object, not a value")
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&#34;",
  "'": "&#39;"
}

/**
 * Inside a string of JSON the escapes mean what was escaped; outside of one they are no JSON, so that a value can never
 * add a field or close an object: the result is refused instead.
 */
const jsonEscape = (value: unknown): string =>
  JSON.stringify(asText(value)).slice(1, -1).replace(
    /[,:[\]{}<>&'\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

/** HTML made by this system (a banner), not by a parameter; it stands as it is in text of HTML, and nowhere else. */
export class TrustedHtml {
  readonly html: string
  constructor(html: string) {
    this.html = html
  }
}

const escapes: Readonly<Record<Place, (value: unknown) => string>> = {
  line: asText,
  text: asText,
  html: (value) =>
    value instanceof TrustedHtml ? value.html : asText(value).replace(/[&<>"']/g, (char) => entities[char] ?? char),
  json: jsonEscape
}

/** Where a rendering's own settings are kept for our filters. */
export const zoneRegister = "hikyaku.zone"
export const languageRegister = "hikyaku.language"

const engineOf = (place: Place): Liquid => {
  const escape = escapes[place]
  const engine = new Liquid({
    strictFilters: true,
    strictVariables: true,
    // Asking whether a parameter is there is no use of it.
    lenientIf: true,
    ownPropertyOnly: true,
    outputEscape: (value: unknown) => escape(value),
    // No partials: nothing is ever looked up, in files or elsewhere.
    templates: {},
    relativeReference: false,
    dynamicPartials: false,
    timezoneOffset: 0,
    locale: "en-US",
    parseLimit: templateLengthMax
  })
  for (const name of Object.keys(engine.tags)) if (!Object.hasOwn(tags, name)) delete engine.tags[name]
  for (const name of Object.keys(engine.filters)) if (!filters.has(name)) engine.unregisterFilter(name)
  engine.registerFilter("number", (value: unknown, decimals: unknown) => formatNumber(value, decimals))
  engine.registerFilter("date", function(value: unknown, format: unknown) {
    const language = this.context.getRegister<Language>(languageRegister)
    return formatDate(value, format, this.context.getRegister<string>(zoneRegister), language)
  })
  return engine
}

/** One per place, shared by all templates. */
export const engines: Readonly<Record<Place, Liquid>> = {
  line: engineOf("line"),
  text: engineOf("text"),
  html: engineOf("html"),
  json: engineOf("json")
}
