/** A small actor kind for the runtime's own tests: a counter with a limit, one row per increase, and poison to swallow. */
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import type { ChildTable } from "@hikyaku/cluster/actor/Table"
import { answer, type Decider, outcome } from "@hikyaku/domain/Actor"
import { Schema } from "effect"

export interface Counter {
  readonly id: string
  readonly total: number
  readonly limit: number
  readonly dueAt: number | null
  readonly items: ReadonlyMap<string, number>
}

const Command = Schema.Union(
  Schema.TaggedStruct("Add", { item: Schema.String, by: Schema.Number }),
  Schema.TaggedStruct("Remove", { item: Schema.String }),
  Schema.TaggedStruct("Remind", { at: Schema.Number }),
  Schema.TaggedStruct("Read", {}),
  Schema.TaggedStruct("Throw", {}),
  /** Decides well and cannot be turned into rows. */
  Schema.TaggedStruct("BreakRows", {}),
  Schema.TaggedStruct("Wake", {})
)
export type CounterCommand = typeof Command.Type
const Reply = Schema.Union(
  Schema.TaggedStruct("Added", { total: Schema.Number }),
  Schema.TaggedStruct("Full", { total: Schema.Number }),
  Schema.TaggedStruct("Removed", {}),
  Schema.TaggedStruct("Total", { total: Schema.Number }),
  Schema.TaggedStruct("Done", {})
)
export type CounterReply = typeof Reply.Type
export type CounterEvent =
  | { readonly _tag: "Added"; readonly item: string; readonly by: number }
  | { readonly _tag: "Removed"; readonly item: string }
  | { readonly _tag: "Reminded"; readonly at: number | null }
  | { readonly _tag: "Broken" }

export const limit = 1_000_000

const decider: Decider<Counter, CounterCommand, CounterReply, CounterEvent> = {
  initial: (id) => ({ id, total: 0, limit, dueAt: null, items: new Map() }),
  decide: (state, command, now) => {
    switch (command._tag) {
      case "Add":
        return state.total + command.by > state.limit
          ? outcome({ _tag: "Full", total: state.total })
          : outcome({ _tag: "Added", total: state.total + command.by }, { ...command, _tag: "Added" })
      case "Remove":
        return state.items.has(command.item)
          ? outcome({ _tag: "Removed" }, { _tag: "Removed", item: command.item })
          : answer({ _tag: "Done" })
      case "Remind":
        return outcome({ _tag: "Done" }, { _tag: "Reminded", at: command.at })
      case "Read":
        return answer({ _tag: "Total", total: state.total })
      case "Throw":
        throw new Error("this command breaks the decider")
      case "BreakRows":
        return outcome({ _tag: "Done" }, { _tag: "Broken" })
      case "Wake":
        return state.dueAt !== null && state.dueAt <= now
          ? { reply: { _tag: "Done" }, events: [{ _tag: "Reminded", at: null }], final: false }
          : answer({ _tag: "Done" })
    }
  },
  evolve: (state, event) => {
    switch (event._tag) {
      case "Added":
        return {
          ...state,
          total: state.total + event.by,
          items: new Map([...state.items, [event.item, event.by]])
        }
      case "Removed": {
        const items = new Map(state.items)
        items.delete(event.item)
        return { ...state, total: state.total - (state.items.get(event.item) ?? 0), items }
      }
      case "Reminded":
        return { ...state, dueAt: event.at }
      case "Broken":
        return state
    }
  },
  dueAt: (state) => state.dueAt,
  wake: { _tag: "Wake" }
}

export const itemTable: ChildTable = {
  name: "counter_item",
  columns: { counter: "text", item: "text", by: "integer", open: "text", note: "json" },
  actor: "counter",
  key: ["counter", "item"],
  live: { open: ["yes"] }
}

export const counterKind: ActorKind<Counter, CounterCommand, CounterReply, CounterEvent> = {
  name: "Counter",
  decider,
  command: Command,
  reply: Reply,
  main: { name: "counter", columns: { total: "bigint", ceiling: "bigint", reminded: "instant" } },
  children: [itemTable],
  mainRow: (state) => ({ total: state.total, ceiling: state.limit, reminded: state.dueAt }),
  steady: { columns: ["ceiling"], same: (a, b) => a.limit === b.limit },
  restore: (id, main, children) => ({
    id,
    total: Number(main["total"]),
    limit: Number(main["ceiling"]),
    dueAt: main["reminded"] === null ? null : Number(main["reminded"]),
    items: new Map((children["counter_item"] ?? []).map((row) => [String(row["item"]), Number(row["by"])]))
  }),
  write: (writer, { before, event, id }) => {
    const row = (item: string, by: number, open: string) => ({ counter: id, item, by, open, note: { item } })
    switch (event._tag) {
      case "Added":
        return writer.insert(itemTable, row(event.item, event.by, "yes"))
      case "Removed":
        return writer.update(itemTable, row(event.item, before.items.get(event.item) ?? 0, "no"))
      case "Broken":
        throw new Error("no rows for this")
      case "Reminded":
        return
    }
  },
  publish: ({ after, event, id }) =>
    event._tag === "Added" && after.total === after.limit ? [{ _tag: "SoldOut", product: id }] : []
}

export const counterSql = `
create table counter (
  id text primary key, version bigint not null, writer text not null, cell text not null, epoch integer not null,
  clock timestamptz not null, due_at timestamptz,
  total bigint not null, ceiling bigint not null, reminded timestamptz
) with (fillfactor = 70);
create table counter_item (
  counter text not null, item text not null, by integer not null, open text not null, note jsonb,
  primary key (counter, item)
);
`
