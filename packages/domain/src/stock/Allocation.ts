/**
 * Stock that belongs to a ticket: in a cart for a time, held by a checkout, or sold. Keyed by (product, ticket); written by
 * the Product actor alone.
 */
import { Schema } from "effect"
import { Instant, MemberId, Quantity, TicketId } from "../Identifier.ts"
import type { Offered, Waiting } from "./Waitlist.ts"

/** An order's id as its owner minted it; a command id is one. */
export const OrderId = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/, {
    message: () => "OrderId: 1 to 64 of A-Z a-z 0-9 . _ : - beginning with a letter or digit"
  }),
  Schema.annotations({ identifier: "OrderId" })
)
export type OrderId = typeof OrderId.Type

/** A return's id as its owner minted it: the same return told twice brings stock back once. */
export const ReturnId = OrderId.pipe(Schema.annotations({ identifier: "ReturnId" }))
export type ReturnId = typeof ReturnId.Type

const allocation = {
  ticket: TicketId,
  member: MemberId,
  quantity: Quantity,
  /** Gapless per product, in the order of allocation, from 1 (G4). */
  sequence: Schema.Int,
  /** When it was allocated, ms since the epoch. */
  at: Instant,
  /** When it lapses, ms since the epoch; fixed at allocation, whatever happens to the cart or the product afterwards. */
  expiresAt: Instant
}

/** In a cart. */
export const Allocated = Schema.TaggedStruct("Allocated", allocation)
export type Allocated = typeof Allocated.Type
/** In a cart that is being checked out: does not lapse before `until`, even past `expiresAt` (R14). */
export const Held = Schema.TaggedStruct("Held", { ...allocation, order: OrderId, until: Instant })
export type Held = typeof Held.Type
/** Bought, and young enough to be returned. */
export const Sold = Schema.TaggedStruct("Sold", {
  ...allocation,
  order: OrderId,
  /** When it was bought, ms since the epoch. */
  soldAt: Instant,
  returns: Schema.Array(Schema.Struct({ id: ReturnId, quantity: Quantity, at: Instant }))
})
export type Sold = typeof Sold.Type

/** A ticket that has, or waits for, unsold stock. */
export type Ticket = Allocated | Held | Offered | Waiting

/** When a ticket has to be looked at again (ms since the epoch), or null: those in line wait for stock, not for time. */
export const dueOf = (ticket: Ticket): number | null => {
  switch (ticket._tag) {
    case "Allocated":
      return ticket.expiresAt
    case "Held":
    case "Offered":
      return ticket.until
    case "Waiting":
      return null
  }
}

/** Whether stock is set aside for it, and how that counts: in the cart, or offered from the waitlist. */
export const inCart = (ticket: Ticket): ticket is Allocated | Held =>
  ticket._tag === "Allocated" || ticket._tag === "Held"

/** Pieces already returned. */
export const returned = (sold: Sold): number => sold.returns.reduce((sum, part) => sum + part.quantity, 0)
