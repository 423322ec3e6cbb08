/**
 * Rules: CEL over `event`, `product` and `now` (triggers) or `member`, `parameters` and `now` (member filters). Compiled once per campaign version, checked against the declared
 * variables when saved, bounded in length, nesting and cost. Judging never throws: what cannot be judged did not match.
 *
 * Whole numbers and decimals mix freely (`event.after < event.before * 0.9`, `product.stock <= 1`, `event.before - 1000`):
 * CEL knows `int` and `double` apart, a marketer should not have to.
 */
import { type ASTNode, Environment, EvaluationError, ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js"
import { Either } from "effect"
import type { Attributes } from "./Event.ts"
import { costOf } from "./RuleCost.ts"
import { type RuleError, ruleError, syntaxError, typeError } from "./RuleError.ts"
import { EventView, type Fields, fieldsOf, MemberView, ProductView, type RuleScope, variablesOf } from "./RuleScope.ts"
import { hintFor } from "./Spelling.ts"

/** Longest expression, characters. */
export const sourceLengthMax = 2_000
/** Deepest nesting of parentheses, calls, fields and indexes. */
export const nestingMax = 24
/** Most parts (names, literals, operators) of one expression. */
export const partsMax = 400
/** Most that one judgement may cost, see `RuleCost`; about 2.5 ms in the worst case that it allows. */
export const costMax = 50_000

/** What rules are judged on; made once per event, from the views of `RuleScope`. */
export type RuleInputs = {
  readonly event: EventView | undefined
  readonly product: ProductView | undefined
  readonly member: MemberView | undefined
  readonly parameters: Attributes | undefined
  readonly now: Date
}

/** `reason` is null when the condition is plainly false, else what kept it from being judged. */
export type RuleOutcome =
  | { readonly _tag: "Matched" }
  | { readonly _tag: "NotMatched"; readonly reason: string | null }

export type RuleScalar = string | number | boolean
export type RuleResult =
  | { readonly _tag: "Value"; readonly value: RuleScalar }
  | { readonly _tag: "NoValue"; readonly reason: string }

/** What must hold for the rule to match: `event.product` or `product.category` is one of the values. */
export interface Equality {
  readonly owner: "event" | "product"
  readonly field: string
  readonly values: ReadonlyArray<string>
}

/** A compiled condition. */
export interface Rule {
  readonly source: string
  readonly test: (inputs: RuleInputs) => RuleOutcome
  /** Upper bound of one judgement, see `RuleCost`. */
  readonly cost: number
  /** Necessary equalities, for indexes: if one does not hold the rule cannot match. */
  readonly equalities: ReadonlyArray<Equality>
}

/** A compiled expression of any scalar type. */
export interface RuleExpression {
  readonly source: string
  readonly type: "string" | "number" | "boolean" | "dyn"
  /** Upper bound of one evaluation, see `RuleCost`. */
  readonly cost: number
  readonly value: (inputs: RuleInputs) => RuleResult
}

const matched: RuleOutcome = { _tag: "Matched" }
const notMatched: RuleOutcome = { _tag: "NotMatched", reason: null }

const mixed: Readonly<Record<string, (a: number | bigint, b: number | bigint) => number>> = {
  "+": (a, b) => Number(a) + Number(b),
  "-": (a, b) => Number(a) - Number(b),
  "*": (a, b) => Number(a) * Number(b),
  "/": (a, b) => Number(a) / Number(b)
}

const base = (): Environment => {
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: {
      maxAstNodes: partsMax,
      maxDepth: nestingMax,
      maxListElements: 200,
      maxMapEntries: 50,
      maxCallArguments: 8
    }
  })
  for (const [operator, handler] of Object.entries(mixed)) {
    environment.registerOperator(`double ${operator} int: double`, handler)
    environment.registerOperator(`int ${operator} double: double`, handler)
  }
  // Also registers the other direction and both `!=`.
  environment.registerOperator("int == double: bool", (a: bigint, b: number) => Number(a) === b)
  environment.registerOperator(
    "double in list<int>: bool",
    (value: number, list: Iterable<bigint>) => [...list].some((each) => Number(each) === value)
  )
  return environment
}

/** Environments by event type, and one for member filters; bounded by the number of event types. */
const environments = new Map<string, Environment>()
const environmentsMax = 256

const views: Readonly<Record<string, { readonly type: string; readonly ctor: RuleView }>> = {
  event: { type: "Event", ctor: EventView },
  product: { type: "Product", ctor: ProductView },
  member: { type: "Member", ctor: MemberView }
}
type RuleView = typeof EventView | typeof ProductView | typeof MemberView

const environmentOf = (scope: RuleScope): Environment => {
  const key = scope._tag === "Filter" ? "" : scope.event
  const known = environments.get(key)
  if (known !== undefined) return known
  const environment = base()
  for (const [name, variable] of Object.entries(variablesOf(scope))) {
    const view = views[name]
    if (variable._tag === "Object" && view !== undefined) {
      environment.registerType(view.type, { ctor: view.ctor, fields: celFields(variable.fields) })
      environment.registerVariable(name, view.type)
    } else {environment.registerVariable(
        name,
        variable._tag === "Map" ? "map<string, dyn>" : "google.protobuf.Timestamp"
      )}
  }
  if (environments.size >= environmentsMax) environments.clear()
  environments.set(key, environment)
  return environment
}

const celFields = (fields: Fields): Record<string, string> =>
  Object.fromEntries(
    Object.entries(fields).map(([name, type]) => [name, type === "timestamp" ? "google.protobuf.Timestamp" : type])
  )

/** What the library's own check lets pass: fields inside `has()`, a custom event's data, and calls that are not bounded. */
const refuse = (node: ASTNode, scope: RuleScope): RuleError | undefined => {
  if (node.op === ".") {
    const [owner, name] = node.args
    const fields = knownFields(owner, scope)
    if (fields !== undefined && !fields.includes(name)) {
      const what = owner.op === "id" ? owner.args : "event.data"
      return ruleError(
        "Unknown",
        `${what} has no field ${name}`,
        { start: node.pos, end: node.end },
        hintFor(name, fields)
      )
    }
  }
  if (node.op === "rcall" && node.args[0] === "matches") {
    return ruleError(
      "NotAllowed",
      "matches() is not available: regular expressions can take unbounded time",
      node.range,
      "use contains(), startsWith() or endsWith()"
    )
  }
  for (const child of children(node)) {
    const found = refuse(child, scope)
    if (found !== undefined) return found
  }
  return undefined
}

const knownFields = (owner: ASTNode, scope: RuleScope): ReadonlyArray<string> | undefined => {
  if (owner.op === "id") {
    const fields = fieldsOf(scope, owner.args)
    return fields === undefined ? undefined : Object.keys(fields)
  }
  const data = scope._tag === "Trigger" ? scope.data : null
  if (owner.op !== "." || data === null) return undefined
  const [root, name] = owner.args
  return root.op === "id" && root.args === "event" && name === "data" ? Object.keys(data) : undefined
}

const children = (node: ASTNode): ReadonlyArray<ASTNode> => {
  switch (node.op) {
    case "value":
    case "id":
      return []
    case ".":
    case ".?":
      return [node.args[0]]
    case "call":
      return node.args[1]
    case "rcall":
      return [node.args[1], ...node.args[2]]
    case "map":
      return node.args.flat()
    case "!_":
    case "-_":
      return [node.args]
    default:
      return node.args
  }
}

interface Compiled {
  readonly run: (inputs: RuleInputs) => unknown
  readonly type: string
  readonly ast: ASTNode
  readonly cost: number
}

const compileAny = (source: string, scope: RuleScope): Either.Either<Compiled, RuleError> => {
  if (source.length > sourceLengthMax) {
    return Either.left(
      ruleError("TooLong", `${source.length} characters, at most ${sourceLengthMax} are allowed`, {
        start: sourceLengthMax,
        end: source.length
      }, "a long list of cases belongs in a decision table")
    )
  }
  try {
    const parsed = environmentOf(scope).parse(source)
    const refused = refuse(parsed.ast, scope)
    if (refused !== undefined) return Either.left(refused)
    const cost = costOf(parsed.ast)
    if (!(cost <= costMax)) {
      return Either.left(
        ruleError(
          "TooCostly",
          `one judgement may take ${
            Number.isFinite(cost) ? Math.ceil(cost) : "unbounded"
          } steps, at most ${costMax} are allowed`,
          parsed.ast.range,
          "do not nest exists, all, map and filter"
        )
      )
    }
    const check = parsed.check()
    if (!check.valid || check.type === undefined) {
      const failure = check.error
      if (failure instanceof CelTypeError) return Either.left(typeError(failure, scope))
      return Either.left(ruleError("Type", failure?.summary ?? "type check failed", failure?.range, null))
    }
    return Either.right({ run: (inputs) => parsed(inputs), type: check.type, ast: parsed.ast, cost })
  } catch (failure) {
    if (failure instanceof ParseError) return Either.left(syntaxError(failure, source))
    // E.g. the stack's end on hostile nesting: a refusal like any other.
    return Either.left(
      ruleError("Syntax", String(failure instanceof Error ? failure.message : failure), undefined, null)
    )
  }
}

const reasonOf = (failure: unknown): string =>
  failure instanceof EvaluationError ? failure.summary : String(failure instanceof Error ? failure.message : failure)

/** Compiles a condition; it is an error if it cannot be true or false. */
export const compile = (source: string, scope: RuleScope): Either.Either<Rule, RuleError> =>
  Either.flatMap(compileAny(source, scope), ({ run, type, ast, cost }) => {
    if (type !== "bool" && type !== "dyn") {
      return Either.left(
        ruleError(
          "NotACondition",
          `a condition must be true or false, this is of type ${type}`,
          ast.range,
          "compare it with something"
        )
      )
    }
    const test = (inputs: RuleInputs): RuleOutcome => {
      try {
        const value = run(inputs)
        if (value === true) return matched
        if (value === false) return notMatched
        return { _tag: "NotMatched", reason: `neither true nor false: ${String(value).slice(0, 100)}` }
      } catch (failure) {
        return { _tag: "NotMatched", reason: reasonOf(failure) }
      }
    }
    return Either.right({ source, test, cost, equalities: equalitiesOf(ast, scope) })
  })

/** Compiles an expression whose value is used: text, a number, true or false. */
export const compileExpression = (source: string, scope: RuleScope): Either.Either<RuleExpression, RuleError> =>
  Either.flatMap(compileAny(source, scope), ({ run, type, ast, cost }) => {
    const kind = scalarTypes[type]
    if (kind === undefined) {
      return Either.left(
        ruleError("Type", `text, a number, true or false is needed, this is of type ${type}`, ast.range, null)
      )
    }
    const value = (inputs: RuleInputs): RuleResult => {
      try {
        const result = run(inputs)
        switch (typeof result) {
          case "string":
          case "boolean":
            return { _tag: "Value", value: result }
          case "bigint":
            return { _tag: "Value", value: Number(result) }
          case "number":
            return Number.isFinite(result) ?
              { _tag: "Value", value: result } :
              { _tag: "NoValue", reason: `not a finite number: ${result}` }
          default:
            return { _tag: "NoValue", reason: `neither text, number nor boolean: ${String(result).slice(0, 100)}` }
        }
      } catch (failure) {
        return { _tag: "NoValue", reason: reasonOf(failure) }
      }
    }
    return Either.right({ source, type: kind, cost, value })
  })

const scalarTypes: Readonly<Record<string, RuleExpression["type"]>> = {
  string: "string",
  int: "number",
  uint: "number",
  double: "number",
  bool: "boolean",
  dyn: "dyn"
}

const literalTexts = (node: ASTNode): ReadonlyArray<string> | undefined => {
  if (node.op === "value") return typeof node.args === "string" ? [node.args] : undefined
  if (node.op !== "list") return undefined
  const texts = node.args.map((each) => each.op === "value" && typeof each.args === "string" ? each.args : undefined)
  return texts.every((text) => text !== undefined) ? texts : undefined
}

const equalitiesOf = (node: ASTNode, scope: RuleScope): ReadonlyArray<Equality> => {
  if (node.op === "&&") return node.args.flatMap((each) => equalitiesOf(each, scope))
  if (node.op !== "==" && node.op !== "in") return []
  const [left, right] = node.args
  const [access, literal] = left.op === "." || node.op === "in" ? [left, right] : [right, left]
  if (access.op !== "." || (node.op === "==" && literal.op !== "value")) return []
  const [root, field] = access.args
  const values = literalTexts(literal)
  if (values === undefined || root.op !== "id" || (root.args !== "event" && root.args !== "product")) return []
  return fieldsOf(scope, root.args)?.[field] === "string" ? [{ owner: root.args, field, values }] : []
}
