import { makeSeededRandom, type SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import type { ProductCommand, ProductReply } from "@hikyaku/domain/stock/Product"
import { commandIdPool } from "@hikyaku/domain/testing"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { judge, type Model, type Operation } from "./Linearizability.ts"
import { productModel } from "./ProductModel.ts"

/** A register: `w1` writes, `r` reads. */
const register: Model<string, string, string> = {
  initial: "0",
  step: (state, input) => input === "r" ? { state, output: state } : { state: input.slice(1), output: "ok" },
  agrees: (expected, actual) => expected === actual,
  key: (state) => state
}
/** `call-return input output`, or `call- input` for what was never answered. */
const history = (...lines: ReadonlyArray<string>): ReadonlyArray<Operation<string, string>> =>
  lines.map((line) => {
    const [span, input, output] = line.split(" ") as [string, string, string | undefined]
    const [call, at] = span.split("-") as [string, string]
    return { call: Number(call), input, answer: output === undefined ? null : { at: Number(at), output } }
  })
const verdict = (...lines: ReadonlyArray<string>) => judge(register, history(...lines))._tag

/** The definition, word for word: some order of the answered and some of the others explains it and keeps real time. */
const byDefinition = <S, I, O>(model: Model<S, I, O>, operations: ReadonlyArray<Operation<I, O>>): boolean => {
  const explain = (state: S, left: ReadonlyArray<Operation<I, O>>): boolean =>
    left.every(({ answer }) => answer === null) ||
    left.some((operation) => {
      if (left.some(({ answer }) => answer !== null && answer.at < operation.call)) return false
      const { output, state: after } = model.step(state, operation.input)
      if (operation.answer !== null && !model.agrees(output, operation.answer.output)) return false
      return explain(after, left.filter((each) => each !== operation))
    })
  return explain(model.initial, operations)
}

describe("the linearizability checker", () => {
  it("accepts what one order explains", () => {
    expect(verdict()).toBe("Linearizable")
    expect(verdict("1-2 r 0", "3-4 w1 ok", "5-6 r 1")).toBe("Linearizable")
    expect(verdict("1-6 w1 ok", "2-3 r 0", "4-5 r 1")).toBe("Linearizable")
    expect(verdict("1-6 w1 ok", "2-5 w2 ok", "7-8 r 1")).toBe("Linearizable")
    expect(verdict("1-6 w1 ok", "2-5 w2 ok", "7-8 r 2")).toBe("Linearizable")
  })

  it("rejects a stale read, a lost write, a value out of nowhere", () => {
    expect(verdict("1-2 w1 ok", "3-4 r 0")).toBe("NotLinearizable")
    expect(verdict("1-6 w1 ok", "2-3 r 1", "4-5 r 0")).toBe("NotLinearizable")
    expect(verdict("1-2 w1 ok", "3-4 w2 ok", "5-6 r 1")).toBe("NotLinearizable")
    expect(verdict("1-2 r 7")).toBe("NotLinearizable")
  })

  it("lets what was never answered happen late, or not at all, but not before its call", () => {
    expect(verdict("1- w1", "2-3 r 0", "8-9 r 1")).toBe("Linearizable")
    expect(verdict("1- w1", "2-3 r 0")).toBe("Linearizable")
    expect(verdict("1-2 r 1", "3- w1")).toBe("NotLinearizable")
    expect(verdict("1- w1", "2-3 r 1", "4-5 r 0")).toBe("NotLinearizable")
  })

  it("says where an explanation ends", () => {
    const judged = judge(register, history("1-2 w1 ok", "3-4 r 1", "5-6 r 0"))
    expect(judged).toMatchObject({ longest: [{ call: 1 }, { call: 3 }], next: [{ call: 5 }] })
    expect(judge(register, history("1-2 r 9"))).toMatchObject({ longest: [], next: [{ call: 1 }] })
  })

  it("gives up after so many steps and says so", () => {
    const writes = Array.from({ length: 14 }, (_, i) => `${i}- w${i}`)
    expect(judge(register, history(...writes, "50-51 r nothing"), 1000)._tag).toBe("Undecided")
  })

  it("agrees with the definition on all kinds of small histories", () => {
    const operation = fc.record({
      input: fc.constantFrom("r", "r", "w1", "w2"),
      output: fc.constantFrom("0", "1", "2"),
      from: fc.nat(20),
      length: fc.integer({ min: 1, max: 12 }),
      answered: fc.boolean()
    })
    let accepted = 0
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (drafts) => {
        const operations = drafts.map(({ answered, from, input, length, output }, i): Operation<string, string> => ({
          call: from + i / 100,
          input,
          answer: answered ? { at: from + length + i / 100 + 0.005, output: input === "r" ? output : "ok" } : null
        }))
        const expected = byDefinition(register, operations)
        expect(judge(register, operations)._tag).toBe(expected ? "Linearizable" : "NotLinearizable")
        if (expected) accepted++
      }),
      { numRuns: 2000, seed: 7 }
    )
    expect(accepted).toBeGreaterThan(200)
    expect(accepted).toBeLessThan(1900)
  })
})

type ProductOperation = Operation<ProductCommand, ProductReply>

const stock = 6
const command = (random: SeededRandom, tickets: ReadonlyArray<string>, fresh: () => string): ProductCommand => {
  const ticket = tickets[random.between(0, tickets.length - 1)] ?? fresh()
  switch (random.between(0, 6)) {
    case 0:
      return { _tag: "ReleaseTicket", ticket, reason: "Cancelled" }
    case 1:
      return { _tag: "BuyTicket", order: "o-1", ticket }
    case 2:
      return { _tag: "ConfirmOffer", ticket }
    case 3:
      return { _tag: "ReadStock" }
    default:
      return {
        _tag: "AddToCart",
        ticket: fresh(),
        member: "m-1",
        quantity: random.between(1, 2),
        waitlist: random.chance(0.3)
      }
  }
}

/** A right history: every operation takes effect at an instant of its own between call and return. */
const makeHistory = (random: SeededRandom, count: number, clients: number): ReadonlyArray<ProductOperation> => {
  const model = productModel(stock)
  const pool = commandIdPool(count, 1_760_000_000_000)
  const used: Array<string> = []
  const fresh = () => {
    const ticket = pool[used.length]!
    used.push(ticket)
    return ticket
  }
  const free = Array.from({ length: clients }, () => 0)
  const drafts = Array.from({ length: count }, () => {
    const client = random.between(0, clients - 1)
    const call = free[client]! + random.next()
    const instant = call + 3 * random.next()
    const at = instant + 3 * random.next()
    free[client] = at
    return { call, instant, at }
  }).toSorted((a, b) => a.instant - b.instant)
  let { initial: state } = model
  return drafts.map(({ at, call }) => {
    const input = command(random, used, fresh)
    const { output, state: after } = model.step(state, input)
    state = after
    return { call, input, answer: random.chance(0.08) ? null : { at, output } }
  }).toSorted((a, b) => a.call - b.call)
}

const replaced = (
  operations: ReadonlyArray<ProductOperation>,
  at: number,
  change: (reply: ProductReply) => ProductReply
): ReadonlyArray<ProductOperation> =>
  operations.map((operation, i) =>
    i !== at || operation.answer === null
      ? operation
      : { ...operation, answer: { ...operation.answer, output: change(operation.answer.output) } }
  )

const where = (operations: ReadonlyArray<ProductOperation>, tag: ProductReply["_tag"]): ReadonlyArray<number> =>
  operations.flatMap(({ answer }, i) => answer?.output._tag === tag ? [i] : [])

describe("G4: a product's history", () => {
  const seeds = Array.from({ length: 60 }, (_, i) => `history-${i}`)

  it("that is right is accepted", () => {
    for (const seed of seeds) {
      expect(judge(productModel(stock), makeHistory(makeSeededRandom(seed), 80, 6))._tag, seed).toBe("Linearizable")
    }
  })

  it("in which somebody was told another place in the order is rejected", () => {
    for (const seed of seeds) {
      const operations = makeHistory(makeSeededRandom(seed), 60, 4)
      const [at] = where(operations, "Allocated")
      if (at === undefined) throw new Error(`nothing was allocated in ${seed}`)
      const wrong = replaced(
        operations,
        at,
        (reply) => reply._tag === "Allocated" ? { ...reply, sequence: reply.sequence + 50 } : reply
      )
      expect(judge(productModel(stock), wrong)._tag, seed).toBe("NotLinearizable")
    }
  })

  it("in which one piece too many was promised is rejected", () => {
    const model = productModel(stock)
    for (const seed of seeds) {
      // One client after the other, so that who was refused was refused for lack of stock.
      const operations = makeHistory(makeSeededRandom(seed), 60, 1)
      const at = where(operations, "SoldOut")[0] ?? where(operations, "Waitlisted")[0]
      if (at === undefined) continue
      const sequence = where(operations.slice(0, at), "Allocated").length + 1
      const wrong = replaced(operations, at, () => ({ _tag: "Allocated", sequence, expiresAt: 0 }))
      expect(judge(model, wrong)._tag, seed).toBe("NotLinearizable")
    }
  })

  it("in which somebody was refused although there was stock is rejected", () => {
    for (const seed of seeds) {
      const operations = makeHistory(makeSeededRandom(seed), 60, 1)
      const [at] = where(operations, "Allocated")
      if (at === undefined) continue
      expect(judge(productModel(stock), replaced(operations, at, () => ({ _tag: "SoldOut" })))._tag, seed)
        .toBe("NotLinearizable")
    }
  })

  it("in which a level was told that never was is rejected", () => {
    for (const seed of seeds) {
      const operations = makeHistory(makeSeededRandom(seed), 60, 4)
      const [at] = where(operations, "StockLevel")
      if (at === undefined) continue
      const wrong = replaced(
        operations,
        at,
        (reply) => reply._tag === "StockLevel" ? { ...reply, available: reply.available + 20 } : reply
      )
      expect(judge(productModel(stock), wrong)._tag, seed).toBe("NotLinearizable")
    }
  })

  it("in which a later request was served before an earlier one that was already answered is rejected", () => {
    const ids = commandIdPool(3, 1_760_000_000_000)
    const add = (i: number, call: number, output: ProductReply): ProductOperation => ({
      call,
      input: { _tag: "AddToCart", ticket: ids[i]!, member: "m-1", quantity: 3, waitlist: false },
      answer: { at: call + 1, output }
    })
    const allocated = (sequence: number): ProductReply => ({ _tag: "Allocated", sequence, expiresAt: 0 })
    const right = [add(0, 1, allocated(1)), add(1, 3, allocated(2)), add(2, 5, { _tag: "SoldOut" })]
    const overtaken = [add(0, 1, allocated(1)), add(1, 3, { _tag: "SoldOut" }), add(2, 5, allocated(2))]
    const swapped = [add(0, 1, allocated(2)), add(1, 3, allocated(1))]
    expect([right, overtaken, swapped].map((each) => judge(productModel(stock), each)._tag))
      .toEqual(["Linearizable", "NotLinearizable", "NotLinearizable"])
  })
})
