/** What is wrong with a document that somebody wrote: every fault with its path, what was expected and what was meant. */
import { ParseResult, SchemaAST } from "effect"
import { hintFor, nearest } from "./Spelling.ts"

/** One fault. `path` leads from the root of the document to the field, e.g. `["trigger", "when"]`. */
export interface DocumentFault {
  readonly path: ReadonlyArray<string | number>
  readonly message: string
  readonly hint: string | null
}

type Path = DocumentFault["path"]

const named = (key: PropertyKey): string | number => typeof key === "symbol" ? String(key) : key

const listOf = <A>(values: A | ReadonlyArray<A>): ReadonlyArray<A> => {
  const many = (given: A | ReadonlyArray<A>): given is ReadonlyArray<A> => Array.isArray(given)
  return many(values) ? values : [values]
}

const inner = (ast: SchemaAST.AST): SchemaAST.AST => {
  switch (ast._tag) {
    case "Refinement":
      return inner(ast.from)
    case "Transformation":
      return inner(ast.from)
    case "Suspend":
      return inner(ast.f())
    default:
      return ast
  }
}

/** The names of a struct's fields; empty where any name is allowed. */
const fieldsOf = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  const struct = inner(ast)
  return struct._tag === "TypeLiteral" ? struct.propertySignatures.map((property) => String(property.name)) : []
}

const literalsOf = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  const type = inner(ast)
  if (type._tag === "Literal") return [String(type.literal)]
  if (type._tag !== "Union") return []
  const literals = type.types.map(literalsOf)
  return literals.every((each) => each.length > 0) ? literals.flat() : []
}

const shown = (value: unknown): string => {
  const text = typeof value === "string"
    ? JSON.stringify(value)
    : value === undefined
    ? "nothing"
    : JSON.stringify(value)
  return text === undefined ? typeof value : text.length > 60 ? `${text.slice(0, 57)}...` : text
}

const described = (ast: SchemaAST.AST): string => {
  const type = inner(ast)
  switch (type._tag) {
    case "TypeLiteral":
      return "an object"
    case "TupleType":
      return "a list"
    case "StringKeyword":
      return "text"
    case "NumberKeyword":
      return "a number"
    case "BooleanKeyword":
      return "true or false"
    case "Literal":
      return JSON.stringify(type.literal)
    case "Union":
      return [...new Set(type.types.map(described))].join(" or ")
    default:
      return String(type)
  }
}

/** What a bare name stands for says more than the name: "a number between 1 and 10000" rather than "Quantity". */
const meaning = (issue: ParseResult.ParseIssue): string | null => {
  if (issue._tag !== "Refinement" || (issue.issue._tag === "Type" && issue.issue.message !== undefined)) return null
  if (SchemaAST.getMessageAnnotation(issue.ast)._tag === "Some") return null
  const described = SchemaAST.getDescriptionAnnotation(issue.ast)
  return described._tag === "Some" ? `Expected ${described.value}, actual ${shown(issue.actual)}` : null
}

const leaf = (issue: ParseResult.ParseIssue, path: Path): DocumentFault => {
  const message = meaning(issue) ?? ParseResult.ArrayFormatter.formatIssueSync(issue)[0]?.message ?? "not valid"
  return { path, message, hint: null }
}

/** A mismatch at the very root of an alternative says that another alternative was meant. */
const rank = (faults: ReadonlyArray<DocumentFault>, path: Path): number =>
  faults.reduce((sum, fault) => sum + (fault.path.length === path.length ? 100 : 1), 0)

/** The fault of a value that is not one of the few texts allowed; null where more than that is allowed. */
const unknownLiteral = (ast: SchemaAST.AST, actual: unknown, path: Path): DocumentFault | null => {
  const literals = literalsOf(ast)
  if (literals.length === 0) return null
  const meant = typeof actual === "string" ? nearest(actual, literals) : undefined
  const message = `${shown(actual)} is not one of ${literals.join(", ")}`
  return { path, message, hint: meant === undefined ? null : `did you mean ${meant}?` }
}

const walk = (issue: ParseResult.ParseIssue, path: Path, owner: SchemaAST.AST): ReadonlyArray<DocumentFault> => {
  switch (issue._tag) {
    case "Pointer":
      return walk(issue.issue, [...path, ...listOf<PropertyKey>(issue.path).map(named)], owner)
    case "Missing":
      return [{ path, message: "is missing", hint: null }]
    case "Unexpected": {
      const name = String(path[path.length - 1] ?? "")
      return [{ path, message: "unknown field", hint: hintFor(name, fieldsOf(owner)) }]
    }
    case "Type": {
      const unknown = unknownLiteral(issue.ast, issue.actual, path)
      if (unknown !== null) return [unknown]
      if (issue.message !== undefined) return [{ path, message: issue.message, hint: null }]
      return [{ path, message: `expected ${described(issue.ast)}, found ${shown(issue.actual)}`, hint: null }]
    }
    case "Forbidden":
      return [leaf(issue, path)]
    case "Refinement":
      return issue.kind === "From" ? walk(issue.issue, path, issue.ast.from) : [leaf(issue, path)]
    case "Transformation":
      return issue.kind === "Transformation" ? [leaf(issue, path)] : walk(issue.issue, path, issue.ast)
    case "Composite": {
      const issues = listOf<ParseResult.ParseIssue>(issue.issues)
      const unknown = unknownLiteral(issue.ast, issue.actual, path)
      if (unknown !== null) return [unknown]
      if (inner(issue.ast)._tag !== "Union") return issues.flatMap((each) => walk(each, path, issue.ast))
      // Of several alternatives the one that comes nearest is explained.
      const alternatives = issues.map((each) => walk(each, path, issue.ast))
      const best = alternatives.reduce((a, b) => rank(b, path) < rank(a, path) ? b : a)
      if (alternatives.length > 1 && best.some((fault) => fault.path.length === path.length)) {
        return [{ path, message: `expected ${described(issue.ast)}, found ${shown(issue.actual)}`, hint: null }]
      }
      return best
    }
  }
}

/** Every fault that decoding found. */
export const documentFaults = (issue: ParseResult.ParseIssue, schema: SchemaAST.AST): ReadonlyArray<DocumentFault> =>
  walk(issue, [], schema)

/** A fault's place as it is written: `trigger.table.rows[3][1]`. */
export const showPath = (path: Path): string =>
  path.reduce<string>(
    (text, part) => typeof part === "number" ? `${text}[${part}]` : text === "" ? part : `${text}.${part}`,
    ""
  )

/** Whether a value is nested deeper than `max`: asked before anything recursive touches it. */
export const deeperThan = (value: unknown, max: number): boolean => {
  let level: ReadonlyArray<unknown> = [value]
  for (let depth = 0; depth <= max; depth++) {
    level = level.flatMap((each) => typeof each === "object" && each !== null ? Object.values(each) : [])
    if (level.length === 0) return false
  }
  return true
}
