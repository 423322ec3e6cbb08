/**
 * Frequency caps: sliding windows over *possible* sending times (R18, G7). Keyed by member; the holds live in the Member
 * actor's state and nobody else writes them.
 *
 * A delivery that may still be sent is an interval `[notBefore, deadline]`; the provider picks the instant. Completion
 * narrows it to the real time (an interval of one instant); a refund removes it. A window of `windowMs` is half open,
 * `[t, t + windowMs)`: two messages exactly `windowMs` apart never share one. All times are whole ms.
 *
 * Each pending delivery may end up anywhere in its interval, independently of the others, so the most that a window can
 * ever hold is the number of intervals that touch it. `admits` asks whether that number stays within the cap for every
 * window that the newcomer touches. It is exact in both directions: what it admits can break no window whatever happens,
 * and for what it refuses there are sending times that would. It is "conservative" only in assuming that those times may
 * come true; the wider the intervals, the fewer fit. Short deadlines and prompt narrowing are what makes caps roomy.
 */
import { Schema } from "effect"
import { Channel } from "./Event.ts"

/** Longest window that a cap or a cooldown may span: 400 days, in ms. What lies further back can touch no window. */
export const windowMaxMs = 400 * 86_400_000
/** Largest count of a cap; more is no cap worth the name. */
export const countMax = 1_000

/** How urgently a message travels; `transactional` (an order's own mails) is outside marketing's caps. */
export const MessageClass = Schema.Literal("realtime", "batch", "transactional")
export type MessageClass = typeof MessageClass.Type

/**
 * At most `count` messages within any `windowMs`. Without a channel: all channels together. Without a class: all classes
 * but transactional, which only a rule naming it counts or limits. `count: 0` forbids; an absent rule forbids nothing.
 */
export const CapRule = Schema.Struct({
  channel: Schema.optionalWith(Channel, { exact: true }),
  class: Schema.optionalWith(MessageClass, { exact: true }),
  count: Schema.Int.pipe(Schema.between(0, countMax)),
  windowMs: Schema.Int.pipe(Schema.between(1, windowMaxMs))
}).annotations({ identifier: "CapRule" })
export type CapRule = typeof CapRule.Type

/** The instants at which something may be sent, both ends included; ms since the epoch. */
export interface Interval {
  readonly notBefore: number
  readonly deadline: number
}

/** What occupies windows: one message that may be, or was, sent. */
export interface CapHold extends Interval {
  readonly channel: Channel
  readonly class: MessageClass
}

/** Whether a rule speaks of messages of this channel and class: both of those it counts and of those it limits. */
export const governs = (rule: CapRule, channel: Channel, messageClass: MessageClass): boolean =>
  (rule.channel === undefined || rule.channel === channel) &&
  (rule.class === undefined ? messageClass !== "transactional" : rule.class === messageClass)

/**
 * Whether one more message within `interval` keeps every window of `windowMs` at `count` messages or fewer, counting the
 * holds given (all of them: filter first). Linear unless the holds near the interval already reach the cap.
 */
export const fits = (
  holds: ReadonlyArray<Interval>,
  count: number,
  windowMs: number,
  interval: Interval
): boolean => {
  // A window [t, t + windowMs) touches [a, b] when a - windowMs < t <= b: what matters is how many of these ranges of t
  // overlap at one t of the newcomer's own range.
  const reach = windowMs - 1
  let near = 0
  for (let i = 0; i < holds.length; i++) {
    const hold = holds[i]!
    if (hold.notBefore - reach <= interval.deadline && hold.deadline >= interval.notBefore - reach) near++
  }
  if (near < count) return true
  // The overlap can only grow where a range begins: try the newcomer's beginning and every other within its range.
  if (touching(holds, interval.notBefore - reach, reach) >= count) return false
  for (let i = 0; i < holds.length; i++) {
    const from = holds[i]!.notBefore
    if (from <= interval.notBefore || from - reach > interval.deadline) continue
    if (touching(holds, from - reach, reach) >= count) return false
  }
  return true
}

/** How many intervals touch the window that begins at `t` and whose last instant is `t + reach`. */
const touching = (holds: ReadonlyArray<Interval>, t: number, reach: number): number => {
  let n = 0
  for (let i = 0; i < holds.length; i++) {
    const hold = holds[i]!
    if (hold.notBefore <= t + reach && hold.deadline >= t) n++
  }
  return n
}

/**
 * Whether a rule lets one more message of its kind be sent within `interval`. The caller has asked `governs` whether the
 * rule speaks of that message at all; holds that it does not speak of are left aside here.
 */
export const admits = (holds: ReadonlyArray<CapHold>, rule: CapRule, interval: Interval): boolean => {
  // Most members have fewer holds than the cap allows: nothing to look at, whatever the rule counts.
  if (holds.length < rule.count) return true
  return fits(
    holds.filter((hold) => governs(rule, hold.channel, hold.class)),
    rule.count,
    rule.windowMs,
    interval
  )
}

/** Whether a hold can still touch a window that a message sent at `now` or later touches; if not it may be forgotten. */
export const matters = (hold: Interval, now: number, keepMs: number = windowMaxMs): boolean =>
  hold.deadline > now - keepMs
