/**
 * P4. Shoppers of 1,000 normal products while a hot one is offered four times what it can take. The hot product has a cell
 * of its own, as operators (or the detection of hot products) place it; the rush comes through a gateway of its own.
 */
import { hotCellOf } from "@hikyaku/cluster/actor/Placement"
import { pooled, startPooled, warmUp } from "./rig/Baseline.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { defineProducts } from "./rig/Books.ts"
import { ActorHouse } from "./rig/House.ts"
import { type Closed, closed, type Loaded, type Open, open } from "./rig/Load.ts"
import type { Database } from "./rig/Postgres.ts"
import { atMost } from "./rig/Report.ts"

const products = 1_000
/** Adds of normal products, a second: a shop on an ordinary day. */
const normalPerSecond = 1_000
/** How many times what the hot product can take it is offered. */
const rushFactor = 4
const ample = 1_000_000_000

const prepare = async (database: Database): Promise<void> => {
  await defineProducts(database.admin, "shelf-", products, ample)
  await defineProducts(database.admin, "hot-", 1, ample, { cell: hotCellOf("hot-0") })
  await database.admin.query("vacuum analyze product")
}

const most = (n: number): Closed => ({ prefix: "hot-", products: 1, n, concurrency: 256 })
const normal = (seconds: number): Open => ({ prefix: "shelf-", products, perSecond: normalPerSecond, seconds })
const rush = (seconds: number, capacity: number): Open => ({
  prefix: "hot-",
  products: 1,
  perSecond: rushFactor * capacity,
  seconds
})
const perSecondOf = ({ latencies, ms }: Loaded): number => Math.round(latencies.length / ms * 1000)

const hikyaku = (run: Bench) =>
  run.turn("hikyaku", async (database) => {
    const { n, seconds } = run.options
    await prepare(database)
    const house = await ActorHouse.start(database, { gateways: 2 })
    try {
      const loads: Array<Loaded> = []
      const capacities: Array<Loaded> = []
      loads.push((await house.closed({ prefix: "shelf-", products, n: Math.floor(n / 2), concurrency: 256 }))[0])
      for (let i = 0; i < 2; i++) capacities.push((await house.closed(most(Math.floor(n / 2)), null, 1))[0])
      const capacity = perSecondOf(capacities[1]!)
      const books = () => run.inOrder(database, "shelf-", loads, null)

      await run.still()
      const quiet = await run.with(() => house.open([normal(seconds)], run.profile("isolation-quiet")))
      loads.push(...quiet[0][0])
      run.add(
        { peer: "hikyaku", workload: "isolation-quiet", offered_per_s: normalPerSecond },
        quiet[0][0][0]!,
        await books(),
        { ...quiet[0][1], postgresMs: quiet[1] }
      )

      await run.still()
      const [[rushed, [others, watch]], postgresMs] = await run.with(() =>
        Promise.all([
          house.open([rush(seconds, capacity)], null, 1).then(([[load]]) => load!),
          house.open([normal(seconds)], run.profile("isolation-rush"))
        ])
      )
      loads.push(...others)
      const ok = await books() && await run.inOrder(database, "hot-", [...capacities, rushed], null)
      run.add({ peer: "hikyaku", workload: "isolation-rush", offered_per_s: normalPerSecond }, others[0]!, ok, {
        ...watch,
        postgresMs
      })
      run.add(
        { peer: "hikyaku", workload: "isolation-hot", offered_per_s: rushFactor * capacity },
        rushed,
        ok,
        { postgresMs }
      )
    } finally {
      await house.stop()
    }
  })

/** Everything shares the pool: whoever waits for the hot product's row keeps a connection from the others. */
const baseline = (run: Bench) =>
  run.turn(pooled, async (database) => {
    const { n, seconds } = run.options
    await prepare(database)
    const { add, stop } = await startPooled(database)
    try {
      const loads = [await closed(add, { prefix: "shelf-", products, n: warmUp(pooled, n), concurrency: 64 })]
      const capacity = perSecondOf(await closed(add, most(warmUp(pooled, n))))
      await run.still()
      const [[quiet], quietMs] = await run.with(() => open(add, [normal(seconds)]))
      loads.push(quiet!)
      run.add(
        { peer: pooled, workload: "isolation-quiet", offered_per_s: normalPerSecond },
        quiet!,
        await run.inOrder(database, "shelf-", loads, null),
        { postgresMs: quietMs }
      )
      await run.still()
      const [[rushed], rushMs] = await run.with(() => open(add, [normal(seconds), rush(seconds, capacity)]))
      // Not all of them are answered when this is told: what counts is how long they wait.
      run.add({ peer: pooled, workload: "isolation-rush", offered_per_s: normalPerSecond }, rushed!, true, {
        postgresMs: rushMs
      })
    } finally {
      await stop()
    }
  })

await bench("isolation", async (run) => {
  // Once is enough to see what a shared pool does.
  await baseline(run)
  await run.repeat(() => hikyaku(run))
  return run.goals((report) => {
    const quiet = report.find("hikyaku", "isolation-quiet")
    const rushed = report.find("hikyaku", "isolation-rush")
    const what = `p99 of normal products in a rush (${rushed.p99_ms} ms) by that without (${quiet.p99_ms} ms)`
    const ratio = (rushed.p99_ms ?? Number.NaN) / (quiet.p99_ms ?? Number.NaN)
    return [atMost("P4", what, ratio, 2, "x", quiet.ok && rushed.ok)]
  })
})
