/** The demo's report as it is written to a file: figures from the tables and the sandbox, and the checks that hold them together. */
import type { SandboxReport } from "@hikyaku/cluster/delivery/sandbox/SandboxReport"
import type { ReplaySource } from "../replay/ReplaySource.ts"
import { type Check, checksOf, type Sent, sum } from "./DemoChecks.ts"
import { type CampaignFigures, providerFigures, type TableFigures } from "./DemoFigures.ts"
import type { Quantiles } from "./LatencyHistogram.ts"

type Counts = Readonly<Record<string, number>>

export interface DemoReport {
  readonly input: {
    readonly format: string
    readonly name: string
    /** Lines of the input (a generated shop: steps), used and not, by reason. */
    readonly lines: number
    readonly used: number
    readonly unusable: Counts
    /** What the steps contain that the input does not. */
    readonly derived: ReadonlyArray<string>
    readonly steps: Counts
    /** The shop's time, ISO 8601. */
    readonly from: string
    readonly until: string
  }
  /** Events in the log, and by type. */
  readonly events: number
  readonly eventsByType: Counts
  readonly products: number
  readonly members: number
  readonly cartAdds: number
  readonly allocated: number
  readonly soldOut: number
  /** Other answers to cart adds, by answer. */
  readonly otherAdds: Counts
  readonly soldOutProducts: number
  readonly oversold: number
  /** What became of the lines that got stock. */
  readonly allocations: Counts
  readonly orders: Counts
  readonly returns: Counts
  readonly campaignRuns: number
  readonly campaigns: ReadonlyArray<CampaignFigures>
  readonly membersConsidered: number
  readonly accepted: number
  readonly rejected: Counts
  readonly deliveries: Counts
  readonly deliveriesByStatus: Counts
  readonly provider: ReturnType<typeof providerFigures>
  /** Real ms. */
  readonly latency: { readonly cartAdd: Quantiles; readonly eventToProvider: Quantiles }
  /** Calls that had to be made again. */
  readonly callsAgain: number
  /** Runners that ended before the demo did. */
  readonly runnersLost: number
  /** Real seconds: the whole demo, and its replay alone. */
  readonly seconds: number
  readonly replaySeconds: number
  /** Where the replay's real time went, seconds. */
  readonly spent: { readonly openings: number; readonly steps: number; readonly rests: number }
  readonly checks: ReadonlyArray<Check>
}

export interface ReportInput {
  readonly source: ReplaySource
  readonly sent: Sent
  readonly tables: TableFigures
  readonly sandbox: SandboxReport
  readonly firstAt: number
  readonly lastAt: number
  readonly seconds: number
  readonly replaySeconds: number
  /** ms. */
  readonly spent: { readonly openings: number; readonly steps: number; readonly rests: number }
  readonly runnersLost: number
  readonly derived: ReadonlyArray<string>
}

const without = (counts: Counts, ...names: ReadonlyArray<string>): Counts =>
  Object.fromEntries(Object.entries(counts).filter(([name]) => !names.includes(name)))
const inSeconds = (ms: number): number => Math.round(ms / 100) / 10
const iso = (ms: number): string => new Date(ms).toISOString()

export const makeReport = (input: ReportInput): DemoReport => {
  const { sandbox, sent, source, tables } = input
  const { progress, seen, steps } = sent
  const allocated = sum(tables.allocations)
  const otherAdds = without(
    { ...seen.adds, ...without(tables.refusedAdds, "TimedOut") },
    "Allocated",
    "SoldOut"
  )
  const soldOut = tables.refusedAdds["SoldOut"] ?? 0
  return {
    input: {
      format: source.format,
      name: source.name,
      lines: progress.lines,
      used: progress.used,
      unusable: progress.unusable,
      derived: [...source.derived, ...input.derived],
      steps,
      from: iso(input.firstAt),
      until: iso(input.lastAt)
    },
    events: sum(tables.events),
    eventsByType: tables.events,
    products: tables.products,
    members: tables.members,
    cartAdds: allocated + soldOut + sum(otherAdds),
    allocated,
    soldOut,
    otherAdds,
    soldOutProducts: tables.soldOutProducts,
    oversold: tables.oversold,
    allocations: tables.allocations,
    orders: tables.orders,
    returns: { ...without(seen.returns, "Returned"), returned: tables.returns },
    campaignRuns: sum(tables.runs),
    campaigns: tables.campaigns,
    membersConsidered: tables.considered,
    accepted: tables.accepted,
    rejected: tables.rejected,
    deliveries: tables.deliveries,
    deliveriesByStatus: tables.deliveriesByStatus,
    provider: providerFigures(sandbox),
    latency: { cartAdd: seen.addLatency.quantiles(), eventToProvider: tables.eventToProvider },
    callsAgain: seen.again,
    runnersLost: input.runnersLost,
    seconds: inSeconds(input.seconds * 1_000),
    replaySeconds: inSeconds(input.replaySeconds * 1_000),
    spent: {
      openings: inSeconds(input.spent.openings),
      steps: inSeconds(input.spent.steps),
      rests: inSeconds(input.spent.rests)
    },
    checks: checksOf(sent, tables, sandbox)
  }
}
