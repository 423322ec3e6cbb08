/** Each check holds for figures that agree, and fails when one of its sides is off by one. */
import { describe, expect, it } from "@effect/vitest"
import type { SandboxReport } from "@hikyaku/cluster/delivery/sandbox/SandboxReport"
import { type Check, checksOf, type Sent } from "@hikyaku/server/demo/DemoChecks"
import type { TableFigures } from "@hikyaku/server/demo/DemoFigures"
import { LatencyHistogram } from "@hikyaku/server/demo/LatencyHistogram"

const none = { count: 0, p50: 0, p99: 0, max: 0 }

const sent: Sent = {
  progress: { lines: 120, used: 118, unusable: { NoMember: 2 } },
  steps: { CartAdd: 100, Checkout: 30 },
  seen: {
    adds: { Allocated: 90, SoldOut: 8, LimitReached: 1, UnknownProduct: 1 },
    orders: { Bought: 20, Refused: 1, Empty: 2 },
    linesBought: 70,
    returns: { Returned: 5, NotSold: 2 },
    events: { Appended: 40, Repeated: 2 },
    eventTypes: {},
    again: 2,
    addLatency: new LatencyHistogram()
  }
}
const tables: TableFigures = {
  events: { CartAdded: 90, Purchased: 70, CartExpired: 15, Favourited: 42 },
  eventsFromOutside: 42,
  judged: 217,
  deadLetters: 0,
  outbox: 0,
  refusedAdds: { SoldOut: 8, LimitReached: 1 },
  allocations: { sold: 60, settled: 10, expired: 15, allocated: 5 },
  sequences: 90,
  waits: {},
  orders: { bought: 20, refused: 1 },
  returns: 5,
  oversold: 0,
  shortage: 0,
  products: 10,
  members: 20,
  soldOutProducts: 2,
  auditFaults: [],
  campaigns: [{ id: "a", runs: 3, considered: 30, accepted: 12, sent: 9, suppressed: {} }],
  runs: { finished: 3 },
  considered: 30,
  accepted: 12,
  rejected: { Capped: 17, NoConsent: 1 },
  ledger: 18,
  deliveries: { mail: 12 },
  deliveriesByStatus: { sent: 9, expired: 1, failed: 1, unknown: 1 },
  lists: { completed: 4 },
  refunds: 2,
  refundsOpen: 0,
  sentFacts: 9,
  sentFactsOpen: 0,
  capsBroken: 0,
  eventToProvider: none
}
const counts = { total: 0, upload: 0, send: 0, status: 0, history: 0 }
const noBounds = { total: null, upload: null, send: null, status: null, history: null }
const sandbox: SandboxReport = {
  since: 0,
  processes: 1,
  limits: { concurrency: { ...noBounds, total: 4 }, perSecond: noBounds, messages: { perSecond: null, perDay: null } },
  requests: counts,
  underWay: counts,
  peakConcurrency: { ...counts, total: 4 },
  peakPerSecond: counts,
  peakMessages: { perSecond: 0, perDay: 0 },
  violations: { total: 0, concurrency: 0, rate: 0, messages: 0, day: 0, of: counts },
  throttled: { genuine: 0, injected: 0 },
  faults: {},
  answers: {},
  cutByDeath: 0,
  lists: 4,
  sends: 4,
  uploaded: 10,
  mailed: 10,
  duplicates: { total: 0, pairs: 0, injected: 0, shown: [] },
  utilisation: noBounds,
  requestMs: counts,
  busyMs: counts,
  firstStartAt: null,
  lastEndAt: null
}

const failing = (checks: ReadonlyArray<Check>) => checks.filter((check) => !check.ok).map((check) => check.name)
const withTables = (change: Partial<TableFigures>) => failing(checksOf(sent, { ...tables, ...change }, sandbox))
const withSeen = (change: Partial<Sent["seen"]>) =>
  failing(checksOf({ ...sent, seen: { ...sent.seen, ...change } }, tables, sandbox))
const withSandbox = (change: Partial<SandboxReport>) => failing(checksOf(sent, tables, { ...sandbox, ...change }))

describe("the demo's checks", () => {
  it("hold for figures that agree", () => {
    expect(failing(checksOf(sent, tables, sandbox))).toEqual([])
  })

  it("miss no line of the input and no answer", () => {
    expect(failing(checksOf({ ...sent, progress: { ...sent.progress, used: 117 } }, tables, sandbox))).toHaveLength(1)
    expect(failing(checksOf({ ...sent, steps: { CartAdd: 101 } }, tables, sandbox))).toHaveLength(1)
    expect(withSeen({ adds: { ...sent.seen.adds, Allocated: 91 } })).toHaveLength(3)
    expect(withSeen({ adds: { ...sent.seen.adds, Allocated: 89, TimedOut: 1 } })).not.toEqual([])
    expect(withSeen({ linesBought: 71 })).toHaveLength(1)
    expect(withSeen({ orders: { Bought: 19 } })).toHaveLength(1)
    expect(withSeen({ returns: { Returned: 4 } })).toHaveLength(1)
    expect(withSeen({ events: { Appended: 41, Repeated: 2 } })).toHaveLength(1)
  })

  it("miss nothing in the tables (G1, G7, G8)", () => {
    const off: ReadonlyArray<Partial<TableFigures>> = [
      { sequences: 91 },
      { oversold: 1 },
      { auditFaults: ["p: off"] },
      { judged: 216 },
      { deadLetters: 1 },
      { outbox: 1 },
      { refusedAdds: { SoldOut: 7, LimitReached: 1 } },
      { allocations: { ...tables.allocations, sold: 59, allocated: 6 } },
      { allocations: { ...tables.allocations, expired: 14, allocated: 6 } },
      { events: { ...tables.events, CartAdded: 89, Favourited: 43 } },
      { orders: { bought: 21 } },
      { returns: 6 },
      { runs: { finished: 3, running: 1 } },
      { considered: 31 },
      { accepted: 13, considered: 31 },
      { rejected: { Capped: 18, NoConsent: 1 }, considered: 31 },
      { ledger: 19 },
      { deliveries: { mail: 11 } },
      { deliveriesByStatus: { sent: 9, expired: 1, failed: 1, due: 1 } },
      { refunds: 3 },
      { refundsOpen: 1 },
      { sentFacts: 8 },
      { sentFactsOpen: 1 },
      { capsBroken: 1 }
    ]
    for (const change of off) expect([change, withTables(change)]).not.toEqual([change, []])
  })

  it("miss nothing that the provider testifies (G9, G10)", () => {
    expect(withSandbox({ violations: { ...sandbox.violations, total: 1 } })).toHaveLength(1)
    expect(withSandbox({ peakConcurrency: { ...counts, total: 5 } })).toHaveLength(1)
    expect(withSandbox({ duplicates: { ...sandbox.duplicates, total: 1 } })).toHaveLength(1)
    // Nine were sent, of one nobody knows: nine or ten have left the provider.
    expect(withSandbox({ mailed: 8 })).toHaveLength(1)
    expect(withSandbox({ mailed: 9 })).toEqual([])
    expect(withSandbox({ mailed: 11 })).toHaveLength(1)
  })
})
