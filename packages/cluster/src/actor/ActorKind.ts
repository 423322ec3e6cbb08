/**
 * How a decider lives on the cluster: its wire schemas, its tables, and how facts become rows. One value per kind; nothing
 * in it does IO.
 */
import type { Decider } from "@hikyaku/domain/Actor"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import type { Schema } from "effect"
import type { ChildTable, MainTable, Row, RowWriter } from "./Table.ts"

export interface ActorKind<State, Command, Reply, Event> {
  /** Name of the cluster entity type: "Product", "Member", "Campaign", "Provider". */
  readonly name: string
  readonly decider: Decider<State, Command, Reply, Event>
  /** Commands and replies are plain JSON values as they are: they travel and are stored without a transformation. */
  readonly command: Schema.Schema<Command>
  readonly reply: Schema.Schema<Reply>
  readonly main: MainTable
  readonly children: ReadonlyArray<ChildTable>
  /** The kind's own columns of the main row, from the state after the unit. */
  readonly mainRow: (state: State) => Row
  /**
   * Columns of the main row that most units leave as they are, and whether two states have the same in them. A group of
   * units that all leave them alone neither carries nor writes them. Left out: there are none.
   */
  readonly steady?: { readonly columns: ReadonlyArray<string>; readonly same: (a: State, b: State) => boolean }
  /** The state from what is stored: the main row and, per child table name, its live rows (in no order). */
  readonly restore: (id: string, main: Row, children: Readonly<Record<string, ReadonlyArray<Row>>>) => State
  /** The child rows that one fact writes. */
  readonly write: (writer: RowWriter, fact: Fact<State, Event>) => void
  /** The shop events that one fact publishes, in the same commit (R13). */
  readonly publish: (fact: Fact<State, Event>) => ReadonlyArray<Happening>
}

/** One fact with the states around it; `now` is the instant of the decision (ms since the epoch). */
export interface Fact<State, Event> {
  readonly id: string
  readonly before: State
  readonly after: State
  readonly event: Event
  readonly now: number
}
