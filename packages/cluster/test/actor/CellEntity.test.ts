/** Cells and their client over the cluster library itself, in one process. */
import { Sharding, TestRunner } from "@effect/cluster"
import { describe, expect, it } from "@effect/vitest"
import { ActorClient, CommandExpired, CommandFault, ContentDiffers, NoAnswer } from "@hikyaku/cluster/actor/ActorClient"
import * as ActorClientCluster from "@hikyaku/cluster/actor/ActorClientCluster"
import * as CellEntity from "@hikyaku/cluster/actor/CellEntity"
import { layer as memory, MemoryStore } from "@hikyaku/cluster/actor/JournalMemory"
import { cellOf } from "@hikyaku/cluster/actor/Placement"
import { layerTest } from "@hikyaku/cluster/actor/ShopClock"
import { decodeAnswer } from "@hikyaku/cluster/actor/Wire"
import { type CommandId, commandIdFrom } from "@hikyaku/domain/Identifier"
import { Effect, Either, Exit, Fiber, Layer, Scope } from "effect"
import { type CounterCommand, counterKind } from "../../../../test/contracts/CounterKind.ts"
import { add, gate, items, leftovers, read } from "./CellHouse.ts"

const cells = 4

const house = (store: MemoryStore) =>
  Layer.merge(ActorClientCluster.layer({ cells }), CellEntity.layer(counterKind, { cells })).pipe(
    Layer.provide([CellEntity.LocalCells.layer, memory(store), layerTest]),
    Layer.provideMerge(TestRunner.layer)
  )

const freshId = Effect.sync(() => commandIdFrom(Date.now(), Math.random(), Math.random(), Math.random()))
const send = (
  actor: string,
  command: CounterCommand,
  options: { readonly id?: CommandId; readonly within?: number } = {}
) => Effect.flatMap(ActorClient, (client) => client.send(counterKind, { actor, command, ...options }))

describe("actors over the cluster library", () => {
  it.live("R7: commands are answered, each actor's in the order in which they were sent", () =>
    Effect.gen(function*() {
      const client = yield* ActorClient
      const requests = Array.from({ length: 300 }, (_, i) => ({ actor: `a${i % 10}`, command: add(`${i}`) }))
      const replies = yield* client.sendAll(counterKind, requests)
      expect(replies.map((reply) => Either.getOrThrow(reply))).toEqual(
        requests.map((_, i) => ({ _tag: "Added", total: Math.floor(i / 10) + 1 }))
      )
      expect(yield* client.sendAll(counterKind, [])).toEqual([])
    }).pipe(Effect.provide(house(new MemoryStore()))))

  it.live("R3: what goes wrong is an error with a name", () =>
    Effect.gen(function*() {
      const id = yield* freshId
      expect(yield* send("a", add("x"), { id })).toEqual({ _tag: "Added", total: 1 })
      expect(yield* send("a", add("x"), { id })).toEqual({ _tag: "Added", total: 1 })
      expect(yield* Effect.flip(send("a", add("y"), { id }))).toBeInstanceOf(ContentDiffers)
      const old = commandIdFrom(Date.now() - 2 * 24 * 3_600_000, 0.1, 0.2, 0.3)
      expect(yield* Effect.flip(send("a", add("y"), { id: old }))).toBeInstanceOf(CommandExpired)
      expect(yield* Effect.flip(send("a", { _tag: "Throw" }))).toBeInstanceOf(CommandFault)
      expect(yield* Effect.flip(send("a", add("y"), { within: 0 }))).toBeInstanceOf(NoAnswer)
    }).pipe(Effect.provide(house(new MemoryStore()))))

  it.live("R10, G19: a command that cannot travel is a fault, and holds up none of its neighbours", () =>
    Effect.gen(function*() {
      const client = yield* ActorClient
      const loop: Record<string, unknown> = { _tag: "Add", item: "x", by: 1 }
      loop["loop"] = loop
      const bad = Object.assign(add("bad"), { loop })
      const replies = yield* client.sendAll(
        counterKind,
        [add("x"), bad, add("y")].map((command) => ({ actor: "a", command }))
      )
      expect(replies.map((reply) => Either.isRight(reply) ? reply.right._tag : reply.left._tag))
        .toEqual(["Added", "CommandFault", "Added"])
    }).pipe(Effect.provide(house(new MemoryStore()))))

  it.live("R10: bytes that cannot be read are answered and restart no cell", () => {
    const store = new MemoryStore()
    return Effect.gen(function*() {
      const sharding = yield* Sharding.Sharding
      const raw = (yield* sharding.makeClient(CellEntity.cellEntity("Counter")))(cellOf("a", cells))
      yield* send("a", add("x"))
      const writer = () => store.kind("Counter").actors.get("a")?.fence.writer
      const before = writer()
      for (const bytes of [new Uint8Array(0), new Uint8Array([0xc1]), new Uint8Array(5000).fill(0x91)]) {
        expect(decodeAnswer(yield* raw.Handle({ bytes }))).toMatchObject({ groups: [] })
      }
      yield* send("a", add("y"))
      expect(writer()).toBe(before)
    }).pipe(Effect.provide(house(store)))
  })

  it.live("whoever goes away is executed at most once, and can ask again", () => {
    const store = new MemoryStore()
    const commit = gate()
    return Effect.gen(function*() {
      yield* send("a", add("x"))
      const id = yield* freshId
      store.fate = () => ({ _tag: "Delay", until: commit.wait })
      const impatient = yield* Effect.fork(send("a", add("y"), { id }))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(impatient)
      commit.open()
      expect(yield* send("a", add("y"), { id })).toEqual({ _tag: "Added", total: 2 })
      expect(yield* send("a", read)).toEqual({ _tag: "Total", total: 2 })
      expect(items(store, "a")).toEqual(["x", "y"])
    }).pipe(Effect.provide(house(store)))
  })

  it.live("R25: closing answers whoever waits and leaves no fibre behind", () =>
    Effect.gen(function*() {
      const store = new MemoryStore()
      const commit = gate()
      const left = yield* leftovers(Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(house(store), scope)
        yield* send("a", add("x")).pipe(Effect.provide(context), Effect.orDie)
        store.fate = () => ({ _tag: "Delay", until: commit.wait })
        const waiting = yield* Effect.fork(Effect.provide(send("a", add("y")), context))
        const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
        const outcome = yield* Fiber.await(waiting)
        expect(outcome._tag).toBe("Failure")
        commit.open()
        yield* Fiber.join(closing)
      }))
      expect(left).toBe(0)
      expect(items(store, "a").length).toBeLessThanOrEqual(2)
    }), 20_000)
})
