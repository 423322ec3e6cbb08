import type { SlotRequest } from "@hikyaku/domain/delivery/ProviderCommand"
import { signOfLifeMs, slotsInUse } from "@hikyaku/domain/delivery/ProviderDecider"
import { type Operation, operations, total, windowMs } from "@hikyaku/domain/delivery/RateLimit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Account, end, limitsOf } from "./Account.ts"

const request = (id: string, operation: Operation = "upload"): SlotRequest => ({
  id,
  operation,
  class: "batch",
  leaseMs: 500,
  endsWithinMs: 10_000
})
describe("slots (G9, R20)", () => {
  it("grants nothing before limits are set: none is guessed", () => {
    const account = new Account(null)
    expect(account.send({ _tag: "Takeover", owner: "a", wall: 0 })._tag).toBe("NotConfigured")
    expect(account.acquire(0, [request("1")])._tag).toBe("Deposed")
  })

  it("grants up to the limit in the order asked, and says when to ask again", () => {
    const account = new Account(limitsOf({ total: 2 }))
    expect(account.acquire(0, [request("1"), request("2", "send"), request("3")])).toMatchObject({
      _tag: "Granted",
      granted: [{ id: "1", notAfter: 500 }, { id: "2", notAfter: 500 }],
      retryAfter: 1_000
    })
    expect(account.acquire(10, [request("3")])._tag).toBe("Wait")
    expect(account.granted(20, [request("3")], [end("1", 20)])).toEqual(["3"])
  })

  it("answers a request that has a slot with that slot, and never grants it twice", () => {
    const account = new Account(limitsOf({ total: 2 }))
    account.acquire(0, [request("1")])
    expect(account.acquire(100, [request("1")])).toMatchObject({ granted: [{ id: "1", notAfter: 500 }] })
    expect(account.state.slots.size).toBe(1)
  })

  it("frees a slot without a known end only when the request must be over: lease, timeout and processing", () => {
    const account = new Account(limitsOf({ total: 1 }))
    account.acquire(0, [request("1")])
    expect(account.granted(10_499, [request("2")])).toEqual([])
    expect(account.granted(10_500, [request("2")])).toEqual(["2"])
  })

  it("withholds a slot after a lost answer for as long as the provider may still be busy", () => {
    const account = new Account(limitsOf({ total: 1 }))
    account.acquire(0, [request("1")])
    expect(account.granted(100, [request("2")], [end("1", 100, { busyForMs: 3_000 })])).toEqual([])
    expect(account.granted(3_099, [request("2")])).toEqual([])
    expect(account.granted(3_100, [request("2")])).toEqual(["2"])
  })

  const command = fc.oneof(
    { weight: 4, arbitrary: fc.record({ act: fc.constant("acquire" as const), n: fc.integer({ min: 1, max: 5 }) }) },
    { weight: 3, arbitrary: fc.record({ act: fc.constant("end" as const), n: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("lost" as const), n: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("crash" as const), n: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("late" as const), n: fc.integer({ min: 1, max: 5 }) }) }
  )
  const bound = fc.option(fc.integer({ min: 1, max: 6 }), { nil: null })

  it("never lets more be under way, or start within a second, than the limits: through lost answers, crashes and late owners", () => {
    fc.assert(
      fc.property(
        fc.record({ total: bound, upload: bound, send: bound }),
        fc.record({ total: bound, upload: bound }),
        fc.array(fc.record({ step: command, pause: fc.integer({ min: 0, max: 3_000 }) }), { maxLength: 60 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (concurrency, perSecond, steps, chance) => {
          const draw = () => chance.next().value ?? 0
          const limits = limitsOf(concurrency, perSecond)
          let incarnation = 1
          const account = new Account(limits, "o1", 0)
          // What the provider sees: each request starts somewhere in its lease and ends at the latest when it must.
          const seen: Array<{ id: string; operation: Operation; from: number; until: number; owner: string }> = []
          let wall = 0
          let next = 0
          for (const { pause, step } of steps) {
            wall += pause
            const owner = `o${step.act === "late" ? Math.max(1, incarnation - 1) : incarnation}`
            const open = seen.filter((one) => one.until > wall && one.owner === owner)
            if (step.act === "acquire" || step.act === "late") {
              const wanted = Array.from({ length: step.n }, () => {
                const operation: Operation = draw() < 0.5 ? "upload" : "send"
                return request(`${next++}`, operation)
              })
              const reply = account.acquire(wall, wanted, [], owner)
              if (owner !== `o${incarnation}`) expect(reply._tag).toBe("Deposed")
              if (reply._tag !== "Granted") continue
              for (const grant of reply.granted) {
                const operation = wanted.find((one) => one.id === grant.id)?.operation ?? "upload"
                const from = wall + Math.floor(draw() * 500)
                seen.push({ id: grant.id, operation, from, until: from + 1 + Math.floor(draw() * 9_999), owner })
              }
            } else if (step.act === "crash") {
              incarnation++
              account.send({ _tag: "Takeover", owner: `o${incarnation}`, wall })
            } else {
              const one = open.filter((each) => each.from < wall)[step.n % Math.max(1, open.length)]
              if (one === undefined) continue
              if (step.act === "end") {
                one.until = wall
                account.send({ _tag: "FreeSlots", owner, wall, ended: [end(one.id, wall)] })
              } else {
                one.until = Math.min(one.until, wall + 2_000)
                account.send({ _tag: "FreeSlots", owner, wall, ended: [end(one.id, wall, { busyForMs: 2_000 })] })
              }
            }
          }
          for (const one of seen) {
            const during = seen.filter((other) => other.from <= one.from && other.until > one.from)
            const within = seen.filter((other) => other.from <= one.from && other.from > one.from - windowMs)
            for (const of of ["total", ...operations] as const) {
              const count = (many: typeof seen) => many.filter((each) => of === "total" || each.operation === of).length
              if (of !== "total" && of !== one.operation) continue
              expect(count(during)).toBeLessThanOrEqual(limits.concurrency[of] ?? Number.POSITIVE_INFINITY)
              expect(count(within)).toBeLessThanOrEqual(limits.perSecond[of] ?? Number.POSITIVE_INFINITY)
            }
          }
        }
      ),
      { numRuns: 300 }
    )
  })
})

describe("takeover (R20, G5)", () => {
  it("uses the free slots at once and withholds only those whose fate is unknown", () => {
    const account = new Account(limitsOf({ total: 3 }))
    account.acquire(0, [request("1"), request("2")])
    account.acquire(10, [], [end("1", 10)])
    const reply = account.send({ _tag: "Takeover", owner: "b", wall: 20 })
    expect(reply).toMatchObject({ _tag: "TookOver", withheld: [{ id: "2", owner: "a", freeAt: 10_500 }] })
    expect(account.granted(20, [request("3"), request("4"), request("5")], [], "b")).toEqual(["3", "4"])
    expect(account.granted(10_500, [request("5")], [], "b")).toEqual(["5"])
  })

  it("lets the new owner free what its lists say has ended", () => {
    const account = new Account(limitsOf({ total: 1 }))
    account.acquire(0, [request("1")])
    account.send({ _tag: "Takeover", owner: "b", wall: 20 })
    expect(account.granted(30, [request("2")], [end("1", 30)], "b")).toEqual(["2"])
  })

  it("grants a deposed owner nothing, but believes what it says about its own requests", () => {
    const account = new Account(limitsOf({ total: 2 }))
    account.acquire(0, [request("1")])
    account.send({ _tag: "Takeover", owner: "b", wall: 20 })
    expect(account.acquire(30, [request("2")])).toMatchObject({ _tag: "Deposed", owner: "b", quietFor: 10 })
    account.granted(40, [request("3")], [], "b")
    account.send({ _tag: "FreeSlots", owner: "a", wall: 50, ended: [end("1", 50), end("3", 50)] })
    expect([...account.state.slots.keys()]).toEqual(["3"])
  })

  it("knows how long an idle owner has been silent", () => {
    const account = new Account(limitsOf({ total: 1 }))
    account.acquire(signOfLifeMs + 5, [])
    expect(account.acquire(signOfLifeMs + 105, [], [], "other")).toMatchObject({ _tag: "Deposed", quietFor: 100 })
  })

  it("does not let time run backwards when the new owner's estimate is behind", () => {
    const account = new Account(limitsOf({ total: 1 }))
    account.acquire(5_000, [request("1")])
    account.send({ _tag: "Takeover", owner: "b", wall: 1_000 })
    expect(account.granted(2_000, [request("2")], [end("1", 2_000)], "b")).toEqual(["2"])
    expect(account.state.slots.get("2")?.grantedAt).toBe(5_000)
  })
})

describe("rate over a sliding window (G9)", () => {
  it("counts from the latest instant at which a request can have started", () => {
    const account = new Account(limitsOf({}, { total: 1 }, 100))
    account.acquire(0, [request("1")])
    account.acquire(200, [], [end("1", 200)])
    expect(account.acquire(250, [request("2")])).toMatchObject({ _tag: "Wait", retryAfter: 200 + windowMs + 100 - 250 })
    expect(account.granted(1_300, [request("2")])).toEqual(["2"])
  })

  it("does not count what never started", () => {
    const account = new Account(limitsOf({}, { total: 1 }))
    account.acquire(0, [request("1")])
    expect(account.granted(600, [request("2")], [end("1", 600, { startedBy: null })])).toEqual(["2"])
  })
})

describe("push back (429)", () => {
  it("waits as told, halves what is used, and comes back as requests go well", () => {
    const account = new Account(limitsOf({ total: 4 }))
    account.granted(0, ["1", "2", "3", "4"].map((id) => request(id)))
    account.acquire(100, [], ["1", "2", "3", "4"].map((id) => end(id, 100, { throttledForMs: 1_000 })))
    const four = (wall: number) => ["a", "b", "c", "d"].map((id) => request(`${id}${wall}`))
    expect(account.granted(1_099, four(1_099))).toEqual([])
    expect(account.granted(1_100, four(1_100))).toEqual(["a1100", "b1100"])
    let wall = 1_200
    for (let n = 0; n < 20; n++) {
      account.acquire(wall, [], [...account.state.slots.keys()].map((id) => end(id, wall)))
      account.granted(wall, four(wall))
      wall += 100
    }
    expect(total(slotsInUse(account.state))).toBe(4)
    expect(account.state.pushback.upload.allowed).toBeNull()
  })

  it("holds back the operation concerned, not the others", () => {
    const account = new Account(limitsOf({ total: 4 }))
    account.granted(0, [request("1")])
    account.acquire(100, [], [end("1", 100, { throttledForMs: 60_000 })])
    expect(account.granted(200, [request("2"), request("3", "send")])).toEqual(["3"])
  })
})
