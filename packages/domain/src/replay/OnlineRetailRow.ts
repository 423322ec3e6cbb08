/**
 * One row of the Online Retail data set (UCI, Chen, Sain and Guo 2012): what it says, or why it cannot be used. The order
 * of the checks is the order of the reasons below; a row counts under the first that applies.
 */
import { Schema } from "effect"
import { Instant, MemberId, Price, ProductId, quantityMax } from "../Identifier.ts"
import { dayMs, londonInstants, readWallClock, type WallClock } from "./LondonTime.ts"

/** The columns, in the order in which a row's fields are handed over. */
export const onlineRetailColumns = [
  "InvoiceNo",
  "StockCode",
  "Description",
  "Quantity",
  "InvoiceDate",
  "UnitPrice",
  "CustomerID",
  "Country"
] as const

/** Fields of a row in the order of `onlineRetailColumns`. */
export type OnlineRetailFields = ReadonlyArray<string>

export const UnusableReason = Schema.Literal(
  /** No invoice number. */
  "NoInvoice",
  /** No customer: nobody to put it in a cart. */
  "NoMember",
  "MalformedMember",
  /** Postage, fees, discounts, manual entries, bad debt: nothing that lies in a warehouse. */
  "NotAProduct",
  "MalformedProduct",
  "MalformedQuantity",
  "ZeroQuantity",
  /** A negative quantity outside a cancellation: an adjustment of the books. */
  "NegativeWithoutCancellation",
  "PositiveCancellation",
  /** Beyond what one cart line may hold. */
  "QuantityAboveMax",
  "MalformedPrice",
  "PriceNotPositive",
  /** Longer than a name may be, or with U+0000 (R2). */
  "MalformedDescription",
  /** Not a date, or an hour that the clocks skipped. */
  "MalformedDate",
  /** Earlier than a usable row before it. */
  "OutOfOrder",
  /** A cancellation of what this member did not buy before in this file: counted, not guessed. */
  "ReturnWithoutPurchase",
  /** A cancellation of more than is left of this member's earlier purchases. */
  "ReturnExceedsPurchase"
)
export type UnusableReason = typeof UnusableReason.Type

/** A row whose content makes sense by itself. `price` is 0 for cancellations, which are not asked for one. */
export interface OnlineRetailRow {
  readonly cancelled: boolean
  readonly invoice: string
  readonly product: string
  readonly name: string
  /** Pieces, always positive. */
  readonly quantity: number
  readonly at: number
  /** The shop's calendar day, counted from 1970-01-01. */
  readonly day: number
  readonly price: number
  readonly member: string
  readonly country: string
}

/** Codes that are no goods, in upper case (the data set's own: postage, carriage, manual, samples, discount, fees, bad debt). */
const serviceCodes: ReadonlySet<string> = new Set([
  "POST",
  "DOT",
  "C2",
  "M",
  "S",
  "D",
  "B",
  "AMAZONFEE",
  "BANK CHARGES",
  "CRUK"
])

const isProductId = Schema.is(ProductId)
const isMemberId = Schema.is(MemberId)
const isPrice = Schema.is(Price)
const isInstant = Schema.is(Instant)
const nameMax = 500

/**
 * Reads rows one after another; keeps the last instant (rows must not run backwards) and nothing else. An hour that London's
 * clocks show twice is taken as its first occurrence unless a row before was already later.
 */
export const makeRowReader = (): (fields: OnlineRetailFields) => OnlineRetailRow | UnusableReason => {
  let last = Number.NEGATIVE_INFINITY
  let lastText = ""
  let lastWall: WallClock | undefined
  const wallClock = (text: string): WallClock | undefined => {
    if (text !== lastText) {
      lastText = text
      lastWall = readWallClock(text)
    }
    return lastWall
  }

  return (fields) => {
    const [
      invoice = "",
      code = "",
      description = "",
      pieces = "",
      date = "",
      unitPrice = "",
      customer = "",
      country = ""
    ] = fields
    if (invoice.trim() === "") return "NoInvoice"
    if (customer.trim() === "") return "NoMember"
    // The public file carries customers as floating point numbers: 17850.0.
    const member = customer.trim().replace(/\.0$/, "")
    if (!isMemberId(member)) return "MalformedMember"
    // 85123a and 85123A are one product: typed by hand, same descriptions.
    const product = code.trim().toUpperCase()
    if (serviceCodes.has(product)) return "NotAProduct"
    if (!isProductId(product)) return "MalformedProduct"

    if (!/^-?\d{1,15}$/.test(pieces)) return "MalformedQuantity"
    const signed = Number(pieces)
    const cancelled = invoice.startsWith("C") || invoice.startsWith("c")
    if (signed === 0) return "ZeroQuantity"
    if (signed < 0 && !cancelled) return "NegativeWithoutCancellation"
    if (signed > 0 && cancelled) return "PositiveCancellation"
    const quantity = Math.abs(signed)
    if (quantity > quantityMax) return "QuantityAboveMax"

    let price = 0
    const name = description.trim()
    if (!cancelled) {
      if (!/^-?\d{1,12}(\.\d{1,12})?$/.test(unitPrice)) return "MalformedPrice"
      price = Number(unitPrice)
      if (price <= 0) return "PriceNotPositive"
      if (!isPrice(price)) return "MalformedPrice"
      if (name.length > nameMax || name.includes("\u0000") || !name.isWellFormed()) return "MalformedDescription"
    }

    const wall = wallClock(date)
    if (wall === undefined) return "MalformedDate"
    const instants = londonInstants(wall)
    const latest = instants.at(-1)
    if (latest === undefined || !isInstant(latest)) return "MalformedDate"
    const at = instants.find((instant) => instant >= last)
    if (at === undefined) return "OutOfOrder"
    last = at
    return {
      cancelled,
      invoice,
      product,
      name,
      quantity,
      at,
      day: Math.floor(wall.ms / dayMs),
      price,
      member,
      country
    }
  }
}
