/**
 * The Provider actor on the cluster: one per provider account, keyed by the account's id. Its cell alone writes the tables
 * `provider` (limits, owner, pace) and `provider_slot` (a row per request that may be under way, R20).
 */
import { ProviderCommand, ProviderReply, type Slot } from "@hikyaku/domain/delivery/ProviderCommand"
import { initialProvider, providerDecider, type ProviderEvent } from "@hikyaku/domain/delivery/ProviderDecider"
import type { ProviderState } from "@hikyaku/domain/delivery/ProviderState"
import { Limits, Operation } from "@hikyaku/domain/delivery/RateLimit"
import { Schema } from "effect"
import type { ActorKind } from "../actor/ActorKind.ts"
import type { ChildTable, Row } from "../actor/Table.ts"

export const providerSlotTable: ChildTable = {
  name: "provider_slot",
  columns: {
    provider: "text",
    id: "text",
    operation: "text",
    class: "text",
    owner: "text",
    granted_at: "instant",
    not_after: "instant",
    free_at: "instant",
    messages: "integer"
  },
  actor: "provider",
  key: ["provider", "id"],
  // A row lives as long as its request may be under way; what has ended is deleted.
  live: {}
}

const slotRow = (provider: string, slot: Slot): Row => ({
  provider,
  id: slot.id,
  operation: slot.operation,
  class: slot.class,
  owner: slot.owner,
  granted_at: slot.grantedAt,
  not_after: slot.notAfter,
  free_at: slot.freeAt,
  messages: slot.messages ?? 0
})

const pushback = Schema.Struct({ allowed: Schema.NullOr(Schema.Number), blockedUntil: Schema.Number })
/**
 * What paces requests beside the slots: starts that still count in a window, messages of the day by quarter hour, and how
 * far the provider pushed back. What an earlier version stored knows of no messages.
 */
const Pace = Schema.Struct({
  starts: Schema.Array(Schema.Struct({
    operation: Operation,
    by: Schema.Number,
    messages: Schema.optionalWith(Schema.Number, { default: () => 0 })
  })),
  day: Schema.optionalWith(Schema.Array(Schema.Struct({ from: Schema.Number, messages: Schema.Number })), {
    default: () => []
  }),
  pushback: Schema.Struct({ upload: pushback, send: pushback, status: pushback, history: pushback })
})

const StoredSlot = Schema.Struct({
  id: Schema.String,
  operation: Operation,
  class: Schema.Literal("realtime", "batch"),
  owner: Schema.String,
  granted_at: Schema.Number,
  not_after: Schema.Number,
  free_at: Schema.Number,
  messages: Schema.Number
})
const StoredProvider = Schema.Struct({
  limits: Schema.NullOr(Limits),
  owner: Schema.String,
  takeovers: Schema.Number,
  wall: Schema.Number,
  seen_at: Schema.Number,
  pace: Pace
})
const decodeProvider = Schema.decodeUnknownSync(StoredProvider)
const decodeSlot = Schema.decodeUnknownSync(StoredSlot)

export const providerKind: ActorKind<ProviderState, ProviderCommand, ProviderReply, ProviderEvent> = {
  name: "Provider",
  decider: providerDecider,
  command: ProviderCommand,
  reply: ProviderReply,
  main: {
    name: "provider",
    columns: {
      limits: "json",
      owner: "text",
      takeovers: "integer",
      wall: "instant",
      seen_at: "instant",
      pace: "json"
    }
  },
  children: [providerSlotTable],
  mainRow: (state) => ({
    limits: state.limits,
    owner: state.owner,
    takeovers: state.takeovers,
    wall: state.wall,
    seen_at: state.seenAt,
    pace: { starts: state.starts, day: state.day, pushback: state.pushback }
  }),
  restore: (id, main, children) => {
    const stored = decodeProvider(main)
    const slots = (children["provider_slot"] ?? []).map((row): readonly [string, Slot] => {
      const { free_at: freeAt, granted_at: grantedAt, not_after: notAfter, ...slot } = decodeSlot(row)
      return [slot.id, { ...slot, grantedAt, notAfter, freeAt }]
    })
    return {
      ...initialProvider(id),
      limits: stored.limits,
      owner: stored.owner,
      takeovers: stored.takeovers,
      wall: stored.wall,
      seenAt: stored.seen_at,
      slots: new Map(slots),
      starts: stored.pace.starts,
      day: stored.pace.day,
      pushback: stored.pace.pushback
    }
  },
  write: (writer, { after, event, id }) => {
    switch (event._tag) {
      case "SlotGranted":
        return writer.insert(providerSlotTable, slotRow(id, event.slot))
      case "SlotFreed":
        return writer.delete(providerSlotTable, { provider: id, id: event.id })
      case "SlotDoubtful": {
        const slot = after.slots.get(event.id)
        return slot === undefined ? undefined : writer.update(providerSlotTable, slotRow(id, slot))
      }
      case "LimitsSet":
      case "OwnerChanged":
      case "OwnerSeen":
      case "PushedBack":
        return
    }
  },
  publish: () => []
}
