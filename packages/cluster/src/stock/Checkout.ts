/**
 * Checkout: a durable saga over the lines of an order (R14), keyed by the order's id. The order's row decides, once, whether
 * all lines are bought or none; the Product actors hold, buy and let go, each idempotently by order and ticket. Any gateway
 * may drive any order, also several at once: every step of the row is conditional on the state it builds on. What a dead
 * gateway leaves behind is finished by `resume`.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { ContentDiffers, NotAnswered, Unavailable } from "@hikyaku/domain/api/ApiError"
import { deadlineDefault, type OrderOutcome } from "@hikyaku/domain/api/CartApi"
import { OrderId, type ReturnId } from "@hikyaku/domain/stock/Allocation"
import { holdMsMax, type ProductCommand } from "@hikyaku/domain/stock/Product"
import { Context, Duration, Effect, Layer, type ParseResult, Schedule, Schema } from "effect"
import { ActorClient } from "../actor/ActorClient.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import { afterBuying, afterHolding, allAnswered, LineResult, OrderLine, OrderState, type Step } from "./CheckoutStep.ts"
import { productKind } from "./ProductActor.ts"

export interface Order {
  readonly id: OrderId
  readonly lines: ReadonlyArray<OrderLine>
  /** ms from now until which the outcome is of use to the caller; the order is finished in any case. */
  readonly within?: number | undefined
  /** The replay's instant (ms), where there is one. */
  readonly at?: number | undefined
}

export class Checkout extends Context.Tag("@hikyaku/cluster/Checkout")<Checkout, {
  /** Places an order, or takes up the one of that id, and waits for its outcome. */
  readonly place: (order: Order) => Effect.Effect<OrderOutcome, ContentDiffers | NotAnswered | Unavailable>
  /** Takes up orders that nobody has touched for a while; how many those were. */
  readonly resume: Effect.Effect<number, Unavailable>
}>() {}

/** An order untouched for so long has been left behind. */
const abandonedAfter = Duration.seconds(5)
/** How often the resumer looks. */
const resumeInterval = Duration.seconds(1)
/** Orders taken up at once. */
const resumeMax = 32
/** How long a round of commands may take, ms. */
const roundMs = 5_000
/** Rest after a round that was not answered, ms: doubled up to the longest. */
const restFirstMs = 50
const restLastMs = 1_000

const OrderRow = Schema.Struct({
  id: OrderId,
  lines: Schema.NonEmptyArray(OrderLine),
  state: OrderState,
  results: Schema.NullOr(Schema.Array(LineResult)),
  at: Schema.NullOr(Schema.Number),
  attempts: Schema.Number
})
type OrderRow = typeof OrderRow.Type
const decodeRows = Schema.decodeUnknown(Schema.Array(OrderRow))

const unavailable = (cause: SqlError.SqlError | ParseResult.ParseError) =>
  new Unavailable({ reason: `the order cannot be written or read: ${cause.message}` })

const outcomeOf = (row: OrderRow): OrderOutcome | null => {
  const results = row.results ?? []
  if (row.state === "bought") {
    return {
      _tag: "Bought",
      order: row.id,
      lines: row.lines.flatMap((line, n) => {
        const result = results[n]
        return result?._tag === "Bought" ? [{ ...line, sequence: result.sequence, quantity: result.quantity }] : []
      })
    }
  }
  if (row.state !== "refused") return null
  return {
    _tag: "Refused",
    order: row.id,
    faults: row.lines.flatMap((line, n) => {
      const result = results[n]
      return result?._tag === "Fault" ? [{ ...line, fault: result.fault }] : []
    })
  }
}

/** One return per order and ticket, whoever undoes it and how often. */
const undoId = (order: OrderId): ReturnId => `undo-${order}`.slice(0, 64)

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const actors = yield* ActorClient
  const clock = yield* ShopClock

  const columns = sql.literal(
    "id, lines, state, results, (extract(epoch from logical_at) * 1000)::float8 as at, attempts"
  )
  const first = (rows: Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>) =>
    Effect.flatMap(rows, decodeRows).pipe(Effect.map((found) => found[0] ?? null), Effect.mapError(unavailable))

  const insert = (order: Order) =>
    first(sql`insert into checkout_order (id, lines, state, logical_at)
      values (${order.id}, ${JSON.stringify(order.lines)}::jsonb, 'holding', to_timestamp(${
      order.at === undefined ? null : order.at / 1000
    }::float8))
      on conflict (id) do nothing returning ${columns}`)
  const read = (id: OrderId) => first(sql`select ${columns} from checkout_order where id = ${id}`)
  const sameLines = (order: Order) =>
    sql<{ readonly same: boolean }>`select lines = ${JSON.stringify(order.lines)}::jsonb as same
      from checkout_order where id = ${order.id}`.pipe(
      Effect.map((rows) => rows[0]?.same === true),
      Effect.mapError(unavailable)
    )
  const advance = (row: OrderRow, step: Step<OrderState>) =>
    first(sql`update checkout_order set state = ${step.state}, results = ${JSON.stringify(step.results)}::jsonb,
        touched_at = clock_timestamp()
      where id = ${row.id} and state = ${row.state} returning ${columns}`)

  const tell = (row: OrderRow, command: (line: OrderLine, n: number) => ProductCommand) =>
    actors.sendAll(
      productKind,
      row.lines.map((line, n) => ({
        actor: line.product,
        command: command(line, n),
        within: roundMs,
        at: row.at ?? undefined
      }))
    )

  /** One round of whatever the order's state asks for; null when not every line has answered. */
  const round = (row: OrderRow): Effect.Effect<Step<OrderState> | null> => {
    const order = row.id
    const results = row.results ?? []
    switch (row.state) {
      case "holding": {
        const now = row.at ?? clock.now()
        const untilMs = now + holdMsMax
        return Effect.map(
          tell(row, ({ ticket }) => ({ _tag: "HoldTicket", order, ticket, untilMs })),
          (answers) => afterHolding(answers, now, row.attempts)
        )
      }
      case "buying":
        return Effect.map(tell(row, ({ ticket }) => ({ _tag: "BuyTicket", order, ticket })), afterBuying)
      case "releasing":
        return Effect.map(
          tell(row, ({ ticket }) => ({ _tag: "UnholdTicket", order, ticket })),
          (answers) => (allAnswered(answers) ? { state: "refused", results } : null)
        )
      case "undoing":
        return Effect.map(
          tell(row, ({ ticket }, n) => {
            const result = results[n]
            return result?._tag === "Bought"
              ? { _tag: "ReturnGoods", ticket, quantity: result.quantity, returnId: undoId(order) }
              : { _tag: "UnholdTicket", order, ticket }
          }),
          (answers) => (allAnswered(answers) ? { state: "refused", results } : null)
        )
      case "bought":
      case "refused":
        return Effect.succeed(null)
    }
  }

  /** Drives an order to its end, or until a round is not answered. */
  const drive = (start: OrderRow): Effect.Effect<OrderOutcome | null, Unavailable> =>
    Effect.gen(function*() {
      let row = start
      while (true) {
        const outcome = outcomeOf(row)
        if (outcome !== null) return outcome
        const step = yield* round(row)
        if (step === null) return null
        // Where somebody else was faster the row is in another state: go on from there.
        const next: OrderRow | null = (yield* advance(row, step)) ?? (yield* read(row.id))
        if (next === null) return null
        row = next
      }
    })

  const place = Effect.fn("Checkout.place")(function*(order: Order) {
    const fresh = yield* insert(order)
    if (fresh === null && !(yield* sameLines(order))) return yield* new ContentDiffers({ id: order.id })
    const untilDone = (row: OrderRow | null, restMs: number): Effect.Effect<OrderOutcome, Unavailable> =>
      (row === null ? Effect.succeed(null) : drive(row)).pipe(
        Effect.flatMap((outcome) =>
          outcome !== null ? Effect.succeed(outcome) : Effect.sleep(Duration.millis(restMs)).pipe(
            Effect.zipRight(read(order.id)),
            Effect.flatMap((again) => untilDone(again, Math.min(2 * restMs, restLastMs)))
          )
        )
      )
    return yield* untilDone(fresh ?? (yield* read(order.id)), restFirstMs).pipe(
      Effect.timeoutFail({
        duration: Duration.millis(order.within ?? deadlineDefault),
        onTimeout: () =>
          new NotAnswered({ reason: `order ${order.id} is under way and will be finished; ask again with the same id` })
      })
    )
  })

  const resume = Effect.gen(function*() {
    const rows = yield* sql`update checkout_order set touched_at = clock_timestamp(), attempts = attempts + 1
      where id in (select id from checkout_order
        where state in ('holding', 'buying', 'releasing', 'undoing')
          and touched_at < clock_timestamp() - ${Duration.toMillis(abandonedAfter)}::float8 * interval '1 ms'
        order by touched_at limit ${resumeMax} for update skip locked)
      returning ${columns}`.pipe(Effect.flatMap(decodeRows), Effect.mapError(unavailable))
    yield* Effect.forEach(
      rows,
      (row) => drive(row).pipe(Effect.catchAll((error) => Effect.logWarning(`order ${row.id}: ${error.reason}`))),
      { concurrency: resumeMax, discard: true }
    )
    return rows.length
  })

  return Checkout.of({ place, resume })
})

export const layer: Layer.Layer<Checkout, never, SqlClient.SqlClient | ActorClient | ShopClock> = Layer.effect(
  Checkout,
  make
)

/** Finishes what dead gateways have left; runs in every gateway. */
export const layerResumer: Layer.Layer<never, never, Checkout> = Layer.scopedDiscard(
  Effect.gen(function*() {
    const checkout = yield* Checkout
    yield* checkout.resume.pipe(
      Effect.catchAll((error) => Effect.logWarning(`orders left behind cannot be taken up: ${error.reason}`)),
      Effect.repeat(Schedule.spaced(resumeInterval)),
      Effect.forkScoped
    )
  })
)
