/**
 * What happens in the shop. An event is keyed by the product or member it is about: events of one key keep their order,
 * `(source, id)` makes a repeat harmless. Written by the event log alone (R13).
 */
import { Schema } from "effect"
import { Instant, MemberId, Price, ProductId, Quantity, SourceId, Text, TicketId } from "../Identifier.ts"

const product = { product: ProductId }
const member = { member: MemberId }
const memberProduct = { ...member, ...product }

/** Attributes of products and members as rules and segments see them. */
export const Attributes = Schema.Record({
  key: Text(64),
  // Neither NaN nor an infinity is JSON: stored, they would come back as something else.
  value: Schema.Union(Text(1000), Schema.Number.pipe(Schema.finite()), Schema.Boolean)
})
export type Attributes = typeof Attributes.Type

export const ProductPublished = Schema.TaggedStruct("ProductPublished", {
  ...product,
  name: Text(500),
  price: Price,
  category: Schema.optional(Text(200)),
  brand: Schema.optional(Text(200)),
  attributes: Schema.optional(Attributes)
})
export const ProductWithdrawn = Schema.TaggedStruct("ProductWithdrawn", product)
export const PriceChanged = Schema.TaggedStruct("PriceChanged", { ...product, before: Price, after: Price })
/** Physical stock as the shop's own database states it; goes to the Product actor, the only writer of stock. */
export const StockChanged = Schema.TaggedStruct("StockChanged", {
  ...product,
  change: Schema.Union(
    Schema.TaggedStruct("Level", { level: Schema.Int.pipe(Schema.between(0, 100_000_000)) }),
    Schema.TaggedStruct("Delta", { delta: Schema.Int.pipe(Schema.between(-100_000_000, 100_000_000)) })
  ),
  /** Version in its source: a repeat or an older one changes nothing. */
  sourceVersion: Schema.Int.pipe(Schema.nonNegative())
})
/** On hand fell to the product's threshold (e.g. the last one is left). Made by the Product actor. */
export const StockLow = Schema.TaggedStruct("StockLow", { ...product, available: Schema.Int })
/** Nothing is left to allocate. Made by the Product actor. */
export const SoldOut = Schema.TaggedStruct("SoldOut", product)
/** Stock is back after nothing was left. Made by the Product actor. */
export const Restocked = Schema.TaggedStruct("Restocked", { ...product, available: Schema.Int })
/** Less was found than had been promised: the tickets concerned cannot all be served. Made by the Product actor. */
export const StockShort = Schema.TaggedStruct("StockShort", {
  ...product,
  shortage: Schema.Int,
  tickets: Schema.Array(TicketId)
})
/** A cart line lapsed unbought. Made by the Product actor. */
export const CartExpired = Schema.TaggedStruct("CartExpired", {
  ...memberProduct,
  ticket: TicketId,
  quantity: Quantity
})
export const CartAdded = Schema.TaggedStruct("CartAdded", { ...memberProduct, ticket: TicketId, quantity: Quantity })
export const Viewed = Schema.TaggedStruct("Viewed", memberProduct)
export const Favourited = Schema.TaggedStruct("Favourited", memberProduct)
export const Unfavourited = Schema.TaggedStruct("Unfavourited", memberProduct)
export const Purchased = Schema.TaggedStruct("Purchased", {
  ...memberProduct,
  quantity: Quantity,
  price: Schema.optional(Price)
})
export const Returned = Schema.TaggedStruct("Returned", { ...memberProduct, quantity: Quantity })
export const MemberJoined = Schema.TaggedStruct("MemberJoined", {
  ...member,
  address: Schema.optional(Text(320)),
  language: Schema.optional(Schema.Literal("ja", "en")),
  timeZone: Schema.optional(Text(64)),
  attributes: Schema.optional(Attributes)
})
export const MemberWithdrawn = Schema.TaggedStruct("MemberWithdrawn", member)
export const Channel = Schema.Literal("mail", "line", "push", "onsite")
export type Channel = typeof Channel.Type
export const ConsentChanged = Schema.TaggedStruct("ConsentChanged", {
  ...member,
  channel: Channel,
  consent: Schema.Boolean
})
/** What became of a message, as the provider or the mail itself reports it. */
export const MessageFeedback = Schema.TaggedStruct("MessageFeedback", {
  ...member,
  delivery: Text(128),
  channel: Channel,
  feedback: Schema.Literal("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
})
/** Anything else a shop wants to react to; `type` must have been registered with its schema. */
export const Custom = Schema.TaggedStruct("Custom", {
  type: Schema.String.pipe(Schema.pattern(/^[a-z][a-z0-9_.-]{0,63}$/)),
  product: Schema.optional(ProductId),
  member: Schema.optional(MemberId),
  data: Attributes
})

/** What happened, without when and where it came from. */
export const Happening = Schema.Union(
  ProductPublished,
  ProductWithdrawn,
  PriceChanged,
  StockChanged,
  StockLow,
  SoldOut,
  Restocked,
  StockShort,
  CartExpired,
  CartAdded,
  Viewed,
  Favourited,
  Unfavourited,
  Purchased,
  Returned,
  MemberJoined,
  MemberWithdrawn,
  ConsentChanged,
  MessageFeedback,
  Custom
)
export type Happening = typeof Happening.Type
export type HappeningType = Happening["_tag"]

/** Types that only the Product actor may state; refused from outside. */
export const internalTypes: ReadonlySet<HappeningType> = new Set([
  "StockLow",
  "SoldOut",
  "Restocked",
  "StockShort",
  "CartExpired",
  "CartAdded"
])

/** One event as it is published. */
export const Event = Schema.Struct({
  source: SourceId,
  /** Unique within its source. */
  id: Text(128).pipe(Schema.minLength(1)),
  /** When it happened, ms since the epoch. */
  at: Instant,
  happening: Happening
})
export type Event = typeof Event.Type

/** What an event is about: the product if it names one, else the member. Events of one key keep their order. */
export const eventKey = (happening: Happening): string => {
  if ("product" in happening && happening.product !== undefined) return `p:${happening.product}`
  if ("member" in happening && happening.member !== undefined) return `m:${happening.member}`
  return `t:${happening._tag}`
}

/** The type by which campaigns select events: the tag, or for custom events `custom.` and their own type. */
export const eventType = (happening: Happening): string =>
  happening._tag === "Custom" ? `custom.${happening.type}` : happening._tag
