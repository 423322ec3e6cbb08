/** What can be wrong with a template, or with what it was given: plain values that name the place. */
import { LiquidError } from "liquidjs"
import { hintFor } from "./Spelling.ts"

export type FaultKind =
  | "Syntax"
  | "UnknownFilter"
  | "UnknownTag"
  | "UnsafePlace"
  | "TooLong"
  | "TooNested"
  | "Missing"
  | "BadValue"
  | "TooMuchWork"
  | "NotJson"
  | "LineBreak"
  | "Unfit"

/** What is wrong with a template, or with what it was given; `line` and `column` count from 1. */
export interface ContentFault {
  readonly _tag: "ContentFault"
  readonly kind: FaultKind
  readonly message: string
  readonly line: number
  readonly column: number
  readonly hint: string | null
}

export const fault = (
  kind: FaultKind,
  message: string,
  [line, column]: readonly [number, number] = [1, 1],
  hint: string | null = null
): ContentFault => ({ _tag: "ContentFault", kind, message, line, column, hint })

/** Thrown inside Liquid, to be told from its own errors. */
export class Refusal extends Error {
  readonly kind: FaultKind
  readonly hint: string | null
  constructor(kind: FaultKind, message: string, hint: string | null = null) {
    super(message)
    this.kind = kind
    this.hint = hint
  }
}

/** What templates may use, for hints. */
export interface TemplateNames {
  readonly tags: ReadonlyArray<string>
  readonly filters: ReadonlyArray<string>
}

/** A fault from whatever Liquid threw; `kind` for what Liquid itself says. */
export const faultOf = (
  error: unknown,
  kind: FaultKind,
  names: TemplateNames
): ContentFault => {
  if (error instanceof RangeError) return fault("TooNested", "nested too deeply, or too long a text")
  if (!LiquidError.is(error)) {
    return error instanceof Refusal
      ? fault(error.kind, error.message, [1, 1], error.hint)
      : fault(kind, error instanceof Error ? error.message : String(error))
  }
  const [line = 1, column = 1] = error.token.getPosition()
  const at = [line, column] as const
  const { originalError } = error
  const what = error.token.getText().slice(0, 200)
  if (originalError instanceof Refusal) {
    return fault(originalError.kind, `${what} ${originalError.message}`, at, originalError.hint)
  }
  if (originalError instanceof RangeError) return fault("TooNested", "nested too deeply, or too long a text", at)
  const message = (originalError ?? error).message.replace(/, line:\d+, col:\d+$/, "")
  const undefinedFilter = /^undefined filter: (.*)$/.exec(message)
  if (undefinedFilter !== null) {
    const name = undefinedFilter[1] ?? ""
    const hint = /^(escape|raw|safe|h$|json|xml_escape|escape_once)/.test(name)
      ? "leave it out: values are escaped for their place by themselves"
      : hintFor(name, names.filters)
    return fault("UnknownFilter", `there is no filter ${name}`, at, hint)
  }
  const unknownTag = /^tag "(.*)" not found$/.exec(message)
  if (unknownTag !== null) {
    return fault("UnknownTag", `there is no tag ${unknownTag[1]}`, at, hintFor(unknownTag[1] ?? "", names.tags))
  }
  const missing = /^undefined variable: (.*)$/.exec(message)
  if (missing !== null) return fault("Missing", `${missing[1]} has no value`, at)
  if (message.endsWith("limit exceeded")) return fault("TooMuchWork", message, at)
  return fault(kind, message, at)
}
