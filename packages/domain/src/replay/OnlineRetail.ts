/**
 * The Online Retail data set (UCI) as a replay. Two passes over the same rows: the *survey* learns who and what there is,
 * how much stock to open with and when prices fell; the *replay* then yields steps in the order of the record.
 *
 * - A positive row with a customer is a cart add; when the invoice ends (the next row has another), its adds are checked out.
 * - A cancellation is a return, one step per earlier cart line that it takes back.
 * - A fall of a product's modal daily price by 10% or more is a price change, published with the day's first usable row.
 * - Derived, since the record has no such thing: a member who bought a product favours it (published once, with the first
 *   checkout of it); opening stock and restocks (`StockPlan`); addresses, consent and language.
 * - Every row that cannot be used is counted by reason (`OnlineRetailRow`).
 *
 * Memory: per product, per member, per (member, product) bought, per price fall; never per row.
 */
import { linesMax } from "../api/CartApi.ts"
import type { CommandId, SourceId } from "../Identifier.ts"
import type { Happening } from "../marketing/Event.ts"
import { timeZoneOf } from "./Country.ts"
import { makeDailyPrices, type PriceFall } from "./DailyPrices.ts"
import { idAt, share } from "./Fingerprint.ts"
import { makeRowReader, type OnlineRetailFields, type UnusableReason } from "./OnlineRetailRow.ts"
import { makePurchaseLedger } from "./PurchaseLedger.ts"
import {
  type CartAdd,
  type MemberOpening,
  openingStockVersion,
  type ProductOpening,
  type Return,
  type Step
} from "./Step.ts"
import { makeStockDemand, planStock, type Restock, type StockDemand } from "./StockPlan.ts"

/** Source of the events that this replay publishes. */
export const onlineRetailSource: SourceId = "online-retail"

/** Share of members who consent to each channel: derived from the member's id, the record does not say. */
const consentShare = { mail: 0.9, line: 0.3, push: 0.4, onsite: 1 } as const

/** One row as the replay sees it. */
type Entry =
  | {
    readonly _tag: "Add"
    readonly add: CartAdd
    readonly invoice: string
    readonly day: number
    readonly name: string
    readonly price: number
    readonly country: string
    /** Whether this member never bought this product before. */
    readonly first: boolean
  }
  | { readonly _tag: "Returns"; readonly at: number; readonly day: number; readonly returns: ReadonlyArray<Return> }
  | { readonly _tag: "Unusable"; readonly reason: UnusableReason }

/** Chooses a command's id. `use` tells apart the commands of one line. */
type ChooseId = (at: number, use: string, line: number, fields: OnlineRetailFields) => CommandId

/** From what the line says and its number, which tells apart two equal lines of one invoice. */
const idOfLine: ChooseId = (at, use, line, fields) => idAt(at, `${use} ${line} ${fields.join("\u001f")}`)

/** Rows to entries; the same in both passes, so that both count alike. */
const makeEntries = (chooseId: ChooseId): (line: number, fields: OnlineRetailFields) => Entry => {
  const read = makeRowReader()
  const ledger = makePurchaseLedger()
  return (line, fields) => {
    const row = read(fields)
    if (typeof row === "string") return { _tag: "Unusable", reason: row }
    const { at, day, member, product, quantity } = row
    if (row.cancelled) {
      const parts = ledger.giveBack(member, product, quantity)
      if (typeof parts === "string") return { _tag: "Unusable", reason: parts }
      return {
        _tag: "Returns",
        at,
        day,
        returns: parts.map((part, index) => ({
          _tag: "Return",
          at,
          returnId: chooseId(at, `return ${index}`, line, fields),
          member,
          product,
          quantity: part.quantity,
          ticket: part.ticket
        }))
      }
    }
    const ticket = chooseId(at, "ticket", line, fields)
    return {
      _tag: "Add",
      add: { _tag: "CartAdd", at, ticket, member, product, quantity },
      invoice: row.invoice,
      day,
      name: row.name,
      price: row.price,
      country: row.country,
      first: ledger.buy(member, product, ticket, quantity)
    }
  }
}

/** What the first pass learned. */
export interface OnlineRetailPlan {
  /** Rows surveyed. */
  readonly lines: number
  readonly openings: ReadonlyArray<ProductOpening | MemberOpening>
  /** By the shop's calendar day, counted from 1970-01-01. */
  readonly falls: ReadonlyMap<number, ReadonlyArray<PriceFall>>
  /** In the order of the rows before which they arrive. */
  readonly restocks: ReadonlyArray<Restock>
  /** Products that are meant to sell out. */
  readonly popular: ReadonlyArray<string>
}

export interface OnlineRetailSurvey {
  readonly row: (fields: OnlineRetailFields) => void
  readonly plan: () => OnlineRetailPlan
}

/** The first pass. Call `row` for every row in order, then `plan` once. */
export const makeOnlineRetailSurvey = (): OnlineRetailSurvey => {
  // Nothing of this pass is handed out, so nothing needs an id.
  const entryOf = makeEntries(() => "")
  const demands = new Map<string, StockDemand>()
  const names = new Map<string, string>()
  const countries = new Map<string, string>()
  const prices = makeDailyPrices()
  let lines = 0
  let opened: number | undefined

  const demandOf = (product: string): StockDemand => {
    let demand = demands.get(product)
    if (demand === undefined) {
      demand = makeStockDemand()
      demands.set(product, demand)
    }
    return demand
  }

  return {
    row: (fields) => {
      lines += 1
      const entry = entryOf(lines, fields)
      if (entry._tag === "Unusable") return
      if (entry._tag === "Returns") {
        for (const { product, quantity } of entry.returns) demandOf(product).returned(quantity)
        return
      }
      const { at, member, product, quantity } = entry.add
      opened ??= at
      demandOf(product).carted(lines, quantity)
      if (entry.name !== "" && !names.has(product)) names.set(product, entry.name)
      if (!countries.has(member)) countries.set(member, entry.country)
      prices.sold(entry.day, product, entry.price)
    },
    plan: () => {
      const stock = planStock(demands)
      const { falls, first } = prices.end()
      const at = opened ?? 0
      const products = [...stock.opening].map(([product, pieces]): ProductOpening => ({
        _tag: "ProductOpening",
        at,
        product,
        name: names.get(product) ?? product,
        price: first.get(product) ?? 0,
        stock: pieces
      }))
      const members = [...countries].map(([member, country]) => openMember(at, member, country))
      return { lines, openings: [...products, ...members], falls, restocks: stock.restocks, popular: stock.popular }
    }
  }
}

const openMember = (at: number, member: string, country: string): MemberOpening => ({
  _tag: "MemberOpening",
  at,
  member,
  // A domain that never resolves (RFC 2606): nobody can be reached by accident.
  address: `member-${member}@shop.invalid`,
  language: country === "Japan" ? "ja" : "en",
  timeZone: timeZoneOf(country),
  attributes: { country: countryText(country) },
  consent: {
    mail: share(`mail ${member}`) < consentShare.mail,
    line: share(`line ${member}`) < consentShare.line,
    push: share(`push ${member}`) < consentShare.push,
    onsite: share(`onsite ${member}`) < consentShare.onsite
  }
})

/** Free text of the record as an attribute can hold it (R2). */
const countryText = (country: string): string => country.replaceAll("\u0000", "").toWellFormed().slice(0, 200)

export interface OnlineRetailReplay {
  /** Appends the steps of the next row to `steps`; the reason if the row cannot be used. */
  readonly row: (fields: OnlineRetailFields, steps: Array<Step>) => UnusableReason | undefined
  /** Appends what remains after the last row: the last invoice's checkout. */
  readonly end: (steps: Array<Step>) => void
}

/** The second pass, over the same rows. The plan's openings go first; they are the caller's to hand out. */
export const makeOnlineRetailReplay = (plan: OnlineRetailPlan): OnlineRetailReplay => {
  const entryOf = makeEntries(idOfLine)
  let line = 0
  let today = Number.NaN
  let restocked = 0
  let invoice: string | undefined
  let cart: Array<{ readonly add: CartAdd; readonly first: boolean }> = []

  const publish = (at: number, content: string, happening: Happening): Step => ({
    _tag: "Publish",
    at,
    event: { source: onlineRetailSource, id: idAt(at, content), at, happening }
  })

  const checkout = (steps: Array<Step>): void => {
    const [head] = cart
    if (head === undefined) return
    const { at, member } = head.add
    const last = cart.at(-1)?.add.at ?? at
    const lines = cart.map(({ add: { product, ticket } }) => ({ ticket, product }))
    steps.push({ _tag: "Checkout", at: last, order: idAt(last, `order ${head.add.ticket}`), member, lines })
    for (const { add: { product }, first } of cart) {
      if (!first) continue
      steps.push(publish(last, `favourite ${member} ${product}`, { _tag: "Favourited", member, product }))
    }
    cart = []
  }

  const beginDay = (at: number, day: number, steps: Array<Step>): void => {
    if (day === today) return
    today = day
    for (const { product, before, after } of plan.falls.get(day) ?? []) {
      steps.push(publish(at, `price ${day} ${product}`, { _tag: "PriceChanged", product, before, after }))
    }
  }

  const restock = (at: number, steps: Array<Step>): void => {
    for (;;) {
      const next = plan.restocks[restocked]
      if (next === undefined || next.line > line) return
      restocked += 1
      const { delta, product } = next
      steps.push(publish(at, `restock ${next.line} ${product}`, {
        _tag: "StockChanged",
        product,
        change: { _tag: "Delta", delta },
        sourceVersion: openingStockVersion + 1
      }))
    }
  }

  return {
    row: (fields, steps) => {
      line += 1
      const entry = entryOf(line, fields)
      if (invoice !== undefined && fields[0] !== invoice) {
        checkout(steps)
        invoice = undefined
      }
      if (entry._tag === "Unusable") return entry.reason
      if (entry._tag === "Returns") {
        beginDay(entry.at, entry.day, steps)
        steps.push(...entry.returns)
        return undefined
      }
      // An invoice of two members, or one longer than a checkout may be, is checked out in parts.
      if (cart[0]?.add.member !== entry.add.member || cart.length >= linesMax) checkout(steps)
      beginDay(entry.add.at, entry.day, steps)
      restock(entry.add.at, steps)
      invoice = entry.invoice
      cart.push({ add: entry.add, first: entry.first })
      steps.push(entry.add)
      return undefined
    },
    end: checkout
  }
}
