/**
 * How facts change a product's state. Never fails: what could be refused has been refused by the decision. Each function
 * writes into a fresh copy and hands it out as the new state; the state it was given stays as it was.
 */
import type { MemberId, TicketId } from "../Identifier.ts"
import * as Agenda from "./Agenda.ts"
import { dueOf, inCart, returned, type Ticket } from "./Allocation.ts"
import { type ProductEvent, returnWindowMs, type Settings } from "./Product.ts"
import { copy, limited, type Product, type ProductCopy } from "./ProductState.ts"
import { VersionedMap } from "./VersionedMap.ts"
import * as Waitlist from "./Waitlist.ts"

type EventOf<Tag extends ProductEvent["_tag"]> = Extract<ProductEvent, { readonly _tag: Tag }>

type Count = VersionedMap<MemberId, number>

const counted = (count: Count, member: MemberId, change: number): Count => {
  const pieces = (count.get(member) ?? 0) + change
  return pieces > 0 ? count.with(member, pieces) : count.without(member)
}

const countAll = <T extends { readonly member: MemberId }>(parts: Iterable<T>, pieces: (part: T) => number): Count => {
  let count: Count = VersionedMap.empty()
  for (const part of parts) count = counted(count, part.member, pieces(part))
  return count
}

/** Outdated entries beyond which an agenda is made anew: twice what is live, so that the cost stays constant per change. */
const crowded = (agenda: Agenda.Agenda, live: number): boolean => agenda.size > 2 * live + 64

/** The agenda from its first entry on that is still in the map. */
const from = <V extends object>(agenda: Agenda.Agenda, map: VersionedMap<TicketId, V>): Agenda.Agenda => {
  for (let entry = Agenda.first(agenda); entry !== undefined; entry = Agenda.first(agenda)) {
    if (map.has(entry.key)) break
    agenda = Agenda.dropFirst(agenda)
  }
  return agenda
}

/** Lets the agenda begin with an entry that holds, so that nobody is woken for a ticket that is gone. */
const prune = (next: ProductCopy): void => {
  let agenda = next.agenda
  if (crowded(agenda, next.tickets.size)) {
    agenda = Agenda.empty
    for (const ticket of next.tickets.values()) {
      const due = dueOf(ticket)
      if (due !== null) agenda = Agenda.add(agenda, due, ticket.ticket)
    }
  }
  for (let entry = Agenda.first(agenda); entry !== undefined; entry = Agenda.first(agenda)) {
    const ticket = next.tickets.get(entry.key)
    if (ticket !== undefined && dueOf(ticket) === entry.due) break
    agenda = Agenda.dropFirst(agenda)
  }
  next.agenda = agenda
}

/** Puts a ticket in another standing; the caller moves the pieces between the books. */
const stand = (next: ProductCopy, ticket: Ticket): void => {
  next.tickets = next.tickets.with(ticket.ticket, ticket)
  const due = dueOf(ticket)
  if (due !== null) next.agenda = Agenda.add(next.agenda, due, ticket.ticket)
  prune(next)
}

/** Takes a ticket out of memory and its pieces out of the books. */
const remove = (next: ProductCopy, ticket: Ticket): void => {
  const { quantity } = ticket
  next.tickets = next.tickets.without(ticket.ticket)
  if (limited(next.settings)) next.members = counted(next.members, ticket.member, -quantity)
  if (inCart(ticket)) next.allocated -= quantity
  else if (ticket._tag === "Offered") next.offered -= quantity
  else next.line = Waitlist.leave(next.line, ticket.place)
  prune(next)
}

const close = (state: Product, id: TicketId): Product => {
  const ticket = state.tickets.get(id)
  if (ticket === undefined) return state
  const next = copy(state)
  remove(next, ticket)
  return next
}

const define = (state: Product, settings: Settings): Product => {
  const next = copy(state)
  next.settings = settings
  if (!limited(settings)) next.members = VersionedMap.empty()
  else if (!limited(state.settings)) next.members = countAll(state.tickets.values(), (ticket) => ticket.quantity)
  if (!state.counting && settings.lifetimeLimit !== null) {
    next.counting = true
    next.bought = countAll(state.purchases.values(), (sold) => sold.quantity - returned(sold))
  }
  return next
}

const record = (state: Product, event: EventOf<"StockRecorded">): Product => {
  const next = copy(state)
  next.takenIn += event.change
  next.sources = next.sources.with(event.source, event.sourceVersion)
  return next
}

const allocate = (state: Product, event: EventOf<"TicketAllocated">): Product => {
  const { ticket, member, quantity, sequence, at, expiresAt } = event
  const next = copy(state)
  next.sequence = sequence
  next.allocated += quantity
  next.tickets = next.tickets.with(ticket, { _tag: "Allocated", ticket, member, quantity, sequence, at, expiresAt })
  next.agenda = Agenda.add(next.agenda, expiresAt, ticket)
  if (limited(next.settings)) next.members = counted(next.members, member, quantity)
  return next
}

const wait = (state: Product, event: EventOf<"TicketWaitlisted">): Product => {
  const { ticket, member, quantity, place, at } = event
  const next = copy(state)
  next.place = place
  next.tickets = next.tickets.with(ticket, { _tag: "Waiting", ticket, member, quantity, place, since: at })
  next.line = Waitlist.join(next.line, place, ticket)
  if (limited(next.settings)) next.members = counted(next.members, member, quantity)
  return next
}

const offer = (state: Product, event: EventOf<"TicketOffered">): Product => {
  const waiting = state.tickets.get(event.ticket)
  if (waiting?._tag !== "Waiting") return state
  const { ticket, member, quantity, place, since } = waiting
  const next = copy(state)
  next.offered += quantity
  next.line = Waitlist.leave(next.line, place)
  stand(next, { _tag: "Offered", ticket, member, quantity, place, since, until: event.until })
  return next
}

const withdraw = (state: Product, id: TicketId): Product => {
  const offered = state.tickets.get(id)
  if (offered?._tag !== "Offered") return state
  const { ticket, member, quantity, place, since } = offered
  const next = copy(state)
  next.offered -= quantity
  next.line = Waitlist.join(next.line, place, ticket)
  stand(next, { _tag: "Waiting", ticket, member, quantity, place, since })
  return next
}

const confirm = (state: Product, event: EventOf<"OfferConfirmed">): Product => {
  const offered = state.tickets.get(event.ticket)
  if (offered?._tag !== "Offered") return state
  const { ticket, member, quantity } = offered
  const { sequence, at, expiresAt } = event
  const next = copy(state)
  next.sequence = sequence
  next.offered -= quantity
  next.allocated += quantity
  stand(next, { _tag: "Allocated", ticket, member, quantity, sequence, at, expiresAt })
  return next
}

const hold = (state: Product, event: EventOf<"TicketHeld">): Product => {
  const allocated = state.tickets.get(event.ticket)
  if (allocated?._tag !== "Allocated") return state
  const { ticket, member, quantity, sequence, at, expiresAt } = allocated
  const { order, until } = event
  const next = copy(state)
  stand(next, { _tag: "Held", ticket, member, quantity, sequence, at, expiresAt, order, until })
  return next
}

const unhold = (state: Product, id: TicketId): Product => {
  const held = state.tickets.get(id)
  if (held?._tag !== "Held") return state
  const { ticket, member, quantity, sequence, at, expiresAt } = held
  const next = copy(state)
  stand(next, { _tag: "Allocated", ticket, member, quantity, sequence, at, expiresAt })
  return next
}

const buy = (state: Product, event: EventOf<"TicketBought">): Product => {
  const cart = state.tickets.get(event.ticket)
  if (cart === undefined || !inCart(cart)) return state
  const { ticket, member, quantity, sequence, at, expiresAt } = cart
  const { order, at: soldAt } = event
  const next = copy(state)
  remove(next, cart)
  next.sold += quantity
  next.purchases = next.purchases.with(ticket, {
    _tag: "Sold",
    ticket,
    member,
    quantity,
    sequence,
    at,
    expiresAt,
    order,
    soldAt,
    returns: []
  })
  next.settling = Agenda.add(next.settling, soldAt + returnWindowMs, ticket)
  if (next.counting) next.bought = counted(next.bought, member, quantity)
  return next
}

const settle = (state: Product, id: TicketId): Product => {
  const next = copy(state)
  next.purchases = next.purchases.without(id)
  next.settling = from(next.settling, next.purchases)
  return next
}

const giveBack = (state: Product, event: EventOf<"GoodsReturned">): Product => {
  const sold = state.purchases.get(event.ticket)
  if (sold === undefined) return state
  const { returnId: id, quantity, at } = event
  const rest = { ...sold, returns: [...sold.returns, { id, quantity, at }] }
  const next = copy(state)
  // Also if nothing of it is left: until it is too old, a repeat of the return must be known for one.
  next.purchases = next.purchases.with(sold.ticket, rest)
  next.sold -= quantity
  if (next.counting) next.bought = counted(next.bought, sold.member, -quantity)
  return next
}

export const evolve = (state: Product, event: ProductEvent): Product => {
  switch (event._tag) {
    case "TicketAllocated":
      return allocate(state, event)
    case "TicketExpired":
    case "TicketReleased":
    case "OfferLapsed":
      return close(state, event.ticket)
    case "TicketBought":
      return buy(state, event)
    case "TicketHeld":
      return hold(state, event)
    case "TicketUnheld":
      return unhold(state, event.ticket)
    case "TicketWaitlisted":
      return wait(state, event)
    case "TicketOffered":
      return offer(state, event)
    case "OfferConfirmed":
      return confirm(state, event)
    case "OfferWithdrawn":
      return withdraw(state, event.ticket)
    case "StockRecorded":
      return record(state, event)
    case "GoodsReturned":
      return giveBack(state, event)
    case "PurchaseSettled":
      return settle(state, event.ticket)
    case "TicketBarred": {
      const next = copy(state)
      next.tombstones = next.tombstones.with(event.ticket, { reason: event.reason, until: event.until })
      next.fading = Agenda.add(next.fading, event.until, event.ticket)
      return next
    }
    case "TombstoneDropped": {
      const next = copy(state)
      next.tombstones = next.tombstones.without(event.ticket)
      next.fading = from(next.fading, next.tombstones)
      return next
    }
    case "ProductDefined":
      return define(state, event.settings)
    case "StockRanOut":
    case "StockCameBack": {
      const next = copy(state)
      next.ranOut = event._tag === "StockRanOut"
      return next
    }
    case "StockFellLow":
    case "ShortageFound":
      return state
  }
}
