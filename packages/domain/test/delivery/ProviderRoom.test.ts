/**
 * Slots ahead of their turn: more are granted than requests may be under way, because the owner keeps within the room that
 * it is told. Whether that is enough is judged by what the provider sees, whatever crashes and takeovers lie between.
 */
import { type Candidate, choose, type DispatchInput, readyInput } from "@hikyaku/domain/delivery/Dispatch"
import type { ProviderReply, Room, SlotEnd } from "@hikyaku/domain/delivery/ProviderCommand"
import {
  countBy,
  freeSlots,
  type Limits,
  noCounts,
  type Operation,
  operations,
  unbounded,
  windowMs
} from "@hikyaku/domain/delivery/RateLimit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Account, limitsOf } from "./Account.ts"

const leaseMs = 500
const endsWithinMs = 4_000

/** A request as the provider sees it. */
interface Seen {
  readonly id: string
  readonly operation: Operation
  readonly from: number
  until: number
}
/** A dispatcher: the slots that it has not used yet, and the room as of its last answer. */
interface Owner {
  readonly name: string
  readonly ready: Map<string, { readonly operation: Operation; readonly notAfter: number }>
  readonly underWay: Array<Seen>
  room: Room
}

const noRoom: Room = { total: 0, upload: 0, send: 0, status: 0, history: 0 }

class Owners extends Account {
  readonly seen: Array<Seen> = []
  private next = 0
  constructor(readonly limits: Limits) {
    super(limits, null)
  }
  takeOver(name: string, wall: number): Owner {
    this.send({ _tag: "Takeover", owner: name, wall })
    return { name, ready: new Map(), underWay: [], room: noRoom }
  }
  ask(
    owner: Owner,
    wall: number,
    wanted: ReadonlyArray<{ operation: Operation; realtime: boolean }>,
    ahead: number
  ): ProviderReply {
    const requests = wanted.map(({ operation, realtime }) => ({
      id: `${this.next++}`,
      operation,
      class: realtime ? "realtime" as const : "batch" as const,
      leaseMs,
      endsWithinMs
    }))
    const reply = this.send({ _tag: "AcquireSlots", owner: owner.name, wall, ended: [], requests, ahead })
    if (reply._tag !== "Granted" && reply._tag !== "Wait") return reply
    owner.room = reply.room
    if (reply._tag === "Granted") {
      for (const { id, notAfter } of reply.granted) {
        const operation = requests.find((one) => one.id === id)?.operation ?? "upload"
        owner.ready.set(id, { operation, notAfter })
      }
    }
    return reply
  }
  /** Starts what is ready, as far as the owner's room goes: all that it knows. */
  start(owner: Owner, wall: number, takes: () => number): void {
    for (const [id, { notAfter, operation }] of owner.ready) {
      const underWay = countBy(owner.underWay.filter((one) => one.until > wall))
      if (notAfter <= wall || freeSlots(owner.room, underWay, operation) === 0) continue
      owner.ready.delete(id)
      const one = { id, operation, from: wall, until: wall + takes() }
      owner.underWay.push(one)
      this.seen.push(one)
    }
  }
  tell(owner: Owner, wall: number, ended: ReadonlyArray<SlotEnd>): void {
    this.send({ _tag: "FreeSlots", owner: owner.name, wall, ended: [...ended] })
  }
}

const bound = fc.option(fc.integer({ min: 1, max: 5 }), { nil: null })
const step = fc.record({
  act: fc.constantFrom("ask", "ask", "ask", "start", "start", "end", "end", "lost", "crash", "late"),
  n: fc.integer({ min: 1, max: 8 }),
  pause: fc.integer({ min: 0, max: 700 })
})

describe("slots ahead of their turn (G9, R20)", () => {
  it("never more under way, or started within a second, than the limits: through lost answers, crashes and owners that start late", () => {
    fc.assert(
      fc.property(
        fc.record({ total: bound, upload: bound, send: bound }),
        fc.record({ total: fc.option(fc.integer({ min: 1, max: 12 }), { nil: null }) }),
        fc.integer({ min: 0, max: 5 }),
        fc.array(step, { minLength: 10, maxLength: 80 }),
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        (concurrency, perSecond, ahead, steps, chance) => {
          const draw = () => chance.next().value ?? 0
          const account = new Owners(limitsOf(concurrency, perSecond))
          const owners = [account.takeOver("o1", 0)]
          let wall = 0
          for (const { act, n, pause } of steps) {
            wall += pause
            const current = owners[owners.length - 1]
            // One that was deposed and does not know it goes on with what it has.
            const owner = act === "late" ? owners[owners.length - 2] ?? current : current
            if (owner === undefined) continue
            const open = owner.underWay.filter((one) => one.until > wall)
            switch (act) {
              case "ask": {
                const wanted = Array.from({ length: n }, () => ({
                  operation: draw() < 0.5 ? "upload" as const : "send" as const,
                  realtime: draw() < 0.3
                }))
                account.ask(owner, wall, wanted, ahead)
                break
              }
              case "start":
              case "late":
                account.start(owner, wall, () => 1 + Math.floor(draw() * (endsWithinMs - 1)))
                break
              case "end": {
                const ended = open.slice(0, n)
                for (const one of ended) one.until = wall
                account.tell(
                  owner,
                  wall,
                  ended.map((one) => ({ id: one.id, startedBy: wall, busyForMs: 0, throttledForMs: null }))
                )
                break
              }
              case "lost": {
                const one = open[0]
                if (one === undefined) break
                // No answer: the place stays taken for as long as the provider may be at it.
                one.until = Math.min(one.until, wall + 1_000)
                const rest = { ...one, until: wall + 1_000 }
                owner.underWay.splice(owner.underWay.indexOf(one), 1, rest)
                account.tell(owner, wall, [{ id: one.id, startedBy: wall, busyForMs: 1_000, throttledForMs: null }])
                break
              }
              case "crash":
                owners.push(account.takeOver(`o${owners.length + 1}`, wall))
            }
          }
          for (const one of account.seen) {
            const during = account.seen.filter((other) => other.from <= one.from && other.until > one.from)
            const within = account.seen.filter((other) => other.from <= one.from && other.from > one.from - windowMs)
            for (const  of of["total", one.operation] as const) {
              const count = (many: ReadonlyArray<Seen>) =>
                many.filter((each) => of === "total" || each.operation === of).length
              expect(count(during)).toBeLessThanOrEqual(account.limits.concurrency[of] ?? Number.POSITIVE_INFINITY)
              expect(count(within)).toBeLessThanOrEqual(account.limits.perSecond[of] ?? Number.POSITIVE_INFINITY)
            }
          }
        }
      ),
      { numRuns: 400 }
    )
  })

  const batch = (n: number) => Array.from({ length: n }, () => ({ operation: "upload" as const, realtime: false }))
  const realtime = (n: number) => Array.from({ length: n }, () => ({ operation: "upload" as const, realtime: true }))

  it("grants as many more as asked for, twice as many for realtime, and tells the room", () => {
    const account = new Owners(limitsOf({ total: 2 }))
    const owner = account.takeOver("o1", 0)
    expect(account.ask(owner, 0, batch(9), 3)).toMatchObject({ _tag: "Granted", room: { total: 2 }, roomAfter: null })
    expect(owner.ready.size).toBe(5)
    account.ask(owner, 0, realtime(9), 3)
    expect(owner.ready.size).toBe(8)
  })

  it("tells a new owner the room that the slots of the one before leave, and when it grows", () => {
    const account = new Owners(limitsOf({ total: 4 }))
    account.ask(account.takeOver("o1", 0), 0, batch(3), 0)
    const next = account.takeOver("o2", 100)
    expect(account.ask(next, 100, batch(9), 0)).toMatchObject({
      room: { total: 1 },
      roomAfter: leaseMs + endsWithinMs - 100
    })
    expect(next.ready.size).toBe(1)
    expect(account.ask(next, leaseMs + endsWithinMs, batch(9), 0)).toMatchObject({
      room: { total: 4 },
      roomAfter: null
    })
  })

  it("has no room for an operation that the provider pushed back, and half of it after that", () => {
    const account = new Owners(limitsOf({ total: 4 }))
    const owner = account.takeOver("o1", 0)
    account.ask(owner, 0, batch(1), 0)
    account.tell(owner, 10, [{ id: "0", startedBy: 5, busyForMs: 0, throttledForMs: 1_000 }])
    expect(account.ask(owner, 20, [], 0)).toMatchObject({ room: { total: 4, upload: 0, send: null }, roomAfter: 990 })
    expect(account.ask(owner, 1_010, [], 0)).toMatchObject({ room: { total: 4, upload: 2 } })
  })
})

describe("readyInput: what may be made ready ahead of its turn (G11)", () => {
  const candidate = (id: string, cls: "realtime" | "batch"): Candidate => ({
    id,
    operation: "upload",
    class: cls,
    latestStart: 0,
    deadline: null,
    since: 0,
    priority: 0
  })
  const many = (n: number, cls: "realtime" | "batch") =>
    Array.from({ length: n }, (_, at) => candidate(`${cls}${at}`, cls))
  const input = (of: Partial<DispatchInput>): DispatchInput => ({
    candidates: [],
    inFlight: noCounts,
    concurrency: { ...unbounded, total: 2 },
    shares: { batch: 0.2, ageMs: 60_000 },
    credit: noCounts,
    now: 0,
    ...of
  })

  it("keeps batch to a few beyond the room, so that the order can still change and realtime finds slots of its own", () => {
    const full = { ...noCounts, upload: 2 }
    expect(choose(readyInput(input({ candidates: many(20, "batch"), inFlight: full }), 3)).start.length).toBe(3)
    const fullAndReady = { ...noCounts, upload: 5 }
    expect(choose(readyInput(input({ candidates: many(20, "batch"), inFlight: fullAndReady }), 3)).start).toEqual([])
    const both = [...many(20, "batch"), ...many(2, "realtime")]
    const chosen = choose(readyInput(input({ candidates: both, inFlight: fullAndReady }), 3)).start
    expect(chosen.map(({ id }) => id)).toEqual(["realtime0", "realtime1"])
  })

  it("chooses what choose does when nothing is made ready ahead", () => {
    const all = [...many(9, "batch"), ...many(3, "realtime")]
    for (const operation of operations) {
      const given = input({ candidates: all.map((one) => ({ ...one, operation })) })
      expect(choose(readyInput(given, 0)).start.map(({ id }) => id)).toEqual(choose(given).start.map(({ id }) => id))
    }
  })
})
