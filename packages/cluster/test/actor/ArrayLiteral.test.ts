import { ArrayColumns } from "@hikyaku/cluster/actor/ArrayLiteral"
import type { ColumnType, Value } from "@hikyaku/cluster/actor/Table"
import * as fc from "fast-check"
import pg from "pg"
import { describe, expect, it } from "vitest"

/** The literal of one column with these values. */
const literal = (type: ColumnType, values: ReadonlyArray<Value>): string => {
  const columns = new ArrayColumns([["c", type]])
  for (const value of values) columns.add({ c: value })
  return columns.literals[0]!
}

/** The type text[]; the driver's own list has no arrays. */
const textArray: number = 1009
/** PostgreSQL's rules as its driver reads them. */
const read: (literal: string) => unknown = pg.types.getTypeParser(textArray)

/** Letters that mean something in a literal, among others. */
const text = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: fc.constantFrom("\"", "\\", "{", "}", ",", " ", "N", "\n") }),
  fc.constantFrom("", "NULL", "null", "{}")
)

describe("array literals", () => {
  it("say every text as it is, and nothing for null", () => {
    fc.assert(fc.property(fc.array(fc.option(text)), (values) => {
      expect(read(literal("text", values))).toEqual(values)
    }))
  })

  it("keep what claims to be a number or an id in its place", () => {
    // A value of another type than its column's is for the store to refuse, not for the literal to fall apart.
    for (const type of ["uuid", "integer", "double", "instant", "boolean"] as const) {
      expect(read(literal(type, ["1},{2", "3,4", "NULL"]))).toEqual(["1},{2", "3,4", "NULL"])
    }
  })

  it("say JSON as it would be parsed", () => {
    // As a text first, since what is to be said is what JSON can say: no zero has a sign there.
    fc.assert(fc.property(fc.array(fc.json()), (texts) => {
      const values = texts.filter((each) => each !== "null").map((each) => JSON.parse(each) as Value)
      const parsed = read(literal("json", values)) as ReadonlyArray<string>
      expect(parsed.map((each) => JSON.parse(each) as Value)).toEqual(
        values.map((each) => JSON.parse(JSON.stringify(each)) as Value)
      )
    }))
  })

  it("say numbers and truth without quotes, exactly", () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.double(), fc.maxSafeInteger())), (values) => {
      const numbers = (read(literal("double", values)) as ReadonlyArray<string>).map(Number)
      // A zero's sign is nothing that is kept.
      expect(numbers.map((each) => each + 0)).toEqual(values.map((each) => each + 0))
    }))
    expect(literal("boolean", [true, null, false])).toBe("{true,NULL,false}")
  })

  it("have a place for every row in every column", () => {
    const columns = new ArrayColumns([["a", "text"], ["b", "bigint"]])
    expect(columns.empty).toBe(true)
    columns.add({ a: "x", b: 1 })
    columns.add({ b: 2 })
    columns.add({})
    expect(columns.empty).toBe(false)
    expect(columns.literals).toEqual(["{\"x\",NULL,NULL}", "{1,2,NULL}"])
  })
})
