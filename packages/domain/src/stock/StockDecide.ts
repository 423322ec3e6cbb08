/** Stock figures from outside: taken in, corrected, and what a shortage means for those who were promised something. */
import { answer } from "../Actor.ts"
import type { TicketId } from "../Identifier.ts"
import { type Allocated, type Held, inCart } from "./Allocation.ts"
import { type CommandOf, type ProductReply, shortTicketsMax, sourcesMax, stockMax } from "./Product.ts"
import { type ProductDecision, ProductDraft } from "./ProductDraft.ts"
import { available, type Product, shortage } from "./ProductState.ts"
import * as Waitlist from "./Waitlist.ts"

export const level = (state: Product): ProductReply => ({
  _tag: "StockLevel",
  takenIn: state.takenIn,
  shortage: shortage(state),
  available: available(state),
  allocated: state.allocated,
  offered: state.offered,
  sold: state.sold,
  waiting: Waitlist.size(state.line)
})

/** By how many pieces what was taken in changes. */
const changeOf = (state: Product, { change, meaning }: CommandOf<"ChangeStock">): number => {
  if (change._tag === "Delta") return change.delta
  const promised = state.allocated + state.offered
  if (meaning === "physical") return change.level + state.sold - state.takenIn
  // Nothing beyond what is in carts: whether what is in carts is all there cannot be told from it, a shortage stays.
  if (change.level === 0) return -available(state)
  return change.level + promised + state.sold - state.takenIn
}

export const changeStock = (state: Product, command: CommandOf<"ChangeStock">, now: number): ProductDecision => {
  const { source, sourceVersion } = command
  const seen = state.sources.get(source)
  if (seen === undefined && state.sources.size >= sourcesMax) {
    return answer({ _tag: "StockRefused", reason: "TooManySources" })
  }
  if (Math.abs(state.takenIn + changeOf(state, command)) > stockMax) {
    return answer({ _tag: "StockRefused", reason: "OutOfRange" })
  }
  const draft = new ProductDraft(state, now)
  draft.sweep()
  if (seen !== undefined && sourceVersion <= seen) return draft.outcome({ _tag: "StaleVersion", version: seen })
  const short = shortage(draft.state)
  draft.emit({ _tag: "StockRecorded", source, sourceVersion, change: changeOf(draft.state, command) })
  withdrawOffers(draft)
  const shortNow = shortage(draft.state)
  if (shortNow > short) {
    draft.emit({ _tag: "ShortageFound", shortage: shortNow, tickets: concerned(draft.state, shortNow) })
  }
  draft.offer()
  return draft.outcome(level(draft.state))
}

/** An offer promises less than a cart: what is missing is taken from offers first, from the last in line. */
const withdrawOffers = (draft: ProductDraft): void => {
  if (draft.state.offered === 0 || shortage(draft.state) === 0) return
  const offers = draft.state.tickets.values().filter((ticket) => ticket._tag === "Offered")
  for (const offer of offers.sort((a, b) => b.place - a.place)) {
    if (shortage(draft.state) === 0) break
    draft.emit({ _tag: "OfferWithdrawn", ticket: offer.ticket })
  }
}

/** The tickets that were allocated last, as many as the shortage is worth. */
const concerned = (state: Product, short: number): ReadonlyArray<TicketId> => {
  const found: Array<TicketId> = []
  const carts: ReadonlyArray<Allocated | Held> = state.tickets.values().filter(inCart)
  let missing = short
  for (const ticket of carts.toSorted((a, b) => b.sequence - a.sequence)) {
    if (missing <= 0 || found.length >= shortTicketsMax) break
    found.push(ticket.ticket)
    missing -= ticket.quantity
  }
  return found
}
