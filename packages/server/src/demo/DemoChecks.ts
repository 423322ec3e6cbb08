/**
 * Whether the sums agree: what the replay's caller was answered, what the tables say and what the provider testifies, held
 * against one another. Pure; each check names what it compares.
 */
import type { SandboxReport } from "@hikyaku/cluster/delivery/sandbox/SandboxReport"
import type { ReplayProgress } from "../replay/ReplaySource.ts"
import type { TableFigures } from "./DemoFigures.ts"
import type { Seen } from "./ReplayCalls.ts"

export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly left: number
  readonly right: number
}

/** What the demo itself did. */
export interface Sent {
  readonly progress: ReplayProgress
  /** Steps by tag. */
  readonly steps: Readonly<Record<string, number>>
  readonly seen: Seen
}

export const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((a, b) => a + b, 0)
const at = (counts: Readonly<Record<string, number>>, ...names: ReadonlyArray<string>): number =>
  names.reduce((total, name) => total + (counts[name] ?? 0), 0)

const equal = (name: string, left: number, right: number): Check => ({ name, left, right, ok: left === right })
const atMost = (name: string, left: number, right: number): Check => ({ name, left, right, ok: left <= right })

export const checksOf = (
  { progress, seen, steps }: Sent,
  tables: TableFigures,
  sandbox: SandboxReport
): ReadonlyArray<Check> => {
  const allocated = sum(tables.allocations)
  const sold = at(tables.allocations, "sold", "settled")
  const statuses = tables.deliveriesByStatus
  const sent = at(statuses, "sent")
  const unknown = at(statuses, "unknown")
  const refunded = at(statuses, "failed", "expired", "suppressed")
  // A ticket that nobody answered in time is given up; whether its add has an outcome of its own is a matter of luck.
  const timedOut = at(seen.adds, "TimedOut")
  const noOutcome = at(seen.adds, "UnknownProduct", "ContentDiffers", "BadInput")
  const refused = at(tables.refusedAdds, "SoldOut", "Waitlisted", "LimitReached")
  const limit = sandbox.limits.concurrency.total
  return [
    equal("lines read = used + unusable", progress.lines, progress.used + sum(progress.unusable)),
    equal("cart adds of the input = answers", steps["CartAdd"] ?? 0, sum(seen.adds)),
    equal(
      "cart adds answered = allocated + sold out + other refusals, by the tables",
      sum(seen.adds),
      allocated + refused + timedOut + noOutcome
    ),
    equal("allocations answered = allocation rows", at(seen.adds, "Allocated"), allocated),
    equal("sold out answered = sold out on record", at(seen.adds, "SoldOut"), at(tables.refusedAdds, "SoldOut")),
    equal("allocation rows = numbers given out by the products", allocated, tables.sequences),
    equal("allocation rows = CartAdded events", allocated, at(tables.events, "CartAdded")),
    equal("lines bought, as answered = sold allocations", seen.linesBought, sold),
    equal("sold allocations = Purchased events", sold, at(tables.events, "Purchased")),
    equal(
      "lapsed allocations = CartExpired events",
      at(tables.allocations, "expired"),
      at(tables.events, "CartExpired")
    ),
    equal("orders bought, as answered = orders on record", at(seen.orders, "Bought"), at(tables.orders, "bought")),
    equal("returns answered = returns on record", at(seen.returns, "Returned"), tables.returns),
    equal(
      "books that do not agree (taken in + shortage = available + allocated + offered + sold)",
      0,
      tables.auditFaults.length
    ),
    equal("pieces oversold (G1)", 0, tables.oversold),
    equal(
      "events answered = events from outside in the log",
      at(seen.events, "Appended", "Repeated"),
      tables.eventsFromOutside
    ),
    equal("events in the log = events judged", sum(tables.events), tables.judged),
    equal("events that could not be digested", 0, tables.deadLetters),
    equal("events left in the outbox", 0, tables.outbox),
    equal("runs = runs by campaign", sum(tables.runs), tables.campaigns.reduce((n, each) => n + each.runs, 0)),
    equal("members considered = accepted + rejected", tables.considered, tables.accepted + sum(tables.rejected)),
    equal("members rejected = rejections in the ledger", sum(tables.rejected), tables.ledger),
    equal("members accepted = deliveries", tables.accepted, sum(statuses)),
    equal("deliveries by channel = deliveries by status", sum(tables.deliveries), sum(statuses)),
    equal("deliveries still open", 0, at(statuses, "due", "listed")),
    equal("deliveries provably not sent = caps given back (G8)", refunded, tables.refunds),
    equal("deliveries sent = members told", sent, tables.sentFacts),
    equal("members not told yet", 0, tables.refundsOpen + tables.sentFactsOpen),
    // What nobody knows of may have been sent or not.
    atMost("deliveries sent <= messages at the provider", sent, sandbox.mailed),
    atMost("messages at the provider <= deliveries sent or unknown", sandbox.mailed, sent + unknown),
    equal("messages beyond a cap (G7)", 0, tables.capsBroken),
    equal("provider: violations of its limits (G9)", 0, sandbox.violations.total),
    ...(limit === null
      ? []
      : [atMost("provider: peak concurrency <= limit (G9)", sandbox.peakConcurrency.total, limit)]),
    equal("provider: messages sent twice (G10)", 0, sandbox.duplicates.total)
  ]
}

/** A check in one line. */
export const describeCheck = ({ left, name, ok, right }: Check): string =>
  `${ok ? "ok  " : "FAIL"} ${name}: ${left} / ${right}`
