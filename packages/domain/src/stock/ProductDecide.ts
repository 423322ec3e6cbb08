/**
 * The rules of a product's stock: first in first out, never oversold, nobody gets past the waitlist. One actor per product;
 * the command's id is not part of the command, a repeat is answered by the runtime from its outcome (R3).
 */
import { answer, type Decider } from "../Actor.ts"
import * as Agenda from "./Agenda.ts"
import {
  type CommandOf,
  type ProductCommand,
  type ProductEvent,
  type ProductReply,
  type Settings,
  settingsDefault,
  waitlistMax
} from "./Product.ts"
import { type ProductDecision, ProductDraft } from "./ProductDraft.ts"
import { evolve } from "./ProductEvolve.ts"
import { available, initial, type Product, servable } from "./ProductState.ts"
import { changeStock, level } from "./StockDecide.ts"
import { barred, buy, confirm, giveBack, hold, release, standing, unhold } from "./TicketDecide.ts"
import * as Waitlist from "./Waitlist.ts"

const define = (state: Product, command: CommandOf<"DefineProduct">, now: number): ProductDecision => {
  const base = state.settings ?? settingsDefault
  const settings: Settings = {
    name: command.name ?? base.name,
    cartMs: command.cartMs ?? base.cartMs,
    offerMs: command.offerMs ?? base.offerMs,
    lowThreshold: command.lowThreshold ?? base.lowThreshold,
    memberLimit: command.memberLimit === undefined ? base.memberLimit : command.memberLimit,
    lifetimeLimit: command.lifetimeLimit === undefined ? base.lifetimeLimit : command.lifetimeLimit
  }
  const draft = new ProductDraft(state, now)
  draft.sweep()
  draft.emit({ _tag: "ProductDefined", settings })
  return draft.outcome({ _tag: "Defined" })
}

/** The limit that so many more pieces would break, over all of the member's tickets, or null. */
const limitReached = (state: Product, settings: Settings, member: string, quantity: number): ProductReply | null => {
  const { lifetimeLimit, memberLimit } = settings
  if (memberLimit === null && lifetimeLimit === null) return null
  const open = state.members.get(member) ?? 0
  if (memberLimit !== null && open + quantity > memberLimit) {
    return { _tag: "LimitReached", limit: memberLimit, scope: "open" }
  }
  if (lifetimeLimit !== null && (state.bought.get(member) ?? 0) + open + quantity > lifetimeLimit) {
    return { _tag: "LimitReached", limit: lifetimeLimit, scope: "lifetime" }
  }
  return null
}

const add = (
  state: Product,
  settings: Settings,
  command: CommandOf<"AddToCart">,
  now: number
): ProductDecision => {
  const { ticket, member, quantity } = command
  // Behind the runtime's outcomes and the row's key, for whoever adds a ticket under another command id.
  const known = state.tickets.get(ticket) ?? state.purchases.get(ticket)
  if (known !== undefined) {
    const same = known.member === member && known.quantity === quantity
    return answer(same ? standing(state, ticket, now) : { _tag: "TicketTaken" })
  }
  const tombstone = barred(state, ticket, now)
  const draft = new ProductDraft(state, now)
  draft.sweep()
  if (tombstone !== undefined) return draft.outcome({ _tag: tombstone.reason })
  const limit = limitReached(draft.state, settings, member, quantity)
  if (limit !== null) return draft.outcome(limit)
  const waiting = Waitlist.size(draft.state.line)
  // While people wait, whatever there is is owed to them, also if it is not enough for the first of them.
  if (waiting === 0 && quantity <= available(draft.state)) {
    const sequence = draft.state.sequence + 1
    const expiresAt = now + settings.cartMs
    return draft.outcome(
      { _tag: "Allocated", sequence, expiresAt },
      { _tag: "TicketAllocated", ticket, member, quantity, at: now, sequence, expiresAt },
      quantity
    )
  }
  if (!command.waitlist || waiting >= waitlistMax) return draft.outcome({ _tag: "SoldOut" })
  const place = draft.state.place + 1
  return draft.outcome(
    { _tag: "Waitlisted", position: waiting + 1 },
    { _tag: "TicketWaitlisted", ticket, member, quantity, at: now, place }
  )
}

const wake = (state: Product, now: number): ProductDecision => {
  const draft = new ProductDraft(state, now)
  draft.sweep()
  return draft.woken()
}

export const decide = (state: Product, command: ProductCommand, now: number): ProductDecision => {
  if (command._tag === "DefineProduct") return define(state, command, now)
  const { settings } = state
  if (settings === null) return answer({ _tag: command._tag === "Wake" ? "Woken" : "UnknownProduct" })
  switch (command._tag) {
    case "AddToCart":
      return add(state, settings, command, now)
    case "ReleaseTicket":
      return release(state, command, now)
    case "ConfirmOffer":
      return confirm(state, settings, command, now)
    case "HoldTicket":
      return hold(state, command, now)
    case "UnholdTicket":
      return unhold(state, command, now)
    case "BuyTicket":
      return buy(state, command, now)
    case "ReturnGoods":
      return giveBack(state, command, now)
    case "ChangeStock":
      return changeStock(state, command, now)
    case "ReadTicket":
      return answer(standing(state, command.ticket, now))
    case "ReadStock":
      return answer(level(state))
    case "Wake":
      return wake(state, now)
  }
}

/** The earliest end of an allocation, an offer or a hold; at once if someone in line can be served (see `sweepMax`). */
export const dueAt = (state: Product): number | null => {
  const entry = Agenda.first(state.agenda)
  const head = servable(state)
  const due = entry === undefined ? null : entry.due
  if (head === undefined) return due
  return due === null ? head.since : Math.min(due, head.since)
}

export const productDecider: Decider<Product, ProductCommand, ProductReply, ProductEvent> = {
  initial,
  decide,
  evolve,
  dueAt,
  wake: { _tag: "Wake" }
}
