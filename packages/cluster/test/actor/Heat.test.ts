import { type HeatCount, heatDefaults, HeatGauge, HeatJudge } from "@hikyaku/cluster/actor/Heat"
import { judgeLook, type Look, movesMax, unservedLooks } from "@hikyaku/cluster/actor/HotCells"
import { hotCellOf } from "@hikyaku/cluster/actor/Placement"
import { describe, expect, it } from "vitest"

const settings = { ...heatDefaults, hotPerSecond: 100, coolPerSecond: 10, coolMs: 10_000, windowMs: 5000, hotMax: 2 }

const counted = (counts: Readonly<Record<string, number>>): HeatCount => ({
  counts: new Map(Object.entries(counts)),
  total: Object.values(counts).reduce((sum, n) => sum + n, 0)
})

/** A runner that looks every second; gives what it moved, by look. */
const runner = () => {
  const judge = new HeatJudge(settings)
  let now = 0
  return (
    counts: Readonly<Record<string, Readonly<Record<string, number>>>>,
    { hot = [], marked = [], ...rest }: Partial<Pick<Look, "owns" | "unserved">> & {
      readonly hot?: ReadonlyArray<string>
      readonly marked?: ReadonlyArray<string>
    } = {}
  ) => {
    now += 1000
    return judgeLook(judge, settings, {
      placed: hot.map((actor) => ({ actor, cell: hotCellOf(actor) })),
      marked: new Set(marked),
      unserved: 0,
      owns: () => true,
      home: () => "c0",
      counts: new Map(Object.entries(counts).map(([cell, each]) => [cell, counted(each)])),
      now,
      ...rest
    }).map(({ actor, hot, takeOver }) => `${actor} ${hot ? "hot" : takeOver ? "taken over" : "shared"}`)
  }
}
const looks = <A>(n: number, look: () => A): ReadonlyArray<A> => Array.from({ length: n }, look)

describe("CART-4, R8: who is hot", () => {
  it("whoever has the rate over the whole window, and most of its cell", () => {
    const look = runner()
    expect(looks(6, () => look({ c0: { rush: 110, slow: 90 } })).flat()).toEqual(["rush hot"])
  })

  it("nobody by one burst, nor by a rate that its cell-mates have too", () => {
    const look = runner()
    look({})
    expect(look({ c0: { burst: 400 } })).toEqual([])
    expect(looks(10, () => look({ c0: { burst: 1 } })).flat()).toEqual([])
    expect(looks(10, () => look({ c1: { a: 110, b: 111, c: 112 } })).flat()).toEqual([])
  })

  it("no more than there is room for, and operators' marks do not count", () => {
    const look = runner()
    const counts = { c0: { x: 200 }, c1: { y: 300 }, c2: { z: 250 } }
    const all = looks(6, () => look(counts, { hot: ["marked", "old"], marked: ["marked"] }))
    expect(all.at(-1)).toHaveLength(1)
  })

  it("goes back after it has been cool for long enough without a break, and not before", () => {
    const look = runner()
    const at = (n: number) => look({ [hotCellOf("a")]: { a: n } }, { hot: ["a"] })
    looks(3, () => at(50))
    expect(looks(10, () => at(9)).flat()).toEqual([])
    expect(at(10)).toEqual([])
    expect(looks(10, () => at(9)).flat()).toEqual([])
    expect(at(9)).toEqual(["a shared"])
  })

  it("between the two rates nobody moves, in either direction", () => {
    const look = runner()
    const between = { c0: { a: 60 }, [hotCellOf("b")]: { b: 60 } }
    expect(looks(100, () => look(between, { hot: ["b"] })).flat()).toEqual([])
  })

  it("whom operators have marked is, whatever the rate, and stays", () => {
    const look = runner()
    expect(look({}, { marked: ["a"] })).toEqual(["a hot"])
    expect(looks(30, () => look({}, { marked: ["a"], hot: ["a"] })).flat()).toEqual([])
  })

  it("each is looked after by the runner that owns its shard", () => {
    const look = runner()
    const owns = () => false
    expect(looks(30, () => look({}, { marked: ["a"], hot: ["b"], owns })).flat()).toEqual([])
    expect(look({}, { hot: ["b"], owns, unserved: 9 })).toEqual([])
  })

  it("counts are taken once, and bounded", () => {
    const gauge = new HeatGauge()
    for (let i = 0; i < 10_100; i++) gauge.count(`a${i}`, 2)
    gauge.count("a0", 1)
    const { counts, total } = gauge.take()
    expect([counts.size, counts.get("a0"), total]).toEqual([10_000, 3, 20_201])
    expect(gauge.take().total).toBe(0)
  })
})

describe("R8: a hot group without runners", () => {
  it("falls back once it has been without for so many looks; nobody is promoted meanwhile", () => {
    const look = runner()
    const counts = { c0: { rush: 1000 } }
    for (let unserved = 1; unserved < unservedLooks; unserved++) {
      expect(look(counts, { hot: ["a"], marked: ["m"], unserved })).toEqual([])
    }
    expect(look(counts, { hot: ["a", "m"], marked: ["m"], unserved: unservedLooks })).toEqual([
      "a taken over",
      "m taken over"
    ])
    expect(look({}, { marked: ["m"] })).toEqual(["m hot"])
  })

  it("so many at a time", () => {
    const look = runner()
    const hot = Array.from({ length: movesMax + 5 }, (_, i) => `a${i}`)
    expect(look({}, { hot, unserved: unservedLooks })).toHaveLength(movesMax)
  })
})
