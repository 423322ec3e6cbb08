/**
 * The line of those who asked to wait for a product that was sold out, in the order in which they came. A place is a
 * number that is given once and kept: whoever is offered stock and has the offer taken back (a correction of stock) stands
 * where they stood. Kept by the Product actor alone.
 */
import { Option, Order, RedBlackTree, Schema } from "effect"
import { Instant, MemberId, Quantity, TicketId } from "../Identifier.ts"

const place = {
  ticket: TicketId,
  member: MemberId,
  quantity: Quantity,
  /** Position in the order of joining, over the product's whole life; never given twice. */
  place: Schema.Int,
  /** When it joined, ms since the epoch. */
  since: Instant
}

/** Stands in line; holds no stock. */
export const Waiting = Schema.TaggedStruct("Waiting", place)
export type Waiting = typeof Waiting.Type
/** Stock is set aside for it until `until` (ms since the epoch), by when it must be confirmed. */
export const Offered = Schema.TaggedStruct("Offered", { ...place, until: Instant })
export type Offered = typeof Offered.Type

/** Tickets by place. */
export type Waitlist = RedBlackTree.RedBlackTree<number, TicketId>

export const empty: Waitlist = RedBlackTree.empty(Order.number)

export const size = (line: Waitlist): number => RedBlackTree.size(line)

export const join = (line: Waitlist, place: number, ticket: TicketId): Waitlist =>
  RedBlackTree.insert(line, place, ticket)

export const leave = (line: Waitlist, place: number): Waitlist => RedBlackTree.removeFirst(line, place)

/** Who is next, or undefined. */
export const head = (line: Waitlist): TicketId | undefined => Option.getOrUndefined(RedBlackTree.first(line))?.[1]

/** How many stand at or before a place: 1 is next. O(log² n). */
export const position = (line: Waitlist, place: number): number => {
  let low = 0
  let high = RedBlackTree.size(line)
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = Option.getOrUndefined(RedBlackTree.getAt(line, middle))
    if (at !== undefined && at[0] <= place) low = middle + 1
    else high = middle
  }
  return low
}

/** All tickets in line, in order. */
export const tickets = (line: Waitlist): ReadonlyArray<TicketId> => [...RedBlackTree.values(line)]
