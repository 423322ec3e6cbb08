/**
 * The cart: adding allocates stock at that moment, first in first out per product (CART-1). A ticket is one cart line; its
 * id is minted by the caller, so that every call can be repeated without doubling its effect.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { Instant, MemberId, ProductId, Quantity, TicketId } from "../Identifier.ts"
import { OrderId, ReturnId } from "../stock/Allocation.ts"
import { CommandError, CommonError, ContentDiffers, NotAnswered, UnknownProduct } from "./ApiError.ts"

/** How long `cart.add` waits for its outcome when it does not say, ms. */
export const deadlineDefault = 10_000
/** Longest that a call may ask to wait, ms. */
export const deadlineMax = 60_000
/** Longest that `cart.status` may ask to wait, ms. */
export const statusWaitMax = 30_000
/** Lines of one order. */
export const linesMax = 100
/** Lines that `cart.list` answers. */
export const listMax = 500

/** ms from now within which an answer is of use. */
export const Deadline = Schema.Int.pipe(
  Schema.between(1, deadlineMax),
  Schema.annotations({ identifier: "Deadline", description: `a whole number of ms between 1 and ${deadlineMax}` })
)
/** Logical instant of a replay, ms since the epoch; a shop in real time ignores it. */
export const At = Schema.optional(Instant)

const line = { ticket: TicketId, product: ProductId }
const wait = {
  /** ms from now within which an answer is of use; default 10,000. */
  deadline: Schema.optional(Deadline),
  at: At
}

/** Stock is in the cart. `sequence` is gapless per product in the order of allocation; `expiresAt`: ms since the epoch. */
export const Allocated = Schema.TaggedStruct("Allocated", { sequence: Schema.Int, expiresAt: Instant })
/** Not enough for this ticket, or what there is is owed to those in line. */
export const SoldOut = Schema.TaggedStruct("SoldOut", {})
/** Stands in line; position 1 is next. */
export const Waitlisted = Schema.TaggedStruct("Waitlisted", { position: Schema.Int })
/** Stock is set aside until `until` (ms since the epoch): confirm it by then. */
export const Offered = Schema.TaggedStruct("Offered", { until: Instant, quantity: Quantity })
/** The member would have more pieces than allowed: at a time ("open"), or ever ("lifetime"). */
export const LimitReached = Schema.TaggedStruct("LimitReached", {
  limit: Schema.Int,
  scope: Schema.Literal("open", "lifetime")
})
/** Nobody waited for it any more: it holds no stock and never will (G6). */
export const TimedOut = Schema.TaggedStruct("TimedOut", {})
/** Its owner called it off: it holds no stock and never will. */
export const Cancelled = Schema.TaggedStruct("Cancelled", {})
/** Taken out of the cart. */
export const Released = Schema.TaggedStruct("Released", {})
/** A checkout of this order keeps it until `until` (ms since the epoch). */
export const Held = Schema.TaggedStruct("Held", { order: OrderId, until: Instant })
/** Sold with this order. */
export const Bought = Schema.TaggedStruct("Bought", { order: OrderId, sequence: Schema.Int, quantity: Quantity })
/** Its time was over before it was bought or confirmed. */
export const Lapsed = Schema.TaggedStruct("Lapsed", {})
/**
 * It has been handed in here and stands in its product's line. `position`: among those handed in here that are not decided,
 * 1 is next. `estimate`: ms until its turn at the rate at which the line moved of late; null while none has been measured.
 */
export const Waiting = Schema.TaggedStruct("Waiting", {
  position: Schema.Int,
  estimate: Schema.NullOr(Schema.Number)
})
/** It has been handed in here and is being decided. */
export const Processing = Schema.TaggedStruct("Processing", {})
/** Nothing is known of it: it has not arrived, or never will. It may be added again under the same id. */
export const NotSeen = Schema.TaggedStruct("NotSeen", {})

/** What became of an add. A repeat gets the first outcome again (G3); `cart.status` tells how things stand now. */
export const AddOutcome = Schema.Union(
  Allocated,
  SoldOut,
  Waitlisted,
  LimitReached,
  TimedOut,
  Cancelled,
  Released
).annotations({ identifier: "AddOutcome" })
export type AddOutcome = typeof AddOutcome.Type

/** How a ticket stands now. */
export const TicketStatus = Schema.Union(
  Waiting,
  Processing,
  Allocated,
  SoldOut,
  Waitlisted,
  Offered,
  LimitReached,
  TimedOut,
  Cancelled,
  Released,
  Held,
  Bought,
  Lapsed,
  NotSeen
).annotations({ identifier: "TicketStatus" })
export type TicketStatus = typeof TicketStatus.Type

/** What became of giving a ticket up. `Bought`: too late. `Held`: a checkout has it. An earlier reason stays. */
export const GiveUpOutcome = Schema.Union(Released, Cancelled, TimedOut, Bought, Held, Lapsed).annotations({
  identifier: "GiveUpOutcome"
})
export type GiveUpOutcome = typeof GiveUpOutcome.Type

/** One line as `cart.list` shows it. */
export const CartLine = Schema.Struct({
  ticket: TicketId,
  product: ProductId,
  quantity: Schema.Int,
  standing: Schema.Literal("Waiting", "Offered", "Allocated", "Held"),
  /** When it lapses (ms since the epoch); null for those in line. */
  until: Schema.NullOr(Schema.Number)
})
export type CartLine = typeof CartLine.Type

/** Why a line cannot be bought. */
export const LineFault = Schema.Literal("NotInCart", "AlreadyBought", "InOtherCheckout", "UnknownProduct", "TooLate")
export type LineFault = typeof LineFault.Type

/** What became of an order: all of its lines, or none. */
export const OrderOutcome = Schema.Union(
  Schema.TaggedStruct("Bought", {
    order: OrderId,
    lines: Schema.Array(Schema.Struct({ ...line, sequence: Schema.Int, quantity: Schema.Int }))
  }),
  /** Nothing was bought; the faults name the lines that stood in the way. */
  Schema.TaggedStruct("Refused", {
    order: OrderId,
    faults: Schema.Array(Schema.Struct({ ...line, fault: LineFault }))
  })
).annotations({ identifier: "OrderOutcome" })
export type OrderOutcome = typeof OrderOutcome.Type

const error = Schema.Union(CommandError, UnknownProduct)
export type CartError = typeof error.Type

/** What `cart.add` takes. */
export const Add = Schema.Struct({
  ...line,
  member: MemberId,
  /** Pieces, 1 to 10,000. */
  quantity: Quantity,
  /** Stand in line if there is nothing; default false. */
  waitlist: Schema.optional(Schema.Boolean),
  ...wait
})
export type Add = typeof Add.Type

/**
 * Allocates and waits for the outcome. If there is none within the deadline the ticket is given up: `TimedOut` once that
 * is certain, else the error `NotAnswered`; either way it ends up without stock.
 */
export const CartAdd = Rpc.make("cart.add", { payload: Add, success: AddOutcome, error })

export const CartApi = RpcGroup.make(
  CartAdd,
  /** The same without waiting: ask `cart.status`. Given up when it is not decided within the deadline. */
  Rpc.make("cart.submit", { payload: Add, success: Schema.TaggedStruct("Submitted", { ticket: TicketId }), error }),
  /** How a ticket stands; while it is undecided, waits up to `wait` ms (0 to 30,000; default 0) for its outcome. */
  Rpc.make("cart.status", {
    payload: {
      ...line,
      wait: Schema.optional(Schema.Int.pipe(Schema.between(0, statusWaitMax)))
    },
    success: TicketStatus,
    error
  }),
  /** Takes a line out of the cart. */
  Rpc.make("cart.release", { payload: { ...line, ...wait }, success: GiveUpOutcome, error }),
  /** The front end has given up waiting: the ticket never holds stock, also if it has not arrived yet (G6). */
  Rpc.make("cart.expire", { payload: { ...line, ...wait }, success: GiveUpOutcome, error }),
  /** The shopper called it off; otherwise like `cart.expire`. */
  Rpc.make("cart.cancel", { payload: { ...line, ...wait }, success: GiveUpOutcome, error }),
  /** Takes what was offered from the waitlist. An outcome other than `Allocated` says how the ticket stands instead. */
  Rpc.make("cart.confirm", { payload: { ...line, ...wait }, success: TicketStatus, error }),
  /** A member's open lines, oldest first, at most 500; `more` tells that there are others. */
  Rpc.make("cart.list", {
    payload: { member: MemberId },
    success: Schema.Struct({ lines: Schema.Array(CartLine), more: Schema.Boolean }),
    error: CommonError
  }),
  /**
   * Buys all lines or none (R14). Durable: once begun it is finished even if every process dies. The same order id again
   * gets the same outcome.
   */
  Rpc.make("cart.checkout", {
    payload: {
      order: OrderId,
      lines: Schema.NonEmptyArray(Schema.Struct(line)).pipe(Schema.maxItems(linesMax)),
      ...wait
    },
    success: OrderOutcome,
    error: Schema.Union(NotAnswered, ContentDiffers, CommonError)
  }),
  /** Brings bought pieces back into stock; the same return id again changes nothing. `remaining`: pieces still bought. */
  Rpc.make("cart.return", {
    payload: { ...line, returnId: ReturnId, quantity: Quantity, ...wait },
    success: Schema.Union(
      Schema.TaggedStruct("Returned", { quantity: Quantity, remaining: Schema.Int }),
      Schema.TaggedStruct("NotReturnable", { reason: Schema.Literal("NotSold", "TooMany", "Differs") })
    ),
    error
  })
)
