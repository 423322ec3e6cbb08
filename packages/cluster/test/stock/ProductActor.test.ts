import { describe, expect, it } from "@effect/vitest"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { Event, type Happening } from "@hikyaku/domain/marketing/Event"
import type { ProductCommand } from "@hikyaku/domain/stock/Product"
import { available, shortage } from "@hikyaku/domain/stock/ProductState"
import { canonical, commandIdPool } from "@hikyaku/domain/testing"
import { Schema } from "effect"
import * as fc from "fast-check"
import { at, content, ProductHouse, rounds } from "./ProductHouse.ts"

const { decider } = productKind

const add = (ticket: string, quantity = 1): Extract<ProductCommand, { _tag: "AddToCart" }> => ({
  _tag: "AddToCart",
  ticket,
  member: "m-1",
  quantity,
  waitlist: false
})
const stock = (sourceVersion: number, level: number): ProductCommand => ({
  _tag: "ChangeStock",
  source: "shop",
  sourceVersion,
  meaning: "physical",
  change: { _tag: "Level", level }
})
const event = (happening: Happening): Event => ({ source: "product", id: "1", at, happening })

const timeoutMs = 60_000

describe("productKind", () => {
  it("restores from its rows what it was, after any round", () => {
    fc.assert(
      fc.property(rounds, (cut) => {
        const house = new ProductHouse("p-1")
        for (const round of cut) {
          const restored = house.restored()
          expect(canonical(content(restored))).toBe(canonical(content(house.state)))
          const [command, now] = round[0]!
          expect(canonical(decider.decide(restored, command, now))).toBe(
            canonical(decider.decide(house.state, command, now))
          )
          house.round(round)
        }
        expect(canonical(content(house.restored()))).toBe(canonical(content(house.state)))
      }),
      { numRuns: 60 }
    )
  }, timeoutMs)

  it("keeps books that an audit of the rows alone can follow (G1, G4)", () => {
    fc.assert(
      fc.property(rounds, (cut) => {
        const house = new ProductHouse("p-1")
        for (const round of cut) house.round(round)
        const { main } = house.tables
        if (main === null) return
        const rows = house.tables.all("allocation")
        const sum = (found: ReadonlyArray<{ readonly [_: string]: unknown }>) =>
          found.reduce((total, row) => total + Number(row["quantity"]), 0)
        const of = (...statuses: ReadonlyArray<string>) =>
          rows.filter((row) => statuses.includes(String(row["status"])))
        expect(sum(of("allocated", "held"))).toBe(main["allocated"])
        expect(sum(of("sold", "settled")) - sum(house.tables.all("allocation_return"))).toBe(main["sold"])
        expect(sum(house.tables.all("ticket_wait").filter((row) => row["status"] === "offered"))).toBe(main["offered"])
        expect(main["taken_in"]).toBe(
          available(house.state) + house.state.allocated + house.state.offered + house.state.sold -
            shortage(house.state)
        )
        const sequences = rows.map((row) => Number(row["sequence"])).sort((a, b) => a - b)
        expect(sequences).toEqual(sequences.map((_, index) => index + 1))
        expect(main["sequence"]).toBe(sequences.length)
      }),
      { numRuns: 60 }
    )
  }, timeoutMs)

  it("leaves a closed line's row, and writes nothing for a read or a refusal of stock", () => {
    const house = new ProductHouse("shirt")
    const [t1, t2] = commandIdPool(2, at) as [string, string]
    house.round([
      [{ _tag: "DefineProduct", name: "shirt", cartMs: 60_000 }, at],
      [stock(1, 1), at],
      [add(t1), at],
      [add(t2), at]
    ])
    house.round([[{ _tag: "ReadStock" }, at], [{ _tag: "Wake" }, at + 60_000]])
    expect(house.tables.all("allocation")).toEqual([{
      product: "shirt",
      ticket: t1,
      member: "m-1",
      quantity: 1,
      sequence: 1,
      status: "expired",
      allocated_at: at,
      expires_at: at + 60_000,
      held_until: null,
      order_id: null,
      closed_at: at + 60_000
    }])
    expect(house.tables.live()["allocation"]).toEqual([])
  })

  it("publishes what happens in carts and to the level of stock", () => {
    const house = new ProductHouse("shirt")
    const product = "shirt"
    const [t1, t2, t3] = commandIdPool(3, at) as [string, string, string]
    const heard = (...commands: ReadonlyArray<ProductCommand>) => {
      house.published.length = 0
      house.round(commands.map((command) => [command, at] as const))
      house.published.forEach((happening) => expect(() => Schema.encodeSync(Event)(event(happening))).not.toThrow())
      return [...house.published]
    }
    expect(heard({ _tag: "DefineProduct" }, stock(1, 3))).toEqual([])
    expect(heard(add(t1, 2))).toEqual([
      { _tag: "CartAdded", product, member: "m-1", ticket: t1, quantity: 2 },
      { _tag: "StockLow", product, available: 1 }
    ])
    expect(heard(add(t2))).toEqual([
      { _tag: "CartAdded", product, member: "m-1", ticket: t2, quantity: 1 },
      { _tag: "SoldOut", product }
    ])
    expect(heard({ _tag: "BuyTicket", order: "o-1", ticket: t1 })).toEqual([
      { _tag: "Purchased", product, member: "m-1", quantity: 2 }
    ])
    expect(heard({ _tag: "ReturnGoods", ticket: t1, quantity: 1, returnId: "r-1" })).toEqual([
      { _tag: "Returned", product, member: "m-1", quantity: 1 },
      { _tag: "Restocked", product, available: 1 }
    ])
    expect(heard(stock(2, 0))).toEqual([
      { _tag: "StockShort", product, shortage: 1, tickets: [t2] },
      { _tag: "SoldOut", product }
    ])
    heard(stock(3, 1), { ...add(t3), waitlist: true }, { _tag: "ReleaseTicket", ticket: t2, reason: "Released" })
    expect(heard({ _tag: "ConfirmOffer", ticket: t3 })).toEqual([
      { _tag: "CartAdded", product, member: "m-1", ticket: t3, quantity: 1 }
    ])
    house.published.length = 0
    house.round([[{ _tag: "Wake" }, at + 30 * 60_000]])
    expect(house.published).toEqual([
      { _tag: "CartExpired", product, member: "m-1", ticket: t3, quantity: 1 },
      { _tag: "Restocked", product, available: 1 }
    ])
  })

  it("says which column it does not understand", () => {
    const house = new ProductHouse("shirt")
    const [t1] = commandIdPool(1, at) as [string]
    house.round([[{ _tag: "DefineProduct" }, at], [stock(1, 1), at], [add(t1), at]])
    const live = house.tables.live()
    const odd = { ...live, allocation: live["allocation"]!.map((row) => ({ ...row, status: "lost" })) }
    expect(() => productKind.restore("shirt", house.tables.main!, odd)).toThrow(/column status holds "lost"/)
    expect(() => productKind.restore("shirt", { ...house.tables.main!, taken_in: "1" }, live)).toThrow(/taken_in/)
  })
})
