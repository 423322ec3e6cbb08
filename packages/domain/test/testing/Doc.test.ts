import { it } from "vitest"
import { ProductCommand, ProductReply } from "@hikyaku/domain/stock/Product"
import { checkDecider, productStrides } from "@hikyaku/domain/testing"
import { commandIdPool, given } from "@hikyaku/domain/testing"
import { productDecider } from "@hikyaku/domain/stock/ProductDecide"
import { shortage } from "@hikyaku/domain/stock/ProductState"
it("docs", () => {
{

const at = 1_760_000_000_000
const minutes = 60_000
const [first, second] = commandIdPool(2, at) as [string, string]
const add = (ticket: string) => ({ _tag: "AddToCart", ticket, member: "m-1", quantity: 1, waitlist: false }) as const

given(productDecider, "shirt")
  .commands(at, { _tag: "DefineProduct" }, {
    _tag: "ChangeStock",
    source: "shop",
    sourceVersion: 1,
    meaning: "physical",
    change: { _tag: "Level", level: 1 }
  })
  .commands(at, add(first))
  .when(add(second), at).reply({ _tag: "SoldOut" }).nothing().final(true)
  .and.whenTimer(at + 30 * minutes).events(
    { _tag: "TicketExpired", ticket: first },
    { _tag: "StockCameBack", available: 1 }
  )
}
{

checkDecider(productDecider, {
  id: "shirt",
  strides: productStrides(80),
  invariants: {
    "only a correction of stock makes a shortage grow": ({ after, before, command }) =>
      shortage(after) <= shortage(before) || command._tag === "ChangeStock" || `${command._tag} oversold`
  },
  schemas: { command: ProductCommand, reply: ProductReply },
  parameters: { numRuns: 200 }
})
}
})
