import { describe, expect, it } from "@effect/vitest"
import { sweepMax } from "@hikyaku/domain/stock/Product"
import { available } from "@hikyaku/domain/stock/ProductState"
import { commandIdPool } from "@hikyaku/domain/testing"
import {
  add,
  at,
  buy,
  expiresAt,
  giveBack,
  hold,
  minute,
  queue,
  read,
  release,
  shop,
  stock,
  t1,
  t2,
  t3,
  t4,
  unhold,
  unknown
} from "./ProductShop.ts"

describe("Product: adding to the cart (G1, G4)", () => {
  it("allocates in order, with gapless numbers, until it is sold out", () => {
    shop(3, { lowThreshold: 0 })
      .when(add(t1, 2), at).final(true).reply({ _tag: "Allocated", sequence: 1, expiresAt })
      .and.when(add(t2, 2), at).final(true).reply({ _tag: "SoldOut" }).nothing()
      .and.when(add(t3), at).reply({ _tag: "Allocated", sequence: 2, expiresAt })
      .and.when(add(t4), at).reply({ _tag: "SoldOut" })
      .has(available, 0)
  })

  it("judges two lines of one product in one cart one after the other, the second by what the first has left", () => {
    shop(3)
      .when(add(t1, 2, "m-1"), at).reply({ _tag: "Allocated", sequence: 1, expiresAt })
      .and.when(add(t2, 2, "m-1"), at).reply({ _tag: "SoldOut" })
      .has((product) => product.allocated, 2)
  })

  it("answers bad input without an outcome", () => {
    for (const command of [add(t1), release(t1), buy(t1), read(t1), stock(1, { level: 3 })]) {
      unknown.when(command, at).reply({ _tag: "UnknownProduct" }).final(false).nothing()
    }
  })

  it("adds a known ticket no second time, also under another command id", () => {
    const once = shop(5).commands(at, add(t1, 2, "m-1"))
    once.when(add(t1, 2, "m-1"), at + 1).reply({ _tag: "Allocated", sequence: 1, expiresAt }).nothing().final(false)
    once.when(add(t1, 3, "m-1"), at + 1).reply({ _tag: "TicketTaken" }).nothing()
    once.when(add(t1, 2, "m-2"), at + 1).reply({ _tag: "TicketTaken" }).nothing()
    once.commands(at, buy(t1)).when(add(t1, 3, "m-1"), at + 1).reply({ _tag: "TicketTaken" }).nothing()
  })
})

describe("Product: the life of an allocation", () => {
  it("lapses at its time, by the timer", () => {
    shop(1).commands(at, add(t1))
      .when({ _tag: "Wake" }, expiresAt - 1).nothing().due(expiresAt)
      .and.whenTimer(expiresAt).final(false)
      .events({ _tag: "TicketExpired", ticket: t1 }, { _tag: "StockCameBack", available: 1 })
      .due(null).has(available, 1)
      .and.when({ _tag: "Wake" }, expiresAt).nothing()
  })

  it("lapses before whatever is decided at or after its time", () => {
    const cart = shop(1).commands(at, add(t1))
    cart.when(add(t2), expiresAt - 1).reply({ _tag: "SoldOut" })
    cart.when(add(t2), expiresAt).reply({ _tag: "Allocated", sequence: 2, expiresAt: expiresAt + 30 * minute })
    cart.when(buy(t1), expiresAt).reply({ _tag: "NotOpen", standing: "Unknown" })
    cart.when(hold(t1, expiresAt + minute), expiresAt).reply({ _tag: "NotOpen", standing: "Unknown" })
    cart.when(read(t1), expiresAt).reply({ _tag: "NotOpen", standing: "Lapsed" }).nothing()
  })

  it("is not refreshed by other lines of the cart, by settings, by stock, or by a hold", () => {
    shop(5).commands(at, add(t1, 1, "m-1"))
      .commands(at + minute, add(t2, 1, "m-1"), { _tag: "DefineProduct", cartMs: 60 * minute }, stock(2, { delta: 1 }))
      .commands(at + 2 * minute, release(t2), hold(t1, at + 3 * minute), unhold(t1), add(t1, 1, "m-1"))
      .when(read(t1), at + 2 * minute).reply({ _tag: "Allocated", sequence: 1, expiresAt })
      .due(expiresAt)
      .and.whenTimer(expiresAt).events({ _tag: "TicketExpired", ticket: t1 })
  })

  it("gives stock back once, however often it is released", () => {
    shop(3, { lowThreshold: 0 }).commands(at, add(t1, 2), add(t2))
      .when(release(t1), at).reply({ _tag: "Released" }).has(available, 2)
      .and.when(release(t1, "Cancelled"), at).has(available, 2).has((product) => product.allocated, 1)
      .and.when({ _tag: "Wake" }, expiresAt).has(available, 3).has((product) => product.allocated, 0)
      .and.when(release(t2), expiresAt).has(available, 3).has((product) => product.allocated, 0)
  })

  it("lapses a bounded number at a time, and the rest at once after it", () => {
    const crowd = commandIdPool(sweepMax + 10, at)
    const swept = shop(sweepMax + 10).commands(at, ...crowd.map((ticket) => add(ticket)))
      .whenTimer(expiresAt).due(expiresAt).has(available, sweepMax).and
    swept.whenTimer(expiresAt).due(null).has(available, sweepMax + 10)
  })

  it("is over at its time also for a command that comes before the sweep has got to it", () => {
    const crowd = commandIdPool(sweepMax + 10, at)
    shop(sweepMax + 10).commands(at, ...crowd.map((ticket) => add(ticket)))
      .when(buy(crowd[sweepMax + 9]!), expiresAt).reply({ _tag: "NotOpen", standing: "Unknown" })
      .has(available, sweepMax + 1).due(expiresAt)
    // Held past its time, and the hold is over too.
    const held = crowd[0]!
    shop(sweepMax + 10).commands(at, ...crowd.map((ticket) => add(ticket)))
      .commands(expiresAt - minute, hold(held, expiresAt + minute))
      .when(buy(held), expiresAt + 2 * minute).reply({ _tag: "NotOpen", standing: "Unknown" })
  })

  it("leaves nothing behind that grows with what came and went", () => {
    const busy = commandIdPool(1_000, at + minute).reduce(
      (past, ticket) => past.commands(at + minute, add(ticket), release(ticket)),
      shop(2).commands(at, add(t1))
    )
    expect(busy.state.tickets.size).toBe(1)
    expect(busy.state.agenda.size).toBeLessThan(100)
  })
})

describe("Product: limits per member", () => {
  it("cannot be got round by splitting lines", () => {
    shop(20, { memberLimit: 3 })
      .when(add(t1, 2, "m-1"), at).reply({ _tag: "Allocated", sequence: 1, expiresAt })
      .and.when(add(t2, 2, "m-1"), at).final(true).reply({ _tag: "LimitReached", limit: 3, scope: "open" }).nothing()
      .and.when(add(t3, 1, "m-1"), at).reply({ _tag: "Allocated", sequence: 2, expiresAt })
      .and.when(add(t4, 1, "m-1"), at).reply({ _tag: "LimitReached", limit: 3, scope: "open" })
      .and.when(add(t4, 1, "m-2"), at).reply({ _tag: "Allocated", sequence: 3, expiresAt })
  })

  it("counts places in line and offers", () => {
    shop(1, { memberLimit: 2 }).commands(at, add(t1, 1, "m-1"), queue(t2, 1, "m-1"))
      .when(queue(t3, 1, "m-1"), at).reply({ _tag: "LimitReached", limit: 2, scope: "open" })
      .and.commands(at, stock(2, { delta: 5 }))
      .when(queue(t3, 1, "m-1"), at).reply({ _tag: "LimitReached", limit: 2, scope: "open" })
  })

  it("frees what is released, lapses or is bought, unless the limit is for life", () => {
    const limited = shop(20, { memberLimit: 1 }).commands(at, add(t1, 1, "m-1"))
    const one = { _tag: "Allocated", sequence: 2, expiresAt } as const
    limited.commands(at, release(t1)).when(add(t2, 1, "m-1"), at).reply(one)
    limited.commands(at, buy(t1)).when(add(t2, 1, "m-1"), at).reply(one)
    const forLife = shop(20, { lifetimeLimit: 1 }).commands(at, add(t1, 1, "m-1"))
    forLife.commands(at, release(t1)).when(add(t2, 1, "m-1"), at).reply(one)
    forLife.commands(at, buy(t1)).when(add(t2, 1, "m-1"), at)
      .reply({ _tag: "LimitReached", limit: 1, scope: "lifetime" })
    forLife.commands(at, buy(t1), giveBack(t1, 1, "r-1")).when(add(t2, 1, "m-1"), at).reply(one)
  })

  it("counts what was there before the limit was set, and survives its absence", () => {
    const before = shop(20).commands(at, add(t1, 1, "m-1"), add(t2, 1, "m-1"), buy(t2))
    before.commands(at, { _tag: "DefineProduct", memberLimit: 1 }).when(add(t3, 1, "m-1"), at)
      .reply({ _tag: "LimitReached", limit: 1, scope: "open" })
    before.commands(at, { _tag: "DefineProduct", lifetimeLimit: 2 }).when(add(t3, 1, "m-1"), at)
      .reply({ _tag: "LimitReached", limit: 2, scope: "lifetime" })
    before.commands(at, { _tag: "DefineProduct", lifetimeLimit: 9 }, { _tag: "DefineProduct", lifetimeLimit: null })
      .commands(at, buy(t1), { _tag: "DefineProduct", lifetimeLimit: 2 }).when(add(t3, 1, "m-1"), at)
      .reply({ _tag: "LimitReached", limit: 2, scope: "lifetime" })
  })
})

describe("Product: settings", () => {
  it("change what is named and leave the rest", () => {
    const defined = unknown.commands(at, { _tag: "DefineProduct", name: "shirt", cartMs: 2 * minute, memberLimit: 2 })
    defined.when({ _tag: "DefineProduct", lowThreshold: 5 }, at).has((product) => product.settings, {
      name: "shirt",
      cartMs: 2 * minute,
      offerMs: 10 * minute,
      lowThreshold: 5,
      memberLimit: 2,
      lifetimeLimit: null
    })
    defined.when({ _tag: "DefineProduct", memberLimit: null }, at).has((product) => product.settings?.memberLimit, null)
    expect(defined.state.settings?.offerMs).toBe(10 * minute)
  })
})
