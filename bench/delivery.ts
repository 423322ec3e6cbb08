/**
 * P7, G11, G12. A random mix of batch and realtime mails against the sandbox in real time, beside a batch workflow as it was
 * published and a FIFO pool of workers. All three know the provider's limit; the record that the sandbox keeps decides.
 */
import { mkdtempSync, rmSync } from "node:fs"
import * as path from "node:path"
import { batchWorkflow, fifoPool } from "./dispatch/Baselines.ts"
import { makeDue, seed, type Sql } from "./dispatch/Due.ts"
import { deliveryOf, lowerBoundMs, type MailRequest, randomMix } from "./dispatch/Mix.ts"
import { type Sandbox, startRunner, startSandbox } from "./dispatch/Stage.ts"
import { percentile, testimony } from "./dispatch/Witness.ts"
import { type Bench, bench } from "./rig/Bench.ts"
import { sleep } from "./rig/Machine.ts"
import type { Database } from "./rig/Postgres.ts"
import { atMost, type Measurement, rounded } from "./rig/Report.ts"

/** Requests that the provider allows at one time. */
const concurrency = 8
/** Realtime mails a second. */
const realtimePerSecond = 3
/** Part of the mix's size that each sends before it is measured: a program that has just begun is compiled while it runs. */
const warmUpPart = 0.1
/** How long Hikyaku is given, by the lower bound, ms. */
const patience = (boundMs: number) => 60_000 + 6 * boundMs

type Due = Map<string, { readonly at: number; readonly class: "batch" | "realtime" }>
type Mix = ReadonlyArray<MailRequest>
/** When its first mail was due, ms since the epoch, and the CPU time that it took from then on, ms. */
interface Sending {
  readonly startAt: number
  readonly runnerMs?: number
  readonly postgresMs?: number
}
/** Takes a mix out, after another one that does not count. */
type Sender = (sandbox: Sandbox, mix: Mix, due: Due, warmUp: Mix) => Promise<Sending>

const noteDue = (due: Due, mail: MailRequest, at: number): void => {
  for (let n = 0; n < mail.recipients; n++) due.set(deliveryOf(mail.id, n), { at, class: mail.class })
}

/** The mails' account has a dispatcher; the others' say nothing of it. How long is waited for that, ms. */
const rules = "select from provider where id = 'mail' and owner <> ''"
const rulesWithin = 60_000

const finished = `select where not exists (select from delivery where status in ('due', 'listed'))
  and not exists (select from delivery_list where status not in ('completed', 'failed', 'expired'))`

const sqlOf = (database: Database): Sql => async (statement, values = []) =>
  (await database.admin.query<Record<string, unknown>>(statement, [...values])).rows

/** Hikyaku: a runner process on a database of its own. */
const hikyaku = (run: Bench, database: Database): Sender => async (sandbox, mix, due, warmUp) => {
  const sql = sqlOf(database)
  await seed(sql, [...warmUp, ...mix], Date.now())
  const runner = await startRunner(database, sandbox, concurrency)
  try {
    const holds = async (statement: string) => (await database.admin.query(statement)).rowCount === 1
    const rulesBy = Date.now() + rulesWithin
    while (!await holds(rules)) {
      if (Date.now() > rulesBy) throw new Error("nobody dispatches the mails")
      await sleep(50)
    }
    const until = async (sent: Mix) => {
      const end = Date.now() + patience(lowerBoundMs(sent, concurrency))
      while (Date.now() < end && !await holds(finished)) await sleep(200)
    }
    await Promise.all(warmUp.map((mail) => makeDue(sql, mail)))
    await until(warmUp)
    await run.still()
    const profile = run.profile("delivery")
    if (profile !== null) await runner.profile()
    const usedBefore = await runner.usage()
    const [startAt, postgresMs] = await run.with(async () => {
      const startAt = Date.now()
      await Promise.all(mix.map(async (mail) => {
        await sleep(Math.max(0, startAt + mail.arrivesMs - Date.now()))
        noteDue(due, mail, await makeDue(sql, mail))
      }))
      await until(mix)
      return [...due.values()].reduce((first, { at }) => Math.min(first, at), Number.POSITIVE_INFINITY)
    })
    const runnerMs = await runner.usage() - usedBefore
    if (profile !== null) await runner.profiled(`${profile}-runner.cpuprofile`)
    return { startAt, runnerMs, postgresMs }
  } finally {
    await runner.stop()
  }
}

/** A sender without a store of its own: due times are those of the mix. */
const plain = (run: Bench, send: typeof fifoPool): Sender => async (sandbox, mix, due, warmUp) => {
  await send(sandbox.url, warmUp, Date.now(), concurrency)
  await run.still()
  const startAt = Date.now()
  for (const mail of mix) noteDue(due, mail, startAt + mail.arrivesMs)
  await send(sandbox.url, mix, startAt, concurrency)
  return { startAt }
}

/** The same for all, of other mails and campaigns than the mix. */
const warmUpMix = (n: number): Mix =>
  randomMix(0, Math.ceil(n * warmUpPart), realtimePerSecond, concurrency).map((mail) => ({
    ...mail,
    id: `warm-${mail.id}`,
    campaign: `warm-${mail.campaign}`
  }))

const measure = async (run: Bench, peer: string, sender: Sender, mix: Mix): Promise<Measurement> => {
  const folder = mkdtempSync(path.join(path.resolve(run.options.data), "sandbox-"))
  try {
    const sandbox = await startSandbox(folder, concurrency)
    const due: Due = new Map()
    let sending: Sending
    try {
      sending = await sender(sandbox, mix, due, warmUpMix(run.options.n))
    } finally {
      await sandbox.stop()
    }
    const seen = testimony(folder, due, sending.startAt, concurrency)
    const boundMs = lowerBoundMs(mix, concurrency)
    const { postgresMs, runnerMs } = sending
    const each = (ms: number) => Math.round(ms * 1000 / due.size)
    const measurement: Measurement = {
      peer,
      workload: "delivery",
      n: run.options.n,
      concurrency,
      makespan_ms: rounded(seen.makespanMs, 0),
      lower_bound_ms: rounded(boundMs, 0),
      makespan_ratio: rounded(seen.makespanMs / boundMs, 3),
      utilisation: rounded(seen.utilisation, 4),
      work_ms: rounded(seen.workMs, 0),
      gap_p50_ms: rounded(percentile(seen.gapsMs, 0.5), 1),
      gap_p99_ms: rounded(percentile(seen.gapsMs, 0.99), 1),
      realtime_p50_ms: rounded(percentile(seen.realtimeMs, 0.5), 1),
      realtime_p99_ms: rounded(percentile(seen.realtimeMs, 0.99), 1),
      lists: seen.lists,
      polls: seen.polls,
      violations: seen.violations,
      duplicates: seen.duplicates,
      ...(runnerMs !== undefined && { runner_us: each(runnerMs) }),
      ...(postgresMs !== undefined && { postgres_us: each(postgresMs) }),
      ok: seen.mailed === due.size && seen.duplicates === 0 && seen.violations === 0
    }
    run.report.add(measurement)
    return measurement
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

await bench("delivery", async (run) => {
  const { n, reps } = run.options
  for (let rep = 1; rep <= reps; rep++) {
    run.say(`repetition ${rep} of ${reps}`)
    // Each repetition is a mix of its own, the same for all.
    const mix = randomMix(rep, n, realtimePerSecond, concurrency)
    await run.turn("hikyaku", async (database) => {
      await measure(run, "hikyaku", hikyaku(run, database), mix)
    })
    for (const [peer, send] of [["batch-workflow", batchWorkflow], ["fifo-pool", fifoPool]] as const) {
      if (run.options.only?.includes(peer) !== false) await measure(run, peer, plain(run, send), mix)
    }
  }
  if (run.options.only !== null) return []
  const ours = run.report.find("hikyaku", "delivery")
  const workflow = run.report.find("batch-workflow", "delivery")
  const theirs = workflow.makespan_ratio ?? Number.NaN
  const part = (ours.makespan_ratio ?? Number.NaN) / theirs
  const least = rounded(1 / theirs, 3)
  return [
    atMost("P7", "makespan by the lower bound", ours.makespan_ratio ?? Number.NaN, 1.05, "x", ours.ok),
    atMost(
      "P7",
      `makespan by that of the batch workflow (lower bound: ${least} x)`,
      part,
      0.5,
      "x",
      ours.ok && workflow.ok
    )
  ]
})
