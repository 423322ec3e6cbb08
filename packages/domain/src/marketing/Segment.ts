/**
 * Segments: whom a campaign could address, as a tree of conditions on what members did, are and belong to. This predicate
 * and its compilation to SQL (`SegmentSql` of the cluster) mean the same; a property test holds the two together.
 *
 * Windows are exact: `withinDays: 7` reaches 7 x 24 hours back from now. Activities are kept per member, product and day; a
 * day counts as a whole, by the instant of its last activity.
 */
import { Schema } from "effect"
import { MemberId, ProductId, Text } from "../Identifier.ts"
import type { Attributes, Happening } from "./Event.ts"

/** Deepest nesting and most conditions of one segment. */
export const depthMax = 8
export const conditionsMax = 50
/** Furthest that a window may reach back, days. */
export const daysMax = 800

/** What members do, as it is aggregated per day. Favourites are no activity but a present state. */
export const Activity = Schema.Literal("viewed", "carted", "bought", "returned", "delivered", "opened", "clicked")
export type Activity = typeof Activity.Type

/** What an event counts as in the aggregation, or null when it is no activity of a member. */
export const activityOf = (happening: Happening): Activity | null => {
  switch (happening._tag) {
    case "Viewed":
      return "viewed"
    case "CartAdded":
      return "carted"
    case "Purchased":
      return "bought"
    case "Returned":
      return "returned"
    case "MessageFeedback":
      switch (happening.feedback) {
        case "delivered":
        case "opened":
        case "clicked":
          return happening.feedback
        default:
          return null
      }
    default:
      return null
  }
}

/** Stands for the product of the event that led here, or its category or brand. */
export const ofEvent = "$event"

/** A product, a category or a brand; `$event` is the event's own. */
export const Target = Schema.Union(
  Schema.Struct({ product: Schema.Union(Schema.Literal(ofEvent), ProductId) }),
  Schema.Struct({ category: Text(200).pipe(Schema.minLength(1)) }),
  Schema.Struct({ brand: Text(200).pipe(Schema.minLength(1)) })
).annotations({ identifier: "Target" })
export type Target = typeof Target.Type

const WithinDays = Schema.Int.pipe(Schema.between(1, daysMax))
const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/** Everybody who has not left. */
export const Everyone = Schema.TaggedStruct("Everyone", {})
/** Has the target among the favourites, since at most `withinDays`. Without a target: any product. */
export const Favourited = Schema.TaggedStruct("Favourited", { of: optional(Target), withinDays: optional(WithinDays) })
/** Did it at least `atLeast` times (default 1). Without a target: with any product, or with none. */
export const Did = Schema.TaggedStruct("Did", {
  activity: Activity,
  of: optional(Target),
  withinDays: optional(WithinDays),
  atLeast: optional(Schema.Int.pipe(Schema.between(1, 1_000_000)))
})
const AttributeName = Text(64).pipe(Schema.minLength(1))
/**
 * Compares an attribute. Missing attributes satisfy nothing, `ne` neither: "has another value". Order is for numbers; values
 * of different kinds are never equal.
 */
export const Attribute = Schema.TaggedStruct("Attribute", {
  name: AttributeName,
  is: Schema.Literal("eq", "ne", "lt", "le", "gt", "ge"),
  value: Schema.Union(Text(1_000), Schema.Number.pipe(Schema.finite()), Schema.Boolean)
})
/** Has the attribute at all. */
export const HasAttribute = Schema.TaggedStruct("HasAttribute", { name: AttributeName })
/** The attribute is one of the texts. */
export const AttributeIn = Schema.TaggedStruct("AttributeIn", {
  name: AttributeName,
  values: Schema.NonEmptyArray(Text(1_000)).pipe(Schema.maxItems(200))
})
export const Speaks = Schema.TaggedStruct("Speaks", { language: Schema.Literal("ja", "en") })
/** Is one of the members named. */
export const Members = Schema.TaggedStruct("Members", {
  ids: Schema.Array(MemberId).pipe(Schema.maxItems(1_000))
})
/** Is the member of the event that led here, e.g. the one whose cart lapsed. */
export const EventMember = Schema.TaggedStruct("EventMember", {})
/** Is on a list that was imported or kept by hand. */
export const OnList = Schema.TaggedStruct("OnList", { list: Text(64).pipe(Schema.minLength(1)) })

type Leaf =
  | typeof Everyone.Type
  | typeof Favourited.Type
  | typeof Did.Type
  | typeof Attribute.Type
  | typeof HasAttribute.Type
  | typeof AttributeIn.Type
  | typeof Speaks.Type
  | typeof OnList.Type
  | typeof Members.Type
  | typeof EventMember.Type

export type Segment =
  | Leaf
  | { readonly _tag: "All"; readonly of: ReadonlyArray<Segment> }
  | { readonly _tag: "Any"; readonly of: ReadonlyArray<Segment> }
  | { readonly _tag: "Not"; readonly of: Segment }

const children: Schema.Array$<Schema.Schema<Segment>> = Schema.Array(
  Schema.suspend((): Schema.Schema<Segment> => Segment)
)

/** A segment as marketers write it. How deep and how large it may be is checked by `faultOf`. */
export const Segment: Schema.Schema<Segment> = Schema.Union(
  Everyone,
  Favourited,
  Did,
  Attribute,
  HasAttribute,
  AttributeIn,
  Speaks,
  OnList,
  Members,
  EventMember,
  Schema.TaggedStruct("All", { of: children.pipe(Schema.minItems(1)) }),
  Schema.TaggedStruct("Any", { of: children.pipe(Schema.minItems(1)) }),
  Schema.TaggedStruct("Not", { of: Schema.suspend((): Schema.Schema<Segment> => Segment) })
).annotations({ identifier: "Segment" })

const depth = (segment: Segment): number => {
  switch (segment._tag) {
    case "All":
    case "Any":
      return 1 + Math.max(0, ...segment.of.map(depth))
    case "Not":
      return 1 + depth(segment.of)
    default:
      return 1
  }
}
const count = (segment: Segment): number => {
  switch (segment._tag) {
    case "All":
    case "Any":
      return segment.of.reduce((sum, each) => sum + count(each), 1)
    case "Not":
      return 1 + count(segment.of)
    default:
      return 1
  }
}

/** What is wrong with a segment beyond its form, or null. */
export const faultOf = (segment: Segment): string | null => {
  if (depth(segment) > depthMax) return `nested deeper than ${depthMax}`
  const conditions = count(segment)
  if (conditions > conditionsMax) return `${conditions} conditions, at most ${conditionsMax} are allowed`
  const text = firstLeaf(
    segment,
    (leaf) => leaf._tag === "Attribute" && typeof leaf.value !== "number" && leaf.is !== "eq" && leaf.is !== "ne"
  )
  return text?._tag === "Attribute" ? `${text.is} compares numbers, ${JSON.stringify(text.value)} is none` : null
}

const firstLeaf = (segment: Segment, test: (leaf: Leaf) => boolean): Leaf | undefined => {
  switch (segment._tag) {
    case "All":
    case "Any":
      for (const each of segment.of) {
        const found = firstLeaf(each, test)
        if (found !== undefined) return found
      }
      return undefined
    case "Not":
      return firstLeaf(segment.of, test)
    default:
      return test(segment) ? segment : undefined
  }
}

const targetValue = (target: Target): string =>
  "product" in target ? target.product : "category" in target ? target.category : target.brand

/** What of the event a segment depends on: it means nothing without it. */
export const needs = (segment: Segment): { readonly product: boolean; readonly member: boolean } => ({
  product: firstLeaf(
    segment,
    (leaf) =>
      (leaf._tag === "Did" || leaf._tag === "Favourited") && leaf.of !== undefined && targetValue(leaf.of) === ofEvent
  ) !== undefined,
  member: firstLeaf(segment, (leaf) => leaf._tag === "EventMember") !== undefined
})

/** What of the event that led here a segment may refer to. */
export interface SegmentCause {
  /** The product that `$event` stands for. */
  readonly product: { readonly id: string; readonly category: string | null; readonly brand: string | null } | null
  readonly member: string | null
}

/** Nobody: what a condition on something unknown comes to. */
const nobody: Segment = { _tag: "Members", ids: [] }

const resolveLeaf = (
  leaf: typeof Did.Type | typeof Favourited.Type,
  product: SegmentCause["product"]
): Segment => {
  if (leaf.of === undefined || targetValue(leaf.of) !== ofEvent) return leaf
  if (product === null) return nobody
  if ("product" in leaf.of) return { ...leaf, of: { product: product.id } }
  if ("category" in leaf.of) return product.category === null ? nobody : { ...leaf, of: { category: product.category } }
  return product.brand === null ? nobody : { ...leaf, of: { brand: product.brand } }
}

/** Puts the event's product and member in their places; where there is none the condition is met by nobody. */
export const resolve = (segment: Segment, cause: SegmentCause): Segment => {
  switch (segment._tag) {
    case "All":
    case "Any":
      return { _tag: segment._tag, of: segment.of.map((each) => resolve(each, cause)) }
    case "Not":
      return { _tag: "Not", of: resolve(segment.of, cause) }
    case "Did":
    case "Favourited":
      return resolveLeaf(segment, cause.product)
    case "EventMember":
      return cause.member === null ? nobody : { _tag: "Members", ids: [cause.member] }
    default:
      return segment
  }
}

/** A member as segments see one: what `SegmentSql` reads from the store. */
export interface SegmentProfile {
  readonly id: string
  readonly withdrawn: boolean
  readonly language: string | null
  readonly attributes: Attributes
  readonly lists: ReadonlySet<string>
  readonly favourites: ReadonlyArray<{
    readonly product: string
    readonly category: string | null
    readonly brand: string | null
    readonly at: number
  }>
  /** One entry per activity, product and day. */
  readonly activities: ReadonlyArray<{
    readonly activity: Activity
    readonly product: string | null
    readonly category: string | null
    readonly brand: string | null
    readonly count: number
    /** The last of the day, ms. */
    readonly lastAt: number
  }>
}

export const dayMs = 86_400_000

const isOf = (
  target: Target | undefined,
  entry: { readonly product: string | null; readonly category: string | null; readonly brand: string | null }
): boolean => {
  if (target === undefined) return true
  if ("product" in target) return entry.product === target.product
  return "category" in target ? entry.category === target.category : entry.brand === target.brand
}

const compares = (is: (typeof Attribute.Type)["is"], actual: unknown, value: string | number | boolean): boolean => {
  switch (is) {
    case "eq":
      return actual === value
    case "ne":
      return actual !== value
  }
  if (typeof actual !== "number" || typeof value !== "number") return false
  switch (is) {
    case "lt":
      return actual < value
    case "le":
      return actual <= value
    case "gt":
      return actual > value
    case "ge":
      return actual >= value
  }
}

const holds = (segment: Segment, profile: SegmentProfile, now: number): boolean => {
  switch (segment._tag) {
    case "Everyone":
      return true
    case "Favourited": {
      const since = segment.withinDays === undefined ? -Infinity : now - segment.withinDays * dayMs
      return profile.favourites.some((entry) => entry.at >= since && isOf(segment.of, entry))
    }
    case "Did": {
      const since = segment.withinDays === undefined ? -Infinity : now - segment.withinDays * dayMs
      let done = 0
      for (const entry of profile.activities) {
        if (entry.activity === segment.activity && entry.lastAt >= since && isOf(segment.of, entry)) done += entry.count
      }
      return done >= (segment.atLeast ?? 1)
    }
    case "Attribute":
      return Object.hasOwn(profile.attributes, segment.name) &&
        compares(segment.is, profile.attributes[segment.name], segment.value)
    case "HasAttribute":
      return Object.hasOwn(profile.attributes, segment.name)
    case "AttributeIn": {
      const actual = Object.hasOwn(profile.attributes, segment.name) ? profile.attributes[segment.name] : undefined
      return typeof actual === "string" && segment.values.includes(actual)
    }
    case "Speaks":
      return profile.language === segment.language
    case "OnList":
      return profile.lists.has(segment.list)
    case "Members":
      return segment.ids.includes(profile.id)
    case "EventMember":
      return false
    case "All":
      return segment.of.every((each) => holds(each, profile, now))
    case "Any":
      return segment.of.some((each) => holds(each, profile, now))
    case "Not":
      return !holds(segment.of, profile, now)
  }
}

/** Whether the member belongs to the segment at `now` (ms). Who has left belongs to none. Resolve `$event` first. */
export const matches = (segment: Segment, profile: SegmentProfile, now: number): boolean =>
  !profile.withdrawn && holds(segment, profile, now)
