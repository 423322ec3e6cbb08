/**
 * The steps of a replay as calls of the shop's API. A call that was not answered is made again with the same ids until it
 * is: a runner may die meanwhile, and nothing happens twice (G3). What the shop answers is counted here as its caller saw it;
 * the report holds that against the tables.
 */
import type { SqlError } from "@effect/sql"
import type { Hikyaku } from "@hikyaku/domain/api/Client"
import { eventsMax } from "@hikyaku/domain/api/EventApi"
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import { type Event, eventType } from "@hikyaku/domain/marketing/Event"
import type { CartAdd, Checkout, Return, Step } from "@hikyaku/domain/replay/Step"
import { Clock, Duration, Effect, Either } from "effect"
import { StepFailed } from "./DemoError.ts"
import { LatencyHistogram } from "./LatencyHistogram.ts"

type Client = typeof Hikyaku.Service

/** ms that the shop has for an answer: longer than a failover takes. */
const answerMs = 60_000
/** A step that is not answered for so long fails, real ms. */
const patienceMs = 180_000
/** Rest before a call is made again, ms: doubled up to the maximum. */
const againMin = 50
const againMax = 2_000
/** Faults of the shop's own (a commit that was fought over) are worth so many tries. */
const faultsMax = 5
/** Characters of events in one call, about; the connection takes 4 MiB. */
const batchChars = 1_000_000

/** Whether the same call may be made again, and how long to wait at least; null: it was answered, badly. */
const againAfter = (
  error: { readonly _tag: string; readonly retryAfter?: number },
  faults: number
): number | null => {
  switch (error._tag) {
    case "NotAnswered":
    case "Unavailable":
    case "RpcClientError":
      return 0
    case "Overloaded":
      return error.retryAfter ?? 0
    case "Fault":
      return faults < faultsMax ? 0 : null
    default:
      return null
  }
}

/** Counts by name. */
export type Counts = Record<string, number>
const count = (counts: Counts, name: string, by = 1): void => {
  counts[name] = (counts[name] ?? 0) + by
}

/** What the replay's caller saw. */
export interface Seen {
  /** Cart adds by answer. */
  readonly adds: Counts
  /** Orders by outcome. `Empty`: no line of it was in the cart any more, nothing was ordered. */
  readonly orders: Counts
  /** Lines of bought orders. */
  linesBought: number
  readonly returns: Counts
  /** Published events by what became of them. */
  readonly events: Counts
  /** Published events by type. */
  readonly eventTypes: Counts
  /** Calls that were made again. */
  again: number
  readonly addLatency: LatencyHistogram
}

export interface ReplayCalls {
  readonly seen: Seen
  /** Carries one step out. Openings are not among them. */
  readonly perform: (step: Step) => Effect.Effect<void, StepFailed | SqlError.SqlError>
  /** States from how many pieces on a product counts as low. */
  readonly lowFrom: (product: ProductId, pieces: number, at: number) => Effect.Effect<void, StepFailed>
  /** Publishes events in their order. */
  readonly publish: (events: ReadonlyArray<Event>) => Effect.Effect<void, StepFailed>
  /** Until when a line that was allocated lasts; undefined when it is not in a cart. */
  readonly expiryOf: (ticket: TicketId) => number | undefined
  /** Forgets the lines that have lapsed by this instant. */
  readonly forget: (instant: number) => void
}

/** Events in parts that one call takes. */
const parts = (events: ReadonlyArray<Event>): ReadonlyArray<ReadonlyArray<Event>> => {
  const found: Array<Array<Event>> = []
  let open: Array<Event> = []
  let chars = 0
  for (const event of events) {
    const size = JSON.stringify(event).length
    if (open.length > 0 && (open.length >= eventsMax || chars + size > batchChars)) {
      found.push(open)
      open = []
      chars = 0
    }
    open.push(event)
    chars += size
  }
  return open.length === 0 ? found : [...found, open]
}

/** `awaitJudged`: returns when all that is in the event log now has been acted on. */
export const makeCalls = (client: Client, awaitJudged: Effect.Effect<void, SqlError.SqlError>): ReplayCalls => {
  const seen: Seen = {
    adds: {},
    orders: {},
    linesBought: 0,
    returns: {},
    events: {},
    eventTypes: {},
    again: 0,
    addLatency: new LatencyHistogram()
  }
  /** Lines in carts: until when they last. Of open carts only. */
  const lines = new Map<TicketId, number>()

  /** Makes a call until it is answered; the answer, or the error that is one. */
  const ask = <A, E extends { readonly _tag: string; readonly retryAfter?: number; readonly message: string }>(
    what: string,
    call: Effect.Effect<A, E>
  ): Effect.Effect<Either.Either<A, E>, StepFailed> =>
    Effect.gen(function*() {
      let began: number | null = null
      let faults = 0
      let rest = againMin
      for (;;) {
        const answer = yield* Effect.either(call)
        if (Either.isRight(answer)) return answer
        if (answer.left._tag === "Fault") faults++
        const wait = againAfter(answer.left, faults)
        if (wait === null) return answer
        const now = yield* Clock.currentTimeMillis
        began ??= now
        if (now - began > patienceMs) {
          return yield* new StepFailed({ step: what, reason: `${answer.left._tag}: ${answer.left.message}` })
        }
        seen.again++
        yield* Effect.sleep(Duration.millis(Math.max(wait, rest)))
        rest = Math.min(againMax, rest * 2)
      }
    })

  /** An error that says something about the shop and not about the step is a failure of the replay. */
  const failed = (what: string, error: { readonly _tag: string; readonly message: string }) =>
    new StepFailed({ step: what, reason: `${error._tag}: ${error.message}` })

  const add = (step: CartAdd) =>
    Effect.gen(function*() {
      const { at, member, product, quantity, ticket } = step
      const from = yield* Clock.currentTimeNanos
      const what = `cart.add ${ticket} of ${product}`
      const answer = yield* ask(what, client.cart.add({ ticket, member, product, quantity, at, deadline: answerMs }))
      seen.addLatency.record(Number((yield* Clock.currentTimeNanos) - from) / 1e6)
      if (Either.isRight(answer)) {
        count(seen.adds, answer.right._tag)
        if (answer.right._tag === "Allocated") lines.set(ticket, answer.right.expiresAt)
        return
      }
      switch (answer.left._tag) {
        // What a file may well ask for.
        case "UnknownProduct":
        case "ContentDiffers":
        case "BadInput":
          return count(seen.adds, answer.left._tag)
        default:
          return yield* failed(what, answer.left)
      }
    })

  const checkout = (step: Checkout) =>
    Effect.gen(function*() {
      const { at, order } = step
      // The record names all lines; whoever buys leaves out what could not be had.
      const [first, ...rest] = step.lines.filter(({ ticket }) => (lines.get(ticket) ?? 0) > at)
      for (const { ticket } of step.lines) lines.delete(ticket)
      if (first === undefined) return count(seen.orders, "Empty")
      const what = `cart.checkout ${order}`
      const answer = yield* ask(what, client.cart.checkout({ order, lines: [first, ...rest], at, deadline: answerMs }))
      if (Either.isLeft(answer)) {
        if (answer.left._tag === "ContentDiffers") return count(seen.orders, "ContentDiffers")
        return yield* failed(what, answer.left)
      }
      count(seen.orders, answer.right._tag)
      if (answer.right._tag === "Bought") seen.linesBought += answer.right.lines.length
    })

  const giveBack = (step: Return) =>
    Effect.gen(function*() {
      const { at, product, quantity, returnId, ticket } = step
      if (ticket === undefined) return count(seen.returns, "NoTicket")
      const what = `cart.return ${returnId}`
      const answer = yield* ask(
        what,
        client.cart.return({ ticket, product, returnId, quantity, at, deadline: answerMs })
      )
      if (Either.isLeft(answer)) {
        if (answer.left._tag === "UnknownProduct") return count(seen.returns, "UnknownProduct")
        return yield* failed(what, answer.left)
      }
      count(seen.returns, answer.right._tag === "Returned" ? "Returned" : answer.right.reason)
    })

  const publish = (events: ReadonlyArray<Event>) =>
    Effect.forEach(parts(events), ([first, ...rest]) =>
      Effect.gen(function*() {
        if (first === undefined) return
        const what = `event.publish ${first.source}/${first.id} and ${rest.length} more`
        const answer = yield* ask(what, client.event.publish({ events: [first, ...rest] }))
        if (Either.isLeft(answer)) return yield* failed(what, answer.left)
        for (const published of answer.right) count(seen.events, published._tag)
        for (const event of [first, ...rest]) count(seen.eventTypes, eventType(event.happening))
      }), { discard: true })

  const lowFrom = (product: ProductId, pieces: number, at: number) =>
    Effect.gen(function*() {
      const what = `product.define ${product}`
      const answer = yield* ask(
        what,
        client.product.define({ product, lowThreshold: pieces, at, deadline: answerMs })
      )
      if (Either.isLeft(answer)) return yield* failed(what, answer.left)
    })

  return {
    seen,
    lowFrom,
    perform: (step) => {
      switch (step._tag) {
        case "CartAdd":
          return add(step)
        case "Checkout":
          return checkout(step)
        case "Return":
          return giveBack(step)
        case "Publish":
          // Alone, since a Product actor acts on it: whatever follows must find that done.
          return Effect.zipRight(publish([step.event]), awaitJudged)
        case "ProductOpening":
        case "MemberOpening":
          return Effect.dieMessage("an opening is no step of the running replay")
      }
    },
    publish,
    expiryOf: (ticket) => lines.get(ticket),
    forget: (instant) => {
      for (const [ticket, until] of lines) {
        // In the order in which they were allocated, about: the first that lasts ends the search.
        if (until > instant) return
        lines.delete(ticket)
      }
    }
  }
}
