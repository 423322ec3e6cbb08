/**
 * A decision in the making. Whatever the command is, what is due happens first (lapsed allocations, offers and holds), what
 * comes free goes to those in line, and at the end the level of stock is compared with the one at the beginning.
 */
import type { Decision } from "../Actor.ts"
import type { TicketId } from "../Identifier.ts"
import * as Agenda from "./Agenda.ts"
import { dueOf } from "./Allocation.ts"
import {
  type ProductEvent,
  type ProductReply,
  returnableMax,
  returnWindowMs,
  settingsDefault,
  sweepMax,
  ticketAgeMax
} from "./Product.ts"
import { evolve } from "./ProductEvolve.ts"
import { available, type Product, servable } from "./ProductState.ts"

export type ProductDecision = Decision<ProductReply, ProductEvent>

/** Old tombstones and purchases that one command clears away; each command adds one at most, so they do not pile up. */
const tidyMax = 8

/** Local to one decision; what leaves it is its list of facts. */
export class ProductDraft {
  state: Product
  readonly events: Array<ProductEvent> = []

  constructor(readonly start: Product, readonly now: number) {
    this.state = start
  }

  emit(event: ProductEvent): void {
    this.events.push(event)
    this.state = evolve(this.state, event)
  }

  /** Does what is due, at most `sweepMax` of it; `concerned`, if due, in any case: no command acts on a lapsed ticket. */
  sweep(concerned?: TicketId): void {
    for (let count = 0; count < sweepMax; count++) {
      const entry = Agenda.first(this.state.agenda)
      if (entry === undefined || entry.due > this.now) break
      this.lapse(entry.key)
    }
    if (concerned !== undefined) {
      // Twice: a hold that is over leaves an allocation, which may be over too.
      this.lapseIfDue(concerned)
      this.lapseIfDue(concerned)
    }
    this.tidy()
    this.offer()
  }

  private lapseIfDue(id: TicketId): void {
    const ticket = this.state.tickets.get(id)
    const due = ticket === undefined ? null : dueOf(ticket)
    if (due !== null && due <= this.now) this.lapse(id)
  }

  private lapse(id: TicketId): void {
    const ticket = this.state.tickets.get(id)
    switch (ticket?._tag) {
      case "Allocated":
        return this.emit({ _tag: "TicketExpired", ticket: id })
      case "Held":
        return this.emit({ _tag: "TicketUnheld", ticket: id })
      case "Offered":
        return this.emit({ _tag: "OfferLapsed", ticket: id })
    }
  }

  private tidy(): void {
    for (let count = 0; count < tidyMax; count++) {
      const entry = Agenda.first(this.state.fading)
      if (entry === undefined || entry.due > this.now) break
      this.emit({ _tag: "TombstoneDropped", ticket: entry.key })
    }
    for (let count = 0; count < tidyMax; count++) {
      const entry = Agenda.first(this.state.settling)
      if (entry === undefined) break
      const age = this.now - (entry.due - returnWindowMs)
      // A ticket younger than `ticketAgeMax` may still be given up by whoever did not hear of its sale.
      const crowded = this.state.purchases.size > returnableMax && age > ticketAgeMax
      if (entry.due > this.now && !crowded) break
      this.emit({ _tag: "PurchaseSettled", ticket: entry.key })
    }
  }

  /** Sets stock aside for those in line, strictly in order: nobody gets past a head that wants more than there is. */
  offer(): void {
    const { offerMs } = this.state.settings ?? settingsDefault
    for (let count = 0; count < sweepMax; count++) {
      const head = servable(this.state)
      if (head === undefined) return
      this.emit({ _tag: "TicketOffered", ticket: head.ticket, until: this.now + offerMs })
    }
  }

  /**
   * The outcome. `last` is a fact that nothing in this decision builds on and that takes `taken` pieces: it is not applied
   * here, because the runtime applies all facts anyway and a cart add should not pay for it twice.
   */
  outcome(reply: ProductReply, last?: ProductEvent, taken = 0): ProductDecision {
    if (last !== undefined) this.events.push(last)
    return { reply, events: this.level(taken), final: true }
  }

  /** What the timer did: facts, but nothing that a repeat would have to get again. */
  woken(): ProductDecision {
    return { reply: { _tag: "Woken" }, events: this.level(0), final: false }
  }

  /** States what the whole command did to the level: stock that went from one member to the next was never back. */
  private level(taken: number): ReadonlyArray<ProductEvent> {
    if (this.events.length === 0) return this.events
    const before = available(this.start)
    const after = available(this.state) - taken
    const { lowThreshold } = this.state.settings ?? settingsDefault
    if (after === 0) {
      if (before > 0) this.events.push({ _tag: "StockRanOut" })
    } else if (this.start.ranOut) {
      this.events.push({ _tag: "StockCameBack", available: after })
    } else if (after <= lowThreshold && before > lowThreshold) {
      this.events.push({ _tag: "StockFellLow", available: after })
    }
    return this.events
  }
}
