/**
 * Member filters as the Member actor judges them: CEL or a decision table over `member`, `parameters` and `now`. The filter
 * travels as text in a run's terms; it is compiled when first seen.
 */
import { Either, ParseResult, Schema } from "effect"
import type { FilterVerdict, MemberFilter } from "./Consideration.ts"
import { type CompiledTable, compileTable, DecisionTable } from "./DecisionTable.ts"
import { compile, type Rule, type RuleInputs } from "./Rule.ts"
import { filterScope, memberView } from "./RuleScope.ts"

/** Longest filter as text, characters; the bound of a run's terms. */
export const filterLengthMax = 16_000
/** Filters kept compiled; past it all are compiled anew when needed. */
const filtersMax = 256

/** A condition in CEL, or a table: a member passes if a row matches, unless it sets `include` to false. */
export const Filter = Schema.Union(Schema.String, DecisionTable)
export type Filter = typeof Filter.Type

const tableStart = "{\"hit\":"

/** The filter as text: CEL as it is, a table as JSON (which is no condition in CEL). */
export const filterText = (filter: Filter): string =>
  typeof filter === "string" ? filter : JSON.stringify({ hit: filter.hit, rows: filter.rows })

type Compiled =
  | { readonly _tag: "Rule"; readonly rule: Rule }
  | { readonly _tag: "Table"; readonly table: CompiledTable }
  | { readonly _tag: "Broken"; readonly why: string }

const decodeTable = Schema.decodeUnknownEither(Schema.parseJson(DecisionTable))

const compileFilter = (text: string): Compiled => {
  if (text.length > filterLengthMax) return { _tag: "Broken", why: `longer than ${filterLengthMax} characters` }
  if (!text.startsWith(tableStart)) {
    return Either.match(compile(text, filterScope), {
      onLeft: (error): Compiled => ({ _tag: "Broken", why: error.message }),
      onRight: (rule): Compiled => ({ _tag: "Rule", rule })
    })
  }
  const decoded = decodeTable(text)
  if (Either.isLeft(decoded)) {
    return { _tag: "Broken", why: ParseResult.TreeFormatter.formatErrorSync(decoded.left).slice(0, 500) }
  }
  return Either.match(compileTable(decoded.right, filterScope), {
    onLeft: (faults): Compiled => ({ _tag: "Broken", why: faults[0]?.message ?? "broken table" }),
    onRight: (table): Compiled => ({ _tag: "Table", table })
  })
}

const compiled = new Map<string, Compiled>()

const compiledOf = (text: string): Compiled => {
  const known = compiled.get(text)
  if (known !== undefined) return known
  const made = compileFilter(text)
  if (compiled.size >= filtersMax) compiled.clear()
  compiled.set(text, made)
  return made
}

/** Judges a filter. One that cannot be judged is a fault and lets nobody pass. */
export const ruleFilter: MemberFilter = (text, subject): FilterVerdict => {
  const filter = compiledOf(text)
  if (filter._tag === "Broken") return { why: filter.why, fault: true }
  const { member } = subject
  const inputs: RuleInputs = {
    event: undefined,
    product: undefined,
    member: memberView({
      id: member.id,
      language: member.language,
      timeZone: member.timeZone,
      attributes: member.attributes,
      consents: { ...member.consents }
    }),
    parameters: subject.parameters,
    now: new Date(subject.now)
  }
  if (filter._tag === "Rule") {
    const outcome = filter.rule.test(inputs)
    return outcome._tag === "Matched" ? null : { why: outcome.reason, fault: false }
  }
  const outcome = filter.table.judge(inputs)
  if (outcome._tag === "NoHit") return { why: outcome.reason, fault: false }
  return outcome.parameters["include"] === false ? { why: `row ${outcome.rows[0] ?? 0}`, fault: false } : null
}
