/**
 * Messages per second and per day (MAIL-3, G9), judged by what a provider sees: sends that start anywhere in their lease,
 * through lost answers and takeovers.
 */
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import {
  dayDelay,
  dayMs,
  dayPartMs,
  dayPartsMax,
  listSizeOf,
  type MessageLimits,
  noMessageLimits
} from "@hikyaku/domain/delivery/MessageRate"
import type { SlotRequest } from "@hikyaku/domain/delivery/ProviderCommand"
import { type Limits, unbounded } from "@hikyaku/domain/delivery/RateLimit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Account, end } from "./Account.ts"

const limitsOf = (messages: Partial<MessageLimits>, marginMs = 0): Limits => ({
  concurrency: unbounded,
  perSecond: unbounded,
  messages: { ...noMessageLimits, ...messages },
  marginMs
})
const leaseMs = 500
const send = (id: string, messages: number, cls: DeliveryClass = "batch"): SlotRequest => ({
  id,
  operation: "send",
  class: cls,
  leaseMs,
  endsWithinMs: 2_000,
  messages
})
class Messages extends Account {
  constructor(limits: Limits) {
    super(limits, "o1")
  }
  view(wall: number) {
    const reply = this.send({ _tag: "ReadProvider", wall })
    if (reply._tag !== "ProviderView") throw new Error(reply._tag)
    return reply
  }
}

describe("messages per second", () => {
  it("are counted over a sliding second from the latest start, with the margin", () => {
    const account = new Messages(limitsOf({ perSecond: 100 }, 50))
    expect(account.granted(0, [send("a", 60), send("b", 40), send("c", 1)])).toEqual(["a", "b"])
    account.acquire(100, [], [end("a", 100), end("b", 100)])
    expect(account.acquire(1_100, [send("c", 1)])).toMatchObject({ _tag: "Wait", retryAfter: 50 })
    expect(account.granted(1_150, [send("c", 100)])).toEqual(["c"])
  })

  it("let a list above the limit go alone, and make all others wait for as long as its messages take", () => {
    const account = new Messages(limitsOf({ perSecond: 100 }))
    expect(account.granted(0, [send("small", 1)])).toEqual(["small"])
    account.acquire(0, [], [end("small", 0)])
    expect(account.granted(999, [send("big", 250)])).toEqual([])
    expect(account.granted(1_000, [send("big", 250)])).toEqual(["big"])
    account.acquire(1_000, [], [end("big", 1_000)])
    expect(account.granted(3_499, [send("next", 1)])).toEqual([])
    expect(account.granted(3_500, [send("next", 1)])).toEqual(["next"])
  })

  it("keep the place of a big list: small ones asked for after it do not eat up what it waits for", () => {
    const account = new Messages(limitsOf({ perSecond: 100 }))
    account.granted(0, [send("a", 50)], [])
    account.acquire(0, [], [end("a", 0)])
    expect(account.granted(500, [send("big", 80), send("small", 1, "realtime")])).toEqual([])
    expect(account.granted(1_000, [send("big", 80), send("small", 1, "realtime")])).toEqual(["big", "small"])
  })

  it("do not count what the provider refused, or what never started", () => {
    const account = new Messages(limitsOf({ perSecond: 100, perDay: 100 }))
    for (const  of of[{ throttledForMs: 0 }, { messages: 0 }, { startedBy: null }]) {
      expect(account.granted(0, [send("a", 100)])).toEqual(["a"])
      account.acquire(0, [], [end("a", 0, of)])
    }
    expect(account.view(0).messages?.day).toEqual({ limit: 100, used: 0 })
  })

  it("hold sends alone, no other requests", () => {
    const account = new Messages(limitsOf({ perSecond: 1, perDay: 1 }))
    account.granted(0, [send("a", 1)])
    expect(account.granted(1, [{ ...send("b", 0), operation: "status" }, { ...send("c", 0), operation: "upload" }]))
      .toEqual(["b", "c"])
  })
})

describe("messages per day", () => {
  it("come back a day later, by the quarter hour", () => {
    const account = new Messages(limitsOf({ perDay: 100 }))
    account.granted(10, [send("a", 60)])
    account.acquire(20, [], [end("a", 20)])
    const later = dayPartMs + 5
    expect(account.granted(later, [send("b", 40), send("c", 1)])).toEqual(["b"])
    account.acquire(later, [], [end("b", later)])
    const reply = account.acquire(later + 10, [send("c", 60)])
    expect(reply).toMatchObject({ _tag: "Wait", retryAfter: dayMs + dayPartMs - later - 10 })
    expect(account.granted(dayMs + dayPartMs - 1, [send("c", 60)])).toEqual([])
    expect(account.granted(dayMs + dayPartMs, [send("c", 60)])).toEqual(["c"])
  })

  it("are known of the past when the limit is set later", () => {
    const account = new Messages(limitsOf({}))
    account.granted(0, [send("a", 70)])
    account.acquire(0, [], [end("a", 0)])
    account.send({ _tag: "Configure", limits: limitsOf({ perDay: 100 }) })
    expect(account.granted(3_600_000, [send("b", 31)])).toEqual([])
    expect(account.granted(3_600_000, [send("b", 30)])).toEqual(["b"])
  })

  it("are kept for realtime as configured: batch leaves them", () => {
    const account = new Messages(limitsOf({ perDay: 100, keptForRealtime: 20 }))
    expect(account.granted(0, [send("a", 81), send("b", 80), send("c", 1), send("d", 20, "realtime")])).toEqual([
      "b",
      "d"
    ])
    expect(account.acquire(0, [])).toMatchObject({ leftOfDay: { realtime: 0, batch: 0 } })
  })

  it("do not stop small lists because a big one has to wait for them", () => {
    const account = new Messages(limitsOf({ perDay: 100 }))
    expect(account.granted(0, [send("a", 90), send("b", 20), send("c", 10, "realtime")])).toEqual(["a", "c"])
  })

  it("never let a list go that is bigger than a day", () => {
    const account = new Messages(limitsOf({ perDay: 100 }))
    expect(account.acquire(0, [send("a", 101)])).toMatchObject({ _tag: "Wait", retryAfter: dayMs })
  })

  it("tell operators what holds a send back, and how much is used", () => {
    const account = new Messages(limitsOf({ perSecond: 50, perDay: 100 }))
    account.granted(0, [send("a", 50)])
    account.acquire(0, [], [end("a", 0)])
    expect(account.view(400)).toMatchObject({
      held: { send: { by: "messages per second", forMs: 600 }, upload: null },
      messages: { second: { limit: 50, used: 50 }, day: { limit: 100, used: 50 } }
    })
    account.granted(1_000, [send("b", 50)])
    account.acquire(1_000, [], [end("b", 1_000)])
    expect(account.view(2_000).held?.send).toEqual({ by: "messages per day", forMs: dayMs + dayPartMs - 2_000 })
    expect(account.view(2_000).messagePace).toMatchObject({ left: 0, leaving: [{ messages: 100 }] })
  })
})

interface Sent {
  readonly id: string
  readonly messages: number
  readonly from: number
  readonly owner: string
  told: boolean
}

const step = fc.record({
  act: fc.constantFrom("send", "send", "send", "end", "end", "lost", "crash"),
  n: fc.nat(40),
  sizes: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
  pause: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 900 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: dayMs / 3 }) }
  )
})

describe("whatever happens (G9, R20)", () => {
  it("no second and no day sees more than its limit, through lost answers and takeovers, and nothing waits that may go", () => {
    fc.assert(
      fc.property(
        fc.record({
          perSecond: fc.option(fc.integer({ min: 40, max: 80 }), { nil: null }),
          perDay: fc.option(fc.integer({ min: 60, max: 400 }), { nil: null })
        }),
        fc.array(step, { maxLength: 60 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })),
        (messages, steps, chance) => {
          const draw = () => chance.next().value ?? 0
          const account = new Messages(limitsOf(messages))
          const seen: Array<Sent> = []
          let incarnation = 1
          let wall = 0
          let next = 0
          for (const { act, n, pause, sizes } of steps) {
            wall += pause
            const owner = `o${incarnation}`
            if (act === "send") {
              const wanted = sizes.map((size) => send(`${next++}`, size))
              const reply = account.acquire(wall, wanted, [], owner)
              const granted = new Set(reply._tag === "Granted" ? reply.granted.map(({ id }) => id) : [])
              for (const { id, messages: size = 0 } of wanted) {
                if (!granted.has(id)) continue
                seen.push({ id, messages: size, from: wall + Math.floor(draw() * leaseMs), owner, told: false })
              }
              // Work-conserving: had the first one no room by the books of what has really started, it went.
              const first = wanted[0]
              if (first !== undefined && !granted.has(first.id)) {
                const size = first.messages ?? 0
                // A start counts from the latest instant it can have had, and for the day to the end of its quarter hour.
                const late = seen.filter(({ from }) => from + 1_000 + leaseMs > wall)
                const today = seen.filter(({ from }) => from + dayMs + dayPartMs + leaseMs > wall)
                const sum = (of: ReadonlyArray<Sent>) => of.reduce((all, one) => all + one.messages, size)
                expect(sum(late) > (messages.perSecond ?? Infinity) || sum(today) > (messages.perDay ?? Infinity)).toBe(
                  true
                )
              }
            } else if (act === "crash") {
              incarnation++
              account.send({ _tag: "Takeover", owner: `o${incarnation}`, wall })
            } else {
              const open = seen.filter((one) => !one.told && one.owner === owner && one.from <= wall)
              const one = open[n % Math.max(1, open.length)]
              if (one === undefined) continue
              one.told = true
              account.acquire(wall, [], [end(one.id, wall, act === "lost" ? { busyForMs: 500 } : {})], owner)
            }
            expect(account.state.day.length).toBeLessThanOrEqual(dayPartsMax)
          }
          for (const last of seen) {
            const within = (ms: number) =>
              seen.filter(({ from }) => from <= last.from && from > last.from - ms)
                .reduce((all, one) => all + one.messages, 0)
            expect(within(1_000)).toBeLessThanOrEqual(messages.perSecond ?? Infinity)
            expect(within(dayMs)).toBeLessThanOrEqual(messages.perDay ?? Infinity)
          }
        }
      ),
      { numRuns: 500 }
    )
  })

  it("keeps a bounded book of a day that sends all the time", () => {
    const account = new Messages(limitsOf({ perDay: 1_000_000 }))
    for (let wall = 0; wall < 2 * dayMs; wall += 60_000) {
      account.granted(wall, [send(`${wall}`, 1)])
      account.acquire(wall, [], [end(`${wall}`, wall)])
      expect(account.state.day.length).toBeLessThanOrEqual(dayPartsMax)
    }
    expect(account.view(2 * dayMs).messages?.day.used).toBeGreaterThanOrEqual(1_440)
  })
})

describe("the size of a list", () => {
  it("is a part of a second's messages, more where lists are few, never more than a second or a day", () => {
    expect(listSizeOf(noMessageLimits, 1_000, 1)).toBe(1_000)
    expect(listSizeOf({ perSecond: 400, perDay: null }, 1_000, 100)).toBe(100)
    expect(listSizeOf({ perSecond: 400, perDay: null }, 1_000, 2)).toBe(200)
    expect(listSizeOf({ perSecond: 400, perDay: null }, 1_000, 0.1)).toBe(400)
    expect(listSizeOf({ perSecond: 14, perDay: null }, 1_000, 3)).toBe(5)
    expect(listSizeOf({ perSecond: 400, perDay: 50 }, 1_000, 100)).toBe(50)
    expect(listSizeOf({ perSecond: 1, perDay: 1, keptForRealtime: 1 }, 1_000, 100)).toBe(1)
  })
})

describe("predictions with a day's limit", () => {
  const pace = {
    perSecond: null,
    perDay: 100,
    left: 30,
    leaving: [{ inMs: 1_000, messages: 50 }, { inMs: 9_000, messages: 20 }]
  }
  it("wait for what leaves the window, and then for the same again a day later", () => {
    expect(dayDelay(pace, 30)).toBe(0)
    expect(dayDelay(pace, 31)).toBe(1_000)
    expect(dayDelay(pace, 81)).toBe(9_000)
    expect(dayDelay(pace, 100)).toBe(9_000)
    expect(dayDelay(pace, 101)).toBe(dayMs + dayPartMs)
    expect(dayDelay(pace, 231)).toBe(2 * (dayMs + dayPartMs) + 1_000)
  })
})
