import { describe, expect, it } from "@effect/vitest"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { generateShop } from "@hikyaku/domain/replay/GeneratedShop"
import { GeneratedShopOptions } from "@hikyaku/domain/replay/GeneratedShopOptions"
import { isOpening, type Step } from "@hikyaku/domain/replay/Step"
import { cartMsDefault } from "@hikyaku/domain/stock/Product"
import { changesProduct, endsBefore, orderOf, type Place } from "@hikyaku/server/demo/ReplayOrder"
import { Schema } from "effect"

const start = Date.UTC(2026, 0, 5, 9)
const minute = 60_000
let ids = 0
const id = (at: number) => commandIdFrom(at, (++ids % 4096) / 4096, 0.5, 0.5)

const add = (minutes: number, member: string, product: string): Step & { readonly _tag: "CartAdd" } => {
  const at = start + minutes * minute
  return { _tag: "CartAdd", at, ticket: id(at), member, product, quantity: 1 }
}
const checkout = (minutes: number, member: string, lines: ReadonlyArray<Step & { readonly _tag: "CartAdd" }>): Step => {
  const at = start + minutes * minute
  return {
    _tag: "Checkout",
    at,
    order: id(at),
    member,
    lines: lines.map(({ product, ticket }) => ({ product, ticket }))
  }
}
const giveBack = (minutes: number, member: string, product: string): Step => {
  const at = start + minutes * minute
  return { _tag: "Return", at, returnId: id(at), member, product, quantity: 1 }
}
const publish = (minutes: number, happening: (Step & { readonly _tag: "Publish" })["event"]["happening"]): Step => {
  const at = start + minutes * minute
  return { _tag: "Publish", at, event: { source: "test", id: id(at), at, happening } }
}
const restock = (minutes: number, product: string): Step =>
  publish(minutes, { _tag: "StockChanged", product, change: { _tag: "Delta", delta: 5 }, sourceVersion: 2 })

const unknown = () => undefined
const single = (place: Place | undefined) => {
  if (place?._tag !== "Single") throw new Error("not sent by itself")
  return place
}
const answered = (place: Place | undefined) => [...single(place).answered].sort((a, b) => a - b)

describe("what may be under way at the same time in a replay", () => {
  it("sends the adds of one product in their order and waits for none of them (G4)", () => {
    const places = orderOf([add(0, "a", "p"), add(0, "b", "p"), add(0, "c", "q"), add(1, "c", "p")], unknown)
    expect(places.map((place) => single(place).sent)).toEqual([-1, 0, -1, 1])
    expect(places.map(answered)).toEqual([[], [], [], []])
  })

  it("checks out after the member's adds, and adds after the checkout", () => {
    const lines = [add(0, "a", "p"), add(0, "a", "q")] as const
    const places = orderOf([...lines, add(0, "b", "p"), checkout(1, "a", lines), add(2, "a", "r")], unknown)
    expect(answered(places[3])).toEqual([0, 1])
    expect(answered(places[4])).toEqual([3])
    expect(answered(places[2])).toEqual([])
  })

  it("leaves a return alone with its product", () => {
    const places = orderOf([add(0, "a", "p"), add(0, "b", "p"), giveBack(1, "c", "p"), add(2, "d", "p")], unknown)
    expect(answered(places[2])).toEqual([0, 1])
    expect(single(places[3])).toEqual({ _tag: "Single", answered: [2], sent: -1 })
  })

  it("publishes together what no Product actor acts on, and by itself what one does", () => {
    const places = orderOf([
      publish(0, { _tag: "Favourited", member: "a", product: "q" }),
      add(0, "a", "p"),
      publish(0, { _tag: "PriceChanged", product: "p", before: 2, after: 1 }),
      restock(1, "p"),
      add(2, "b", "p"),
      publish(2, { _tag: "Viewed", member: "a", product: "p" })
    ], unknown)
    expect(places[0]).toEqual({ _tag: "Batched" })
    // All events of a product go by themselves if one of them does: events of one key keep their order.
    expect(answered(places[2])).toEqual([1])
    expect(answered(places[3])).toEqual([2])
    expect(answered(places[4])).toEqual([3])
    expect(answered(places[5])).toEqual([3, 4])
  })

  it("waits for a checkout before the product hears of an instant at which its line has lapsed (R6)", () => {
    const line = add(0, "a", "p")
    const late = cartMsDefault / minute
    const places = orderOf([
      line,
      checkout(late - 1, "a", [line]),
      add(late - 1, "b", "p"),
      add(late, "c", "p"),
      add(late + 1, "d", "p")
    ], unknown)
    expect(answered(places[2])).toEqual([])
    expect(answered(places[3])).toEqual([1])
    // What comes later comes after that one.
    expect(single(places[4])).toEqual({ _tag: "Single", answered: [], sent: 3 })
  })

  it("does so too for lines of earlier stretches, which lapse when the shop said", () => {
    const line = add(-20, "a", "p")
    const steps = [checkout(5, "a", [line]), add(6, "b", "p"), add(11, "c", "p")]
    const places = orderOf(steps, (ticket) => ticket === line.ticket ? start + 10 * minute : undefined)
    expect(answered(places[1])).toEqual([])
    expect(answered(places[2])).toEqual([0])
    expect(orderOf(steps, unknown).map(answered)).toEqual([[], [], []])
  })
})

describe("stretches", () => {
  const limits = { lengthMs: 60 * minute, stepsMax: 3 }

  it("end with the logical interval, and when they are full", () => {
    const first = add(0, "a", "p")
    expect(endsBefore([], first, limits)).toBe(false)
    expect(endsBefore([first], add(59, "a", "p"), limits)).toBe(false)
    expect(endsBefore([first], add(60, "a", "p"), limits)).toBe(true)
    expect(endsBefore([first, first, first], add(1, "a", "p"), limits)).toBe(true)
  })
})

/** Carries a plan out one step at a time, always the last of those that may go: the order that differs most from the input's. */
const carryOut = (places: ReadonlyArray<Place>): ReadonlyArray<number> => {
  const sent = new Set<number>()
  const order: Array<number> = []
  while (order.length < places.length) {
    const next = places.findLastIndex((place, n) =>
      !sent.has(n) &&
      (place._tag === "Batched" ||
        (place.answered.every((m) => sent.has(m)) && (place.sent < 0 || sent.has(place.sent))))
    )
    if (next < 0) throw new Error(`nothing can go after ${order.length} of ${places.length} steps`)
    sent.add(next)
    order.push(next)
  }
  return order
}

describe("a whole generated day", () => {
  it("never comes to a standstill, and keeps the order of each product and member", () => {
    const options = Schema.decodeSync(GeneratedShopOptions)({ days: 2, products: 20, members: 50, sessionsPerDay: 300 })
    const steps = [...generateShop(options)].filter((step) => !isOpening(step))
    const order = carryOut(orderOf(steps, unknown))
    const rank = new Map(order.map((n, at) => [n, at]))
    const lastAdd = new Map<string, number>()
    const restocked = new Map<string, number>()
    const adds = new Map<string, number>()
    let compared = 0
    steps.forEach((step, n) => {
      const at = rank.get(n) ?? -1
      if (step._tag === "CartAdd") {
        expect(at).toBeGreaterThan(lastAdd.get(step.product) ?? -1)
        expect(at).toBeGreaterThan(restocked.get(step.product) ?? -1)
        lastAdd.set(step.product, at)
        adds.set(step.ticket, at)
        compared++
      }
      if (step._tag === "Checkout") {
        for (const { ticket } of step.lines) expect(at).toBeGreaterThan(adds.get(ticket) ?? -1)
      }
      if (step._tag === "Publish" && changesProduct(step.event) && "product" in step.event.happening) {
        restocked.set(String(step.event.happening.product), at)
      }
    })
    expect(compared).toBeGreaterThan(100)
    expect(restocked.size).toBeGreaterThan(0)
    // Far from the order of the input: most of it may go at the same time.
    expect(order.filter((n, at) => n !== at).length).toBeGreaterThan(steps.length / 2)
  })
})
