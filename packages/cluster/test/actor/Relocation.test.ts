/** Actors on the move between the cell that they share and a cell of their own. */
import { describe, expect, it } from "@effect/vitest"
import { Relocate } from "@hikyaku/cluster/actor/Relocation"
import type { WireReply } from "@hikyaku/cluster/actor/Wire"
import { Effect, TestClock } from "effect"
import { add, added, fates, freshId, gate, makeHouse, post, read, settle, total, wire } from "./CellHouse.ts"

const hot = Relocate.make({ hot: true, takeOver: false })
const shared = Relocate.make({ hot: false, takeOver: false })
const takeOver = Relocate.make({ hot: false, takeOver: true })

const moved = (cell: string): WireReply => ({ _tag: "Moved", cell })
const lives = (cell: string, epoch: number): WireReply => ({ _tag: "Reply", reply: { _tag: "Relocated", cell, epoch } })

/** The shared cell c0 and the cell of its own of actor a, at two runners; a counts 1 already. */
const makeScene = Effect.gen(function*() {
  const house = yield* makeHouse
  const home = () => "c0"
  const c0 = yield* house.counters({ name: "c0", home })
  const own = yield* house.counters({ name: "hot-a", home })
  yield* c0.one(wire("a", add("0")))
  const fence = () => house.store.kind("Counter").actors.get("a")?.fence
  return { house, home, c0, own, fence }
})

describe("R8, CART-4: promotion is a command among the actor's others", () => {
  it.scoped("what is ahead of it is decided, what is behind is sent on in order, its cell-mates notice nothing", () =>
    Effect.gen(function*() {
      const { c0, fence, own } = yield* makeScene
      const behind = [wire("a", add("2")), wire("a", read)]
      const replies = yield* c0.all([
        wire("a", add("1")),
        wire("b", add("1")),
        wire("a", hot),
        ...behind,
        wire("b", read)
      ])
      expect(replies).toEqual([added(2), added(1), lives("hot-a", 1), moved("hot-a"), moved("hot-a"), total(1)])
      expect(fence()).toMatchObject({ cell: "hot-a", epoch: 1 })
      expect(yield* own.all(behind)).toEqual([added(3), total(3)])
      expect(yield* c0.all([wire("a", read), wire("b", read)])).toEqual([moved("hot-a"), total(1)])
    }))

  it.scoped("nobody is sent on before it is committed", () =>
    Effect.gen(function*() {
      const { c0, house } = yield* makeScene
      const commit = gate()
      fates(house.store, { _tag: "Delay", until: commit.wait })
      const replies = post(c0.cell, [wire("a", hot), wire("a", add("1"))])
      yield* settle
      expect(replies).toEqual([undefined, undefined])
      commit.open()
      yield* settle
      expect(replies).toEqual([lives("hot-a", 1), moved("hot-a")])
    }))

  it.scoped("back again, and to where it is already; the epoch grows with each move and no other command", () =>
    Effect.gen(function*() {
      const { c0, fence, own } = yield* makeScene
      expect(yield* c0.all([wire("a", shared), wire("a", hot)])).toEqual([lives("c0", 0), lives("hot-a", 1)])
      expect(yield* own.all([wire("a", hot), wire("a", add("1")), wire("a", shared), wire("a", hot)]))
        .toEqual([lives("hot-a", 1), added(2), lives("c0", 2), moved("c0")])
      expect(yield* c0.all([wire("a", read), wire("a", hot)])).toEqual([total(2), lives("hot-a", 3)])
      expect(fence()).toMatchObject({ cell: "hot-a", epoch: 3 })
    }))

  it.scoped("R3: a repeat of an old move moves nothing", () =>
    Effect.gen(function*() {
      const { c0, fence, own } = yield* makeScene
      const first = wire("a", hot, { id: freshId() })
      expect(yield* c0.one(first)).toEqual(lives("hot-a", 1))
      yield* own.one(wire("a", shared))
      expect(yield* c0.one(first)).toEqual(lives("hot-a", 1))
      expect(fence()).toMatchObject({ cell: "c0", epoch: 2 })
    }))

  for (const fate of ["CommitThenLose", "LoseThenAbort", "LoseThenCommit"] as const) {
    it.scoped(`${fate}: no command is lost or done twice, and none overtakes another`, () =>
      Effect.gen(function*() {
        const { c0, house, own } = yield* makeScene
        fates(house.store, { _tag: fate })
        const commands = [wire("a", add("1")), wire("a", hot), wire("a", add("2"))]
        const first = post(c0.cell, commands)
        yield* settle
        house.store.land()
        yield* TestClock.adjust("1 second")
        // Whoever was sent on goes on where it was sent.
        const again = yield* own.all(commands)
        expect(again).toEqual([added(2), lives("hot-a", 1), added(3)])
        expect(first.every((reply, i) => reply?._tag === "Moved" || JSON.stringify(reply) === JSON.stringify(again[i])))
          .toBe(true)
      }))
  }

  it.scoped("R5: whoever believes that it still owns the actor finds out before it answers", () =>
    Effect.gen(function*() {
      const { c0, home, house, own } = yield* makeScene
      const frozen = yield* house.counters({ name: "c0", home })
      expect(yield* frozen.one(wire("a", read))).toEqual(total(1))
      yield* c0.one(wire("a", hot))
      expect(yield* frozen.all([wire("a", add("1")), wire("a", read)])).toEqual([moved("hot-a"), moved("hot-a")])
      const frozenHot = yield* house.counters({ name: "hot-a", home })
      expect(yield* frozenHot.one(wire("a", read))).toEqual(total(1))
      yield* own.one(wire("a", shared))
      expect(yield* frozenHot.one(wire("a", add("1")))).toEqual(moved("c0"))
      expect(yield* c0.one(wire("a", add("1")))).toEqual(added(2))
    }))

  it.scoped("an actor of which nothing is stored stays where it belongs, wherever it is asked", () =>
    Effect.gen(function*() {
      const { c0, fence, home, house, own } = yield* makeScene
      expect(yield* c0.all([wire("n", hot), wire("n", read)])).toEqual([
        { _tag: "Reply", reply: { _tag: "NotStored" } },
        total(0)
      ])
      const stray = yield* house.counters({ name: "hot-n", home })
      expect(yield* stray.all([wire("n", add("1")), wire("n", hot)])).toEqual([moved("c0"), moved("c0")])
      expect(house.store.kind("Counter").actors.has("n")).toBe(false)
      // Born and moved in one round.
      expect(yield* c0.all([wire("n", add("1")), wire("n", hot)])).toEqual([added(1), lives("hot-n", 1)])
      expect(yield* stray.one(wire("n", read))).toEqual(total(1))
      expect(fence()).toMatchObject({ cell: "c0" })
      expect(yield* own.one(wire("a", read))).toEqual(moved("c0"))
    }))
})

describe("G4, R7: what was sent together stays in its order", () => {
  it.scoped("all that waits is sent on with the first, though the actor comes back before the next round", () =>
    Effect.gen(function*() {
      const { c0, home, house, own } = yield* makeScene
      yield* c0.one(wire("a", hot))
      const reading = gate()
      const slow = yield* house.counters({
        name: "c0",
        home,
        limits: { roundMax: 1 },
        journal: (journal) => ({ ...journal, load: (ids) => Effect.tap(journal.load(ids), () => reading.wait) })
      })
      const replies = post(slow.cell, [wire("a", add("1")), wire("a", add("2"))])
      yield* settle
      yield* own.one(wire("a", shared))
      reading.open()
      yield* settle
      expect(replies).toEqual([moved("hot-a"), moved("hot-a")])
    }))

  it.scoped("so is all that waits behind a move, though the actor comes back meanwhile", () =>
    Effect.gen(function*() {
      const { home, house, own } = yield* makeScene
      const answering = gate()
      const slow = yield* house.counters({
        name: "c0",
        home,
        limits: { roundMax: 2 },
        // The move is committed, which is not known here yet.
        journal: (journal) => ({
          ...journal,
          commit: (units) => Effect.tap(journal.commit(units), () => answering.wait)
        })
      })
      const replies = post(slow.cell, [wire("a", hot), wire("a", add("1")), wire("a", add("2"))])
      yield* settle
      yield* own.one(wire("a", shared))
      answering.open()
      yield* settle
      expect(replies).toEqual([lives("hot-a", 1), moved("hot-a"), moved("hot-a")])
    }))
})

describe("R8: a hot group without runners", () => {
  it.scoped("falls back by a commit: the shared cell takes the actor, the other can neither write nor answer", () =>
    Effect.gen(function*() {
      const { c0, fence, own } = yield* makeScene
      yield* c0.one(wire("a", hot))
      yield* own.one(wire("a", add("1")))
      expect(yield* c0.one(wire("a", shared))).toEqual(moved("hot-a"))
      expect(yield* c0.all([wire("a", add("2")), wire("a", takeOver), wire("a", read)]))
        .toEqual([added(3), lives("c0", 2), total(3)])
      expect(fence()).toMatchObject({ cell: "c0", epoch: 2 })
      expect(yield* own.all([wire("a", add("3")), wire("a", read)])).toEqual([moved("c0"), moved("c0")])
      expect(yield* c0.one(wire("a", takeOver))).toEqual(lives("c0", 2))
    }))

  it.scoped("only the actor's own shared cell takes it", () =>
    Effect.gen(function*() {
      const { c0, home, house } = yield* makeScene
      yield* c0.one(wire("a", hot))
      const other = yield* house.counters({ name: "c1", home })
      expect(yield* other.one(wire("a", takeOver))).toEqual(moved("hot-a"))
    }))
})
