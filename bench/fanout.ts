/**
 * P5. One event about a product that `--members` members favourited (W3): each is filtered, their caps are checked, channel
 * and hour are chosen, a delivery is written. Beside it the same done by one statement, by hand-batched statements, and by a
 * stored procedure per member. Cold: nobody is in the runner's memory. A tenth of the audience tells whether time per member
 * grows with the audience.
 */
import { type Audience, audiencesOf, campaignId, cap, definition, load, slotHour, source } from "./fanout/Audience.ts"
import {
  type Baseline,
  type FanOut,
  handBatched,
  oneStatement,
  perMember,
  startHandBatched,
  startOneStatement,
  startPerMember
} from "./fanout/Baselines.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { ActorHouse, type Watch } from "./rig/House.ts"
import { sleep } from "./rig/Machine.ts"
import type { Database } from "./rig/Postgres.ts"
import { atLeast, atMost } from "./rig/Report.ts"

/** Time for an audience at most, ms. */
const patienceMs = 180_000
/** How often a run is looked at, ms; what is measured is what the database notes. */
const lookMs = 20

/** Everybody has exactly one delivery of the run more, and it occupies their caps. */
const inOrder = async ({ admin }: Database, run: string, { count, from }: Audience): Promise<boolean> => {
  const { rows } = await admin.query<{ readonly deliveries: number; readonly holds: number }>(
    `select (select count(*)::int from delivery where run = $1) as deliveries,
       (select count(*)::int from member m where holds @> jsonb_build_array(jsonb_build_array($1::text))
          and exists (select from delivery d where d.run = $1 and d.member = m.id)
          and substr(m.id, 2)::int >= $2 and substr(m.id, 2)::int < $3) as holds`,
    [run, from, from + count]
  )
  const [row] = rows
  if (row?.deliveries === count && row.holds === count) return true
  process.stderr.write(`CHECK FAILED for ${run}: ${JSON.stringify({ row, count })}\n`)
  return false
}

const line = (
  run: Bench,
  peer: string,
  audience: Audience,
  ms: number,
  ok: boolean,
  watch: Partial<Watch>,
  pgMs: number
) => {
  const each = (total: number) => Math.round(total * 1000 / audience.count)
  run.report.add({
    peer,
    workload: "W3",
    n: audience.count,
    per_s: Math.round(audience.count / ms * 1000),
    ok,
    ...(watch.runnerMs !== undefined && { runner_us: each(watch.runnerMs) }),
    postgres_us: each(pgMs),
    ...(run.options.profile !== null && peer === "hikyaku" && { profiled: true })
  })
}

const finishedSql =
  `select status, (extract(epoch from finished_at - started_at) * 1000)::float8 as ms from run where id = $1`

const hikyaku = (run: Bench) =>
  run.turn("hikyaku", async (database) => {
    const house = await ActorHouse.start(database, {
      environment: { HIKYAKU_CAPS: JSON.stringify([cap]), HIKYAKU_TIME_ZONE: "UTC" }
    })
    try {
      await house.define(definition(Date.now()), "UTC")
      const fanOut = async (audience: Audience, profile: string | null) => {
        let ms = Number.NaN
        const [[id, watch], postgresMs] = await run.with(() =>
          house.runNow(campaignId, audience.product, profile, async (id) => {
            const end = Date.now() + patienceMs
            while (Number.isNaN(ms)) {
              const { rows } = await database.admin.query<{ readonly status: string; readonly ms: number }>(
                finishedSql,
                [id]
              )
              if (rows[0]?.status === "finished") ms = rows[0].ms
              else if (Date.now() > end) throw new Error(`run ${id} is ${rows[0]?.status} after ${patienceMs} ms`)
              else await sleep(lookMs)
            }
          })
        )
        return { id, ms, watch, postgresMs }
      }
      const { large, small, warm } = audiencesOf(run.options.members)
      await fanOut(warm, null)
      for (const audience of [small, large]) {
        await run.still()
        const { id, ms, postgresMs, watch } = await fanOut(audience, run.profile(`W3-${audience.count}`))
        line(run, "hikyaku", audience, ms, await inOrder(database, id, audience), watch, postgresMs)
      }
    } finally {
      await house.stop()
    }
  }, source)

const baseline = (run: Bench, peer: string, start: (database: Database) => Promise<Baseline>) =>
  run.turn(peer, async (database) => {
    const { fanOut, stop } = await start(database)
    try {
      const { large, small, warm } = audiencesOf(run.options.members)
      await measure(fanOut, warm)
      for (const audience of [small, large]) {
        await run.still()
        const [ms, postgresMs] = await run.with(() => measure(fanOut, audience))
        line(run, peer, audience, ms, await inOrder(database, audience.product, audience), {}, postgresMs)
      }
    } finally {
      await stop()
    }
  }, source)

/** How long an audience takes, ms. */
const measure = async (fanOut: FanOut, audience: Audience): Promise<number> => {
  const now = Date.now()
  const sendAt = new Date(now).setUTCHours(slotHour(now), 0, 0, 0)
  const start = performance.now()
  await fanOut(audience, audience.product, sendAt > now ? sendAt : sendAt + 86_400_000)
  return performance.now() - start
}

await bench("fanout", async (run) => {
  const { members } = run.options
  run.say(`loading ${Math.floor(members * 1.2)} members`)
  await load(run.postgres, members)
  await run.repeat(async () => {
    await hikyaku(run)
    await baseline(run, perMember, startPerMember)
    await baseline(run, handBatched, startHandBatched)
    await baseline(run, oneStatement, startOneStatement)
  })
  return run.goals((report) => {
    const small = report.find("hikyaku", "W3", { n: Math.floor(members / 10) })
    const at = (peer: string) => report.find(peer, "W3", { n: members })
    const large = at("hikyaku")
    const growth = (small.per_s ?? Number.NaN) / (large.per_s ?? Number.NaN)
    return [
      atLeast("P5", `${members} members`, large, at(perMember), 4),
      atLeast("P5", `${members} members`, large, at(handBatched), 0.4),
      atMost("P5", `time per member by that of ${small.n}`, growth, 1.2, "x", small.ok && large.ok)
    ]
  })
})
