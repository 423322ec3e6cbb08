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
  const { due, failoverMs, realtimeAllMs, verdict } = report
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
    { what: "slots unresolved after each kill", wanted: "", reached: failoverMs.map(ms).join(", "), passes: null },
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
