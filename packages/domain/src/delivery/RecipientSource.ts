/**
 * Where a request takes its recipients from when nobody sends them row by row: a table or view that operators have
 * registered, or a segment of the shop's members. Read page by page in the order of a key. Pure.
 */
import { Schema } from "effect"
import { SourceId, Text } from "../Identifier.ts"
import { faultOf, needs, Segment } from "../marketing/Segment.ts"
import { parametersMax } from "./Request.ts"

/** Longest name of a column, a relation or a schema, in characters: PostgreSQL cuts off longer ones. */
const nameMax = 63
/** A name as the database has it, upper and lower case as it is there. It is quoted wherever it is used. */
const DatabaseName = Text(nameMax).pipe(Schema.minLength(1))

/** What a request names. A registered table by its name; a segment as campaigns have it, without `$event`. */
export const RecipientSource = Schema.Union(
  Schema.TaggedStruct("Table", { table: SourceId }),
  Schema.TaggedStruct("Segment", { segment: Segment })
).annotations({ identifier: "RecipientSource" })
export type RecipientSource = typeof RecipientSource.Type

/**
 * A table or view of which requests may take recipients. `key`: a column that is unique, never null, and in whose order it
 * is read. `address` or `member`: the column that says whom a row means. `parameters`: columns that templates may use, by
 * their own names.
 */
export const RecipientTable = Schema.Struct({
  schema: DatabaseName,
  relation: DatabaseName,
  key: DatabaseName,
  address: Schema.optional(DatabaseName),
  member: Schema.optional(DatabaseName),
  parameters: Schema.Array(DatabaseName).pipe(Schema.maxItems(parametersMax))
})
export type RecipientTable = typeof RecipientTable.Type

/** What is wrong with a registration beyond its form: where and why; null if nothing is. */
export const tableFaultOf = (table: RecipientTable): { readonly path: string; readonly reason: string } | null => {
  if ((table.address === undefined) === (table.member === undefined)) {
    const reason = table.address === undefined ? "give an address or a member column" : "give one of the two, not both"
    return { path: "address", reason }
  }
  for (const [index, name] of table.parameters.entries()) {
    const path = `parameters[${index}]`
    if (name === "address" || name === "member") return { path, reason: "no parameter can have this name" }
    if (table.parameters.indexOf(name) < index) return { path, reason: "it is named before" }
  }
  return null
}

/** What is wrong with a segment as a source of recipients; null if nothing is. */
export const segmentFaultOf = (segment: Segment): string | null => {
  const { member, product } = needs(segment)
  return faultOf(segment) ?? (member || product ? "it speaks of an event; a request has none" : null)
}

/** Longest key of a row, in characters. */
export const keyMax = 512
