/**
 * What a provider allows, and whether one more request fits: requests under way at one time, and requests that start
 * within any second (a sliding window, not a calendar one: a bucket refilled on the second lets twice the rate through
 * around its edge). Pure; the Provider actor keeps the books (R20), the instants are real time in ms.
 */
import { Schema } from "effect"
import { holdMs, MessageLimits } from "./MessageRate.ts"

/** What can be asked of a provider, in the order of a list's life from its end: what finishes work goes first. */
export const operations = ["send", "history", "status", "upload"] as const
export const Operation = Schema.Literal(...operations)
export type Operation = typeof Operation.Type

/** Most requests under way at one provider account, whatever it allows: bounds the rows of slots. */
export const slotsMax = 1_000

const bound = Schema.NullOr(Schema.Int.pipe(Schema.between(1, slotsMax)))
/** A limit for all operations together and one for each; null for none. */
export const Bounds = Schema.Struct({ total: bound, upload: bound, send: bound, status: bound, history: bound })
export type Bounds = typeof Bounds.Type

export const unbounded: Bounds = { total: null, upload: null, send: null, status: null, history: null }

export const Limits = Schema.Struct({
  /** Requests under way at one time. */
  concurrency: Bounds,
  /** Requests that start within any second. */
  perSecond: Bounds,
  /** Messages, whatever the number of requests; no limit where absent. */
  messages: Schema.optional(MessageLimits),
  /**
   * ms by which the way to the provider may differ from one request to the next: added to the window, so that a slow
   * request followed by a fast one does not squeeze two windows into one at the provider's end.
   */
  marginMs: Schema.Number.pipe(Schema.between(0, 60_000))
})
export type Limits = typeof Limits.Type

/** Width of the window in which starts are counted, ms. */
export const windowMs = 1_000

export type Counts = Readonly<Record<Operation, number>>
export const noCounts: Counts = { send: 0, history: 0, status: 0, upload: 0 }

export const countBy = (items: Iterable<{ readonly operation: Operation }>): Counts => {
  const counts = { ...noCounts }
  for (const item of items) counts[item.operation]++
  return counts
}

export const total = (counts: Counts): number => counts.send + counts.history + counts.status + counts.upload

/** Slots that a limit on concurrency leaves for one operation, given what is under way. */
export const freeSlots = (concurrency: Bounds, underWay: Counts, operation: Operation): number =>
  Math.max(
    0,
    Math.min(
      (concurrency[operation] ?? slotsMax) - underWay[operation],
      (concurrency.total ?? slotsMax) - total(underWay)
    )
  )

/** Bounds with so many more. */
export const widened = (bounds: Bounds, by: number): Bounds => each(bounds, (limit) => limit + by)
/** The whole part of a share of each bound. */
export const partOf = (bounds: Bounds, share: number): Bounds => each(bounds, (limit) => Math.floor(limit * share))
const each = (bounds: Bounds, change: (limit: number) => number): Bounds => {
  const of = (limit: number | null) => limit === null ? null : change(limit)
  const { history, send, status, total, upload } = bounds
  return { total: of(total), upload: of(upload), send: of(send), status: of(status), history: of(history) }
}

/** A request that counts in the window. `by`: the latest instant at which it can have started. */
export interface Start {
  readonly operation: Operation
  readonly by: number
  /** Messages that a send carries; 0 for what is no send. */
  readonly messages: number
}

/** Whether a start still counts in a window that ends now or later. */
const inWindow = (start: Start, marginMs: number, now: number): boolean => start.by + windowMs + marginMs > now

/** Whether a start still counts, be it as a request or by its messages. */
export const counts = (start: Start, limits: Limits | null, now: number): boolean =>
  start.by + Math.max(windowMs, holdMs(start.messages, limits?.messages?.perSecond ?? null)) +
      (limits?.marginMs ?? 0) > now

/**
 * ms until one more request of an operation may start, 0 for at once. Exact whatever happens within the leases: among
 * requests that start within one second the one granted last finds all the others still counted.
 */
export const rateWait = (limits: Limits, starts: ReadonlyArray<Start>, operation: Operation, now: number): number => {
  const wait = (limit: number | null, counted: ReadonlyArray<Start>): number => {
    if (limit === null || counted.length < limit) return 0
    const leaving = counted.map((start) => start.by).toSorted((a, b) => a - b)[counted.length - limit] ?? now
    return Math.max(1, leaving + windowMs + limits.marginMs - now)
  }
  const counted = starts.filter((start) => inWindow(start, limits.marginMs, now))
  return Math.max(
    wait(limits.perSecond.total, counted),
    wait(limits.perSecond[operation], counted.filter((start) => start.operation === operation))
  )
}

/**
 * How far one operation is held below its announced limit because the provider pushed back. `allowed`: slots it may use,
 * null for all that the limits give; `blockedUntil`: instant before which nothing starts (Retry-After).
 */
export interface Pushback {
  readonly allowed: number | null
  readonly blockedUntil: number
}
export const noPushback: Pushback = { allowed: null, blockedUntil: 0 }

/** The share of its slots that an operation keeps after the provider pushed back. */
export const decrease = 0.5

/** After a 429: half of what was in use, and nothing before `retryAfter` has passed. One storm halves once, not per reply. */
export const throttled = (pushback: Pushback, limit: number, now: number, retryAfter: number): Pushback => ({
  allowed: now < pushback.blockedUntil
    ? pushback.allowed
    : Math.max(1, Math.floor((pushback.allowed ?? limit) * decrease)),
  blockedUntil: Math.max(pushback.blockedUntil, now + Math.max(0, retryAfter))
})

/** After a request that went well: one more slot per round of all of them, until the announced limit is back. */
export const recovered = (pushback: Pushback, limit: number): Pushback => {
  if (pushback.allowed === null) return pushback
  const allowed = pushback.allowed + 1 / pushback.allowed
  return allowed >= limit ? { ...pushback, allowed: null } : { ...pushback, allowed }
}
