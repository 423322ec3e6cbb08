/** The products' methods on top of the Product actors. */
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { UnknownProduct } from "@hikyaku/domain/api/ApiError"
import { deadlineDefault } from "@hikyaku/domain/api/CartApi"
import { ProductApi } from "@hikyaku/domain/api/ProductApi"
import type { ProductReply } from "@hikyaku/domain/stock/Product"
import { Effect } from "effect"
import { ask } from "./Asking.ts"
import { actorsOnly } from "./Context.ts"

const unexpected = (reply: ProductReply) => Effect.dieMessage(`the Product actor answered ${reply._tag}`)

export const layer = ProductApi.toLayer(Effect.gen(function*() {
  const context = yield* actorsOnly
  return ProductApi.of({
    "product.define": ({ at, deadline, product, ...settings }) =>
      ask(productKind, {
        actor: product,
        command: { _tag: "DefineProduct", ...settings },
        within: deadline ?? deadlineDefault,
        at
      }).pipe(
        Effect.flatMap((reply) => (reply._tag === "Defined" ? Effect.succeed(reply) : unexpected(reply))),
        Effect.provide(context)
      ),
    "product.stock": ({ at, deadline, product }) =>
      ask(productKind, { actor: product, command: { _tag: "ReadStock" }, within: deadline ?? deadlineDefault, at })
        .pipe(
          Effect.flatMap((reply) => {
            switch (reply._tag) {
              case "StockLevel":
                return Effect.succeed(reply)
              case "UnknownProduct":
                return new UnknownProduct({ product })
              default:
                return unexpected(reply)
            }
          }),
          Effect.provide(context)
        ),
    "product.changeStock": ({ at, deadline, product, ...figure }) =>
      ask(productKind, {
        actor: product,
        command: { _tag: "ChangeStock", ...figure },
        within: deadline ?? deadlineDefault,
        at
      }).pipe(
        Effect.flatMap((reply) => {
          switch (reply._tag) {
            case "StockLevel":
            case "StaleVersion":
            case "StockRefused":
              return Effect.succeed(reply)
            case "UnknownProduct":
              return new UnknownProduct({ product })
            default:
              return unexpected(reply)
          }
        }),
        Effect.provide(context)
      )
  })
}))
