import { describe, it } from "@effect/vitest"
import { holdMsMax, returnableMax, returnWindowMs, ticketAgeMax, tombstoneMs } from "@hikyaku/domain/stock/Product"
import { available } from "@hikyaku/domain/stock/ProductState"
import { commandIdPool } from "@hikyaku/domain/testing"
import {
  add,
  at,
  buy,
  confirm,
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
  t5,
  unhold
} from "./ProductShop.ts"

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
