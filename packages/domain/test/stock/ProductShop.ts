/** Commands in short, and shops to begin with, for the tests of the Product actor. */
import type { ProductCommand } from "@hikyaku/domain/stock/Product"
import { productDecider } from "@hikyaku/domain/stock/ProductDecide"
import { commandIdPool, given } from "@hikyaku/domain/testing"

export const minute = 60_000
export const at = 1_760_000_000_000
export const expiresAt = at + 30 * minute
export const [t1, t2, t3, t4, t5] = commandIdPool(5, at) as [string, string, string, string, string]

export const add = (
  ticket: string,
  quantity = 1,
  member = `m-${ticket.slice(-1)}`,
  waitlist = false
): ProductCommand => ({
  _tag: "AddToCart",
  ticket,
  member,
  quantity,
  waitlist
})
export const queue = (ticket: string, quantity = 1, member?: string) => add(ticket, quantity, member, true)
export const release = (
  ticket: string,
  reason: "Released" | "Cancelled" | "TimedOut" = "Released"
): ProductCommand => ({
  _tag: "ReleaseTicket",
  ticket,
  reason
})
export const confirm = (ticket: string): ProductCommand => ({ _tag: "ConfirmOffer", ticket })
export const hold = (ticket: string, untilMs: number, order = "o-1"): ProductCommand => ({
  _tag: "HoldTicket",
  order,
  ticket,
  untilMs
})
export const unhold = (ticket: string, order = "o-1"): ProductCommand => ({ _tag: "UnholdTicket", order, ticket })
export const buy = (ticket: string, order = "o-1"): ProductCommand => ({ _tag: "BuyTicket", order, ticket })
export const giveBack = (ticket: string, quantity: number, returnId: string): ProductCommand => ({
  _tag: "ReturnGoods",
  ticket,
  quantity,
  returnId
})
export const read = (ticket: string): ProductCommand => ({ _tag: "ReadTicket", ticket })
export const stock = (
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

export const unknown = given(productDecider, "shirt")
export const shop = (level: number, settings: Omit<Extract<ProductCommand, { _tag: "DefineProduct" }>, "_tag"> = {}) =>
  unknown.commands(at, { _tag: "DefineProduct", ...settings }, stock(1, { level }))
