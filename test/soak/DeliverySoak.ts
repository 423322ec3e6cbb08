/** What a long run of sending is to show, line by line, from the sandbox's record (see `DeliveryKill.ts`). */
import type { ProviderTimes } from "../../bench/dispatch/Mix.ts"
import { percentile } from "../../bench/dispatch/Witness.ts"
import { concurrency, type DeliveryKillReport } from "../cluster/DeliveryKill.ts"

/** The provider of the long run: larger lists than in the benches, as a provider of large batches takes them. */
export const largeLists: ProviderTimes = {
  uploadMs: 100,
  perRecipientMs: 6,
  sendMs: 100,
  statusMs: 50,
  sending: { baseMs: 200, perRecipientMs: 0.5 },
  listSize: 200
}

/** Requests under way by the limit, at the least, while work was due and no slot's fate was unresolved. */
const utilisationLeast = 0.95

interface Line {
  readonly what: string
  readonly wanted: string
  readonly reached: string
  /** Null: for information, nothing is asked of it. */
  readonly passes: boolean | null
}

const ms = (value: number): string => `${Math.round(value)} ms`

export const deliveryLines = (report: DeliveryKillReport, takes: ProviderTimes): ReadonlyArray<Line> => {
  const { due, failovers, realtimeAllMs, verdict } = report
  const requestMs = takes.uploadMs + takes.listSize * takes.perRecipientMs
  const p99 = percentile(verdict.realtimeMs, 0.99)
  return [
    {
      what: "recipients mailed",
      wanted: `${due}, each once`,
      reached: `${verdict.mailed}, ${verdict.duplicates} twice`,
      passes: verdict.mailed === due && verdict.duplicates === 0
    },
    {
      what: "limit",
      wanted: `at most ${concurrency} at a time, none refused`,
      reached: `at most ${verdict.peak}, ${verdict.violations} refused`,
      passes: verdict.peak <= concurrency && verdict.violations === 0
    },
    {
      what: "realtime waits, p99",
      wanted: `below one request (${ms(requestMs)})`,
      reached: ms(p99),
      passes: p99 < requestMs
    },
    {
      what: "utilisation while work was due",
      wanted: `at least ${utilisationLeast}`,
      reached: verdict.utilisation.toFixed(4),
      passes: verdict.utilisation >= utilisationLeast
    },
    { what: "realtime waits, p50", wanted: "", reached: ms(percentile(verdict.realtimeMs, 0.5)), passes: null },
    {
      what: "the same with those amid failover, p99",
      wanted: "",
      reached: `${ms(percentile(realtimeAllMs, 0.99))} of ${realtimeAllMs.length} mails`,
      passes: null
    },
    {
      what: "slots unresolved after each kill",
      wanted: "",
      reached: failovers.map(({ at, until }) => ms(until - at)).join(", "),
      passes: null
    },
    {
      what: "from a request's end to the next, p50, p99",
      wanted: "",
      reached: `${ms(percentile(verdict.gapsMs, 0.5))}, ${ms(percentile(verdict.gapsMs, 0.99))}`,
      passes: null
    },
    { what: "lists", wanted: "", reached: String(verdict.lists), passes: null },
    { what: "from first to last", wanted: "", reached: `${(verdict.makespanMs / 1_000).toFixed(1)} s`, passes: null }
  ]
}

/** The lines as a table for people. */
export const deliveryTable = (lines: ReadonlyArray<Line>): string => {
  const width = (of: (line: Line) => string) => Math.max(...lines.map((line) => of(line).length))
  const [what, wanted] = [width((line) => line.what), width((line) => line.wanted)]
  return lines.map((line) =>
    `  ${line.passes === null ? "    " : line.passes ? "pass" : "FAIL"}  ${line.what.padEnd(what)}  ` +
    `${line.wanted.padEnd(wanted)}  ${line.reached}`
  ).join("\n")
}

/** Longest places stay empty for one kind of reason, ms, and what that is. */
const reasons: ReadonlyArray<readonly [upToMs: number, reason: string]> = [
  [5, "the next request was ready"],
  [50, "it was made ready: a slot, its begin on record"],
  [500, "no list was there, or whoever makes it had other things to do"],
  [Number.POSITIVE_INFINITY, "nobody dispatched: start, hand-over, a stall"]
]

/** Where places stood empty while work was due, by how long at a stretch: what most of it is, is worth mending first. */
export const idleTable = ({ verdict: { course, idle } }: DeliveryKillReport): string => {
  const from = course[0]?.at ?? 0
  const until = course.at(-1)?.at ?? from
  const rows = reasons.map(([upToMs, reason], index) => {
    const least = reasons[index - 1]?.[0] ?? 0
    const some = idle.filter((one) => one.until - one.from > least && one.until - one.from <= upToMs && one.dueMs > 0)
    const sum = some.reduce((total, { dueMs }) => total + dueMs, 0)
    const share = until > from ? sum / ((until - from) * concurrency) : 0
    const span = Number.isFinite(upToMs) ? `up to ${upToMs} ms` : `above ${least} ms`
    return `  ${span.padEnd(13)}${String(some.length).padStart(7)} times${ms(sum).padStart(12)}${
      `${(share * 100).toFixed(2)} %`.padStart(9)
    }  ${reason}`
  })
  return `Places empty while work was due, by how long at a stretch (of all places and time):\n${rows.join("\n")}`
}

/** Places in use over time, a column per stretch; `x` below: slots were unresolved then, `.`: nothing was due. */
export const course = (report: DeliveryKillReport): string => {
  const { failovers, verdict } = report
  const columns = 96
  const height = 4
  const from = verdict.course[0]?.at ?? 0
  const width = Math.max(1, ((verdict.course.at(-1)?.at ?? from) - from) / columns)
  const used = Array.from({ length: columns }, () => 0)
  const due = Array.from({ length: columns }, () => false)
  for (const [index, { at, busy, waiting }] of verdict.course.entries()) {
    const end = verdict.course[index + 1]?.at ?? at
    const columnOf = (instant: number) => Math.min(columns - 1, Math.floor((instant - from) / width))
    for (let column = columnOf(at); column <= columnOf(end); column++) {
      const [left, right] = [from + column * width, from + (column + 1) * width]
      const within = Math.max(0, Math.min(end, right) - Math.max(at, left))
      used[column] = (used[column] ?? 0) + within * busy / (width * concurrency)
      if (waiting > 0 && within > 0) due[column] = true
    }
  }
  const blocks = " ▁▂▃▄▅▆▇█"
  const lines = Array.from({ length: height }, (_, row) => {
    const floor = (height - 1 - row) / height
    const cells = used.map((share) => blocks[Math.max(0, Math.min(8, Math.round((share - floor) * height * 8)))] ?? " ")
    return `${String(Math.round(concurrency * (height - row) / height)).padStart(4)} |${cells.join("")}`
  })
  const marks = used.map((_, column) => {
    const at = from + column * width
    if (failovers.some((one) => one.at < at + width && one.until > at)) return "x"
    return due[column] === true ? "-" : "."
  })
  return [`Places in use, ${(width / 1_000).toFixed(2)} s a column (x: slots unresolved, .: nothing due):`, ...lines]
    .concat(`     +${marks.join("")}`).join("\n")
}
