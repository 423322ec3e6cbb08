/**
 * A product's stock: what the Product actor is told, what it answers and what becomes fact. Keyed by product id; the actor
 * is the only writer of stock, allocations and the waitlist. State and rules: ProductState, ProductEvolve, ProductDecide.
 */
import { Schema } from "effect"
import { Instant, MemberId, Quantity, quantityMax, SourceId, Text, TicketId } from "../Identifier.ts"
import { StockChanged } from "../marketing/Event.ts"
import { OrderId, ReturnId } from "./Allocation.ts"

const second = 1_000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

/** How long an allocation lasts unbought, ms, where the product does not say otherwise. */
export const cartMsDefault = 30 * minute
/** How long an offer to the next in line waits for its confirmation, ms, where the product does not say otherwise. */
export const offerMsDefault = 10 * minute
/** Longest life of an allocation or an offer, ms. */
export const lifeMsMax = 7 * day
/** Longest a checkout may keep an allocation from lapsing, ms (R14). */
export const holdMsMax = 30 * minute
/** Places in line per product; beyond them whoever would wait is told that it is sold out. */
export const waitlistMax = 50_000
/** Sources of stock figures per product. */
export const sourcesMax = 16
/** Tombstones per product: tickets given up before they came. */
export const tombstonesMax = 200_000
/**
 * How long a tombstone is kept, ms: as long as the ticket could still arrive (R3: 24 h), and an hour for clocks that
 * differ.
 */
export const tombstoneMs = 25 * hour
/** Age of a ticket id beyond which it cannot arrive any more and needs no tombstone, ms. */
export const ticketAgeMax = 24 * hour
/** How long what was bought can be returned, ms. */
export const returnWindowMs = 90 * day
/** Bought tickets per product that can be returned; the oldest make room, though none within `ticketAgeMax`. */
export const returnableMax = 20_000
/** Returns per ticket. */
export const returnsMax = 100
/** Largest amount of stock taken in, in pieces, either way. */
export const stockMax = 1_000_000_000_000
/** Tickets that lapse, and offers that are made, per command; what is left follows at once, by timer (R23). */
export const sweepMax = 500
/** Tickets that a report of a shortage names. */
export const shortTicketsMax = 1_000

const LifeMs = Schema.Int.pipe(Schema.between(second, lifeMsMax))
const LowThreshold = Schema.Int.pipe(Schema.between(0, 1_000_000))
const MemberLimit = Schema.Int.pipe(Schema.between(1, quantityMax))
const LifetimeLimit = Schema.Int.pipe(Schema.between(1, 1_000_000))
const Name = Text(500)

/** What is set per product. */
export const Settings = Schema.Struct({
  name: Name,
  cartMs: LifeMs,
  offerMs: LifeMs,
  /** `StockLow` is stated when what is available falls to this many pieces. */
  lowThreshold: LowThreshold,
  /** Pieces a member may have in carts, on offer and in line together, over all tickets; null: no limit. */
  memberLimit: Schema.NullOr(MemberLimit),
  /** The same plus what the member bought and has not returned; null: no limit. */
  lifetimeLimit: Schema.NullOr(LifetimeLimit)
})
export type Settings = typeof Settings.Type

export const settingsDefault: Settings = {
  name: "",
  cartMs: cartMsDefault,
  offerMs: offerMsDefault,
  lowThreshold: 1,
  memberLimit: null,
  lifetimeLimit: null
}

/** Why a ticket is given up: by its owner's wish, or because nobody waits for it any more. */
export const ReleaseReason = Schema.Literal("Released", "Cancelled", "TimedOut")
export type ReleaseReason = typeof ReleaseReason.Type

// --- Commands ---------------------------------------------------------------------------------------------------------

/** Makes the product known, or changes what is named; what is left out stays, null takes a limit away. */
export const DefineProduct = Schema.TaggedStruct("DefineProduct", {
  name: Schema.optional(Name),
  cartMs: Schema.optional(LifeMs),
  offerMs: Schema.optional(LifeMs),
  lowThreshold: Schema.optional(LowThreshold),
  memberLimit: Schema.optional(Schema.NullOr(MemberLimit)),
  lifetimeLimit: Schema.optional(Schema.NullOr(LifetimeLimit))
})
/**
 * A figure from outside. A level of meaning "physical" counts what is in carts and on offer, one "onHand" does not;
 * neither counts what is sold. Versions of one source grow; one that was seen, or an older one, changes nothing.
 */
export const ChangeStock = Schema.TaggedStruct("ChangeStock", {
  source: SourceId,
  sourceVersion: StockChanged.fields.sourceVersion,
  meaning: Schema.Literal("physical", "onHand"),
  change: StockChanged.fields.change
})
/** One cart line; its command id equals the ticket. `waitlist`: stand in line if there is nothing. */
export const AddToCart = Schema.TaggedStruct("AddToCart", {
  ticket: TicketId,
  member: MemberId,
  quantity: Quantity,
  waitlist: Schema.Boolean
})
/** Gives a ticket up, also one that has not arrived yet: it then never holds stock (G6). */
export const ReleaseTicket = Schema.TaggedStruct("ReleaseTicket", { ticket: TicketId, reason: ReleaseReason })
/** Takes what is offered from the waitlist. */
export const ConfirmOffer = Schema.TaggedStruct("ConfirmOffer", { ticket: TicketId })
/** Keeps an allocation from lapsing until `untilMs` (ms since the epoch), at most `holdMsMax` from now (R14). */
export const HoldTicket = Schema.TaggedStruct("HoldTicket", { order: OrderId, ticket: TicketId, untilMs: Instant })
/** Ends the order's hold; the allocation lapses when it always would have. */
export const UnholdTicket = Schema.TaggedStruct("UnholdTicket", { order: OrderId, ticket: TicketId })
/** Sells what the ticket has. */
export const BuyTicket = Schema.TaggedStruct("BuyTicket", { order: OrderId, ticket: TicketId })
/** Brings bought pieces back into stock. */
export const ReturnGoods = Schema.TaggedStruct("ReturnGoods", {
  ticket: TicketId,
  quantity: Quantity,
  returnId: ReturnId
})
export const ReadTicket = Schema.TaggedStruct("ReadTicket", { ticket: TicketId })
export const ReadStock = Schema.TaggedStruct("ReadStock", {})
/** Does what is due; sent by the timer. */
export const Wake = Schema.TaggedStruct("Wake", {})

export const ProductCommand = Schema.Union(
  DefineProduct,
  ChangeStock,
  AddToCart,
  ReleaseTicket,
  ConfirmOffer,
  HoldTicket,
  UnholdTicket,
  BuyTicket,
  ReturnGoods,
  ReadTicket,
  ReadStock,
  Wake
)
export type ProductCommand = typeof ProductCommand.Type
/** One kind of command, by tag. */
export type CommandOf<Tag extends ProductCommand["_tag"]> = Extract<ProductCommand, { readonly _tag: Tag }>

// --- Replies ----------------------------------------------------------------------------------------------------------

const Count = Schema.Int.pipe(Schema.nonNegative())

export const ProductReply = Schema.Union(
  Schema.TaggedStruct("Defined", {}),
  /** Stock is in the cart until `expiresAt` (ms since the epoch). */
  Schema.TaggedStruct("Allocated", { sequence: Schema.Int, expiresAt: Instant }),
  /** Not enough for this ticket, or what there is is owed to the waitlist. */
  Schema.TaggedStruct("SoldOut", {}),
  /** Stands in line; 1 is next. */
  Schema.TaggedStruct("Waitlisted", { position: Schema.Int }),
  /** Stock is set aside until `until` (ms since the epoch); confirm it. */
  Schema.TaggedStruct("Offered", { until: Instant, quantity: Quantity }),
  /** The member would have more pieces than allowed: at a time ("open"), or ever ("lifetime"). */
  Schema.TaggedStruct("LimitReached", { limit: Schema.Int, scope: Schema.Literal("open", "lifetime") }),
  /** The ticket was given up and holds no stock (G6). */
  Schema.TaggedStruct("Released", {}),
  Schema.TaggedStruct("Cancelled", {}),
  Schema.TaggedStruct("TimedOut", {}),
  Schema.TaggedStruct("Held", { order: OrderId, until: Instant }),
  /** A checkout of another order has it. */
  Schema.TaggedStruct("HeldByOther", {}),
  /** A hold that would end before it began. */
  Schema.TaggedStruct("HoldTooLate", {}),
  Schema.TaggedStruct("Unheld", { expiresAt: Instant }),
  Schema.TaggedStruct("Bought", { order: OrderId, sequence: Schema.Int, quantity: Quantity }),
  /** `remaining`: pieces of the ticket that are still bought. */
  Schema.TaggedStruct("Returned", { quantity: Quantity, remaining: Count }),
  /** Nothing came back. `Differs`: the return id was used with another quantity. */
  Schema.TaggedStruct("NotReturnable", { reason: Schema.Literal("NotSold", "TooMany", "Differs") }),
  /**
   * The command needs a ticket in another standing. `Lapsed`: its time is over; `Unknown`: it never arrived or is closed,
   * its row says which.
   */
  Schema.TaggedStruct("NotOpen", {
    standing: Schema.Literal("Unknown", "Waiting", "Offered", "Allocated", "Sold", "Lapsed")
  }),
  /** Pieces. takenIn + shortage = available + allocated + offered + sold. */
  Schema.TaggedStruct("StockLevel", {
    takenIn: Schema.Int,
    shortage: Count,
    available: Count,
    allocated: Count,
    offered: Count,
    sold: Count,
    /** Tickets in line. */
    waiting: Count
  }),
  /** The source has already stated this version, or a newer one: `version`. Nothing changed. */
  Schema.TaggedStruct("StaleVersion", { version: Count }),
  Schema.TaggedStruct("StockRefused", { reason: Schema.Literal("TooManySources", "OutOfRange") }),
  Schema.TaggedStruct("UnknownProduct", {}),
  /** Nothing in memory: never arrived, refused, or closed; its outcome and its row say which. */
  Schema.TaggedStruct("UnknownTicket", {}),
  /** The ticket exists with other content. */
  Schema.TaggedStruct("TicketTaken", {}),
  /** No room to remember that the ticket was given up, so that cannot be promised; the same command may be sent again. */
  Schema.TaggedStruct("TombstonesFull", {}),
  Schema.TaggedStruct("Woken", {})
)
export type ProductReply = typeof ProductReply.Type

// --- Facts ------------------------------------------------------------------------------------------------------------

const ticket = { ticket: TicketId }
const line = { ...ticket, member: MemberId, quantity: Quantity, at: Instant }

export const ProductEvent = Schema.Union(
  Schema.TaggedStruct("ProductDefined", { settings: Settings }),
  /** What the figure amounts to, in pieces. */
  Schema.TaggedStruct("StockRecorded", { source: SourceId, sourceVersion: Count, change: Schema.Int }),
  /** Less was found than had been promised; the tickets that cannot be served, latest first. */
  Schema.TaggedStruct("ShortageFound", { shortage: Schema.Int, tickets: Schema.Array(TicketId) }),
  Schema.TaggedStruct("TicketAllocated", { ...line, sequence: Schema.Int, expiresAt: Instant }),
  Schema.TaggedStruct("TicketWaitlisted", { ...line, place: Schema.Int }),
  Schema.TaggedStruct("TicketOffered", { ...ticket, until: Instant }),
  Schema.TaggedStruct("OfferConfirmed", { ...ticket, sequence: Schema.Int, at: Instant, expiresAt: Instant }),
  /** The offer was not taken in time; the ticket is closed. */
  Schema.TaggedStruct("OfferLapsed", ticket),
  /** A correction took the stock away again; the ticket stands where it stood. */
  Schema.TaggedStruct("OfferWithdrawn", ticket),
  Schema.TaggedStruct("TicketHeld", { ...ticket, order: OrderId, until: Instant }),
  Schema.TaggedStruct("TicketUnheld", ticket),
  Schema.TaggedStruct("TicketBought", { ...ticket, order: OrderId, at: Instant }),
  Schema.TaggedStruct("TicketReleased", { ...ticket, reason: ReleaseReason }),
  Schema.TaggedStruct("TicketExpired", ticket),
  /** A tombstone: the ticket was given up before it came. */
  Schema.TaggedStruct("TicketBarred", { ...ticket, reason: ReleaseReason, until: Instant }),
  Schema.TaggedStruct("TombstoneDropped", ticket),
  Schema.TaggedStruct("GoodsReturned", { ...ticket, returnId: ReturnId, quantity: Quantity, at: Instant }),
  /** Too old to be returned. */
  Schema.TaggedStruct("PurchaseSettled", ticket),
  Schema.TaggedStruct("StockFellLow", { available: Count }),
  Schema.TaggedStruct("StockRanOut", {}),
  Schema.TaggedStruct("StockCameBack", { available: Count })
)
export type ProductEvent = typeof ProductEvent.Type
