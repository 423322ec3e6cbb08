/**
 * When a message may leave (RTM-8): the stretch of time within [notBefore, deadline] that a campaign's policy, its class's
 * delivery hours and the shop's quiet hours leave, by the clock on the member's wall. Pure, and safe where that clock is set
 * back or forward: no instant of the stretch chosen ever reads as a forbidden time.
 */
import { Schema } from "effect"
import type { Interval } from "./FrequencyCap.ts"
import { dayMs, hourMs, instantsOf, localAt, localHour, localMinute, minuteMs } from "./LocalTime.ts"

const Minute = Schema.Int.pipe(Schema.between(0, 1440))

/**
 * A daily stretch in minutes of the local day, from (included) to (excluded); past midnight when from > to. The whole day is
 * 0 to 1440; an empty one cannot be written.
 */
export const DailyHours = Schema.Struct({ from: Minute, to: Minute }).pipe(
  Schema.filter(({ from, to }) => from !== to && from < 1440 ? true : "from must be before 24:00 and differ from to"),
  Schema.annotations({ identifier: "DailyHours" })
)
export type DailyHours = typeof DailyHours.Type

/** `Immediate`: as soon as allowed. `BestHour`: the hour in which the member reads. `Slots`: fixed hours of the local day. */
export const TimePolicy = Schema.Union(
  Schema.TaggedStruct("Immediate", {}),
  Schema.TaggedStruct("BestHour", {}),
  Schema.TaggedStruct("Slots", {
    hours: Schema.NonEmptyArray(Schema.Int.pipe(Schema.between(0, 23))).pipe(Schema.maxItems(24))
  })
).annotations({ identifier: "TimePolicy" })
export type TimePolicy = typeof TimePolicy.Type

/** The shop's usual slots: 9, 12 and 18 o'clock. */
export const usualSlots: TimePolicy = { _tag: "Slots", hours: [9, 12, 18] }

export interface TimeTerms {
  readonly timePolicy: TimePolicy
  /** When nothing leaves. */
  readonly quietHours?: DailyHours
  /** When this class may leave at all. */
  readonly deliveryHours?: DailyHours
  /** Outside both: hold the message until they allow it, or drop it. */
  readonly outsideHours: "hold" | "drop"
}

/** A stretch shorter than this is passed over for a later one that still begins in time: nobody could use it. */
export const stretchMinMs = 15 * minuteMs
/** Longest time from now to a delivery's deadline: 31 days. */
export const deadlineMaxMs = 31 * dayMs
/** Fewer responses than this say nothing about a member's hours. */
export const responsesMin = 3

export type Timing =
  /** `why` is null when the message may leave when asked. */
  | { readonly _tag: "Timed"; readonly notBefore: number; readonly deadline: number; readonly why: string | null }
  | { readonly _tag: "NoTime"; readonly reason: "QuietHours" | "OutsideHours" | "NoSlot"; readonly why: string }

/** Stretches [from, to) of the local day, in order, that both kinds of hours allow. */
const allowedMinutes = (terms: TimeTerms): ReadonlyArray<readonly [number, number]> => {
  const split = (hours: DailyHours): ReadonlyArray<readonly [number, number]> =>
    hours.from < hours.to ? [[hours.from, hours.to]] : [[0, hours.to], [hours.from, 1440]]
  const open = terms.deliveryHours === undefined ? [[0, 1440] as const] : split(terms.deliveryHours)
  const quiet = terms.quietHours
  const loud = quiet === undefined
    ? [[0, 1440] as const]
    : quiet.from < quiet.to
    ? [[0, quiet.from] as const, [quiet.to, 1440] as const]
    : [[quiet.to, quiet.from] as const]
  const both: Array<readonly [number, number]> = []
  for (const [a, b] of open) {
    for (const [c, d] of loud) {
      const from = Math.max(a, c)
      const to = Math.min(b, d)
      if (from < to) both.push([from, to])
    }
  }
  return both.sort((left, right) => left[0] - right[0])
}

/** The terms are one object for a whole page of members. */
const allowedByTerms = new WeakMap<TimeTerms, ReadonlyArray<readonly [number, number]>>()
const allowedOf = (terms: TimeTerms): ReadonlyArray<readonly [number, number]> => {
  let allowed = allowedByTerms.get(terms)
  if (allowed === undefined) allowedByTerms.set(terms, allowed = allowedMinutes(terms))
  return allowed
}

/**
 * The stretches within the interval whose local time is allowed, in order. A boundary that the clock shows twice opens at its
 * last and closes at its first showing; one that it skips opens after and closes before the change.
 */
export const stretches = (terms: TimeTerms, zone: string, interval: Interval): ReadonlyArray<Interval> => {
  const allowed = allowedOf(terms)
  const [only] = allowed
  if (allowed.length === 1 && only![0] === 0 && only![1] === 1440) return [interval]
  const found: Array<{ notBefore: number; deadline: number }> = []
  const firstDay = Math.floor(localAt(zone, interval.notBefore) / dayMs) - 1
  const lastDay = Math.floor(localAt(zone, interval.deadline) / dayMs) + 1
  for (let day = firstDay; day <= lastDay; day++) {
    for (const [from, to] of allowed) {
      const opens = instantsOf(zone, day * dayMs + from * minuteMs).last
      const closes = instantsOf(zone, day * dayMs + to * minuteMs).first - 1
      const notBefore = Math.max(opens, interval.notBefore)
      const deadline = Math.min(closes, interval.deadline)
      if (notBefore > deadline) continue
      const last = found[found.length - 1]
      if (last !== undefined && notBefore <= last.deadline + 1) last.deadline = Math.max(last.deadline, deadline)
      else found.push({ notBefore, deadline })
    }
  }
  return found
}

const isAllowed = (allowed: ReadonlyArray<readonly [number, number]>, minute: number): boolean => {
  for (const [from, to] of allowed) if (minute >= from && minute < to) return true
  return false
}

/** Why an instant is not allowed. */
const refusal = (terms: TimeTerms, minute: number): "QuietHours" | "OutsideHours" => {
  const quiet = terms.quietHours
  if (quiet === undefined) return "OutsideHours"
  const within = quiet.from < quiet.to
    ? minute >= quiet.from && minute < quiet.to
    : minute >= quiet.from || minute < quiet.to
  return within ? "QuietHours" : "OutsideHours"
}

const clock = (zone: string, instant: number): string => {
  const minute = localMinute(zone, instant)
  return `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`
}

/** How readily a member responds around an hour of the day: the hour itself, and half of its neighbours. */
const weightOf = (hours: ReadonlyArray<number>, hour: number): number =>
  (hours[hour] ?? 0) + ((hours[(hour + 23) % 24] ?? 0) + (hours[(hour + 1) % 24] ?? 0)) / 2

/** The beginnings of the hours, or of what is left of them, that a day offers, with their hour on the clock. */
const hoursOf = (open: ReadonlyArray<Interval>, zone: string): ReadonlyArray<readonly [at: number, hour: number]> => {
  const found: Array<readonly [number, number]> = []
  // A day holds 25 hours at most, and each hour of the clock is then on offer.
  const until = (open[0]?.notBefore ?? 0) + 25 * hourMs
  for (const stretch of open) {
    for (let t = stretch.notBefore; t <= stretch.deadline && t <= until;) {
      found.push([t, localHour(zone, t)])
      const local = localAt(zone, t)
      t += hourMs - (local - Math.floor(local / hourMs) * hourMs)
    }
  }
  return found
}

/** The hour on offer with the most responses, the earlier of equals; null with too few responses to tell. */
const bestHour = (
  offered: ReadonlyArray<readonly [at: number, hour: number]>,
  hours: ReadonlyArray<number> | null
): { readonly at: number; readonly responses: number; readonly total: number } | null => {
  if (hours === null) return null
  let total = 0
  for (const count of hours) total += count
  if (total < responsesMin) return null
  let best = -1
  let found = 0
  for (let i = 0; i < offered.length; i++) {
    const weight = weightOf(hours, offered[i]![1])
    if (weight > best) {
      best = weight
      found = i
    }
  }
  const [at, hour] = offered[found]!
  return { at, responses: hours[hour] ?? 0, total }
}

/** The first fixed hour that lies in one of the stretches, or null. */
const firstSlot = (open: ReadonlyArray<Interval>, zone: string, slots: ReadonlyArray<number>): number | null => {
  for (const stretch of open) {
    const firstDay = Math.floor(localAt(zone, stretch.notBefore) / dayMs) - 1
    const lastDay = Math.floor(localAt(zone, stretch.deadline) / dayMs) + 1
    let first: number | null = null
    for (let day = firstDay; day <= lastDay && first === null; day++) {
      for (const hour of slots) {
        const { first: earlier, last: later } = instantsOf(zone, day * dayMs + hour * hourMs)
        // A slot that the clock skips is taken right after the change.
        const at = localHour(zone, earlier) === hour ? earlier : later
        if (at >= stretch.notBefore && at <= stretch.deadline && (first === null || at < first)) first = at
      }
    }
    if (first !== null) return first
  }
  return null
}

/** What the terms leave of one interval in one zone: the same for most members of a page, so it is kept. */
interface Opening extends Interval {
  readonly open: ReadonlyArray<Interval>
  readonly hours: ReadonlyArray<readonly [at: number, hour: number]>
  readonly slot: number | null
}
/** Zones kept per terms; past it all are worked out again. */
const openingsMax = 64
const openingsByTerms = new WeakMap<TimeTerms, Map<string, Opening>>()

const openingOf = (terms: TimeTerms, zone: string, interval: Interval): Opening => {
  let byZone = openingsByTerms.get(terms)
  if (byZone === undefined) openingsByTerms.set(terms, byZone = new Map())
  const kept = byZone.get(zone)
  if (kept !== undefined && kept.notBefore === interval.notBefore && kept.deadline === interval.deadline) return kept
  const every = stretches(terms, zone, interval)
  const { timePolicy } = terms
  const open = terms.outsideHours === "drop" && timePolicy._tag === "Immediate"
    // Not held, whatever is left of its hours.
    ? every.slice(0, 1)
    : usableOf(every)
  const opening: Opening = {
    notBefore: interval.notBefore,
    deadline: interval.deadline,
    open,
    hours: timePolicy._tag === "BestHour" ? hoursOf(open, zone) : [],
    slot: timePolicy._tag === "Slots" ? firstSlot(open, zone, timePolicy.hours) : null
  }
  if (byZone.size >= openingsMax) byZone.clear()
  byZone.set(zone, opening)
  return opening
}

/** Those long enough to be of use, or all when none is. */
const usableOf = (every: ReadonlyArray<Interval>): ReadonlyArray<Interval> => {
  const usable = every.filter((stretch) => stretch.deadline - stretch.notBefore >= stretchMinMs)
  return usable.length > 0 ? usable : every
}

const endOf = (open: ReadonlyArray<Interval>, at: number): number =>
  open.find((stretch) => at >= stretch.notBefore && at <= stretch.deadline)?.deadline ?? at

/**
 * Chooses the possible sending time of one message: it begins where the policy says and ends where the allowed stretch or
 * the deadline does, whichever comes first; so a message held up past its hours is dropped rather than sent at night.
 *
 * `hours` are the member's responses by hour of the local day (24 counts), or null. The interval must not be empty.
 */
export const chooseTime = (
  terms: TimeTerms,
  zone: string,
  hours: ReadonlyArray<number> | null,
  interval: Interval
): Timing => {
  if (terms.outsideHours === "drop") {
    const minute = localMinute(zone, interval.notBefore)
    if (!isAllowed(allowedOf(terms), minute)) {
      const why = `dropped outside its hours, at ${clock(zone, interval.notBefore)}`
      return { _tag: "NoTime", reason: refusal(terms, minute), why }
    }
  }
  const { hours: offered, open, slot } = openingOf(terms, zone, interval)
  const [first] = open
  if (first === undefined) {
    const reason = refusal(terms, localMinute(zone, interval.notBefore))
    return {
      _tag: "NoTime",
      reason,
      why: `no allowed hour before the deadline, from ${clock(zone, interval.notBefore)}`
    }
  }
  const { timePolicy } = terms
  if (timePolicy._tag === "Slots") {
    return slot === null
      ? { _tag: "NoTime", reason: "NoSlot", why: `none of ${timePolicy.hours.join(", ")} o'clock before the deadline` }
      : { _tag: "Timed", notBefore: slot, deadline: endOf(open, slot), why: `slot ${clock(zone, slot)}` }
  }
  const best = timePolicy._tag === "BestHour" ? bestHour(offered, hours) : null
  if (best !== null) {
    const why = `reads at ${clock(zone, best.at)} (${best.responses} of ${best.total} responses)`
    return { _tag: "Timed", notBefore: best.at, deadline: endOf(open, best.at), why }
  }
  return {
    _tag: "Timed",
    notBefore: first.notBefore,
    deadline: first.deadline,
    why: first.notBefore > interval.notBefore ? `held until ${clock(zone, first.notBefore)}` : null
  }
}
