/**
 * One Liquid template, compiled and rendered: strict variables and filters, own properties only, no files, no clock, no
 * randomness, bounded in length, nesting, work, memory and output, and every value escaped for the place where it stands.
 * Pure: rendering takes all it needs as input, and bounds count steps instead of milliseconds.
 */
import { Either } from "effect"
import { Context, type Template as Node, toValueSync } from "liquidjs"
import { type ContentFault, fault, faultOf, Refusal } from "./ContentFault.ts"
import {
  engines,
  languageRegister,
  type Place,
  templateLengthMax,
  templateNames,
  type TrustedHtml,
  zoneRegister
} from "./TemplateEngine.ts"
import type { Language } from "./TemplateFilters.ts"
import { checkNesting, checkPlaces, checkSourceNesting, PlaceFault } from "./TemplateShape.ts"

/** Parts rendered in one rendering, loops included. */
export const stepsMax = 10_000
/** Characters that filters and loops may make in one rendering. */
export const memoryMax = 200_000
/** Longest result, characters. */
export const outputMax = 500_000

/** A template that is fit to be used. */
export interface Template {
  readonly place: Place
  readonly nodes: ReadonlyArray<Node>
  /** What it takes from outside, e.g. `product.price`; each once, sorted. `product.*` where a name is worked out. */
  readonly variables: ReadonlyArray<string>
}

type Segments = ReadonlyArray<string | number | Segments>

const variablesOf = (segments: Segments): string => {
  const names: Array<string> = []
  for (const segment of segments) {
    if (typeof segment !== "string") {
      names.push("*")
      break
    }
    names.push(segment)
  }
  // A list's own figures are no properties of it.
  const last = names[names.length - 1]
  if (names.length > 1 && (last === "size" || last === "first" || last === "last")) names.pop()
  return names.join(".")
}

/** Compiles a template for its place, or says what is wrong with it and where. */
export const compileTemplate = (source: string, place: Place): Either.Either<Template, ContentFault> => {
  if (source.length > templateLengthMax) {
    return Either.left(fault("TooLong", `is longer than ${templateLengthMax} characters`))
  }
  if (source.includes("\u0000") || !source.isWellFormed()) {
    return Either.left(fault("Syntax", "contains U+0000 or half a character"))
  }
  const engine = engines[place]
  try {
    checkSourceNesting(source)
    const nodes = engine.parse(source)
    checkNesting(nodes, 0)
    if (place === "html") checkPlaces(nodes)
    const variables = new Set(engine.globalVariableSegmentsSync(nodes, { partials: false }).map(variablesOf))
    return Either.right({ place, nodes, variables: [...variables].sort() })
  } catch (error) {
    return Either.left(error instanceof PlaceFault ? error.fault : faultOf(error, "Syntax", templateNames))
  }
}

/** A value in a template's scope. */
export type ScopeValue =
  | string
  | number
  | boolean
  | null
  | TrustedHtml
  | ReadonlyArray<ScopeValue>
  | { readonly [name: string]: ScopeValue | undefined }

/** All that a rendering depends on. */
export interface TemplateInput {
  readonly scope: Readonly<Record<string, ScopeValue | undefined>>
  /** By whose clock dates are written. */
  readonly timeZone: string
  readonly language: Language
}

class BoundedText {
  buffer = ""
  write(html: unknown): void {
    this.buffer += String(html)
    if (this.buffer.length > outputMax) {
      throw new Refusal("TooMuchWork", `makes a text longer than ${outputMax} characters`)
    }
  }
}

// oxlint-disable-next-line no-control-regex
const lineBreaks = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/

const finish = (place: Place, text: string): Either.Either<string, ContentFault> => {
  switch (place) {
    case "line": {
      const line = text.trim()
      // A line break in a subject would begin a header of the value's own making.
      return lineBreaks.test(line)
        ? Either.left(fault("LineBreak", "makes a line break or control character where one line is needed"))
        : Either.right(line)
    }
    case "json":
      try {
        JSON.parse(text)
        return Either.right(text)
      } catch (error) {
        const hint = "write values into quotes: \"title\": \"{{ product.name }}\""
        return Either.left(fault("NotJson", `does not make JSON: ${String(error)}`, [1, 1], hint))
      }
    case "text":
    case "html":
      return Either.right(text)
  }
}

/** Renders a template, or says which of its parts failed for this input. */
export const renderTemplate = (template: Template, input: TemplateInput): Either.Either<string, ContentFault> => {
  const engine = engines[template.place]
  const context = new Context(input.scope, engine.options, { sync: true, memoryLimit: memoryMax }, { liquid: engine })
  context.setRegister(zoneRegister, input.timeZone)
  context.setRegister(languageRegister, input.language)
  // Liquid's own limit asks a clock; steps are the same on every machine and in a replay.
  let steps = 0
  context.renderLimit.check = () => {
    if (++steps > stepsMax) throw new Refusal("TooMuchWork", `takes more than ${stepsMax} steps`)
  }
  const text = new BoundedText()
  try {
    toValueSync(engine.renderer.renderTemplates([...template.nodes], context, text))
  } catch (error) {
    return Either.left(faultOf(error, "BadValue", templateNames))
  }
  return finish(template.place, text.buffer)
}
