import { linesMax } from "@hikyaku/domain/api/CartApi"
import { makeOnlineRetailReplay, makeOnlineRetailSurvey } from "@hikyaku/domain/replay/OnlineRetail"
import type { OnlineRetailFields, UnusableReason } from "@hikyaku/domain/replay/OnlineRetailRow"
import { Step } from "@hikyaku/domain/replay/Step"
import { Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const replayOf = (rows: ReadonlyArray<OnlineRetailFields>) => {
  const survey = makeOnlineRetailSurvey()
  rows.forEach(survey.row)
  const plan = survey.plan()
  const replay = makeOnlineRetailReplay(plan)
  const steps: Array<Step> = []
  const reasons: Array<UnusableReason> = []
  // Rows of which neither a reason nor a step of their own came, or both.
  const unaccounted: Array<OnlineRetailFields> = []
  for (const row of rows) {
    const before = steps.length
    const reason = replay.row(row, steps)
    if (reason !== undefined) reasons.push(reason)
    const own = steps.slice(before).some(({ _tag }) => _tag === "CartAdd" || _tag === "Return")
    if (own === (reason !== undefined)) unaccounted.push(row)
  }
  replay.end(steps)
  return { plan, steps, reasons, unaccounted }
}

/** A row from what matters: `1 A x6 @2.5` by member 7 at 9:00 of a day in December 2010. */
const row = (
  invoice: string,
  product: string,
  quantity: number,
  { day = 1, member = "7", minute = 0, price = 2.5 } = {}
): OnlineRetailFields => [
  invoice,
  product,
  `THING ${product}`,
  String(quantity),
  `2010-12-${String(day).padStart(2, "0")} 09:${String(minute).padStart(2, "0")}:00`,
  String(price),
  member === "" ? "" : `${member}.0`,
  "France"
]

/** Steps in short, for reading. */
const brief = (steps: ReadonlyArray<Step>): ReadonlyArray<string> =>
  steps.map((step) => {
    switch (step._tag) {
      case "CartAdd":
        return `add ${step.product} x${step.quantity}`
      case "Checkout":
        return `checkout ${step.member} ${step.lines.map(({ product }) => product).join(" ")}`
      case "Return":
        return `return ${step.product} x${step.quantity}`
      case "Publish": {
        const { happening } = step.event
        if (happening._tag === "PriceChanged") {
          return `price ${happening.product} ${happening.before} ${happening.after}`
        }
        if (happening._tag === "Favourited") return `favourite ${happening.member} ${happening.product}`
        return happening._tag
      }
      default:
        return step._tag
    }
  })

describe("Online Retail as a replay", () => {
  it("checks an invoice out when it ends, and publishes a first purchase as a favourite once", () => {
    const { steps } = replayOf([
      row("1", "HAT", 6),
      row("1", "BAG", 2),
      row("2", "HAT", 1, { minute: 1 }),
      row("3", "HAT", 1, { minute: 2, member: "8" })
    ])
    expect(brief(steps).filter((line) => line !== "StockChanged")).toEqual([
      "add HAT x6",
      "add BAG x2",
      "checkout 7 HAT BAG",
      "favourite 7 HAT",
      "favourite 7 BAG",
      "add HAT x1",
      "checkout 7 HAT",
      "add HAT x1",
      "checkout 8 HAT",
      "favourite 8 HAT"
    ])
  })

  it("returns what a cancellation takes back, to the ticket it was bought with, and counts what was never bought", () => {
    const { reasons, steps } = replayOf([
      row("1", "HAT", 6),
      row("C2", "HAT", -2, { minute: 1 }),
      row("C3", "HAT", -5, { minute: 2 }),
      row("C4", "BAG", -1, { minute: 3 }),
      row("C5", "HAT", -4, { minute: 4, member: "8" }),
      row("C6", "HAT", -4, { minute: 5 }),
      row("C7", "HAT", -1, { minute: 6 })
    ])
    expect(reasons).toEqual([
      "ReturnExceedsPurchase",
      "ReturnWithoutPurchase",
      "ReturnWithoutPurchase",
      "ReturnWithoutPurchase"
    ])
    expect(brief(steps)).toEqual(["add HAT x6", "checkout 7 HAT", "favourite 7 HAT", "return HAT x2", "return HAT x4"])
    const [add] = steps
    const returns = steps.filter((step) => step._tag === "Return")
    expect(add?._tag === "CartAdd" && returns.every(({ ticket }) => ticket === add.ticket)).toBe(true)
    expect(new Set(returns.map(({ returnId }) => returnId)).size).toBe(2)
  })

  it("publishes a fall of the modal daily price with the first usable row of its day", () => {
    const { steps } = replayOf([
      row("1", "HAT", 1, { price: 10 }),
      row("2", "CAP", 1, { day: 2, member: "" }),
      row("3", "BAG", 1, { day: 2 }),
      row("4", "HAT", 1, { day: 2, price: 8, minute: 5 }),
      row("5", "HAT", 1, { day: 2, price: 8, minute: 6 }),
      row("6", "HAT", 1, { day: 2, price: 10, minute: 7 })
    ])
    const price = brief(steps).indexOf("price HAT 10 8")
    expect(brief(steps)[price + 1]).toBe("add BAG x1")
    expect(steps[price]?.at).toBe(Date.UTC(2010, 11, 2, 9))
    expect(brief(steps).filter((line) => line.startsWith("price"))).toHaveLength(1)
  })

  it("opens with every product and member that it uses, and with no others", () => {
    const { plan } = replayOf([
      row("1", "HAT", 1, { price: 3 }),
      row("1", "POST", 1),
      row("2", "BAG", 1, { member: "" }),
      row("C3", "MUG", -1, { member: "9", minute: 1 })
    ])
    expect(plan.openings).toMatchObject([
      { _tag: "ProductOpening", product: "HAT", name: "THING HAT", price: 3, stock: 6 },
      { _tag: "MemberOpening", member: "7", timeZone: "Europe/Paris", attributes: { country: "France" } }
    ])
    expect(plan.lines).toBe(4)
  })

  it("restocks a product that sold out, before the line that the plan says, in a newer version of its source", () => {
    const { plan, steps } = replayOf(Array.from({ length: 20 }, (_, n) => row(String(n), "HAT", 1, { minute: n })))
    const [restock] = plan.restocks
    expect(plan.openings[0]).toMatchObject({ product: "HAT", stock: 12 })
    expect(restock).toEqual({ product: "HAT", line: 15, delta: 8 })
    const at = steps.findIndex((step) => step._tag === "Publish" && step.event.happening._tag === "StockChanged")
    expect(steps.slice(0, at).filter((step) => step._tag === "CartAdd")).toHaveLength(14)
    expect(steps[at]).toMatchObject({
      event: { happening: { product: "HAT", change: { _tag: "Delta", delta: 8 }, sourceVersion: 2 } }
    })
  })

  it("checks a long invoice out in parts, each within what a checkout takes", () => {
    const { steps } = replayOf(Array.from({ length: 2 * linesMax + 1 }, (_, n) => row("1", `P${n}`, 1)))
    const checkouts = steps.filter((step) => step._tag === "Checkout")
    expect(checkouts.map(({ lines }) => lines.length)).toEqual([linesMax, linesMax, 1])
    expect(new Set(checkouts.map(({ order }) => order)).size).toBe(3)
  })

  it("checks an invoice of two members out per member", () => {
    const { steps } = replayOf([row("1", "HAT", 1), row("1", "BAG", 1, { member: "8" })])
    expect(brief(steps)).toEqual([
      "add HAT x1",
      "checkout 7 HAT",
      "favourite 7 HAT",
      "add BAG x1",
      "checkout 8 BAG",
      "favourite 8 BAG"
    ])
  })
})

const anyRow: fc.Arbitrary<OnlineRetailFields> = fc.tuple(
  fc.constantFrom("1", "2", "3", "C4", "A5", ""),
  fc.constantFrom("10A", "10a", "11", "12", "POST", "b ad"),
  fc.constantFrom("THING", "", "with \"quotes\", and £"),
  fc.oneof(fc.integer({ min: -6, max: 12 }).map(String), fc.constantFrom("74215", "x")),
  fc.integer({ min: 0, max: 5_000 }).map((minutes) =>
    new Date(Date.UTC(2011, 2, 25) + minutes * 60_000).toISOString().slice(0, 19).replace("T", " ")
  ),
  fc.constantFrom("1", "0.89", "2.5", "0", "-1", "?"),
  fc.constantFrom("7.0", "8.0", "9", "", "no one"),
  fc.constantFrom("France", "Atlantis", "")
)
/** Mostly in order of time, as a record is. */
const anyRecord = fc.tuple(fc.array(anyRow, { maxLength: 60 }), fc.boolean()).map(([rows, sorted]) =>
  sorted ? rows.toSorted((a, b) => (a[4] ?? "").localeCompare(b[4] ?? "")) : rows
)

describe("any record, however dirty (G16)", () => {
  const isStep = Schema.is(Step)

  it("gives valid steps in order of time, and accounts for every row", () => {
    fc.assert(
      fc.property(anyRecord, (rows) => {
        const { plan, steps, unaccounted } = replayOf(rows)
        for (const step of [...plan.openings, ...steps]) expect(isStep(step)).toBe(true)
        const instants = [...plan.openings, ...steps].map(({ at }) => at)
        expect(instants).toEqual(instants.toSorted((a, b) => a - b))
        expect(unaccounted).toEqual([])
        expect(plan.lines).toBe(rows.length)
      })
    )
  })

  it("is checked out completely: every add in exactly one checkout of its member, later than the add", () => {
    fc.assert(fc.property(anyRecord, (rows) => {
      const { steps } = replayOf(rows)
      const open = new Map<string, string>()
      for (const step of steps) {
        if (step._tag === "CartAdd") open.set(step.ticket, `${step.member} ${step.product}`)
        if (step._tag !== "Checkout") continue
        for (const { product, ticket } of step.lines) {
          expect(open.get(ticket)).toBe(`${step.member} ${product}`)
          open.delete(ticket)
        }
      }
      expect(open.size).toBe(0)
    }))
  })

  it("R3: has the same ids in every replay, each once, and a shorter replay begins like a longer one", () => {
    const idsOf = (steps: ReadonlyArray<Step>) =>
      steps.flatMap((step) => {
        if (step._tag === "CartAdd") return [step.ticket]
        if (step._tag === "Checkout") return [step.order]
        if (step._tag === "Return") return [step.returnId]
        return step._tag === "Publish" ? [step.event.id] : []
      })
    fc.assert(fc.property(anyRecord, fc.nat(60), (rows, limit) => {
      const ids = idsOf(replayOf(rows).steps)
      expect(new Set(ids).size).toBe(ids.length)
      expect(idsOf(replayOf(rows).steps)).toEqual(ids)
      // Restocks and falls of the last day depend on what is surveyed; carts do not.
      const carts = (steps: ReadonlyArray<Step>) => idsOf(steps.filter((step) => step._tag === "CartAdd"))
      const shorter = carts(replayOf(rows.slice(0, limit)).steps)
      expect(carts(replayOf(rows).steps).slice(0, shorter.length)).toEqual(shorter)
    }))
  })
})
