import { type Live, UnitBuilder } from "@hikyaku/cluster/actor/UnitBuilder"
import { Schema } from "effect"
import { describe, expect, it } from "vitest"
import { type Counter, type CounterCommand, counterKind, limit } from "../../../../test/contracts/CounterKind.ts"
import { add, freshId, read, start } from "./CellHouse.ts"

const fence = { version: 3, writer: "w0", cell: "c7", epoch: 2 }
const base: Live<Counter> = { state: counterKind.decider.initial("a"), fence, clock: start }
const builder = (live: Live<Counter> = base) => new UnitBuilder(counterKind, "a", live)
const decide = (
  unit: ReturnType<typeof builder>,
  command: CounterCommand,
  { id = freshId(), notAfter = Number.POSITIVE_INFINITY, now = start } = {}
) => ({ id, ...unit.decide(command, now, id, "h", notAfter) })

describe("a unit of work", () => {
  it("carries what all commands of the round amount to, each decided on what the one before left", () => {
    const unit = builder()
    const first = decide(unit, add("x", 2))
    const second = decide(unit, add("rest", limit - 2), { now: start + 5 })
    expect([first.reply, second.reply]).toEqual([{ _tag: "Added", total: 2 }, { _tag: "Added", total: limit }])
    const { live, unit: built } = unit.build("w1")
    expect(built).toMatchObject({ actor: "a", base: fence, writer: "w1", asked: [], notAfter: null })
    expect(built.change).toMatchObject({
      main: { total: limit, ceiling: limit, reminded: null },
      clock: start + 5,
      dueAt: null,
      cell: "c7",
      epoch: 2,
      outcomes: [{ command: first.id, hash: "h" }, { command: second.id, hash: "h" }],
      outbox: [{ at: start + 5, happening: { _tag: "SoldOut", product: "a" } }]
    })
    expect(built.change?.rows.map(({ mode, row }) => `${mode} ${String(row["item"])}`)).toEqual([
      "insert x",
      "insert rest"
    ])
    expect(live).toMatchObject({ fence: { ...fence, version: 4, writer: "w1" }, clock: start + 5 })
    expect(live.state.total).toBe(limit)
  })

  it("R1: is a version check when nothing is to be written", () => {
    const unit = builder()
    const { final, id } = decide(unit, read, { now: start + 9 })
    expect(final).toBe(false)
    const { live, unit: built } = unit.build("w1")
    expect(built).toEqual({ actor: "a", base: fence, writer: "w1", change: null, asked: [id], notAfter: null })
    expect(live).toEqual({ ...base, clock: start + 9 })
  })

  it("R3: a refusal is an outcome and is written", () => {
    const unit = builder({ ...base, state: { ...base.state, total: limit } })
    decide(unit, add("x"))
    expect(unit.build("w1").unit.change).toMatchObject({
      outcomes: [{ reply: { _tag: "Full", total: limit } }],
      rows: []
    })
  })

  it("R3: asks for the ids that leave no outcome, also beside those that do", () => {
    const unit = builder()
    const first = decide(unit, read)
    const second = decide(unit, add("x"))
    const third = freshId()
    unit.ask(third)
    expect(unit.build("w1").unit.asked).toEqual([first.id, third])
    expect(unit.check("w1").unit).toMatchObject({ change: null, asked: [first.id, third, second.id] })
  })

  it("R6: no instant is before the actor's last", () => {
    const unit = builder()
    decide(unit, { _tag: "Remind", at: start }, { now: start - 5000 })
    expect(unit.build("w1").unit.change?.clock).toBe(start)
    decide(unit, add("x"), { now: start + 2 })
    decide(unit, add("y"), { now: start + 1 })
    expect(unit.build("w1").unit.change?.clock).toBe(start + 2)
  })

  it("R6: must be committed by the earliest deadline of what it writes", () => {
    const unit = builder()
    decide(unit, read, { notAfter: 1 })
    decide(unit, add("x"), { notAfter: 70 })
    decide(unit, add("y"), { notAfter: 50 })
    expect(unit.build("w1").unit.notAfter).toBe(50)
  })

  it("a timer's work is bound by its deadline too, and asks for its id", () => {
    const unit = builder({ ...base, state: { ...base.state, dueAt: start } })
    const { id } = decide(unit, { _tag: "Wake" }, { notAfter: 50 })
    expect(unit.build("w1").unit).toMatchObject({ notAfter: 50, asked: [id], change: { outcomes: [], dueAt: null } })
  })

  it("a command that throws has changed nothing: in deciding, in evolving, in what it answers", () => {
    const broken = (part: "decide" | "evolve" | "reply") =>
      new UnitBuilder<Counter, CounterCommand, unknown, { readonly _tag: "Any" }>(
        {
          ...counterKind,
          write: () => {},
          publish: () => [],
          reply: Schema.Unknown,
          decider: {
            ...counterKind.decider,
            evolve: (state) => {
              if (part === "evolve") throw new Error("evolve")
              return { ...state, total: state.total + 1 }
            },
            decide: () => {
              if (part === "decide") throw new Error("decide")
              return { reply: part === "reply" ? "no object" : {}, events: [{ _tag: "Any" }], final: true }
            }
          }
        },
        "a",
        base
      )
    for (const part of ["decide", "evolve", "reply"] as const) {
      const unit = broken(part)
      expect(() => unit.decide(read, start + 1, freshId(), "h", 1)).toThrow()
      expect(unit.build("w1").unit).toMatchObject({ change: null, asked: [], notAfter: null })
      expect(unit.recorded).toEqual([])
    }
  })

  it("throws what the mapping to rows throws", () => {
    const unit = builder()
    decide(unit, { _tag: "BreakRows" })
    expect(() => unit.build("w1")).toThrow("no rows for this")
  })
})
