/**
 * The Product actor on the cluster, keyed by product id. Its cell alone writes the product's row, its allocations, its
 * waitlist and what else is in ProductTables; other parts of the system read them.
 */
import type { Happening } from "@hikyaku/domain/marketing/Event"
import * as Agenda from "@hikyaku/domain/stock/Agenda"
import { dueOf, type Sold, type Ticket } from "@hikyaku/domain/stock/Allocation"
import {
  ProductCommand,
  type ProductEvent,
  ProductReply,
  returnWindowMs,
  type Settings
} from "@hikyaku/domain/stock/Product"
import { productDecider } from "@hikyaku/domain/stock/ProductDecide"
import { available, initial, limited, type Product, shortage, type Tombstone } from "@hikyaku/domain/stock/ProductState"
import { VersionedMap } from "@hikyaku/domain/stock/VersionedMap"
import * as Waitlist from "@hikyaku/domain/stock/Waitlist"
import type { ActorKind, Fact } from "../actor/ActorKind.ts"
import type { Row, RowWriter } from "../actor/Table.ts"
import {
  allocationOf,
  allocationRow,
  allocationTable,
  boughtTable,
  closedStatus,
  flag,
  newAllocationRow,
  number,
  numberOrNull,
  productTable,
  reasonOf,
  returnTable,
  sourceTable,
  text,
  ticketRow,
  tombstoneTable,
  waitOf,
  waitRow,
  waitTable
} from "./ProductTables.ts"

type ProductFact = Fact<Product, ProductEvent>

const mainRow = (product: Product): Row => {
  const { settings } = product
  // Whatever is asked of an unknown product is answered without facts or outcomes.
  if (settings === null) throw new Error(`product ${product.id} is not defined and has no row`)
  return {
    name: settings.name,
    cart_ms: settings.cartMs,
    offer_ms: settings.offerMs,
    low_threshold: settings.lowThreshold,
    member_limit: settings.memberLimit,
    lifetime_limit: settings.lifetimeLimit,
    counting: product.counting,
    ran_out: product.ranOut,
    taken_in: product.takenIn,
    shortage: shortage(product),
    available: available(product),
    allocated: product.allocated,
    offered: product.offered,
    sold: product.sold,
    sequence: product.sequence,
    place: product.place
  }
}

const settingsOf = (main: Row): Settings => ({
  name: text(main, "name"),
  cartMs: number(main, "cart_ms"),
  offerMs: number(main, "offer_ms"),
  lowThreshold: number(main, "low_threshold"),
  memberLimit: numberOrNull(main, "member_limit"),
  lifetimeLimit: numberOrNull(main, "lifetime_limit")
})

type Rows = Readonly<Record<string, ReadonlyArray<Row>>>

/** Tickets with what the state derives from them. */
const restoreTickets = (tickets: ReadonlyArray<Ticket>, counted: boolean) => {
  let agenda = Agenda.empty
  let line = Waitlist.empty
  const members = new Map<string, number>()
  for (const ticket of tickets) {
    const due = dueOf(ticket)
    if (due !== null) agenda = Agenda.add(agenda, due, ticket.ticket)
    if (ticket._tag === "Waiting") line = Waitlist.join(line, ticket.place, ticket.ticket)
    if (counted) members.set(ticket.member, (members.get(ticket.member) ?? 0) + ticket.quantity)
  }
  return {
    tickets: VersionedMap.from(tickets.map((ticket) => [ticket.ticket, ticket])),
    agenda,
    line,
    members: VersionedMap.from(members)
  }
}

const restorePurchases = (sold: ReadonlyArray<Sold>, rows: ReadonlyArray<Row>) => {
  const returns = new Map<string, Array<Sold["returns"][number]>>()
  for (const row of rows) {
    const part = { id: text(row, "return_id"), quantity: number(row, "quantity"), at: number(row, "returned_at") }
    const ticket = text(row, "ticket")
    const parts = returns.get(ticket)
    if (parts === undefined) returns.set(ticket, [part])
    else parts.push(part)
  }
  let settling = Agenda.empty
  for (const { soldAt, ticket } of sold) settling = Agenda.add(settling, soldAt + returnWindowMs, ticket)
  return {
    purchases: VersionedMap.from(
      sold.map((sale): readonly [string, Sold] => [sale.ticket, { ...sale, returns: returns.get(sale.ticket) ?? [] }])
    ),
    settling
  }
}

const restoreTombstones = (rows: ReadonlyArray<Row>) => {
  let fading = Agenda.empty
  const tombstones = rows.map((row): readonly [string, Tombstone] => {
    const [ticket, until] = [text(row, "ticket"), number(row, "until_at")]
    fading = Agenda.add(fading, until, ticket)
    return [ticket, { reason: reasonOf(row), until }]
  })
  return { tombstones: VersionedMap.from(tombstones), fading }
}

const restore = (id: string, main: Row, children: Rows): Product => {
  const rows = (table: { readonly name: string }) => children[table.name] ?? []
  const settings = settingsOf(main)
  const allocations = rows(allocationTable).map(allocationOf)
  const tickets: Array<Ticket> = rows(waitTable).map(waitOf)
  const sold: Array<Sold> = []
  for (const allocation of allocations) {
    if (allocation._tag === "Sold") sold.push(allocation)
    else tickets.push(allocation)
  }
  return {
    ...initial(id),
    settings,
    takenIn: number(main, "taken_in"),
    allocated: number(main, "allocated"),
    offered: number(main, "offered"),
    sold: number(main, "sold"),
    sequence: number(main, "sequence"),
    place: number(main, "place"),
    ranOut: flag(main, "ran_out"),
    counting: flag(main, "counting"),
    ...restoreTickets(tickets, limited(settings)),
    ...restorePurchases(sold, rows(returnTable)),
    ...restoreTombstones(rows(tombstoneTable)),
    bought: VersionedMap.from(rows(boughtTable).map((row) => [text(row, "member"), number(row, "quantity")])),
    sources: VersionedMap.from(rows(sourceTable).map((row) => [text(row, "source"), number(row, "version")]))
  }
}

/** A member's purchases, after a fact that changed them. */
const writeBought = (writer: RowWriter, { after, before, id }: ProductFact, member: string): void => {
  const quantity = after.bought.get(member)
  const known = before.bought.has(member)
  if (quantity === undefined) {
    if (known) writer.delete(boughtTable, { product: id, member })
  } else if (known) writer.update(boughtTable, { product: id, member, quantity })
  else writer.insert(boughtTable, { product: id, member, quantity })
}

/** A ticket whose standing the fact changed and that stays in memory. */
const writeOpen = (writer: RowWriter, { after, id }: ProductFact, key: string): void => {
  const ticket = after.tickets.get(key)
  if (ticket === undefined) return
  const { row, table } = ticketRow(id, ticket)
  writer.update(table, row)
}

/** A ticket that the fact closed. */
const writeClosed = (writer: RowWriter, { before, id, now }: ProductFact, key: string, status: string): void => {
  const ticket = before.tickets.get(key)
  if (ticket === undefined) return
  const { row, table } = ticketRow(id, ticket, status, now)
  writer.update(table, row)
}

const writeSettled = (writer: RowWriter, id: string, sold: Sold): void => {
  writer.update(allocationTable, allocationRow(id, sold, "settled"))
  for (const { at, id: returnId, quantity } of sold.returns) {
    writer.update(returnTable, {
      product: id,
      ticket: sold.ticket,
      return_id: returnId,
      quantity,
      returned_at: at,
      settled: true
    })
  }
}

const write = (writer: RowWriter, fact: ProductFact): void => {
  const { after, before, event, id } = fact
  switch (event._tag) {
    case "TicketAllocated":
      return writer.insert(allocationTable, newAllocationRow(id, event))
    case "TicketExpired":
      return writeClosed(writer, fact, event.ticket, "expired")
    case "OfferLapsed":
      return writeClosed(writer, fact, event.ticket, "lapsed")
    case "TicketReleased":
      return writeClosed(writer, fact, event.ticket, closedStatus[event.reason])
    case "TicketHeld":
    case "TicketUnheld":
    case "TicketOffered":
    case "OfferWithdrawn":
      return writeOpen(writer, fact, event.ticket)
    case "TicketWaitlisted":
      return writer.insert(waitTable, waitRow(id, { ...event, _tag: "Waiting", since: event.at }))
    case "OfferConfirmed": {
      writeClosed(writer, fact, event.ticket, "confirmed")
      const ticket = after.tickets.get(event.ticket)
      return ticket?._tag === "Allocated" ? writer.insert(allocationTable, allocationRow(id, ticket)) : undefined
    }
    case "TicketBought": {
      const sold = after.purchases.get(event.ticket)
      if (sold === undefined) return
      writer.update(allocationTable, allocationRow(id, sold))
      return after.counting ? writeBought(writer, fact, sold.member) : undefined
    }
    case "GoodsReturned": {
      const { at, quantity, returnId, ticket } = event
      const row = { product: id, ticket, return_id: returnId, quantity, returned_at: at, settled: false }
      writer.insert(returnTable, row)
      const sold = before.purchases.get(ticket)
      return sold !== undefined && after.counting ? writeBought(writer, fact, sold.member) : undefined
    }
    case "PurchaseSettled": {
      const sold = before.purchases.get(event.ticket)
      return sold === undefined ? undefined : writeSettled(writer, id, sold)
    }
    case "TicketBarred": {
      const { reason, ticket, until } = event
      return writer.insert(tombstoneTable, { product: id, ticket, reason, until_at: until })
    }
    case "TombstoneDropped":
      return writer.delete(tombstoneTable, { product: id, ticket: event.ticket })
    case "StockRecorded": {
      const row = { product: id, source: event.source, version: event.sourceVersion }
      return before.sources.has(event.source) ? writer.update(sourceTable, row) : writer.insert(sourceTable, row)
    }
    case "ProductDefined":
      // The first lifetime limit: whoever bought already is put on record.
      if (after.counting && !before.counting) {
        for (const [member, quantity] of after.bought.entries()) {
          writer.insert(boughtTable, { product: id, member, quantity })
        }
      }
      return
    case "ShortageFound":
    case "StockFellLow":
    case "StockRanOut":
    case "StockCameBack":
      return
  }
}

/** What the shop hears of. */
const publish = ({ after, before, event, id: product }: ProductFact): ReadonlyArray<Happening> => {
  switch (event._tag) {
    case "TicketAllocated": {
      const { member, quantity, ticket } = event
      return [{ _tag: "CartAdded", product, member, ticket, quantity }]
    }
    case "OfferConfirmed": {
      const added = after.tickets.get(event.ticket)
      if (added === undefined) return []
      const { member, quantity, ticket } = added
      return [{ _tag: "CartAdded", product, member, ticket, quantity }]
    }
    case "TicketExpired": {
      const lapsed = before.tickets.get(event.ticket)
      if (lapsed === undefined) return []
      const { member, quantity, ticket } = lapsed
      return [{ _tag: "CartExpired", product, member, ticket, quantity }]
    }
    case "TicketBought": {
      const sold = after.purchases.get(event.ticket)
      return sold === undefined
        ? []
        : [{ _tag: "Purchased", product, member: sold.member, quantity: sold.quantity }]
    }
    case "GoodsReturned": {
      const sold = before.purchases.get(event.ticket)
      return sold === undefined ? [] : [{ _tag: "Returned", product, member: sold.member, quantity: event.quantity }]
    }
    case "StockFellLow":
      return [{ _tag: "StockLow", product, available: event.available }]
    case "StockRanOut":
      return [{ _tag: "SoldOut", product }]
    case "StockCameBack":
      return [{ _tag: "Restocked", product, available: event.available }]
    case "ShortageFound":
      return [{ _tag: "StockShort", product, shortage: event.shortage, tickets: event.tickets }]
    default:
      return []
  }
}

export const productKind: ActorKind<Product, ProductCommand, ProductReply, ProductEvent> = {
  name: "Product",
  decider: productDecider,
  command: ProductCommand,
  reply: ProductReply,
  main: productTable,
  children: [allocationTable, waitTable, tombstoneTable, returnTable, sourceTable, boughtTable],
  mainRow,
  restore,
  write,
  publish
}
