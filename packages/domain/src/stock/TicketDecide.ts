/** What may be done with a ticket after it was added: give it up, confirm, hold, buy, return. */
import { answer } from "../Actor.ts"
import { commandTime, type TicketId } from "../Identifier.ts"
import { dueOf, inCart, returned, type Sold } from "./Allocation.ts"
import {
  type CommandOf,
  holdMsMax,
  type ProductReply,
  returnsMax,
  type Settings,
  ticketAgeMax,
  tombstoneMs,
  tombstonesMax
} from "./Product.ts"
import { type ProductDecision, ProductDraft } from "./ProductDraft.ts"
import type { Product, Tombstone } from "./ProductState.ts"
import * as Waitlist from "./Waitlist.ts"

/** Where a ticket stands at `now`, without changing anything. */
export const standing = (state: Product, id: TicketId, now: number): ProductReply => {
  const ticket = state.tickets.get(id)
  if (ticket !== undefined) {
    const due = dueOf(ticket)
    const over = due !== null && due <= now && !(ticket._tag === "Held" && ticket.expiresAt > now)
    if (over) return { _tag: "NotOpen", standing: "Lapsed" }
    switch (ticket._tag) {
      case "Held":
        if (ticket.until > now) return { _tag: "Held", order: ticket.order, until: ticket.until }
        return { _tag: "Allocated", sequence: ticket.sequence, expiresAt: ticket.expiresAt }
      case "Allocated":
        return { _tag: "Allocated", sequence: ticket.sequence, expiresAt: ticket.expiresAt }
      case "Offered":
        return { _tag: "Offered", until: ticket.until, quantity: ticket.quantity }
      case "Waiting":
        return { _tag: "Waitlisted", position: Waitlist.position(state.line, ticket.place) }
    }
  }
  const sold = state.purchases.get(id)
  if (sold !== undefined) return bought(sold)
  return { _tag: barred(state, id, now)?.reason ?? "UnknownTicket" }
}

/** The tombstone of a ticket that was given up before it came, while that is promised. */
export const barred = (state: Product, id: TicketId, now: number): Tombstone | undefined => {
  const tombstone = state.tombstones.get(id)
  return tombstone !== undefined && tombstone.until > now ? tombstone : undefined
}

const bought = (sold: Sold): ProductReply => ({
  _tag: "Bought",
  order: sold.order,
  sequence: sold.sequence,
  quantity: sold.quantity
})

/** The refusal of a command that wants another standing than the ticket has. */
const notOpen = (state: Product, id: TicketId): ProductReply => {
  const ticket = state.tickets.get(id)
  if (ticket !== undefined) return { _tag: "NotOpen", standing: ticket._tag === "Held" ? "Allocated" : ticket._tag }
  return { _tag: "NotOpen", standing: state.purchases.has(id) ? "Sold" : "Unknown" }
}

/**
 * A ticket that is nowhere in memory has not come yet, was refused, or is closed. In none of these cases does it hold
 * stock, and in the first it must never hold any: so its release is put on record (G6), unless it is too old to come.
 */
export const release = (state: Product, command: CommandOf<"ReleaseTicket">, now: number): ProductDecision => {
  const { ticket: id, reason } = command
  if (state.purchases.has(id)) return answer({ _tag: "NotOpen", standing: "Sold" })
  const tombstone = barred(state, id, now)
  if (!state.tickets.has(id) && tombstone === undefined) {
    const tooOld = commandTime(id) < now - ticketAgeMax || state.tombstones.has(id)
    if (tooOld) return answer({ _tag: "NotOpen", standing: "Unknown" })
    if (state.tombstones.size >= tombstonesMax) return answer({ _tag: "TombstonesFull" })
  }
  const draft = new ProductDraft(state, now)
  draft.sweep(id)
  const ticket = draft.state.tickets.get(id)
  if (ticket?._tag === "Held") return draft.outcome({ _tag: "HeldByOther" })
  if (ticket !== undefined) {
    draft.emit({ _tag: "TicketReleased", ticket: id, reason })
    draft.offer()
    return draft.outcome({ _tag: reason })
  }
  if (tombstone !== undefined) return draft.outcome({ _tag: tombstone.reason })
  return draft.outcome({ _tag: reason }, { _tag: "TicketBarred", ticket: id, reason, until: now + tombstoneMs })
}

export const confirm = (
  state: Product,
  settings: Settings,
  command: CommandOf<"ConfirmOffer">,
  now: number
): ProductDecision => {
  const draft = new ProductDraft(state, now)
  draft.sweep(command.ticket)
  const ticket = draft.state.tickets.get(command.ticket)
  if (ticket === undefined) return draft.outcome(notOpen(draft.state, command.ticket))
  if (ticket._tag !== "Offered") return draft.outcome(standing(draft.state, command.ticket, now))
  const sequence = draft.state.sequence + 1
  const expiresAt = now + settings.cartMs
  return draft.outcome(
    { _tag: "Allocated", sequence, expiresAt },
    { _tag: "OfferConfirmed", ticket: command.ticket, sequence, at: now, expiresAt }
  )
}

/** A repeat for the same order keeps the hold as it is: a checkout cannot prolong itself. */
export const hold = (state: Product, command: CommandOf<"HoldTicket">, now: number): ProductDecision => {
  const draft = new ProductDraft(state, now)
  draft.sweep(command.ticket)
  const ticket = draft.state.tickets.get(command.ticket)
  if (ticket?._tag === "Held") {
    if (ticket.order !== command.order) return draft.outcome({ _tag: "HeldByOther" })
    return draft.outcome({ _tag: "Held", order: ticket.order, until: ticket.until })
  }
  if (ticket?._tag !== "Allocated") return draft.outcome(notOpen(draft.state, command.ticket))
  if (command.untilMs <= now) return draft.outcome({ _tag: "HoldTooLate" })
  const until = Math.min(command.untilMs, now + holdMsMax)
  return draft.outcome(
    { _tag: "Held", order: command.order, until },
    { _tag: "TicketHeld", ticket: command.ticket, order: command.order, until }
  )
}

export const unhold = (state: Product, command: CommandOf<"UnholdTicket">, now: number): ProductDecision => {
  const draft = new ProductDraft(state, now)
  draft.sweep(command.ticket)
  const ticket = draft.state.tickets.get(command.ticket)
  if (ticket === undefined || !inCart(ticket)) return draft.outcome(notOpen(draft.state, command.ticket))
  if (ticket._tag === "Held") {
    if (ticket.order !== command.order) return draft.outcome({ _tag: "HeldByOther" })
    draft.emit({ _tag: "TicketUnheld", ticket: command.ticket })
    // Past its time, and only the hold kept it: it lapses now.
    draft.sweep(command.ticket)
  }
  return draft.outcome({ _tag: "Unheld", expiresAt: ticket.expiresAt })
}

export const buy = (state: Product, command: CommandOf<"BuyTicket">, now: number): ProductDecision => {
  const draft = new ProductDraft(state, now)
  draft.sweep(command.ticket)
  const ticket = draft.state.tickets.get(command.ticket)
  if (ticket === undefined) {
    const sold = draft.state.purchases.get(command.ticket)
    if (sold?.order === command.order) return draft.outcome(bought(sold))
    return draft.outcome(notOpen(draft.state, command.ticket))
  }
  if (!inCart(ticket)) return draft.outcome(notOpen(draft.state, command.ticket))
  if (ticket._tag === "Held" && ticket.order !== command.order) return draft.outcome({ _tag: "HeldByOther" })
  const { sequence, quantity } = ticket
  return draft.outcome(
    { _tag: "Bought", order: command.order, sequence, quantity },
    { _tag: "TicketBought", ticket: command.ticket, order: command.order, at: now }
  )
}

export const giveBack = (state: Product, command: CommandOf<"ReturnGoods">, now: number): ProductDecision => {
  const draft = new ProductDraft(state, now)
  draft.sweep()
  const sold = draft.state.purchases.get(command.ticket)
  if (sold === undefined) return draft.outcome({ _tag: "NotReturnable", reason: "NotSold" })
  const remaining = sold.quantity - returned(sold)
  const earlier = sold.returns.find((part) => part.id === command.returnId)
  if (earlier !== undefined) {
    if (earlier.quantity !== command.quantity) return draft.outcome({ _tag: "NotReturnable", reason: "Differs" })
    return draft.outcome({ _tag: "Returned", quantity: earlier.quantity, remaining })
  }
  if (command.quantity > remaining || sold.returns.length >= returnsMax) {
    return draft.outcome({ _tag: "NotReturnable", reason: "TooMany" })
  }
  draft.emit({
    _tag: "GoodsReturned",
    ticket: command.ticket,
    returnId: command.returnId,
    quantity: command.quantity,
    at: now
  })
  draft.offer()
  return draft.outcome({ _tag: "Returned", quantity: command.quantity, remaining: remaining - command.quantity })
}
