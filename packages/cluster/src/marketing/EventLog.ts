/**
 * The log of what happened in the shop: partitions by key, offsets without gaps in the order of commits (R13). Everything
 * that reacts to events reads it at its own pace and keeps its offset beside its effects.
 */
import { type Event, eventKey, type Happening } from "@hikyaku/domain/marketing/Event"
import { Context, Effect, Schema } from "effect"
import { eventsTopic, type Nudge } from "../actor/Nudge.ts"

/** Partitions of the log; recorded in the store by the migration. Events of one key stay in one partition, in order. */
export const partitions = 8

/** Outbox rows moved to the log in one statement. */
export const relayMax = 500

/** 32-bit FNV-1a: stable across versions and machines. */
const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}
export const partitionOf = (happening: Happening): number => hash(eventKey(happening)) % partitions

/** Wakes the processors of these partitions and no others: most of what is appended at one time is of few. */
export const tellEvents = (nudge: Nudge["Type"] | null, partitions: ReadonlyArray<number>): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const partition of new Set(partitions)) nudge?.tell(eventsTopic(partition))
  })

/** What became of one published event. `Repeated`: known already, nothing was done; `Differs`: its id was used before with other content. */
export type Appended =
  | { readonly _tag: "Appended"; readonly partition: number; readonly offset: number }
  | { readonly _tag: "Repeated" }
  | { readonly _tag: "Differs" }

export class EventLogUnavailable extends Schema.TaggedError<EventLogUnavailable>()("EventLogUnavailable", {
  reason: Schema.String
}) {}

/** An event as it stands in the log. */
export interface LogEntry {
  readonly partition: number
  readonly offset: number
  readonly source: string
  readonly id: string
  readonly at: number
  readonly happening: Happening
}

/** A stretch of a partition, not empty. */
export interface Pending {
  readonly entries: ReadonlyArray<LogEntry>
  /** Offset of the last entry. */
  readonly last: number
  /** Offset up to which events are aggregated. */
  readonly aggregated: number
  /** Version of the campaign catalogue, at least that of every entry (R16). */
  readonly catalogueVersion: number
}

export class EventLog extends Context.Tag("@hikyaku/cluster/EventLog")<EventLog, {
  /** Appends durably, all or none of the list; answers in its order. Safe to repeat. */
  readonly append: (events: ReadonlyArray<Event>) => Effect.Effect<ReadonlyArray<Appended>, EventLogUnavailable>
  /** What a partition's processor has not judged yet, in order, with how far it has come; null when there is nothing. */
  readonly pending: (partition: number, limit: number) => Effect.Effect<Pending | null, EventLogUnavailable>
  /** Moves what actors have put into the outbox to the log; how many events that was. */
  readonly relay: Effect.Effect<number, EventLogUnavailable>
}>() {}
