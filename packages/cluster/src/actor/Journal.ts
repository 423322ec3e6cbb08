/**
 * The journal: the one way in which actors' state reaches the store. It gathers the units of all cells of a runner and
 * commits them together; each unit stands or falls alone (R2), and each names the version and the writer it builds on, so
 * that of two runners which both believe they own an actor only one can write (R5).
 */
import { type CommandId } from "@hikyaku/domain/Identifier"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import { Context, type Effect, Schema } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import type { Row, RowWrite } from "./Table.ts"

/** What a unit builds on and what a load returns. `version` 0: nothing is stored yet, `writer` is then "". */
export interface Fence {
  readonly version: number
  /** Incarnation of the cell that wrote last (R5): a version that recurs after a failover is not mistaken. */
  readonly writer: string
  /** Placement (R8): the cell that owns the actor, and how often that has changed. */
  readonly cell: string
  readonly epoch: number
}

/** A final outcome, refusals included (R3). */
export interface Outcome {
  readonly command: CommandId
  /** Fingerprint of the command's encoded content: the same id with other content is refused. */
  readonly hash: string
  /** The encoded reply. */
  readonly reply: object
}

/** All that one actor's commands of one round amount to. */
export interface Unit {
  readonly actor: string
  readonly base: Fence
  /** Incarnation of the cell that writes. */
  readonly writer: string
  /**
   * What to write, or null for a version check alone (R1): reads and repeats leave only after it has confirmed that the
   * actor is still at `base`.
   */
  readonly change: UnitChange | null
  /** Commands that are answered without an outcome on record: if one of them is on record, the unit is `Known` (R3). */
  readonly asked: ReadonlyArray<CommandId>
  /** Database time after which the unit must not commit (ms since the epoch, R6), or null. */
  readonly notAfter: number | null
}

export interface UnitChange {
  /** The kind's own columns. */
  readonly main: Row
  /** The kind's steady columns are as they are at the base; never so of an actor that is stored for the first time. */
  readonly steady?: true
  /** The actor's clock after the unit (ms since the epoch): `now` never runs backwards through a takeover (R6). */
  readonly clock: number
  readonly dueAt: number | null
  /** Where the actor lives from this commit on; differs from the base's when it moves (R8). */
  readonly cell: string
  readonly epoch: number
  readonly outcomes: ReadonlyArray<Outcome>
  readonly rows: ReadonlyArray<RowWrite>
  readonly outbox: ReadonlyArray<{ readonly at: number; readonly happening: Happening }>
}

/**
 * `Committed`: durable. `Stale`: the base is not what is stored. `Known`: a command id was executed before. `Late`: not
 * committed by `notAfter`. `Fault`: the store refuses this unit whatever its neighbours do. Of all but `Committed` nothing
 * was written.
 */
export type Verdict =
  | { readonly _tag: "Committed" }
  | { readonly _tag: "Stale" }
  | { readonly _tag: "Known" }
  | { readonly _tag: "Late" }
  | { readonly _tag: "Fault"; readonly reason: string }

/** Nobody can say whether the commit happened (connection lost, server gone): drop the states, load, compare ids (R4). */
export class CommitUnknown extends Schema.TaggedError<CommitUnknown>()("CommitUnknown", { reason: Schema.String }) {}
/** A read failed; nothing was changed by it. */
export class JournalUnavailable extends Schema.TaggedError<JournalUnavailable>()("JournalUnavailable", {
  reason: Schema.String
}) {}

export interface Loaded<State> {
  readonly actor: string
  readonly state: State
  readonly fence: Fence
  readonly clock: number
}

/** The earliest time (ms) at which these units make an actor due, or what was earlier already; null: nothing does. */
export const earliestDue = (units: ReadonlyArray<Unit>, before: number | null): number | null =>
  units.reduce((earliest, { change }) => {
    const due = change?.dueAt ?? null
    return due === null || (earliest !== null && earliest <= due) ? earliest : due
  }, before)

/** One kind's part of the journal. */
export interface KindJournal<State> {
  /** States of the actors named that are stored, in one query per table; absent ones are not in the answer. */
  readonly load: (actors: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Loaded<State>>, JournalUnavailable>
  /** Outcomes on record of the pairs named. */
  readonly outcomes: (
    pairs: ReadonlyArray<{ readonly actor: string; readonly command: CommandId }>
  ) => Effect.Effect<ReadonlyArray<Outcome & { readonly actor: string }>, JournalUnavailable>
  /** Commits units of different actors; one verdict per unit, in their order. */
  readonly commit: (units: ReadonlyArray<Unit>) => Effect.Effect<ReadonlyArray<Verdict>, CommitUnknown>
  /** Actors of the cells named that are due at `now` (ms), oldest first (R15). */
  readonly due: (
    cells: ReadonlyArray<string>,
    now: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<{ readonly actor: string; readonly cell: string }>, JournalUnavailable>
  /** When the next actor of the cells named is due after `now` (ms); null: none of them is. */
  readonly nextDue: (cells: ReadonlyArray<string>, now: number) => Effect.Effect<number | null, JournalUnavailable>
  /** The earliest due time (ms) that was committed through this journal since this was last asked; null: none was. */
  readonly takeDue: () => number | null
  /** Actors that live in a cell of their own (R8), in the order of their cells' names. */
  readonly hot: (
    limit: number
  ) => Effect.Effect<ReadonlyArray<{ readonly actor: string; readonly cell: string }>, JournalUnavailable>
}

export class Journal extends Context.Tag("@hikyaku/cluster/Journal")<
  Journal,
  {
    /**
     * Grows when the store turned out to have another history than before (a changed database timeline, R5): whatever was
     * loaded before is then to be dropped.
     */
    readonly generation: () => number
    /** The journal of one kind; cheap, may be called once per cell. */
    readonly of: <State, Command, Reply, Event>(kind: ActorKind<State, Command, Reply, Event>) => KindJournal<State>
  }
>() {}
