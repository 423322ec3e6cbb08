/** The tables of a Product actor (migration 0010), and how its tickets become rows and rows become tickets. */
import { type Allocated, type Held, inCart, type Sold, type Ticket } from "@hikyaku/domain/stock/Allocation"
import { type ProductEvent, ReleaseReason } from "@hikyaku/domain/stock/Product"
import type { Offered, Waiting } from "@hikyaku/domain/stock/Waitlist"
import type { ChildTable, MainTable, Row, Value } from "../actor/Table.ts"

export const productTable: MainTable = {
  name: "product",
  columns: {
    name: "text",
    cart_ms: "integer",
    offer_ms: "integer",
    low_threshold: "integer",
    member_limit: "integer",
    lifetime_limit: "integer",
    counting: "boolean",
    ran_out: "boolean",
    taken_in: "bigint",
    shortage: "bigint",
    available: "bigint",
    allocated: "bigint",
    offered: "bigint",
    sold: "bigint",
    sequence: "bigint",
    place: "bigint"
  }
}

export const allocationTable: ChildTable = {
  name: "allocation",
  actor: "product",
  key: ["product", "ticket"],
  // What is sold stays in memory until it is settled: it can be returned.
  live: { status: ["allocated", "held", "sold"] },
  columns: {
    product: "text",
    ticket: "uuid",
    member: "text",
    quantity: "integer",
    sequence: "bigint",
    status: "text",
    allocated_at: "instant",
    expires_at: "instant",
    held_until: "instant",
    order_id: "text",
    closed_at: "instant"
  }
}

export const waitTable: ChildTable = {
  name: "ticket_wait",
  actor: "product",
  key: ["product", "ticket"],
  live: { status: ["waiting", "offered"] },
  columns: {
    product: "text",
    ticket: "uuid",
    member: "text",
    quantity: "integer",
    place: "bigint",
    status: "text",
    since: "instant",
    offered_until: "instant",
    closed_at: "instant"
  }
}

export const tombstoneTable: ChildTable = {
  name: "ticket_tombstone",
  actor: "product",
  key: ["product", "ticket"],
  live: {},
  columns: { product: "text", ticket: "uuid", reason: "text", until_at: "instant" }
}

export const returnTable: ChildTable = {
  name: "allocation_return",
  actor: "product",
  key: ["product", "ticket", "return_id"],
  live: { settled: ["false"] },
  columns: {
    product: "text",
    ticket: "uuid",
    return_id: "text",
    quantity: "integer",
    returned_at: "instant",
    settled: "boolean"
  }
}

export const sourceTable: ChildTable = {
  name: "stock_source",
  actor: "product",
  key: ["product", "source"],
  live: {},
  columns: { product: "text", source: "text", version: "bigint" }
}

export const boughtTable: ChildTable = {
  name: "member_bought",
  actor: "product",
  key: ["product", "member"],
  live: {},
  columns: { product: "text", member: "text", quantity: "bigint" }
}

/** How a closed ticket's row is marked, by what closed it. */
export const closedStatus: Readonly<Record<ReleaseReason, string>> = {
  Released: "released",
  Cancelled: "cancelled",
  TimedOut: "timed_out"
}

const openStatus: Readonly<Record<Ticket["_tag"] | "Sold", string>> = {
  Allocated: "allocated",
  Held: "held",
  Sold: "sold",
  Offered: "offered",
  Waiting: "waiting"
}

/** `status` and `closedAt` for one that is closed by the fact being written. */
export const allocationRow = (
  product: string,
  allocation: Allocated | Held | Sold,
  status: string = openStatus[allocation._tag],
  closedAt: number | null = allocation._tag === "Sold" ? allocation.soldAt : null
): Row => ({
  product,
  ticket: allocation.ticket,
  member: allocation.member,
  quantity: allocation.quantity,
  sequence: allocation.sequence,
  status,
  allocated_at: allocation.at,
  expires_at: allocation.expiresAt,
  held_until: allocation._tag === "Held" ? allocation.until : null,
  order_id: allocation._tag === "Allocated" ? null : allocation.order,
  closed_at: closedAt
})

/** The hot path's row, straight from the fact. */
export const newAllocationRow = (
  product: string,
  event: Extract<ProductEvent, { readonly _tag: "TicketAllocated" }>
): Row => ({
  product,
  ticket: event.ticket,
  member: event.member,
  quantity: event.quantity,
  sequence: event.sequence,
  status: "allocated",
  allocated_at: event.at,
  expires_at: event.expiresAt,
  held_until: null,
  order_id: null,
  closed_at: null
})

export const waitRow = (
  product: string,
  wait: Waiting | Offered,
  status: string = openStatus[wait._tag],
  closedAt: number | null = null
): Row => ({
  product,
  ticket: wait.ticket,
  member: wait.member,
  quantity: wait.quantity,
  place: wait.place,
  status,
  since: wait.since,
  offered_until: wait._tag === "Offered" ? wait.until : null,
  closed_at: closedAt
})

/** The row of a ticket in whichever of the two tables it stands. */
export const ticketRow = (
  product: string,
  ticket: Ticket,
  status?: string,
  closedAt?: number
): { readonly table: ChildTable; readonly row: Row } =>
  inCart(ticket)
    ? { table: allocationTable, row: allocationRow(product, ticket, status, closedAt) }
    : { table: waitTable, row: waitRow(product, ticket, status, closedAt) }

const misfit = (row: Row, column: string): Error =>
  new Error(`column ${column} holds ${JSON.stringify(row[column])}, which this version does not understand`)

/** Columns read by hand: a hot product has tens of thousands of rows to load. */
export const text = (row: Row, column: string): string => {
  const value: Value | undefined = row[column]
  if (typeof value !== "string") throw misfit(row, column)
  return value
}
export const number = (row: Row, column: string): number => {
  const value: Value | undefined = row[column]
  if (typeof value !== "number") throw misfit(row, column)
  return value
}
export const numberOrNull = (row: Row, column: string): number | null =>
  row[column] === null ? null : number(row, column)
export const flag = (row: Row, column: string): boolean => {
  const value: Value | undefined = row[column]
  if (typeof value !== "boolean") throw misfit(row, column)
  return value
}

/** Returns are in rows of their own, and put in by the caller. */
export const allocationOf = (row: Row): Allocated | Held | Sold => {
  const ticket = text(row, "ticket")
  const member = text(row, "member")
  const quantity = number(row, "quantity")
  const sequence = number(row, "sequence")
  const at = number(row, "allocated_at")
  const expiresAt = number(row, "expires_at")
  switch (row["status"]) {
    case "allocated":
      return { _tag: "Allocated", ticket, member, quantity, sequence, at, expiresAt }
    case "held": {
      const [order, until] = [text(row, "order_id"), number(row, "held_until")]
      return { _tag: "Held", ticket, member, quantity, sequence, at, expiresAt, order, until }
    }
    case "sold": {
      const [order, soldAt] = [text(row, "order_id"), number(row, "closed_at")]
      return { _tag: "Sold", ticket, member, quantity, sequence, at, expiresAt, order, soldAt, returns: [] }
    }
    default:
      throw misfit(row, "status")
  }
}

export const waitOf = (row: Row): Waiting | Offered => {
  const ticket = text(row, "ticket")
  const member = text(row, "member")
  const quantity = number(row, "quantity")
  const place = number(row, "place")
  const since = number(row, "since")
  switch (row["status"]) {
    case "waiting":
      return { _tag: "Waiting", ticket, member, quantity, place, since }
    case "offered":
      return { _tag: "Offered", ticket, member, quantity, place, since, until: number(row, "offered_until") }
    default:
      throw misfit(row, "status")
  }
}

export const reasonOf = (row: Row): ReleaseReason => {
  const reason = ReleaseReason.literals.find((literal) => literal === row["reason"])
  if (reason === undefined) throw misfit(row, "reason")
  return reason
}
