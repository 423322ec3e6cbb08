/**
 * What a campaign says, by channel: Liquid templates for mail, LINE, push and on-site notices, compiled when a campaign is
 * saved and rendered for each recipient. Pure: everything a rendering depends on is given to it.
 */
import { Either } from "effect"
import type { ContentFault } from "./ContentFault.ts"
import type { Channel } from "./Event.ts"
import { nearest } from "./Spelling.ts"
import { compileTemplate, renderTemplate, type Template, type TemplateInput } from "./Template.ts"
import type { Place } from "./TemplateEngine.ts"

/** The templates of each channel and what each of them becomes. */
export const contentFields = {
  mail: { subject: "line", html: "html", text: "text" },
  /** The JSON of a LINE message, or of a list of up to five. */
  line: { message: "json" },
  /** The JSON of a push notification. */
  push: { payload: "json" },
  /** The title is shown as text, the body as HTML. */
  onsite: { title: "line", body: "html" }
} as const satisfies Readonly<Record<Channel, Readonly<Record<string, Place>>>>

/** One channel's templates, or what they become, by field. */
export type Fields = Readonly<Record<string, string>>

/** Longest subject or title, and longest push payload in bytes (what the push services take), as rendered. */
export const subjectMax = 500
export const pushBytesMax = 4_096
/** Most messages that LINE takes at once. */
export const lineMessagesMax = 5

/** A fault and the field (`html`) it is in. */
export interface FieldFault extends ContentFault {
  readonly field: string
}

/** One channel's content, ready to be rendered. */
export interface CompiledContent {
  readonly channel: Channel
  readonly templates: Readonly<Record<string, Template>>
  /** What all its templates take from outside, each once, sorted. */
  readonly variables: ReadonlyArray<string>
}

const inField = (field: string, fault: ContentFault): FieldFault => ({ ...fault, field })

const faultAt = (
  field: string,
  kind: ContentFault["kind"],
  message: string,
  hint: string | null = null
): FieldFault => ({
  _tag: "ContentFault",
  field,
  kind,
  message,
  line: 1,
  column: 1,
  hint
})

/** Compiles a channel's templates; all faults of all fields, or content that renders unless a value is missing or unfit. */
export const compileContent = (
  channel: Channel,
  sources: Fields
): Either.Either<CompiledContent, ReadonlyArray<FieldFault>> => {
  const places: Readonly<Record<string, Place>> = contentFields[channel]
  const faults: Array<FieldFault> = []
  const templates: Record<string, Template> = {}
  for (const field of Object.keys(sources)) {
    if (!Object.hasOwn(places, field)) faults.push(faultAt(field, "Unfit", `${channel} has no field ${field}`))
  }
  for (const [field, place] of Object.entries(places)) {
    const source = sources[field]
    if (source === undefined) {
      faults.push(faultAt(field, "Missing", `${channel} needs ${field}`))
      continue
    }
    Either.match(compileTemplate(source, place), {
      onLeft: (fault) => faults.push(inField(field, fault)),
      onRight: (template) => {
        templates[field] = template
      }
    })
  }
  if (faults.length > 0) return Either.left(faults)
  const variables = [...new Set(Object.values(templates).flatMap((template) => template.variables))].sort()
  return Either.right({ channel, templates, variables })
}

/** Whether a name such as `product.attributes.colour` is covered by what is known: itself, or all below `product.attributes`. */
const isKnown = (name: string, known: ReadonlySet<string>): boolean => {
  if (known.has(name)) return true
  const parts = name.split(".")
  for (let length = parts.length - 1; length > 0; length--) {
    if (known.has(`${parts.slice(0, length).join(".")}.*`)) return true
  }
  return false
}

export interface MissingVariable {
  readonly name: string
  readonly hint: string | null
}

/**
 * What the content takes that nobody will give it: asked before a campaign is launched. `known` lists names such as
 * `product.price`; `product.attributes.*` stands for anything below. A known name may still have no value for one recipient;
 * that is a fault of that rendering.
 */
export const missingVariables = (
  variables: ReadonlyArray<string>,
  known: ReadonlyArray<string>
): ReadonlyArray<MissingVariable> => {
  const names = new Set(known)
  const objects = new Set(known.map((name) => name.split(".")[0] ?? ""))
  return variables.filter((name) =>
    !isKnown(name, names) && !(name.endsWith(".*") && objects.has(name.split(".")[0] ?? ""))
  )
    .map((name) => {
      const meant = nearest(name, known)
      return { name, hint: meant === undefined ? null : `did you mean ${meant}?` }
    })
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Bytes of a text in UTF-8, without an encoder. */
const bytesOf = (text: string): number => {
  let bytes = 0
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4
  }
  return bytes
}

/** What a channel demands of the whole. */
const unfit = (channel: Channel, fields: Fields): FieldFault | null => {
  switch (channel) {
    case "mail":
    case "onsite": {
      const field = channel === "mail" ? "subject" : "title"
      const length = fields[field]?.length ?? 0
      if (length === 0) return faultAt(field, "Unfit", "is empty")
      return length > subjectMax ? faultAt(field, "Unfit", `is longer than ${subjectMax} characters`) : null
    }
    case "line": {
      const parsed: unknown = JSON.parse(fields["message"] ?? "null")
      const messages: ReadonlyArray<unknown> = Array.isArray(parsed) ? parsed : [parsed]
      if (messages.length === 0 || messages.length > lineMessagesMax) {
        return faultAt("message", "Unfit", `is 1 to ${lineMessagesMax} messages`)
      }
      return messages.every((message) => isObject(message) && typeof message["type"] === "string")
        ? null
        : faultAt(
          "message",
          "Unfit",
          "every LINE message is an object with a type",
          "e.g. {\"type\": \"text\", \"text\": \"...\"}"
        )
    }
    case "push": {
      const payload = fields["payload"] ?? ""
      if (!isObject(JSON.parse(payload))) return faultAt("payload", "Unfit", "is not a JSON object")
      return bytesOf(payload) > pushBytesMax
        ? faultAt("payload", "Unfit", `is longer than ${pushBytesMax} bytes`)
        : null
    }
  }
}

/** Renders a channel's content for one recipient, or says which part of which field failed. */
export const renderContent = (content: CompiledContent, input: TemplateInput): Either.Either<Fields, FieldFault> => {
  const fields: Record<string, string> = {}
  for (const [field, template] of Object.entries(content.templates)) {
    const rendered = renderTemplate(template, input)
    if (Either.isLeft(rendered)) return Either.left(inField(field, rendered.left))
    fields[field] = rendered.right
  }
  const fault = unfit(content.channel, fields)
  return fault === null ? Either.right(fields) : Either.left(fault)
}

/** A fault in one line, for reports and for the reason of a delivery that could not be rendered. */
export const describeFault = (fault: FieldFault): string =>
  `${fault.field}, line ${fault.line}, column ${fault.column}: ${fault.message}${
    fault.hint === null ? "" : ` (${fault.hint})`
  }`
