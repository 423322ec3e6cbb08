/** What the gateway does for callers that give up, and for those that ask (G6). */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { NoAnswer, Overloaded } from "@hikyaku/cluster/actor/ActorClient"
import { Hikyaku, mintTicket } from "@hikyaku/domain/api/Client"
import { Effect, Schedule } from "effect"
import { ActorControl } from "../../../cluster/test/stock/MemoryActors.ts"
import * as TestApi from "./TestApi.ts"

const define = (product: string, stock: number) =>
  Effect.gen(function*() {
    const hikyaku = yield* Hikyaku
    yield* hikyaku.product.define({ product })
    yield* hikyaku.product.changeStock({
      product,
      source: "test",
      sourceVersion: 1,
      meaning: "physical",
      change: { _tag: "Level", level: stock }
    })
  })

/** Until it holds, at most 10 s. */
const eventually = <A, E, R>(check: Effect.Effect<A, E, R>) =>
  Effect.retry(check, Schedule.spaced("50 millis").pipe(Schedule.intersect(Schedule.recurs(200))))

layer(TestApi.layer(), { excludeTestServices: true })("cart handlers", (it) => {
  it.effect("G6 an add that nobody answers in time is given up: TimedOut, and no stock however late it succeeds", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      yield* define("late", 3)
      control.judge((_, tag) => tag === "AddToCart" ? "late" : "now")
      const ticket = yield* mintTicket
      const add = { ticket, product: "late", member: "m1", quantity: 1 }
      expect(yield* hikyaku.cart.add({ ...add, deadline: 50 })).toEqual({ _tag: "TimedOut" })
      control.judge(() => "now")
      expect(control.catchUp()).toBe(1)
      expect(yield* hikyaku.product.stock({ product: "late" })).toMatchObject({ available: 3, allocated: 0 })
      expect(yield* hikyaku.cart.status({ ticket, product: "late" })).toEqual({ _tag: "TimedOut" })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G6 when not even the release is answered, the ticket is on record and released later", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      const sql = yield* SqlClient.SqlClient
      yield* define("lost", 3)
      control.judge((_, tag) =>
        tag === "AddToCart" ? "late" : tag === "ReleaseTicket" ? new NoAnswer({ reason: "lost" }) : "now"
      )
      const ticket = yield* mintTicket
      const failure = yield* Effect.flip(
        hikyaku.cart.add({ ticket, product: "lost", member: "m1", quantity: 1, deadline: 50 })
      )
      expect(failure).toMatchObject({ _tag: "NotAnswered" })
      expect(yield* sql`select product, reason from ticket_given_up where ticket = ${ticket}::uuid`).toEqual([
        { product: "lost", reason: "TimedOut" }
      ])
      // The allocation succeeds after all; the release is repeated until it is heard.
      control.catchUp()
      control.judge(() => "now")
      expect(yield* hikyaku.product.stock({ product: "lost" })).toMatchObject({ allocated: 1 })
      yield* sql`update ticket_given_up set touched_at = clock_timestamp() - interval '1 minute'`
      yield* eventually(
        Effect.flatMap(
          sql`select 1 from ticket_given_up`,
          (rows) => rows.length === 0 ? Effect.void : Effect.fail("still there")
        )
      )
      expect(yield* hikyaku.product.stock({ product: "lost" })).toMatchObject({ allocated: 0, available: 3 })
      expect(yield* hikyaku.cart.status({ ticket, product: "lost" })).toEqual({ _tag: "NotSeen" })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G6 a cancel that overtakes its add bars the ticket", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      yield* define("overtaken", 3)
      const line = { ticket: yield* mintTicket, product: "overtaken" }
      expect(yield* hikyaku.cart.cancel(line)).toEqual({ _tag: "Cancelled" })
      expect(yield* hikyaku.cart.add({ ...line, member: "m1", quantity: 1 })).toEqual({ _tag: "Cancelled" })
      expect(yield* hikyaku.cart.expire(line)).toEqual({ _tag: "Cancelled" })
      expect(yield* hikyaku.product.stock({ product: "overtaken" })).toMatchObject({ allocated: 0 })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("submit returns at once; status waits for the outcome", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      yield* define("submitted", 1)
      const line = { ticket: yield* mintTicket, product: "submitted" }
      expect(yield* hikyaku.cart.status(line)).toEqual({ _tag: "NotSeen" })
      control.judge((_, tag) => tag === "AddToCart" ? "late" : "now")
      expect(yield* hikyaku.cart.submit({ ...line, member: "m1", quantity: 1, deadline: 60_000 })).toEqual({
        _tag: "Submitted",
        ticket: line.ticket
      })
      expect(yield* hikyaku.cart.status(line)).toEqual({ _tag: "Processing" })
      control.judge(() => "now")
      const second = { ticket: yield* mintTicket, product: "submitted" }
      yield* hikyaku.cart.submit({ ...second, member: "m2", quantity: 1 })
      expect(yield* hikyaku.cart.status({ ...second, wait: 5_000 })).toMatchObject({ _tag: "Allocated", sequence: 1 })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("release, offer, confirm, return: every standing has its answer", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      yield* define("whole", 1)
      const first = { ticket: yield* mintTicket, product: "whole" }
      const second = { ticket: yield* mintTicket, product: "whole" }
      yield* hikyaku.cart.add({ ...first, member: "m1", quantity: 1 })
      expect(yield* hikyaku.cart.add({ ...second, member: "m2", quantity: 1, waitlist: true })).toEqual({
        _tag: "Waitlisted",
        position: 1
      })
      expect(yield* hikyaku.cart.confirm(second)).toEqual({ _tag: "Waitlisted", position: 1 })
      expect(yield* hikyaku.cart.release(first)).toEqual({ _tag: "Released" })
      expect(yield* hikyaku.cart.status(second)).toMatchObject({ _tag: "Offered", quantity: 1 })
      expect(yield* hikyaku.cart.confirm(second)).toMatchObject({ _tag: "Allocated", sequence: 2 })
      expect(yield* hikyaku.cart.checkout({ order: "whole-1", lines: [second] })).toMatchObject({ _tag: "Bought" })
      expect(yield* hikyaku.cart.release(second)).toMatchObject({ _tag: "Bought", order: "whole-1" })
      const back = { ...second, returnId: "r1", quantity: 1 }
      expect(yield* hikyaku.cart.return(back)).toEqual({ _tag: "Returned", quantity: 1, remaining: 0 })
      expect(yield* hikyaku.cart.return(back)).toEqual({ _tag: "Returned", quantity: 1, remaining: 0 })
      expect(yield* hikyaku.product.stock({ product: "whole" })).toMatchObject({ available: 1, sold: 0 })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("an honest answer when there is no room", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      control.judge(() => new Overloaded({ retryAfter: 250 }))
      const failure = yield* Effect.flip(
        hikyaku.cart.add({ ticket: yield* mintTicket, product: "late", member: "m1", quantity: 1 })
      )
      expect(failure).toMatchObject({ _tag: "Overloaded", retryAfter: 250 })
      control.judge(() => "now")
    }).pipe(Effect.provide(TestApi.webSocketClient)))
})
