/**
 * Decision tables: what the Excel sheets of old were. Rows of conditions with the parameters that follow from them, given as
 * cells (a CSV parser's output), for triggers and for member filters.
 *
 * The header row says what each column is:
 *   when: EXPRESSION   cells are compared with the value of a CEL expression: `tops`, `< 0.9`, `10..20`, `red | blue`, `!= red`
 *   when               cells are CEL conditions
 *   then: NAME         a parameter that the row sets: a literal, or `cel: EXPRESSION`
 *   priority           a whole number, for the hit policy `priority`
 *   note               not judged
 * A cell of any `when` column may also be `cel: CONDITION`; empty, `-` and `*` admit everything.
 *
 * Hit policies: `first` (the first row that matches), `priority` (of those that match the one with the highest priority, the
 * earlier of equals), `all` (every matching row; where two set the same parameter the later row wins).
 */
import { Either, Schema } from "effect"
import { Text } from "../Identifier.ts"
import type { Attributes } from "./Event.ts"
import { compile, compileExpression, type Rule, type RuleExpression, type RuleInputs, type RuleScalar } from "./Rule.ts"
import type { RuleError } from "./RuleError.ts"
import type { RuleScope } from "./RuleScope.ts"
import { hintFor } from "./Spelling.ts"
import { admits, any, type CellSet, cellSet, type ColumnType, covers, isEmpty, literal, meets } from "./TableCell.ts"

/** Most rows of a table, header included, and most columns. */
export const rowsMax = 1_001
export const columnsMax = 50
/** Most characters of all cells together. */
export const tableLengthMax = 200_000
/** Most that judging one event by the whole table may cost, see `RuleCost`; about 10 ms in the worst case. */
export const tableCostMax = 200_000
/** Pairs of cells compared at most in the search for overlaps and dead rows; past it the search ends. */
export const comparisonsMax = 2_000_000
/** Overlaps and dead rows listed at most: a table with more has one cause for all of them. */
export const findingsMax = 100

export const HitPolicy = Schema.Literal("first", "all", "priority")
export type HitPolicy = typeof HitPolicy.Type

export const DecisionTable = Schema.Struct({
  hit: HitPolicy,
  /** Rows of cells; the first is the header. */
  rows: Schema.Array(Schema.Array(Text(2_000)).pipe(Schema.maxItems(columnsMax))).pipe(
    Schema.minItems(2),
    Schema.maxItems(rowsMax),
    Schema.filter((rows) => {
      const length = rows.reduce((sum, row) => sum + row.reduce((cells, cell) => cells + cell.length, 0), 0)
      return length <= tableLengthMax || `${length} characters, at most ${tableLengthMax} are allowed`
    })
  )
}).annotations({ identifier: "DecisionTable" })
export type DecisionTable = typeof DecisionTable.Type

/** What is wrong with a table, and where: `row` 0 is the header, as in the sheet's own order; `column` from 0. */
export interface TableFault {
  readonly _tag: "TableFault"
  readonly row: number
  readonly column: number
  readonly message: string
  readonly hint: string | null
}

/** Rows that deserve a second look. Conservative: only what the literals prove is reported, never a guess about CEL. */
export type TableFinding =
  /** The row can never decide: it admits nothing, or the rows named always decide before it. */
  | { readonly _tag: "DeadRow"; readonly row: number; readonly because: number | null }
  /** Both rows match for some values; `wins` decides, or null when both count (`all`) and set one parameter differently. */
  | { readonly _tag: "Overlap"; readonly rows: readonly [number, number]; readonly wins: number | null }

export type TableOutcome =
  /** `rows`: the rows that decided, counted as in the sheet (header 0). */
  | { readonly _tag: "Hit"; readonly rows: ReadonlyArray<number>; readonly parameters: Attributes }
  /** `reason`: why some cell could not be judged, if that may have kept a row from matching. */
  | { readonly _tag: "NoHit"; readonly reason: string | null }

export interface CompiledTable {
  readonly judge: (inputs: RuleInputs) => TableOutcome
  readonly findings: ReadonlyArray<TableFinding>
  /** Names of the parameters that rows set. */
  readonly parameters: ReadonlyArray<string>
}

type Column =
  | { readonly _tag: "Compare"; readonly expression: RuleExpression | null; readonly type: ColumnType }
  | { readonly _tag: "Condition" }
  | { readonly _tag: "Parameter"; readonly name: string }
  | { readonly _tag: "Priority" }
  | { readonly _tag: "Note" }

interface Cell {
  readonly column: number
  readonly set: CellSet
  readonly rule: Rule | null
}
interface Row {
  readonly at: number
  /** Cells that admit everything are left out. */
  readonly cells: ReadonlyArray<Cell>
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly value: RuleScalar | RuleExpression }>
  readonly priority: number
}

const headers = ["when: EXPRESSION", "when", "then: NAME", "priority", "note"]
const parameterName = /^[A-Za-z_][A-Za-z0-9_]{0,63}$/

/** Compiles a table; every fault is reported, not only the first. */
export const compileTable = (
  table: DecisionTable,
  scope: RuleScope
): Either.Either<CompiledTable, ReadonlyArray<TableFault>> => {
  const faults: Array<TableFault> = []
  const fault = (row: number, column: number, message: string, hint: string | null): undefined => {
    faults.push({ _tag: "TableFault", row, column, message, hint })
  }
  const broken = (row: number, column: number, offset: number, error: RuleError): undefined =>
    fault(row, column, `${error.message} (at character ${error.start + offset})`, error.hint)

  const header = table.rows[0] ?? []
  const columns = header.map((cell, at): Column => {
    const text = cell.trim()
    const [, kind, rest] = /^(when|then)\s*:\s*(.*)$/isu.exec(text) ?? []
    if (kind?.toLowerCase() === "when") {
      const compiled = compileExpression(rest ?? "", scope)
      if (Either.isRight(compiled)) return { _tag: "Compare", expression: compiled.right, type: compiled.right.type }
      broken(0, at, cell.indexOf(rest ?? ""), compiled.left)
      return { _tag: "Compare", expression: null, type: "dyn" }
    }
    if (kind !== undefined) {
      const name = (rest ?? "").trim()
      if (!parameterName.test(name)) {
        fault(0, at, `${name} is not a parameter's name`, "letters, digits and _, e.g. then: headline")
      }
      return { _tag: "Parameter", name }
    }
    switch (text.toLowerCase()) {
      case "when":
        return { _tag: "Condition" }
      case "priority":
        return { _tag: "Priority" }
      case "note":
        return { _tag: "Note" }
    }
    fault(0, at, `the header ${JSON.stringify(text.slice(0, 60))} is not known`, hintFor(text, headers))
    return { _tag: "Note" }
  })

  const names = columns.flatMap((column) => column._tag === "Parameter" ? [column.name] : [])
  for (const [at, column] of columns.entries()) {
    if (column._tag !== "Parameter") continue
    if (columns.findIndex((other) => other._tag === "Parameter" && other.name === column.name) !== at) {
      fault(0, at, `two columns set ${column.name}`, null)
    }
  }
  if (!columns.some((column) => column._tag === "Compare" || column._tag === "Condition")) {
    fault(0, 0, "no column has a condition", "write when: EXPRESSION in the header")
  }
  const priorities = columns.filter((column) => column._tag === "Priority").length
  if (table.hit === "priority" && priorities !== 1) {
    fault(0, 0, "the hit policy priority needs one column named priority", null)
  }
  if (table.hit !== "priority" && priorities > 0) {
    fault(
      0,
      columns.findIndex((column) => column._tag === "Priority"),
      `the hit policy ${table.hit} knows no priority`,
      "use note, or the hit policy priority"
    )
  }

  const conditionOf = (row: number, at: number, text: string, offset: number): Cell | undefined => {
    const compiled = compile(text, scope)
    if (Either.isLeft(compiled)) return broken(row, at, offset, compiled.left)
    return { column: at, set: { _tag: "Opaque", source: text.replace(/\s+/gu, " ").trim() }, rule: compiled.right }
  }

  const rows = table.rows.slice(1).map((cells, index): Row => {
    const row = index + 1
    if (cells.length !== columns.length) {
      fault(
        row,
        Math.min(cells.length, columns.length),
        `${cells.length} cells under ${columns.length} headers`,
        "a comma too many or too few?"
      )
    }
    const conditions: Array<Cell> = []
    const parameters: Array<{ name: string; value: RuleScalar | RuleExpression }> = []
    let priority = 0
    for (const [at, column] of columns.slice(0, cells.length).entries()) {
      const cell = cells[at] ?? ""
      const text = cell.trim()
      const cel = /^cel\s*:/iu.exec(text)
      const source = cel === null ? text : text.slice(cel[0].length)
      const offset = cell.length - cell.trimStart().length + (cel?.[0].length ?? 0)
      switch (column._tag) {
        case "Note":
          break
        case "Priority": {
          const value = Number(text)
          if (text === "" || !Number.isSafeInteger(value)) {
            fault(row, at, `${JSON.stringify(text)} is not a whole number`, null)
          } else priority = value
          break
        }
        case "Parameter": {
          if (text === "") break
          if (cel === null) {
            const value = literal(text, "dyn")
            if (Either.isLeft(value)) fault(row, at, value.left.message, value.left.hint)
            else parameters.push({ name: column.name, value: value.right })
          } else {
            const compiled = compileExpression(source, scope)
            if (Either.isLeft(compiled)) broken(row, at, offset, compiled.left)
            else parameters.push({ name: column.name, value: compiled.right })
          }
          break
        }
        case "Condition": {
          if (text === "" || text === "-" || text === "*") break
          const condition = conditionOf(row, at, source, offset)
          if (condition !== undefined) conditions.push(condition)
          break
        }
        case "Compare": {
          if (cel !== null) {
            const condition = conditionOf(row, at, source, offset)
            if (condition !== undefined) conditions.push(condition)
            break
          }
          const set = cellSet(cell, column.type)
          if (Either.isLeft(set)) fault(row, at, set.left.message, set.left.hint)
          else if (set.right._tag !== "Any") conditions.push({ column: at, set: set.right, rule: null })
        }
      }
    }
    return { at: row, cells: conditions, parameters, priority }
  })
  const expressions = columns.map((column) => column._tag === "Compare" ? column.expression : null)
  const cost = [...expressions, ...rows.flatMap((row) => row.cells.map((cell) => cell.rule))]
    .reduce((sum, each) => sum + (each?.cost ?? 0), 0)
  if (cost > tableCostMax) {
    fault(
      0,
      0,
      `one judgement may take ${Math.ceil(cost)} steps, at most ${tableCostMax} are allowed`,
      "write what the cells have in common once, as when: EXPRESSION in the header"
    )
  }
  if (faults.length > 0) return Either.left(faults)

  // Judged in the order in which a row can win; Array.sort keeps the order of equals.
  const order = table.hit === "priority" ? [...rows].sort((a, b) => b.priority - a.priority) : rows
  return Either.right({
    judge: (inputs) => judge(order, expressions, table.hit, inputs),
    findings: findings(order, table.hit),
    parameters: names
  })
}

const judge = (
  rows: ReadonlyArray<Row>,
  expressions: ReadonlyArray<RuleExpression | null>,
  hit: HitPolicy,
  inputs: RuleInputs
): TableOutcome => {
  // Each column's expression is evaluated once, and only when a row needs it.
  const values: Array<RuleScalar | undefined> = []
  const judged: Array<boolean> = []
  let reason: string | null = null
  const holds = (cell: Cell): boolean => {
    if (cell.rule !== null) {
      const outcome = cell.rule.test(inputs)
      if (outcome._tag === "Matched") return true
      reason ??= outcome.reason
      return false
    }
    if (judged[cell.column] !== true) {
      judged[cell.column] = true
      const result = expressions[cell.column]?.value(inputs)
      if (result?._tag === "Value") values[cell.column] = result.value
      else reason ??= result?.reason ?? null
    }
    const value = values[cell.column]
    return value !== undefined && admits(cell.set, value)
  }
  const hits: Array<number> = []
  const parameters: Record<string, RuleScalar> = {}
  for (const row of rows) {
    if (!row.cells.every(holds)) continue
    hits.push(row.at)
    for (const { name, value } of row.parameters) {
      if (typeof value !== "object") parameters[name] = value
      else {
        const result = value.value(inputs)
        if (result._tag === "Value") parameters[name] = result.value
        else return { _tag: "NoHit", reason: `row ${row.at} has no value for ${name}: ${result.reason}` }
      }
    }
    if (hit !== "all") break
  }
  return hits.length > 0 ? { _tag: "Hit", rows: hits, parameters } : { _tag: "NoHit", reason }
}

/** A row's cell of a column. */
const setIn = (row: Row, column: number): CellSet => row.cells.find((cell) => cell.column === column)?.set ?? any

const sameParameters = (a: Row, b: Row): boolean =>
  a.parameters.length === b.parameters.length &&
  a.parameters.every(({ name, value }) =>
    b.parameters.some((other) =>
      other.name === name &&
      (typeof value === "object" && typeof other.value === "object" ?
        value.source === other.value.source :
        value === other.value)
    )
  )

const conflicting = (a: Row, b: Row): boolean =>
  a.parameters.some(({ name, value }) =>
    b.parameters.some((other) => other.name === name && typeof value !== "object" && value !== other.value)
  )

/** `order` is the order in which rows can win. */
const findings = (order: ReadonlyArray<Row>, hit: HitPolicy): ReadonlyArray<TableFinding> => {
  const found: Array<TableFinding> = []
  let left = comparisonsMax
  /** Whether `outer` certainly matches whenever `inner` does. */
  const rowCovers = (outer: Row, inner: Row): boolean => {
    left -= outer.cells.length + 1
    return outer.cells.every((cell) => covers(cell.set, setIn(inner, cell.column)))
  }
  const rowsMeet = (a: Row, b: Row): boolean => {
    left -= a.cells.length + b.cells.length
    return a.cells.every((cell) => meets(cell.set, setIn(b, cell.column))) &&
      b.cells.every((cell) => meets(cell.set, setIn(a, cell.column)))
  }
  const alive: Array<Row> = []
  for (const row of order) {
    if (found.length >= findingsMax || left <= 0) break
    if (row.cells.some((cell) => isEmpty(cell.set))) {
      found.push({ _tag: "DeadRow", row: row.at, because: null })
      continue
    }
    const covering = hit === "all" ? undefined : alive.find((other) => left > 0 && rowCovers(other, row))
    if (covering !== undefined) {
      found.push({ _tag: "DeadRow", row: row.at, because: covering.at })
      continue
    }
    for (const other of alive) {
      if (found.length >= findingsMax || left <= 0) break
      if (hit === "all" ? !conflicting(other, row) : sameParameters(other, row)) continue
      // A later row that catches the rest is how tables are written, not a mistake.
      if (hit !== "all" && rowCovers(row, other)) continue
      if (rowsMeet(other, row)) {
        const rows = [Math.min(other.at, row.at), Math.max(other.at, row.at)] as const
        found.push({ _tag: "Overlap", rows, wins: hit === "all" ? null : other.at })
      }
    }
    alive.push(row)
  }
  return found
}
