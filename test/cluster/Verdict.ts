/**
 * Judges a history against what is on record: the direct checks, each in the order of n log n, so that long histories can
 * be judged. What each line says is what a promise of `guarantees` forbids.
 */
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import type { Allocation, Facts } from "./Books.ts"
import { type Attempt, givenUpTags, type History, outcomeTags, replyOf } from "./History.ts"

type AddAttempt = Attempt & { readonly call: Extract<Attempt["call"], { readonly _tag: "Add" }> }

/** All that was asked for one ticket, in the order in which it was asked. */
interface TicketStory {
  readonly ticket: TicketId
  readonly product: ProductId
  readonly quantity: number
  readonly adds: ReadonlyArray<AddAttempt>
  readonly giveUps: ReadonlyArray<Attempt>
  /** When it was first asked for. */
  readonly calledAt: number
  /** The first outcome that somebody heard, and when. */
  readonly outcome: { readonly at: number; readonly tag: string; readonly sequence: number } | null
  /** The first instant at which somebody was told that it holds nothing any more. */
  readonly goneAt: number | null
}

const isAdd = (attempt: Attempt): attempt is AddAttempt => attempt.call._tag === "Add"

const storiesOf = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<TicketStory> => {
  const byTicket = new Map<TicketId, Array<Attempt>>()
  for (const attempt of attempts) {
    const { call } = attempt
    if (call._tag !== "Add" && call._tag !== "GiveUp") continue
    const list = byTicket.get(call.ticket)
    if (list === undefined) byTicket.set(call.ticket, [attempt])
    else list.push(attempt)
  }
  return [...byTicket].flatMap(([ticket, all]) => {
    const adds = all.filter(isAdd)
    const [first] = adds
    if (first === undefined) return []
    let outcome: TicketStory["outcome"] = null
    let goneAt: number | null = null
    for (const attempt of all) {
      const reply = replyOf(attempt)
      if (reply === null || attempt.answeredAt === null) continue
      if (givenUpTags.has(reply._tag)) goneAt = Math.min(goneAt ?? attempt.answeredAt, attempt.answeredAt)
      else if (isAdd(attempt) && outcomeTags.has(reply._tag) && attempt.answeredAt < (outcome?.at ?? Infinity)) {
        outcome = { at: attempt.answeredAt, tag: reply._tag, sequence: reply.sequence ?? 0 }
      }
    }
    return [{
      ticket,
      product: first.product,
      quantity: first.call.quantity,
      adds,
      giveUps: all.filter(({ call }) => call._tag === "GiveUp"),
      calledAt: first.calledAt,
      outcome,
      goneAt
    }]
  })
}

/** G3: whoever asks again hears the first outcome again. */
const repeats = ({ adds, ticket }: TicketStory): ReadonlyArray<string> => {
  const heard = new Set(adds.flatMap((add) => {
    const reply = replyOf(add)
    return reply !== null && outcomeTags.has(reply._tag) ? [JSON.stringify(reply)] : []
  }))
  return heard.size > 1 ? [`G3: ${ticket} was told ${[...heard].join(" and ")}`] : []
}

/** G2: what was acknowledged is on record. */
const recorded = ({ adds, outcome, quantity, ticket }: TicketStory, facts: Facts): ReadonlyArray<string> => {
  if (outcome === null) return []
  const tag = facts.outcomes.get(ticket)
  if (tag !== outcome.tag) return [`G2: ${ticket} was told ${outcome.tag}, on record is ${tag ?? "nothing"}`]
  if (outcome.tag === "Waitlisted" && !facts.waits.has(ticket)) return [`G2: ${ticket} is not in line`]
  if (outcome.tag !== "Allocated") return []
  const row = facts.allocations.get(ticket)
  const same = row?.sequence === outcome.sequence && row.quantity === quantity && row.member === adds[0]?.call.member
  return same ? [] : [`G2: ${ticket} was told Allocated ${outcome.sequence}, on record is ${JSON.stringify(row)}`]
}

const open: ReadonlySet<string> = new Set(["allocated", "held", "sold", "settled", "waiting", "offered"])

/** G6: what was given up holds nothing. */
const gone = ({ goneAt, ticket }: TicketStory, facts: Facts): ReadonlyArray<string> => {
  if (goneAt === null) return []
  const standing = [facts.allocations.get(ticket)?.status, facts.waits.get(ticket)].find((each) =>
    each !== undefined && open.has(each)
  )
  return standing === undefined ? [] : [`G6: ${ticket} was given up and is ${standing}`]
}

/** G4: numbers without gaps, in an order that keeps real time. */
const order = (product: ProductId, stories: ReadonlyArray<TicketStory>, rows: ReadonlyArray<Allocation>) => {
  const problems: Array<string> = []
  rows.forEach(({ sequence, ticket }, n) => {
    if (sequence !== n + 1) problems.push(`G4: ${product}: ${ticket} has number ${sequence}, not ${n + 1}`)
  })
  const byTicket = new Map(stories.map((story) => [story.ticket, story]))
  // The latest call among those with a lower number must not lie after the answer of one with a higher.
  let latest: { readonly at: number; readonly ticket: string } = { at: 0, ticket: "" }
  for (const { ticket } of [...rows].sort((a, b) => a.sequence - b.sequence)) {
    const story = byTicket.get(ticket)
    if (story === undefined) continue
    if (story.outcome?.tag === "Allocated" && latest.at > story.outcome.at) {
      problems.push(
        `G4: ${product}: ${latest.ticket} was asked for after ${ticket} was answered, and has a lower number`
      )
    }
    if (story.calledAt > latest.at) latest = { at: story.calledAt, ticket }
  }
  return problems
}

/** G4: what one connection asked for, one after the other, is decided in that order. */
const connectionOrder = (stories: ReadonlyArray<TicketStory>): ReadonlyArray<string> => {
  const last = new Map<string, TicketStory>()
  const problems: Array<string> = []
  const plain = stories.filter(({ adds, outcome }) =>
    outcome?.tag === "Allocated" && adds[0]?.answeredAt === outcome.at && (adds[1]?.calledAt ?? Infinity) > outcome.at
  )
  for (const story of plain.toSorted((a, b) => a.calledAt - b.calledAt)) {
    const connection = story.adds[0]?.connection ?? ""
    const before = last.get(connection)
    if (
      before?.outcome !== undefined && story.outcome !== null &&
      (before.outcome?.sequence ?? 0) > story.outcome.sequence
    ) {
      problems.push(
        `G4: ${before.ticket} was asked for before ${story.ticket} over one connection, and has a higher number`
      )
    }
    last.set(connection, story)
  }
  return problems
}

interface Span {
  readonly from: number
  readonly to: number
  readonly pieces: number
}

/** For sums over all that lies before an instant. */
const piecesBefore = (points: ReadonlyArray<readonly [at: number, pieces: number]>): (at: number) => number => {
  const sorted = points.toSorted(([a], [b]) => a - b)
  const sums: Array<number> = [0]
  for (const [, pieces] of sorted) sums.push(sums[sums.length - 1]! + pieces)
  return (at) => {
    let low = 0
    let high = sorted.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sorted[middle]![0] < at) low = middle + 1
      else high = middle
    }
    return sums[low]!
  }
}

/** Stock that came in, from when that was certain. */
const takenIn = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<readonly [number, number]> => {
  const versions = new Set<number>()
  return attempts.flatMap((attempt) => {
    const { answeredAt, call } = attempt
    const tag = replyOf(attempt)?._tag
    if (call._tag !== "Restock" || answeredAt === null || (tag !== "StockLevel" && tag !== "StaleVersion")) return []
    if (versions.has(call.version)) return []
    versions.add(call.version)
    return [[answeredAt, call.pieces] as const]
  })
}

/** Spans within which stock may have come back. */
const returnsOf = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<Span> =>
  attempts.flatMap((attempt): ReadonlyArray<Span> => {
    const { answeredAt, call, calledAt } = attempt
    const reply = replyOf(attempt)
    const until = { from: calledAt, to: reply === null ? Infinity : answeredAt ?? Infinity, pieces: 0 }
    if (call._tag === "GiveUp" || call._tag === "Restock") return [until]
    // A gateway gives up for whoever it does not answer in time, and nobody may hear of it for long.
    return call._tag === "Add" && !outcomeTags.has(reply?._tag ?? "") ? [{ ...until, to: Infinity }] : []
  })

/** For the first instant from which on stock may have come back, of what did so after another instant. */
const firstReturn = (returns: ReadonlyArray<Span>): (after: number) => number => {
  const byEnd = returns.toSorted((a, b) => b.to - a.to)
  const least: Array<number> = []
  for (const { from } of byEnd) least.push(Math.min(least[least.length - 1] ?? Infinity, from))
  return (after) => {
    let low = 0
    let high = byEnd.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (byEnd[middle]!.to > after) low = middle + 1
      else high = middle
    }
    return low === 0 ? Infinity : least[low - 1]!
  }
}

/** G4: nobody is refused while there certainly was stock, or overtaken by an equal request while none came back. */
const refusals = (
  product: ProductId,
  attempts: ReadonlyArray<Attempt>,
  stories: ReadonlyArray<TicketStory>,
  facts: Facts
): ReadonlyArray<string> => {
  const problems: Array<string> = []
  const refused = stories.filter(({ outcome }) => outcome?.tag === "SoldOut")
  // In line, stock may be set aside for somebody; where anybody has stood in line, only the model can tell.
  if (refused.length === 0 || stories.some(({ ticket }) => facts.waits.has(ticket))) return problems
  /** What each ticket may have held, from its first call until it was certainly given back. */
  const held = stories.filter(({ ticket }) => facts.allocations.has(ticket))
  const taken = piecesBefore(held.map(({ calledAt, quantity }) => [calledAt, quantity]))
  const givenBack = piecesBefore(held.flatMap(({ goneAt, quantity }) => goneAt === null ? [] : [[goneAt, quantity]]))
  const stock = piecesBefore(takenIn(attempts))
  const returnedFrom = firstReturn(returnsOf(attempts))
  const served = stories.filter(({ outcome }) => outcome?.tag === "Allocated").toSorted((a, b) =>
    a.calledAt - b.calledAt
  )
  for (const { calledAt, outcome, quantity, ticket } of refused) {
    const at = outcome?.at ?? Infinity
    const there = stock(calledAt) - (taken(at) - givenBack(calledAt))
    if (there >= quantity) {
      problems.push(`G4: ${product}: ${ticket} (${quantity}) was refused while at least ${there} were there`)
    }
    const free = returnedFrom(calledAt)
    if (free < at) continue
    const by = served.find((story) =>
      story.calledAt > at && story.quantity >= quantity && (story.outcome?.at ?? Infinity) <= free
    )
    if (by !== undefined) problems.push(`G4: ${product}: ${ticket} was refused and overtaken by ${by.ticket}`)
  }
  return problems
}

/** What is wrong with the history; empty when nothing is. */
export const judgeHistory = (history: History, facts: Facts): ReadonlyArray<string> => {
  const rows = new Map<ProductId, Array<Allocation>>()
  for (const row of facts.allocations.values()) {
    const list = rows.get(row.product)
    if (list === undefined) rows.set(row.product, [row])
    else list.push(row)
  }
  return [...history.byProduct()].flatMap(([product, attempts]) => {
    const stories = storiesOf(attempts)
    return [
      ...stories.flatMap((story) => [...repeats(story), ...recorded(story, facts), ...gone(story, facts)]),
      ...order(product, stories, rows.get(product) ?? []),
      ...connectionOrder(stories),
      ...refusals(product, attempts, stories, facts)
    ]
  })
}

/** Tickets whose owner was told an outcome; none of them may be missing (G2). */
export const acknowledged = (history: History): number =>
  [...history.byProduct().values()].reduce(
    (sum, attempts) => sum + storiesOf(attempts).filter(({ outcome }) => outcome !== null).length,
    0
  )
