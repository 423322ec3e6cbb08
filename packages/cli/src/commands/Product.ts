/** `hikyaku product`: products and their stock. */
import { Args, Command, Options } from "@effect/cli"
import { Clock, Effect, Option } from "effect"
import { connected, connection } from "../Connection.ts"
import { misused, refused } from "../Failure.ts"
import { facts, print } from "../Output.ts"

const product = Args.text({ name: "product" }).pipe(Args.withDescription("The product's id."))
const limit = (name: string, what: string) =>
  Options.integer(name).pipe(Options.withDescription(`${what}; 0 takes the limit away.`), Options.optional)
const seconds = (name: string, what: string) =>
  Options.integer(name).pipe(Options.withDescription(what), Options.optional)

const limitOf = (option: Option.Option<number>): number | null | undefined =>
  Option.isNone(option) ? undefined : option.value === 0 ? null : option.value
const msOf = (option: Option.Option<number>): number | undefined =>
  Option.isNone(option) ? undefined : option.value * 1_000

const define = Command.make("define", {
  ...connection,
  product,
  name: Options.text("name").pipe(Options.optional),
  cartSeconds: seconds("cart-seconds", "How long an allocation lasts unbought."),
  offerSeconds: seconds("offer-seconds", "How long an offer to the next in line waits."),
  low: Options.integer("low").pipe(
    Options.withDescription("StockLow is stated when so many pieces are left; default 1."),
    Options.optional
  ),
  memberLimit: limit("member-limit", "Pieces a member may have in carts at a time"),
  lifetimeLimit: limit("lifetime-limit", "Pieces a member may ever have")
}, (call) =>
  connected(call, (hikyaku) =>
    hikyaku.product.define({
      product: call.product,
      name: Option.getOrUndefined(call.name),
      cartMs: msOf(call.cartSeconds),
      offerMs: msOf(call.offerSeconds),
      lowThreshold: Option.getOrUndefined(call.low),
      memberLimit: limitOf(call.memberLimit),
      lifetimeLimit: limitOf(call.lifetimeLimit)
    })).pipe(
      Effect.flatMap((answer) =>
        print(call, answer, `${call.product} is defined. Next: hikyaku product stock ${call.product} --level 10`)
      )
    )).pipe(Command.withDescription("Makes a product known, or changes what is named."))

const stock = Command.make("stock", {
  ...connection,
  product,
  level: Options.integer("level").pipe(
    Options.withDescription("There are so many pieces, those in carts included."),
    Options.optional
  ),
  delta: Options.integer("delta").pipe(
    Options.withDescription("So many pieces came in, or went: --delta=-2."),
    Options.optional
  ),
  source: Options.text("source").pipe(
    Options.withDescription("Who states the figure; its versions grow. Default cli."),
    Options.withDefault("cli")
  ),
  sourceVersion: Options.integer("source-version").pipe(
    Options.withDescription("The figure's version; default: the time."),
    Options.optional
  )
}, (call) =>
  connected(call, (hikyaku) =>
    Effect.gen(function*() {
      const { delta, level, product } = call
      if (Option.isSome(level) && Option.isSome(delta)) return yield* misused("Give either --level or --delta.")
      if (Option.isNone(level) && Option.isNone(delta)) return yield* hikyaku.product.stock({ product })
      const reply = yield* hikyaku.product.changeStock({
        product,
        source: call.source,
        sourceVersion: yield* Option.match(call.sourceVersion, {
          onNone: () => Clock.currentTimeMillis,
          onSome: Effect.succeed
        }),
        meaning: "physical",
        change: Option.isSome(level)
          ? { _tag: "Level", level: level.value }
          : { _tag: "Delta", delta: Option.getOrElse(delta, () => 0) }
      })
      switch (reply._tag) {
        case "StockLevel":
          return reply
        case "StaleVersion":
          return yield* refused(
            `${call.source} has stated version ${reply.version} already; this one is not newer. Nothing changed.`
          )
        case "StockRefused":
          return yield* refused(`The figure cannot be taken: ${reply.reason}. Nothing changed.`)
      }
    })).pipe(
      Effect.flatMap((level) =>
        print(
          call,
          level,
          facts([
            ["product", call.product],
            ["available", level.available],
            ["in carts", level.allocated],
            ["on offer", level.offered],
            ["sold", level.sold],
            ["in line", level.waiting],
            ["taken in", level.takenIn],
            ["short", level.shortage]
          ])
        )
      )
    )).pipe(Command.withDescription("Shows a product's stock, or states a new figure."))

const where = (product: string, cell: string | null): string =>
  cell === null
    ? `${product} moves as soon as a runner serves the hot group.`
    : `${product} lives in ${cell.startsWith("hot-") ? "a cell of its own" : "a cell with others"} (${cell}).`

const hot = Command.make(
  "hot",
  { ...connection, product },
  (call) =>
    connected(call, (hikyaku) => hikyaku.product.heat({ product: call.product })).pipe(
      Effect.flatMap((answer) => print(call, answer, where(call.product, answer.cell)))
    )
).pipe(Command.withDescription("Gives a product a cell of its own, so that a rush on it delays no other."))

const cool = Command.make(
  "cool",
  { ...connection, product },
  (call) =>
    connected(call, (hikyaku) => hikyaku.product.cool({ product: call.product })).pipe(
      Effect.flatMap((answer) => print(call, answer, where(call.product, answer.cell)))
    )
).pipe(Command.withDescription("Moves a product back among the others."))

export const command = Command.make("product").pipe(
  Command.withDescription("Products and their stock."),
  Command.withSubcommands([define, stock, hot, cool])
)
