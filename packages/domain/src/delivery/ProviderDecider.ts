/**
 * The Provider actor: keyed by the provider account's id, the one keeper of its limits for the whole cluster (MAIL-3, G9).
 * Every request first gets a slot here, and every slot is a row (R20): so whoever takes over knows which requests may
 * still be under way and withholds exactly those.
 *
 * One dispatcher at a time, the owner, is granted slots; a newer one deposes it (`Takeover`). The limit holds even so,
 * because the count is this actor's. The owner may ask for slots ahead of their turn; it is told its room, the requests
 * that it may have under way at one time, and keeps within it. To a later owner each of these slots may be a request under
 * way, but all together they are no more than the limit.
 */
import { answer, type Decider, type Decision, outcome } from "../Actor.ts"
import { noted } from "./MessageRate.ts"
import type { AcquireSlots, ProviderCommand, ProviderReply, Slot, SlotEnd } from "./ProviderCommand.ts"
import { dayLefts, heldBack, type ProviderState, roomAfter, roomOf, viewOf, withheld } from "./ProviderState.ts"
import {
  countBy,
  type Counts,
  counts,
  freeSlots,
  type Limits,
  noPushback,
  type Operation,
  recovered,
  type Start,
  throttled
} from "./RateLimit.ts"

export type ProviderEvent =
  | { readonly _tag: "LimitsSet"; readonly limits: Limits }
  | { readonly _tag: "OwnerChanged"; readonly owner: string; readonly wall: number }
  | { readonly _tag: "OwnerSeen"; readonly wall: number }
  | { readonly _tag: "SlotGranted"; readonly slot: Slot }
  /** The end of a slot, known or by lapse of time. `clean`: the provider answered, and did not push back. */
  | {
    readonly _tag: "SlotFreed"
    readonly id: string
    readonly wall: number
    readonly startedBy: number | null
    readonly clean: boolean
    /** Messages that may have gone out. */
    readonly messages: number
  }
  /** The answer was lost: the request may be under way until `freeAt`. */
  | { readonly _tag: "SlotDoubtful"; readonly id: string; readonly startedBy: number; readonly freeAt: number }
  | {
    readonly _tag: "PushedBack"
    readonly operation: Operation
    readonly wall: number
    readonly retryAfter: number
  }

/** How precisely the store knows when the owner was last heard of, ms: each sign of life is a commit. */
export const signOfLifeMs = 2_000

const slotLimit = (state: ProviderState, operation: Operation): number =>
  freeSlots(
    state.limits?.concurrency ?? { total: 1, upload: 1, send: 1, status: 1, history: 1 },
    countBy([]),
    operation
  )

const evolve = (state: ProviderState, event: ProviderEvent): ProviderState => {
  switch (event._tag) {
    case "LimitsSet":
      return { ...state, limits: event.limits }
    case "OwnerChanged":
      return { ...state, owner: event.owner, takeovers: state.takeovers + 1, wall: event.wall, seenAt: event.wall }
    case "OwnerSeen":
      return { ...state, wall: event.wall, seenAt: event.wall }
    case "SlotGranted": {
      const wall = Math.max(state.wall, event.slot.grantedAt)
      return { ...state, wall, seenAt: wall, slots: new Map(state.slots).set(event.slot.id, event.slot) }
    }
    case "SlotFreed": {
      const slot = state.slots.get(event.id)
      if (slot === undefined) return state
      const slots = new Map(state.slots)
      slots.delete(event.id)
      const margin = state.limits?.marginMs ?? 0
      const starts = state.starts.filter((start) => counts(start, state.limits, event.wall))
      const { messages, startedBy: by } = event
      const ended: Start | null = by === null ? null : { operation: slot.operation, by, messages }
      const pushback = event.clean
        ? {
          ...state.pushback,
          [slot.operation]: recovered(state.pushback[slot.operation], slotLimit(state, slot.operation))
        }
        : state.pushback
      return {
        ...state,
        wall: Math.max(state.wall, event.wall),
        slots,
        starts: ended !== null && counts(ended, state.limits, event.wall) ? [...starts, ended] : starts,
        // It has ended by now, so it had started by now.
        day: ended === null
          ? state.day
          : noted(state.day, { by: Math.min(ended.by, event.wall), messages }, margin, event.wall),
        pushback
      }
    }
    case "SlotDoubtful": {
      const slot = state.slots.get(event.id)
      if (slot === undefined) return state
      const doubtful = { ...slot, notAfter: Math.min(slot.notAfter, event.startedBy), freeAt: event.freeAt }
      return { ...state, slots: new Map(state.slots).set(event.id, doubtful) }
    }
    case "PushedBack": {
      const { operation, retryAfter, wall } = event
      const held = throttled(state.pushback[operation], slotLimit(state, operation), wall, retryAfter)
      return { ...state, wall: Math.max(state.wall, wall), pushback: { ...state.pushback, [operation]: held } }
    }
  }
}

const fold = (state: ProviderState, events: ReadonlyArray<ProviderEvent>): ProviderState => events.reduce(evolve, state)

/** Slots whose time is over: whatever became of their requests, the provider is done with them. */
const lapsed = (state: ProviderState, wall: number): ReadonlyArray<ProviderEvent> =>
  [...state.slots.values()].filter((slot) => slot.freeAt <= wall).map((slot) => ({
    _tag: "SlotFreed",
    id: slot.id,
    wall,
    startedBy: slot.notAfter,
    clean: false,
    messages: slot.messages ?? 0
  }))

/** The facts about requests that ended. A slot is its holder's to free, or the owner's, who may have read how it ended. */
const ends = (state: ProviderState, by: string, wall: number, ended: ReadonlyArray<SlotEnd>): Array<ProviderEvent> =>
  ended.flatMap((end): Array<ProviderEvent> => {
    const slot = state.slots.get(end.id)
    if (slot === undefined || (slot.owner !== by && state.owner !== by)) return []
    const slotsMessages = slot.messages ?? 0
    const startedBy = end.startedBy === null ? null : Math.min(end.startedBy, slot.notAfter)
    if (startedBy !== null && end.busyForMs > 0) {
      return [{ _tag: "SlotDoubtful", id: end.id, startedBy, freeAt: wall + end.busyForMs }]
    }
    const freed: ProviderEvent = {
      _tag: "SlotFreed",
      id: end.id,
      wall,
      startedBy,
      clean: startedBy !== null && end.throttledForMs === null,
      messages: startedBy === null || end.throttledForMs !== null
        ? 0
        : Math.min(end.messages ?? slotsMessages, slotsMessages)
    }
    return end.throttledForMs === null
      ? [freed]
      : [{ _tag: "PushedBack", operation: slot.operation, wall, retryAfter: end.throttledForMs }, freed]
  })

const acquire = (
  state: ProviderState,
  limits: Limits,
  command: typeof AcquireSlots.Type,
  wall: number,
  before: ReadonlyArray<ProviderEvent>
): Decision<ProviderReply, ProviderEvent> => {
  const events = [...before]
  const ahead = command.ahead ?? 0
  const granted: Array<{ readonly id: string; readonly notAfter: number }> = []
  const waits: Array<number> = []
  // Whoever waits for the second's messages keeps its place: small sends behind it would let a big one never fit.
  let secondHeldMs = 0
  let current = fold(state, events)
  for (const request of command.requests) {
    const held = current.slots.get(request.id)
    if (held !== undefined) {
      if (held.owner === command.owner) granted.push({ id: held.id, notAfter: held.notAfter })
      continue
    }
    const messages = request.messages ?? 0
    const hold = messages > 0 && secondHeldMs > 0
      ? { by: "messages per second" as const, forMs: secondHeldMs }
      : heldBack(current, limits, request, ahead, wall)
    if (hold !== null) {
      if (hold.by === "messages per second") secondHeldMs = hold.forMs
      waits.push(hold.forMs)
      continue
    }
    const notAfter = wall + request.leaseMs
    const slot: Slot = {
      id: request.id,
      operation: request.operation,
      class: request.class,
      owner: command.owner,
      grantedAt: wall,
      notAfter,
      freeAt: notAfter + request.endsWithinMs,
      messages
    }
    const event: ProviderEvent = { _tag: "SlotGranted", slot }
    current = evolve(current, event)
    events.push(event)
    granted.push({ id: slot.id, notAfter })
  }
  const retryAfter = waits.length === 0 ? null : Math.min(...waits)
  const terms = {
    limits,
    room: roomOf(current, limits, wall),
    roomAfter: roomAfter(current, wall),
    ...(limits.messages !== undefined && { leftOfDay: dayLefts(current, limits, limits.messages, wall) })
  }
  const reply: ProviderReply = granted.length === 0 && retryAfter !== null
    ? { _tag: "Wait", retryAfter, ...terms }
    : { _tag: "Granted", granted, retryAfter, ...terms }
  return events.length === 0 ? answer(reply) : outcome(reply, ...events)
}

const decide = (state: ProviderState, command: ProviderCommand): Decision<ProviderReply, ProviderEvent> => {
  switch (command._tag) {
    case "Configure":
      return outcome({ _tag: "Configured" }, { _tag: "LimitsSet", limits: command.limits })
    case "Takeover": {
      if (state.limits === null) return answer({ _tag: "NotConfigured" })
      const wall = Math.max(state.wall, command.wall)
      const events: ReadonlyArray<ProviderEvent> = [
        ...lapsed(state, wall),
        { _tag: "OwnerChanged", owner: command.owner, wall }
      ]
      return outcome({
        _tag: "TookOver",
        epoch: state.takeovers + 1,
        withheld: withheld(fold(state, events)),
        limits: state.limits
      }, ...events)
    }
    case "AcquireSlots":
    case "FreeSlots": {
      const wall = Math.max(state.wall, command.wall)
      const over = lapsed(state, wall)
      const events = [...over, ...ends(fold(state, over), command.owner, wall, command.ended)]
      if (command._tag === "FreeSlots") {
        return events.length === 0 ? answer({ _tag: "Freed" }) : outcome({ _tag: "Freed" }, ...events)
      }
      if (state.owner !== command.owner) {
        const reply: ProviderReply = { _tag: "Deposed", owner: state.owner, quietFor: wall - state.seenAt }
        return events.length === 0 ? answer(reply) : outcome(reply, ...events)
      }
      if (state.limits === null) return answer({ _tag: "NotConfigured" })
      if (wall - state.seenAt >= signOfLifeMs) events.push({ _tag: "OwnerSeen", wall })
      return acquire(state, state.limits, command, wall, events)
    }
    case "ReadProvider": {
      const wall = Math.max(state.wall, command.wall ?? state.wall)
      return answer(viewOf(fold(state, lapsed(state, wall)), wall))
    }
    case "Wake":
      return answer({ _tag: "Awake" })
  }
}

export const initialProvider = (id: string): ProviderState => ({
  id,
  limits: null,
  owner: "",
  takeovers: 0,
  wall: 0,
  seenAt: 0,
  slots: new Map(),
  starts: [],
  day: [],
  pushback: { send: noPushback, history: noPushback, status: noPushback, upload: noPushback }
})

/** Slots in use per operation. */
export const slotsInUse = (state: ProviderState): Counts => countBy(state.slots.values())

export const providerDecider: Decider<ProviderState, ProviderCommand, ProviderReply, ProviderEvent> = {
  initial: initialProvider,
  decide,
  evolve,
  // Slots lapse when the next request looks at them: nothing has to happen by itself, and a replay's clock is not theirs.
  dueAt: () => null,
  wake: { _tag: "Wake" }
}
