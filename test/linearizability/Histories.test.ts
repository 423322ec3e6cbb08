/**
 * The judges of the cluster's histories, on histories that were made up: what a product would have answered is accepted,
 * heard or unheard, and what no product would have answered is found.
 */
import { fingerprint } from "@hikyaku/cluster/actor/Wire"
import { makeSeededRandom, type SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import type { ProductReply } from "@hikyaku/domain/stock/Product"
import { commandIdPool } from "@hikyaku/domain/testing"
import { describe, expect, it } from "vitest"
import { type Allocation, type Execution, executionKey, type Facts } from "../cluster/Books.ts"
import { type Attempt, type Call, History, type Reply } from "../cluster/History.ts"
import { judgeLinear } from "../cluster/Linear.ts"
import { judgeHistory } from "../cluster/Verdict.ts"
import { productModel } from "./ProductModel.ts"

const product = "tee"
const tickets = commandIdPool(40, 1_760_000_000_000)
const pieces = 12

interface Tale {
  readonly attempts: Array<{ -readonly [K in keyof Attempt]: Attempt[K] }>
  readonly allocations: Map<string, Allocation>
  readonly outcomes: Map<string, string>
  readonly tombstones: Map<string, string>
  readonly executions: Map<string, Array<Execution>>
}

/** What the shop answers of what the actor says. */
const told = (reply: ProductReply): Reply => reply

/** A product's life: commands that overlap, each of which takes effect at one instant, and some of which nobody heard of. */
const tale = (random: SeededRandom): Tale => {
  const model = productModel(0)
  let { initial: state } = model
  const made: Tale = {
    attempts: [],
    allocations: new Map(),
    outcomes: new Map(),
    tombstones: new Map(),
    executions: new Map()
  }
  let instant = 1_000
  const happen = (call: Call, input: Parameters<typeof model.step>[1], mayBeSilent = true): ProductReply => {
    instant += 10
    const { output, state: after } = model.step(state, input)
    state = after
    if (input._tag === "ReleaseTicket") {
      const key = executionKey(product, fingerprint(input))
      made.executions.set(key, [...made.executions.get(key) ?? [], { tag: output._tag, place: undefined }])
    }
    // Unlike any other instant, and far enough from this one that neighbours overlap.
    const calledAt = instant - random.between(1, 45) - random.next()
    const answeredAt = instant + random.between(1, 45) + random.next()
    const silent = mayBeSilent && random.chance(0.15)
    made.attempts.push({
      product,
      call,
      connection: `connection ${made.attempts.length}`,
      calledAt,
      calledMs: calledAt,
      answeredAt,
      answeredMs: answeredAt,
      answer: silent ? { _tag: "Silent", why: "nobody waited" } : { _tag: "Reply", reply: told(output) }
    })
    return output
  }
  happen(
    { _tag: "Restock", version: 1, pieces },
    {
      _tag: "ChangeStock",
      source: "warehouse",
      sourceVersion: 1,
      meaning: "onHand",
      change: { _tag: "Delta", delta: pieces }
    },
    false
  )
  for (const ticket of tickets.slice(0, 28)) {
    const giveUp = () => {
      const reason = random.pick(["Released", "Cancelled", "TimedOut"] as const)
      const row = made.allocations.get(ticket)
      happen({ _tag: "GiveUp", ticket, reason }, { _tag: "ReleaseTicket", ticket, reason })
      if (row?.status === "allocated") {
        const status = { Released: "released", Cancelled: "cancelled", TimedOut: "timed_out" }[reason]
        made.allocations.set(ticket, { ...row, status })
      } else if (!made.tombstones.has(ticket)) made.tombstones.set(ticket, reason)
    }
    if (random.chance(0.1)) giveUp()
    const member = `m-${random.between(1, 9)}`
    const quantity = random.between(1, 2)
    const line = { ticket, member, quantity, waitlist: false }
    const output = happen({ _tag: "Add", ...line }, { _tag: "AddToCart", ...line })
    made.outcomes.set(ticket, output._tag)
    if (output._tag === "Allocated") {
      made.allocations.set(ticket, {
        product,
        ticket,
        member,
        quantity,
        sequence: output.sequence,
        status: "allocated"
      })
    }
    if (random.chance(0.25)) giveUp()
    if (random.chance(0.25)) happen({ _tag: "ReadStock" }, { _tag: "ReadStock" })
  }
  return made
}

/** What is wrong with it; `undecided` where the search was given up, as it may be on the way to the proof of a lie. */
const judged = ({ allocations, attempts, executions, outcomes, tombstones }: Tale): ReadonlyArray<string> => {
  const history = new History()
  history.attempts.push(...attempts.toSorted((a, b) => a.calledAt - b.calledAt))
  const rows = [...allocations.values()].toSorted((a, b) => a.sequence - b.sequence)
  const facts: Facts = {
    allocations: new Map(rows.map((row) => [row.ticket, row])),
    outcomes,
    tombstones,
    executions,
    waits: new Map(),
    // In which order the rows were written is not told: the verdict must not rest on it.
    places: { adds: new Map(), waits: new Map(), intakes: new Map() }
  }
  const linear = judgeLinear(history, facts, new Set([product]))
  expect(linear.tooLong).toEqual([])
  return [...judgeHistory(history, facts), ...linear.problems, ...linear.undecided.map(() => undecided)]
}

const undecided = "undecided"

const seeds = Array.from({ length: 40 }, (_, n) => `tale-${n}`)
const taleOf = (seed: string) => tale(makeSeededRandom(seed))

const heard = ({ attempts }: Tale, tag: Call["_tag"], reply: string) =>
  attempts.filter(({ answer, call }) => call._tag === tag && answer?._tag === "Reply" && answer.reply._tag === reply)

const ticketOf = (attempt: Attempt | undefined): string =>
  attempt?.call._tag === "Add" || attempt?.call._tag === "GiveUp" ? attempt.call.ticket : ""

/** Lies, each told where it can be; false where it cannot. */
const lies: Readonly<Record<string, (tale: Tale) => boolean>> = {
  "G1: a ticket that was refused has stock": (tale) => {
    const [refused] = heard(tale, "Add", "SoldOut")
    const [last] = [...tale.allocations.values()].toSorted((a, b) => b.sequence - a.sequence)
    if (refused === undefined || last === undefined || refused.call._tag !== "Add") return false
    const { member, quantity, ticket } = refused.call
    const sequence = last.sequence + 1
    refused.answer = { _tag: "Reply", reply: { _tag: "Allocated", sequence } }
    tale.outcomes.set(ticket, "Allocated")
    tale.allocations.set(ticket, { product, ticket, member, quantity, sequence, status: "allocated" })
    return true
  },
  "G2: an acknowledged ticket is not on record": (tale) => {
    const lost = ticketOf(heard(tale, "Add", "Allocated").at(-1))
    return tale.outcomes.delete(lost) && tale.allocations.delete(lost)
  },
  "G3: a repeat hears something else": (tale) => {
    const [first] = heard(tale, "Add", "Allocated")
    if (first === undefined) return false
    const at = 100_000
    const answer = { _tag: "Reply", reply: { _tag: "SoldOut" } } as const
    tale.attempts.push({ ...first, calledAt: at, answeredAt: at + 1, answer })
    return true
  },
  "G4: the later one has the lower number": (tale) => {
    const allocated = heard(tale, "Add", "Allocated")
    const first = allocated[0]
    const later = allocated.find((each) => each.calledAt > (first?.answeredAt ?? Infinity))
    const a = tale.allocations.get(ticketOf(first))
    const b = tale.allocations.get(ticketOf(later))
    if (first === undefined || later === undefined || a === undefined || b === undefined) return false
    const { answer } = first
    first.answer = later.answer
    later.answer = answer
    tale.allocations.set(a.ticket, { ...a, sequence: b.sequence })
    tale.allocations.set(b.ticket, { ...b, sequence: a.sequence })
    return true
  },
  "G4: a number is missing": (tale) => {
    const last = [...tale.allocations.values()].at(-1)
    if (last === undefined) return false
    tale.allocations.set(last.ticket, { ...last, sequence: last.sequence + 1 })
    return true
  },
  "G4: a read tells of a piece that is not there": (tale) => {
    const read = heard(tale, "ReadStock", "StockLevel").at(-1)
    if (read?.answer?._tag !== "Reply") return false
    const { reply } = read.answer
    read.answer = { _tag: "Reply", reply: { ...reply, available: (reply.available ?? 0) + 1 } }
    return true
  },
  "G6: what was given up still has its stock": (tale) => {
    const gone = [...tale.allocations.values()].find(({ status, ticket }) =>
      status !== "allocated" &&
      tale.attempts.some(({ answer, call }) =>
        call._tag === "GiveUp" && call.ticket === ticket && answer?._tag === "Reply"
      )
    )
    if (gone === undefined) return false
    tale.allocations.set(gone.ticket, { ...gone, status: "allocated" })
    return true
  }
}

describe("the judges of histories", () => {
  it("find nothing wrong with what a product would have answered, whoever heard of it", () => {
    for (const seed of seeds) expect(judged(taleOf(seed)), seed).toEqual([])
  })

  for (const [lie, tell] of Object.entries(lies)) {
    it(`find a lie: ${lie}`, () => {
      let times = 0
      let proofs = 0
      for (const seed of seeds) {
        const tale = taleOf(seed)
        if (!tell(tale)) continue
        times++
        const problems = judged(tale)
        // Never is it taken for the truth.
        expect(problems.length, seed).toBeGreaterThan(0)
        if (problems.some((problem) => problem !== undecided)) proofs++
      }
      expect(times).toBeGreaterThan(10)
      expect(proofs / times).toBeGreaterThan(0.8)
    })
  }
})
