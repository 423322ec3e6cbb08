import { NoAnswer } from "@hikyaku/cluster/actor/ActorClient"
import { afterBuying, afterHolding, holdAttemptsMax, holdMarginMs } from "@hikyaku/cluster/stock/CheckoutStep"
import type { ProductReply } from "@hikyaku/domain/stock/Product"
import { Either } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const now = 1_700_000_000_000
const held: ProductReply = { _tag: "Held", order: "o", until: now + holdMarginMs }
const short: ProductReply = { _tag: "Held", order: "o", until: now + holdMarginMs - 1 }
const bought: ProductReply = { _tag: "Bought", order: "o", sequence: 1, quantity: 2 }
const silent = Either.left(new NoAnswer({ reason: "lost" }))
const refusals: ReadonlyArray<ProductReply> = [
  { _tag: "NotOpen", standing: "Unknown" },
  { _tag: "NotOpen", standing: "Sold" },
  { _tag: "HeldByOther" },
  { _tag: "HoldTooLate" },
  { _tag: "UnknownProduct" }
]
const answer = (...replies: ReadonlyArray<ProductReply>) =>
  fc.constantFrom(...replies.map((reply) => Either.right(reply)))

describe("R14 a checkout buys all lines or none", () => {
  it("buys only if every line is held for long enough", () => {
    fc.assert(fc.property(
      fc.array(fc.oneof(answer(held, short, ...refusals), fc.constant(silent)), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 0, max: holdAttemptsMax - 1 }),
      (answers, attempts) => {
        const step = afterHolding(answers, now, attempts)
        const isHeld = answers.map((one) => Either.isRight(one) && one.right === held)
        const isRefused = answers.some((one) => Either.isRight(one) && one.right !== held)
        if (isHeld.every(Boolean)) expect(step?.state).toBe("buying")
        else if (isRefused) expect(step?.state).toBe("releasing")
        else expect(step).toBeNull()
      }
    ))
  })

  it("names the lines that stood in the way, and no others", () => {
    const step = afterHolding([Either.right(held), Either.right({ _tag: "NotOpen", standing: "Sold" }), silent], now, 0)
    expect(step).toEqual({
      state: "releasing",
      results: [{ _tag: "Open" }, { _tag: "Fault", fault: "AlreadyBought" }, { _tag: "Open" }]
    })
  })

  it("does not wait for ever for a line that never answers", () => {
    expect(afterHolding([Either.right(held), silent], now, holdAttemptsMax - 1)).toBeNull()
    expect(afterHolding([Either.right(held), silent], now, holdAttemptsMax)?.state).toBe("releasing")
  })

  it("is bought when every line is, undone when one was lost, and asked again while one is silent", () => {
    fc.assert(fc.property(
      fc.array(fc.oneof(answer(bought, ...refusals), fc.constant(silent)), { minLength: 1, maxLength: 8 }),
      (answers) => {
        const step = afterBuying(answers)
        if (answers.some(Either.isLeft)) {
          expect(step).toBeNull()
          return
        }
        const all = answers.every((one) => Either.isRight(one) && one.right === bought)
        expect(step?.state).toBe(all ? "bought" : "undoing")
        // What was bought is on record, so that exactly that can go back.
        expect(step?.results.filter(({ _tag }) => _tag === "Bought")).toHaveLength(
          answers.filter((one) => Either.isRight(one) && one.right === bought).length
        )
      }
    ))
  })
})
