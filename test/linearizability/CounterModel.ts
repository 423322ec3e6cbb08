/** The tests' counter, told sequentially: a total, the items in it, a limit. */
import { type CounterCommand, type CounterReply, limit } from "../contracts/CounterKind.ts"
import type { Model } from "./Linearizability.ts"

export type CounterModelState = ReadonlyMap<string, number>

const sum = (items: CounterModelState): number => {
  let total = 0
  for (const by of items.values()) total += by
  return total
}

const step = (
  items: CounterModelState,
  command: CounterCommand
): { readonly state: CounterModelState; readonly output: CounterReply } => {
  const total = sum(items)
  switch (command._tag) {
    case "Add": {
      if (total + command.by > limit) return { state: items, output: { _tag: "Full", total } }
      const state = new Map([...items, [command.item, command.by]])
      return { state, output: { _tag: "Added", total: total + command.by } }
    }
    case "Remove": {
      if (!items.has(command.item)) return { state: items, output: { _tag: "Done" } }
      const state = new Map(items)
      state.delete(command.item)
      return { state, output: { _tag: "Removed" } }
    }
    case "Read":
      return { state: items, output: { _tag: "Total", total } }
    default:
      throw new Error(`the model does not know ${command._tag}`)
  }
}

export const counterModel: Model<CounterModelState, CounterCommand, CounterReply> = {
  initial: new Map(),
  step,
  agrees: (expected, actual) => JSON.stringify(expected) === JSON.stringify(actual),
  key: (items) => [...items.keys()].toSorted().join(" ")
}
