/**
 * What a replay does to a shop, one step at a time. Openings come first (the state before the first customer), then steps
 * with instants that never run backwards. The driver owns the logical clock: before a step it advances the clock to the
 * step's `at`, which fires every timer that is due until then. Ids are chosen by whoever made the steps and depend on the
 * input alone, so that a replay which is repeated or resumed repeats its commands instead of doing them again (R3).
 */
import { Schema } from "effect"
import { linesMax } from "../api/CartApi.ts"
import {
  CommandId,
  Instant,
  MemberId,
  Price,
  ProductId,
  Quantity,
  type SourceId,
  Text,
  TicketId
} from "../Identifier.ts"
import { Attributes, Channel, Event, type Happening } from "../marketing/Event.ts"

/** A product as it stands before the replay begins, and the stock it begins with. */
export const ProductOpening = Schema.TaggedStruct("ProductOpening", {
  at: Instant,
  product: ProductId,
  name: Text(500),
  price: Price,
  /** Pieces on hand. */
  stock: Schema.Int.pipe(Schema.between(0, 100_000_000)),
  category: Schema.optional(Text(200)),
  brand: Schema.optional(Text(200)),
  attributes: Schema.optional(Attributes)
})
export type ProductOpening = typeof ProductOpening.Type

/** A member as known before the replay begins. */
export const MemberOpening = Schema.TaggedStruct("MemberOpening", {
  at: Instant,
  member: MemberId,
  address: Text(320),
  language: Schema.Literal("ja", "en"),
  /** IANA name, e.g. `Europe/London`. */
  timeZone: Text(64),
  attributes: Attributes,
  consent: Schema.Struct({ mail: Schema.Boolean, line: Schema.Boolean, push: Schema.Boolean, onsite: Schema.Boolean })
})
export type MemberOpening = typeof MemberOpening.Type

/** An event for the event log. `at` is when it is published; `event.at` when it happened. */
export const Publish = Schema.TaggedStruct("Publish", { at: Instant, event: Event })
export type Publish = typeof Publish.Type

/** A member puts a product in the cart. Whether stock is allocated is the shop's decision. */
export const CartAdd = Schema.TaggedStruct("CartAdd", {
  at: Instant,
  ticket: TicketId,
  member: MemberId,
  product: ProductId,
  quantity: Quantity
})
export type CartAdd = typeof CartAdd.Type

/**
 * A member buys what the cart holds. Names every line the record knows of, whether or not this replay allocated it; at most
 * as many as `cart.checkout` takes, so that a longer invoice is checked out in parts.
 */
export const Checkout = Schema.TaggedStruct("Checkout", {
  at: Instant,
  order: CommandId,
  member: MemberId,
  lines: Schema.Array(Schema.Struct({ ticket: TicketId, product: ProductId })).pipe(
    Schema.minItems(1),
    Schema.maxItems(linesMax)
  )
})
export type Checkout = typeof Checkout.Type

/** A bought product comes back into stock. `ticket` is the cart line it was bought with, where the record tells. */
export const Return = Schema.TaggedStruct("Return", {
  at: Instant,
  returnId: CommandId,
  member: MemberId,
  product: ProductId,
  quantity: Quantity,
  ticket: Schema.optional(TicketId)
})
export type Return = typeof Return.Type

export const Step = Schema.Union(ProductOpening, MemberOpening, Publish, CartAdd, Checkout, Return)
export type Step = typeof Step.Type

/** Whether a step belongs to the state before the first customer. */
export const isOpening = (step: Step): step is ProductOpening | MemberOpening =>
  step._tag === "ProductOpening" || step._tag === "MemberOpening"

/** Version in its source of the stock that an opening states; what follows in the same source is newer. */
export const openingStockVersion = 1

/** An opening as events of one source, for shops that are filled through the event log. Same opening, same ids. */
export const openingEvents = (opening: ProductOpening | MemberOpening, source: SourceId): ReadonlyArray<Event> => {
  const event = (id: string, happening: Happening): Event => ({ source, id, at: opening.at, happening })
  if (opening._tag === "ProductOpening") {
    const { product, name, price, category, brand, attributes } = opening
    return [
      event(`opening:product:${product}`, {
        _tag: "ProductPublished",
        product,
        name,
        price,
        ...(category === undefined ? {} : { category }),
        ...(brand === undefined ? {} : { brand }),
        ...(attributes === undefined ? {} : { attributes })
      }),
      event(`opening:stock:${product}`, {
        _tag: "StockChanged",
        product,
        change: { _tag: "Level", level: opening.stock },
        sourceVersion: openingStockVersion
      })
    ]
  }
  const { member, address, language, timeZone, attributes, consent } = opening
  return [
    event(`opening:member:${member}`, { _tag: "MemberJoined", member, address, language, timeZone, attributes }),
    ...Channel.literals.map((channel) =>
      event(`opening:consent:${channel}:${member}`, {
        _tag: "ConsentChanged",
        member,
        channel,
        consent: consent[channel]
      })
    )
  ]
}
