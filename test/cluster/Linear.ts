/**
 * Judges short histories as a whole: is there an order of all that was asked of one product, keeping real time, in which a
 * product that serves one after the other would have answered just so? For products whose carts outlast the test.
 */
import type { ProductId } from "@hikyaku/domain/Identifier"
import type { ProductCommand, ProductReply } from "@hikyaku/domain/stock/Product"
import { judge, type Operation } from "../linearizability/Linearizability.ts"
import { productModel } from "../linearizability/ProductModel.ts"
import type { Facts } from "./Books.ts"
import { type Attempt, givenUpTags, type History, outcomeTags, replyOf } from "./History.ts"

type ProductOperation = Operation<ProductCommand, ProductReply>

/** Longest history that is judged so, in operations: the search grows with it. */
const operationsMax = 600
/** Steps after which the search is given up. */
const stepsMax = 40_000

export interface LinearVerdict {
  readonly problems: ReadonlyArray<string>
  readonly judged: number
  /** Products whose search was given up. */
  readonly undecided: ReadonlyArray<ProductId>
  /** Products whose history is too long for the search. */
  readonly tooLong: ReadonlyArray<ProductId>
}

const release = (ticket: string, reason: "Released" | "Cancelled" | "TimedOut"): ProductCommand => ({
  _tag: "ReleaseTicket",
  ticket,
  reason
})

const answered = (at: number | null, output: ProductReply): ProductOperation["answer"] =>
  at === null ? null : { at, output }

/** Where an operation most likely took effect, for the search to begin with. */
interface Placed {
  readonly operation: ProductOperation
  readonly guess: number
}

/**
 * One operation per add however often it was asked (they are one command), one per attempt to give up (each is a command of
 * its own), and one more that may or may not have happened for every add that its gateway may have given up.
 */
const operationsOf = (attempts: ReadonlyArray<Attempt>, facts: Facts): ReadonlyArray<ProductOperation> => {
  const placed: Array<Placed> = []
  const put = (operation: ProductOperation, guess = operation.answer?.at ?? Number.POSITIVE_INFINITY) =>
    placed.push({ operation, guess })
  const adds = new Map<string, Array<Attempt>>()
  const restocks = new Map<number, Array<Attempt>>()
  for (const attempt of attempts) {
    const { answeredAt, call, calledAt } = attempt
    const reply = replyOf(attempt)
    switch (call._tag) {
      case "Add": {
        const list = adds.get(call.ticket)
        if (list === undefined) adds.set(call.ticket, [attempt])
        else list.push(attempt)
        break
      }
      case "Restock": {
        const list = restocks.get(call.version)
        if (list === undefined) restocks.set(call.version, [attempt])
        else list.push(attempt)
        break
      }
      case "GiveUp": {
        const tag = reply?._tag
        const output: ProductReply | null = tag === "TimedOut" || tag === "Cancelled" || tag === "Released"
          ? { _tag: tag }
          : null
        put({
          call: calledAt,
          input: release(call.ticket, call.reason),
          answer: output && answered(answeredAt, output)
        })
        break
      }
      case "Confirm": {
        const { quantity, sequence } = reply ?? {}
        const known = reply?._tag === "Allocated" && sequence !== undefined && quantity === undefined
        put({
          call: calledAt,
          input: { _tag: "ConfirmOffer", ticket: call.ticket },
          answer: known ? answered(answeredAt, { _tag: "Allocated", sequence, expiresAt: 0 }) : null
        })
        break
      }
      case "ReadStock":
        // The API's answer is the actor's, word for word.
        if (reply?._tag === "StockLevel") {
          put({ call: calledAt, input: { _tag: "ReadStock" }, answer: answered(answeredAt, reply as ProductReply) })
        }
        break
    }
  }
  for (const [version, tries] of restocks) {
    const [first] = tries
    if (first?.call._tag !== "Restock") continue
    const sure = tries.filter((each) => ["StockLevel", "StaleVersion"].includes(replyOf(each)?._tag ?? ""))
    const told = sure.find((each) => replyOf(each)?._tag === "StockLevel")
    const at = sure.reduce((least, each) => Math.min(least, each.answeredAt ?? Infinity), Infinity)
    const input: ProductCommand = {
      _tag: "ChangeStock",
      source: "warehouse",
      sourceVersion: version,
      meaning: "onHand",
      change: { _tag: "Delta", delta: first.call.pieces }
    }
    if (told !== undefined) {
      put({ call: first.calledAt, input, answer: answered(told.answeredAt, replyOf(told) as ProductReply) })
    } else put({ call: first.calledAt, input, answer: null }, at)
  }
  for (const [ticket, tries] of adds) {
    const [first] = tries
    if (first?.call._tag !== "Add") continue
    const { member, quantity, waitlist } = first.call
    const outcomes = tries.filter((each) => outcomeTags.has(replyOf(each)?._tag ?? ""))
      .toSorted((a, b) => (a.answeredAt ?? 0) - (b.answeredAt ?? 0))
    const [heard] = outcomes
    const happened = facts.outcomes.has(ticket)
    const row = facts.allocations.get(ticket)
    const input: ProductCommand = { _tag: "AddToCart", ticket, member, quantity, waitlist }
    if (heard !== undefined) {
      put({ call: first.calledAt, input, answer: answered(heard.answeredAt, replyOf(heard) as ProductReply) })
    } else if (happened) {
      put({ call: first.calledAt, input, answer: null }, row === undefined ? Infinity : first.calledAt)
    }
    for (const each of tries) {
      const reply = replyOf(each)
      if (reply !== null && givenUpTags.has(reply._tag)) {
        const tag = reply._tag as "TimedOut" | "Cancelled" | "Released"
        put({ call: each.calledAt, input: release(ticket, tag), answer: answered(each.answeredAt, { _tag: tag }) })
      } else if (reply === null) put({ call: each.calledAt, input: release(ticket, "TimedOut"), answer: null })
    }
  }
  return placed.toSorted((a, b) => a.guess - b.guess || a.operation.call - b.operation.call).map((each) =>
    each.operation
  )
}

const told = ({ answer, call, input }: ProductOperation): string =>
  `${call}-${answer?.at ?? ""} ${JSON.stringify(input)} ${JSON.stringify(answer?.output ?? null)}`

/** Judges the products named. */
export const judgeLinear = (
  history: History,
  facts: Facts,
  products: ReadonlySet<ProductId>
): LinearVerdict => {
  const problems: Array<string> = []
  const undecided: Array<ProductId> = []
  const tooLong: Array<ProductId> = []
  let judged = 0
  for (const [product, attempts] of history.byProduct()) {
    if (!products.has(product)) continue
    const operations = operationsOf(attempts, facts)
    if (operations.length > operationsMax) {
      tooLong.push(product)
      continue
    }
    const verdict = judge(productModel(0), operations, stepsMax)
    if (verdict._tag === "Undecided") undecided.push(product)
    else judged++
    if (verdict._tag === "NotLinearizable") {
      problems.push(
        `G4: no order explains ${product}: ${verdict.longest.length} of ${operations.length} operations, then one of\n` +
          verdict.next.slice(0, 10).map((each) => `  ${told(each)}`).join("\n") +
          `\nafter\n${verdict.longest.slice(-10).map((each) => `  ${told(each)}`).join("\n")}`
      )
    }
  }
  return { problems, judged, undecided, tooLong }
}
