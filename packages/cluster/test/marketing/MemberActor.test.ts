import type { Row } from "@hikyaku/cluster/actor/Table"
import { considerCommand, type MemberCommand } from "@hikyaku/domain/marketing/Member"
import { unknownMember } from "@hikyaku/domain/marketing/MemberState"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TablesMemory } from "../stock/ProductTablesMemory.ts"
import { at, history, kind, MemberHouse, terms } from "./MemberHouse.ts"

const hour = 3_600_000
const play = (rounds: ReadonlyArray<ReadonlyArray<readonly [MemberCommand, number]>>) => {
  const house = new MemberHouse("m-1")
  const tables = new TablesMemory(kind)
  for (const round of rounds) {
    const { change } = house.round(round)
    if (change === null) continue
    tables.writeMain(change.main)
    change.rows.forEach((write) => tables.write(write))
  }
  return { house, tables }
}

const ask = (run: string, change: Partial<typeof terms> = {}): MemberCommand =>
  considerCommand({
    run,
    campaign: "spring",
    version: 7,
    notBefore: at,
    deadline: at + 2 * hour,
    product: "p-1",
    parameters: { before: 1_980 },
    terms: { ...terms, holdoutShare: 0, explorationShare: 0, ...change }
  })
const joined: ReadonlyArray<MemberCommand> = [
  { _tag: "SetProfile", address: "a@example.jp", language: "ja" },
  { _tag: "SetConsent", channel: "mail", consent: true }
]
const told = (...commands: ReadonlyArray<MemberCommand>) =>
  play([[...joined, ...commands].map((command) => [command, at] as const)])

describe("memberKind", () => {
  it("restores from its row what it was, after any history", () => {
    let accepted = 0
    fc.assert(
      fc.property(history("m-1"), (rounds) => {
        const { house, tables } = play(rounds)
        accepted += house.replies.filter((reply) => reply._tag === "Accepted").length
        if (tables.main === null) return
        const row: Row = JSON.parse(JSON.stringify(tables.main))
        expect(kind.restore("m-1", row, {})).toEqual(house.state)
      }),
      { numRuns: 200 }
    )
    expect(accepted).toBeGreaterThan(100)
  })

  it("says that the steady columns are as they were only when they are", () => {
    let steady = 0
    fc.assert(
      fc.property(history("m-1"), (rounds) => {
        const house = new MemberHouse("m-1")
        const columns = () => {
          const row = kind.mainRow(house.state)
          return JSON.stringify(kind.steady!.columns.map((column) => row[column]))
        }
        for (const round of rounds) {
          const before = columns()
          const { change } = house.round(round)
          if (change?.steady !== true) continue
          steady++
          expect(columns()).toBe(before)
        }
      }),
      { numRuns: 200 }
    )
    expect(steady).toBeGreaterThan(100)
  })

  it("inserts one delivery per run accepted and one ledger row per other decision (G8, R18)", () => {
    fc.assert(
      fc.property(history("m-1"), (rounds) => {
        const { house, tables } = play(rounds)
        const accepted = new Set(house.replies.flatMap((reply) => reply._tag === "Accepted" ? [reply.delivery] : []))
        expect(new Set(tables.all("delivery").map((row) => row["id"]))).toEqual(accepted)
        // Whatever occupies a cap is a delivery: the two are one commit.
        for (const hold of house.state.holds) expect(accepted).toContain(`${hold.run}:m-1`)
        expect(tables.all("decision_ledger").map((row) => row["n"])).toEqual(
          Array.from({ length: house.state.decisions }, (_, i) => i + 1)
        )
      }),
      { numRuns: 200 }
    )
  })

  it("writes a delivery as the dispatcher takes it over", () => {
    const { tables } = told(ask("r1"))
    expect(tables.all("delivery")).toEqual([{
      id: "r1:m-1",
      run: "r1",
      campaign: "spring",
      version: 7,
      member: "m-1",
      channel: "mail",
      class: "batch",
      priority: 5,
      product: "p-1",
      parameters: { before: 1_980 },
      status: "due",
      not_before: at,
      deadline: at + 2 * hour,
      held: false,
      why: null,
      created_at: at
    }])
    expect(tables.all("decision_ledger")).toEqual([])
  })

  it("gives the dispatcher a deadline that is earlier by the time that sending takes", () => {
    const { house, tables } = told(ask("r1", { lagMs: hour }))
    expect(tables.all("delivery")).toMatchObject([{ deadline: at + hour }])
    expect(house.state.holds).toMatchObject([{ deadline: at + 2 * hour }])
  })

  it("writes no delivery twice, nor a row for an answer that was given before", () => {
    const { tables } = told(ask("r1"), ask("r1"), { _tag: "Refund", delivery: "r1:m-1" }, ask("r1"))
    expect(tables.all("delivery")).toHaveLength(1)
    expect(tables.all("decision_ledger")).toEqual([])
  })

  it("explains who did not get it and why", () => {
    const { tables } = told(ask("r1", { globalCaps: [{ count: 0, windowMs: hour }] }), ask("r2", { filter: "東京" }))
    expect(tables.all("decision_ledger")).toMatchObject([
      {
        n: 1,
        run: "r1",
        campaign: "spring",
        stage: "cap",
        decision: "rejected",
        reason: "Capped",
        detail: { why: "at most 0 in 1 h" }
      },
      {
        n: 2,
        run: "r2",
        stage: "filter",
        decision: "rejected",
        reason: "Filtered",
        detail: { why: "東京 is not the city" }
      }
    ])
  })

  it("stores nothing for a read, a shadow campaign or bad input (G16, G18)", () => {
    const house = new MemberHouse("m-1")
    const shadow = ask("r1", { shadow: true })
    for (const command of [{ _tag: "ReadMember" }, shadow, { _tag: "Consider", page: "", terms: "" }] as const) {
      expect(house.round([[command, at]]).change).toBeNull()
    }
    expect(house.state).toEqual(unknownMember("m-1"))
  })
})
