/** Why a rule cannot be used, said so that whoever wrote it can mend it: where, what, and what was probably meant. */
import type { ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js"
import { fieldsOf, type RuleScope, variablesOf } from "./RuleScope.ts"
import { hintFor } from "./Spelling.ts"

/** Why an expression cannot be used, and where: `start` and `end` are characters of the source, from 0. */
export interface RuleError {
  readonly _tag: "RuleError"
  readonly kind: "TooLong" | "Syntax" | "Unknown" | "Type" | "TooCostly" | "NotACondition" | "NotAllowed"
  readonly message: string
  readonly start: number
  readonly end: number
  readonly hint: string | null
}

/** A rule error at a range of the source. */
export const ruleError = (
  kind: RuleError["kind"],
  message: string,
  range: { readonly start: number; readonly end: number } | undefined,
  hint: string | null
): RuleError => ({
  _tag: "RuleError",
  kind,
  message,
  start: range?.start ?? 0,
  end: Math.max(range?.end ?? 0, range?.start ?? 0),
  hint
})

const words: Readonly<Record<string, string>> = {
  and: "write && for and",
  or: "write || for or",
  not: "write ! for not",
  AND: "write && for and",
  OR: "write || for or",
  NOT: "write ! for not"
}

const characterHint = (source: string, at: number): string | null => {
  const character = source[at]
  if (character === undefined) return null
  if (character === "=") return "write == to compare"
  if (character === "&") return "write && for and"
  if (character === "|") return "write || for or"
  if ("“”„‟″＂".includes(character)) return "write straight quotes: \""
  if ("‘’‚＇".includes(character)) return "write straight quotes: '"
  const plain = character.normalize("NFKC")
  if (plain !== character && /^[\x20-\x7e]$/.test(plain)) {
    return plain === " " ? "a full-width space: write an ordinary one" : `a full-width character: write ${plain}`
  }
  if (character > "\u007e") return "text belongs in quotes"
  return null
}

const unknownVariableHint = (name: string, scope: RuleScope): string => {
  const word = words[name]
  if (word !== undefined) return word
  if (scope._tag === "Filter" && (name === "event" || name === "product")) {
    return `a member filter sees member, parameters and now: put conditions on the ${name} into the trigger`
  }
  if (name === "product" && scope._tag === "Trigger") return `${scope.event} events are not about a product`
  if (name === "member") return "a trigger is judged before members are known: use memberFilter, or event.member"
  return `${hintFor(name, Object.keys(variablesOf(scope)))} (text belongs in quotes)`
}

const functions = [
  "size",
  "contains",
  "startsWith",
  "endsWith",
  "lowerAscii",
  "upperAscii",
  "trim",
  "exists",
  "all",
  "exists_one",
  "filter",
  "map",
  "has",
  "int",
  "double",
  "string",
  "timestamp",
  "duration",
  "getHours",
  "getMinutes",
  "getDayOfWeek",
  "getDayOfMonth",
  "getMonth",
  "getFullYear",
  "split",
  "join",
  "indexOf",
  "substring"
]

/** What the type check found, with a hint. */
export const typeError = (failure: CelTypeError, scope: RuleScope): RuleError => {
  const node = failure.node
  switch (failure.code) {
    case "unknown_variable": {
      const name = node?.op === "id" ? node.args : ""
      return ruleError("Unknown", failure.summary, failure.range, unknownVariableHint(name, scope))
    }
    case "no_such_key": {
      if (node?.op !== ".") break
      const [owner, name] = node.args
      const fields = owner.op === "id" ? fieldsOf(scope, owner.args) : undefined
      if (fields === undefined || owner.op !== "id") break
      return ruleError(
        "Unknown",
        `${owner.args} has no field ${name}`,
        failure.range,
        hintFor(name, Object.keys(fields))
      )
    }
    case "no_matching_overload": {
      const name = node?.op === "call" || node?.op === "rcall" ? node.args[0] : ""
      const hint = functions.includes(name) ? null : hintFor(name, functions)
      return ruleError("Type", failure.summary, failure.range, hint)
    }
    case "no_such_overload":
      return ruleError(
        "Type",
        failure.summary.replace("no such overload", "these cannot be combined"),
        failure.range,
        "both sides must be of one kind: numbers with numbers, \"text\" with \"text\""
      )
  }
  return ruleError("Type", failure.summary, failure.range, null)
}

/** What the parser found, with a hint. */
export const syntaxError = (failure: ParseError, source: string): RuleError => {
  if (failure.code === "limit_exceeded") {
    return ruleError("TooLong", failure.summary, failure.range, "split it, or use a decision table")
  }
  const at = failure.range?.start ?? 0
  const word = /^[A-Za-z]+/.exec(source.slice(at))?.[0] ?? ""
  return ruleError("Syntax", failure.summary, failure.range, words[word] ?? characterHint(source, at))
}
