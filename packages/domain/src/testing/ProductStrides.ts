/**
 * Arbitrary walks of a Product actor: few members and small numbers, so that commands meet; tickets come and go, so that
 * most commands concern one that is or just was there; and every ticket is added once, as the runtime lets commands
 * through (a repeat is answered from its outcome, R3).
 */
import * as fc from "fast-check"
import { type CommandId, commandIdFrom, type MemberId } from "../Identifier.ts"
import {
  AddToCart,
  BuyTicket,
  ChangeStock,
  ConfirmOffer,
  DefineProduct,
  HoldTicket,
  type ProductCommand,
  ReadTicket,
  ReleaseTicket,
  ReturnGoods,
  UnholdTicket
} from "../stock/Product.ts"
import { commandIdPool, withFields } from "./Arbitraries.ts"
import { startDefault, type Strides, strides } from "./Walk.ts"

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** Tickets that are talked about at a time. */
const slots = commandIdPool(6, startDefault)
/** Steps after which the oldest ticket gives way to a new one. */
const turn = 7

/** Time between commands that matters to stock: carts lapse, holds end, tombstones fade, returns are too late. */
const advance: fc.Arbitrary<number> = fc.oneof(
  { weight: 60, arbitrary: fc.constant(0) },
  { weight: 40, arbitrary: fc.nat(2 * minute) },
  { weight: 6, arbitrary: fc.nat(20 * minute) },
  { weight: 4, arbitrary: fc.constantFrom(minute, 10 * minute, 30 * minute) },
  { weight: 1, arbitrary: fc.constant(26 * hour) },
  { weight: 1, arbitrary: fc.constant(91 * day) }
)

const members: ReadonlyArray<MemberId> = ["m-1", "m-2", "m-3", "m-4"]

const commands: fc.Arbitrary<ProductCommand> = (() => {
  const ticket = fc.constantFrom(...slots)
  const member = fc.constantFrom(...members)
  const order = fc.constantFrom("order-1", "order-1", "order-1", "order-2")
  const quantity = fc.constantFrom(1, 1, 1, 2, 3)
  const waitlist = fc.constantFrom(true, true, false)
  const few = fc.oneof(
    { weight: 3, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 6 }) }
  )
  const kinds: Array<fc.WeightedArbitrary<ProductCommand>> = [
    {
      weight: 3,
      arbitrary: withFields(DefineProduct, {
        name: fc.constantFrom("", "shirt"),
        cartMs: fc.constantFrom(5 * minute, 30 * minute, undefined),
        offerMs: fc.constantFrom(5 * minute, 10 * minute, undefined),
        lowThreshold: fc.constantFrom(0, 1, 3, undefined),
        memberLimit: few,
        lifetimeLimit: few
      })
    },
    {
      weight: 8,
      arbitrary: withFields(ChangeStock, {
        source: fc.constantFrom("shop", "warehouse"),
        sourceVersion: fc.nat(6),
        change: fc.oneof(
          fc.record({ _tag: fc.constant("Level" as const), level: fc.nat(5) }),
          fc.record({ _tag: fc.constant("Delta" as const), delta: fc.integer({ min: -4, max: 3 }) })
        )
      })
    },
    { weight: 36, arbitrary: withFields(AddToCart, { ticket, member, quantity, waitlist }) },
    { weight: 10, arbitrary: withFields(ReleaseTicket, { ticket }) },
    { weight: 24, arbitrary: withFields(ConfirmOffer, { ticket }) },
    {
      weight: 10,
      arbitrary: withFields(HoldTicket, {
        ticket,
        order,
        untilMs: fc.integer({ min: startDefault - minute, max: startDefault + hour })
      })
    },
    { weight: 5, arbitrary: withFields(UnholdTicket, { ticket, order }) },
    { weight: 14, arbitrary: withFields(BuyTicket, { ticket, order }) },
    {
      weight: 16,
      arbitrary: withFields(ReturnGoods, {
        ticket,
        quantity: fc.integer({ min: 1, max: 2 }),
        returnId: fc.constantFrom("r-1", "r-2")
      })
    },
    { weight: 2, arbitrary: withFields(ReadTicket, { ticket }) },
    { weight: 1, arbitrary: fc.constant({ _tag: "ReadStock" }) },
    { weight: 1, arbitrary: fc.constant({ _tag: "Wake" }) }
  ]
  return fc.oneof(...kinds)
})()

const opening: Strides<ProductCommand> = [
  { advance: 0, timely: true, command: { _tag: "DefineProduct" } },
  {
    advance: 0,
    timely: true,
    command: {
      _tag: "ChangeStock",
      source: "shop",
      sourceVersion: 0,
      meaning: "physical",
      change: { _tag: "Level", level: 3 }
    }
  }
]

/** Walks of at most so many commands, from a product with three pieces on, for `walk` and `checkDecider`. */
export const productStrides = (length: number): fc.Arbitrary<Strides<ProductCommand>> =>
  strides(commands, advance, length).map((steps) => {
    const tickets = new Map<number, CommandId>()
    const added = new Set<CommandId>()
    let now = startDefault
    const placed = steps.flatMap((step, index) => {
      const command = { ...step.command }
      const then = now + step.advance
      if ("ticket" in command) {
        const place = slots.indexOf(command.ticket)
        // The newest number that this place of the ring has come to.
        const number = place +
          slots.length * Math.floor((Math.floor(index / turn) + slots.length - 1 - place) / slots.length)
        const ticket = tickets.get(number) ?? commandIdFrom(then, 0, 0, number / 2 ** 48)
        tickets.set(number, ticket)
        command.ticket = ticket
      }
      if (command._tag === "HoldTicket") command.untilMs += then - startDefault
      if (command._tag === "ChangeStock") command.sourceVersion += index
      if (command._tag === "AddToCart") {
        if (added.has(command.ticket)) return []
        added.add(command.ticket)
      }
      now = then
      return [{ ...step, command }]
    })
    return [...opening, ...placed]
  })
