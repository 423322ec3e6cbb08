/**
 * Who waits for which product in this process: places in line, and how fast each line moves, measured. Bounded per product,
 * so that a rush for one leaves room for the others (R10).
 */
import { ServiceRate } from "@hikyaku/cluster/actor/ServiceRate"
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"

/** Adds of one product under way in one process: what its cell takes in. */
export const lineMax = 8_000

interface Place {
  readonly number: number
  readonly heard: Array<() => void>
}

interface Line {
  readonly places: Map<TicketId, Place>
  readonly rate: ServiceRate
  arrived: number
  left: number
}

export interface Standing {
  /** 1 is next. */
  readonly position: number
  /** ms until its turn at the rate of late; null: none has been measured. */
  readonly estimate: number | null
}

export class WaitingLines {
  private readonly lines = new Map<ProductId, Line>()
  private readonly monotonic: () => number
  private readonly max: number

  constructor(monotonic: () => number, max = lineMax) {
    this.monotonic = monotonic
    this.max = max
  }

  /** Takes a place; the ms after which to try again when there is none. A ticket that stands in line keeps its place. */
  enter(product: ProductId, ticket: TicketId): number | null {
    let line = this.lines.get(product)
    if (line === undefined) {
      this.lines.set(product, line = { places: new Map(), rate: new ServiceRate(), arrived: 0, left: 0 })
    }
    if (line.places.has(ticket)) return null
    if (line.places.size >= this.max) return line.rate.retryAfter(line.places.size, this.monotonic())
    line.places.set(ticket, { number: ++line.arrived, heard: [] })
    return null
  }

  /** It is decided, or nobody waits for it any more. */
  leave(product: ProductId, ticket: TicketId, served: boolean): void {
    const line = this.lines.get(product)
    const place = line?.places.get(ticket)
    if (line === undefined || place === undefined) return
    line.places.delete(ticket)
    line.left++
    if (served) line.rate.count(this.monotonic())
    if (line.places.size === 0) this.lines.delete(product)
    for (const hear of place.heard) hear()
  }

  /** Where a ticket stands; null when it does not wait here. */
  standing(product: ProductId, ticket: TicketId): Standing | null {
    const line = this.lines.get(product)
    const place = line?.places.get(ticket)
    if (line === undefined || place === undefined) return null
    // Those ahead of it leave first, but for those that are given up.
    const position = Math.min(line.places.size, Math.max(1, place.number - line.left))
    const rate = line.rate.perMs(this.monotonic())
    return { position, estimate: rate === null ? null : Math.round(position / rate) }
  }

  /** Calls back once the ticket has left its line; the result takes that back. Null when it does not wait here. */
  whenLeft(product: ProductId, ticket: TicketId, hear: () => void): (() => void) | null {
    const place = this.lines.get(product)?.places.get(ticket)
    if (place === undefined) return null
    place.heard.push(hear)
    return () => {
      const at = place.heard.indexOf(hear)
      if (at >= 0) place.heard.splice(at, 1)
    }
  }
}
