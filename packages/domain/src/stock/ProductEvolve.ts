/** How facts change a product's state. Never fails: what could be refused has been refused by the decision. */
import type { MemberId, TicketId } from "../Identifier.ts"
import * as Agenda from "./Agenda.ts"
import { dueOf, returned, type Sold, type Ticket } from "./Allocation.ts"
import { type ProductEvent, returnWindowMs, type Settings } from "./Product.ts"
import { limited, type Product } from "./ProductState.ts"
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

/** The agenda with a first entry that holds, so that nobody is woken for a ticket that is gone. */
const pruned = (agenda: Agenda.Agenda, tickets: Product["tickets"]): Agenda.Agenda => {
  if (crowded(agenda, tickets.size)) {
    let anew = Agenda.empty
    for (const ticket of tickets.values()) {
      const due = dueOf(ticket)
      if (due !== null) anew = Agenda.add(anew, due, ticket.ticket)
    }
    return anew
  }
  for (let entry = Agenda.first(agenda); entry !== undefined; entry = Agenda.first(agenda)) {
    const ticket = tickets.get(entry.key)
    if (ticket !== undefined && dueOf(ticket) === entry.due) break
    agenda = Agenda.dropFirst(agenda)
  }
  return agenda
}

/** The agenda from its first entry on that is still in the map. */
const standing = <V extends object>(agenda: Agenda.Agenda, map: VersionedMap<TicketId, V>): Agenda.Agenda => {
  for (let entry = Agenda.first(agenda); entry !== undefined; entry = Agenda.first(agenda)) {
    if (map.has(entry.key)) break
    agenda = Agenda.dropFirst(agenda)
  }
  return agenda
}

const prunedSettling = (settling: Agenda.Agenda, purchases: Product["purchases"]): Agenda.Agenda => {
  if (crowded(settling, purchases.size)) {
    let anew = Agenda.empty
    for (const sold of purchases.values()) anew = Agenda.add(anew, sold.soldAt + returnWindowMs, sold.ticket)
    return anew
  }
  return standing(settling, purchases)
}

/** Puts a ticket in another standing; the caller moves the pieces between the books. */
const stand = (state: Product, ticket: Ticket): Pick<Product, "tickets" | "agenda"> => {
  const tickets = state.tickets.with(ticket.ticket, ticket)
  const due = dueOf(ticket)
  return { tickets, agenda: pruned(due === null ? state.agenda : Agenda.add(state.agenda, due, ticket.ticket), tickets) }
}

/** Takes a ticket out of memory and its pieces out of the books. */
const close = (state: Product, id: TicketId): Product => {
  const ticket = state.tickets.get(id)
  if (ticket === undefined) return state
  const tickets = state.tickets.without(id)
  const { member, quantity } = ticket
  const held = ticket._tag === "Allocated" || ticket._tag === "Held"
  return {
    ...state,
    tickets,
    agenda: pruned(state.agenda, tickets),
    members: limited(state.settings) ? counted(state.members, member, -quantity) : state.members,
    allocated: held ? state.allocated - quantity : state.allocated,
    offered: ticket._tag === "Offered" ? state.offered - quantity : state.offered,
    line: ticket._tag === "Waiting" ? Waitlist.leave(state.line, ticket.place) : state.line
  }
}

const define = (state: Product, settings: Settings): Product => {
  const counting = state.counting || settings.lifetimeLimit !== null
  return {
    ...state,
    settings,
    counting,
    members: !limited(settings)
      ? VersionedMap.empty()
      : limited(state.settings)
      ? state.members
      : countAll(state.tickets.values(), (ticket) => ticket.quantity),
    bought: counting === state.counting
      ? state.bought
      : countAll(state.purchases.values(), (sold) => sold.quantity - returned(sold))
  }
}

const allocate = (state: Product, event: EventOf<"TicketAllocated">): Product => {
  const { ticket, member, quantity, sequence, at, expiresAt } = event
  return {
    ...state,
    sequence,
    allocated: state.allocated + quantity,
    tickets: state.tickets.with(ticket, {
      _tag: "Allocated",
      ticket,
      member,
      quantity,
      sequence,
      at,
      expiresAt
    }),
    agenda: Agenda.add(state.agenda, expiresAt, ticket),
    members: limited(state.settings) ? counted(state.members, member, quantity) : state.members
  }
}

const wait = (state: Product, event: EventOf<"TicketWaitlisted">): Product => {
  const { ticket, member, quantity, place, at } = event
  return {
    ...state,
    place,
    tickets: state.tickets.with(ticket, { _tag: "Waiting", ticket, member, quantity, place, since: at }),
    line: Waitlist.join(state.line, place, ticket),
    members: limited(state.settings) ? counted(state.members, member, quantity) : state.members
  }
}

const offer = (state: Product, event: EventOf<"TicketOffered">): Product => {
  const waiting = state.tickets.get(event.ticket)
  if (waiting?._tag !== "Waiting") return state
  return {
    ...state,
    ...stand(state, { ...waiting, _tag: "Offered", until: event.until }),
    offered: state.offered + waiting.quantity,
    line: Waitlist.leave(state.line, waiting.place)
  }
}

const withdraw = (state: Product, id: TicketId): Product => {
  const offered = state.tickets.get(id)
  if (offered?._tag !== "Offered") return state
  const { ticket, member, quantity, place, since } = offered
  return {
    ...state,
    ...stand(state, { _tag: "Waiting", ticket, member, quantity, place, since }),
    offered: state.offered - quantity,
    line: Waitlist.join(state.line, place, ticket)
  }
}

const confirm = (state: Product, event: EventOf<"OfferConfirmed">): Product => {
  const offered = state.tickets.get(event.ticket)
  if (offered?._tag !== "Offered") return state
  const { ticket, member, quantity } = offered
  const { sequence, at, expiresAt } = event
  return {
    ...state,
    ...stand(state, { _tag: "Allocated", ticket, member, quantity, sequence, at, expiresAt }),
    sequence,
    offered: state.offered - quantity,
    allocated: state.allocated + quantity
  }
}

const hold = (state: Product, event: EventOf<"TicketHeld">): Product => {
  const ticket = state.tickets.get(event.ticket)
  if (ticket?._tag !== "Allocated") return state
  return { ...state, ...stand(state, { ...ticket, _tag: "Held", order: event.order, until: event.until }) }
}

const unhold = (state: Product, id: TicketId): Product => {
  const held = state.tickets.get(id)
  if (held?._tag !== "Held") return state
  const { ticket, member, quantity, sequence, at, expiresAt } = held
  return { ...state, ...stand(state, { _tag: "Allocated", ticket, member, quantity, sequence, at, expiresAt }) }
}

const buy = (state: Product, event: EventOf<"TicketBought">): Product => {
  const bought = state.tickets.get(event.ticket)
  if (bought?._tag !== "Allocated" && bought?._tag !== "Held") return state
  const { ticket, member, quantity, sequence, at, expiresAt } = bought
  const closed = close(state, ticket)
  const sold: Sold = {
    _tag: "Sold",
    ticket,
    member,
    quantity,
    sequence,
    at,
    expiresAt,
    order: event.order,
    soldAt: event.at,
    returns: []
  }
  return {
    ...closed,
    sold: state.sold + quantity,
    purchases: state.purchases.with(ticket, sold),
    settling: Agenda.add(state.settling, event.at + returnWindowMs, ticket),
    bought: state.counting ? counted(state.bought, member, quantity) : state.bought
  }
}

const settle = (state: Product, id: TicketId): Product => {
  const purchases = state.purchases.without(id)
  return { ...state, purchases, settling: prunedSettling(state.settling, purchases) }
}

const giveBack = (state: Product, event: EventOf<"GoodsReturned">): Product => {
  const sold = state.purchases.get(event.ticket)
  if (sold === undefined) return state
  const { returnId, quantity, at } = event
  const rest: Sold = { ...sold, returns: [...sold.returns, { id: returnId, quantity, at }] }
  const after = returned(rest) >= rest.quantity
    ? settle(state, sold.ticket)
    : { ...state, purchases: state.purchases.with(sold.ticket, rest) }
  return {
    ...after,
    sold: state.sold - quantity,
    bought: state.counting ? counted(state.bought, sold.member, -quantity) : state.bought
  }
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
      return {
        ...state,
        takenIn: state.takenIn + event.change,
        sources: state.sources.with(event.source, event.sourceVersion)
      }
    case "GoodsReturned":
      return giveBack(state, event)
    case "PurchaseSettled":
      return settle(state, event.ticket)
    case "TicketBarred":
      return {
        ...state,
        tombstones: state.tombstones.with(event.ticket, { reason: event.reason, until: event.until }),
        fading: Agenda.add(state.fading, event.until, event.ticket)
      }
    case "TombstoneDropped": {
      const tombstones = state.tombstones.without(event.ticket)
      return { ...state, tombstones, fading: standing(state.fading, tombstones) }
    }
    case "ProductDefined":
      return define(state, event.settings)
    case "StockRanOut":
      return { ...state, ranOut: true }
    case "StockCameBack":
      return { ...state, ranOut: false }
    case "StockFellLow":
    case "ShortageFound":
      return state
  }
}
