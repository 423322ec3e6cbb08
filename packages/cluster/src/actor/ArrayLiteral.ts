/**
 * Rows as PostgreSQL's array literals, a text per column. The driver would make the same of arrays of values, in three times
 * the time: it knows no column's type and looks for what must be escaped in numbers too.
 */
import type { ColumnType, Row, Value } from "./Table.ts"

export type Columns = ReadonlyArray<readonly [string, ColumnType]>

/** Each in a pass of its own, since the engine has a fast way for one letter and none for a choice of two. */
const backslash = /\\/g
const quote = /"/g

const quoted = (text: string): string => {
  const whole = text.includes("\\") ? text.replace(backslash, "\\\\") : text
  return `"${whole.includes("\"") ? whole.replace(quote, "\\\"") : whole}"`
}

/** One element of an array literal; text is quoted whatever it says, so that none of it is taken for structure or NULL. */
const element = (type: ColumnType, value: Value | undefined): string =>
  value === undefined || value === null
    ? "NULL"
    : type === "json" || typeof value === "object"
    ? quoted(JSON.stringify(value))
    : typeof value === "string"
    ? quoted(value)
    : String(value)

/**
 * Collects rows, one list per column. What a column repeats from one row to the next (the units of a run differ in the member
 * alone) is written once.
 */
export class ArrayColumns {
  private readonly columns: Columns
  private readonly elements: ReadonlyArray<Array<string>>
  private readonly last: Array<Value | undefined>
  private readonly lastElement: Array<string>
  private rows = 0

  constructor(columns: Columns) {
    this.columns = columns
    this.elements = columns.map(() => [])
    this.last = columns.map(() => null)
    this.lastElement = columns.map(() => "NULL")
  }

  get empty(): boolean {
    return this.rows === 0
  }

  /** Adds a row; columns that it does not have are null. Throws for what has no text, and is then not to be used any more. */
  add(row: Row): void {
    for (let i = 0; i < this.columns.length; i++) {
      const [name, type] = this.columns[i]!
      const value = row[name]
      if (value !== this.last[i]) {
        this.lastElement[i] = element(type, value)
        this.last[i] = value
      }
      this.elements[i]!.push(this.lastElement[i]!)
    }
    this.rows++
  }

  /** A literal per column, in the order of the columns. */
  get literals(): ReadonlyArray<string> {
    return this.elements.map((elements) => `{${elements.join(",")}}`)
  }
}
