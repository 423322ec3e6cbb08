/** The tests' own counter under load: increases up to a limit, decreases, reads, and poison of every kind. */
import type { MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import {
  type Counter,
  type CounterCommand,
  type CounterEvent,
  counterKind,
  type CounterReply,
  limit
} from "../contracts/CounterKind.ts"
import { counterModel } from "../linearizability/CounterModel.ts"
import { judge } from "../linearizability/Linearizability.ts"
import type { Workload } from "./Workload.ts"

const isPoison = (command: CounterCommand): boolean =>
  command._tag === "Throw" || command._tag === "BreakRows" ||
  (command._tag === "Add" && command.item.startsWith("bad"))

/** Increases are that large, so that the limit is reached. */
const by = limit / 8

export const makeCounterWorkload = (
  random: SeededRandom
): Workload<Counter, CounterCommand, CounterReply, CounterEvent> => {
  const actors = Array.from({ length: random.between(1, 4) }, (_, i) => `counter-${i}`)
  const poison = random.chance(0.4) ? 0.08 : 0
  let items = 0
  /** Items that are surely there, for whoever wants to take one out; each is taken out once. */
  const present = new Map<string, Array<string>>()

  const next = (random: SeededRandom, actor: string): CounterCommand => {
    if (random.chance(poison)) {
      const item = `bad-${++items}\u0000`
      return [{ _tag: "Throw" } as const, { _tag: "BreakRows" } as const, { _tag: "Add", item, by: 1 } as const][
        random.between(0, 2)
      ]!
    }
    const item = random.chance(0.25) ? present.get(actor)?.pop() : undefined
    if (item !== undefined) return { _tag: "Remove", item }
    return random.chance(0.25) ? { _tag: "Read" } : { _tag: "Add", item: `item-${++items}`, by }
  }

  const watch = (store: MemoryStore): ReadonlyArray<string> => {
    const problems: Array<string> = []
    const sums = new Map<string, number>()
    for (const row of store.table("Counter", "counter_item").values()) {
      const counter = String(row["counter"])
      if (String(row["item"]).startsWith("bad")) problems.push(`G19: ${counter} has swallowed poison`)
      if (row["open"] === "yes") sums.set(counter, (sums.get(counter) ?? 0) + Number(row["by"]))
    }
    for (const [actor, { main }] of store.kind("Counter").actors) {
      const total = Number(main["total"])
      if (total !== (sums.get(actor) ?? 0)) problems.push(`${actor} counts ${total}, its rows ${sums.get(actor) ?? 0}`)
      if (total > limit) problems.push(`G1: ${actor} counts ${total}`)
    }
    return problems
  }

  return {
    name: "counter",
    kind: counterKind,
    actors,
    opening: () => [],
    next,
    afterSilence: () => null,
    tampered: (command) => command._tag === "Add" ? { ...command, by: command.by + 1 } : { _tag: "Remind", at: 1 },
    isFinal: (_, reply) => ["Added", "Full", "Removed"].includes(reply._tag),
    mayFault: isPoison,
    heard: (actor, command, reply) => {
      if (reply._tag !== "Added" || command._tag !== "Add") return
      present.set(actor, [...present.get(actor) ?? [], command.item])
    },
    watch,
    audit: () => [],
    restMs: 0,
    judge: (_, history) => judge(counterModel, history)
  }
}
