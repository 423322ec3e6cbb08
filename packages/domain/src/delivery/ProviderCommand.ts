/**
 * What is said to the Provider actor and what it answers. `wall` is real time, the database's as the sender estimates it,
 * in whole ms since the epoch, on a replay too: the provider lives in real time, and so do slots and windows.
 */
import { Schema } from "effect"
import { DeliveryClass } from "./Delivery.ts"
import { MessagePace } from "./MessageRate.ts"
import { Limits, Operation, slotsMax } from "./RateLimit.ts"

/** Most requests or ends in one command. */
export const requestsMax = slotsMax
/** Longest lease and longest wait for an end, ms: a slip must not withhold a slot for ever. */
const waitMax = 24 * 3_600_000
const SlotId = Schema.String.pipe(Schema.pattern(/^[\x20-\x7e]{1,200}$/))
const Owner = Schema.String.pipe(Schema.pattern(/^[\x20-\x7e]{1,128}$/))
/** Whole ms since the epoch. */
const Wall = Schema.Int
/** Whole ms. */
const Wait = Schema.Int.pipe(Schema.between(0, waitMax))
/** Most messages of one request: a list's. */
const messagesMax = 1_000_000
const Messages = Schema.Int.pipe(Schema.between(0, messagesMax))

export const SlotRequest = Schema.Struct({
  /** Names the request; asked for again it gets the slot it has. */
  id: SlotId,
  operation: Operation,
  class: DeliveryClass,
  /** ms from `wall` within which the request must have started. */
  leaseMs: Wait,
  /** ms after that at which it is over at the latest: request timeout plus the provider's longest processing time. */
  endsWithinMs: Wait,
  /** Messages that it carries; none where absent. Only of a send. */
  messages: Schema.optional(Messages)
})
export type SlotRequest = typeof SlotRequest.Type

export const SlotEnd = Schema.Struct({
  id: SlotId,
  /** Latest instant (real time) at which the request can have started; null when it never did. */
  startedBy: Schema.NullOr(Wall),
  /** ms for which the provider may still be busy with it: 0 for a known end, more after a lost answer. */
  busyForMs: Wait,
  /** What the provider's 429 said to wait, ms; null when it did not push back. */
  throttledForMs: Schema.NullOr(Wait),
  /** Messages of it that may have gone out; all of them where absent, and none after a 429. */
  messages: Schema.optional(Messages)
})
export type SlotEnd = typeof SlotEnd.Type

const list = <A, I>(item: Schema.Schema<A, I>) => Schema.Array(item).pipe(Schema.maxItems(requestsMax))

export const Configure = Schema.TaggedStruct("Configure", { limits: Limits })
/** A dispatcher takes the account over; the one before it is granted nothing more. */
export const Takeover = Schema.TaggedStruct("Takeover", { owner: Owner, wall: Wall })
/**
 * Ends and new requests in one command, the most urgent first. Without either it only says that the owner is alive.
 * `ahead`: so many slots more than there is room for are granted too, twice as many for realtime, because the owner keeps
 * what it has under way within its room by itself: so the next request can start in the turn in which one ends.
 */
export const AcquireSlots = Schema.TaggedStruct("AcquireSlots", {
  owner: Owner,
  wall: Wall,
  ended: list(SlotEnd),
  requests: list(SlotRequest),
  ahead: Schema.optional(Schema.Int.pipe(Schema.between(0, slotsMax)))
})
/** Ends alone; a deposed owner too may tell how its own requests ended. */
export const FreeSlots = Schema.TaggedStruct("FreeSlots", { owner: Owner, wall: Wall, ended: list(SlotEnd) })
/** `wall`: as of when; the latest that the actor has heard of where absent. */
export const ReadProvider = Schema.TaggedStruct("ReadProvider", { wall: Schema.optional(Wall) })
export const Wake = Schema.TaggedStruct("Wake", {})
export const ProviderCommand = Schema.Union(Configure, Takeover, AcquireSlots, FreeSlots, ReadProvider, Wake)
export type ProviderCommand = typeof ProviderCommand.Type

const SlotView = Schema.Struct({
  id: SlotId,
  operation: Operation,
  class: DeliveryClass,
  owner: Owner,
  /** Real time, ms. */
  grantedAt: Schema.Number,
  /** The request starts before this or never. */
  notAfter: Schema.Number,
  /** From then on the slot is free, whatever became of the request. */
  freeAt: Schema.Number,
  /** Messages that it carries; none where absent. */
  messages: Schema.optional(Schema.Number)
})
export type Slot = typeof SlotView.Type

export const Configured = Schema.TaggedStruct("Configured", {})
/**
 * `epoch`: number of this takeover, higher than those of all owners before. `withheld`: slots of earlier owners, whose fate
 * the new owner may know from its lists and tell with `FreeSlots`.
 */
export const TookOver = Schema.TaggedStruct("TookOver", {
  epoch: Schema.Number,
  withheld: Schema.Array(SlotView),
  limits: Limits
})
const places = Schema.NullOr(Schema.Number)
/** Requests that the owner may have under way at one time: in all and of each operation, null for no bound. */
export const Room = Schema.Struct({ total: places, upload: places, send: places, status: places, history: places })
export type Room = typeof Room.Type
const Terms = {
  limits: Limits,
  /** The limits less what earlier owners may still have under way, and what the provider's 429s ask for. */
  room: Room,
  /** ms after which there may be more room without anything that the owner does; null when it is all there is. */
  roomAfter: Schema.NullOr(Schema.Number),
  /** Messages that each class may still start today, those of open slots taken off; null for no limit. */
  leftOfDay: Schema.optional(Schema.Struct({ realtime: places, batch: places }))
}
export const Granted = Schema.TaggedStruct("Granted", {
  granted: Schema.Array(Schema.Struct({ id: SlotId, notAfter: Schema.Number })),
  /** ms after which asking again for what was not granted makes sense; null when all was granted. */
  retryAfter: Schema.NullOr(Schema.Number),
  ...Terms
})
/** Nothing was granted: only ask again after `retryAfter` ms. */
export const MustWait = Schema.TaggedStruct("Wait", { retryAfter: Schema.Number, ...Terms })
export const Freed = Schema.TaggedStruct("Freed", {})
/** Another dispatcher owns the account; `quietFor`: ms since it was last heard of. */
export const Deposed = Schema.TaggedStruct("Deposed", { owner: Schema.String, quietFor: Schema.Number })
/** No limits are set yet, so nothing is granted: no limit is guessed. */
export const NotConfigured = Schema.TaggedStruct("NotConfigured", {})
export const Refused = Schema.TaggedStruct("Refused", { reason: Schema.String })
const PushbackView = Schema.Struct({ allowed: Schema.NullOr(Schema.Number), blockedUntil: Schema.Number })
const perOperation = <A>(value: Schema.Schema<A>) =>
  Schema.Struct({ upload: value, send: value, status: value, history: value })
/** Which limit holds one more request, of one message if it is a send, back. */
export const Holding = Schema.Literal(
  "pushback",
  "concurrency",
  "requests per second",
  "messages per second",
  "messages per day"
)
export type Holding = typeof Holding.Type
const Used = Schema.Struct({ limit: Schema.NullOr(Schema.Number), used: Schema.Number })
const HeldView = Schema.NullOr(Schema.Struct({ by: Holding, forMs: Schema.Number }))
/** What operators see: the limits, why less may be in use, and who holds what. */
export const ProviderView = Schema.TaggedStruct("ProviderView", {
  limits: Schema.NullOr(Limits),
  owner: Schema.String,
  takeovers: Schema.Number,
  seenAt: Schema.Number,
  slots: Schema.Array(SlotView),
  pushback: perOperation(PushbackView),
  /** What holds the next request of batch back now, and for how long; null for nothing. */
  held: Schema.optional(perOperation(HeldView)),
  /** How much of the limits on messages is in use. */
  messages: Schema.optional(Schema.Struct({ second: Used, day: Used })),
  /** As predictions take it; absent without such limits. */
  messagePace: Schema.optional(MessagePace)
})
export const Awake = Schema.TaggedStruct("Awake", {})
export const ProviderReply = Schema.Union(
  Configured,
  TookOver,
  Granted,
  MustWait,
  Freed,
  Deposed,
  NotConfigured,
  Refused,
  ProviderView,
  Awake
)
export type ProviderReply = typeof ProviderReply.Type
