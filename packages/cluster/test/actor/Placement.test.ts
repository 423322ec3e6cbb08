import {
  cellNames,
  cellOf,
  cellsDefault,
  defaultGroup,
  groupOf,
  hotCellOf,
  hotGroup,
  isHot
} from "@hikyaku/cluster/actor/Placement"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

describe("R8, R11: placement", () => {
  it("is the same in every version and on every machine: these are on record in stores", () => {
    const ids = ["p-1", "p-2", "member:77", "数量", ""]
    expect(ids.map((actor) => cellOf(actor, 64))).toEqual(["c53", "c60", "c41", "c32", "c5"])
  })

  it("an actor's cell is one of the kind's", () => {
    const names = new Set(cellNames(7))
    expect(names.size).toBe(7)
    fc.assert(fc.property(fc.string(), (actor) => names.has(cellOf(actor, 7))))
  })

  it("spreads ids that differ by little", () => {
    const counts = new Map<string, number>()
    for (let i = 0; i < 64_000; i++) {
      const cell = cellOf(`product-${i}`, cellsDefault)
      counts.set(cell, (counts.get(cell) ?? 0) + 1)
    }
    expect(counts.size).toBe(cellsDefault)
    expect(Math.max(...counts.values())).toBeLessThan(1300)
    expect(Math.min(...counts.values())).toBeGreaterThan(700)
  })

  it("hot cells are a group of their own, which comes last in the alphabet; no shared cell is taken for one", () => {
    expect(groupOf(hotCellOf("c0"))).toBe(hotGroup)
    expect(cellNames(cellsDefault).some(isHot)).toBe(false)
    expect(groupOf("c0")).toBe(defaultGroup)
    expect([hotGroup, defaultGroup].toSorted().at(-1)).toBe(hotGroup)
  })
})
