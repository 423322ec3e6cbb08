import { FairQueue } from "@hikyaku/cluster/actor/FairQueue"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

interface Item {
  readonly actor: string
  readonly n: number
}
const item = (actor: string, n: number): Item => ({ actor, n })
const names = (items: ReadonlyArray<Item>) => items.map(({ actor, n }) => `${actor}${n}`).join(" ")
const filled = (...items: ReadonlyArray<Item>) => {
  const queue = new FairQueue<Item>()
  for (const each of items) queue.push(each)
  return queue
}
const many = (actor: string, count: number) => Array.from({ length: count }, (_, n) => item(actor, n))

describe("R23: a fair queue", () => {
  it("gives every actor its share, the rest to whoever has more", () => {
    const queue = filled(...many("a", 10), ...many("b", 1), ...many("c", 3))
    expect(names(queue.take(9))).toBe("a0 a1 a2 b0 c0 c1 c2 a3 a4")
    expect(names(queue.take(9))).toBe("a5 a6 a7 a8 a9")
    expect(queue.size).toBe(0)
  })

  it("lets everybody have a turn before anybody has two", () => {
    const queue = filled(...many("a", 3), ...many("b", 3), ...many("c", 3))
    expect([1, 2, 3, 4].map(() => names(queue.take(2)))).toEqual(["a0 b0", "c0 a1", "b1 c1", "a2 b2"])
  })

  it("ends an actor's part of the round where its run ends", () => {
    const queue = filled(...many("a", 5), ...many("b", 5))
    const firstTwo = (items: ReadonlyArray<Item>) => Math.min(items.length, 2)
    expect(names(queue.take(100, firstTwo))).toBe("a0 a1 b0 b1")
    expect(names(queue.take(3, () => 1))).toBe("a2 b2")
    expect(names(queue.take(100, () => 0))).toBe("")
    expect(queue.size).toBe(4)
  })

  it("takes back before anything newer of the same actor", () => {
    const queue = filled(...many("a", 4), ...many("b", 1))
    const taken = queue.take(3)
    queue.push(item("c", 0))
    queue.push(item("a", 4))
    queue.putBack(taken)
    expect(queue.size).toBe(7)
    expect(names(queue.takeActor("a"))).toBe("a0 a1 a2 a3 a4")
    expect(names(queue.take(10))).toBe("b0 c0")
  })

  it("takes the first items that pass a test, and only first ones", () => {
    const queue = filled(item("a", 1), item("a", 9), item("a", 2), item("b", 3), item("c", 9))
    expect(names(queue.takeWhile(10, ({ n }) => n < 5))).toBe("a1 b3")
    expect(names(queue.takeWhile(1, () => true))).toBe("a9")
    expect(queue.size).toBe(2)
  })

  it("gives up the newest of whoever has most", () => {
    const queue = filled(...many("a", 2), ...many("b", 3))
    expect([1, 2, 3, 4, 5, 6].map(() => queue.takeNewestOfLongest()?.actor)).toEqual([
      "b",
      "a",
      "b",
      "a",
      "b",
      undefined
    ])
    expect(queue.actors).toBe(0)
  })

  it("drops what is not kept", () => {
    const queue = filled(...many("a", 4), ...many("b", 1))
    queue.retain(({ n }) => n % 2 === 1)
    expect([queue.size, queue.actors, names(queue.take(9))]).toEqual([2, 1, "a1 a3"])
  })

  it("keeps each actor's order and loses nothing, whatever is done to it", () => {
    const action = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ do: fc.constant("push" as const), actor: fc.constantFrom("a", "b", "c", "d") })
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant("take" as const),
          max: fc.integer({ min: 1, max: 9 }),
          run: fc.integer({ min: 1, max: 4 })
        })
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("putBack" as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("takeActor" as const), actor: fc.constantFrom("a", "b") }) }
    )
    fc.assert(fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const queue = new FairQueue<Item>()
      const model = new Map<string, Array<number>>()
      let round: Array<Item> = []
      let n = 0
      let count = 0
      const gone = (items: ReadonlyArray<Item>) => {
        for (const { actor, n } of items) expect(model.get(actor)?.shift()).toBe(n)
        count -= items.length
      }
      for (const each of actions) {
        switch (each.do) {
          case "push":
            queue.push(item(each.actor, ++n))
            model.set(each.actor, [...model.get(each.actor) ?? [], n])
            count++
            break
          case "take":
            round = queue.take(each.max, (items) => Math.min(items.length, each.run))
            expect(round.length).toBeLessThanOrEqual(each.max)
            for (const actor of model.keys()) {
              expect(round.filter((taken) => taken.actor === actor).length).toBeLessThanOrEqual(each.run)
            }
            if (count > 0) expect(round.length).toBeGreaterThan(0)
            gone(round)
            break
          case "putBack":
            queue.putBack(round)
            for (const { actor, n } of round.toReversed()) model.set(actor, [n, ...model.get(actor) ?? []])
            count += round.length
            round = []
            break
          case "takeActor":
            gone(queue.takeActor(each.actor))
            break
        }
        expect(queue.size).toBe(count)
      }
    }))
  })
})
