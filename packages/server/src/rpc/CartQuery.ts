/** Carts as they stand in the store: open lines of a member, and tickets that their Product actor has closed. */
import { SqlClient } from "@effect/sql"
import type { Unavailable } from "@hikyaku/domain/api/ApiError"
import { AddOutcome, CartLine, listMax, type TicketStatus } from "@hikyaku/domain/api/CartApi"
import type { MemberId, ProductId, TicketId } from "@hikyaku/domain/Identifier"
import { Context, Effect, Layer, Option, Schema } from "effect"
import { stored } from "./Asking.ts"

export class CartQuery extends Context.Tag("@hikyaku/server/CartQuery")<CartQuery, {
  /** What became of a ticket that its actor does not keep in memory; null when nothing is on record. */
  readonly past: (line: {
    readonly product: ProductId
    readonly ticket: TicketId
  }) => Effect.Effect<TicketStatus | null, Unavailable>
  /** A member's open lines, oldest first. */
  readonly open: (
    member: MemberId
  ) => Effect.Effect<{ readonly lines: ReadonlyArray<CartLine>; readonly more: boolean }, Unavailable>
}>() {}

const Closed = Schema.Struct({
  status: Schema.String,
  order: Schema.NullOr(Schema.String),
  sequence: Schema.NullOr(Schema.Number),
  quantity: Schema.Int
})
const decodeClosed = Schema.decodeUnknown(Schema.Array(Closed))
const decodeReplies = Schema.decodeUnknown(Schema.Array(Schema.Struct({ reply: Schema.Unknown })))
const decodeOutcome = Schema.decodeUnknownOption(AddOutcome)
const decodeLines = Schema.decodeUnknown(Schema.Array(CartLine))

const statusOf = ({ order, quantity, sequence, status }: typeof Closed.Type): TicketStatus | null => {
  switch (status) {
    case "sold":
    case "settled":
      return { _tag: "Bought", order: order ?? "", sequence: sequence ?? 0, quantity }
    case "released":
      return { _tag: "Released" }
    case "cancelled":
      return { _tag: "Cancelled" }
    case "timed_out":
      return { _tag: "TimedOut" }
    case "expired":
    case "lapsed":
      return { _tag: "Lapsed" }
    default:
      // Open in the store: the actor has it, and will say so when it is asked again.
      return null
  }
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient

  const past: CartQuery["Type"]["past"] = ({ product, ticket }) =>
    Effect.gen(function*() {
      const [row] = yield* stored(
        Effect.flatMap(
          sql`select status, order_id as "order", sequence::float8 as sequence, quantity from allocation
              where product = ${product} and ticket = ${ticket}::uuid
            union all
            select status, null, null, quantity from ticket_wait
              where product = ${product} and ticket = ${ticket}::uuid and status <> 'confirmed'`,
          decodeClosed
        )
      )
      if (row !== undefined) return statusOf(row)
      const [outcome] = yield* stored(
        Effect.flatMap(
          sql`select reply from outcome where command = ${ticket}::uuid and kind = 'Product' and actor = ${product}`,
          decodeReplies
        )
      )
      return outcome === undefined ? null : Option.getOrNull(decodeOutcome(outcome.reply))
    })

  const open: CartQuery["Type"]["open"] = (member) =>
    stored(
      Effect.flatMap(
        sql`select ticket::text as ticket, product, quantity, initcap(status) as standing,
            (extract(epoch from until) * 1000)::float8 as until
          from (
            select ticket, product, quantity, status, allocated_at as since,
              coalesce(held_until, expires_at) as until
            from allocation where member = ${member} and status in ('allocated', 'held')
            union all
            select ticket, product, quantity, status, since, offered_until
            from ticket_wait where member = ${member} and status in ('waiting', 'offered')
          ) lines order by since, ticket limit ${listMax + 1}`,
        decodeLines
      )
    ).pipe(Effect.map((lines) => ({ lines: lines.slice(0, listMax), more: lines.length > listMax })))

  return CartQuery.of({ past, open })
})

export const layer: Layer.Layer<CartQuery, never, SqlClient.SqlClient> = Layer.effect(CartQuery, make)
