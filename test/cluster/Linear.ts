/**
 * Judges short histories as a whole: is there an order of all that was asked of one product, keeping real time, in which a
 * product that serves one after the other would have answered just so? For products whose carts outlast the test.
 */
import { fingerprint } from "@hikyaku/cluster/actor/Wire"
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import type { ProductCommand, ProductReply, ReleaseReason } from "@hikyaku/domain/stock/Product"
import { judge, type Operation } from "../linearizability/Linearizability.ts"
import { productModel } from "../linearizability/ProductModel.ts"
import { type Execution, executionKey, type Facts } from "./Books.ts"
import { type Attempt, givenUpTags, type History, outcomeTags, replyOf } from "./History.ts"

type ProductOperation = Operation<ProductCommand, ProductReply>

/** Longest history that is judged so, in operations; ten times what the hottest product of a soak comes to. */
const operationsMax = 3_000
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

const release = (ticket: TicketId, reason: ReleaseReason): ProductCommand => ({
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

/** What the attempts at one ticket tell of its being given up for one reason. */
interface GiveUps {
  readonly ticket: TicketId
  readonly reason: ReleaseReason
  /** Attempts that somebody heard the end of. */
  readonly heard: Array<Attempt>
  /** Adds that were told so: by their own outcome, or since their gateway gave the ticket up. */
  readonly told: Array<Attempt>
  /** When it can have been asked for first, heard or not. */
  from: number
}

/**
 * Giving a ticket up is a command of its own each time, by its owner or by a gateway, and its outcome is a row. So it is known
 * how often it was done, whoever heard of it: what was heard happened between call and answer, the rest at any time.
 */
const giveUpsOf = ({ from, heard, reason, ticket, told }: GiveUps, product: ProductId, facts: Facts) => {
  const input = release(ticket, reason)
  const rows = [...facts.executions.get(executionKey(product, fingerprint(input))) ?? []]
    .toSorted((a, b) => (a.place ?? 0) - (b.place ?? 0))
  const take = (tag: string): Execution | undefined => {
    const at = rows.findIndex((row) => row.tag === tag)
    return at < 0 ? undefined : rows.splice(at, 1)[0]
  }
  const inTime = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<Placed> =>
    attempts.toSorted((a, b) => (a.answeredAt ?? 0) - (b.answeredAt ?? 0)).map((attempt) => {
      const tag = replyOf(attempt)?._tag as ReleaseReason
      return {
        operation: { call: attempt.calledAt, input, answer: answered(attempt.answeredAt, { _tag: tag }) },
        place: take(tag)?.place
      }
    })
  const placed = [...inTime(heard), ...inTime(told)]
  // Where an add's own outcome says so, it may have been told that, and what was done for it is one of these.
  const mayBeTold = told.length > 0 && facts.outcomes.get(ticket) === reason
  for (const { place, tag } of rows) {
    const answer = mayBeTold ? null : answered(Number.POSITIVE_INFINITY, { _tag: tag as ReleaseReason })
    placed.push({ operation: { call: from, input, answer }, place })
  }
  return placed
}

/**
 * One operation per add however often it was asked (they are one command) and one for every time that a ticket was given up; of
 * what nobody heard of, what is on record.
 */
const operationsOf = (
  product: ProductId,
  attempts: ReadonlyArray<Attempt>,
  facts: Facts
): ReadonlyArray<ProductOperation> => {
  const { places } = facts
  const placed: Array<Placed> = []
  const put = (operation: ProductOperation, place?: number) => placed.push({ operation, place })
  const givenUp = new Map<string, GiveUps>()
  const giveUps = (ticket: TicketId, reason: ReleaseReason, from: number): GiveUps => {
    const key = `${ticket} ${reason}`
    const known = givenUp.get(key) ?? { ticket, reason, heard: [], told: [], from }
    known.from = Math.min(known.from, from)
    givenUp.set(key, known)
    return known
  }
  const adds = new Map<string, Array<Attempt>>()
  const restocks = new Map<number, Array<Attempt>>()
  const unconfirmed = new Map<TicketId, number>()
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
        const known = giveUps(call.ticket, call.reason, calledAt)
        if (givenUpTags.has(reply?._tag ?? "")) known.heard.push(attempt)
        break
      }
      case "Confirm": {
        const { quantity, sequence } = reply ?? {}
        const known = reply?._tag === "Allocated" && sequence !== undefined && quantity === undefined
        const place = facts.waits.get(call.ticket) === "confirmed" ? places.waits.get(call.ticket) : undefined
        if (known) {
          const input: ProductCommand = { _tag: "ConfirmOffer", ticket: call.ticket }
          const output: ProductReply = { _tag: "Allocated", sequence, expiresAt: 0 }
          put({ call: calledAt, input, answer: answered(answeredAt, output) }, place)
        } else if (place !== undefined) {
          // Of equal ones that nobody heard of the earliest can stand for all.
          unconfirmed.set(call.ticket, Math.min(calledAt, unconfirmed.get(call.ticket) ?? calledAt))
        }
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
      const tag = replyOf(each)?._tag ?? ""
      if (givenUpTags.has(tag)) {
        const known = giveUps(ticket, tag as ReleaseReason, each.calledAt)
        // To a repeat the gateway may have said no more than how the ticket stands: that gives nothing up.
        if (tries.length === 1) known.told.push(each)
      } else if (tag === "") giveUps(ticket, "TimedOut", each.calledAt)
    }
  }
  for (const known of givenUp.values()) placed.push(...giveUpsOf(known, product, facts))
  for (const [ticket, call] of unconfirmed) {
    put({ call, input: { _tag: "ConfirmOffer", ticket }, answer: null }, places.waits.get(ticket))
  }
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
    const operations = operationsOf(product, attempts, facts)
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
