import { run } from "@hikyaku/domain/Actor"
import {
  type Consideration,
  considerCommand,
  deliveryId,
  MemberCommand,
  type MemberReply,
  readConsider,
  runOf,
  Terms
} from "@hikyaku/domain/marketing/Member"
import { makeMemberDecider, memberDecider } from "@hikyaku/domain/marketing/MemberDecider"
import { goneMax, type Member, type MemberEvent } from "@hikyaku/domain/marketing/MemberState"
import { Either, Schema } from "effect"
import { describe, expect, it } from "vitest"

const hour = 3_600_000
const day = 24 * hour
/** 9 o'clock in Tokyo. */
const now = Date.parse("2025-06-02T00:00:00Z")

const terms = (change: Partial<Terms> = {}): Terms => ({
  class: "batch",
  priority: 5,
  channels: ["mail", "line"],
  caps: [],
  globalCaps: [],
  cooldownMs: 0,
  holdoutShare: 0,
  timePolicy: { _tag: "Immediate" },
  outsideHours: "hold",
  timeZone: "Asia/Tokyo",
  explorationShare: 0,
  ...change
})
const ask = (run: string, change: Partial<Consideration> & { readonly under?: Partial<Terms> } = {}): MemberCommand => {
  const { under, ...rest } = change
  const page = { run, campaign: "spring", version: 3, notBefore: now, deadline: now + 8 * hour, ...rest }
  return considerCommand({ ...page, terms: terms(under) })
}

const tell = (member: Member, command: MemberCommand, at = now, decider = memberDecider) =>
  run(decider, member, command, at)
/** The state after commands, all of which are executed at `now`. */
const after = (member: Member, ...commands: ReadonlyArray<MemberCommand>): Member =>
  commands.reduce((state, command) => tell(state, command).state, member)
const reply = (member: Member, command: MemberCommand, at = now): MemberReply =>
  tell(member, command, at).decision.reply

const joined = after(memberDecider.initial("m-1"), {
  _tag: "SetProfile",
  address: "飛脚@example.jp",
  language: "ja",
  timeZone: "Asia/Tokyo",
  attributes: { 会員: "ゴールド", points: 120 }
})
const member = after(
  joined,
  { _tag: "SetConsent", channel: "mail", consent: true },
  { _tag: "SetConsent", channel: "line", consent: true }
)
const refused = (state: Member, command: MemberCommand, at = now): string => {
  const answer = reply(state, command, at)
  return answer._tag === "Rejected" ? answer.reason : answer._tag
}
const delivery = (run: string) => deliveryId(run, "m-1")

describe("a member's profile", () => {
  it("keeps what is not given and tells what changed nothing", () => {
    const { state } = tell(joined, { _tag: "SetProfile", address: "b@example.jp" })
    expect(state).toMatchObject({
      language: "ja",
      attributes: { 会員: "ゴールド", points: 120 },
      address: "b@example.jp"
    })
    const again = tell(joined, { _tag: "SetProfile", attributes: { points: 120, 会員: "ゴールド" } })
    expect(again.decision).toMatchObject({ reply: { _tag: "Done", changed: false }, events: [] })
    expect(reply(joined, { _tag: "SetConsent", channel: "mail", consent: false })).toEqual({
      _tag: "Done",
      changed: true
    })
  })

  it("refuses a time zone that is none, and then changes nothing (G16)", () => {
    const { decision, state } = tell(joined, { _tag: "SetProfile", address: "x@example.jp", timeZone: "Asia/Tokio" })
    expect(decision.reply).toMatchObject({ _tag: "Refused", field: "timeZone" })
    expect(state).toBe(joined)
  })

  it("loses what identifies the person when they withdraw, and begins without consents when they come back", () => {
    const left = after(member, ask("r1"), { _tag: "Withdraw" })
    expect(left).toMatchObject({ withdrawn: true, address: null, attributes: {}, consents: {} })
    expect(left.holds).toHaveLength(1)
    expect(refused(left, ask("r2"))).toBe("Withdrawn")
    expect(reply(left, { _tag: "SetConsent", channel: "mail", consent: true })._tag).toBe("Refused")
    const back = after(left, { _tag: "SetProfile", address: "a@example.jp" })
    expect(refused(back, ask("r2"))).toBe("NoConsent")
    // What was sent before still counts.
    const caps = { globalCaps: [{ count: 1, windowMs: day }] }
    expect(refused(after(back, { _tag: "SetConsent", channel: "mail", consent: true }), ask("r2", { under: caps })))
      .toBe("Capped")
  })

  it("shows an operator what is known", () => {
    expect(reply(after(member, ask("r1")), { _tag: "ReadMember" })).toMatchObject({
      _tag: "MemberView",
      id: "m-1",
      consents: { mail: true, line: true },
      holds: [{ run: "r1", phase: "due" }]
    })
    expect(tell(member, { _tag: "ReadMember" }).decision.final).toBe(false)
  })
})

describe("consent and suppression", () => {
  it("let nothing through without a consent of the channel", () => {
    expect(refused(memberDecider.initial("m-1"), ask("r1"))).toBe("Unknown")
    expect(refused(joined, ask("r1"))).toBe("NoConsent")
    expect(reply(after(joined, { _tag: "SetConsent", channel: "line", consent: true }), ask("r1"))).toMatchObject({
      _tag: "Accepted",
      channel: "line"
    })
    expect(refused(member, ask("r1", { under: { channels: ["push", "onsite"] } }))).toBe("NoConsent")
  })

  it("let nothing through on a suppressed channel, whatever was consented to", () => {
    const suppressed = after(member, { _tag: "Suppress", channel: "mail", reason: "manual" })
    expect(reply(suppressed, ask("r1"))).toMatchObject({ channel: "line" })
    expect(refused(suppressed, ask("r1", { under: { channels: ["mail"] } }))).toBe("Suppressed")
    const lifted = after(suppressed, { _tag: "Unsuppress", channel: "mail" })
    expect(reply(lifted, ask("r1"))).toMatchObject({ channel: "mail" })
  })

  it("let mail through to an address only", () => {
    const nowhere = after(member, { _tag: "SetProfile", address: null })
    expect(refused(nowhere, ask("r1", { under: { channels: ["mail"] } }))).toBe("NoChannel")
    expect(reply(nowhere, ask("r1"))).toMatchObject({ channel: "line" })
  })

  it("leave an order's own messages through without a consent, but not against one that was withdrawn", () => {
    const transactional = { under: { class: "transactional", channels: ["mail"] } } as const
    expect(reply(joined, ask("r1", transactional))).toMatchObject({ _tag: "Accepted" })
    const refusing = after(joined, { _tag: "SetConsent", channel: "mail", consent: false })
    expect(refused(refusing, ask("r1", transactional))).toBe("NoConsent")
  })

  it("follow what the mail itself reports, once each", () => {
    const feedback = (kind: "bounced" | "complained" | "unsubscribed"): MemberCommand => ({
      _tag: "Feedback",
      delivery: delivery("r1"),
      channel: "mail",
      kind,
      at: now
    })
    const mailOnly = ask("r2", { under: { channels: ["mail"] } })
    const gone = after(member, feedback("unsubscribed"), feedback("unsubscribed"))
    expect(gone.habits.objections).toBe(1)
    expect(refused(gone, mailOnly)).toBe("NoConsent")
    const complained = after(member, feedback("complained"), feedback("complained"))
    expect(complained.habits.objections).toBe(1)
    expect(refused(complained, mailOnly)).toBe("Suppressed")
    const bounced = after(member, feedback("bounced"))
    expect(bounced.habits.objections).toBe(0)
    expect(refused(bounced, mailOnly)).toBe("Suppressed")
    // A bounce belongs to the address, a complaint to the person.
    const moved: MemberCommand = { _tag: "SetProfile", address: "new@example.jp" }
    expect(refused(after(bounced, moved), mailOnly)).toBe("Accepted")
    expect(refused(after(complained, moved), mailOnly)).toBe("Suppressed")
  })
})

describe("caps of a member (G7, R18)", () => {
  const one = { globalCaps: [{ count: 1, windowMs: day }] }

  it("tell zero, which forbids, from absent, which does not", () => {
    expect(refused(member, ask("r1", { under: { globalCaps: [{ count: 0, windowMs: 1 }] } }))).toBe("Capped")
    expect(refused(member, ask("r1", { under: { globalCaps: [] } }))).toBe("Accepted")
    expect(refused(member, ask("r1", { under: { caps: [{ channel: "mail", count: 0, windowMs: 1 }] } }))).toBe(
      "Accepted"
    )
    expect(refused(member, ask("r1", { under: { cooldownMs: 0 } }))).toBe("Accepted")
  })

  it("never hit a class or a channel that they do not name", () => {
    const held = after(member, ask("r1", { under: { class: "realtime", channels: ["mail"] } }))
    const batchOnly = { globalCaps: [{ class: "batch" as const, count: 1, windowMs: day }] }
    expect(refused(held, ask("r2", { under: batchOnly }))).toBe("Accepted")
    expect(refused(held, ask("r2", { under: { ...one, class: "transactional" } }))).toBe("Accepted")
    expect(refused(held, ask("r2", { under: one }))).toBe("Capped")
    const lineOnly = { globalCaps: [{ channel: "mail" as const, count: 1, windowMs: day }] }
    expect(reply(held, ask("r2", { under: lineOnly }))).toMatchObject({ channel: "line" })
    const order = after(member, ask("r1", { under: { class: "transactional" } }))
    expect(refused(order, ask("r2", { under: one }))).toBe("Accepted")
  })

  it("of a campaign count its own messages only", () => {
    const own = { caps: [{ count: 1, windowMs: day }] }
    const held = after(member, ask("r1", { under: own }))
    expect(refused(held, ask("r2", { under: own }))).toBe("Capped")
    expect(refused(held, ask("r2", { campaign: "summer", under: own }))).toBe("Accepted")
  })

  it("wait with a campaign's next message about the same product, and about no other", () => {
    const cool = { under: { cooldownMs: day } }
    const held = after(member, ask("r1", { product: "p-1", ...cool }))
    expect(refused(held, ask("r2", { product: "p-1", ...cool }))).toBe("Cooldown")
    expect(refused(held, ask("r2", { product: "p-2", ...cool }))).toBe("Accepted")
    expect(refused(held, ask("r2", { ...cool }))).toBe("Accepted")
    expect(refused(held, ask("r2", { product: "p-1", campaign: "summer", ...cool }))).toBe("Accepted")
  })

  it("count a pending message until its deadline and a sent one from its real time", () => {
    const held = after(member, ask("r1", { under: one }))
    const later = now + day + hour
    const next = ask("r2", { notBefore: later, deadline: later + hour, under: one })
    expect(refused(held, next, later)).toBe("Capped")
    const sent = after(held, { _tag: "Sent", delivery: delivery("r1"), at: now + hour })
    expect(refused(sent, next, later)).toBe("Accepted")
    expect(refused(sent, next, later - 1)).toBe("Accepted")
    const early = ask("r2", { notBefore: later - 1, deadline: later + hour, under: one })
    expect(refused(sent, early, later - 1)).toBe("Capped")
  })

  it("let no message leave before it was decided on", () => {
    const late = ask("r1", { notBefore: now - hour, under: one })
    expect(reply(member, late)).toMatchObject({ _tag: "Accepted", notBefore: now })
    expect(after(member, late).holds).toMatchObject([{ notBefore: now, phase: "due" }])
  })

  it("count a message that is sent late, as far as its lag allows", () => {
    const slow = { ...one, lagMs: 10 * 60_000 }
    const { decision, state } = tell(member, ask("r1", { under: slow }))
    expect(decision.reply).toMatchObject({ deadline: now + 8 * hour - 10 * 60_000 })
    expect(state.holds[0]?.deadline).toBe(now + 8 * hour)
    expect(reply(state, ask("r1", { under: slow }))).toEqual(decision.reply)
    expect(refused(member, ask("r1", { deadline: now + 60_000, under: slow }))).toBe("TooLate")
  })

  it("leave room for a tolerated number that follows the member, and say why", () => {
    const volume = { base: 2, min: 1, max: 9, windowMs: 7 * day, expectedShare: 0.2 }
    const twice = after(member, ask("r1"), ask("r2"))
    const { decision } = tell(twice, ask("r3", { under: { volume } }))
    expect(decision.reply).toEqual({ _tag: "Rejected", reason: "Volume" })
    expect(decision.events[0]).toMatchObject({ stage: "volume", why: expect.stringContaining("tolerates 2 in 168 h") })
    const answering = after(
      twice,
      ...["r1", "r2"].flatMap((run): ReadonlyArray<MemberCommand> => [
        { _tag: "Sent", delivery: delivery(run), at: now },
        { _tag: "Feedback", delivery: delivery(run), channel: "mail", kind: "opened", at: now }
      ])
    )
    expect(refused(answering, ask("r3", { under: { volume } }))).toBe("Accepted")
  })

  it("forget what can touch no window any more, and not a millisecond before", () => {
    const short = { ...one, keepMs: day }
    const sent = after(member, ask("r1", { under: short }), { _tag: "Sent", delivery: delivery("r1"), at: now })
    const at = (instant: number) =>
      tell(sent, ask("r2", { notBefore: instant, deadline: instant, under: { globalCaps: [], keepMs: day } }), instant)
        .state
        .holds.map((hold) => hold.run)
    expect(at(now + day - 1)).toEqual(["r1", "r2"])
    expect(at(now + day)).toEqual(["r2"])
  })
})

describe("one delivery per run and member (R18, G8)", () => {
  const caps = { under: { globalCaps: [{ count: 1, windowMs: day }] } }

  it("is the same one however often it is considered, and on the channel first chosen", () => {
    const first = tell(member, ask("r1", caps))
    const changed = after(first.state, { _tag: "SetConsent", channel: "mail", consent: false })
    const second = tell(changed, ask("r1", caps))
    expect(second.decision).toEqual({ reply: first.decision.reply, events: [], final: true })
    expect(second.state.holds).toHaveLength(1)
  })

  it("is given back once: refunds after the first, and to what was sent, change nothing (R19)", () => {
    const held = after(member, ask("r1", caps))
    const refund: MemberCommand = { _tag: "Refund", delivery: delivery("r1") }
    const first = tell(held, refund)
    expect(first.decision.reply).toEqual({ _tag: "Refunded", first: true })
    expect(refused(first.state, ask("r2", caps))).toBe("Accepted")
    const other = after(first.state, ask("r2", caps))
    const again = tell(other, refund)
    expect(again.decision).toMatchObject({ reply: { _tag: "Refunded", first: false }, events: [] })
    expect(refused(again.state, ask("r3", caps))).toBe("Capped")
    // The run asks again after its page came back: still the same delivery, and nothing is consumed.
    expect(tell(other, ask("r1", caps)).decision).toMatchObject({
      reply: { _tag: "Accepted", delivery: "r1:m-1" },
      events: []
    })
  })

  it("stays consumed when a refund comes late, after it was sent", () => {
    const sent = after(member, ask("r1", caps), { _tag: "Sent", delivery: delivery("r1"), at: now + 5 })
    const late = tell(sent, { _tag: "Refund", delivery: delivery("r1") })
    expect(late.decision.reply).toEqual({ _tag: "KeptAsSent" })
    expect(late.state.holds).toEqual(sent.holds)
  })

  it("is consumed again when it turns out to have been sent after all", () => {
    const returned = after(member, ask("r1", caps), { _tag: "Refund", delivery: delivery("r1") })
    const sent = after(returned, { _tag: "Sent", delivery: delivery("r1"), at: now + 7 })
    expect(sent.holds).toMatchObject([{ run: "r1", phase: "sent", notBefore: now + 7, deadline: now + 7 }])
    expect(sent.gone).toEqual([])
    // A second report changes nothing, not even the time.
    expect(after(sent, { _tag: "Sent", delivery: delivery("r1"), at: now + 9 })).toEqual(sent)
  })

  it("is unknown to a member whose delivery it is not", () => {
    for (const other of ["r1:m-2", "r1", "m-1", ":m-1x", "r9:m-1"]) {
      expect(reply(member, { _tag: "Refund", delivery: other })._tag).toBe("NotHeld")
      expect(reply(member, { _tag: "Sent", delivery: other, at: now })._tag).toBe("NotHeld")
      expect(reply(member, { _tag: "Release", delivery: other })._tag).toBe("NotHeld")
    }
    expect(runOf("a:b:c", "b:c")).toBe("a")
    expect(runOf("a:b:c", "c")).toBeNull()
  })

  it("remembers a bounded number of those given back", () => {
    const runs = Array.from({ length: goneMax + 9 }, (_, i) => `r${i}`)
    const state = after(
      member,
      ...runs.flatMap((run): ReadonlyArray<MemberCommand> => [
        ask(run),
        { _tag: "Refund", delivery: delivery(run) }
      ])
    )
    expect(state.holds).toEqual([])
    expect(state.gone).toHaveLength(goneMax)
  })
})

describe("held deliveries", () => {
  const evening = { notBefore: now + 2 * hour, deadline: now + 6 * hour }
  const caps = (priority: number, displaces = true) => ({
    under: { priority, displaces, globalCaps: [{ count: 1, windowMs: day }] }
  })

  it("are judged again when their time has come, and what no longer holds is dropped with its cap", () => {
    const held = after(member, ask("r1", { ...evening, under: { channels: ["mail"] } }))
    const release: MemberCommand = { _tag: "Release", delivery: delivery("r1") }
    expect(reply(held, release)).toEqual({ _tag: "Released", channel: "mail", address: "飛脚@example.jp" })
    const reasons: ReadonlyArray<readonly [string, MemberCommand]> = [
      ["NoConsent", { _tag: "SetConsent", channel: "mail", consent: false }],
      ["Suppressed", { _tag: "Suppress", channel: "mail", reason: "manual" }],
      ["NoChannel", { _tag: "SetProfile", address: null }],
      ["Withdrawn", { _tag: "Withdraw" }]
    ]
    for (const [reason, command] of reasons) {
      const { decision, state } = tell(after(held, command), release)
      expect(decision.reply).toEqual({ _tag: "Dropped", reason })
      expect(state.holds).toEqual([])
      expect(reply(state, { _tag: "Refund", delivery: delivery("r1") })).toEqual({ _tag: "Refunded", first: false })
    }
  })

  it("keep their cap once they were released, until the dispatcher says that nothing was sent (R19)", () => {
    const released = after(member, ask("r1", evening), { _tag: "Release", delivery: delivery("r1") })
    const without = after(released, { _tag: "SetConsent", channel: "mail", consent: false })
    const asked = tell(without, { _tag: "Release", delivery: delivery("r1") })
    expect(asked.decision.reply).toEqual({ _tag: "Dropped", reason: "NoConsent" })
    expect(asked.state.holds).toHaveLength(1)
    const sent = after(released, { _tag: "Sent", delivery: delivery("r1"), at: now + 3 * hour })
    expect(reply(sent, { _tag: "Release", delivery: delivery("r1") })._tag).toBe("KeptAsSent")
  })

  it("give way to a higher priority for the last slot, and only to that", () => {
    const held = after(member, ask("r1", { ...evening, ...caps(5) }))
    for (const priority of [4, 5]) expect(refused(held, ask("r2", { ...evening, ...caps(priority) }))).toBe("Capped")
    expect(refused(held, ask("r2", { ...evening, ...caps(6, false) }))).toBe("Capped")
    const { decision, state } = tell(held, ask("r2", { ...evening, ...caps(6) }))
    expect(decision.reply._tag).toBe("Accepted")
    expect(decision.events.map((event) => event._tag)).toEqual(["DeliveryDisplaced", "DeliveryAccepted"])
    expect(state.holds.map((hold) => hold.run)).toEqual(["r2"])
    expect(reply(state, { _tag: "Release", delivery: delivery("r1") })).toEqual({
      _tag: "Dropped",
      reason: "Displaced"
    })
  })

  it("give way no longer once they were released or could leave at once", () => {
    const released = after(member, ask("r1", { ...evening, ...caps(5) }), { _tag: "Release", delivery: delivery("r1") })
    expect(refused(released, ask("r2", { ...evening, ...caps(6) }))).toBe("Capped")
    const due = after(member, ask("r1", caps(5)))
    expect(refused(due, ask("r2", { ...evening, ...caps(6) }))).toBe("Capped")
  })

  it("end the same whichever of two campaigns comes first", () => {
    const strong = ask("r-strong", { ...evening, ...caps(7) })
    const weak = ask("r-weak", { ...evening, ...caps(3) })
    const runs = (state: Member) => state.holds.map((hold) => hold.run)
    expect(runs(after(member, strong, weak))).toEqual(["r-strong"])
    expect(runs(after(member, weak, strong))).toEqual(["r-strong"])
  })

  it("give way in no greater number than needed", () => {
    const two = (priority: number) => ({
      under: { priority, displaces: true, globalCaps: [{ count: 2, windowMs: hour }] }
    })
    const at = (run: string, hours: number, priority: number) =>
      ask(run, { notBefore: now + hours * hour, deadline: now + hours * hour, ...two(priority) })
    const held = after(member, at("far", 5, 1), at("near", 2, 2), at("near2", 2, 3))
    const { state } = tell(held, at("strong", 2, 9))
    expect(state.holds.map((hold) => hold.run).sort()).toEqual(["far", "near2", "strong"])
  })
})

describe("filters, holdout and shadow", () => {
  it("ask the filter with the member and the instant, and let nobody through a faulty one", () => {
    const decider = makeMemberDecider({
      timeZone: "Asia/Tokyo",
      filter: (filter, subject) =>
        filter === "broken"
          ? { why: "no such field", fault: true }
          : subject.member.attributes["会員"] === filter && subject.now === now && subject.product === "p-1"
          ? null
          : { why: "not the class", fault: false }
    })
    const decide = (filter: string) =>
      tell(member, ask("r1", { product: "p-1", under: { filter } }), now, decider).decision
    expect(decide("ゴールド").reply._tag).toBe("Accepted")
    expect(decide("シルバー").reply).toEqual({ _tag: "Rejected", reason: "Filtered" })
    expect(decide("broken")).toMatchObject({ reply: { reason: "FilterFault" }, events: [{ why: "no such field" }] })
    // Without filters a campaign that has one reaches nobody rather than everybody.
    expect(refused(member, ask("r1", { under: { filter: "true" } }))).toBe("FilterFault")
  })

  it("hold out the same members in every run of a campaign, in about the share asked for", () => {
    const held = (campaign: string, run: string, share: number) => {
      const out: Array<string> = []
      for (let i = 0; i < 2_000; i++) {
        const id = `m-${i}`
        const state = { ...member, id }
        if (refused(state, ask(run, { campaign, under: { holdoutShare: share } })) === "Holdout") out.push(id)
      }
      return out
    }
    const first = held("spring", "r1", 0.1)
    expect(held("spring", "r2", 0.1)).toEqual(first)
    expect(held("summer", "r1", 0.1)).not.toEqual(first)
    expect(Math.abs(first.length / 2_000 - 0.1)).toBeLessThan(0.03)
    expect(held("spring", "r1", 0)).toEqual([])
    expect(held("spring", "r1", 1)).toHaveLength(2_000)
  })

  it("answer a shadow campaign and consume nothing (G18)", () => {
    const { decision, state } = tell(member, ask("r1", { under: { shadow: true } }))
    expect(decision).toMatchObject({ reply: { _tag: "Accepted" }, events: [], final: false })
    expect(state).toBe(member)
    const capped = tell(member, ask("r1", { under: { shadow: true, globalCaps: [{ count: 0, windowMs: 1 }] } }))
    expect(capped.decision).toMatchObject({ reply: { reason: "Capped" }, events: [] })
  })
})

describe("habits", () => {
  it("count one response per message, at the member's hour, and choose by them", () => {
    const feedback = (kind: "opened" | "clicked", at: number): MemberCommand => ({
      _tag: "Feedback",
      delivery: delivery("r1"),
      channel: "line",
      kind,
      at
    })
    const sent = after(
      member,
      ask("r1", { under: { channels: ["line"] } }),
      { _tag: "Sent", delivery: delivery("r1"), at: now }
    )
    // 12:00Z is 21 o'clock in Tokyo.
    const opened = after(sent, feedback("opened", now + 12 * hour), feedback("clicked", now + 13 * hour))
    expect(opened.habits.responses).toEqual({ line: { sent: 1, responded: 1 } })
    expect(opened.habits.hours?.[21]).toBe(1)
    expect(opened.habits.hours?.reduce((sum, n) => sum + n, 0)).toBe(1)
    const { decision } = tell(opened, ask("r2"))
    expect(decision.reply).toMatchObject({ channel: "line" })
    expect(decision.events[0]).toMatchObject({ why: "line expected to do best (33%)" })
  })

  it("ignore responses to messages that are not theirs", () => {
    const { decision, state } = tell(member, {
      _tag: "Feedback",
      delivery: "r1:m-2",
      channel: "mail",
      kind: "opened",
      at: now
    })
    expect(decision.reply).toEqual({ _tag: "Noted", changed: false })
    expect(state).toBe(member)
  })
})

describe("considerations on the wire", () => {
  it("are one small plain object per member, the same one for a page", () => {
    const shared = terms()
    const page: Consideration = {
      run: "r1",
      campaign: "spring",
      version: 1,
      notBefore: now,
      deadline: now,
      terms: shared
    }
    expect(considerCommand(page)).toBe(considerCommand(page))
    expect(considerCommand({ ...page, product: "p-2" }).terms).toBe(considerCommand(page).terms)
    const plain = JSON.parse(JSON.stringify(considerCommand(page)))
    expect(Schema.is(MemberCommand)(plain)).toBe(true)
    const read = Either.getOrThrow(readConsider(plain))
    expect(read).toEqual(page)
    expect(Either.getOrThrow(readConsider(JSON.parse(JSON.stringify(plain))))).toBe(read)
  })

  it("refuse texts that cannot be read or break a bound, and have no effect then (G16)", () => {
    const good = considerCommand({
      run: "r1",
      campaign: "spring",
      version: 1,
      notBefore: now,
      deadline: now,
      terms: terms()
    })
    const bad: ReadonlyArray<readonly [string, string]> = [
      ["{", good.terms],
      [good.page, "null"],
      [good.page.replace("\"r1\"", "\"r:1\""), good.terms],
      [good.page.replace(String(now), "1e300"), good.terms],
      [good.page, good.terms.replace("\"batch\"", "\"bulk\"")],
      [good.page, good.terms.replace("\"priority\":5", "\"priority\":-1")],
      [good.page, good.terms.replace("[\"mail\",\"line\"]", "[]")]
    ]
    for (const [page, terms] of bad) {
      const { decision, state } = tell(member, { _tag: "Consider", page, terms })
      expect(decision.reply._tag).toBe("Refused")
      expect(decision.final).toBe(false)
      expect(state).toBe(member)
    }
    expect(Schema.is(MemberCommand)({ _tag: "Consider", page: "x".repeat(70_000), terms: "" })).toBe(false)
  })

  it("give their reason for every refusal to the ledger", () => {
    const events = (command: MemberCommand): ReadonlyArray<MemberEvent> => tell(member, command).decision.events
    expect(events(ask("r1", { deadline: now - 1 }))).toMatchObject([{
      _tag: "DeliveryRejected",
      stage: "time",
      reason: "TooLate"
    }])
    expect(events(ask("r1", { under: { globalCaps: [{ count: 0, windowMs: day }] } }))).toMatchObject([
      { stage: "cap", reason: "Capped", why: "at most 0 in 24 h" }
    ])
    const quiet = { quietHours: { from: 540, to: 1200 }, outsideHours: "drop" as const }
    expect(events(ask("r1", { under: quiet }))).toMatchObject([{ stage: "time", reason: "QuietHours" }])
    expect(Schema.is(Terms)(terms(quiet))).toBe(true)
  })
})
