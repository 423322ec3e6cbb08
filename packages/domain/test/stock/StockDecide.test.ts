import { describe, it } from "@effect/vitest"
import { sourcesMax } from "@hikyaku/domain/stock/Product"
import { available, shortage } from "@hikyaku/domain/stock/ProductState"
import {
  add,
  at,
  buy,
  expiresAt,
  hold,
  minute,
  queue,
  release,
  shop,
  stock,
  t1,
  t2,
  t3,
  t4,
  unknown
} from "./ProductShop.ts"

describe("Product: stock figures (G1)", () => {
  it("counts a source's version once, and no older one after it", () => {
    shop(5)
      .when(stock(1, { delta: 7 }), at).reply({ _tag: "StaleVersion", version: 1 }).nothing()
      .and.when(stock(5, { delta: 7 }), at).has(available, 12)
      .and.when(stock(4, { level: 0 }), at).reply({ _tag: "StaleVersion", version: 5 }).has(available, 12)
      .and.when(stock(1, { delta: 1 }, "physical", "warehouse"), at).has(available, 13)
  })

  it("takes a physical level with, and a level on hand without, what is in carts and on offer; both without what is sold", () => {
    const busy = shop(10).commands(at, add(t1, 2), add(t2, 3), buy(t2))
    busy.when(stock(2, { level: 6 }, "physical"), at).has(available, 4)
    busy.when(stock(2, { level: 6 }, "onHand"), at).has(available, 6)
    const offering = shop(1).commands(at, add(t1), queue(t2), release(t1))
    offering.when(stock(2, { level: 3 }, "physical"), at).has(available, 2)
    offering.when(stock(2, { level: 3 }, "onHand"), at).has(available, 3)
  })

  it("states a shortage with the tickets that were allocated last", () => {
    shop(6).commands(at, add(t1, 2), add(t2, 2), add(t3, 2), hold(t3, at + minute))
      .when(stock(2, { level: 3 }), at).has(shortage, 3).has(available, 0)
      .events(
        { _tag: "StockRecorded", source: "shop", sourceVersion: 2, change: -3 },
        { _tag: "ShortageFound", shortage: 3, tickets: [t3, t2] }
      )
      // What comes back makes it good first.
      .and.when(release(t1), at).has(shortage, 1).has(available, 0)
      .and.when(add(t4), at).reply({ _tag: "SoldOut" })
      .and.when(stock(3, { delta: 2 }), at).has(shortage, 0).has(available, 1)
  })

  it("does not take nothing on hand for a sign that a shortage is over", () => {
    shop(4).commands(at, add(t1, 3), stock(2, { delta: -2 }))
      .when(stock(3, { level: 0 }, "onHand"), at).has(shortage, 1)
      .and.when(stock(4, { level: 2 }, "onHand"), at).has(shortage, 0).has(available, 2)
  })

  it("refuses more sources than it can remember", () => {
    const many = shop(1).commands(
      at,
      ...Array.from({ length: sourcesMax - 1 }, (_, n) => stock(1, { delta: 1 }, "physical", `s-${n}`))
    )
    many.when(stock(1, { delta: 1 }, "physical", "one-more"), at).final(false)
      .reply({ _tag: "StockRefused", reason: "TooManySources" })
    many.when(stock(2, { delta: 1 }), at).has(available, sourcesMax + 1)
  })
})

describe("Product: what it states about its level", () => {
  it("states the threshold, the end and the return of stock once each", () => {
    shop(3, { lowThreshold: 1 })
      .when(add(t1), at).has(available, 2).events(
        { _tag: "TicketAllocated", ticket: t1, member: "m-0", quantity: 1, at, sequence: 1, expiresAt }
      )
      .and.when(add(t2), at).events(
        { _tag: "TicketAllocated", ticket: t2, member: "m-1", quantity: 1, at, sequence: 2, expiresAt },
        { _tag: "StockFellLow", available: 1 }
      )
      .and.when(add(t3), at).events(
        { _tag: "TicketAllocated", ticket: t3, member: "m-2", quantity: 1, at, sequence: 3, expiresAt },
        { _tag: "StockRanOut" }
      )
      .and.when(stock(2, { delta: 1 }), at).events(
        { _tag: "StockRecorded", source: "shop", sourceVersion: 2, change: 1 },
        { _tag: "StockCameBack", available: 1 }
      )
  })

  it("takes the first stock of a new product for no return", () => {
    unknown.commands(at, { _tag: "DefineProduct" }).when(stock(1, { level: 3 }), at)
      .events({ _tag: "StockRecorded", source: "shop", sourceVersion: 1, change: 3 })
  })
})
