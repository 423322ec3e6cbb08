/**
 * How many messages a provider account takes, whatever the number of requests: within any second and within any day. Pure;
 * the Provider actor keeps the books, the instants are real time in ms.
 *
 * A send counts with all its messages at once, from the latest instant at which it can have started. Both windows slide, so
 * that a calendar's edge lets nothing through twice. The day's books are kept in quarter hours, each counted until the last
 * instant of it has left the window: at most `dayPartsMax` numbers, however many sends a day has; what they cost is that
 * capacity comes back up to a quarter of an hour late.
 *
 * A list of more messages than a second allows, made before the limit was lowered, goes alone and then holds the rate for as
 * many seconds as its messages take: so no second sees more than the limit or one such list, and no longer span more than
 * the limit for each second begun. A day's limit has no such exception: what does not fit expires.
 */
import { Schema } from "effect"
import type { DeliveryClass } from "./Delivery.ts"

/** Most messages of a second and of a day that can be set as a limit. */
export const perSecondMax = 1_000_000
export const perDayMax = 1_000_000_000

const messagesUpTo = (max: number) => Schema.NullOr(Schema.Int.pipe(Schema.between(1, max)))

export const MessageLimits = Schema.Struct({
  /** Messages whose sends start within any second; null for no limit. */
  perSecond: messagesUpTo(perSecondMax),
  /** Within any 24 hours; null for no limit. */
  perDay: messagesUpTo(perDayMax),
  /** Of a day's messages, those that batch leaves to realtime; none where absent. */
  keptForRealtime: Schema.optional(Schema.Int.pipe(Schema.between(0, perDayMax)))
})
export type MessageLimits = typeof MessageLimits.Type

export const noMessageLimits: MessageLimits = { perSecond: null, perDay: null }

/** Widths of the windows, and of a part of the day, ms. */
const secondMs = 1_000
export const dayMs = 86_400_000
export const dayPartMs = 900_000
/** Most parts of a day's books: 96, the ones cut by both edges, and one that the margin holds. */
export const dayPartsMax = 98

/** Messages that started together at the latest at `by`. */
export interface Carried {
  readonly by: number
  readonly messages: number
}

/** Messages that started in the quarter hour that begins at `from`. */
export interface DayPart {
  readonly from: number
  readonly messages: number
}

/** ms for which so many messages that start at once hold the rate. */
export const holdMs = (messages: number, perSecond: number | null): number =>
  perSecond === null ? secondMs : Math.max(secondMs, Math.ceil(messages * secondMs / perSecond))

interface Leaving {
  readonly at: number
  readonly messages: number
}

const sum = (items: ReadonlyArray<{ readonly messages: number }>): number =>
  items.reduce((all, { messages }) => all + messages, 0)

/** Instant from which on so many of what is counted have left; null when that never comes. */
const leftBy = (counted: ReadonlyArray<Leaving>, messages: number): number | null => {
  let left = 0
  for (const one of counted.toSorted((a, b) => a.at - b.at)) {
    left += one.messages
    if (left >= messages) return one.at
  }
  return null
}

const inSecond = (perSecond: number, marginMs: number, starts: ReadonlyArray<Carried>, now: number) =>
  starts.flatMap(({ by, messages }): ReadonlyArray<Leaving> => {
    const at = by + holdMs(messages, perSecond) + marginMs
    return messages > 0 && at > now ? [{ at, messages: Math.min(messages, perSecond) }] : []
  })

/** Messages that count towards the second that ends now; a list above the limit counts as the limit. */
export const usedOfSecond = (
  { perSecond }: MessageLimits,
  marginMs: number,
  starts: ReadonlyArray<Carried>,
  now: number
): number => perSecond === null ? 0 : sum(inSecond(perSecond, marginMs, starts, now))

/** ms until so many messages may start as far as the second is concerned, 0 for at once. */
export const secondWait = (
  { perSecond }: MessageLimits,
  marginMs: number,
  starts: ReadonlyArray<Carried>,
  messages: number,
  now: number
): number => {
  if (perSecond === null || messages === 0) return 0
  const counted = inSecond(perSecond, marginMs, starts, now)
  const over = sum(counted) + Math.min(messages, perSecond) - perSecond
  return over <= 0 ? 0 : Math.max(1, (leftBy(counted, over) ?? now) - now)
}

const dayLeaves = (from: number, marginMs: number): number => from + dayPartMs + dayMs + marginMs
const partBegin = (at: number): number => Math.floor(at / dayPartMs) * dayPartMs

/** The day's books after so many messages started; what has left the window is dropped. */
export const noted = (
  day: ReadonlyArray<DayPart>,
  { by, messages }: Carried,
  marginMs: number,
  now: number
): ReadonlyArray<DayPart> => {
  const from = partBegin(by)
  const counted = day.filter((part) => dayLeaves(part.from, marginMs) > now)
  if (messages === 0 || dayLeaves(from, marginMs) <= now) return counted
  return counted.some((part) => part.from === from)
    ? counted.map((part) => part.from === from ? { from, messages: part.messages + messages } : part)
    : [...counted, { from, messages }]
}

/** What counts towards the day, and when each leaves. `open`: sends that may start still. */
export const inDay = (
  day: ReadonlyArray<DayPart>,
  open: ReadonlyArray<Carried>,
  marginMs: number,
  now: number
): ReadonlyArray<Leaving> =>
  [...day, ...open.map(({ by, messages }) => ({ from: partBegin(by), messages }))].flatMap(({ from, messages }) => {
    const at = dayLeaves(from, marginMs)
    return messages > 0 && at > now ? [{ at, messages }] : []
  })

/** What a class may use of a day; null for no limit. */
export const dayLimit = ({ keptForRealtime = 0, perDay }: MessageLimits, cls: DeliveryClass): number | null =>
  perDay === null || cls === "realtime" ? perDay : Math.max(0, perDay - keptForRealtime)

/** Messages that a class may still start today; null for no limit. */
export const leftOfDay = (
  limits: MessageLimits,
  cls: DeliveryClass,
  counted: ReadonlyArray<Leaving>
): number | null => {
  const limit = dayLimit(limits, cls)
  return limit === null ? null : Math.max(0, limit - sum(counted))
}

/** ms until so many messages of a class may start as far as the day is concerned; a whole day when they never fit. */
export const dayWait = (
  limits: MessageLimits,
  cls: DeliveryClass,
  counted: ReadonlyArray<Leaving>,
  messages: number,
  now: number
): number => {
  const limit = dayLimit(limits, cls)
  if (limit === null || messages === 0) return 0
  const over = sum(counted) + messages - limit
  if (over <= 0) return 0
  return messages > limit ? dayMs : Math.max(1, (leftBy(counted, over) ?? now + dayMs) - now)
}

/** The part of a second's messages that a list should carry: realtime waits for no more than that of batch. */
const listPart = 0.25

/**
 * Recipients of a list, at most `wanted`: a part of a second's messages, more where the account could not start as many
 * lists as that makes (`listsPerSecond`), but never more than a second or a day allows.
 */
export const listSizeOf = (limits: MessageLimits, wanted: number, listsPerSecond: number): number => {
  const { perSecond } = limits
  const ofDay = Math.min(wanted, dayLimit(limits, "batch") ?? wanted)
  if (perSecond === null) return Math.max(1, ofDay)
  const part = Math.ceil(Math.max(perSecond * listPart, perSecond / listsPerSecond))
  return Math.max(1, Math.min(ofDay, perSecond, part))
}

/** What a prediction has to know of an account's limits on messages. */
export const MessagePace = Schema.Struct({
  perSecond: Schema.NullOr(Schema.Number),
  perDay: Schema.NullOr(Schema.Number),
  /** Messages that batch may still start at once, as far as the day is concerned. */
  left: Schema.Number,
  /** What counts towards the day, and in how many ms it no longer does. */
  leaving: Schema.Array(Schema.Struct({ inMs: Schema.Number, messages: Schema.Number }))
})
export type MessagePace = typeof MessagePace.Type

/**
 * ms until the last of so many messages may start as far as the day is concerned, when each starts as soon as it may: as
 * much as a day allows follows a day after it.
 */
export const dayDelay = (pace: MessagePace, messages: number): number => {
  if (pace.perDay === null || messages <= pace.left) return 0
  const perDay = Math.max(1, pace.perDay)
  const days = Math.floor((messages - 1) / perDay)
  // Of the first day those that start at the same place in it as the last one.
  const missing = messages - days * perDay - pace.left
  const leaving = pace.leaving.map(({ inMs, messages }) => ({ at: inMs, messages }))
  const first = missing <= 0 ? 0 : leftBy(leaving, missing) ?? dayMs + dayPartMs
  return first + days * (dayMs + dayPartMs)
}
