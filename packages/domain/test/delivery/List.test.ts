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
    fc.assert(fc.property(fc.array(fc.constantFrom(...events), { maxLength: 60 }), (history) => {
      let state: ListState = { status: "queued", attempt: 0 }
      // In doubt from a repeat on, until the provider has accepted it or its history shows that nothing was sent.
      let inDoubt = false
      for (const event of history) {
        const after = listStep(state, event)
        if (after === null) continue
        if (event._tag === "RepeatDue") inDoubt = true
        if (event._tag === "SendAccepted" || (state.status === "unknown" && event._tag === "NotDone")) inDoubt = false
        if (after.status === "uploaded" || after.status === "sending") expect(mayHaveGone(after)).toBe(inDoubt)
        if (inDoubt && state.status !== "unknown") {
          expect(event._tag).not.toBe("DeadlinePassed")
          expect(event._tag).not.toBe("Refused")
        }
        state = after
      }
    }))
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
