/**
 * What a product costs on a day, and when that falls. A record with several price tiers (single pieces, cartons) has many
 * prices a day; the day's price is the one on most lines. Keyed by product; holds one day's prices at a time.
 */

/** A fall by this share or more is a price change. */
const fallShare = 0.1

export interface PriceFall {
  readonly product: string
  readonly before: number
  readonly after: number
}

export interface DailyPrices {
  /** Notes a sale; days must not run backwards. */
  readonly sold: (day: number, product: string, price: number) => void
  /** Ends the last day. The falls by day, and the price of every product on the first day it was sold. */
  readonly end: () => {
    readonly falls: ReadonlyMap<number, ReadonlyArray<PriceFall>>
    readonly first: ReadonlyMap<string, number>
  }
}

/** The price on most lines; among equals the one that was valid before, else the highest: a tie is no fall. */
export const modalPrice = (lines: ReadonlyMap<number, number>, before: number | undefined): number => {
  let mode = Number.NaN
  let most = 0
  for (const [price, count] of lines) {
    const wins = count > most || (count === most && mode !== before && (price === before || price > mode))
    if (wins) {
      mode = price
      most = count
    }
  }
  return mode
}

/**
 * Follows the modal price of each product from one day with sales to the next. Rises and smaller falls move what the next
 * day is compared with, and are no events.
 */
export const makeDailyPrices = (): DailyPrices => {
  const current = new Map<string, number>()
  const first = new Map<string, number>()
  const falls = new Map<number, Array<PriceFall>>()
  let today = Number.NaN
  let prices = new Map<string, Map<number, number>>()

  const endDay = (): void => {
    const found: Array<PriceFall> = []
    for (const [product, lines] of prices) {
      const before = current.get(product)
      const after = modalPrice(lines, before)
      current.set(product, after)
      if (before === undefined) first.set(product, after)
      // A millionth of slack: 0.9 of a price in pence is not exact in binary.
      else if (after <= before * (1 - fallShare) * 1.000_001) found.push({ product, before, after })
    }
    if (found.length > 0) falls.set(today, found)
    prices = new Map()
  }

  return {
    sold: (day, product, price) => {
      if (day !== today) {
        endDay()
        today = day
      }
      let lines = prices.get(product)
      if (lines === undefined) {
        lines = new Map()
        prices.set(product, lines)
      }
      lines.set(price, (lines.get(price) ?? 0) + 1)
    },
    end: () => {
      endDay()
      return { falls, first }
    }
  }
}
