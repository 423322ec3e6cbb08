import { makeStockDemand, marksMax, planStock, type StockDemand } from "@hikyaku/domain/replay/StockPlan"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const demandOf = (quantities: ReadonlyArray<number>): StockDemand => {
  const demand = makeStockDemand()
  // Negative numbers come back.
  quantities.forEach((quantity, index) => {
    if (quantity > 0) demand.carted(index + 1, quantity)
    else demand.returned(-quantity)
  })
  return demand
}
const planOf = (quantities: ReadonlyArray<number>) => {
  const plan = planStock(new Map([["p", demandOf(quantities)]]))
  return {
    opening: plan.opening.get("p") ?? Number.NaN,
    restock: plan.restocks[0],
    isPopular: plan.popular.length === 1
  }
}

/** Whether the stock was exactly nothing at some point, and whether an add found too little, in the record's order. */
const play = (quantities: ReadonlyArray<number>, { opening, restock }: ReturnType<typeof planOf>) => {
  let left = opening
  let soldOut = false
  let refused = 0
  let refusedAfterRestock = 0
  quantities.forEach((quantity, index) => {
    if (restock?.line === index + 1) left += restock.delta
    if (quantity > left) {
      refused += 1
      if (restock !== undefined && index + 1 >= restock.line) refusedAfterRestock += 1
    } else left -= quantity
    if (left === 0) soldOut = true
  })
  return { soldOut, refused, refusedAfterRestock }
}

describe("StockPlan", () => {
  it("lets a popular product fall to exactly nothing, and last once it is restocked", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 400 }), (adds) => {
      const plan = planOf(adds)
      expect(plan.isPopular).toBe(true)
      const played = play(adds, plan)
      expect(played.soldOut).toBe(true)
      expect(plan.restock).toBeDefined()
      expect(played.refusedAfterRestock).toBe(0)
    }))
  })

  it("opens with about 60% of the need and restocks at about 75% of it", () => {
    const adds = Array.from({ length: 1_000 }, () => 1)
    const plan = planOf(adds)
    expect(plan.opening).toBeGreaterThan(550)
    expect(plan.opening).toBeLessThanOrEqual(600)
    expect(plan.restock?.line).toBeGreaterThanOrEqual(750)
    expect(plan.restock?.line).toBeLessThan(800)
    expect(play(adds, plan).refused).toBeGreaterThan(100)
  })

  it("counts what came back: need is what was out at once", () => {
    const demand = demandOf([5, -5, 5, -5, 5, 1])
    expect(demand.need()).toBe(6)
    expect(demand.adds()).toBe(4)
    expect(demand.marks()).toEqual([{ line: 1, need: 5 }, { line: 6, need: 6 }])
  })

  it("remembers a bounded number of marks, in order, the first among them", () => {
    const marks = demandOf(Array.from({ length: 100_000 }, () => 1)).marks()
    expect(marks.length).toBeLessThan(marksMax)
    expect(marks.length).toBeGreaterThan(marksMax / 4)
    expect(marks[0]).toEqual({ line: 1, need: 1 })
    expect(marks.every((mark, index) => index === 0 || mark.need > (marks[index - 1]?.need ?? 0))).toBe(true)
  })

  it("takes a tenth of the products for popular, restocks every second of them, and lets all others last", () => {
    const demands = new Map(
      Array.from({ length: 40 }, (_, n) => [`p${n}`, demandOf(Array.from({ length: n + 1 }, () => 2))] as const)
    )
    const plan = planStock(demands)
    expect(plan.popular).toEqual(["p39", "p38", "p37", "p36"])
    expect(plan.restocks.map(({ product }) => product).sort()).toEqual(["p37", "p39"])
    for (let n = 0; n < 36; n++) expect(plan.opening.get(`p${n}`)).toBeGreaterThanOrEqual(2 * (n + 1) + 5)
  })

  it("calls nothing popular that was carted once", () => {
    expect(planOf([7])).toEqual({ opening: 12, restock: undefined, isPopular: false })
  })
})
