/**
 * One condition cell of a decision table: what its text means, and which values it admits, so that overlaps and dead rows
 * can be found. What cannot be known (CEL) is `Opaque` and compared by its text alone.
 */
import { Either } from "effect"
import type { RuleScalar } from "./Rule.ts"

/** Most alternatives (`a | b | c`) of one cell. */
export const alternativesMax = 100

/** The values that a cell admits. */
export type CellSet =
  | { readonly _tag: "Any" }
  | { readonly _tag: "Values"; readonly values: ReadonlySet<RuleScalar> }
  | { readonly _tag: "AllBut"; readonly values: ReadonlySet<RuleScalar> }
  /** Numbers between two ends; each end may be included. */
  | {
    readonly _tag: "Interval"
    readonly low: number
    readonly lowIncluded: boolean
    readonly high: number
    readonly highIncluded: boolean
  }
  | { readonly _tag: "Opaque"; readonly source: string }

export const any: CellSet = { _tag: "Any" }

/** Whether a value of the column is admitted; never asked of an `Opaque` cell. */
export const admits = (set: CellSet, value: RuleScalar): boolean => {
  switch (set._tag) {
    case "Any":
      return true
    case "Values":
      return set.values.has(value)
    case "AllBut":
      return !set.values.has(value)
    case "Interval":
      return typeof value === "number" &&
        (set.lowIncluded ? value >= set.low : value > set.low) &&
        (set.highIncluded ? value <= set.high : value < set.high)
    case "Opaque":
      return false
  }
}

/** Whether no value at all is admitted. */
export const isEmpty = (set: CellSet): boolean => {
  if (set._tag === "Values") return set.values.size === 0
  if (set._tag !== "Interval") return false
  return set.low > set.high || (set.low === set.high && !(set.lowIncluded && set.highIncluded))
}

/** Whether every value that `inner` admits is certainly admitted by `outer` too; false also when it cannot be known. */
export const covers = (outer: CellSet, inner: CellSet): boolean => {
  if (outer._tag === "Any") return true
  if (outer._tag === "Opaque") return inner._tag === "Opaque" && inner.source === outer.source
  switch (inner._tag) {
    case "Any":
    case "Opaque":
      return false
    case "Values":
      return [...inner.values].every((value) => admits(outer, value))
    case "AllBut":
      return outer._tag === "AllBut" && [...outer.values].every((value) => inner.values.has(value))
    case "Interval":
      if (outer._tag === "AllBut") return [...outer.values].every((value) => !admits(inner, value))
      if (outer._tag === "Values") {
        return inner.low === inner.high && inner.lowIncluded && inner.highIncluded && outer.values.has(inner.low)
      }
      return (outer.low < inner.low || (outer.low === inner.low && (outer.lowIncluded || !inner.lowIncluded))) &&
        (outer.high > inner.high || (outer.high === inner.high && (outer.highIncluded || !inner.highIncluded)))
  }
}

/** An interval of more than one number always holds one besides a few values. */
const leavesSome = (interval: CellSet & { readonly _tag: "Interval" }, but: CellSet): boolean =>
  !isEmpty(interval) && (interval.low < interval.high || admits(but, interval.low))

/** Whether some value is certainly admitted by both; false also when it cannot be known. */
export const meets = (a: CellSet, b: CellSet): boolean => {
  if (a._tag === "Opaque" || b._tag === "Opaque") {
    return a._tag === "Opaque" && b._tag === "Opaque" && a.source === b.source
  }
  if (a._tag === "Any") return !isEmpty(b)
  if (b._tag === "Any") return !isEmpty(a)
  if (a._tag === "Values") return [...a.values].some((value) => admits(b, value))
  if (b._tag === "Values") return [...b.values].some((value) => admits(a, value))
  if (a._tag === "AllBut" && b._tag === "AllBut") {
    // Of true and false nothing may be left.
    return [...a.values, ...b.values].some((value) => typeof value !== "boolean")
  }
  if (a._tag === "AllBut") return b._tag === "Interval" && leavesSome(b, a)
  if (b._tag === "AllBut") return leavesSome(a, b)
  const low = Math.max(a.low, b.low)
  const high = Math.min(a.high, b.high)
  return !isEmpty({
    _tag: "Interval",
    low,
    lowIncluded: (a.low < low || a.lowIncluded) && (b.low < low || b.lowIncluded),
    high,
    highIncluded: (a.high > high || a.highIncluded) && (b.high > high || b.highIncluded)
  })
}

/** What a column compares: known from the type of its header's expression. */
export type ColumnType = "string" | "number" | "boolean" | "dyn"

/** What is wrong with a cell's text. */
export interface CellFault {
  readonly message: string
  readonly hint: string | null
}

const number = /^[+-]?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?$/

const fault = (
  message: string,
  hint: string | null
): Either.Either<never, CellFault> => Either.left({ message, hint })

/** A literal as it is written in a cell: a number, true or false, "quoted text" or plain text. */
export const literal = (
  text: string,
  type: ColumnType
): Either.Either<RuleScalar, CellFault> => {
  if (text.length >= 2 && text.startsWith("\"") && text.endsWith("\"")) {
    if (type === "number" || type === "boolean") {
      return fault(`${text} is text, the column holds a ${type}`, "leave out the quotes")
    }
    try {
      const parsed: unknown = JSON.parse(text)
      return typeof parsed === "string" ? Either.right(parsed) : fault(`${text} is not text`, null)
    } catch {
      return fault(`${text} is badly quoted`, "write \\\" for a quote inside quotes")
    }
  }
  if (type === "string") return Either.right(text)
  const plain = text.normalize("NFKC")
  if (type === "number" || (type === "dyn" && number.test(text))) {
    if (number.test(text) && Number.isFinite(Number(text))) return Either.right(Number(text))
    const grouped = plain.replaceAll(",", "")
    return fault(
      `${text} is not a number`,
      number.test(grouped) ? `write ${grouped}` : plain.endsWith("%") ? "write 0.1 for 10%" : null
    )
  }
  const lower = text.toLowerCase()
  if (type === "boolean" || lower === "true" || lower === "false") {
    if (lower === "true" || lower === "false") return Either.right(lower === "true")
    return fault(`${text} is neither true nor false`, null)
  }
  return Either.right(text)
}

const comparison = /^(<=|>=|==|!=|<|>)\s*(.*)$/su
const range = /^(\S+)\s*\.\.\s*(\S+)$/u

const interval = (low: number, lowIncluded: boolean, high: number, highIncluded: boolean): CellSet => ({
  _tag: "Interval",
  low,
  lowIncluded,
  high,
  highIncluded
})

/**
 * What a cell of a column admits. Empty, `-` and `*` admit everything; `< 10`, `>= 0.5`, `!= red` compare; `10..20` is a range
 * with both ends included; `red | blue` are alternatives; anything else is a literal. Text with such characters is quoted.
 */
export const cellSet = (
  text: string,
  type: ColumnType
): Either.Either<CellSet, CellFault> => {
  const cell = text.trim()
  if (cell === "" || cell === "-" || cell === "*") return Either.right(any)
  const compared = comparison.exec(cell)
  if (compared !== null) {
    const operator = compared[1] ?? ""
    const rest = compared[2] ?? ""
    if (operator === "==" || operator === "!=") {
      return Either.map(
        alternatives(rest, type),
        (values) => ({ _tag: operator === "==" ? "Values" : "AllBut", values })
      )
    }
    if (type === "string" || type === "boolean") {
      return fault(
        `${operator} compares numbers, the column holds ${type === "string" ? "text" : "true or false"}`,
        "use == or !="
      )
    }
    return Either.map(Either.flatMap(literal(rest, "number"), asNumber), (bound) => {
      switch (operator) {
        case "<":
          return interval(-Infinity, true, bound, false)
        case "<=":
          return interval(-Infinity, true, bound, true)
        case ">":
          return interval(bound, false, Infinity, true)
        default:
          return interval(bound, true, Infinity, true)
      }
    })
  }
  const ends = type === "string" || type === "boolean" || cell.startsWith("\"") ? null : range.exec(cell)
  if (ends !== null) {
    return Either.flatMap(
      Either.all([literal(ends[1] ?? "", "number"), literal(ends[2] ?? "", "number")]),
      ([low, high]) =>
        typeof low === "number" && typeof high === "number" ?
          Either.right(interval(low, true, high, true)) :
          fault(`${cell} is not a range of numbers`, null)
    )
  }
  return Either.map(alternatives(cell, type), (values) => ({ _tag: "Values", values }))
}

const asNumber = (value: RuleScalar) =>
  typeof value === "number" ? Either.right(value) : fault(`${value} is not a number`, null)

const alternatives = (
  text: string,
  type: ColumnType
): Either.Either<ReadonlySet<RuleScalar>, CellFault> => {
  const parts = text.trim().match(/"(?:[^"\\]|\\.)*"|[^|]+/gu) ?? []
  if (parts.length === 0) return fault("a value is missing", null)
  if (parts.length > alternativesMax) return fault(`more than ${alternativesMax} alternatives`, "use several rows")
  return Either.map(
    Either.all(parts.map((part) => part.trim()).filter((part) => part !== "").map((part) => literal(part, type))),
    (values) => new Set(values)
  )
}
