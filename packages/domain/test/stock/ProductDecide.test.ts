import { describe, expect, it } from "@effect/vitest"
import type { ProductCommand } from "@hikyaku/domain/stock/Product"
import {
  holdMsMax,
  returnableMax,
  returnWindowMs,
  sourcesMax,
  sweepMax,
  ticketAgeMax,
  tombstoneMs
} from "@hikyaku/domain/stock/Product"
import { productDecider } from "@hikyaku/domain/stock/ProductDecide"
import { available, shortage } from "@hikyaku/domain/stock/ProductState"
import { commandIdPool, given } from "@hikyaku/domain/testing"

const minute = 60_000
const at = 1_760_000_000_000
const expiresAt = at + 30 * minute
const [t1, t2, t3, t4, t5] = commandIdPool(5, at) as [string, string, string, string, string]

const add = (ticket: string, quantity = 1, member = `m-${ticket.slice(-1)}`, waitlist = false): ProductCommand => ({
  _tag: "AddToCart",
  ticket,
  member,
  quantity,
  waitlist
})
const queue = (ticket: string, quantity = 1, member?: string) => add(ticket, quantity, member, true)
const release = (ticket: string, reason: "Released" | "Cancelled" | "TimedOut" = "Released"): ProductCommand => ({
  _tag: "ReleaseTicket",
  ticket,
  reason
})
const confirm = (ticket: string): ProductCommand => ({ _tag: "ConfirmOffer", ticket })
const hold = (ticket: string, untilMs: number, order = "o-1"): ProductCommand => ({
  _tag: "HoldTicket",
  order,
  ticket,
  untilMs
})
const unhold = (ticket: string, order = "o-1"): ProductCommand => ({ _tag: "UnholdTicket", order, ticket })
const buy = (ticket: string, order = "o-1"): ProductCommand => ({ _tag: "BuyTicket", order, ticket })
const giveBack = (ticket: string, quantity: number, returnId: string): ProductCommand => ({
  _tag: "ReturnGoods",
  ticket,
  quantity,
  returnId
})
const read = (ticket: string): ProductCommand => ({ _tag: "ReadTicket", ticket })
const stock = (
  sourceVersion: number,
  change: { readonly level: number } | { readonly delta: number },
  meaning: "physical" | "onHand" = "physical",
  source = "shop"
): ProductCommand => ({
  _tag: "ChangeStock",
  source,
  sourceVersion,
  meaning,
  change: "level" in change ? { _tag: "Level", ...change } : { _tag: "Delta", ...change }
})

const unknown = given(productDecider, "shirt")
const shop = (level: number, settings: Omit<Extract<ProductCommand, { _tag: "DefineProduct" }>, "_tag"> = {}) =>
  unknown.commands(at, { _tag: "DefineProduct", ...settings }, stock(1, { level }))

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

describe("Product: tickets given up (G6)", () => {
  it("keeps no stock for a ticket that was given up before it came", () => {
    for (const reason of ["Released", "Cancelled", "TimedOut"] as const) {
      shop(5)
        .when(release(t1, reason), at).final(true).reply({ _tag: reason })
        .events({ _tag: "TicketBarred", ticket: t1, reason, until: at + tombstoneMs })
        .and.when(read(t1), at).reply({ _tag: reason })
        .and.when(add(t1), at + 1).final(true).reply({ _tag: reason }).nothing().has(available, 5)
        .and.when(queue(t1), at + tombstoneMs - 1).reply({ _tag: reason }).nothing()
        .and.when(release(t1, "Cancelled"), at + 2).reply({ _tag: reason }).nothing()
    }
  })

  it("forgets a tombstone when its ticket cannot come any more", () => {
    shop(1).commands(at, release(t1))
      .when({ _tag: "Wake" }, at + tombstoneMs).events({ _tag: "TombstoneDropped", ticket: t1 })
      .has((product) => product.tombstones.size, 0)
    shop(1).when(release(t1), at + ticketAgeMax + 1).final(false).reply({ _tag: "NotOpen", standing: "Unknown" })
      .nothing()
  })

  it("does not take back what is sold or in a checkout", () => {
    shop(2).commands(at, add(t1), buy(t1)).when(release(t1, "TimedOut"), at)
      .reply({ _tag: "NotOpen", standing: "Sold" }).final(false).nothing()
    shop(2).commands(at, add(t1), hold(t1, at + minute)).when(release(t1), at).reply({ _tag: "HeldByOther" }).nothing()
  })
})

describe("Product: the waitlist (G4)", () => {
  const full = shop(2, { lowThreshold: 0, offerMs: 10 * minute }).commands(at, add(t1), add(t2))
  const offered = at + minute + 10 * minute

  it("is joined by whoever asks, and offers what comes free, in order", () => {
    full
      .when(queue(t3), at).final(true).reply({ _tag: "Waitlisted", position: 1 })
      .and.when(queue(t4), at).reply({ _tag: "Waitlisted", position: 2 })
      .and.when(add(t5), at).reply({ _tag: "SoldOut" })
      .and.when(release(t1), at + minute).events(
        { _tag: "TicketReleased", ticket: t1, reason: "Released" },
        { _tag: "TicketOffered", ticket: t3, until: offered }
      )
      .and.when(read(t3), at + minute).reply({ _tag: "Offered", until: offered, quantity: 1 })
      .and.when(read(t4), at + minute).reply({ _tag: "Waitlisted", position: 1 })
      .and.when(confirm(t4), at + minute).reply({ _tag: "Waitlisted", position: 1 }).nothing()
      .and.when(confirm(t3), at + 2 * minute).final(true)
      .reply({ _tag: "Allocated", sequence: 3, expiresAt: at + 32 * minute })
      .and.when(confirm(t3), at + 3 * minute).nothing()
  })

  it("offers to the next in line what is not confirmed in time, and tells nobody that stock was back", () => {
    full.commands(at, queue(t3), queue(t4)).commands(at + minute, release(t1))
      .whenTimer(offered).events(
        { _tag: "OfferLapsed", ticket: t3 },
        { _tag: "TicketOffered", ticket: t4, until: offered + 10 * minute }
      )
      .and.when(confirm(t3), offered).reply({ _tag: "NotOpen", standing: "Unknown" })
  })

  it("lets nobody past a head that wants more than there is", () => {
    full.commands(at, queue(t3, 2), queue(t4)).commands(at, release(t1))
      .when(add(t5), at).reply({ _tag: "SoldOut" }).nothing().has(available, 1)
      .and.when(queue(t5), at).reply({ _tag: "Waitlisted", position: 3 })
      .and.when(release(t2), at).events(
        { _tag: "TicketReleased", ticket: t2, reason: "Released" },
        { _tag: "TicketOffered", ticket: t3, until: at + 10 * minute },
        { _tag: "StockRanOut" }
      )
  })

  it("goes on when a head that waited in vain gives up", () => {
    full.commands(at, queue(t3, 2), queue(t4)).commands(at, release(t1)).when(release(t3), at)
      .events(
        { _tag: "TicketReleased", ticket: t3, reason: "Released" },
        { _tag: "TicketOffered", ticket: t4, until: at + 10 * minute },
        { _tag: "StockRanOut" }
      )
  })

  it("takes offers back before carts when stock is found missing, and keeps their place", () => {
    full.commands(at, queue(t3), queue(t4)).commands(at, release(t1))
      .when(stock(2, { level: 1 }), at)
      .events(
        { _tag: "StockRecorded", source: "shop", sourceVersion: 2, change: -1 },
        { _tag: "OfferWithdrawn", ticket: t3 }
      )
      .and.when(read(t3), at).reply({ _tag: "Waitlisted", position: 1 })
      .and.when(read(t4), at).reply({ _tag: "Waitlisted", position: 2 })
    full.commands(at, queue(t3), queue(t4)).commands(at, release(t1), release(t2))
      .when(stock(2, { level: 1 }), at)
      .events(
        { _tag: "StockRecorded", source: "shop", sourceVersion: 2, change: -1 },
        { _tag: "OfferWithdrawn", ticket: t4 }
      )
  })
})

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

describe("Product: checkout (R14)", () => {
  const cart = shop(3).commands(at, add(t1, 2))

  it("holds for a bounded time, past which the allocation is what it was", () => {
    cart.when(hold(t1, at + 24 * 60 * minute), at).reply({ _tag: "Held", order: "o-1", until: at + holdMsMax })
      .due(at + holdMsMax)
    const late = at + 29 * minute
    cart.when(hold(t1, late + 10 * minute), late).reply({ _tag: "Held", order: "o-1", until: late + 10 * minute })
      // The same order asks again: no second helping.
      .and.when(hold(t1, late + 20 * minute), late + minute)
      .reply({ _tag: "Held", order: "o-1", until: late + 10 * minute }).nothing()
      .and.when(add(t2, 2), expiresAt + minute).reply({ _tag: "SoldOut" })
      .and.when(buy(t1), expiresAt + 2 * minute)
      .reply({ _tag: "Bought", order: "o-1", sequence: 1, quantity: 2 })
    cart.commands(late, hold(t1, late + 10 * minute)).whenTimer(late + 10 * minute).events(
      { _tag: "TicketUnheld", ticket: t1 },
      { _tag: "TicketExpired", ticket: t1 }
    )
    cart.when(hold(t1, at), at).reply({ _tag: "HoldTooLate" }).nothing()
  })

  it("belongs to one order", () => {
    const held = cart.commands(at, hold(t1, at + minute))
    held.when(hold(t1, at + minute, "o-2"), at).reply({ _tag: "HeldByOther" }).nothing()
    held.when(buy(t1, "o-2"), at).reply({ _tag: "HeldByOther" }).nothing()
    held.when(unhold(t1, "o-2"), at).reply({ _tag: "HeldByOther" }).nothing()
    held.when(unhold(t1), at).reply({ _tag: "Unheld", expiresAt }).events({ _tag: "TicketUnheld", ticket: t1 })
    held.commands(at, unhold(t1)).when(unhold(t1), at).reply({ _tag: "Unheld", expiresAt }).nothing()
    held.commands(at, buy(t1)).when(buy(t1), at)
      .reply({ _tag: "Bought", order: "o-1", sequence: 1, quantity: 2 }).nothing()
    held.commands(at, buy(t1)).when(buy(t1, "o-2"), at).reply({ _tag: "NotOpen", standing: "Sold" }).nothing()
  })

  it("lets what only the hold kept lapse when it ends", () => {
    const late = at + 29 * minute
    cart.commands(late, hold(t1, late + 10 * minute)).when(unhold(t1), expiresAt + minute)
      .reply({ _tag: "Unheld", expiresAt })
      .events({ _tag: "TicketUnheld", ticket: t1 }, { _tag: "TicketExpired", ticket: t1 })
  })

  it("sells nothing that is in line, on offer or unknown", () => {
    const line = shop(1).commands(at, add(t1), queue(t2))
    line.when(buy(t2), at).reply({ _tag: "NotOpen", standing: "Waiting" }).nothing()
    line.commands(at, release(t1)).when(hold(t2, at + minute), at).reply({ _tag: "NotOpen", standing: "Offered" })
    line.when(buy(t3), at).final(true).reply({ _tag: "NotOpen", standing: "Unknown" }).nothing()
  })
})

describe("Product: returns", () => {
  const sold = shop(3).commands(at, add(t1, 3), buy(t1))

  it("bring stock back, at most what was bought, and each once", () => {
    sold
      .when(giveBack(t1, 2, "r-1"), at).final(true).reply({ _tag: "Returned", quantity: 2, remaining: 1 }).has(
        available,
        2
      )
      .and.when(giveBack(t1, 2, "r-1"), at).reply({ _tag: "Returned", quantity: 2, remaining: 1 }).nothing()
      .and.when(giveBack(t1, 1, "r-1"), at).reply({ _tag: "NotReturnable", reason: "Differs" }).nothing()
      .and.when(giveBack(t1, 2, "r-2"), at).reply({ _tag: "NotReturnable", reason: "TooMany" }).nothing()
      .and.when(giveBack(t1, 1, "r-2"), at).reply({ _tag: "Returned", quantity: 1, remaining: 0 }).has(available, 3)
      .and.when(giveBack(t1, 1, "r-3"), at).reply({ _tag: "NotReturnable", reason: "TooMany" }).nothing()
      .and.when(giveBack(t1, 1, "r-2"), at).reply({ _tag: "Returned", quantity: 1, remaining: 0 }).nothing()
      .has((product) => product.sold, 0)
  })

  it("are for what was bought, and in time", () => {
    shop(3).commands(at, add(t1)).when(giveBack(t1, 1, "r-1"), at).reply({ _tag: "NotReturnable", reason: "NotSold" })
    sold.when(giveBack(t1, 1, "r-1"), at + returnWindowMs).reply({ _tag: "NotReturnable", reason: "NotSold" })
      .events({ _tag: "PurchaseSettled", ticket: t1 })
  })

  it("are possible for the newest of very many, and for all that are a day old at most", () => {
    const hour = 60 * minute
    const crowd = commandIdPool(returnableMax + 5, at)
    const busy = shop(returnableMax + 5).commands(at, ...crowd.flatMap((ticket) => [add(ticket), buy(ticket)]))
    busy.when({ _tag: "Wake" }, at + 23 * hour).nothing()
    busy.when({ _tag: "Wake" }, at + 25 * hour).has((product) => product.purchases.size, returnableMax)
  })

  it("go to those in line", () => {
    sold.commands(at, queue(t2, 2)).when(giveBack(t1, 2, "r-1"), at).events(
      { _tag: "GoodsReturned", ticket: t1, returnId: "r-1", quantity: 2, at },
      { _tag: "TicketOffered", ticket: t2, until: at + 10 * minute }
    )
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
