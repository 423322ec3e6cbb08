/**
 * Input that cannot be accepted, said so that whoever sent it can mend it: where, why, and what was probably meant (G16).
 * Nothing was changed by it.
 */
import { type ParseResult, Schema } from "effect"
import { documentFaults, showPath } from "../marketing/DocumentFault.ts"

/** Longest reason or hint, in characters: an answer must not grow with what was sent. */
export const reasonMax = 300
/** Longest path, in characters. */
export const pathMax = 200

export class BadInput extends Schema.TaggedError<BadInput>()("BadInput", {
  /** Where in the payload, e.g. `events[3].happening.price`; empty: the payload as a whole. */
  path: Schema.String,
  /** What is wrong there. */
  reason: Schema.String,
  /** What was probably meant, where that can be guessed. */
  hint: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const where = this.path === "" ? "" : `${this.path}: `
    return where + this.reason + (this.hint === undefined ? "" : ` (${this.hint})`)
  }
}

const shorten = (text: string, max: number): string =>
  (text.length <= max ? text : `${text.slice(0, max - 3)}...`).toWellFormed()

/** Bad input at a place; its texts are bounded and can be written down anywhere. */
export const badInput = (path: string, reason: string, hint?: string | null): BadInput =>
  new BadInput({
    path: shorten(path, pathMax),
    reason: shorten(reason, reasonMax),
    ...(hint !== undefined && hint !== null && { hint: shorten(hint, reasonMax) })
  })

/** The first fault that a schema found. */
export const fromParseError = ({ issue }: ParseResult.ParseError): BadInput => {
  const fault = documentFaults(issue, "ast" in issue && issue._tag !== "Missing" ? issue.ast : Schema.Unknown.ast)[0]
  return fault === undefined ? badInput("", "not valid") : badInput(showPath(fault.path), fault.message, fault.hint)
}
