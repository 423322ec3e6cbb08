/** Cells of their own over the cluster library itself: who gets one, what wakes there, and what if nobody serves them. */
import { MessageStorage, RunnerHealth, Runners, RunnerStorage, Sharding, ShardingConfig } from "@effect/cluster"
import { describe, expect, it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import * as ActorClientCluster from "@hikyaku/cluster/actor/ActorClientCluster"
import * as CellEntity from "@hikyaku/cluster/actor/CellEntity"
import * as HotCells from "@hikyaku/cluster/actor/HotCells"
import { HotGroup } from "@hikyaku/cluster/actor/HotGroup"
import { layer as memory, MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import { cellOf, defaultGroup, hotCellOf, hotGroup } from "@hikyaku/cluster/actor/Placement"
import { relocate } from "@hikyaku/cluster/actor/Relocation"
import { layerTest } from "@hikyaku/cluster/actor/ShopClock"
import * as Timers from "@hikyaku/cluster/actor/Timers"
import { Clock, ConfigProvider, Effect, Layer, Schedule } from "effect"
import { type CounterCommand, counterKind } from "../../../../test/contracts/CounterKind.ts"
import { add } from "./CellHouse.ts"

const cells = 4
const home = cellOf("a", cells)
const own = hotCellOf("a")

/** A runner that takes shards of these groups. */
const member = (groups: ReadonlyArray<string>) =>
  Sharding.layer.pipe(
    Layer.provideMerge(Runners.layerNoop),
    Layer.provideMerge(MessageStorage.layerMemory),
    Layer.provide([RunnerStorage.layerMemory, RunnerHealth.layerNoop]),
    Layer.provide(
      ShardingConfig.layer({ availableShardGroups: [defaultGroup, hotGroup], assignedShardGroups: [...groups] })
    )
  )

/** One runner over the store; operators' marks are in the test's hands. */
const house = (store: MemoryStore, marked: Set<string>, groups: ReadonlyArray<string> = [defaultGroup, hotGroup]) =>
  Layer.mergeAll(
    CellEntity.layer(counterKind, { cells, hot: true }),
    Timers.layer(counterKind, { cells, hot: true }),
    HotCells.layer(counterKind, { cells })
  ).pipe(
    Layer.provide(CellEntity.LocalCells.layer),
    Layer.provide(Layer.succeed(HotGroup, {
      served: Effect.sync(() => groups.includes(hotGroup)),
      marked: () => Effect.sync(() => new Set(marked)),
      mark: () => Effect.void,
      unmark: () => Effect.void
    })),
    Layer.provideMerge(ActorClientCluster.layer({ cells })),
    Layer.provide([memory(store), layerTest]),
    Layer.provide(Layer.fresh(member(groups))),
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(
      new Map([["HIKYAKU_COOL_MS", "0"], ["HIKYAKU_COOL_PER_SECOND", "100000"], ["HIKYAKU_HOT_PER_SECOND", "1000000"]])
    )))
  )

const send = (command: CounterCommand) =>
  Effect.flatMap(ActorClient, (client) => client.send(counterKind, { actor: "a", command }))
const stored = (store: MemoryStore) => store.kind("Counter").actors.get("a")
const until = (test: () => boolean) =>
  Effect.sync(test).pipe(Effect.repeat({ until: (done) => done, schedule: Schedule.spaced("20 millis") }))

describe("CART-4, R8: hot actors over the cluster library", () => {
  it.scopedLive("an operator's mark gives one a cell of its own and its end takes it back; nothing is lost or overtaken", () =>
    Effect.gen(function*() {
      const store = new MemoryStore()
      const marked = new Set<string>()
      let sent = 0
      yield* Effect.gen(function*() {
        /** Adds, one after the other, each told the total that it made. */
        const shop = (there: string) =>
          Effect.suspend(() => send(add(`${++sent}`))).pipe(
            Effect.tap((reply) => Effect.sync(() => expect(reply).toEqual({ _tag: "Added", total: sent }))),
            Effect.repeat({ until: () => stored(store)?.fence.cell === there, schedule: Schedule.spaced("5 millis") })
          )
        yield* shop(home)
        marked.add("a")
        yield* shop(own)
        marked.delete("a")
        yield* shop(home)
        expect(stored(store)?.fence.epoch).toBe(2)
      }).pipe(Effect.provide(house(store, marked)))
    }))

  it.scopedLive("R15: what is due in a cell of its own is woken there, on a runner that has not heard of it", () =>
    Effect.gen(function*() {
      const store = new MemoryStore()
      const marked = new Set(["a"])
      yield* Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        yield* send({ _tag: "Remind", at: now + 60_000 })
        yield* relocate(counterKind, { actor: "a" }, { hot: true })
      }).pipe(Effect.provide(house(store, marked)))
      const before = stored(store)!
      expect(before.fence.cell).toBe(own)
      // It is due by now.
      store.kind("Counter").actors.set("a", { ...before, dueAt: 1, main: { ...before.main, reminded: 1 } })
      yield* until(() => stored(store)?.dueAt === null).pipe(Effect.provide(house(store, marked)))
      expect(stored(store)?.fence.cell).toBe(own)
    }))

  it.scopedLive("a group that no runner serves: its actors are served by the others", () =>
    Effect.gen(function*() {
      const store = new MemoryStore()
      yield* Effect.gen(function*() {
        yield* send(add("x"))
        yield* relocate(counterKind, { actor: "a" }, { hot: true })
      }).pipe(Effect.provide(house(store, new Set(["a"]))))
      expect(stored(store)?.fence.cell).toBe(own)
      const reply = yield* send(add("y")).pipe(Effect.provide(house(store, new Set(["a"]), [defaultGroup])))
      expect(reply).toEqual({ _tag: "Added", total: 2 })
      expect(stored(store)?.fence).toMatchObject({ cell: home, epoch: 2 })
    }))
})
