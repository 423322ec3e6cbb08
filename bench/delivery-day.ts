/**
 * P7, G11, G12 in virtual time: a day with a million mails and a provider that takes 20 requests at a time. The scheduler is
 * the one that runs in production; store, network and provider cost nothing here, so the figures say what its choices are
 * worth, and `delivery` says what is left of that in real time.
 */
import { dayOf, leastMs, type Mail, pool, scheduled, workflow } from "./dispatch/Day.ts"
import { Ledger } from "./dispatch/Ledger.ts"
import { percentile } from "./dispatch/Witness.ts"
import { readOptions } from "./rig/Options.ts"
import { atMost, type Measurement, Report, rounded } from "./rig/Report.ts"

const mailsDefault = 1_000_000
const limit = 20
const seconds = (ms: number) => Math.round(ms / 100) / 10

const args = process.argv.slice(2)
const options = readOptions(args, process.env["QUIET_S"])
const mails = args.includes("--n") || args.includes("--quick") ? options.n : mailsDefault
const report = new Report(options.json)
const day = dayOf(1, mails)
const batches = day.filter((mail) => mail.class === "batch")

/** Slots in use over the day, a column per half hour: █ realtime and batch together, by eighths. */
const chart = (ledger: Ledger): string => {
  const columns = 48
  const per = 30 * 60_000
  const each = Array.from({ length: columns }, (_, column) => {
    const from = column * per / Ledger.span
    let used = 0
    for (let at = 0; at < per / Ledger.span; at++) {
      const cell = ledger.used[from + at]
      used += (cell?.batch ?? 0) + (cell?.realtime ?? 0)
    }
    return used / (per * limit)
  })
  const height = 4
  const blocks = " ▁▂▃▄▅▆▇█"
  return Array.from({ length: height }, (_, row) => {
    const floor = (height - 1 - row) / height
    const line = each.map((share) => blocks[Math.max(0, Math.min(8, Math.round((share - floor) * height * 8)))] ?? " ")
      .join("")
    return `${String(Math.round(limit * (height - row) / height)).padStart(4)} |${line}`
  }).concat(`     +${"-".repeat(columns)}`, `      0h          6h          12h         18h`).join("\n")
}

const measure = (peer: string, send: (mails: ReadonlyArray<Mail>, limit: number) => Ledger): Measurement => {
  const ledger = send(day, limit)
  const waits = ledger.waits.toSorted((a, b) => a - b)
  const ratios = batches.map((mail) => (ledger.batches.get(mail.id) ?? Number.POSITIVE_INFINITY) / leastMs(mail, limit))
    .toSorted((a, b) => a - b)
  const total = [...ledger.batches.values()].reduce((sum, ms) => sum + ms, 0)
  const measurement: Measurement = {
    peer,
    workload: "delivery-day",
    n: mails,
    concurrency: limit,
    makespan_ms: rounded(total / batches.length, 0),
    makespan_ratio: rounded(percentile(ratios, 0.5), 3),
    utilisation: rounded(ledger.utilisation, 4),
    realtime_p50_ms: rounded(percentile(waits, 0.5), 1),
    realtime_p99_ms: rounded(percentile(waits, 0.99), 1),
    violations: ledger.peak > limit ? 1 : 0,
    ok: ledger.unfinished === 0 && ledger.peak <= limit
  }
  report.add(measurement)
  process.stderr.write(
    `\n${peer}: batches take ${seconds(total / batches.length)} s on average, realtime waits ` +
      `${seconds(percentile(waits, 0.5))} s (p50), ${seconds(percentile(waits, 0.99))} s (p99); slots in use:\n` +
      `${chart(ledger)}\n`
  )
  return measurement
}

const ours = measure("hikyaku", scheduled)
const theirs = measure("batch-workflow", workflow)
measure("fifo-pool", pool)
const part = (ours.makespan_ms ?? Number.NaN) / (theirs.makespan_ms ?? Number.NaN)
process.send?.({
  verdicts: [atMost("P7", "batches of a day by those of the batch workflow", part, 0.5, "x", ours.ok && theirs.ok)]
})
