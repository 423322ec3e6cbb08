import {
  type CompiledTable,
  compileTable,
  DecisionTable,
  type HitPolicy,
  type TableFault,
  type TableOutcome
} from "@hikyaku/domain/marketing/DecisionTable"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import type { RuleInputs } from "@hikyaku/domain/marketing/Rule"
import { eventView, productView, triggerScope } from "@hikyaku/domain/marketing/RuleScope"
import { admits, type CellSet, covers, isEmpty, meets } from "@hikyaku/domain/marketing/TableCell"
import { Either, Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const now = Date.UTC(2025, 5, 2, 3)
const scope = triggerScope("PriceChanged", {})!
const inputs = (before: number, after: number, category: string | null, stock: number | null): RuleInputs => {
  const happening: Happening = { _tag: "PriceChanged", product: "sku-1", before, after }
  const product = { id: "sku-1", name: null, price: after, category, brand: null, stock, attributes: {} }
  return {
    event: eventView({ at: now, happening }),
    product: productView(product),
    member: undefined,
    parameters: undefined,
    now: new Date(now)
  }
}
const table = (hit: HitPolicy, ...rows: ReadonlyArray<string>): DecisionTable => ({
  hit,
  rows: rows.map((row) => row.split(";").map((cell) => cell.trim()))
})
const compiled = (hit: HitPolicy, ...rows: ReadonlyArray<string>): CompiledTable =>
  Either.getOrThrowWith(compileTable(table(hit, ...rows), scope), (faults) => new Error(JSON.stringify(faults)))
const faults = (hit: HitPolicy, ...rows: ReadonlyArray<string>): ReadonlyArray<TableFault> =>
  Either.match(compileTable(table(hit, ...rows), scope), {
    onLeft: (found) => found,
    onRight: () => {
      throw new Error("compiled")
    }
  })
const parametersOf = (outcome: TableOutcome) => outcome._tag === "Hit" ? outcome.parameters : outcome.reason

const header = "when: event.after / event.before; when: product.category; when; then: headline; then: tier; note"
const rows = [
  header,
  "< 0.5; tops | shoes; ; Half price; 1; the big one",
  "0.5..0.8; -; product.stock <= 1; Last one, cheaper; cel: product.stock; ",
  "0.5..0.8; != bags; ; \"Cheaper\"; 3; "
]

describe("judging", () => {
  it("first: the first row that matches sets the parameters", () => {
    const judge = compiled("first", ...rows).judge
    expect(judge(inputs(1000, 400, "tops", 5))).toEqual({
      _tag: "Hit",
      rows: [1],
      parameters: { headline: "Half price", tier: 1 }
    })
    expect(parametersOf(judge(inputs(1000, 700, "bags", 1)))).toEqual({ headline: "Last one, cheaper", tier: 1 })
    expect(parametersOf(judge(inputs(1000, 700, "tops", 9)))).toEqual({ headline: "Cheaper", tier: 3 })
    expect(judge(inputs(1000, 700, "bags", 9))).toEqual({ _tag: "NoHit", reason: null })
    expect(judge(inputs(1000, 900, "tops", 9))).toEqual({ _tag: "NoHit", reason: null })
  })

  it("a value that is missing keeps its rows from matching, with a reason", () => {
    const judge = compiled("first", ...rows).judge
    expect(judge(inputs(1000, 400, null, 5))).toEqual({ _tag: "NoHit", reason: "No such key: category" })
    expect(judge(inputs(0, 0, "tops", 5))._tag).toBe("NoHit")
  })

  it("priority: the highest that matches wins, the earlier of equals", () => {
    const judge = compiled(
      "priority",
      "when: event.after; then: name; priority",
      "< 500; low; 1",
      "< 400; lower; 5",
      "< 300; same; 5"
    ).judge
    expect(parametersOf(judge(inputs(1, 450, null, null)))).toEqual({ name: "low" })
    expect(parametersOf(judge(inputs(1, 100, null, null)))).toEqual({ name: "lower" })
  })

  it("all: every row that matches counts, later ones over earlier ones", () => {
    const judge =
      compiled("all", "when: event.after; then: a; then: b", "< 500; 1; x", "< 400; ; y", "< 300; 3; ").judge
    expect(judge(inputs(1, 100, null, null))).toEqual({ _tag: "Hit", rows: [1, 2, 3], parameters: { a: 3, b: "y" } })
    expect(parametersOf(judge(inputs(1, 450, null, null)))).toEqual({ a: 1, b: "x" })
  })

  it("cells of a text column are text even if they look like numbers", () => {
    const judge = compiled("first", "when: product.category; then: ok", "10; true").judge
    expect(parametersOf(judge(inputs(1, 1, "10", 1)))).toEqual({ ok: true })
  })
})

describe("G16: every fault with its place", () => {
  it("names row, column and what was meant", () => {
    const found = faults(
      "first",
      "wen: event.after; when: event.aftr; then: 1st; priority",
      "1; 2; 3",
      "1; 2; 3; x"
    )
    expect(found.map((each) => `${each.row}/${each.column}`).sort()).toEqual(["0/0", "0/1", "0/2", "0/3", "1/3", "2/3"])
    const at = (row: number, column: number) => found.find((each) => each.row === row && each.column === column)
    expect(at(0, 0)?.hint).toContain("when: EXPRESSION")
    expect(at(0, 1)?.hint).toBe("did you mean after?")
    expect(at(0, 2)?.message).toContain("1st")
    expect(at(0, 3)?.message).toContain("knows no priority")
    expect(at(1, 3)?.message).toBe("3 cells under 4 headers")
    expect(at(2, 3)?.message).toContain("not a whole number")
  })

  it("faults of cells", () => {
    const cell = (text: string, column = "when: event.after") => faults("first", `${column}; then: x`, `${text}; 1`)[0]
    expect(cell("1,000")?.hint).toBe("write 1000")
    expect(cell("＜ 100")?.message).toContain("not a number")
    expect(cell("１００")?.hint).toBe("write 100")
    expect(cell("10%")?.hint).toBe("write 0.1 for 10%")
    expect(cell("< tops")?.message).toBe("tops is not a number")
    expect(cell("< 3", "when: product.category")?.message).toBe("< compares numbers, the column holds text")
    expect(cell("cel: event.aftr < 3")?.message).toBe("event has no field aftr (at character 11)")
    expect(cell("product.stok < 3", "when")?.hint).toBe("did you mean stock?")
    expect(faults("priority", "when: event.after; then: x", "1; 2")[0]?.message).toContain("needs one column")
    expect(faults("first", "then: x", "1")[0]?.message).toBe("no column has a condition")
    expect(faults("first", "when: event.after; then: x; then: x", "1;1;1")[0]?.message).toBe("two columns set x")
  })

  it("bounds rows, columns, text and cost", () => {
    const decode = Schema.decodeUnknownEither(DecisionTable)
    const many = Array.from({ length: 1_002 }, () => ["1"])
    expect(Either.isLeft(decode({ hit: "first", rows: many }))).toBe(true)
    expect(Either.isLeft(decode({ hit: "first", rows: [["when"], Array.from({ length: 51 }, () => "")] }))).toBe(true)
    expect(
      Either.isLeft(
        decode({ hit: "first", rows: [["when"], ...Array.from({ length: 200 }, () => ["x".repeat(1_500)])] })
      )
    )
      .toBe(true)
    const dear = "product.attributes.exists(k, k.startsWith('a') && k.endsWith('b') && k.contains('c') && k != 'd')"
    expect(faults("first", "when; then: x", ...Array.from({ length: 900 }, () => `${dear}; 1`)).at(-1)?.message)
      .toContain("steps")
  })
})

describe("overlaps and dead rows", () => {
  it("reports a row that an earlier one always beats", () => {
    const { findings } = compiled(
      "first",
      "when: event.after; when: product.category; then: x",
      "< 500; tops | shoes; 1",
      "100..200; tops; 2",
      "600..500; ; 3",
      "< 700; ; 4"
    )
    expect(findings).toEqual([
      { _tag: "DeadRow", row: 2, because: 1 },
      { _tag: "DeadRow", row: 3, because: null }
    ])
  })

  it("reports rows that overlap and differ, and who wins", () => {
    const { findings } = compiled(
      "first",
      "when: event.after; then: x",
      "0..500; 1",
      "400..800; 2",
      "> 800; 3",
      "801..900; 3"
    )
    expect(findings).toEqual([
      { _tag: "Overlap", rows: [1, 2], wins: 1 },
      { _tag: "DeadRow", row: 4, because: 3 }
    ])
    expect(compiled("all", "when: event.after; then: x", "0..500; 1", "400..800; 2").findings)
      .toEqual([{ _tag: "Overlap", rows: [1, 2], wins: null }])
    expect(
      compiled("priority", "when: event.after; then: x; priority", "0..500; 1; 1", "400..450; 2; 2", "410..420; 3; 1")
        .findings
    ).toEqual([{ _tag: "DeadRow", row: 3, because: 2 }])
  })

  it("knows nothing of CEL but that the same text means the same", () => {
    expect(
      compiled("first", "when; then: x", "event.after < 3; 1", "event.after  < 3; 2", "event.after < 2; 3").findings
    )
      .toEqual([{ _tag: "DeadRow", row: 2, because: 1 }])
  })

  it("a dead row never decides, an overlap is real (property)", () => {
    const cell = fc.oneof(
      fc.constant("-"),
      fc.integer({ min: 0, max: 6 }).map((n) => `< ${n}`),
      fc.integer({ min: 0, max: 6 }).map((n) => `>= ${n}`),
      fc.integer({ min: 0, max: 6 }).map((n) => `!= ${n}`),
      fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 })).map(([a, b]) => `${a}..${b}`),
      fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 3 }).map((ns) => ns.join(" | "))
    )
    const row = fc.tuple(cell, cell, fc.integer({ min: 0, max: 2 }))
    fc.assert(fc.property(
      fc.array(row, { minLength: 1, maxLength: 6 }),
      fc.constantFrom<HitPolicy>("first", "priority"),
      (cells, hit) => {
        const { findings, judge } = compiled(
          hit,
          `when: event.after; when: event.before; then: row${hit === "priority" ? "; priority" : ""}`,
          ...cells.map(([a, b, priority], index) =>
            `${a}; ${b}; ${index + 1}${hit === "priority" ? `; ${priority}` : ""}`
          )
        )
        const decided = new Set<number>()
        for (let after = 0; after <= 7; after++) {
          for (let before = 0; before <= 7; before++) {
            const outcome = judge(inputs(before, after, null, null))
            if (outcome._tag === "Hit") decided.add(outcome.rows[0] ?? 0)
          }
        }
        for (const finding of findings) {
          if (finding._tag === "DeadRow") expect(decided.has(finding.row)).toBe(false)
        }
      }
    ))
  })
})

describe("sets of cells", () => {
  const numbers = fc.integer({ min: 0, max: 5 })
  const set: fc.Arbitrary<CellSet> = fc.oneof(
    fc.constant<CellSet>({ _tag: "Any" }),
    fc.array(numbers, { minLength: 1, maxLength: 3 }).map((values): CellSet => ({
      _tag: "Values",
      values: new Set(values)
    })),
    fc.array(numbers, { minLength: 1, maxLength: 3 }).map((values): CellSet => ({
      _tag: "AllBut",
      values: new Set(values)
    })),
    fc.record({ low: numbers, high: numbers, lowIncluded: fc.boolean(), highIncluded: fc.boolean() })
      .map((ends): CellSet => ({ _tag: "Interval", ...ends }))
  )
  const samples = Array.from({ length: 30 }, (_, index) => index / 4 - 1)

  it("covers and meets agree with the values (property)", () => {
    fc.assert(
      fc.property(set, set, (a, b) => {
        const both = samples.some((value) => admits(a, value) && admits(b, value))
        expect(meets(a, b)).toBe(both)
        if (covers(a, b)) expect(samples.every((value) => !admits(b, value) || admits(a, value))).toBe(true)
        else if (!isEmpty(b)) expect(samples.every((value) => !admits(b, value) || admits(a, value))).toBe(false)
      }),
      { numRuns: 1_000 }
    )
  })
})
