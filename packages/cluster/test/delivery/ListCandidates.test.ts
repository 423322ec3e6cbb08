/** Which request a list waits for. */
import type { OpenList } from "@hikyaku/cluster/delivery/DeliveryStore"
import { makeCandidates, patienceMs } from "@hikyaku/cluster/delivery/ListCandidates"
import { sandboxPromises } from "@hikyaku/cluster/delivery/ProviderMemory"
import { describe, expect, it } from "vitest"

const pace = { requestMs: 100, perRecipientMs: 1 }
const { candidateOf } = makeCandidates(
  { leaseMs: 1_000, pollsMax: 3 },
  sandboxPromises,
  { pace: () => ({ upload: pace, sending: pace }) },
  { get: () => undefined, isPreparing: () => false },
  () => 50
)
const now = 1_760_000_000_000
/** Of ten recipients, so that its latest start is 110 ms before its deadline. */
const uploaded = (cls: OpenList["class"], latestStartInMs: number): OpenList => ({
  id: "l-1",
  campaign: "c",
  version: 1,
  class: cls,
  channel: "mail",
  state: { status: "uploaded", attempt: 1, uploadId: "u-1" },
  priority: 0,
  recipients: 10,
  polls: 0,
  since: now,
  deadline: now + latestStartInMs + 110
})

describe("what may wait for the last uploads (G11, G13)", () => {
  it("is batch that has time enough until its latest start", () => {
    expect(candidateOf(uploaded("batch", patienceMs + 1), now)).toMatchObject({ operation: "send", patient: true })
  })
  it("is nothing that must start soon", () => {
    expect(candidateOf(uploaded("batch", patienceMs), now)?.patient).toBe(false)
  })
  it("is neither realtime nor an order's own message", () => {
    for (const cls of ["realtime", "transactional"] as const) {
      expect(candidateOf(uploaded(cls, 24 * 3_600_000), now)?.patient).toBe(false)
    }
  })
})
