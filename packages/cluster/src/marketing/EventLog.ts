/**
 * The log of what happened in the shop: partitions by key, offsets without gaps in the order of commits (R13). Everything
 * that reacts to events reads it at its own pace and keeps its offset beside its effects.
 */
import type { Event, Happening } from "@hikyaku/domain/marketing/Event"
import { Context, type Effect, Schema } from "effect"

/** Partitions of the log; recorded in the store by the migration. Events of one key stay in one partition, in order. */
export const partitions = 8

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

export class EventLog extends Context.Tag("@hikyaku/cluster/EventLog")<EventLog, {
  /** Appends durably, all or none of the list; answers in its order. Safe to repeat. */
  readonly append: (events: ReadonlyArray<Event>) => Effect.Effect<ReadonlyArray<Appended>, EventLogUnavailable>
  /** Entries of a partition after an offset, in order. */
  readonly read: (
    partition: number,
    after: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<LogEntry>, EventLogUnavailable>
  /** Moves what actors have put into the outbox to the log; how many events that was. */
  readonly relay: Effect.Effect<number, EventLogUnavailable>
}>() {}
