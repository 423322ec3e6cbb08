/** `hikyaku cart`: what a shop front does. */
import { Args, Command, Options } from "@effect/cli"
import type { AddOutcome, GiveUpOutcome, TicketStatus } from "@hikyaku/domain/api/CartApi"
import { mintCommandId, mintTicket } from "@hikyaku/domain/api/Client"
import { Effect, Option } from "effect"
import { connected, connection } from "../Connection.ts"
import { refused } from "../Failure.ts"
import { instant, print, table } from "../Output.ts"

const productArgument = Args.text({ name: "product" }).pipe(Args.withDescription("The product's id."))
const ticketArgument = Args.text({ name: "ticket" }).pipe(Args.withDescription("The ticket, as cart add printed it."))
const productOption = Options.text("product").pipe(Options.withDescription("The ticket's product."))
const memberOption = Options.text("member").pipe(Options.withDescription("The member whose cart it is."))

/** How a ticket stands, in words. */
const words = (status: TicketStatus | AddOutcome | GiveUpOutcome): string => {
  switch (status._tag) {
    case "Allocated":
      return `in the cart (number ${status.sequence}) until ${instant(status.expiresAt)}`
    case "SoldOut":
      return "sold out"
    case "Waitlisted":
      return `in line, at position ${status.position}`
    case "Offered":
      return `${status.quantity} set aside until ${instant(status.until)}: confirm it`
    case "LimitReached":
      return `not allocated: at most ${status.limit} per member ${status.scope === "open" ? "at a time" : "ever"}`
    case "TimedOut":
      return "given up: nobody waited for it any more; it holds no stock"
    case "Cancelled":
      return "called off; it holds no stock"
    case "Released":
      return "taken out of the cart"
    case "Held":
      return `held by the checkout of order ${status.order} until ${instant(status.until)}`
    case "Bought":
      return `bought with order ${status.order}`
    case "Lapsed":
      return "lapsed: its time was over"
    case "Waiting": {
      const time = status.estimate === null ? "" : `, about ${Math.ceil(status.estimate / 1000)} s`
      return `in line at place ${status.position}${time}`
    }
    case "Processing":
      return "being decided"
    case "NotSeen":
      return "nothing is known of it: it has not arrived, or never will"
  }
}

const add = Command.make("add", {
  ...connection,
  product: productArgument,
  member: memberOption,
  quantity: Options.integer("quantity").pipe(Options.withDescription("Pieces; default 1."), Options.withDefault(1)),
  waitlist: Options.boolean("waitlist").pipe(Options.withDescription("Stand in line if there is nothing.")),
  ticket: Options.text("ticket").pipe(
    Options.withDescription("Repeat an earlier add: the same ticket gets the same outcome."),
    Options.optional
  ),
  deadline: Options.integer("deadline").pipe(Options.withDescription("How long to wait, ms."), Options.optional)
}, (call) =>
  Effect.gen(function*() {
    const { member, product, quantity, waitlist } = call
    const ticket = yield* Option.match(call.ticket, { onNone: () => mintTicket, onSome: Effect.succeed })
    const outcome = yield* connected(call, (hikyaku) =>
      hikyaku.cart.add({
        ticket,
        product,
        member,
        quantity,
        waitlist,
        deadline: Option.getOrUndefined(call.deadline)
      }))
    const text = `${words(outcome)}\nticket ${ticket}`
    if (outcome._tag !== "Allocated" && outcome._tag !== "Waitlisted" && !call.json) return yield* refused(text)
    const next = outcome._tag === "Allocated"
      ? `\nNext: hikyaku cart checkout --member ${member}`
      : `\nNext: hikyaku cart status ${ticket} --product ${product}`
    yield* print(call, { ticket, outcome }, text + next)
  })).pipe(Command.withDescription("Puts a product into a member's cart: allocates stock, first in first out."))

const status = Command.make(
  "status",
  {
    ...connection,
    ticket: ticketArgument,
    product: productOption,
    wait: Options.integer("wait").pipe(
      Options.withDescription("While it is undecided, wait so many ms for the outcome (up to 30,000)."),
      Options.withDefault(0)
    )
  },
  (call) =>
    connected(call, (hikyaku) => hikyaku.cart.status({ ticket: call.ticket, product: call.product, wait: call.wait }))
      .pipe(
        Effect.flatMap((answer) => print(call, answer, words(answer)))
      )
).pipe(Command.withDescription("How a ticket stands."))

const list = Command.make(
  "list",
  { ...connection, member: memberOption },
  (call) =>
    connected(call, (hikyaku) => hikyaku.cart.list({ member: call.member })).pipe(
      Effect.flatMap((answer) =>
        print(
          call,
          answer,
          table(
            ["product", "pieces", "standing", "until", "ticket"],
            answer.lines.map((line) => [line.product, line.quantity, line.standing, instant(line.until), line.ticket])
          ) + (answer.more ? "\n(there are more)" : "")
        )
      )
    )
).pipe(Command.withDescription("A member's open lines."))

const release = Command.make(
  "release",
  { ...connection, ticket: ticketArgument, product: productOption },
  (call) =>
    connected(call, (hikyaku) => hikyaku.cart.release({ ticket: call.ticket, product: call.product })).pipe(
      Effect.flatMap((answer) => print(call, answer, words(answer)))
    )
).pipe(Command.withDescription("Takes a line out of the cart."))

const confirm = Command.make(
  "confirm",
  { ...connection, ticket: ticketArgument, product: productOption },
  (call) =>
    connected(call, (hikyaku) => hikyaku.cart.confirm({ ticket: call.ticket, product: call.product })).pipe(
      Effect.flatMap((answer) => print(call, answer, words(answer)))
    )
).pipe(Command.withDescription("Takes what was offered from the waitlist."))

const faults: Readonly<Record<string, string>> = {
  NotInCart: "is not in the cart (any more)",
  AlreadyBought: "is bought already",
  InOtherCheckout: "is being checked out with another order",
  UnknownProduct: "is of a product that nobody knows",
  TooLate: "could not be held long enough"
}

const checkout = Command.make("checkout", {
  ...connection,
  member: memberOption,
  tickets: Options.text("ticket").pipe(
    Options.withDescription("Only this line; may be given several times. Default: all that are in the cart."),
    Options.repeated
  ),
  order: Options.text("order").pipe(
    Options.withDescription("The order's id; the same id again gets the same outcome."),
    Options.optional
  )
}, (call) =>
  Effect.gen(function*() {
    const order = yield* Option.match(call.order, {
      onNone: () => Effect.map(mintCommandId, (id) => `order-${id}`),
      onSome: Effect.succeed
    })
    const outcome = yield* connected(call, (hikyaku) =>
      Effect.gen(function*() {
        const { lines } = yield* hikyaku.cart.list({ member: call.member })
        const wanted = lines.filter((line) =>
          call.tickets.length === 0 ? line.standing === "Allocated" : call.tickets.includes(line.ticket)
        )
        const [first, ...rest] = wanted.map(({ product, ticket }) => ({ product, ticket }))
        if (first === undefined) {
          return yield* refused(
            `There is nothing in ${call.member}'s cart to buy.\nFill it: hikyaku cart add PRODUCT --member ${call.member}`
          )
        }
        return yield* hikyaku.cart.checkout({ order, lines: [first, ...rest] })
      }))
    if (outcome._tag === "Refused" && !call.json) {
      const why = outcome.faults.map(({ fault, product, ticket }) =>
        `  ${product} (${ticket}) ${faults[fault] ?? fault}`
      )
      return yield* refused([`Order ${order} was refused; nothing was bought.`, ...why].join("\n"))
    }
    const bought = outcome._tag === "Bought" ? outcome.lines : []
    yield* print(
      call,
      outcome,
      `Order ${order} is bought.\n${
        table(
          ["product", "pieces", "number", "ticket"],
          bought.map((l) => [l.product, l.quantity, l.sequence, l.ticket])
        )
      }`
    )
  })).pipe(Command.withDescription("Buys what is in a member's cart: all of it or nothing."))

export const command = Command.make("cart").pipe(
  Command.withDescription("Carts: add, look, buy."),
  Command.withSubcommands([add, status, list, release, confirm, checkout])
)
