/** P3. The same two workloads as shops see them: from processes of their own, over WebSockets, through the public API. */
import { addsFor, pooled, startPooled, warmUp } from "./rig/Baseline.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { defineProducts } from "./rig/Books.ts"
import { ApiHouse } from "./rig/House.ts"
import { type Closed, closed, type Loaded } from "./rig/Load.ts"
import type { Database } from "./rig/Postgres.ts"
import { atLeast } from "./rig/Report.ts"

const concurrency = 256
/** Shop fronts: one connection each. */
const fronts = 2
const products = 1_000

const hot = (prefix: string, n: number): Closed => ({ prefix, products: 1, n, concurrency })
const uniform = (n: number): Closed => ({ prefix: "shelf-", products, n, concurrency })
const stockOf = (n: number): number => Math.floor(n * 0.75)

const prepare = async (n: number, database: Database): Promise<void> => {
  await defineProducts(database.admin, "rush-", 1, stockOf(n))
  await defineProducts(database.admin, "warm-", 1, n)
  await defineProducts(database.admin, "shelf-", products, 1_000_000)
  await database.admin.query("vacuum analyze product")
}

const checks = (run: Bench, n: number, database: Database, warm: Loaded) => ({
  hot: (result: Loaded) => run.inOrder(database, "rush-", [result], stockOf(n)),
  uniform: (result: Loaded) => run.inOrder(database, "shelf-", [warm, result], warm.latencies.length + n)
})

const hikyaku = (run: Bench) =>
  run.turn("hikyaku", async (database) => {
    const { n } = run.options
    await prepare(n, database)
    const house = await ApiHouse.start(database, fronts)
    try {
      await house.closed(hot("warm-", Math.floor(n / 2)))
      const [warm] = await house.closed(uniform(Math.floor(n / 4)))
      const check = checks(run, n, database, warm)
      await run.closed(house, "W1-rpc", hot("rush-", n), check.hot)
      await run.closed(house, "W2-rpc", uniform(n), check.uniform)
    } finally {
      await house.stop()
    }
  })

const baseline = (run: Bench) =>
  run.turn(pooled, async (database) => {
    const n = addsFor(pooled, run.options.n)
    await prepare(n, database)
    const { add, stop } = await startPooled(database)
    try {
      await closed(add, hot("warm-", warmUp(pooled, n)))
      const check = checks(run, n, database, await closed(add, uniform(warmUp(pooled, n))))
      await run.closedOn(pooled, add, "W1", hot("rush-", n), check.hot)
      await run.closedOn(pooled, add, "W2", uniform(n), check.uniform)
    } finally {
      await stop()
    }
  })

await bench("cart-rpc", async (run) => {
  await run.repeat(async () => {
    await hikyaku(run)
    await baseline(run)
  })
  return run.goals((report) => [
    atLeast("P3", "hot product through the API", report.find("hikyaku", "W1-rpc"), report.find(pooled, "W1"), 5),
    atLeast("P3", "1,000 products through the API", report.find("hikyaku", "W2-rpc"), report.find(pooled, "W2"), 1)
  ])
})
