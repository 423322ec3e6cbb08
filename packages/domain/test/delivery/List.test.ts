import {
  capEffect,
  deliveryStatuses,
  deliveryStep,
  isTerminal,
  statusesBefore
} from "@hikyaku/domain/delivery/Delivery"
import { isClosed, type ListEvent, type ListState, listStep, mayHaveGone } from "@hikyaku/domain/delivery/List"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const events: ReadonlyArray<ListEvent> = [
  { _tag: "RequestBegun" },
  { _tag: "UploadAccepted", uploadId: "u" },
  { _tag: "SendAccepted", sendId: "s" },
  { _tag: "NotDone" },
  { _tag: "RepeatDue" },
  { _tag: "Refused", reason: "no" },
  { _tag: "GivenUp", reason: "nobody knows" },
  { _tag: "OutcomeLost" },
  { _tag: "ResultsRecorded" },
  { _tag: "SendFailed", reason: "no" },
  { _tag: "Emptied" },
  { _tag: "DeadlinePassed" }
]

/** What leads to a send that is about to be repeated with its key. */
const toDoubt: ReadonlyArray<ListEvent> = [
  { _tag: "RequestBegun" },
  { _tag: "UploadAccepted", uploadId: "u" },
  { _tag: "RequestBegun" },
  { _tag: "OutcomeLost" },
  { _tag: "RepeatDue" }
]

describe("a list's life (R21, G10)", () => {
  it("begins a second send only after it became known that the first did not happen, or with its retry key", () => {
    fc.assert(fc.property(fc.array(fc.constantFrom(...events), { maxLength: 60 }), (history) => {
      let state: ListState = { status: "queued", attempt: 0 }
      let mayHaveSent = false
      for (const event of history) {
        const after = listStep(state, event)
        if (after === null) continue
        if (event._tag === "NotDone" || event._tag === "RepeatDue") mayHaveSent = false
        if (after.status === "sending") {
          expect(mayHaveSent).toBe(false)
          mayHaveSent = true
        }
        expect(isClosed(state.status)).toBe(false)
        state = after
      }
    }))
  })

  it("is neither expired nor failed as refused while an earlier send of it may have happened (R19)", () => {
    // Chance alone hardly gets there, so that half of the lives begin in doubt; each step is one that can happen.
    const lives = fc.tuple(fc.constantFrom([], [...toDoubt]), fc.array(fc.nat(), { maxLength: 30 }))
    let doubted = 0
    fc.assert(
      fc.property(lives, ([before, choices]) => {
        let state: ListState = { status: "queued", attempt: 0 }
        // In doubt from a repeat on, until the provider has accepted it or its history shows that nothing was sent.
        let inDoubt = false
        const next = (event: ListEvent): void => {
          const after = listStep(state, event)
          if (after === null) return
          if (event._tag === "RepeatDue") inDoubt = true
          if (event._tag === "SendAccepted" || (state.status === "unknown" && event._tag === "NotDone")) inDoubt = false
          if (after.status === "uploaded" || after.status === "sending") expect(mayHaveGone(after)).toBe(inDoubt)
          if (inDoubt && state.status !== "unknown") {
            doubted++
            expect(event._tag).not.toBe("DeadlinePassed")
            expect(event._tag).not.toBe("Refused")
          }
          state = after
        }
        for (const event of before) next(event)
        for (const choice of choices) {
          const possible = events.filter((event) => listStep(state, event) !== null)
          const event = possible[choice % possible.length]
          if (event !== undefined) next(event)
        }
      }),
      { numRuns: 1000 }
    )
    expect(doubted).toBeGreaterThan(50)
  })

  it("in doubt about its send it stays so, whatever is said of the repeat (G8)", () => {
    const doubtful = toDoubt.reduce<ListState | null>((state, event) => state && listStep(state, event), {
      status: "queued",
      attempt: 0
    })
    if (doubtful === null) return expect.fail("it cannot be in doubt")
    expect(doubtful).toMatchObject({ status: "uploaded", inDoubt: true })
    expect(listStep(doubtful, { _tag: "DeadlinePassed" })).toBeNull()
    const repeated = listStep(doubtful, { _tag: "RequestBegun" })
    if (repeated === null) return expect.fail("it cannot be repeated")
    expect(listStep(repeated, { _tag: "Refused", reason: "no" })).toBeNull()
    // What did not start says nothing about the send before it.
    expect(listStep(repeated, { _tag: "NotDone" })).toMatchObject({ status: "uploaded", inDoubt: true })
    expect(listStep(repeated, { _tag: "GivenUp", reason: "no" })?.status).toBe("failed")
    expect(listStep(repeated, { _tag: "SendAccepted", sendId: "s" })?.status).toBe("sent")
  })

  it("expires only before its send has begun", () => {
    const sending: ListState = { status: "sending", attempt: 2, uploadId: "u" }
    expect(listStep(sending, { _tag: "DeadlinePassed" })).toBeNull()
    expect(listStep({ status: "unknown", attempt: 2, of: "send", uploadId: "u" }, { _tag: "DeadlinePassed" }))
      .toBeNull()
    expect(listStep({ status: "uploaded", attempt: 1, uploadId: "u" }, { _tag: "DeadlinePassed" })?.status).toBe(
      "expired"
    )
  })
})

describe("a delivery's life (R19, G8)", () => {
  it("never leaves a status that is proved", () => {
    for (const status of deliveryStatuses) {
      if (capEffect(status) === "keep") continue
      for (
        const _tag of ["Listed", "Unlisted", "Sent", "Failed", "Expired", "Suppressed", "LeftUnknown"] as const
      ) expect(deliveryStep(status, { _tag })).toBeNull()
    }
  })

  it("gives back what was provably not sent, narrows what was, keeps what is open or unknown", () => {
    expect(deliveryStatuses.filter((status) => capEffect(status) === "refund")).toEqual([
      "failed",
      "expired",
      "suppressed"
    ])
    expect(deliveryStatuses.filter((status) => capEffect(status) === "narrow")).toEqual(["sent"])
    expect(deliveryStatuses.filter((status) => !isTerminal(status))).toEqual(["due", "listed"])
    expect(statusesBefore("sent")).toEqual(["listed", "unknown"])
  })
})
