import { jsonFaultAt } from "@hikyaku/domain/replay/JsonFault"
import type { Step } from "@hikyaku/domain/replay/Step"
import { decodeStepLine, encodeStepLine } from "@hikyaku/domain/replay/StepLine"
import { Either } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const at = Date.UTC(2026, 0, 5)
const event = (happening: object, more: object = {}) =>
  JSON.stringify({ source: "shop", id: "e1", at, happening, ...more })
const viewed = { _tag: "Viewed", member: "m1", product: "p1" }

describe("a line of NDJSON", () => {
  it("is an event, published when it happened", () => {
    expect(decodeStepLine(event(viewed))).toEqual(
      Either.right({ _tag: "Publish", at, event: { source: "shop", id: "e1", at, happening: viewed } })
    )
  })

  it("is a step as it was encoded", () => {
    const step: Step = {
      _tag: "CartAdd",
      at,
      ticket: "019b8f6c-0000-7000-8000-000000000001",
      member: "m1",
      product: "p1",
      quantity: 2
    }
    expect(decodeStepLine(encodeStepLine(step))).toEqual(Either.right(step))
  })

  it.each([
    ["an unknown type", event({ _tag: "Looked", member: "m1", product: "p1" }), "happening._tag"],
    ["a malformed id", event({ ...viewed, product: "no spaces" }), "happening.product"],
    ["a missing field", event({ _tag: "Viewed", product: "p1" }), "happening.member"],
    ["a misspelt field", event({ ...viewed, mmember: "m1" }), "happening.mmember"],
    ["U+0000", event(viewed, { id: "a\u0000b" }), "id"],
    ["an instant beyond what a shop can mean", event(viewed, { at: 1 }), "at"],
    ["an unknown step", JSON.stringify({ _tag: "CartTake", at }), "_tag"],
    ["what only the shop itself may state", event({ _tag: "SoldOut", product: "p1" }), "happening._tag"],
    [
      "the same inside a step",
      JSON.stringify({ _tag: "Publish", at, event: JSON.parse(event({ _tag: "SoldOut", product: "p1" })) }),
      "event.happening._tag"
    ]
  ])("is refused with the field's place: %s", (_, line, path) => {
    expect(Either.flip(decodeStepLine(line))).toMatchObject({ right: { fault: "InvalidStep", path } })
  })

  it.each(["[]", "null", "1", "\"text\""])("is refused if it is no object: %s", (line) => {
    expect(Either.flip(decodeStepLine(line))).toMatchObject({ right: { fault: "InvalidStep" } })
  })

  it.each([
    ["", 1],
    ["{", 2],
    ["{\"a\":tru}", 6],
    ["{\"a\":1,}", 8],
    ["{\"a\" 1}", 6],
    ["[1,2", 5],
    ["{\"a\":\"open}", 6],
    ["abc", 1],
    ["{} {}", 4],
    ["{\"a\":01}", 7],
    ["[\"\\x\"]", 2],
    ["[1}", 3]
  ])("is refused with the column if it is no JSON: %j", (line, column) => {
    expect(Either.flip(decodeStepLine(line))).toMatchObject({ right: { fault: "InvalidJson", column } })
  })
})

describe("jsonFaultAt", () => {
  it("finds no fault in what the engine accepts", () => {
    fc.assert(fc.property(fc.json(), (text) => {
      expect(jsonFaultAt(text)).toBe(text.length)
    }))
  })

  it("finds a character that may stand nowhere, at the beginning of its token at the earliest", () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (text, at) => {
        const place = at % (text.length + 1)
        const fault = jsonFaultAt(`${text.slice(0, place)}\u0001${text.slice(place)}`)
        expect(fault).toBeLessThanOrEqual(place)
        expect(text.slice(fault, place)).toMatch(/^(|"(\\.|[^"\\])*\\?|[\w.+-]+)$/)
      }),
      { numRuns: 1_000 }
    )
  })
})
