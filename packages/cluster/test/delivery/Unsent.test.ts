/** What is listed and uploaded ahead of its turn, by the limits on messages. */
import type { OpenList } from "@hikyaku/cluster/delivery/DeliveryStore"
import { mayList, mayUpload, unsentOf, withUpload } from "@hikyaku/cluster/delivery/Unsent"
import type { ListState } from "@hikyaku/domain/delivery/List"
import { noMessageLimits } from "@hikyaku/domain/delivery/MessageRate"
import { unbounded } from "@hikyaku/domain/delivery/RateLimit"
import { describe, expect, it } from "vitest"

const queued: ListState = { status: "queued", attempt: 0 }
const uploaded: ListState = { status: "uploaded", attempt: 1, uploadId: "u" }
const list = (
  id: string,
  recipients: number,
  state: ListState = queued,
  cls: "batch" | "realtime" = "batch"
): OpenList => ({
  id,
  campaign: "c",
  version: 1,
  class: cls,
  channel: "mail",
  state,
  priority: 0,
  recipients,
  polls: 0,
  since: 0,
  deadline: 1
})
const limits = { concurrency: unbounded, perSecond: unbounded, marginMs: 0, messages: noMessageLimits }
const none = new Map<string, OpenList>()

describe("what is unsent", () => {
  it("is all that is listed and has no send granted, put off or not, each list once", () => {
    const lists = [list("a", 1), list("b", 2, uploaded)]
    const waiting = [
      list("c", 4, { status: "unknown", attempt: 1, of: "upload" }),
      list("d", 8, { status: "uploading", attempt: 1 }),
      list("e", 16)
    ]
    // What is granted may still be told as queued, and what was just made may be told already.
    const unsent = unsentOf({ lists, waiting, paused: [] }, new Map([["a", list("a", 1)]]), [
      list("e", 16),
      list("f", 32)
    ])
    expect(unsent.listed.batch).toBe(63)
    expect(unsent.uploaded.batch).toBe(15)
  })

  it("is not what is sent; a send in doubt may not have begun, and is listed, but uploads do not wait for it", () => {
    const sent = list("a", 1, { status: "sent", attempt: 2, uploadId: "u", sendId: "s" })
    const doubtful = list("b", 2, { status: "unknown", attempt: 2, of: "send", uploadId: "u" })
    for (const [lists, waiting] of [[[sent, doubtful], []], [[sent], [doubtful]]] as const) {
      const unsent = unsentOf({ lists, waiting, paused: [] }, none, [list("a", 1)])
      expect(unsent.listed.batch).toBe(2)
      expect(unsent.uploaded.batch).toBe(0)
    }
  })
})

describe("a day's messages", () => {
  it("are left to what a paused request has listed and uploaded; the pace of the others is their own", () => {
    const left = { realtime: 10, batch: 10 }
    const paused = [list("a", 6, uploaded), list("b", 2)]
    const unsent = unsentOf({ lists: [], waiting: [], paused }, none)
    expect(unsent).toMatchObject({ listed: { batch: 8 }, uploaded: { batch: 0 }, paused: { batch: 6 } })
    expect(mayList(unsent, left).batch).toBe(2)
    expect(mayUpload(unsent, limits, left, list("c", 4))).toBe(true)
    expect(mayUpload(unsent, limits, left, list("c", 5))).toBe(false)
    const slow = { ...limits, messages: { ...noMessageLimits, perSecond: 1 } }
    expect(mayUpload(unsent, slow, { realtime: null, batch: null }, list("c", 4))).toBe(true)
    // One whose upload was granted just before counts once.
    const both = unsentOf({ lists: [], waiting: [], paused }, new Map([["a", list("a", 6)]]))
    expect(both).toMatchObject({ listed: { batch: 8 }, uploaded: { batch: 6 }, paused: { batch: 0 } })
  })

  it("are uploaded once: of lists that fit one by one only as many as fit together", () => {
    const left = { realtime: 10, batch: 10 }
    const unsent = unsentOf(
      { lists: [list("a", 5, uploaded), list("b", 5), list("c", 5)], waiting: [], paused: [] },
      none
    )
    expect(mayList(unsent, left).batch).toBe(-5)
    expect(mayUpload(unsent, limits, left, list("b", 5))).toBe(true)
    expect(mayUpload(withUpload(unsent, list("b", 5)), limits, left, list("c", 5))).toBe(false)
    expect(mayUpload(unsent, limits, { realtime: 10, batch: 9 }, list("b", 5))).toBe(false)
  })

  it("go to realtime before batch that is uploaded already", () => {
    const left = { realtime: 10, batch: 10 }
    const quick = list("q", 4, queued, "realtime")
    const unsent = unsentOf({ lists: [list("a", 10, uploaded)], waiting: [], paused: [] }, none)
    expect(mayUpload(unsent, limits, left, quick)).toBe(true)
    expect(mayList(withUpload(unsent, quick), left)).toEqual({ realtime: 10, batch: 0 })
    expect(
      mayUpload(withUpload(unsentOf({ lists: [], waiting: [], paused: [] }, none), quick), limits, left, list("b", 7))
    )
      .toBe(false)
  })

  it("bound nothing where there is no limit", () => {
    const left = { realtime: null, batch: null }
    const unsent = unsentOf({ lists: [list("a", 1_000, uploaded)], waiting: [], paused: [] }, none)
    expect(mayList(unsent, left)).toEqual(left)
    expect(mayUpload(unsent, limits, left, list("b", 1_000))).toBe(true)
  })
})
