/** The checkout saga over a real store and actors in memory that can be late: every way in which a gateway can die. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { expect, layer } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import * as ShopClock from "@hikyaku/cluster/actor/ShopClock"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { Checkout, layer as checkoutLayer } from "@hikyaku/cluster/stock/Checkout"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { mintTicket } from "@hikyaku/domain/api/Client"
import type { ProductCommand } from "@hikyaku/domain/stock/Product"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"
import * as MemoryActors from "./MemoryActors.ts"

const database = Layer.unwrapScoped(
  Effect.map(freshDatabase(), ({ url }) => PgClient.layer({ url: Redacted.make(url), maxConnections: 6 }))
)
const world = checkoutLayer.pipe(
  Layer.provideMerge(ShopClock.layer),
  Layer.provideMerge(MemoryActors.layer),
  Layer.provide(Layer.effectDiscard(migrate)),
  Layer.provideMerge(database),
  Layer.orDie
)

const tell = (actor: string, command: ProductCommand, at?: number) =>
  Effect.flatMap(ActorClient, (actors) => actors.send(productKind, { actor, command, at }))

const stocked = (product: string, level: number, at?: number) =>
  Effect.gen(function*() {
    yield* tell(product, { _tag: "DefineProduct" }, at)
    yield* tell(product, {
      _tag: "ChangeStock",
      source: "s",
      sourceVersion: 1,
      meaning: "physical",
      change: { _tag: "Level", level }
    }, at)
  })

/** A line in a cart. */
const inCart = (product: string, at?: number) =>
  Effect.gen(function*() {
    const ticket = yield* mintTicket
    yield* tell(product, { _tag: "AddToCart", ticket, member: "m1", quantity: 1, waitlist: false }, at)
    return { ticket, product }
  })

const level = (product: string) => tell(product, { _tag: "ReadStock" })
/** As if the gateway that drove the order had died a while ago. */
const leftBehind = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`update checkout_order set touched_at = clock_timestamp() - interval '1 minute'`
)

layer(world, { excludeTestServices: true })("R14 checkout", (it) => {
  it.effect("buys all lines; the same order again gets the same outcome, other lines are refused", () =>
    Effect.gen(function*() {
      const checkout = yield* Checkout
      yield* stocked("a1", 5)
      yield* stocked("a2", 5)
      const lines = [yield* inCart("a1"), yield* inCart("a1"), yield* inCart("a2")]
      const outcome = yield* checkout.place({ id: "order-a", lines })
      expect(outcome).toMatchObject({ _tag: "Bought", lines: [{ sequence: 1 }, { sequence: 2 }, { sequence: 1 }] })
      expect(yield* checkout.place({ id: "order-a", lines })).toEqual(outcome)
      expect(yield* level("a1")).toMatchObject({ sold: 2, allocated: 0, available: 3 })
      const other = yield* Effect.flip(checkout.place({ id: "order-a", lines: lines.slice(1) }))
      expect(other._tag).toBe("ContentDiffers")
      expect(yield* level("a2")).toMatchObject({ sold: 1 })
    }))

  it.effect("buys nothing when one line cannot be had, and lets the others go", () =>
    Effect.gen(function*() {
      const checkout = yield* Checkout
      yield* stocked("b1", 5)
      yield* stocked("b2", 5)
      const good = yield* inCart("b1")
      const gone = yield* inCart("b2")
      yield* tell("b2", { _tag: "ReleaseTicket", ticket: gone.ticket, reason: "Released" })
      const outcome = yield* checkout.place({ id: "order-b", lines: [good, gone] })
      expect(outcome).toEqual({ _tag: "Refused", order: "order-b", faults: [{ ...gone, fault: "NotInCart" }] })
      expect(yield* level("b1")).toMatchObject({ sold: 0, allocated: 1 })
      expect(yield* tell("b1", { _tag: "ReadTicket", ticket: good.ticket })).toMatchObject({ _tag: "Allocated" })
      // What was let go can be bought with the next order.
      expect(yield* checkout.place({ id: "order-b2", lines: [good] })).toMatchObject({ _tag: "Bought" })
    }))

  it.effect("two orders for one line: one gets it", () =>
    Effect.gen(function*() {
      const checkout = yield* Checkout
      yield* stocked("c1", 5)
      const line = yield* inCart("c1")
      const outcomes = yield* Effect.all(
        [checkout.place({ id: "order-c1", lines: [line] }), checkout.place({ id: "order-c2", lines: [line] })],
        { concurrency: 2 }
      )
      expect(outcomes.filter(({ _tag }) => _tag === "Bought")).toHaveLength(1)
      expect(yield* level("c1")).toMatchObject({ sold: 1, allocated: 0 })
    }))

  it.effect.each(["HoldTicket", "BuyTicket"])(
    "finishes an order whose gateway died before %s was answered",
    (tag) =>
      Effect.gen(function*() {
        const checkout = yield* Checkout
        const control = yield* MemoryActors.ActorControl
        const product = `d-${tag}`
        yield* stocked(product, 5)
        const lines = [yield* inCart(product), yield* inCart(product)]
        control.judge((_, command) => command === tag ? "late" : "now")
        const waiting = yield* Effect.fork(checkout.place({ id: `order-${tag}`, lines }))
        const sql = yield* SqlClient.SqlClient
        // The gateway has begun when its commands are on their way.
        yield* Effect.suspend(() => control.catchUp() > 0 ? Effect.void : Effect.fail("not yet")).pipe(
          Effect.eventually
        )
        yield* Fiber.interrupt(waiting)
        control.judge(() => "now")
        const [row] = yield* sql<
          { readonly state: string }
        >`select state from checkout_order where id = ${`order-${tag}`}`
        expect(row?.state).toBe(tag === "HoldTicket" ? "holding" : "buying")
        expect(yield* checkout.resume).toBe(0)
        yield* leftBehind
        expect(yield* checkout.resume).toBe(1)
        expect(yield* level(product)).toMatchObject({ sold: 2, allocated: 0 })
        expect(yield* checkout.place({ id: `order-${tag}`, lines })).toMatchObject({ _tag: "Bought" })
      })
  )

  it.effect("lets go when the gateway died after it had been decided that nothing is bought", () =>
    Effect.gen(function*() {
      const checkout = yield* Checkout
      const control = yield* MemoryActors.ActorControl
      yield* stocked("e1", 5)
      yield* stocked("e2", 0)
      const good = yield* inCart("e1")
      const none = yield* inCart("e2")
      control.judge((_, command) => command === "UnholdTicket" ? "late" : "now")
      const waiting = yield* Effect.fork(checkout.place({ id: "order-e", lines: [good, none] }))
      const sql = yield* SqlClient.SqlClient
      yield* sql<{ readonly state: string }>`select state from checkout_order where id = 'order-e'`.pipe(
        Effect.flatMap(([row]) => row?.state === "releasing" ? Effect.void : Effect.fail("not yet")),
        Effect.eventually
      )
      yield* Fiber.interrupt(waiting)
      control.judge(() => "now")
      expect(yield* tell("e1", { _tag: "ReadTicket", ticket: good.ticket })).toMatchObject({ _tag: "Held" })
      yield* leftBehind
      expect(yield* checkout.resume).toBe(1)
      expect(yield* tell("e1", { _tag: "ReadTicket", ticket: good.ticket })).toMatchObject({ _tag: "Allocated" })
    }))

  it.effect("gives back what was bought when another line's hold was lost in a long outage", () =>
    Effect.gen(function*() {
      const checkout = yield* Checkout
      const control = yield* MemoryActors.ActorControl
      const at = Date.now()
      yield* stocked("f1", 5, at)
      yield* stocked("f2", 5, at)
      const lines = [yield* inCart("f1", at), yield* inCart("f2", at)]
      control.judge((_, command, actor) => command === "BuyTicket" && actor === "f2" ? "late" : "now")
      const waiting = yield* Effect.fork(checkout.place({ id: "order-f", lines, at }))
      const sql = yield* SqlClient.SqlClient
      yield* level("f1").pipe(
        Effect.flatMap((reply) =>
          reply._tag === "StockLevel" && reply.sold === 1 ? Effect.void : Effect.fail("not yet")
        ),
        Effect.eventually
      )
      yield* Fiber.interrupt(waiting)
      // Two hours later the hold and the allocation of the second line are long gone.
      yield* tell("f2", { _tag: "Wake" }, at + 2 * 3_600_000)
      control.judge(() => "now")
      yield* leftBehind
      yield* checkout.resume
      expect(yield* checkout.place({ id: "order-f", lines, at })).toEqual({
        _tag: "Refused",
        order: "order-f",
        faults: [{ ...lines[1], fault: "NotInCart" }]
      })
      expect(yield* level("f1")).toMatchObject({ sold: 0, allocated: 0, available: 5 })
      expect(yield* level("f2")).toMatchObject({ sold: 0, allocated: 0, available: 5 })
      expect(yield* sql`select 1 from checkout_order where state not in ('bought', 'refused')`).toEqual([])
    }))
})
