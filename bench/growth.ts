/**
 * P10. The same work while the shop grows from 1,000 to 1,000,000 products: 1,000 of them, picked at random, are called for
 * the first time (cold: loaded from the store) and then 20 times each (live). Loading the products is a step of its own,
 * whose result stays for later runs; `--rows 10000000` puts that many closed rows into the tables beside the products.
 */
import { addsFor, pooled, startPooled, warmUp } from "./rig/Baseline.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { load, prefix, sourceOf, warmPrefix } from "./rig/GrowthData.ts"
import { ActorHouse } from "./rig/House.ts"
import { type Closed, closed, type Loaded } from "./rig/Load.ts"
import type { Options } from "./rig/Options.ts"
import type { Database } from "./rig/Postgres.ts"
import { atMost, type Measurement } from "./rig/Report.ts"

const picked = 1_000
const concurrency = 256
/** "Flat": the largest shop may cost so many times what the smallest does. */
const flat = 1.2

const pick = (products: number): ReadonlyArray<number> => {
  const ids = new Set<number>()
  while (ids.size < Math.min(picked, products)) ids.add(Math.floor(Math.random() * products))
  return [...ids]
}

const measure = async (
  run: Bench,
  products: number,
  n: number,
  database: Database,
  one: (touch: "cold" | "live", load: Closed, check: (result: Loaded) => Promise<boolean>) => Promise<unknown>
) => {
  const only = pick(products)
  const loads: Array<Loaded> = []
  const check = (result: Loaded) => {
    loads.push(result)
    return run.inOrder(database, prefix, loads, loads.reduce((sum, each) => sum + each.latencies.length, 0))
  }
  await one("cold", { prefix, products, only, n: only.length, concurrency }, check)
  await one("live", { prefix, products, only, n, concurrency }, check)
}

const warm = (n: number): Closed => ({ prefix: warmPrefix, products: picked, n, concurrency })

const hikyaku = (run: Bench, products: number) =>
  run.turn("hikyaku", async (database) => {
    const house = await ActorHouse.start(database)
    try {
      await house.closed(warm(Math.floor(run.options.n / 2)))
      await measure(run, products, run.options.n, database, (touch, load, check) =>
        run.closed(house, "growth", load, check, { n: products, touch }))
    } finally {
      await house.stop()
    }
  }, sourceOf(run.options, products))

const baseline = (run: Bench, products: number) =>
  run.turn(pooled, async (database) => {
    const { add, stop } = await startPooled(database)
    try {
      await closed(add, warm(warmUp(pooled, run.options.n)))
      await measure(run, products, addsFor(pooled, run.options.n), database, (touch, load, check) =>
        run.closedOn(pooled, add, "growth", load, check, { n: products, touch }))
    } finally {
      await stop()
    }
  }, sourceOf(run.options, products))

const sizesOf = ({ products }: Options): ReadonlyArray<number> =>
  [1_000, 10_000, 100_000, 1_000_000].filter((size) => size <= products)

await bench("growth", async (run) => {
  const sizes = sizesOf(run.options)
  await load(run, sizes)
  if (run.options.load) return []
  const ends = new Set([sizes[0]!, sizes.at(-1)!])
  await run.repeat(async (rep) => {
    // The goal compares the ends; once is enough to see what lies between, and how the pool does.
    for (const products of rep === 1 ? sizes : ends) {
      await hikyaku(run, products)
      if (rep === 1 && ends.has(products)) await baseline(run, products)
    }
  })
  return run.goals((report) => {
    const cost = (touch: "cold" | "live") => {
      const at = (n: number): Measurement => report.find("hikyaku", "growth", { n, touch })
      const [small, large] = [at(sizes[0]!), at(sizes.at(-1)!)]
      const what = `${touch} actors, ${large.n} products (${large.per_s}/s) against ${small.n} (${small.per_s}/s)`
      const ratio = (small.per_s ?? Number.NaN) / (large.per_s ?? Number.NaN)
      return atMost("P10", what, ratio, flat, "x the cost", small.ok && large.ok)
    }
    return [cost("live"), cost("cold")]
  })
})
