/** The demo's report for people: tables, and bars where a comparison says more than a figure. Pure. */
import { describeCheck } from "./DemoChecks.ts"
import type { DemoReport } from "./DemoReport.ts"
import type { Quantiles } from "./LatencyHistogram.ts"

type Counts = Readonly<Record<string, number>>

const nameWidth = 26
const numberWidth = 10
const barWidth = 36

const thousands = (n: number): string => Math.round(n).toLocaleString("en-US")
const percent = (share: number): string => `${(share * 100).toFixed(1)}%`
const pad = (name: string, width = nameWidth): string => `  ${name.padEnd(width)}`
const row = (name: string, value: string, note = ""): string =>
  `${pad(name)}${value.padStart(numberWidth)}${note === "" ? "" : `  ${note}`}`
const figure = (name: string, value: number, note = ""): string => row(name, thousands(value), note)

/** Counts with bars, the largest first; `of` is what a full bar means. */
const bars = (counts: Counts, of: number): ReadonlyArray<string> =>
  Object.entries(counts).filter(([, n]) => n > 0).sort(([, a], [, b]) => b - a).map(([name, n]) => {
    const share = of === 0 ? 0 : n / of
    // What is there at all is seen.
    const bar = "█".repeat(Math.max(1, Math.round(share * barWidth)))
    return row(name, thousands(n), `${percent(share).padStart(6)} ${bar}`)
  })

const total = (counts: Counts): number => Object.values(counts).reduce((a, b) => a + b, 0)
const latency = (name: string, { count, max, p50, p99 }: Quantiles): string =>
  count === 0
    ? row(name, "-")
    : `${pad(name)}p50 ${p50.toFixed(1)} ms   p99 ${p99.toFixed(1)} ms   max ${max.toFixed(0)} ms   (${
      thousands(count)
    })`

const section = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length === 0 ? [] : ["", title, ...lines]

const campaignTable = (report: DemoReport): ReadonlyArray<string> => {
  const columns = ["runs", "considered", "accepted", "sent"] as const
  const header = `${pad("")}${columns.map((name) => name.padStart(numberWidth + 2)).join("")}`
  return report.campaigns.length === 0 ? [] : [
    header,
    ...report.campaigns.map((campaign) => {
      const suppressed = Object.entries(campaign.suppressed).map(([reason, n]) => `${reason} ${thousands(n)}`).join(
        ", "
      )
      const figures = columns.map((column) => thousands(campaign[column]).padStart(numberWidth + 2)).join("")
      return `${pad(campaign.id)}${figures}${suppressed === "" ? "" : `   no run: ${suppressed}`}`
    })
  ]
}

const day = (iso: string): string => iso.slice(0, 16).replace("T", " ")

export const reportText = (report: DemoReport): string => {
  const { input, provider } = report
  const failed = report.checks.filter((check) => !check.ok)
  const adds = { allocated: report.allocated, "sold out": report.soldOut, ...report.otherAdds }
  const lines = [
    "",
    `${input.name} (${input.format}): ${thousands(input.lines)} lines, ${day(input.from)} to ${day(input.until)}, ` +
    `replayed in ${report.replaySeconds.toFixed(0)} s (${report.seconds.toFixed(0)} s in all)`,
    ...section("Input", [
      figure("lines", input.lines),
      figure("used", input.used),
      ...Object.entries(input.unusable).map(([reason, n]) => figure(`not used: ${reason}`, n)),
      ...input.derived.map((note) => `  Derived: ${note}`)
    ]),
    ...section("Shop", [
      figure("products", report.products, `${thousands(report.soldOutProducts)} of them sold out at some time`),
      figure("members", report.members),
      figure("events", report.events, `${thousands(report.events / Math.max(0.001, report.replaySeconds))} a second`)
    ]),
    ...section("Cart adds", [
      ...bars(adds, report.cartAdds),
      figure("cart adds", report.cartAdds, `oversold: ${thousands(report.oversold)}`)
    ]),
    ...section("What became of the lines that got stock", bars(report.allocations, total(report.allocations))),
    ...section("Orders", Object.entries(report.orders).map(([state, n]) => figure(state, n))),
    ...section("Campaigns", campaignTable(report)),
    ...section("Members considered", [
      ...bars({ accepted: report.accepted, ...report.rejected }, report.membersConsidered),
      figure("considered", report.membersConsidered)
    ]),
    ...section("Deliveries", [
      ...Object.entries(report.deliveries).map(([channel, n]) => figure(channel, n)),
      ...bars(report.deliveriesByStatus, total(report.deliveriesByStatus))
    ]),
    ...section("Provider, by its own report", [
      figure("requests", provider.requests),
      figure("messages", provider.mailed, `sent twice: ${thousands(provider.duplicates)}`),
      row(
        "requests at one time",
        thousands(provider.peakConcurrency),
        `of ${provider.limit === null ? "any number" : thousands(provider.limit)} allowed; violations: ` +
          thousands(provider.violations)
      ),
      ...(provider.utilisation === null
        ? []
        : [row("utilisation", percent(provider.utilisation), "while it was in use")])
    ]),
    ...section("Latency (real time)", [
      latency("cart add", report.latency.cartAdd),
      latency("event to provider request", report.latency.eventToProvider)
    ]),
    ...(report.runnersLost === 0 ? [] : section("Failures", [
      figure("runners lost", report.runnersLost),
      figure("calls made again", report.callsAgain)
    ])),
    "",
    failed.length === 0
      ? `All ${report.checks.length} checks hold: the answers, the tables and the provider agree.`
      : [
        `${failed.length} of ${report.checks.length} checks fail:`,
        ...failed.map((check) => `  ${describeCheck(check)}`)
      ]
        .join("\n"),
    ""
  ]
  return lines.join("\n")
}
