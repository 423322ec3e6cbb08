/**
 * What each member bought of each product in a record, so that a cancellation finds the cart lines it gives back. Keyed by
 * (member, product); grows with the number of such pairs, not with the lines.
 */
import type { TicketId } from "../Identifier.ts"

/** Cart lines remembered per member and product; of a longer history the oldest are forgotten. */
export const purchasesPerPairMax = 32

/** Part of a cancellation that falls on one earlier cart line. */
export interface ReturnedPart {
  readonly ticket: TicketId
  readonly quantity: number
}

export interface PurchaseLedger {
  /** Notes a purchase; true if it is this member's first of this product. */
  readonly buy: (member: string, product: string, ticket: TicketId, quantity: number) => boolean
  /** Takes a quantity back from earlier purchases, or says why it cannot; then nothing has changed. */
  readonly giveBack: (
    member: string,
    product: string,
    quantity: number
  ) => ReadonlyArray<ReturnedPart> | "ReturnWithoutPurchase" | "ReturnExceedsPurchase"
}

interface Purchase {
  readonly ticket: TicketId
  left: number
}

export const makePurchaseLedger = (): PurchaseLedger => {
  const bought = new Map<string, Array<Purchase>>()
  return {
    buy: (member, product, ticket, quantity) => {
      const key = `${member}|${product}`
      const purchases = bought.get(key)
      if (purchases === undefined) {
        bought.set(key, [{ ticket, left: quantity }])
        return true
      }
      if (purchases.length >= purchasesPerPairMax) purchases.shift()
      purchases.push({ ticket, left: quantity })
      return false
    },
    giveBack: (member, product, quantity) => {
      const purchases = bought.get(`${member}|${product}`) ?? []
      const left = purchases.reduce((sum, purchase) => sum + purchase.left, 0)
      if (left === 0) return "ReturnWithoutPurchase"
      if (left < quantity) return "ReturnExceedsPurchase"
      // The newest line that can take it whole is the likeliest; otherwise the newest ones together.
      const whole = purchases.findLast((purchase) => purchase.left >= quantity)
      const parts: Array<ReturnedPart> = []
      let wanted = quantity
      for (const purchase of whole === undefined ? purchases.toReversed() : [whole]) {
        const part = Math.min(purchase.left, wanted)
        if (part === 0) continue
        purchase.left -= part
        wanted -= part
        parts.push({ ticket: purchase.ticket, quantity: part })
      }
      return parts
    }
  }
}
