import { describe, expect, it } from "@effect/vitest"
import { dueOf, inCart } from "@hikyaku/domain/stock/Allocation"
import { ProductCommand, ProductEvent, ProductReply } from "@hikyaku/domain/stock/Product"
import { productDecider } from "@hikyaku/domain/stock/ProductDecide"
import { available, limited, type Product, servable, shortage } from "@hikyaku/domain/stock/ProductState"
import * as Waitlist from "@hikyaku/domain/stock/Waitlist"
import { checkDecider, productStrides, walk } from "@hikyaku/domain/testing"
import * as fc from "fast-check"
import { type Books, learn, open, opening, type ProductStep, sold } from "./ProductObserver.ts"

const observe = { initial: (): Books => opening, learn }

/** What the observer found wrong about this very step. */
const honest = (step: ProductStep, before: Books): true | string => learn(before, step).wrong ?? true

const same = (what: string, expected: number, actual: number): true | string =>
  expected === actual || `${what}: ${actual} instead of ${expected}`

const all = (...verdicts: ReadonlyArray<true | string>): true | string =>
  verdicts.find((verdict) => verdict !== true) ?? true

const sum = (numbers: ReadonlyArray<number>) => numbers.reduce((a, b) => a + b, 0)

/** What is kept twice in the state agrees. */
const consistent = (product: Product): true | string => {
  const tickets = product.tickets.values()
  const waiting = tickets.filter((ticket) => ticket._tag === "Waiting").sort((a, b) => a.place - b.place)
  const dues = tickets.map(dueOf).filter((due) => due !== null)
  const head = servable(product)
  const due = Math.min(...dues, ...(head === undefined ? [] : [head.since]))
  const perMember = new Map<string, number>()
  for (const { member, quantity } of tickets) perMember.set(member, (perMember.get(member) ?? 0) + quantity)
  return all(
    same("allocated", sum(tickets.filter(inCart).map((ticket) => ticket.quantity)), product.allocated),
    same("offered", sum(tickets.filter((t) => t._tag === "Offered").map((t) => t.quantity)), product.offered),
    JSON.stringify(waiting.map((ticket) => ticket.ticket)) === JSON.stringify(Waitlist.tickets(product.line)) ||
      "the line differs from those waiting",
    same("due", due === Infinity ? -1 : due, productDecider.dueAt(product) ?? -1),
    limited(product.settings)
      ? all(
        ...[...perMember].map(([member, pieces]) =>
          same(`pieces of ${member}`, pieces, product.members.get(member) ?? 0)
        ),
        same("members", perMember.size, product.members.size)
      )
      : same("members", 0, product.members.size)
  )
}

const invariants = {
  "the observer's books": honest,
  "conservation": ({ after, ...step }: ProductStep, before: Books) => {
    const books = learn(before, { after, ...step })
    return all(
      same("taken in", books.takenIn, after.takenIn),
      same("open", open(books), after.allocated + after.offered),
      same("sold", sold(books), after.sold),
      same("total", after.takenIn + shortage(after), available(after) + after.allocated + after.offered + after.sold)
    )
  },
  "nothing negative": ({ after }: ProductStep) =>
    [after.allocated, after.offered, after.sold, after.sequence, after.place, available(after), shortage(after)]
      .every((count) => count >= 0) || "a negative number",
  "kept twice, and alike": ({ after }: ProductStep) => consistent(after),
  "answers change nothing": ({ command, events, final }: ProductStep) =>
    final || command._tag === "Wake" || events.length === 0 || "an answer with facts",
  "a wake leaves nothing due": ({ after, command, now }: ProductStep) =>
    command._tag !== "Wake" || (productDecider.dueAt(after) ?? Infinity) > now || "still due",
  "nobody is served while one ahead could be": ({ after }: ProductStep) =>
    servable(after) === undefined || "the head of the line was not offered what there is",
  "low and sold out are stated at the crossing": ({ after, before, events }: ProductStep) => {
    const has = (tag: ProductEvent["_tag"]) => events.some((event) => event._tag === tag)
    const threshold = after.settings?.lowThreshold ?? 0
    const fell = available(before) > threshold && available(after) <= threshold && available(after) > 0
    return all(
      has("StockFellLow") === fell || "StockFellLow",
      has("StockRanOut") === (available(before) > 0 && available(after) === 0) || "StockRanOut",
      has("StockCameBack") === (before.ranOut && available(after) > 0) || "StockCameBack"
    )
  }
}

/** A failure is shrunk before it is shown, which takes a while. */
const timeoutMs = 60_000

describe("Product on random walks (G1, G4, G6, R15)", () => {
  it("keeps every rule", () => {
    checkDecider(productDecider, {
      id: "p-1",
      strides: productStrides(120),
      observe,
      invariants,
      schemas: { command: ProductCommand, reply: ProductReply, event: ProductEvent },
      parameters: { numRuns: 150 }
    })
  }, timeoutMs)

  it("keeps every rule when everybody would wait", () => {
    checkDecider(productDecider, {
      id: "p-1",
      strides: productStrides(120).map((steps) =>
        steps.map((step) =>
          step.command._tag === "AddToCart" ? { ...step, command: { ...step.command, waitlist: true } } : step
        )
      ),
      observe,
      invariants,
      parameters: { numRuns: 200 }
    })
  }, timeoutMs)
})

const never: Readonly<Record<ProductEvent["_tag"], number>> = {
  ProductDefined: 0,
  StockRecorded: 0,
  ShortageFound: 0,
  TicketAllocated: 0,
  TicketWaitlisted: 0,
  TicketOffered: 0,
  OfferConfirmed: 0,
  OfferLapsed: 0,
  OfferWithdrawn: 0,
  TicketHeld: 0,
  TicketUnheld: 0,
  TicketBought: 0,
  TicketReleased: 0,
  TicketExpired: 0,
  TicketBarred: 0,
  TombstoneDropped: 0,
  GoodsReturned: 0,
  PurchaseSettled: 0,
  StockFellLow: 0,
  StockRanOut: 0,
  StockCameBack: 0
}

describe("The walks themselves", () => {
  it("reach every fact often enough to find something", () => {
    const reached = { ...never }
    for (const steps of fc.sample(productStrides(120), { seed: 1, numRuns: 300 })) {
      walk(productDecider, "p-1", steps, ({ events }) => events.forEach((event) => reached[event._tag]++))
    }
    expect(Object.entries(reached).filter(([, times]) => times < 10)).toEqual([])
  })
})
