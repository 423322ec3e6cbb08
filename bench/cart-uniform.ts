/** P2. An ordinary day: 20,000 adds over 1,000 products (W2), all of them known to their runner. */
import { addsFor, batched, pooled, type Start, startBatched, startPooled, warmUp } from "./rig/Baseline.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { defineProducts } from "./rig/Books.ts"
import { ActorHouse } from "./rig/House.ts"
import { type Closed, closed, type Loaded } from "./rig/Load.ts"
import type { Database } from "./rig/Postgres.ts"
import { atLeast } from "./rig/Report.ts"

const goalCallers = 256
const callers = [64, goalCallers]
const products = 1_000
const prefix = "shelf-"

const load = (n: number, concurrency: number): Closed => ({ prefix, products, n, concurrency })

const prepare = async (database: Database): Promise<void> => {
  await defineProducts(database.admin, prefix, products, 1_000_000)
  await database.admin.query("vacuum analyze product")
}

/** All loads of one repetition fall on the same products, so that the books must agree with their sum. */
const books = (run: Bench, database: Database, warm: Loaded) => {
  const loads = [warm]
  return (result: Loaded): Promise<boolean> => {
    loads.push(result)
    return run.inOrder(database, prefix, loads, loads.reduce((sum, each) => sum + each.latencies.length, 0))
  }
}

const hikyaku = (run: Bench) =>
  run.turn("hikyaku", async (database) => {
    const { n } = run.options
    await prepare(database)
    const house = await ActorHouse.start(database)
    try {
      const [warm] = await house.closed(load(Math.floor(n / 2), 256))
      const check = books(run, database, warm)
      for (const concurrency of callers) await run.closed(house, "W2", load(n, concurrency), check)
    } finally {
      await house.stop()
    }
  })

const baseline = (run: Bench, rep: number, peer: string, start: Start) =>
  run.turn(peer, async (database) => {
    const n = addsFor(peer, run.options.n)
    await prepare(database)
    const { add, stop } = await start(database)
    try {
      const check = books(run, database, await closed(add, load(warmUp(peer, n), 256)))
      for (const concurrency of callers) {
        // No goal is about the floor with few callers.
        if (rep > 1 && peer === batched && concurrency < goalCallers) continue
        await run.closedOn(peer, add, "W2", load(n, concurrency), check)
      }
    } finally {
      await stop()
    }
  })

await bench("cart-uniform", async (run) => {
  await run.repeat(async (rep) => {
    await hikyaku(run)
    await baseline(run, rep, pooled, startPooled)
    await baseline(run, rep, batched, startBatched)
  })
  return run.goals((report) => {
    const at = (peer: string, concurrency: number) => report.find(peer, "W2", { concurrency })
    return [
      atLeast("P2", "1,000 products", at("hikyaku", goalCallers), at(pooled, goalCallers), 3),
      atLeast("P2", "1,000 products", at("hikyaku", 64), at(pooled, 64), 1)
    ]
  })
})
