import { predictRequest, recipientOf, type Speed } from "@hikyaku/domain/delivery/Request"
import { Either } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

describe("rows of recipients (MAIL-2, G16)", () => {
  it("takes a member or an address, and every other column that is filled in as a parameter", () => {
    expect(recipientOf({ address: "ann@shop.example", member: "", points: 120, note: null, vip: true })).toEqual(
      Either.right({ member: null, address: "ann@shop.example", parameters: { points: 120, vip: true } })
    )
    expect(recipientOf({ member: "m1" })).toEqual(Either.right({ member: "m1", address: null, parameters: {} }))
  })

  it.each([
    [{}, "address"],
    [{ member: "m1", address: "a@b" }, "address"],
    [{ address: "nowhere" }, "address"],
    [{ address: "two@at@signs" }, "address"],
    [{ address: "a b@c" }, "address"],
    [{ address: "a\u0000@b" }, "address"],
    [{ member: "-" }, "member"],
    [{ member: "m1", points: { deep: 1 } }, "points"],
    [{ member: "m1", note: "\ud800" }, "note"]
  ])("says which field of %j is wrong", (row, field) => {
    const judged = recipientOf(row)
    expect(Either.isLeft(judged) && judged.left.field).toBe(field)
  })

  it("never throws, whatever a row holds", () => {
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.anything()), (row) => {
      expect(["Left", "Right"]).toContain(recipientOf(row)._tag)
    }))
  })
})

describe("prediction (MAIL-5, G13)", () => {
  const speed: Speed = {
    upload: { requestMs: 100, perRecipientMs: 1 },
    sending: { requestMs: 500, perRecipientMs: 0.5 },
    slots: 4,
    listSize: 1_000
  }
  const ask = { recipients: 8_000, ahead: 0, from: 0, deadline: 10_000 }

  it("counts lists on slots, then the last one's messages", () => {
    // 8 lists of 1.1 s and two short requests on 4 slots, then 1 s for the last.
    expect(predictRequest(speed, ask)).toEqual({
      finishAt: 3_600,
      startBy: 6_400,
      makesDeadline: true,
      limitedBy: "requests"
    })
  })

  it("says so when what is ahead takes the time", () => {
    expect(predictRequest(speed, { ...ask, ahead: 30_000 }).makesDeadline).toBe(false)
  })

  it("agrees with itself: who starts by `startBy` with nobody ahead makes the deadline, who starts later does not", () => {
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 5_000 }),
      (recipients, slots, listSize) => {
        const at = { recipients, ahead: 0, deadline: 100_000_000, from: 0 }
        const { startBy } = predictRequest({ ...speed, slots, listSize }, at)
        expect(predictRequest({ ...speed, slots, listSize }, { ...at, from: startBy - 1 }).makesDeadline).toBe(true)
        expect(predictRequest({ ...speed, slots, listSize }, { ...at, from: startBy + 2 }).makesDeadline).toBe(false)
      }
    ))
  })

  it("is told which limit on messages it waits for, and that the day's makes it late", () => {
    const limited = (messages: Speed["messages"]) => predictRequest({ ...speed, messages }, ask)
    const none = { perSecond: null, perDay: null, left: 0, leaving: [] }
    const slow = limited({ ...none, perSecond: 100 })
    expect(slow).toMatchObject({ limitedBy: "messages per second" })
    expect(slow.finishAt).toBeGreaterThanOrEqual(ask.from + ask.recipients * 10)
    const spent = { ...none, perDay: ask.recipients, left: 0, leaving: [{ inMs: 3_600_000, messages: ask.recipients }] }
    expect(limited(spent)).toMatchObject({ limitedBy: "messages per day", makesDeadline: false })
    expect(limited(spent).finishAt).toBe(limited({ ...none }).finishAt + 3_600_000)
    // With the account to itself it would have been in time.
    expect(limited(spent).startBy).toBe(limited(none).startBy)
  })

  it("is never earlier with more recipients or more ahead", () => {
    const counts = fc.integer({ min: 1, max: 100_000 })
    fc.assert(fc.property(counts, counts, counts, (recipients, more, ahead) => {
      const finish = (of: object) => predictRequest(speed, { ...ask, recipients, ahead, ...of }).finishAt
      expect(finish({ ahead: ahead + more })).toBeGreaterThanOrEqual(finish({}))
    }))
  })
})
