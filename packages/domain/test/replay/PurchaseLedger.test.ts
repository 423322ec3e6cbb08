import { idAt } from "@hikyaku/domain/replay/Fingerprint"
import { makePurchaseLedger, type PurchaseLedger, purchasesPerPairMax } from "@hikyaku/domain/replay/PurchaseLedger"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const ticket = (n: number) => idAt(Date.UTC(2010, 11, 1), `ticket ${n}`)

interface Line {
  readonly pair: string
  readonly ticket: string
  left: number
}
const leftOf = (lines: ReadonlyArray<Line>) => lines.reduce((sum, line) => sum + line.left, 0)
const expected = (known: ReadonlyArray<Line>, quantity: number) => {
  const left = leftOf(known)
  return left === 0 ? "ReturnWithoutPurchase" : left < quantity ? "ReturnExceedsPurchase" : `gave back ${quantity}`
}
/** What the ledger did, in short; takes it from the lines as well. */
const judge = (parts: ReturnType<PurchaseLedger["giveBack"]>, known: ReadonlyArray<Line>) => {
  if (typeof parts === "string") return parts
  for (const part of parts) {
    const line = known.find((line) => line.ticket === part.ticket)
    if (line === undefined) return "a line that was not bought"
    if (part.quantity < 1 || part.quantity > line.left) return "more than is left of a line"
    line.left -= part.quantity
  }
  return `gave back ${parts.reduce((sum, part) => sum + part.quantity, 0)}`
}

describe("PurchaseLedger", () => {
  it("gives back exactly what was asked, never more per line than was bought with it, or nothing at all", () => {
    const member = fc.constantFrom("m1", "m2")
    const product = fc.constantFrom("p1", "p2")
    const quantity = fc.integer({ min: 1, max: 9 })
    const history = fc.array(fc.tuple(fc.constantFrom("buy", "back"), member, product, quantity), { maxLength: 25 })
    fc.assert(fc.property(history, (entries) => {
      const ledger = makePurchaseLedger()
      const bought: Array<Line> = []
      entries.forEach(([kind, member, product, quantity], n) => {
        const known = bought.filter((line) => line.pair === `${member} ${product}`)
        const wanted = kind === "buy" ? `first: ${known.length === 0}` : expected(known, quantity)
        const done = kind === "buy"
          ? `first: ${ledger.buy(member, product, ticket(n), quantity)}`
          : judge(ledger.giveBack(member, product, quantity), known)
        expect(done).toBe(wanted)
        if (kind === "buy") bought.push({ pair: `${member} ${product}`, ticket: ticket(n), left: quantity })
      })
    }))
  })

  it("prefers the newest line that can take it whole", () => {
    const ledger = makePurchaseLedger()
    ledger.buy("m", "p", ticket(1), 6)
    ledger.buy("m", "p", ticket(2), 6)
    ledger.buy("m", "p", ticket(3), 2)
    expect(ledger.giveBack("m", "p", 4)).toEqual([{ ticket: ticket(2), quantity: 4 }])
    expect(ledger.giveBack("m", "p", 9)).toEqual([
      { ticket: ticket(3), quantity: 2 },
      { ticket: ticket(2), quantity: 2 },
      { ticket: ticket(1), quantity: 5 }
    ])
  })

  it("remembers a bounded number of lines", () => {
    const ledger = makePurchaseLedger()
    for (let n = 0; n <= purchasesPerPairMax; n++) ledger.buy("m", "p", ticket(n), 1)
    expect(ledger.giveBack("m", "p", purchasesPerPairMax + 1)).toBe("ReturnExceedsPurchase")
    expect(ledger.giveBack("m", "p", purchasesPerPairMax)).toHaveLength(purchasesPerPairMax)
  })
})
