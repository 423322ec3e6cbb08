/** The products' methods on top of the Product actors. */
import type { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { HotGroup, type HotGroupUnavailable } from "@hikyaku/cluster/actor/HotGroup"
import { relocate } from "@hikyaku/cluster/actor/Relocation"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { type CommandError, Unavailable, UnknownProduct } from "@hikyaku/domain/api/ApiError"
import { deadlineDefault } from "@hikyaku/domain/api/CartApi"
import { type Placed, ProductApi } from "@hikyaku/domain/api/ProductApi"
import type { ProductId } from "@hikyaku/domain/Identifier"
import type { ProductReply } from "@hikyaku/domain/stock/Product"
import { Effect } from "effect"
import { ask } from "./Asking.ts"
import { actorsOnly } from "./Context.ts"

const unexpected = (reply: ProductReply) => Effect.dieMessage(`the Product actor answered ${reply._tag}`)

const unavailable = <A>(effect: Effect.Effect<A, HotGroupUnavailable>): Effect.Effect<A, Unavailable> =>
  Effect.catchAll(effect, (error) =>
    Effect.zipRight(
      Effect.logWarning("the store cannot be reached", error),
      new Unavailable({ reason: "the store cannot be reached; try again" })
    ))

export const layer = ProductApi.toLayer(Effect.gen(function*() {
  const context = yield* actorsOnly
  const group = yield* HotGroup

  /**
   * The mark is on record before the product moves, so that the runners complete what this process does not live to see; and
   * what they do not know of is no product.
   */
  const move = (
    product: ProductId,
    hot: boolean,
    within: number
  ): Effect.Effect<Placed, CommandError | UnknownProduct | Unavailable, ActorClient> =>
    Effect.gen(function*() {
      const known = yield* ask(productKind, { actor: product, command: { _tag: "ReadStock" }, within })
      if (known._tag === "UnknownProduct") return yield* new UnknownProduct({ product })
      yield* unavailable((hot ? group.mark : group.unmark)(productKind.name, product))
      if (!(yield* unavailable(group.served))) return { _tag: "Placed", cell: null }
      const placed = yield* relocate(productKind, { actor: product, within }, { hot }).pipe(
        Effect.catchAll((error) => Effect.as(Effect.logWarning(`${product} has not moved yet`, error), null))
      )
      return { _tag: "Placed", cell: placed?._tag === "Relocated" ? placed.cell : null }
    })
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
      ),
    "product.heat": ({ deadline, product }) =>
      move(product, true, deadline ?? deadlineDefault).pipe(Effect.provide(context)),
    "product.cool": ({ deadline, product }) =>
      move(product, false, deadline ?? deadlineDefault).pipe(Effect.provide(context))
  })
}))
