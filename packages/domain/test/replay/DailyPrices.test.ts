import { makeDailyPrices, modalPrice } from "@hikyaku/domain/replay/DailyPrices"
import { describe, expect, it } from "vitest"

/** The falls of one product whose lines of each day had these prices. */
const fallsOf = (...days: ReadonlyArray<ReadonlyArray<number>>) => {
  const prices = makeDailyPrices()
  days.forEach((lines, day) => lines.forEach((price) => prices.sold(day, "p", price)))
  return [...prices.end().falls].flatMap(([day, falls]) => falls.map(({ after, before }) => [day, before, after]))
}

describe("DailyPrices", () => {
  it("calls a fall of the modal price by 10% a fall, to the penny", () => {
    expect(fallsOf([1], [0.9])).toEqual([[1, 1, 0.9]])
    expect(fallsOf([4.5], [4.05])).toEqual([[1, 4.5, 4.05]])
    expect(fallsOf([0.7], [0.63])).toEqual([[1, 0.7, 0.63]])
    expect(fallsOf([1], [0.91])).toEqual([])
    expect(fallsOf([4.5], [4.06])).toEqual([])
  })

  it("does not take a wholesale line for a fall", () => {
    expect(fallsOf([2.55, 2.55, 2.1], [2.55, 2.1, 2.55])).toEqual([])
    expect(fallsOf([2.55, 2.55, 2.1], [2.1, 2.1, 2.55])).toEqual([[1, 2.55, 2.1]])
  })

  it("compares with the last day on which the product was sold; rises and small falls only move that", () => {
    expect(fallsOf([1], [], [], [0.5])).toEqual([[3, 1, 0.5]])
    expect(fallsOf([1], [2], [1])).toEqual([[2, 2, 1]])
    expect(fallsOf([1], [0.95], [0.9], [0.86])).toEqual([])
  })

  it("keeps products apart and finds what each cost first", () => {
    const prices = makeDailyPrices()
    prices.sold(1, "a", 10)
    prices.sold(2, "b", 5)
    prices.sold(3, "a", 6)
    const { falls, first } = prices.end()
    expect([...falls]).toEqual([[3, [{ product: "a", before: 10, after: 6 }]]])
    expect([...first]).toEqual([["a", 10], ["b", 5]])
  })

  it("sees no fall in a tie", () => {
    const lines = (...prices: ReadonlyArray<number>) => new Map(prices.map((price) => [price, 1]))
    expect(modalPrice(lines(1, 2, 3), 2)).toBe(2)
    expect(modalPrice(lines(2, 1, 3), 2)).toBe(2)
    expect(modalPrice(lines(1, 3, 2), undefined)).toBe(3)
    expect(modalPrice(lines(3, 1), 2)).toBe(3)
  })
})
