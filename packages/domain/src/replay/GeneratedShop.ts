/**
 * A shop that does not exist, from a seed: visits that follow the hours of the day, products of Zipf-distributed
 * popularity, rushes on single products, price drops, restocks, favourites, views, carts that are abandoned, returns.
 * Pure and lazy: a day's visits are drawn minute by minute, and only what is still to happen is kept.
 */
import type { SourceId } from "../Identifier.ts"
import type { Happening } from "../marketing/Event.ts"
import { idAt } from "./Fingerprint.ts"
import {
  cartAddChance,
  favouriteChance,
  generateMembers,
  generateProducts,
  secondPieceChance,
  viewsPerSession
} from "./GeneratedCatalogue.ts"
import type { GeneratedShopOptions } from "./GeneratedShopOptions.ts"
import { makeSeededRandom, makeZipf } from "./SeededRandom.ts"
import { type CartAdd, openingStockVersion, type Step } from "./Step.ts"
import { makeStepQueue } from "./StepQueue.ts"

/** Source of the events that a generated shop publishes. */
export const generatedShopSource: SourceId = "generated-shop"

const minuteMs = 60_000
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** Visits per hour of the day, in shares of the mean: quiet nights, a lunch break, long evenings. */
const rhythm = [
  0.6,
  0.3,
  0.2,
  0.1,
  0.1,
  0.2,
  0.4,
  0.8,
  0.9,
  0.9,
  1,
  1.1,
  1.6,
  1.2,
  1,
  1,
  1,
  1.1,
  1.3,
  1.5,
  2,
  2.3,
  2.2,
  1.2
] as const

const checkoutChance = 0.75
const returnChance = 0.03
const priceDropDays = 3

/** One product while the shop is open. */
interface Shelf {
  readonly product: string
  readonly usualPrice: number
  readonly openingStock: number
  price: number
  /** Day on which a lowered price ends. */
  dropEnds: number | undefined
  /** What would be left if every add were allocated; below 0 the product is sold out and wanted. */
  nominal: number
  stockVersion: number
}

/** All steps in order: openings, then the days. Called again with the same options, it yields the same steps again. */
export function* generateShop(options: GeneratedShopOptions): Generator<Step, void, undefined> {
  const random = makeSeededRandom(`shop ${options.seed}`)
  const zipf = makeZipf(options.products, options.zipfExponent)
  const openings = generateProducts(options, random, zipf)
  yield* openings
  const members = generateMembers(options, random)
  yield* members

  const shelves = openings.map((opening): Shelf => ({
    product: opening.product,
    usualPrice: opening.price,
    openingStock: opening.stock,
    price: opening.price,
    dropEnds: undefined,
    nominal: opening.stock,
    stockVersion: openingStockVersion
  }))
  const ahead = makeStepQueue()
  const end = options.start + options.days * dayMs
  let ids = 0

  const id = (at: number) => idAt(at, `${options.seed} ${ids++}`)
  const plan = (step: Step): void => {
    // What would follow the last day is left open: carts there are abandoned.
    if (step.at < end) ahead.add(step)
  }
  const publish = (at: number, happening: Happening): void =>
    plan({ _tag: "Publish", at, event: { source: generatedShopSource, id: id(at), at, happening } })
  const shelfOf = (rank: number): Shelf | undefined => shelves[Math.min(rank, shelves.length - 1)]
  // Some members come more often than others.
  const someMember = (): string => members[Math.floor(random.next() ** 1.5 * members.length)]?.member ?? "M000001"

  const add = (at: number, member: string, shelf: Shelf, quantity: number): CartAdd => {
    const step: CartAdd = { _tag: "CartAdd", at, ticket: id(at), member, product: shelf.product, quantity }
    shelf.nominal -= quantity
    plan(step)
    return step
  }

  const leave = (at: number, member: string, adds: ReadonlyArray<CartAdd>): void => {
    if (adds.length === 0 || !random.chance(checkoutChance)) return
    const paid = at + random.between(20, 600) * 1_000
    plan({
      _tag: "Checkout",
      at: paid,
      order: id(paid),
      member,
      lines: adds.map(({ product, ticket }) => ({ ticket, product }))
    })
    for (const { product, quantity, ticket } of adds) {
      if (!random.chance(returnChance)) continue
      const back = paid + random.between(2 * 24, 9 * 24) * hourMs
      plan({ _tag: "Return", at: back, returnId: id(back), member, product, quantity, ticket })
    }
  }

  const visit = (begins: number): void => {
    const member = someMember()
    const adds: Array<CartAdd> = []
    const views = random.between(1, 2 * viewsPerSession - 1)
    let at = begins
    for (let view = 0; view < views; view++) {
      at += random.between(5, 90) * 1_000
      const shelf = shelfOf(zipf.draw(random))
      if (shelf === undefined) continue
      const { product } = shelf
      publish(at, { _tag: "Viewed", member, product })
      if (random.chance(favouriteChance)) publish(at + 1_000, { _tag: "Favourited", member, product })
      if (random.chance(cartAddChance)) {
        adds.push(add(at + 2_000, member, shelf, random.chance(secondPieceChance) ? 2 : 1))
      }
    }
    leave(at + 3_000, member, adds)
  }

  const burst = (begins: number): void => {
    const shelf = shelfOf(random.between(0, Math.floor(options.products / 5)))
    if (shelf === undefined) return
    for (let i = 0; i < options.addsPerBurst; i++) {
      const at = begins + random.between(0, 3 * minuteMs)
      const member = someMember()
      leave(at, member, [add(at, member, shelf, 1)])
    }
  }

  const setPrice = (at: number, shelf: Shelf, after: number): void => {
    const before = shelf.price
    if (before === after) return
    shelf.price = after
    publish(at, { _tag: "PriceChanged", product: shelf.product, before, after })
  }

  const morning = (at: number, day: number): void => {
    for (const shelf of shelves) {
      if (shelf.dropEnds !== day) continue
      shelf.dropEnds = undefined
      setPrice(at, shelf, shelf.usualPrice)
    }
    for (let i = 0; i < options.priceDropsPerDay; i++) {
      const shelf = shelfOf(zipf.draw(random))
      const cut = random.between(15, 40)
      if (shelf === undefined || shelf.dropEnds !== undefined) continue
      shelf.dropEnds = day + priceDropDays
      setPrice(at, shelf, Math.round(shelf.usualPrice * (100 - cut) / 100))
    }
  }

  const noon = (at: number): void => {
    const wanted = shelves.filter((shelf) => shelf.nominal <= 0).sort((a, b) => a.nominal - b.nominal)
    for (const shelf of wanted.slice(0, options.restocksPerDay)) {
      const delta = Math.ceil(shelf.openingStock / 2) + 5
      shelf.nominal = delta
      shelf.stockVersion += 1
      publish(at, {
        _tag: "StockChanged",
        product: shelf.product,
        change: { _tag: "Delta", delta },
        sourceVersion: shelf.stockVersion
      })
    }
  }

  const rhythmSum = rhythm.reduce((sum, weight) => sum + weight, 0)
  for (let day = 0; day < options.days; day++) {
    const midnight = options.start + day * dayMs
    // Rushes begin on the hour, from noon to ten in the evening.
    const bursts = Array.from({ length: options.burstsPerDay }, () => random.between(12, 22) * 60)
    for (let minute = 0; minute < 24 * 60; minute++) {
      const at = midnight + minute * minuteMs
      if (minute === 10 * 60) morning(at, day)
      if (minute === 12 * 60) noon(at)
      for (const begins of bursts) if (begins === minute) burst(at)
      const mean = options.sessionsPerDay * (rhythm[Math.floor(minute / 60)] ?? 1) / rhythmSum / 60
      for (let visits = random.poisson(mean); visits > 0; visits--) visit(at + random.between(0, minuteMs - 1))
      for (let step = ahead.takeBefore(at + minuteMs); step !== undefined; step = ahead.takeBefore(at + minuteMs)) {
        yield step
      }
    }
  }
}
