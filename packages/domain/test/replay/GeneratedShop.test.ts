import { Event } from "@hikyaku/domain/marketing/Event"
import { generateShop } from "@hikyaku/domain/replay/GeneratedShop"
import { type GeneratedShopInput, GeneratedShopOptions } from "@hikyaku/domain/replay/GeneratedShopOptions"
import { makeSeededRandom, makeZipf } from "@hikyaku/domain/replay/SeededRandom"
import { isOpening, openingEvents, Step } from "@hikyaku/domain/replay/Step"
import { makeStepQueue } from "@hikyaku/domain/replay/StepQueue"
import { Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const shop = (input: GeneratedShopInput = {}): ReadonlyArray<Step> => [
  ...generateShop(Schema.decodeSync(GeneratedShopOptions)(input))
]
const small: GeneratedShopInput = { products: 60, members: 200, days: 5, sessionsPerDay: 400, addsPerBurst: 40 }
const happenings = (steps: ReadonlyArray<Step>) =>
  steps.flatMap((step) => step._tag === "Publish" ? [step.event.happening] : [])

describe("a generated shop", () => {
  const steps = shop(small)
  const adds = steps.filter((step) => step._tag === "CartAdd")

  it("R24: is the same again for the same seed, and another for another", () => {
    expect(shop(small)).toEqual(steps)
    expect(shop({ ...small, seed: "another" })).not.toEqual(steps)
  })

  it("has valid steps in order of time, openings first, ids each once", () => {
    const isStep = Schema.is(Step)
    expect(steps.filter((step) => !isStep(step))).toEqual([])
    const instants = steps.map((step) => step.at)
    expect(instants).toEqual(instants.toSorted((a, b) => a - b))
    expect(steps.findLastIndex(isOpening)).toBe(60 + 200 - 1)
    const ids = steps.flatMap((step) =>
      step._tag === "Publish" ? [step.event.id] : step._tag === "CartAdd" ? [step.ticket] : []
    )
    expect(new Set(ids).size).toBe(ids.length)
  })

  it("has everything a replay wants to see", () => {
    const kinds = new Set(happenings(steps).map(({ _tag }) => _tag))
    expect([...kinds].sort()).toEqual(["Favourited", "PriceChanged", "StockChanged", "Viewed"])
    const tags = new Set(steps.map(({ _tag }) => _tag))
    expect(tags).toEqual(new Set(["ProductOpening", "MemberOpening", "Publish", "CartAdd", "Checkout", "Return"]))
    const bought = steps.flatMap((step) => step._tag === "Checkout" ? step.lines : [])
    expect(bought.length).toBeLessThan(adds.length * 0.9)
    expect(bought.length).toBeGreaterThan(adds.length * 0.5)
  })

  it("sells popular products out and leaves most in stock", () => {
    const wanted = new Map<string, number>()
    for (const { product, quantity } of adds) wanted.set(product, (wanted.get(product) ?? 0) + quantity)
    const stock = new Map(steps.flatMap((step) => step._tag === "ProductOpening" ? [[step.product, step.stock]] : []))
    const short = [...wanted].filter(([product, pieces]) => pieces > (stock.get(product) ?? 0)).map(([product]) =>
      product
    )
    expect(short).toContain("P00001")
    expect(short.length).toBeLessThan(60 / 3)
  })

  it("follows Zipf and the hours of the day", () => {
    const views = happenings(shop({ ...small, zipfExponent: 1 })).filter(({ _tag }) => _tag === "Viewed")
    const first = views.filter((happening) => "product" in happening && happening.product === "P00001").length
    const expected = makeZipf(60, 1).probability(0) * views.length
    expect(first).toBeGreaterThan(expected * 0.8)
    expect(first).toBeLessThan(expected * 1.2)
    const hourOf = (step: Step) => new Date(step.at + 9 * 3_600_000).getUTCHours()
    const visits = steps.filter((step) => step._tag === "Publish" && step.event.happening._tag === "Viewed")
    const evening = visits.filter((step) => hourOf(step) >= 20 && hourOf(step) <= 22).length
    const night = visits.filter((step) => hourOf(step) >= 2 && hourOf(step) <= 4).length
    expect(evening).toBeGreaterThan(5 * night)
  })

  it("has rushes: many adds of one product within three minutes", () => {
    const quiet = { ...small, burstsPerDay: 0 }
    const busiest = (among: ReadonlyArray<Step>) => {
      const perWindow = new Map<string, number>()
      for (const step of among) {
        if (step._tag !== "CartAdd") continue
        const key = `${step.product} ${Math.floor(step.at / 180_000)}`
        perWindow.set(key, (perWindow.get(key) ?? 0) + 1)
      }
      return Math.max(...perWindow.values())
    }
    expect(busiest(steps)).toBeGreaterThan(4 * busiest(shop(quiet)))
  })

  it("changes prices from what they were, and back after three days", () => {
    const prices = new Map(steps.flatMap((step) => step._tag === "ProductOpening" ? [[step.product, step.price]] : []))
    const changes = happenings(steps).filter((happening) => happening._tag === "PriceChanged")
    const falls = changes.filter(({ after, before }) => after < before)
    for (const { after, before, product } of changes) {
      expect(before).toBe(prices.get(product))
      prices.set(product, after)
    }
    expect(falls.every(({ after, before }) => after <= before * 0.9)).toBe(true)
    expect(falls.length).toBeGreaterThan(0)
    expect(falls.length).toBeLessThan(changes.length)
  })

  it("grows with its options and stays within its days", () => {
    const tiny = shop({ products: 1, members: 1, days: 1, sessionsPerDay: 20, burstsPerDay: 0 })
    const start = tiny[0]?.at ?? 0
    expect(tiny.every(({ at }) => at < start + 86_400_000)).toBe(true)
    expect(shop({ products: 1, members: 1, days: 1, sessionsPerDay: 0, burstsPerDay: 0, priceDropsPerDay: 0 }))
      .toHaveLength(2)
  })
})

describe("openings as events", () => {
  it("are valid, with the same ids each time, different from each other", () => {
    const openings = shop({ products: 20, members: 20, days: 1, sessionsPerDay: 1 }).filter(isOpening)
    const events = openings.flatMap((opening) => openingEvents(opening, "shop"))
    expect(events.every(Schema.is(Event))).toBe(true)
    expect(new Set(events.map(({ id }) => id)).size).toBe(events.length)
    expect(events).toHaveLength(20 * 2 + 20 * 5)
    expect(openings.flatMap((opening) => openingEvents(opening, "shop"))).toEqual(events)
  })
})

describe("StepQueue", () => {
  it("gives steps back by instant, those of one instant in the order in which they came", () => {
    fc.assert(fc.property(fc.array(fc.nat(20)), fc.nat(20), (instants, until) => {
      const queue = makeStepQueue()
      const added = instants.map((at, n): Step => ({
        _tag: "Checkout",
        at,
        order: String(n),
        member: "m",
        lines: []
      }))
      added.forEach(queue.add)
      const taken: Array<Step> = []
      for (let step = queue.takeBefore(until); step !== undefined; step = queue.takeBefore(until)) taken.push(step)
      expect(taken).toEqual(added.filter(({ at }) => at < until).sort((a, b) => a.at - b.at))
    }))
  })
})

describe("SeededRandom", () => {
  it("draws arrivals with the mean it is asked for", () => {
    const random = makeSeededRandom("seed")
    for (const mean of [0.3, 4, 40, 400]) {
      const draws = Array.from({ length: 2_000 }, () => random.poisson(mean))
      const average = draws.reduce((sum, draw) => sum + draw, 0) / draws.length
      expect(Math.abs(average - mean)).toBeLessThan(5 * Math.sqrt(mean / draws.length))
    }
  })

  it("draws numbers in their range", () => {
    const random = makeSeededRandom("seed")
    const draws = Array.from({ length: 5_000 }, () => random.between(3, 7))
    expect(new Set(draws)).toEqual(new Set([3, 4, 5, 6, 7]))
    const zipf = makeZipf(5, 1)
    expect(new Set(Array.from({ length: 5_000 }, () => zipf.draw(random)))).toEqual(new Set([0, 1, 2, 3, 4]))
  })
})
