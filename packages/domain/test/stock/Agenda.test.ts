import { describe, expect, it } from "@effect/vitest"
import * as Agenda from "@hikyaku/domain/stock/Agenda"
import * as fc from "fast-check"

const entry = fc.record({ due: fc.nat(20), key: fc.constantFrom("a", "b", "c") })

const drain = (agenda: Agenda.Agenda): ReadonlyArray<Agenda.Entry> => {
  const drained: Array<Agenda.Entry> = []
  for (let first = Agenda.first(agenda); first !== undefined; first = Agenda.first(agenda)) {
    drained.push({ due: first.due, key: first.key })
    agenda = Agenda.dropFirst(agenda)
  }
  expect(agenda.size).toBe(0)
  return drained
}

describe("Agenda", () => {
  it("gives entries in order of due time, then key, however they were put in and taken out", () => {
    fc.assert(fc.property(fc.array(fc.option(entry, { freq: 3 })), (changes) => {
      let agenda = Agenda.empty
      let model: ReadonlyArray<Agenda.Entry> = []
      for (const added of changes) {
        const before = agenda
        agenda = added === null ? Agenda.dropFirst(agenda) : Agenda.add(agenda, added.due, added.key)
        expect(Agenda.entries(before)).toEqual(model)
        model = added === null
          ? model.slice(1)
          : [...model, added].sort((a, b) => a.due - b.due || (a.key < b.key ? -1 : 1))
        expect(agenda.size).toBe(model.length)
      }
      expect(drain(agenda)).toEqual(model)
    }))
  })

  it("holds very many entries that came in order", () => {
    let agenda = Agenda.empty
    for (let due = 0; due < 100_000; due++) agenda = Agenda.add(agenda, due, "t")
    expect(Agenda.first(Agenda.dropFirst(agenda))?.due).toBe(1)
  })
})
