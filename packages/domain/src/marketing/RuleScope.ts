/**
 * What a rule can see. A trigger's condition: `event`, `product` and `now`. A member filter, judged where the member's data
 * lives: `member`, `parameters` (what the trigger handed on) and `now`. The event's fields are derived from its schema, so
 * that a new event type is known to rules without a second list.
 */
import { SchemaAST } from "effect"
import { type Attributes, type Event, eventType, Happening } from "./Event.ts"

/** Type of a field in CEL. Numbers of a `double` field are JavaScript numbers, of an `int` field bigints. */
export type FieldType = "string" | "int" | "double" | "bool" | "timestamp" | "list<string>" | "map<string, dyn>"
export type Fields = Readonly<Record<string, FieldType>>

/** Fields of a registered custom event type's `data`. */
export type CustomFields = Readonly<Record<string, "string" | "number" | "boolean">>
/** Registered custom event types by their name without the prefix `custom.`. */
export type CustomTypes = Readonly<Record<string, CustomFields>>

/** Which variables exist where a rule is judged. */
export type RuleScope =
  | {
    readonly _tag: "Trigger"
    /** The event's type as campaigns name it (`PriceChanged`, `custom.review_posted`). */
    readonly event: string
    /** Fields of `event.data` of a custom event; null when it is not one. */
    readonly data: CustomFields | null
  }
  | { readonly _tag: "Filter" }

/** The scope of member filters. */
export const filterScope: RuleScope = { _tag: "Filter" }

/** A product as the catalogue knows it. */
export interface RuleProduct {
  readonly id: string
  readonly name: string | null
  readonly price: number | null
  readonly category: string | null
  readonly brand: string | null
  /** Pieces that can still be allocated; null when not known. */
  readonly stock: number | null
  readonly attributes: Attributes
}

/** A member as filters see it. */
export interface RuleMember {
  readonly id: string
  readonly language: string | null
  readonly timeZone: string | null
  readonly attributes: Attributes
  /** By channel; a channel that is missing was never consented to. */
  readonly consents: Readonly<Record<string, boolean>>
}

/** Classes by which CEL tells the variables' types apart. */
export class EventView {
  constructor(fields: Readonly<Record<string, unknown>>) {
    Object.assign(this, fields)
  }
}
export class ProductView {
  constructor(fields: Readonly<Record<string, unknown>>) {
    Object.assign(this, fields)
  }
}
export class MemberView {
  constructor(fields: Readonly<Record<string, unknown>>) {
    Object.assign(this, fields)
  }
}

export const productFields: Fields = {
  id: "string",
  name: "string",
  price: "double",
  category: "string",
  brand: "string",
  stock: "int",
  attributes: "map<string, dyn>"
}
export const memberFields: Fields = {
  id: "string",
  language: "string",
  timeZone: "string",
  attributes: "map<string, dyn>",
  consents: "map<string, dyn>"
}

const fieldType = (ast: SchemaAST.AST): FieldType => {
  switch (ast._tag) {
    case "StringKeyword":
    case "TemplateLiteral":
      return "string"
    case "Literal":
      return typeof ast.literal === "string" ? "string" : typeof ast.literal === "boolean" ? "bool" : "double"
    case "NumberKeyword":
      return "double"
    case "BooleanKeyword":
      return "bool"
    case "Refinement": {
      const json = SchemaAST.getJSONSchemaAnnotation(ast)
      if (json._tag === "Some" && "type" in json.value && json.value.type === "integer") return "int"
      return fieldType(ast.from)
    }
    case "Transformation":
      return fieldType(ast.to)
    case "TupleType":
      return "list<string>"
    case "Union": {
      const kinds = new Set(ast.types.filter((type) => type._tag !== "UndefinedKeyword").map(fieldType))
      const [only] = kinds
      return kinds.size === 1 && only !== undefined ? only : "map<string, dyn>"
    }
    default:
      return "map<string, dyn>"
  }
}

/** Fields that every event has. `source` and `id` are left out: a rule that depends on them is a mistake. */
const commonFields: Fields = { type: "string", at: "timestamp" }

const fieldsByTag: ReadonlyMap<string, Fields> = new Map(
  Happening.members.map((member) => {
    const fields: Record<string, FieldType> = { ...commonFields }
    let tag = ""
    for (const property of SchemaAST.getPropertySignatures(member.ast)) {
      const name = String(property.name)
      if (name === "_tag") {
        if (property.type._tag === "Literal") tag = String(property.type.literal)
      } else fields[name] = fieldType(property.type)
    }
    fields["type"] = "string"
    return [tag, fields]
  })
)

const customPrefix = "custom."
const tagOf = (type: string): string => type.startsWith(customPrefix) ? "Custom" : type

/** Every event type a campaign can name; of custom ones those registered. */
export const knownEventTypes = (custom: CustomTypes): ReadonlyArray<string> => [
  ...[...fieldsByTag.keys()].filter((tag) => tag !== "Custom"),
  ...Object.keys(custom).map((name) => customPrefix + name)
]

/** The scope of an event type's conditions, or undefined when there is no such type. */
export const triggerScope = (type: string, custom: CustomTypes): RuleScope | undefined => {
  if (!type.startsWith(customPrefix)) {
    return type !== "Custom" && fieldsByTag.has(type) ? { _tag: "Trigger", event: type, data: null } : undefined
  }
  const name = type.slice(customPrefix.length)
  const data = Object.hasOwn(custom, name) ? custom[name] : undefined
  return data === undefined ? undefined : { _tag: "Trigger", event: type, data }
}

/** The fields of `event` in a scope. */
export const eventFields = (type: string): Fields => fieldsByTag.get(tagOf(type)) ?? commonFields

/** Whether events of the type are about a product (for some custom ones: may be). */
export const hasProduct = (type: string): boolean => Object.hasOwn(eventFields(type), "product")

/** A variable: an object with known fields, a map of which nothing is known beforehand, or an instant. */
export type Variable =
  | { readonly _tag: "Object"; readonly fields: Fields }
  | { readonly _tag: "Map" }
  | { readonly _tag: "Instant" }

/** The variables of a scope. */
export const variablesOf = (scope: RuleScope): Readonly<Record<string, Variable>> => {
  if (scope._tag === "Filter") {
    return { member: { _tag: "Object", fields: memberFields }, parameters: { _tag: "Map" }, now: { _tag: "Instant" } }
  }
  const event: Variable = { _tag: "Object", fields: eventFields(scope.event) }
  return hasProduct(scope.event) ?
    { event, product: { _tag: "Object", fields: productFields }, now: { _tag: "Instant" } } :
    { event, now: { _tag: "Instant" } }
}

/** The fields of a variable that has known ones. */
export const fieldsOf = (scope: RuleScope, variable: string): Fields | undefined => {
  const found = variablesOf(scope)[variable]
  return found?._tag === "Object" ? found.fields : undefined
}

const celValue = (value: unknown, type: FieldType): unknown => {
  if (value === undefined || value === null) return undefined
  if (type === "int") return typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : undefined
  return value
}

/** The event as CEL sees it. Made once per event, used for every campaign. */
export const eventView = (event: Pick<Event, "at" | "happening">): EventView => {
  const type = eventType(event.happening)
  const view: Record<string, unknown> = {}
  const fields = eventFields(type)
  const values: Readonly<Record<string, unknown>> = { ...event.happening }
  for (const name of Object.keys(fields)) {
    const value = celValue(values[name], fields[name] ?? "string")
    if (value !== undefined) view[name] = value
  }
  view["type"] = type
  view["at"] = new Date(event.at)
  return new EventView(view)
}

const viewOf = (fields: Fields, values: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const view: Record<string, unknown> = {}
  for (const name of Object.keys(fields)) {
    const value = celValue(values[name], fields[name] ?? "string")
    if (value !== undefined) view[name] = value
  }
  return view
}

export const productView = (product: RuleProduct): ProductView => new ProductView(viewOf(productFields, { ...product }))
export const memberView = (member: RuleMember): MemberView => new MemberView(viewOf(memberFields, { ...member }))
