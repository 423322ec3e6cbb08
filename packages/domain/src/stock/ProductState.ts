/**
 * What a Product actor keeps in memory: its books and the tickets that can still change. Everything is persistent
 * (unchanged parts are shared), so that a product with tens of thousands of open tickets costs no more per command than a
 * quiet one.
 */
import type { MemberId, ProductId, SourceId, TicketId } from "../Identifier.ts"
import * as Agenda from "./Agenda.ts"
import type { Sold, Ticket } from "./Allocation.ts"
import type { ReleaseReason, Settings } from "./Product.ts"
import { VersionedMap } from "./VersionedMap.ts"
import * as Waitlist from "./Waitlist.ts"

/** A ticket that was given up before it came, and until when that is remembered (ms since the epoch). */
export interface Tombstone {
  readonly reason: ReleaseReason
  readonly until: number
}

export interface Product {
  readonly id: ProductId
  /** null: the product is not known. */
  readonly settings: Settings | null
  /** Pieces that came in less those that were corrected away, over the product's whole life. */
  readonly takenIn: number
  /** Pieces in carts, held ones included. */
  readonly allocated: number
  /** Pieces set aside for the waitlist. */
  readonly offered: number
  /** Pieces bought and not returned. */
  readonly sold: number
  /** The last allocation's number. */
  readonly sequence: number
  /** The last place given in line. */
  readonly place: number
  /** It was stated that nothing is left, and not yet that stock is back. */
  readonly ranOut: boolean
  /** Tickets with or waiting for unsold stock. */
  readonly tickets: VersionedMap<TicketId, Ticket>
  /** When which of `tickets` has to be looked at. */
  readonly agenda: Agenda.Agenda
  readonly line: Waitlist.Waitlist
  /** Pieces per member over `tickets`; kept only while a limit is set. */
  readonly members: VersionedMap<MemberId, number>
  /** Bought tickets that can be returned, and when that ends. */
  readonly purchases: VersionedMap<TicketId, Sold>
  readonly settling: Agenda.Agenda
  /**
   * Whether purchases are counted per member: from the first lifetime limit on and for good, so that a limit that is
   * taken away and set again forgets nobody.
   */
  readonly counting: boolean
  /** Pieces bought and not returned per member, while `counting`. */
  readonly bought: VersionedMap<MemberId, number>
  readonly tombstones: VersionedMap<TicketId, Tombstone>
  readonly fading: Agenda.Agenda
  /** The newest version seen per source of stock figures. */
  readonly sources: VersionedMap<SourceId, number>
}

export const initial = (id: ProductId): Product => ({
  id,
  settings: null,
  takenIn: 0,
  allocated: 0,
  offered: 0,
  sold: 0,
  sequence: 0,
  place: 0,
  ranOut: false,
  tickets: VersionedMap.empty(),
  agenda: Agenda.empty,
  line: Waitlist.empty,
  members: VersionedMap.empty(),
  purchases: VersionedMap.empty(),
  settling: Agenda.empty,
  counting: false,
  bought: VersionedMap.empty(),
  tombstones: VersionedMap.empty(),
  fading: Agenda.empty,
  sources: VersionedMap.empty()
})

/** A state in the making: local to the function that makes it. */
export type ProductCopy = { -readonly [K in keyof Product]: Product[K] }

/** Field by field, because every command pays for it: spreading an object of this size takes 1.3 µs, this 0.05. */
export const copy = (product: Product): ProductCopy => ({
  id: product.id,
  settings: product.settings,
  takenIn: product.takenIn,
  allocated: product.allocated,
  offered: product.offered,
  sold: product.sold,
  sequence: product.sequence,
  place: product.place,
  ranOut: product.ranOut,
  tickets: product.tickets,
  agenda: product.agenda,
  line: product.line,
  members: product.members,
  purchases: product.purchases,
  settling: product.settling,
  counting: product.counting,
  bought: product.bought,
  tombstones: product.tombstones,
  fading: product.fading,
  sources: product.sources
})

/** What is taken in and promised to nobody; negative when more is promised than there is. */
const balance = (product: Product): number => product.takenIn - product.allocated - product.offered - product.sold

/** Pieces that can be allocated. Stock that comes back makes good a shortage first. */
export const available = (product: Product): number => Math.max(0, balance(product))

/** Pieces promised that are not there; only a correction of stock makes it grow. */
export const shortage = (product: Product): number => Math.max(0, -balance(product))

/** Whether pieces are counted per member. */
export const limited = (settings: Settings | null): boolean =>
  settings !== null && (settings.memberLimit !== null || settings.lifetimeLimit !== null)

/** The next in line if there is stock for it. */
export const servable = (product: Product): Extract<Ticket, { readonly _tag: "Waiting" }> | undefined => {
  const head = Waitlist.head(product.line)
  if (head === undefined) return undefined
  const ticket = product.tickets.get(head)
  return ticket?._tag === "Waiting" && ticket.quantity <= balance(product) ? ticket : undefined
}
