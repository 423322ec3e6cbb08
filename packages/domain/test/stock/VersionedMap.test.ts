import { describe, expect, it } from "@effect/vitest"
import { VersionedMap } from "@hikyaku/domain/stock/VersionedMap"
import * as fc from "fast-check"

type Version = readonly [VersionedMap<string, number>, ReadonlyMap<string, number>]

const keys = ["a", "b", "c", "d"]
const change = fc.record({
  /** Which of the versions so far it builds on. */
  base: fc.nat(),
  key: fc.constantFrom(...keys),
  value: fc.option(fc.integer({ min: 1 }))
})

const expectAlike = ([map, model]: Version) => {
  expect(map.size).toBe(model.size)
  for (const key of keys) {
    expect(map.get(key)).toBe(model.get(key))
    expect(map.has(key)).toBe(model.has(key))
  }
  expect(new Map(map.entries())).toEqual(model)
  expect(map.values().sort()).toEqual([...model.values()].sort())
}

describe("VersionedMap", () => {
  it("keeps every version as it was, whichever is read or built upon", () => {
    fc.assert(fc.property(fc.array(change), fc.array(fc.nat()), (changes, reads) => {
      const versions: Array<Version> = [[VersionedMap.empty(), new Map()]]
      for (const { base, key, value } of changes) {
        const [map, model] = versions[base % versions.length]!
        const next = new Map(model)
        if (value === null) next.delete(key)
        else next.set(key, value)
        versions.push([value === null ? map.without(key) : map.with(key, value), next])
      }
      for (const read of reads) expectAlike(versions[read % versions.length]!)
      for (const version of versions) expectAlike(version)
    }))
  })

  it("begins with what it is given", () => {
    const map = VersionedMap.from<string, number>([["a", 1], ["b", 2]])
    expectAlike([map.with("c", 3), new Map([["a", 1], ["b", 2], ["c", 3]])])
    expectAlike([map, new Map([["a", 1], ["b", 2]])])
  })
})
