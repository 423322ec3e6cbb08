/** P1. A rush on one product: 20,000 adds while there is stock for 15,000 (W1). */
import { addsFor, batched, pooled, type Start, startBatched, startPooled, warmUp } from "./rig/Baseline.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { defineProducts } from "./rig/Books.ts"
import { ActorHouse } from "./rig/House.ts"
import { type Closed, closed } from "./rig/Load.ts"
import type { Database } from "./rig/Postgres.ts"
import { atLeast, atMost } from "./rig/Report.ts"

const goalCallers = 256
const callers = [goalCallers, 64]

const stockOf = (n: number): number => Math.floor(n * 0.75)
const rush = (concurrency: number): string => `rush${concurrency}-`
const load = (prefix: string, n: number, concurrency: number): Closed => ({ prefix, products: 1, n, concurrency })

/** One product per number of callers, and one to warm up on: the first thousands of calls are the compiler's. */
const prepare = async (n: number, database: Database): Promise<void> => {
  for (const concurrency of callers) await defineProducts(database.admin, rush(concurrency), 1, stockOf(n))
  await defineProducts(database.admin, "warm-", 1, n)
  await database.admin.query("vacuum analyze product")
}

const hikyaku = (run: Bench) =>
  run.turn("hikyaku", async (database) => {
    const { n, seconds } = run.options
    await prepare(n, database)
    await defineProducts(database.admin, "steady-", 1, 1_000_000_000)
    const house = await ActorHouse.start(database)
    try {
      await house.closed(load("warm-", Math.floor(n / 2), 256))
      let most = 0
      for (const concurrency of callers) {
        const prefix = rush(concurrency)
        const [line] = await run.closed(house, "W1", load(prefix, n, concurrency), (result) =>
          run.inOrder(database, prefix, [result], stockOf(n)))
        most = Math.max(most, line.per_s ?? 0)
      }
      await run.still()
      const perSecond = Math.round(most / 2)
      const [[[result], watch], postgresMs] = await run.with(() =>
        house.open([{ prefix: "steady-", products: 1, perSecond, seconds }], run.profile("W1-half"))
      )
      const ok = await run.inOrder(database, "steady-", [result!], Math.floor(perSecond * seconds))
      run.add({ peer: "hikyaku", workload: "W1-half", offered_per_s: perSecond }, result!, ok, { ...watch, postgresMs })
    } finally {
      await house.stop()
    }
  })

const baseline = (run: Bench, rep: number, peer: string, start: Start) =>
  run.turn(peer, async (database) => {
    const n = addsFor(peer, run.options.n)
    await prepare(n, database)
    const { add, stop } = await start(database)
    try {
      const warm = await closed(add, load("warm-", warmUp(peer, n), 64))
      if (!await run.inOrder(database, "warm-", [warm], null)) throw new Error(`${peer} does not work`)
      for (const concurrency of callers) {
        // No goal is about the baselines with few callers.
        if (rep > 1 && concurrency < goalCallers) continue
        const prefix = rush(concurrency)
        await run.closedOn(peer, add, "W1", load(prefix, n, concurrency), (result) =>
          run.inOrder(database, prefix, [result], stockOf(n)))
      }
    } finally {
      await stop()
    }
  })

await bench("cart-hot", async (run) => {
  await run.repeat(async (rep) => {
    await hikyaku(run)
    await baseline(run, rep, pooled, startPooled)
    await baseline(run, rep, batched, startBatched)
  })
  return run.goals((report) => {
    const ours = report.find("hikyaku", "W1", { concurrency: 256 })
    const half = report.find("hikyaku", "W1-half")
    return [
      atLeast("P1", "hot product", ours, report.find(pooled, "W1", { concurrency: 256 }), 12),
      atLeast("P1", "hot product", ours, report.find(batched, "W1", { concurrency: 256 }), 0.5),
      atMost("P1", `p99 at half of the maximum (${half.offered_per_s}/s)`, half.p99_ms ?? Number.NaN, 20, "ms", half.ok)
    ]
  })
})
