/**
 * An observer of a Product actor who knows nothing but what was sent, answered and stated, keeps books of its own in the
 * plainest way, and says what is wrong.
 */
import {
  type ProductCommand,
  type ProductEvent,
  type ProductReply,
  type Settings,
  tombstoneMs
} from "@hikyaku/domain/stock/Product"
import type { Product } from "@hikyaku/domain/stock/ProductState"
import type { Step } from "@hikyaku/domain/testing"

export type ProductStep = Step<Product, ProductCommand, ProductReply, ProductEvent>

interface Line {
  readonly member: string
  readonly quantity: number
  readonly standing: "waiting" | "offered" | "cart" | "held" | "sold" | "closed"
  readonly place?: number
  readonly due?: number
  readonly expiresAt?: number
  readonly returned?: number
  /** Bought and settled before the product ever had a lifetime limit: no limit counts it. */
  readonly forgotten?: boolean
}

export interface Books {
  readonly settings: Settings | null
  /** There is or was a lifetime limit. */
  readonly counting: boolean
  readonly takenIn: number
  readonly sequence: number
  readonly lines: ReadonlyMap<string, Line>
  /** Quantities refused as sold out since stock or a claim on it last came free. */
  readonly refused: ReadonlyArray<number>
  /** When a ticket was last answered to be given up. */
  readonly givenUp: ReadonlyMap<string, number>
  readonly ranOut: boolean
  readonly wrong: string | null
}

export const opening: Books = {
  settings: null,
  counting: false,
  takenIn: 0,
  sequence: 0,
  lines: new Map(),
  refused: [],
  givenUp: new Map(),
  ranOut: false,
  wrong: null
}

const lines = (books: Books) => [...books.lines.values()]
const pieces = (books: Books, ...standings: ReadonlyArray<Line["standing"]>) =>
  lines(books).filter((line) => standings.includes(line.standing)).reduce((sum, line) => sum + line.quantity, 0)

export const open = (books: Books) => pieces(books, "cart", "held", "offered")
export const sold = (books: Books) =>
  lines(books).filter((line) => line.standing === "sold").reduce((sum, l) => sum + l.quantity - (l.returned ?? 0), 0)

/** Pieces of a member that a limit counts. */
export const ofMember = (books: Books, member: string, lifetime: boolean) =>
  lines(books).filter((line) => line.member === member).reduce((sum, line) => {
    if (line.standing === "closed") return sum
    if (line.forgotten === true) return sum
    if (line.standing === "sold") return lifetime ? sum + line.quantity - (line.returned ?? 0) : sum
    return sum + line.quantity
  }, 0)

const wrong = (books: Books, what: string): Books => ({ ...books, wrong: books.wrong ?? what })

const put = (books: Books, ticket: string, line: Line): Books => ({
  ...books,
  lines: new Map(books.lines).set(ticket, line)
})

/** Moves a ticket that must stand in one of `from`. */
const move = (books: Books, ticket: string, from: ReadonlyArray<Line["standing"]>, to: Partial<Line>): Books => {
  const line = books.lines.get(ticket)
  if (line === undefined || !from.includes(line.standing)) {
    return wrong(books, `${ticket} is ${line?.standing ?? "unknown"}, not ${from.join(" or ")}`)
  }
  return put(books, ticket, { ...line, ...to })
}

const numbered = (books: Books, sequence: number): Books =>
  sequence === books.sequence + 1
    ? { ...books, sequence }
    : wrong(books, `sequence ${sequence} after ${books.sequence}`)

const freed = (books: Books): Books => ({ ...books, refused: [] })

const state = (books: Books, event: ProductEvent, now: number): Books => {
  switch (event._tag) {
    case "ProductDefined":
      return {
        ...books,
        settings: event.settings,
        counting: books.counting || event.settings.lifetimeLimit !== null
      }
    case "StockRecorded": {
      const after = { ...books, takenIn: books.takenIn + event.change }
      return event.change > 0 ? freed(after) : after
    }
    case "TicketAllocated": {
      const { expiresAt, member, quantity, ticket } = event
      if (lines(books).some((line) => line.standing === "waiting")) return wrong(books, "allocated past the waitlist")
      if (books.refused.some((refused) => refused <= quantity)) return wrong(books, "overtook one who was refused")
      return put(numbered(books, event.sequence), ticket, {
        member,
        quantity,
        standing: "cart",
        due: expiresAt,
        expiresAt
      })
    }
    case "TicketWaitlisted": {
      const { member, place, quantity, ticket } = event
      const last = Math.max(0, ...lines(books).map((line) => line.place ?? 0))
      if (place <= last) return wrong(books, `place ${place} after ${last}`)
      return put(books, ticket, { member, quantity, standing: "waiting", place })
    }
    case "TicketOffered": {
      const place = books.lines.get(event.ticket)?.place ?? 0
      const ahead = lines(books).some((line) => line.standing === "waiting" && (line.place ?? 0) < place)
      if (ahead) return wrong(books, "offered out of order")
      return move(books, event.ticket, ["waiting"], { standing: "offered", due: event.until })
    }
    case "OfferConfirmed": {
      const { expiresAt, sequence, ticket } = event
      return move(numbered(books, sequence), ticket, ["offered"], { standing: "cart", due: expiresAt, expiresAt })
    }
    case "OfferWithdrawn":
      return freed(move(books, event.ticket, ["offered"], { standing: "waiting" }))
    case "OfferLapsed":
    case "TicketExpired": {
      const line = books.lines.get(event.ticket)
      if ((line?.due ?? Infinity) > now) return wrong(books, `${event.ticket} lapsed before its time`)
      const from = event._tag === "OfferLapsed" ? "offered" : "cart"
      return freed(move(books, event.ticket, [from], { standing: "closed" }))
    }
    case "TicketHeld":
      return move(books, event.ticket, ["cart"], { standing: "held", due: event.until })
    case "TicketUnheld": {
      const due = books.lines.get(event.ticket)?.expiresAt ?? 0
      return move(books, event.ticket, ["held"], { standing: "cart", due })
    }
    case "TicketBought":
      return move(books, event.ticket, ["cart", "held"], { standing: "sold", returned: 0 })
    case "TicketReleased":
      return freed(move(books, event.ticket, ["cart", "offered", "waiting"], { standing: "closed" }))
    case "GoodsReturned": {
      const line = books.lines.get(event.ticket)
      const returned = (line?.returned ?? 0) + event.quantity
      if (returned > (line?.quantity ?? 0)) return wrong(books, "more returned than bought")
      return freed(move(books, event.ticket, ["sold"], { returned }))
    }
    case "StockRanOut":
      return books.ranOut ? wrong(books, "ran out twice") : { ...books, ranOut: true }
    case "StockCameBack":
      return books.ranOut ? { ...books, ranOut: false } : wrong(books, "came back without having run out")
    case "PurchaseSettled":
      return move(books, event.ticket, ["sold"], { forgotten: !books.counting })
    case "TicketBarred":
    case "TombstoneDropped":
    case "StockFellLow":
    case "ShortageFound":
      return books
  }
}

/** The books after a step, with what was wrong about it. */
export const learn = (before: Books, step: ProductStep): Books => {
  let books: Books = { ...before, wrong: null }
  for (const event of step.events) books = state(books, event, step.now)
  const { command, reply } = step
  const short = (b: Books) => Math.max(0, open(b) + sold(b) - b.takenIn)
  if (short(books) > short(before) && command._tag !== "ChangeStock") books = wrong(books, "oversold")
  if (command._tag === "AddToCart" && reply._tag === "SoldOut") {
    books = { ...books, refused: [...books.refused, command.quantity] }
  }
  if ("ticket" in command && (reply._tag === "Released" || reply._tag === "Cancelled" || reply._tag === "TimedOut")) {
    books = { ...books, givenUp: new Map(books.givenUp).set(command.ticket, step.now) }
  }
  for (const [ticket, at] of books.givenUp) {
    const standing = books.lines.get(ticket)?.standing ?? "closed"
    if (standing !== "closed" && step.now < at + tombstoneMs) {
      books = wrong(books, `${ticket} was given up, is ${standing}`)
    }
  }
  const limits = books.settings
  if (command._tag === "AddToCart" && (reply._tag === "Allocated" || reply._tag === "Waitlisted") && step.final) {
    const { memberLimit, lifetimeLimit } = limits ?? { memberLimit: null, lifetimeLimit: null }
    if (memberLimit !== null && ofMember(books, command.member, false) > memberLimit) {
      books = wrong(books, "member limit")
    }
    if (lifetimeLimit !== null && ofMember(books, command.member, true) > lifetimeLimit) {
      books = wrong(books, "lifetime limit")
    }
  }
  return books
}
