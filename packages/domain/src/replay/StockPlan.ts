/**
 * How much stock a recorded shop opens with, since the record does not say. The rule:
 *
 * - A product's *need* is what had been carted less what had come back, at its highest so far.
 * - *Popular* are the tenth of the products with the most cart adds (those with two adds or more). A popular product opens
 *   with what it needed when 60% of its final need was reached, so that in the order of the record it falls to exactly
 *   nothing at that line and sells out.
 * - Every second popular product, from the first by rank, is restocked with what it lacked, just before the line at which
 *   it would have needed 75% of its final need: between the two it is sold out, afterwards it lasts.
 * - Every other product opens with its final need and a quarter more (at least 5 pieces), and never sells out.
 *
 * Keyed by product; a bounded number of marks per product, however long the record is.
 */

const popularShare = 0.1
const openingShare = 0.6
const restockShare = 0.75
const spareShare = 0.25
const spareMin = 5
/** Points of a product's need that are remembered; beyond it every second one is dropped. */
export const marksMax = 64

/** The need of a product right after one line of the record raised it. */
interface Mark {
  readonly line: number
  readonly need: number
}

export interface StockDemand {
  readonly carted: (line: number, quantity: number) => void
  readonly returned: (quantity: number) => void
  readonly adds: () => number
  readonly need: () => number
  /** Marks in the order of the record, each higher than the one before. */
  readonly marks: () => ReadonlyArray<Mark>
}

/** Follows one product through the record. */
export const makeStockDemand = (): StockDemand => {
  let adds = 0
  let out = 0
  let need = 0
  let raises = 0
  let every = 1
  let marks: Array<Mark> = []
  return {
    carted: (line, quantity) => {
      adds += 1
      out += quantity
      if (out <= need) return
      need = out
      raises += 1
      if ((raises - 1) % every !== 0) return
      marks.push({ line, need })
      if (marks.length < marksMax) return
      marks = marks.filter((_, index) => index % 2 === 0)
      every *= 2
    },
    returned: (quantity) => {
      out -= quantity
    },
    adds: () => adds,
    need: () => need,
    marks: () => marks
  }
}

/** Stock that arrives just before a line of the record. */
export interface Restock {
  readonly product: string
  readonly line: number
  readonly delta: number
}

export interface StockPlan {
  /** Pieces on hand at the opening, by product. */
  readonly opening: ReadonlyMap<string, number>
  readonly restocks: ReadonlyArray<Restock>
  /** Products that are meant to sell out. */
  readonly popular: ReadonlyArray<string>
}

/** Applies the rule to all products of a record. */
export const planStock = (demands: ReadonlyMap<string, StockDemand>): StockPlan => {
  const opening = new Map<string, number>()
  const restocks: Array<Restock> = []
  const popular: Array<string> = []
  const ranked = [...demands].sort(([a, x], [b, y]) => y.adds() - x.adds() || (a < b ? -1 : 1))
  const popularMax = Math.ceil(ranked.length * popularShare)
  ranked.forEach(([product, demand], rank) => {
    const need = demand.need()
    const marks = demand.marks()
    const below = marks.filter((mark) => mark.need < need)
    const soldOut = rank < popularMax && demand.adds() >= 2
      ? below.findLast((mark) => mark.need <= need * openingShare) ?? below[0]
      : undefined
    if (soldOut === undefined) {
      opening.set(product, need + Math.max(spareMin, Math.ceil(need * spareShare)))
      return
    }
    opening.set(product, soldOut.need)
    popular.push(product)
    const back = marks.find((mark) => mark.need > soldOut.need && mark.need >= need * restockShare)
    if (popular.length % 2 === 1 && back !== undefined) {
      restocks.push({ product, line: back.line, delta: need - soldOut.need })
    }
  })
  return { opening, restocks: restocks.sort((a, b) => a.line - b.line), popular }
}
