/**
 * What a provider account's books leave: how much its owner may have under way, what holds one more request back and for how
 * long, and how operators see it. Pure, over the state that the Provider actor keeps.
 */
import {
  dayLimit,
  type DayPart,
  dayWait,
  inDay,
  leftOfDay,
  type MessageLimits,
  secondWait,
  usedOfSecond
} from "./MessageRate.ts"
import type { Holding, ProviderReply, Room, Slot, SlotRequest } from "./ProviderCommand.ts"
import {
  countBy,
  freeSlots,
  type Limits,
  type Operation,
  operations,
  partOf,
  type Pushback,
  rateWait,
  slotsMax,
  type Start,
  total,
  widened
} from "./RateLimit.ts"

/** When to ask again where the actor knows of no end to wait for, ms. */
const retryDefault = 1_000

export interface ProviderState {
  readonly id: string
  readonly limits: Limits | null
  /** Incarnation of the dispatcher that may acquire slots; "" before the first. */
  readonly owner: string
  readonly takeovers: number
  /** Latest real time that any command brought: it never runs backwards (R6). */
  readonly wall: number
  /** Real time at which the owner was last heard of, to within `signOfLifeMs`. */
  readonly seenAt: number
  readonly slots: ReadonlyMap<string, Slot>
  /** Requests that have ended and still count in the window. */
  readonly starts: ReadonlyArray<Start>
  /** Messages that started within the last day: also without a limit, which may be set at any time. */
  readonly day: ReadonlyArray<DayPart>
  readonly pushback: Readonly<Record<Operation, Pushback>>
}

/** Slots of earlier owners: each may be a request under way. */
export const withheld = (state: ProviderState): ReadonlyArray<Slot> =>
  [...state.slots.values()].filter((slot) => slot.owner !== state.owner)

/**
 * What the owner may have under way at one time. Of the slots of earlier owners no more can be under way than the limit,
 * since each kept within its room.
 */
export const roomOf = (state: ProviderState, limits: Limits, wall: number): Room => {
  const foreign = countBy(withheld(state))
  const of = (limit: number | null, taken: number) => limit === null ? null : Math.max(0, limit - taken)
  const ofOperation = (operation: Operation): number | null => {
    const { allowed, blockedUntil } = state.pushback[operation]
    const limit = limits.concurrency[operation]
    if (blockedUntil > wall) return 0
    return of(allowed === null ? limit : Math.min(limit ?? slotsMax, Math.floor(allowed)), foreign[operation])
  }
  return {
    total: of(limits.concurrency.total, total(foreign)),
    upload: ofOperation("upload"),
    send: ofOperation("send"),
    status: ofOperation("status"),
    history: ofOperation("history")
  }
}

/** ms after which `roomOf` grows by itself, null when it does not. */
export const roomAfter = (state: ProviderState, wall: number): number | null => {
  const ends = [
    ...withheld(state).map((slot) => slot.freeAt),
    ...operations.map((operation) => state.pushback[operation].blockedUntil)
  ].filter((at) => at > wall)
  return ends.length === 0 ? null : Math.min(...ends) - wall
}

/** The part of a rate that slots beyond the room may use up: where the rate is what binds, they would only keep it idle. */
const aheadRate = 0.75

export interface Held {
  readonly by: Holding
  readonly forMs: number
}

const openStarts = (state: ProviderState): ReadonlyArray<Start> =>
  [...state.slots.values()].map(({ messages = 0, notAfter: by, operation }) => ({ operation, by, messages }))

/** What counts towards the day, slots that may start still included. */
const countedInDay = (state: ProviderState, limits: Limits, wall: number) =>
  inDay(state.day, openStarts(state), limits.marginMs, wall)

/**
 * What holds one more slot back, and for how many ms; null for nothing. Those beyond the room by `ahead` wait for their
 * turn with the owner; since a slot counts in the windows until its request has started, they are granted only while the
 * rate is not what binds.
 */
export const heldBack = (
  state: ProviderState,
  limits: Limits,
  { class: cls, messages = 0, operation }: Pick<SlotRequest, "class" | "messages" | "operation">,
  ahead: number,
  wall: number
): Held | null => {
  const pushback = state.pushback[operation]
  if (pushback.blockedUntil > wall) return { by: "pushback", forMs: pushback.blockedUntil - wall }
  const room = roomOf(state, limits, wall)
  const slots = [...state.slots.values()]
  const own = countBy(slots.filter((slot) => slot.owner === state.owner))
  const wide = cls === "realtime" ? 2 * ahead : ahead
  if (freeSlots(widened(room, wide), own, operation) === 0 || slots.length >= slotsMax) {
    const first = slots.reduce((least, slot) => Math.min(least, slot.freeAt - wall), retryDefault)
    return { by: pushback.allowed === null ? "concurrency" : "pushback", forMs: Math.max(1, first) }
  }
  const starts = [...state.starts, ...openStarts(state)]
  const share = freeSlots(room, own, operation) === 0 ? aheadRate : 1
  const perSecond = partOf(limits.perSecond, share)
  const ofRequests = rateWait({ ...limits, perSecond }, starts, operation, wall)
  if (ofRequests > 0) return { by: "requests per second", forMs: ofRequests }
  if (limits.messages === undefined || messages === 0) return null
  const ofDay = dayWait(limits.messages, cls, countedInDay(state, limits, wall), messages, wall)
  if (ofDay > 0) return { by: "messages per day", forMs: ofDay }
  const rate = limits.messages.perSecond
  const part = { ...limits.messages, perSecond: rate === null ? null : Math.max(1, Math.floor(rate * share)) }
  const ofSecond = secondWait(part, limits.marginMs, starts, messages, wall)
  return ofSecond > 0 ? { by: "messages per second", forMs: ofSecond } : null
}

export const dayLefts = (state: ProviderState, limits: Limits, messages: MessageLimits, wall: number) => {
  if (messages.perDay === null) return { realtime: null, batch: null }
  const counted = countedInDay(state, limits, wall)
  return { realtime: leftOfDay(messages, "realtime", counted), batch: leftOfDay(messages, "batch", counted) }
}

/** The account as operators see it at an instant. */
export const viewOf = (state: ProviderState, wall: number): ProviderReply => {
  const { limits } = state
  const messages = limits?.messages
  const next = (operation: Operation) =>
    limits === null
      ? null
      : heldBack(state, limits, { operation, class: "batch", messages: operation === "send" ? 1 : 0 }, 0, wall)
  return {
    _tag: "ProviderView",
    limits,
    owner: state.owner,
    takeovers: state.takeovers,
    seenAt: state.seenAt,
    slots: [...state.slots.values()],
    pushback: state.pushback,
    held: { upload: next("upload"), send: next("send"), status: next("status"), history: next("history") },
    ...(limits !== null && messages !== undefined && messagesOf(state, limits, messages, wall))
  }
}

/** How much of the limits on messages is in use, and what follows from it for predictions. */
const messagesOf = (state: ProviderState, limits: Limits, messages: MessageLimits, wall: number) => {
  const counted = countedInDay(state, limits, wall)
  const starts = [...state.starts, ...openStarts(state)]
  return {
    messages: {
      second: { limit: messages.perSecond, used: usedOfSecond(messages, limits.marginMs, starts, wall) },
      day: { limit: messages.perDay, used: counted.reduce((all, one) => all + one.messages, 0) }
    },
    messagePace: {
      perSecond: messages.perSecond,
      perDay: dayLimit(messages, "batch"),
      left: leftOfDay(messages, "batch", counted) ?? 0,
      leaving: counted.map((one) => ({ inMs: one.at - wall, messages: one.messages }))
    }
  }
}
