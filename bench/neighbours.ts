/**
 * P12. Shoppers add to the cart at a steady rate, alone and while a run over `--members` members is under way on the same
 * runner (a million for the goal; what counts is that the run outlasts the measurement).
 */
import { audiencesOf, campaignId, cap, definition, load, source } from "./fanout/Audience.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { defineProducts } from "./rig/Books.ts"
import { ActorHouse } from "./rig/House.ts"
import type { Loaded, Open } from "./rig/Load.ts"
import type { Database } from "./rig/Postgres.ts"
import { atMost } from "./rig/Report.ts"

const products = 1_000
const prefix = "shelf-"
/** Adds a second: a shop on an ordinary day. */
const addsPerSecond = 500

const adds = (seconds: number): Open => ({ prefix, products, perSecond: addsPerSecond, seconds })

const progressOf = async ({ admin }: Database, run: string) => {
  const { rows } = await admin.query<{ readonly status: string; readonly considered: number }>(
    "select status, considered::float8 as considered from run where id = $1",
    [run]
  )
  return rows[0] ?? { status: "none", considered: 0 }
}

const hikyaku = (run: Bench) =>
  run.turn("hikyaku", async (database) => {
    const { n, seconds } = run.options
    await defineProducts(database.admin, prefix, products, 1_000_000)
    await database.admin.query("vacuum analyze product")
    const house = await ActorHouse.start(database, {
      environment: { HIKYAKU_CAPS: JSON.stringify([cap]), HIKYAKU_TIME_ZONE: "UTC" }
    })
    try {
      await house.define(definition(Date.now()), "UTC")
      const { large, warm } = audiencesOf(run.options.members)
      const loads: Array<Loaded> = [(await house.closed({ prefix, products, n, concurrency: 64 }))[0]]
      // Both paths have been gone before either is measured.
      const [warmRun] = await house.runNow(campaignId, warm.product, null, async (id) => {
        while ((await progressOf(database, id)).status === "running") await new Promise((next) => setTimeout(next, 50))
      })
      run.say(`warm-up: ${(await progressOf(database, warmRun)).considered} members`)

      const measure = async (workload: string, extra: () => Promise<boolean>) => {
        const [[result, watch], postgresMs] = await run.with(() => house.open([adds(seconds)], run.profile(workload)))
        loads.push(...result)
        const ok = await extra() && await run.inOrder(database, prefix, loads, null)
        run.add({ peer: "hikyaku", workload, offered_per_s: addsPerSecond }, result[0]!, ok, { ...watch, postgresMs })
      }
      await run.still()
      await measure("neighbours-quiet", () => Promise.resolve(true))
      await run.still()
      const [id] = await house.runNow(campaignId, large.product, null, () => Promise.resolve())
      const before = await progressOf(database, id)
      await measure("neighbours-run", async () => {
        const after = await progressOf(database, id)
        run.say(
          `the run went from ${before.considered} to ${after.considered} of ${large.count} and is ${after.status}`
        )
        return after.status === "running" && after.considered > before.considered
      })
    } finally {
      await house.stop()
    }
  }, source)

await bench("neighbours", async (run) => {
  run.say(`loading ${Math.floor(run.options.members * 1.2)} members`)
  await load(run.postgres, run.options.members)
  await run.repeat(() => hikyaku(run))
  return run.goals((report) => {
    const quiet = report.find("hikyaku", "neighbours-quiet")
    const busy = report.find("hikyaku", "neighbours-run")
    const ratio = (busy.p99_ms ?? Number.NaN) / (quiet.p99_ms ?? Number.NaN)
    const what = `cart p99 beside a run (${busy.p99_ms} ms) by that without (${quiet.p99_ms} ms)`
    return [atMost("P12", what, ratio, 2, "x", quiet.ok && busy.ok)]
  })
})
