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
const stepsMax = 200_000

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

/** An operation, and where it most likely took effect, for the search to begin with. */
interface Placed {
  readonly operation: ProductOperation
  /** Where its row stands among the product's, if it wrote one. */
  readonly place: number | undefined
}

/** How a ticket's row is marked that was given up for a reason. */
const closedBy = { Released: "released", Cancelled: "cancelled", TimedOut: "timed_out" } as const

/**
 * Whether giving up for this reason can have changed anything: then the ticket's row is marked so, or its tombstone. What
 * changed nothing and was heard by nobody needs no place in the order.
 */
const mayHaveEnded = (facts: Facts, ticket: string, reason: keyof typeof closedBy): boolean =>
  facts.allocations.get(ticket)?.status === closedBy[reason] || facts.waits.get(ticket) === closedBy[reason] ||
  facts.tombstones.get(ticket) === reason

/** What is on record of an add that nobody heard of: it happened, so it has a place, and its answer is known. */
const recordedOutcome = (facts: Facts, ticket: string): ProductReply | null => {
  const tag = facts.outcomes.get(ticket)
  switch (tag) {
    case "Allocated": {
      const sequence = facts.allocations.get(ticket)?.sequence
      return sequence === undefined ? null : { _tag: tag, sequence, expiresAt: 0 }
    }
    case "SoldOut":
    case "TimedOut":
    case "Cancelled":
    case "Released":
      return { _tag: tag }
    default:
      return null
  }
}

/**
 * The order in which the search tries operations: that of the rows, and what wrote none where it was answered. A row's instant
 * is the latest at which it can have been written: before whatever wrote a later one was answered.
 */
const likelyOrder = (all: ReadonlyArray<Placed>): ReadonlyArray<ProductOperation> => {
  const rows = all.filter(({ place }) => place !== undefined).toSorted((a, b) => (b.place ?? 0) - (a.place ?? 0))
  const latest = new Map<Placed, number>()
  let least = Number.POSITIVE_INFINITY
  for (const each of rows) {
    least = Math.min(least, each.operation.answer?.at ?? Number.POSITIVE_INFINITY)
    latest.set(each, least)
  }
  const guess = (each: Placed): number => latest.get(each) ?? each.operation.answer?.at ?? Number.POSITIVE_INFINITY
  // Where instants are equal, one row was known to stand before another's answer: in the order of the rows.
  return all.map((each) => [guess(each), each] as const)
    .toSorted(([a, one], [b, other]) =>
      (a === b ? 0 : a - b) || (one.place ?? Infinity) - (other.place ?? Infinity) ||
      one.operation.call - other.operation.call
    )
    .map(([, { operation }]) => operation)
}

/**
 * One operation per add however often it was asked (they are one command), one per attempt to give up (each is a command of
 * its own), and one more that may or may not have happened for every add that its gateway may have given up; of those whose
 * answer nobody heard only what the rows say can have happened, and of equal ones the earliest, which can stand for all.
 */
const operationsOf = (attempts: ReadonlyArray<Attempt>, facts: Facts): ReadonlyArray<ProductOperation> => {
  const { places } = facts
  const placed: Array<Placed> = []
  const put = (operation: ProductOperation, place?: number) => placed.push({ operation, place })
  /** Of the row that giving up for this reason left behind. */
  const endOf = (ticket: string, reason: keyof typeof closedBy): number | undefined =>
    facts.allocations.get(ticket)?.status === closedBy[reason]
      ? places.allocations.get(ticket)
      : facts.waits.get(ticket) === closedBy[reason]
      ? places.waits.get(ticket)
      : facts.tombstones.get(ticket) === reason
      ? places.tombstones.get(ticket)
      : undefined
  const unheard = new Map<string, { readonly call: number; readonly input: ProductCommand; readonly place?: number }>()
  const putUnheard = (call: number, input: ProductCommand, place?: number) => {
    const name = JSON.stringify(input)
    unheard.set(name, {
      call: Math.min(call, unheard.get(name)?.call ?? call),
      input,
      ...(place === undefined ? {} : { place })
    })
  }
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
        const input = release(call.ticket, call.reason)
        const place = endOf(call.ticket, call.reason)
        if (output !== null) put({ call: calledAt, input, answer: answered(answeredAt, output) }, place)
        else if (mayHaveEnded(facts, call.ticket, call.reason)) putUnheard(calledAt, input, place)
        break
      }
      case "Confirm": {
        const { quantity, sequence } = reply ?? {}
        const known = reply?._tag === "Allocated" && sequence !== undefined && quantity === undefined
        const input: ProductCommand = { _tag: "ConfirmOffer", ticket: call.ticket }
        const place = facts.waits.get(call.ticket) === "confirmed" ? places.waits.get(call.ticket) : undefined
        if (known) {
          const output: ProductReply = { _tag: "Allocated", sequence, expiresAt: 0 }
          put({ call: calledAt, input, answer: answered(answeredAt, output) }, place)
        } else if (place !== undefined) putUnheard(calledAt, input, place)
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
  let takenIn = 0
  for (const [version, tries] of [...restocks].toSorted(([a], [b]) => a - b)) {
    const [first] = tries
    if (first?.call._tag !== "Restock") continue
    takenIn += first.call.pieces
    const place = places.intakes.get(first.product)?.get(takenIn)
    const told = tries.find((each) => replyOf(each)?._tag === "StockLevel")
    const input: ProductCommand = {
      _tag: "ChangeStock",
      source: "warehouse",
      sourceVersion: version,
      meaning: "onHand",
      change: { _tag: "Delta", delta: first.call.pieces }
    }
    if (told !== undefined) {
      put({ call: first.calledAt, input, answer: answered(told.answeredAt, replyOf(told) as ProductReply) }, place)
    } else put({ call: first.calledAt, input, answer: null }, place)
  }
  for (const [ticket, tries] of adds) {
    const [first] = tries
    if (first?.call._tag !== "Add") continue
    const { member, quantity, waitlist } = first.call
    const [heard] = tries.filter((each) => outcomeTags.has(replyOf(each)?._tag ?? ""))
      .toSorted((a, b) => (a.answeredAt ?? 0) - (b.answeredAt ?? 0))
    const input: ProductCommand = { _tag: "AddToCart", ticket, member, quantity, waitlist }
    const call = first.calledAt
    const place = places.adds.get(ticket)
    if (heard !== undefined) {
      put({ call, input, answer: answered(heard.answeredAt, replyOf(heard) as ProductReply) }, place)
    } else if (facts.outcomes.has(ticket)) {
      const output = recordedOutcome(facts, ticket)
      put({ call, input, answer: output && answered(Number.POSITIVE_INFINITY, output) }, place)
    }
    for (const each of tries) {
      const reply = replyOf(each)
      if (reply !== null && givenUpTags.has(reply._tag)) {
        const tag = reply._tag as "TimedOut" | "Cancelled" | "Released"
        // To a repeat the gateway may have said no more than how the ticket stands: that gives nothing up.
        if (tries.length > 1) {
          if (mayHaveEnded(facts, ticket, tag)) putUnheard(each.calledAt, release(ticket, tag), endOf(ticket, tag))
        } else {
          const answer = answered(each.answeredAt, { _tag: tag })
          put({ call: each.calledAt, input: release(ticket, tag), answer }, endOf(ticket, tag))
        }
      } else if (reply === null && mayHaveEnded(facts, ticket, "TimedOut")) {
        putUnheard(each.calledAt, release(ticket, "TimedOut"), endOf(ticket, "TimedOut"))
      }
    }
  }
  for (const { call, input, place } of unheard.values()) put({ call, input, answer: null }, place)
  return likelyOrder(placed)
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
