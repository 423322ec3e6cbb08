/**
 * The dispatcher's conversation with the Provider actor: asks for slots and tells how requests ended, both in one command
 * per turn. A command without an answer is sent again as it was, with its id, before anything else is asked: so no grant
 * gets lost between the two (R3).
 */
import type { DeliveryClass } from "@hikyaku/domain/delivery/Delivery"
import {
  type AcquireSlots,
  requestsMax,
  type Room,
  type Slot,
  type SlotEnd,
  type SlotRequest
} from "@hikyaku/domain/delivery/ProviderCommand"
import { countBy, type Counts, type Limits } from "@hikyaku/domain/delivery/RateLimit"
import { type CommandId, commandIdFrom } from "@hikyaku/domain/Identifier"
import { Clock, Data, Effect, Random } from "effect"
import { ActorClient, type SendError } from "../actor/ActorClient.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import type { Ownership } from "./DeliveryStore.ts"
import { providerKind } from "./ProviderActor.ts"

/** Another dispatcher owns the account now. */
export class Deposed extends Data.TaggedError("Deposed")<{ readonly owner: string; readonly quietForMs: number }> {}
/** No limits are set for the account. */
export class NoLimits extends Data.TaggedError("NoLimits")<{ readonly provider: string }> {}
/** The actor answered something that makes no sense here: a fault of the program. */
export class StrangeReply extends Data.TaggedError("StrangeReply")<{ readonly reply: string }> {}

export type DeskError = Deposed | NoLimits | StrangeReply | SendError

/** How long one answer of the Provider actor may take before the command is sent again, ms. */
const answerMs = 3_000

/** How a request ended, as far as its slot is concerned. */
export interface Ending {
  /** Whether the request may have reached the provider. */
  readonly started: boolean
  /** ms for which the provider may still be busy with it; 0 when it answered. */
  readonly busyForMs: number
  /** What a 429 said to wait, ms; null without one. */
  readonly throttledForMs: number | null
  /** Messages that may have gone out; all that the request carried where absent. */
  readonly messages?: number
  /** The provider could not even be reached. */
  readonly unreachable?: true
}
export const neverStarted: Ending = { started: false, busyForMs: 0, throttledForMs: null }
export const answered: Ending = { started: true, busyForMs: 0, throttledForMs: null }
/** The provider says that it did nothing. */
export const refused: Ending = { ...answered, messages: 0 }

/** A wish for a slot, with what it is for. */
export interface Ask<Work> {
  readonly slot: SlotRequest
  readonly work: Work
}
export interface Grant<Work> {
  readonly slot: string
  readonly work: Work
  /** Instant of `Clock.currentTimeNanos` from which on the request must not start. */
  readonly startBefore: bigint
}

interface Pending<Work> {
  readonly id: CommandId
  readonly command: typeof AcquireSlots.Type
  readonly asks: ReadonlyArray<Ask<Work>>
  /** `Clock.currentTimeNanos` when the command's `wall` was read. */
  readonly nanos: bigint
}

export interface SlotDesk<Work> {
  readonly ownership: Ownership
  /** The account's limits as of the last answer. */
  readonly limits: () => Limits
  /** What may be under way at one time, as of the last answer. */
  readonly room: () => Room
  /** Messages that each class may still start today, as of the last answer; null for no limit. */
  readonly leftOfDay: () => Readonly<Record<DeliveryClass, number | null>>
  /** ms (`ShopClock.real`) from which on there may be more room than that; null while it is all there is. */
  readonly roomAt: () => number | null
  /** Requests that may be under way at one time by the widest of the limits, at most as many as may be ready. */
  readonly places: () => number
  /** Slots that are granted beyond the room, see `AcquireSlots`. */
  readonly ahead: () => number
  /** Slots granted to this dispatcher that are not given back: of requests that are ready or under way. */
  readonly slots: () => Counts
  /** Notes how a granted request ended; told with the next exchange. */
  readonly ended: (slot: string, ending: Ending) => void
  /** Whether there is something to tell. */
  readonly hasNews: () => boolean
  /** Tells the ends and asks for slots, the most urgent first; grants may be for an earlier exchange's asks. */
  readonly exchange: (asks: ReadonlyArray<Ask<Work>>) => Effect.Effect<
    { readonly grants: ReadonlyArray<Grant<Work>>; readonly retryAfterMs: number | null },
    DeskError
  >
  /** Tells the ends alone. */
  readonly flush: Effect.Effect<void, SendError>
}

/** A fresh command id by the database's time. */
const mint = (wall: number) =>
  Effect.map(Effect.all([Random.next, Random.next, Random.next]), ([a, b, c]) => commandIdFrom(wall, a, b, c))

/** An id that sorts by time, for lists and incarnations. */
export const freshId: Effect.Effect<string, never, ShopClock> = Effect.flatMap(
  ShopClock,
  (clock) => mint(Math.floor(clock.real()))
)

/** Takes the account over for `owner`; slots of earlier owners are `withheld` until their requests must be over (R20). */
export const takeOver = (provider: string, owner: string, limits: Limits | null) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    const clock = yield* ShopClock
    const send = client.send(providerKind, {
      actor: provider,
      command: { _tag: "Takeover", owner, wall: Math.floor(clock.real()) },
      within: answerMs
    })
    let reply = yield* send
    if (reply._tag === "NotConfigured" && limits !== null) {
      yield* client.send(providerKind, { actor: provider, command: { _tag: "Configure", limits }, within: answerMs })
      reply = yield* send
    }
    if (reply._tag === "NotConfigured") return yield* new NoLimits({ provider })
    if (reply._tag !== "TookOver") return yield* new StrangeReply({ reply: reply._tag })
    return { ownership: { provider, owner, epoch: reply.epoch }, limits: reply.limits, withheld: reply.withheld }
  })

/** Tells the actor that slots of earlier owners are free: their lists say that the requests have ended. */
export const release = (ownership: Ownership, slots: ReadonlyArray<Slot>) =>
  Effect.gen(function*() {
    if (slots.length === 0) return
    const client = yield* ActorClient
    const clock = yield* ShopClock
    const ended = slots.slice(0, requestsMax).map((slot): SlotEnd => ({
      id: slot.id,
      // When exactly is not known: at the latest when its lease ran out.
      startedBy: slot.notAfter,
      busyForMs: 0,
      throttledForMs: null
    }))
    yield* client.send(providerKind, {
      actor: ownership.provider,
      command: { _tag: "FreeSlots", owner: ownership.owner, wall: Math.floor(clock.real()), ended },
      within: answerMs
    })
  })

const noLimit = { realtime: null, batch: null }
/** Nothing, until the Provider actor has said what. */
const noRoom: Room = { total: 0, upload: 0, send: 0, status: 0, history: 0 }

/** Requests that may be under way at one time by the widest of the limits; null where nothing bounds them. */
const placesOf = ({ concurrency: { history, send, status, total, upload } }: Limits): number | null => {
  if (total !== null) return total
  const bounds = [upload, send, status, history].filter((bound) => bound !== null)
  return bounds.length === 0 ? null : Math.max(...bounds)
}

/**
 * Requests that are ready per place, at most: sends and questions take a tenth of an upload's time, and when all places have such
 * one for each is used up before the next turn is through on a busy machine. Still few, so that the order can change.
 */
const readyPerPlace = 2

/** `aheadMax`: slots that are asked for beyond the room (see `AcquireSlots`); never more than `readyPerPlace`. */
export const makeDesk = <Work>(ownership: Ownership, first: Limits, aheadMax: number) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    const clock = yield* ShopClock
    const open = new Map<string, Ask<Work>>()
    let endings: Array<SlotEnd> = []
    let pending: Pending<Work> | null = null
    let limits = first
    let room = noRoom
    let roomAt: number | null = 0
    let leftOfDay: Readonly<Record<DeliveryClass, number | null>> = (first.messages?.perDay ?? null) === null
      ? noLimit
      : { realtime: 0, batch: 0 }
    const { owner, provider } = ownership
    const wall = () => Math.floor(clock.real())
    const places = () => Math.min(aheadMax, placesOf(limits) ?? aheadMax)
    const ahead = () => Math.min(aheadMax, readyPerPlace * places())

    const ended = (slot: string, ending: Ending): void => {
      open.delete(slot)
      endings.push({
        id: slot,
        startedBy: ending.started ? wall() : null,
        busyForMs: Math.ceil(ending.busyForMs),
        throttledForMs: ending.throttledForMs === null ? null : Math.ceil(ending.throttledForMs),
        ...(ending.messages !== undefined && { messages: ending.messages })
      })
    }

    const compose = (asks: ReadonlyArray<Ask<Work>>) =>
      Effect.gen(function*() {
        const nanos = yield* Clock.currentTimeNanos
        const now = wall()
        const told = endings.slice(0, requestsMax)
        endings = endings.slice(told.length)
        const asked = asks.slice(0, requestsMax)
        const command = {
          _tag: "AcquireSlots" as const,
          owner,
          wall: now,
          ended: told,
          requests: asked.map((ask) => ask.slot),
          ahead: ahead()
        }
        return { id: yield* mint(now), command, asks: asked, nanos }
      })

    const exchange = (asks: ReadonlyArray<Ask<Work>>) =>
      Effect.gen(function*() {
        const sent: Pending<Work> = pending ?? (yield* compose(asks))
        pending = sent
        const { command, id } = sent
        const reply = yield* client.send(providerKind, { actor: provider, id, command, within: answerMs }).pipe(
          // These say that nothing was done and never will be: what was told is lost, and its slots lapse by themselves.
          Effect.tapErrorTag("CommandFault", () => Effect.sync(() => pending = null)),
          Effect.tapErrorTag("CommandExpired", () => Effect.sync(() => pending = null)),
          Effect.tapErrorTag("ContentDiffers", () => Effect.sync(() => pending = null))
        )
        pending = null
        switch (reply._tag) {
          case "Granted":
          case "Wait": {
            limits = reply.limits
            room = reply.room
            leftOfDay = reply.leftOfDay ?? noLimit
            roomAt = reply.roomAfter === null ? null : command.wall + reply.roomAfter
            const notAfter = new Map(
              reply._tag === "Granted" ? reply.granted.map((grant) => [grant.id, grant.notAfter] as const) : []
            )
            const grants = sent.asks.flatMap((ask): ReadonlyArray<Grant<Work>> => {
              const until = notAfter.get(ask.slot.id)
              if (until === undefined) return []
              open.set(ask.slot.id, ask)
              const leaseMs = Math.max(0, until - command.wall)
              return [{
                slot: ask.slot.id,
                work: ask.work,
                startBefore: sent.nanos + BigInt(Math.floor(leaseMs * 1e6))
              }]
            })
            return { grants, retryAfterMs: reply.retryAfter }
          }
          case "Deposed":
            return yield* new Deposed({ owner: reply.owner, quietForMs: reply.quietFor })
          case "NotConfigured":
            return yield* new NoLimits({ provider })
          default:
            return yield* new StrangeReply({ reply: reply._tag })
        }
      })

    const flush = Effect.suspend(() => {
      const told = endings.splice(0, requestsMax)
      return told.length === 0 ? Effect.void : Effect.asVoid(client.send(providerKind, {
        actor: provider,
        command: { _tag: "FreeSlots", owner, wall: wall(), ended: told },
        within: answerMs
      }))
    })

    const desk: SlotDesk<Work> = {
      ownership,
      limits: () => limits,
      room: () => room,
      leftOfDay: () => leftOfDay,
      roomAt: () => roomAt,
      places,
      ahead,
      slots: () => countBy([...open.values()].map((ask) => ask.slot)),
      ended,
      hasNews: () => endings.length > 0 || pending !== null,
      exchange,
      flush
    }
    return desk
  })
