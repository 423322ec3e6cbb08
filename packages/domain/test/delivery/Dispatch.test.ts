import {
  type Candidate,
  choose,
  compareUrgency,
  type Credit,
  type DispatchInput,
  type Group,
  latestStart,
  learnPace,
  listNext,
  predictMs,
  questionSlots,
  settle,
  type Shares
} from "@hikyaku/domain/delivery/Dispatch"
import { type Bounds, freeSlots, noCounts, operations, unbounded } from "@hikyaku/domain/delivery/RateLimit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const shares: Shares = { batch: 0.2, ageMs: 60_000 }

const candidate = (id: string, of: Partial<Candidate> = {}): Candidate => ({
  id,
  operation: "upload",
  class: "batch",
  latestStart: 1_000_000,
  deadline: 2_000_000,
  since: 0,
  priority: 0,
  ...of
})

const input = (candidates: ReadonlyArray<Candidate>, of: Partial<DispatchInput> = {}): DispatchInput => ({
  candidates,
  inFlight: noCounts,
  concurrency: unbounded,
  shares,
  credit: noCounts,
  now: 0,
  ...of
})

const ids = (candidates: ReadonlyArray<{ readonly id: string }>) => candidates.map((one) => one.id)

/** Runs requests of given lengths through `choose` in virtual time; answers when each started and ended. */
const simulate = (
  requests: ReadonlyArray<{ readonly candidate: Candidate; readonly arrives: number; readonly takes: number }>,
  concurrency: Bounds,
  share: Shares
) => {
  const waiting = new Map(requests.map((request) => [request.candidate.id, request]))
  const running: Array<{ readonly id: string; readonly operation: Candidate["operation"]; readonly ends: number }> = []
  const started = new Map<string, { readonly at: number; readonly ends: number }>()
  let credit: Credit = noCounts
  let now = 0
  for (;;) {
    const inFlight = { ...noCounts }
    for (const one of running) inFlight[one.operation]++
    const here = [...waiting.values()].filter((request) => request.arrives <= now)
    const choice = choose({
      candidates: here.map((request) => request.candidate),
      inFlight,
      concurrency,
      shares: share,
      credit,
      now
    })
    credit = choice.credit
    for (const one of choice.start) {
      const takes = waiting.get(one.id)?.takes ?? 0
      waiting.delete(one.id)
      started.set(one.id, { at: now, ends: now + takes })
      running.push({ id: one.id, operation: one.operation, ends: now + takes })
    }
    for (const one of choice.expired) waiting.delete(one.id)
    const next = Math.min(
      ...running.map((one) => one.ends),
      ...[...waiting.values()].map((request) => request.arrives).filter((at) => at > now)
    )
    if (!Number.isFinite(next)) return started
    now = next
    for (let i = running.length - 1; i >= 0; i--) if ((running[i]?.ends ?? 0) <= now) running.splice(i, 1)
  }
}

const arbitraryCandidate = fc.record({
  operation: fc.constantFrom(...operations),
  class: fc.constantFrom("realtime" as const, "batch" as const),
  latestStart: fc.integer({ min: 0, max: 100 }),
  slack: fc.integer({ min: 0, max: 50 }),
  since: fc.integer({ min: 0, max: 50 }),
  priority: fc.integer({ min: 0, max: 3 })
})
const arbitraryCandidates = fc.array(arbitraryCandidate, { maxLength: 30 }).map((many) =>
  many.map(({ slack, ...one }, n): Candidate => ({
    id: `c${n}`,
    ...one,
    deadline: one.operation === "status" || one.operation === "history" ? null : one.latestStart + slack
  }))
)
const limit = fc.option(fc.integer({ min: 1, max: 8 }), { nil: null })
const arbitraryBounds = fc.record({ total: limit, upload: limit, send: limit, status: limit, history: limit })
const count = fc.integer({ min: 0, max: 4 })
const arbitraryInput: fc.Arbitrary<DispatchInput> = fc.record({
  candidates: arbitraryCandidates,
  inFlight: fc.record({ send: count, history: count, status: count, upload: count }),
  concurrency: arbitraryBounds,
  shares: fc.record({ batch: fc.double({ min: 0, max: 1, noNaN: true }), ageMs: fc.integer({ min: 0, max: 100 }) }),
  credit: fc.constant(noCounts),
  now: fc.integer({ min: 0, max: 120 })
})

describe("the published example: limit 2, four batch requests and one realtime (MAIL-4, G11)", () => {
  it("starts the realtime request at the first slot that frees, and never leaves a slot idle", () => {
    const two: Bounds = { ...unbounded, total: 2 }
    const batch = [4, 6, 4, 4].map((takes, n) => ({ candidate: candidate(`batch-${n + 1}`), arrives: 0, takes }))
    const realtime = { candidate: candidate("realtime", { class: "realtime" }), arrives: 1, takes: 1 }
    const started = simulate([...batch, realtime], two, shares)
    const at = (id: string) => started.get(id)?.at
    expect([at("batch-1"), at("batch-2")]).toEqual([0, 0])
    expect(at("realtime")).toBe(4)
    expect([at("batch-3"), at("batch-4")]).toEqual([5, 6])
    // 19 units of work on 2 slots take 9.5 at the least; a workflow that finishes its batches first takes 11.
    expect(Math.max(...[...started.values()].map((one) => one.ends))).toBe(10)
  })
})

describe("choose", () => {
  it("never starts more than the limits allow (G9)", () => {
    fc.assert(fc.property(arbitraryInput, (given) => {
      const inFlight = { ...given.inFlight }
      for (const one of choose(given).start) {
        expect(freeSlots(given.concurrency, inFlight, one.operation)).toBeGreaterThan(0)
        inFlight[one.operation]++
      }
    }))
  })

  it("leaves nothing waiting that has a free slot (work conservation, G12)", () => {
    fc.assert(fc.property(arbitraryInput, (given) => {
      const choice = choose(given)
      const inFlight = { ...given.inFlight }
      for (const one of choice.start) inFlight[one.operation]++
      const handled = new Set([...choice.start, ...choice.expired])
      for (const one of given.candidates) {
        if (!handled.has(one)) expect(freeSlots(given.concurrency, inFlight, one.operation)).toBe(0)
      }
    }))
  })

  it("starts nothing after its deadline, and names exactly what is late (G13)", () => {
    fc.assert(fc.property(arbitraryInput, (given) => {
      const choice = choose(given)
      const late = given.candidates.filter((one) => one.deadline !== null && one.deadline <= given.now)
      expect(new Set(choice.expired)).toEqual(new Set(late))
      for (const one of choice.start) expect(late).not.toContain(one)
    }))
  })

  it("starts a candidate at most once", () => {
    fc.assert(fc.property(arbitraryInput, (given) => {
      const started = choose(given).start
      expect(new Set(ids(started)).size).toBe(started.length)
    }))
  })

  it("takes the earliest latest start first within a class and operation", () => {
    fc.assert(fc.property(arbitraryInput, (given) => {
      const { start } = choose(given)
      const order = compareUrgency(given.shares)
      for (const operation of operations) {
        for (const cls of ["realtime", "batch"] as const) {
          const line = start.filter((one) => one.operation === operation && one.class === cls)
          expect(line).toEqual(line.toSorted(order))
          const left = given.candidates.filter((one) =>
            one.operation === operation && one.class === cls && !start.includes(one) &&
            (one.deadline === null || one.deadline > given.now)
          )
          const last = line.at(-1)
          if (last !== undefined) { for (const one of left) expect(order(last, one)).toBeLessThan(0) }
        }
      }
    }))
  })

  it("puts realtime first while batch is owed nothing (G11)", () => {
    fc.assert(fc.property(arbitraryCandidates, fc.integer({ min: 1, max: 6 }), (candidates, slots) => {
      const given = input(candidates.map((one) => ({ ...one, operation: "upload", deadline: null })), {
        concurrency: { ...unbounded, upload: slots },
        shares: { batch: 0, ageMs: 60 }
      })
      const { start } = choose(given)
      const realtime = given.candidates.filter((one) => one.class === "realtime").length
      expect(start.filter((one) => one.class === "realtime").length).toBe(Math.min(slots, realtime))
    }))
  })

  it("gives batch its share of the contested starts, no more and no less (G12)", () => {
    fc.assert(fc.property(
      fc.double({ min: 0.05, max: 0.95, noNaN: true }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 200 }),
      (batch, slots, turns) => {
        let credit: Credit = noCounts
        let got = 0
        for (let turn = 1; turn <= turns; turn++) {
          const many = Array.from({ length: slots + 1 }, (_, n) => n)
          const choice = choose(input(
            [
              ...many.map((n) => candidate(`r${turn}-${n}`, { class: "realtime", latestStart: turn })),
              ...many.map((n) => candidate(`b${turn}-${n}`))
            ],
            { concurrency: { ...unbounded, upload: slots }, shares: { batch, ageMs: 60_000 }, credit }
          ))
          credit = choice.credit
          got += choice.start.filter((one) => one.class === "batch").length
          expect(choice.start.length).toBe(slots)
          expect(got).toBeGreaterThan(turn * slots * batch - 1.001)
          expect(got).toBeLessThan(turn * slots * batch + 1.001)
        }
      }
    ))
  })

  it("lets waiting count: a far deadline is not overtaken for ever by nearer ones", () => {
    const old = candidate("old", { latestStart: 1_000_000, since: 0 })
    const young = candidate("young", { latestStart: 70_000, since: 50_000 })
    const one = { concurrency: { ...unbounded, upload: 1 } }
    expect(ids(choose(input([old, young], { ...one, now: 59_000, shares: { batch: 0.2, ageMs: 80_000 } })).start))
      .toEqual(["young"])
    expect(ids(choose(input([old, young], { ...one, now: 60_000 })).start)).toEqual(["old"])
  })

  it("lets what is patient wait for the last uploads, and nothing else; and not while more lists are to come", () => {
    const send = candidate("send", { operation: "send", patient: true })
    const hasty = candidate("hasty", { operation: "send", latestStart: 900, patient: false })
    const question = candidate("question", { operation: "status", deadline: null, patient: true })
    const realtime = candidate("realtime", { operation: "send", class: "realtime" })
    const uploads = [
      candidate("upload 1", { since: 5, patient: true }),
      candidate("upload 2", { since: 6, patient: true })
    ]
    const all = [send, hasty, question, realtime, ...uploads]
    expect(ids(choose(input(all, { lastUploads: true })).start))
      .toEqual(["realtime", "hasty", "upload 1", "upload 2", "send", "question"])
    expect(ids(choose(input(all)).start)).toEqual(["realtime", "hasty", "send", "question", "upload 1", "upload 2"])
  })

  it("is through sooner when the last uploads go first: the wait within their chains is filled", () => {
    // Eight places; lists of 600 ms, then a send of 100, 225 at the provider and a question of 50; some are uploaded already.
    const through = (lastUploads: boolean) => {
      const takes = { upload: 600, send: 100, status: 50, history: 50 }
      const lists = Array.from({ length: 20 }, (_, n) => ({
        id: `list ${10 + n}`,
        at: 0,
        next: n < 8 ? "send" as const : "upload" as const
      }))
      const chain = { upload: "send", send: "status" } as const
      let open: Array<{ readonly id: string; readonly at: number; readonly next: Candidate["operation"] }> = lists
      let running: Array<{ readonly list: (typeof open)[number]; readonly ends: number }> = []
      for (let now = 0;; now++) {
        for (const { list } of running.filter(({ ends }) => ends <= now)) {
          if (list.next !== "status") {
            const next = chain[list.next === "upload" ? "upload" : "send"]
            open = [...open, { id: list.id, at: now + (next === "status" ? 225 : 0), next }]
          }
        }
        running = running.filter(({ ends }) => ends > now)
        if (open.length === 0 && running.length === 0) return now
        const inFlight = { ...noCounts }
        for (const { list } of running) inFlight[list.next]++
        const able = open.filter(({ at }) => at <= now)
        const { start } = choose(input(
          able.map(({ id, next }) => candidate(id, { operation: next, patient: true })),
          { inFlight, concurrency: { ...unbounded, total: 8 }, lastUploads }
        ))
        const chosen = new Set(ids(start))
        running = [
          ...running,
          ...able.filter(({ id }) => chosen.has(id)).map((list) => ({ list, ends: now + takes[list.next] }))
        ]
        open = open.filter(({ id }) => !chosen.has(id))
      }
    }
    expect(through(true)).toBeLessThan(through(false))
  })

  it("does not let questions displace work, nor leave their slots idle", () => {
    const eight: Bounds = { ...unbounded, total: 8 }
    const polls = Array.from(
      { length: 10 },
      (_, n) => candidate(`p${n}`, { operation: "status", deadline: null, latestStart: 0 })
    )
    const uploads = Array.from({ length: 10 }, (_, n) => candidate(`u${n}`, { latestStart: 5 }))
    const mixed = choose(input([...polls, ...uploads], { concurrency: eight })).start
    expect(mixed.filter((one) => one.operation === "status").length).toBe(questionSlots(eight))
    expect(choose(input(polls, { concurrency: eight })).start.length).toBe(8)
  })

  it("sends what is uploaded before it uploads more of the same urgency", () => {
    const given = input([candidate("upload"), candidate("send", { operation: "send" })], {
      concurrency: { ...unbounded, total: 1 }
    })
    expect(ids(choose(given).start)).toEqual(["send"])
  })
})

describe("settle", () => {
  it("agrees with choose when all of a choice has started", () => {
    fc.assert(fc.property(arbitraryInput, (given) => {
      const choice = choose(given)
      const settled = settle(given, choice, new Set(ids(choice.start)))
      for (const operation of operations) expect(settled[operation]).toBeCloseTo(choice.credit[operation], 9)
    }))
  })

  it("charges nothing for what has not started", () => {
    const given = input([candidate("b"), candidate("r", { class: "realtime" })], {
      credit: { ...noCounts, upload: 0.5 }
    })
    expect(settle(given, choose(given), new Set())).toEqual(given.credit)
  })
})

describe("listNext", () => {
  const group = (id: string, of: Partial<Group> = {}): Group => ({
    id,
    class: "batch",
    latestStart: 1_000,
    since: 0,
    priority: 0,
    full: false,
    ...of
  })
  const none = { realtime: 0, batch: 0 }

  it("makes as many lists as there are free slots, realtime first", () => {
    const groups = [group("b1"), group("b2"), group("r1", { class: "realtime" })]
    expect(ids(listNext(groups, none, 2, 0, shares))).toEqual(["r1", "b1"])
  })

  it("takes a big group several times, up to the free slots and a few in advance", () => {
    expect(ids(listNext([group("big", { full: true })], none, 3, 2, shares))).toEqual(Array(5).fill("big"))
    expect(ids(listNext([group("big", { full: true })], { realtime: 0, batch: 5 }, 3, 2, shares))).toEqual([])
  })

  it("lets small groups of batch grow while no slot is free, but for a first that can claim batch's share", () => {
    expect(ids(listNext([group("b1"), group("b2")], none, 0, 2, shares))).toEqual(["b1"])
    expect(ids(listNext([group("b1")], { realtime: 0, batch: 1 }, 0, 2, shares))).toEqual([])
  })
})

describe("fairness between systems", () => {
  const group = (id: string, system: string, latestStart: number, full = true): Group => ({
    id,
    class: "batch",
    latestStart,
    since: 0,
    priority: 0,
    full,
    system
  })
  const none = { realtime: 0, batch: 0 }
  const never = { now: 0, served: new Map<string, number>() }

  it("lets systems take turns, whoever's deadline is nearer and however much one has", () => {
    const groups = [group("a1", "a", 100), group("a2", "a", 200), group("b1", "b", 900)]
    expect(ids(listNext(groups, none, 4, 0, shares, never))).toEqual(["a1", "b1", "a1", "b1"])
  })

  it("remembers who had how many", () => {
    const groups = [group("a1", "a", 100), group("b1", "b", 900)]
    const served = new Map([["a", 3], ["b", 1]])
    expect(ids(listNext(groups, none, 4, 0, shares, { now: 0, served }))).toEqual(["b1", "b1", "a1", "b1"])
  })

  it("puts what must start by now before all turns (MAIL-5)", () => {
    const groups = [group("a1", "a", 100), group("b1", "b", 900)]
    const served = new Map([["a", 9]])
    expect(ids(listNext(groups, none, 2, 0, shares, { now: 100, served }))).toEqual(["a1", "a1"])
  })

  it("goes on with the others when one system has nothing more", () => {
    const groups = [group("a1", "a", 100, false), group("b1", "b", 900)]
    expect(ids(listNext(groups, none, 3, 0, shares, never))).toEqual(["a1", "b1", "b1"])
  })
})

describe("prediction (MAIL-5)", () => {
  it("starts a big batch early enough for all its rounds", () => {
    const pace = { requestMs: 100, perRecipientMs: 1 }
    expect(latestStart(100_000, 50, pace, 1_000, 4)).toBe(100_000 - 150)
    expect(latestStart(100_000, 8_000, pace, 1_000, 4)).toBe(100_000 - 2 * 1_100)
  })

  it("learns from what requests took", () => {
    let pace = { requestMs: 1, perRecipientMs: 0.01 }
    for (let n = 0; n < 60; n++) pace = learnPace(pace, 1_000, 500)
    expect(predictMs(pace, 1_000)).toBeGreaterThan(450)
    expect(predictMs(pace, 1_000)).toBeLessThan(550)
  })
})
