/** Products and their stock. The Product actor is the only writer of stock; a shop's own database states figures here. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { ProductId } from "../Identifier.ts"
import { ChangeStock, DefineProduct } from "../stock/Product.ts"
import { CommandError, UnknownProduct } from "./ApiError.ts"
import { At, Deadline } from "./CartApi.ts"

const wait = {
  /** ms from now within which an answer is of use; default 10,000. */
  deadline: Schema.optional(Deadline),
  at: At
}

const { _tag: _define, ...settings } = DefineProduct.fields
const { _tag: _change, ...figure } = ChangeStock.fields

/** Pieces. takenIn + shortage = available + allocated + offered + sold. */
export const StockLevel = Schema.TaggedStruct("StockLevel", {
  takenIn: Schema.Int,
  /** Promised pieces that were found missing. */
  shortage: Schema.Int,
  available: Schema.Int,
  /** In carts. */
  allocated: Schema.Int,
  /** Set aside for the waitlist. */
  offered: Schema.Int,
  sold: Schema.Int,
  /** Tickets in line. */
  waiting: Schema.Int
})
export type StockLevel = typeof StockLevel.Type

const error = Schema.Union(CommandError, UnknownProduct)

/**
 * Where a product lives now: `hot-<product>` is a cell of its own. Null: no runner serves the hot group, or none answered in
 * time; the mark stands, and the product moves when one does.
 */
export const Placed = Schema.TaggedStruct("Placed", { cell: Schema.NullOr(Schema.String) })
export type Placed = typeof Placed.Type

export const ProductApi = RpcGroup.make(
  /**
   * Makes a product known, or changes what is named; what is left out stays, null takes a limit away. Times are ms:
   * `cartMs` until an allocation lapses, `offerMs` until an offer does.
   */
  Rpc.make("product.define", {
    payload: { product: ProductId, ...settings, ...wait },
    success: Schema.TaggedStruct("Defined", {}),
    error: CommandError
  }),
  /** The product's books. */
  Rpc.make("product.stock", { payload: { product: ProductId, ...wait }, success: StockLevel, error }),
  /**
   * A figure from outside. A level of meaning "physical" counts what is in carts and on offer, one of meaning "onHand" does
   * not. Versions of one source grow: one that was seen, or an older one, changes nothing (`StaleVersion`).
   */
  Rpc.make("product.changeStock", {
    payload: { product: ProductId, ...figure, ...wait },
    success: Schema.Union(
      StockLevel,
      Schema.TaggedStruct("StaleVersion", { version: Schema.Int }),
      Schema.TaggedStruct("StockRefused", { reason: Schema.Literal("TooManySources", "OutOfRange") })
    ),
    error
  }),
  /**
   * Marks a product as hot, e.g. before a sale: it gets a cell of its own and keeps it, whatever its rate, until
   * `product.cool`. No request is lost or overtaken by the move. Other products are moved by their rate.
   */
  Rpc.make("product.heat", { payload: { product: ProductId, deadline: wait.deadline }, success: Placed, error }),
  /** Takes the mark away and moves the product back among the others; it may get a cell of its own again by its rate. */
  Rpc.make("product.cool", { payload: { product: ProductId, deadline: wait.deadline }, success: Placed, error })
)
