import { it } from "@effect/vitest"
import { layer, MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import { Effect } from "effect"
import { describe, expect } from "vitest"
import { fire, life, noon, play } from "./CampaignHistory.ts"

describe("a campaign in the memory journal", () => {
  it.effect("is loaded as it was live, after every unit of its life", () => {
    const store = new MemoryStore()
    return Effect.gen(function*() {
      const replies = yield* play(life)
      expect(replies.map((reply) => reply._tag)).toEqual([
        "Defined",
        "RunStarted",
        "RunStarted",
        "Suppressed",
        "Duplicate",
        "Granted",
        "Settled",
        "Granted",
        "Defined",
        "Defined",
        "StatusChanged",
        "Suppressed",
        "StatusChanged",
        "RunStarted",
        "RunStarted",
        "RunStarted",
        "Defined",
        "Defined",
        "Woken"
      ])
      expect(store.table("Campaign", "run").size).toBe(6)
      expect(
        [...store.table("Campaign", "campaign_version").values()].map((row) => [row["version"], row["state"]]).sort()
      )
        .toEqual([[1, "past"], [2, "past"], [3, "past"], [4, "past"], [5, "current"]])
    }).pipe(Effect.provide(layer(store)))
  })

  it.effect("leaves no row before it is defined", () => {
    const store = new MemoryStore()
    return Effect.gen(function*() {
      expect(yield* play([[noon, fire(1, "p", noon)]])).toEqual([{ _tag: "UnknownCampaign" }])
      expect(store.table("Campaign", "campaign_version").size).toBe(0)
    }).pipe(Effect.provide(layer(store)))
  })
})
