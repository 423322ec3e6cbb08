import {
  decodeAnswer,
  decodeGroups,
  encodable,
  encodeAnswer,
  encodeGroups,
  fingerprint,
  format,
  FormatUnknown,
  type WireAnswer
} from "@hikyaku/cluster/actor/Wire"
import * as fc from "fast-check"
import { Packr } from "msgpackr"
import { describe, expect, it } from "vitest"
import { freshId, wire } from "./CellHouse.ts"

/** What JSON can say, and so what a command may be. */
// MessagePack's decoder renames the key __proto__, on purpose: no command of ours has one.
const json = fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value))
  .filter((text) => !text.includes("__proto__")).map((text) => JSON.parse(text) as unknown)
const wellFormed = fc.string({ unit: "grapheme" })
const command = fc.record({
  actor: wellFormed,
  id: fc.constant(freshId()),
  within: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0 }),
  at: fc.option(fc.integer()),
  command: json
})
const plain = { unit: "grapheme" } as const

describe("what travels", () => {
  it("groups of commands arrive as they were sent", () => {
    const group = fc.record({ cell: fc.string(plain), commands: fc.array(command, { maxLength: 5 }) })
    fc.assert(fc.property(fc.array(group, { maxLength: 4 }), (groups) => {
      expect(decodeGroups(encodeGroups(groups))).toEqual(groups)
    }))
  })

  it("a command for many actors travels once, and its fingerprint is that of an equal one alone", () => {
    const shared = { _tag: "Consider", page: "x".repeat(5_000) }
    const commands = Array.from({ length: 100 }, (_, i) => wire(`a${i}`, shared))
    const bytes = encodeGroups([{ cell: "c0", commands }])
    expect(bytes.length).toBeLessThan(5_000 + 100 * 100)
    const [group] = decodeGroups(bytes)
    expect(group).toEqual({ cell: "c0", commands })
    for (const { command } of group!.commands) expect(fingerprint(command)).toBe(fingerprint({ ...shared }))
  })

  it("answers arrive as they were sent", () => {
    const answer: WireAnswer = {
      runner: "r1",
      groups: [
        null,
        [],
        [
          { _tag: "Reply", reply: { _tag: "Added", total: 1, text: "数量" } },
          { _tag: "Moved", cell: null },
          { _tag: "Moved", cell: "hot-x" },
          { _tag: "Pending" },
          { _tag: "Overloaded", retryAfter: 50 },
          { _tag: "Late" },
          { _tag: "Differs" },
          { _tag: "Expired", reason: "old" },
          { _tag: "Fault", reason: "bad" }
        ]
      ]
    }
    expect(decodeAnswer(encodeAnswer(answer))).toEqual(answer)
    expect(decodeAnswer(encodeAnswer({ runner: null, groups: [] }))).toEqual({ runner: null, groups: [] })
  })

  it("R11: another format, or none, is told apart and not guessed at", () => {
    const packr = new Packr()
    const groups = [[["c0", []]], []]
    expect(decodeGroups(packr.pack([format, groups]))).toHaveLength(1)
    const foreign: ReadonlyArray<unknown> = [
      [format + 1, groups],
      [format, { cell: "c0" }],
      [format, [[["c0"]], []]],
      [format, [[["c0", [["a", "id", "soon", null, 0]]]], [{}]]],
      // It names a command that did not come with it.
      [format, [[["c0", [["a", "id", 5, null, 1]]]], [{}]]],
      groups,
      "text",
      null
    ]
    for (const message of foreign) expect(() => decodeGroups(packr.pack(message)), JSON.stringify(message)).toThrow()
    for (const message of [[format, null], [format, { runner: "r" }], [format, { runner: "r", groups: [[5]] }]]) {
      expect(() => decodeAnswer(packr.pack(message)), JSON.stringify(message)).toThrow(FormatUnknown)
    }
  })

  it("G16: no bytes do more than fail to be read", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const decode of [decodeGroups, decodeAnswer]) {
        try {
          decode(bytes)
        } catch (cause) {
          expect(cause).toBeInstanceOf(Error)
        }
      }
    }))
  })

  it("a message that cannot be encoded leaves no trace on the next one", () => {
    const loop: Record<string, unknown> = { name: "x" }
    loop["loop"] = loop
    for (const bad of [loop, { big: 10n ** 40n }, { symbol: Symbol("x") }]) {
      expect(() => encodeGroups([{ cell: "c0", commands: [wire("a", bad)] }])).toThrow()
      expect(encodable(bad)).toBe(false)
      const good = [{ cell: "c0", commands: [wire("a", { name: "y", loop: 1 }), wire("b", { name: "z", loop: 2 })] }]
      expect(decodeGroups(encodeGroups(good))).toEqual(good)
    }
    expect(encodable({ fine: true })).toBe(true)
  })
})

describe("R3: fingerprints", () => {
  it("are the same for the same content and differ for other content", () => {
    fc.assert(fc.property(json, json, (one, other) => {
      expect(fingerprint(one)).toBe(fingerprint(structuredClone(one)))
      expect(fingerprint(one) === fingerprint(other)).toBe(JSON.stringify(one) === JSON.stringify(other))
    }))
  })

  it("do not collide on what differs by little", () => {
    const all = new Set<string>()
    for (let i = 0; i < 200_000; i++) all.add(fingerprint({ _tag: "Add", item: `item-${i}`, by: i % 10 }))
    expect(all.size).toBe(200_000)
  })

  it("survive the way over the wire", () => {
    fc.assert(fc.property(json, (value) => {
      const [group] = decodeGroups(encodeGroups([{ cell: "c", commands: [wire("a", value)] }]))
      expect(fingerprint(group?.commands[0]?.command)).toBe(fingerprint(value))
    }))
  })
})
