import { run } from "@hikyaku/domain/Actor"
import type { Channel } from "@hikyaku/domain/marketing/Event"
import type { CapRule, MessageClass } from "@hikyaku/domain/marketing/FrequencyCap"
import { considerCommand, deliveryId, type MemberCommand, type Terms } from "@hikyaku/domain/marketing/Member"
import { memberDecider } from "@hikyaku/domain/marketing/MemberDecider"
import type { Member } from "@hikyaku/domain/marketing/MemberState"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const start = Date.parse("2025-06-02T00:00:00Z")
const unit = 60_000

/** What a dispatcher's log would say: nothing of it is read from the actor's state. */
interface Logged {
  readonly run: string
  readonly campaign: string
  readonly channel: Channel
  readonly class: MessageClass
  readonly notBefore: number
  readonly deadline: number
  sentAt: number | null
  over: boolean
}

const globalCaps: ReadonlyArray<CapRule> = [
  { count: 3, windowMs: 40 * unit },
  { channel: "mail", count: 2, windowMs: 30 * unit },
  { channel: "line", class: "batch", count: 1, windowMs: 25 * unit },
  { class: "realtime", count: 2, windowMs: 20 * unit }
]
const ownCaps: Readonly<Record<string, ReadonlyArray<CapRule>>> = {
  a: [{ count: 1, windowMs: 35 * unit }],
  b: [{ count: 2, windowMs: 60 * unit }],
  c: []
}
const campaigns = ["a", "b", "c"] as const

const terms = new Map<string, Terms>()
for (const campaign of campaigns) {
  for (const messageClass of ["realtime", "batch", "transactional"] as const) {
    for (const priority of [1, 5, 9]) {
      terms.set(`${campaign}/${messageClass}/${priority}`, {
        class: messageClass,
        priority,
        channels: ["mail", "line", "push"],
        caps: ownCaps[campaign]!,
        globalCaps,
        cooldownMs: 0,
        holdoutShare: 0,
        timePolicy: { _tag: "Immediate" },
        outsideHours: "hold",
        timeZone: "Asia/Tokyo",
        displaces: true,
        explorationShare: 0.3
      })
    }
  }
}

type Step =
  | {
    readonly _tag: "Consider"
    readonly terms: Terms
    readonly campaign: string
    readonly in: number
    readonly for: number
  }
  /** Something happens to one of the open deliveries, `pick` says which. */
  | { readonly _tag: "Send" | "Fail" | "Ask"; readonly pick: number; readonly share: number }
  | { readonly _tag: "Again"; readonly pick: number }
  | { readonly _tag: "Wait"; readonly minutes: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("Consider" as const),
      campaign: fc.constantFrom(...campaigns),
      messageClass: fc.constantFrom("realtime", "realtime", "batch", "batch", "transactional"),
      priority: fc.constantFrom(1, 5, 9),
      in: fc.constantFrom(0, 0, 5, 12, 30),
      for: fc.constantFrom(0, 3, 10, 30)
    }).map((step) => ({ ...step, terms: terms.get(`${step.campaign}/${step.messageClass}/${step.priority}`)! }))
  },
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constantFrom("Send" as const, "Send" as const, "Fail" as const, "Ask" as const),
      pick: fc.nat(),
      share: fc.double({ min: 0, max: 1, noNaN: true })
    })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Again" as const), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Wait" as const), minutes: fc.integer({ min: 1, max: 25 }) }) }
)

/** A member, the world around them and the log of what the world did. `doubling` sends every command twice. */
const play = (steps: ReadonlyArray<Step>, doubling: boolean) => {
  let member: Member = memberDecider.initial("m-1")
  let now = start
  const log: Array<Logged> = []
  const asked: Array<MemberCommand> = []
  const tell = (command: MemberCommand) => {
    const first = run(memberDecider, member, command, now)
    member = first.state
    if (doubling) member = run(memberDecider, member, command, now).state
    return first.decision.reply
  }
  tell({ _tag: "SetProfile", address: "a@example.jp" })
  for (const channel of ["mail", "line", "push"] as const) tell({ _tag: "SetConsent", channel, consent: true })
  let runs = 0
  for (const step of steps) {
    if (step._tag === "Wait") {
      now += step.minutes * unit
      // The dispatcher drops what is past its deadline, and says so.
      for (const entry of log) {
        if (entry.over || entry.sentAt !== null || entry.deadline >= now) continue
        entry.over = true
        tell({ _tag: "Refund", delivery: deliveryId(entry.run, "m-1") })
      }
    } else if (step._tag === "Consider") {
      const name = `r${++runs}`
      const notBefore = now + step.in * unit
      const command = considerCommand({
        run: name,
        campaign: step.campaign,
        version: 1,
        terms: step.terms,
        notBefore,
        deadline: notBefore + step.for * unit
      })
      asked.push(command)
      const reply = tell(command)
      if (reply._tag === "Accepted") {
        const { channel, deadline, notBefore } = reply
        const entry = { run: name, campaign: step.campaign, channel, class: step.terms.class, notBefore, deadline }
        log.push({ ...entry, sentAt: null, over: false })
      }
    } else if (step._tag === "Again") {
      const command = asked[step.pick % Math.max(1, asked.length)]
      if (command !== undefined && log.length > 0) {
        const before = member.holds
        const reply = tell(command)
        // Of what was accepted the same delivery, and nothing consumed again.
        const { page } = command._tag === "Consider" ? command : { page: "" }
        const entry = log.find((entry) => page.includes(`"${entry.run}"`))
        if (entry !== undefined) {
          expect(reply).toMatchObject({
            _tag: "Accepted",
            delivery: deliveryId(entry.run, "m-1"),
            channel: entry.channel
          })
          expect(member.holds).toBe(before)
        } else if (reply._tag === "Accepted") {
          const run = reply.delivery.slice(0, reply.delivery.indexOf(":"))
          const { campaign, terms } = steps.filter((step) => step._tag === "Consider")[Number(run.slice(1)) - 1]!
          const { channel, deadline, notBefore } = reply
          log.push({ run, campaign, class: terms.class, channel, notBefore, deadline, sentAt: null, over: false })
        }
      }
    } else {
      const open = log.filter((entry) => !entry.over && entry.sentAt === null)
      const entry = open[step.pick % Math.max(1, open.length)]
      if (entry === undefined) continue
      const delivery = deliveryId(entry.run, "m-1")
      if (step._tag === "Fail") {
        entry.over = true
        tell({ _tag: "Refund", delivery })
        continue
      }
      // A dispatcher sends what its time has come for, and asks before it sends what was held.
      if (entry.notBefore > now) continue
      const release = tell({ _tag: "Release", delivery })
      if (release._tag === "Dropped") {
        expect(release.reason).toBe("Displaced")
        entry.over = true
        tell({ _tag: "Refund", delivery })
        continue
      }
      expect(release._tag).toBe("Released")
      if (step._tag === "Ask") continue
      entry.sentAt = Math.floor(entry.notBefore + step.share * (entry.deadline - entry.notBefore))
      expect(tell({ _tag: "Sent", delivery, at: entry.sentAt })._tag).toBe("Narrowed")
    }
  }
  return { log, member, now }
}

const governed = (entry: Logged, rule: CapRule): boolean =>
  (rule.channel === undefined || entry.channel === rule.channel) &&
  (rule.class === undefined ? entry.class !== "transactional" : entry.class === rule.class)

const mostInOneWindow = (times: ReadonlyArray<number>, windowMs: number): number => {
  let most = 0
  for (const from of times) most = Math.max(most, times.filter((at) => at >= from && at < from + windowMs).length)
  return most
}

describe("caps over a member's whole history (G7, R18)", () => {
  it("hold in every sliding window of sending times, checked from the delivery log alone", () => {
    let sent = 0
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 10, maxLength: 60 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (steps, share) => {
          const { log, member } = play(steps, false)
          // What is still pending may end up anywhere in its interval; what was displaced never leaves.
          const pending = new Set(member.holds.map((hold) => hold.run))
          const at = (entry: Logged): number | null =>
            entry.sentAt ??
              (entry.over || !pending.has(entry.run)
                ? null
                : Math.floor(entry.notBefore + share * (entry.deadline - entry.notBefore)))
          const times = (keep: (entry: Logged) => boolean) =>
            log.filter(keep).map(at).filter((at): at is number => at !== null)
          sent += times(() => true).length
          for (const rule of globalCaps) {
            expect(mostInOneWindow(times((entry) => governed(entry, rule)), rule.windowMs)).toBeLessThanOrEqual(
              rule.count
            )
          }
          for (const campaign of campaigns) {
            for (const rule of ownCaps[campaign]!) {
              const own = times((entry) => entry.campaign === campaign && governed(entry, rule))
              expect(mostInOneWindow(own, rule.windowMs)).toBeLessThanOrEqual(rule.count)
            }
          }
        }
      ),
      { numRuns: 400 }
    )
    // A member who never gets anything keeps every cap.
    expect(sent).toBeGreaterThan(1_000)
  })

  it("consume exactly what may be or was sent, and give back what provably was not (G8, R19)", () => {
    let displaced = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 60 }), (steps) => {
        const { log, member } = play(steps, false)
        const byActor = new Map(member.holds.map((hold) => [hold.run, hold]))
        expect(byActor.size).toBe(member.holds.length)
        for (const entry of log) {
          const hold = byActor.get(entry.run)
          const gone = member.gone.find((hold) => hold.run === entry.run)
          if (entry.over) expect(hold).toBeUndefined()
          else if (entry.sentAt !== null) {
            expect(hold).toMatchObject({ notBefore: entry.sentAt, deadline: entry.sentAt })
          } else if (hold === undefined) {
            displaced++
            expect(gone?.phase).toBe("displaced")
          } else expect(hold).toMatchObject({ notBefore: entry.notBefore, deadline: entry.deadline })
        }
        expect(member.holds.every((hold) => log.some((entry) => entry.run === hold.run))).toBe(true)
      }),
      { numRuns: 300 }
    )
    expect(displaced).toBeGreaterThan(20)
  })

  it("are the same when every command comes twice", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
        const once = play(steps, false)
        const twice = play(steps, true)
        expect(twice.member.holds).toEqual(once.member.holds)
        expect(twice.member.gone).toEqual(once.member.gone)
        expect(twice.member.habits).toEqual(once.member.habits)
        expect(twice.log).toEqual(once.log)
      }),
      { numRuns: 200 }
    )
  })
})
