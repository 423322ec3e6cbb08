/** Events from outside: what is taken, what is refused and where, and that a refused call leaves nothing behind (G16). */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { Hikyaku } from "@hikyaku/domain/api/Client"
import type { Event } from "@hikyaku/domain/api/EventApi"
import { Effect } from "effect"
import * as TestApi from "./TestApi.ts"

const now = Date.now()
const viewed = (id: string, change: Partial<Event> = {}): Event => ({
  source: "shop",
  id,
  at: now,
  happening: { _tag: "Viewed", member: "m1", product: "p1" },
  ...change
})
const custom = (id: string, type: string, data: Readonly<Record<string, string | number | boolean>>): Event =>
  viewed(id, { happening: { _tag: "Custom", type, data } })

const logged = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => Effect.map(sql<{ readonly n: number }>`select count(*)::int as n from event_log`, ([row]) => row?.n)
)

layer(TestApi.layer(), { excludeTestServices: true })("event.publish", (it) => {
  const publish = (...events: readonly [Event, ...ReadonlyArray<Event>]) =>
    Effect.flatMap(Hikyaku, (hikyaku) => hikyaku.event.publish({ events }))
  /** Refused as bad input at this place, and the log as it was. */
  const refused = (path: string, ...events: readonly [Event, ...ReadonlyArray<Event>]) =>
    Effect.gen(function*() {
      const before = yield* logged
      const failure = yield* Effect.flip(publish(...events))
      expect(failure).toMatchObject({ _tag: "BadInput", path })
      expect(yield* logged).toBe(before)
      return failure
    })

  it.effect("takes each event once, by source and id", () =>
    Effect.gen(function*() {
      expect(yield* publish(viewed("e1"), viewed("e2"))).toMatchObject([{ _tag: "Appended" }, { _tag: "Appended" }])
      const again = yield* publish(viewed("e1"), viewed("e3"), viewed("e2", { at: now - 1 }))
      expect(again).toMatchObject([{ _tag: "Repeated" }, { _tag: "Appended" }, { _tag: "Differs" }])
      expect(yield* publish(viewed("e1", { source: "other" }))).toMatchObject([{ _tag: "Appended" }])
      expect(yield* logged).toBe(4)
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G16 refuses what only the shop itself states, and what lies outside the bounds of time", () =>
    Effect.gen(function*() {
      yield* refused(
        "events[1].happening._tag",
        viewed("a1"),
        viewed("a2", { happening: { _tag: "SoldOut", product: "p" } })
      )
      yield* refused("events[0].at", viewed("b1", { at: now + 3_600_000 }))
      yield* refused("events[1].at", viewed("b2"), viewed("b3", { at: now - 500 * 86_400_000 }))
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("R6 the clock that a replay has just moved counts, not the one that this process read before", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const later = now + 30 * 86_400_000
      yield* Effect.acquireRelease(
        sql`update shop_clock set mode = 'logical', instant = to_timestamp(${later / 1000}::float8)`,
        () =>
          Effect.zipRight(
            Effect.orDie(sql`update shop_clock set mode = 'real', instant = null`),
            Effect.flatMap(ShopClock, (clock) => clock.refresh)
          )
      )
      expect(yield* publish(viewed("r6", { at: later }))).toMatchObject([{ _tag: "Appended" }])
      yield* refused("events[0].at", viewed("r6-ahead", { at: later + 3_600_000 }))
    }).pipe(Effect.scoped, Effect.provide(TestApi.webSocketClient)))

  it.effect("G16 custom events must be registered, with their fields", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const unknown = yield* refused("events[0].happening.type", custom("c1", "review", { stars: 5 }))
      expect(unknown).toMatchObject({ hint: expect.stringContaining("register") })
      const fields = { stars: "number", text: "string" } as const
      expect(yield* hikyaku.event.registerCustomType({ type: "review", fields })).toEqual({ created: true, fields })
      expect(yield* hikyaku.event.registerCustomType({ type: "review", fields: { stars: "number" } })).toEqual({
        created: false,
        fields
      })
      expect(yield* publish(custom("c2", "review", { stars: 5 }))).toMatchObject([{ _tag: "Appended" }])
      yield* refused("events[0].happening.data.stars", custom("c3", "review", { stars: "5" }))
      expect(yield* refused("events[0].happening.data.starz", custom("c4", "review", { starz: 5 }))).toMatchObject({
        hint: "did you mean stars?"
      })
      expect(yield* refused("events[0].happening.type", custom("c5", "reviev", { stars: 5 }))).toMatchObject({
        hint: "did you mean review?"
      })
      const retyped = yield* Effect.flip(
        hikyaku.event.registerCustomType({ type: "review", fields: { stars: "string" } })
      )
      expect(retyped).toMatchObject({ _tag: "BadInput", path: "fields.stars" })
      expect(yield* hikyaku.event.customTypes()).toEqual([{ type: "review", fields }])
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("a type that another gateway has registered is known here too", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`insert into custom_event_type (type, schema) values ('elsewhere', '{"fields": {"n": "number"}}')`
      expect(yield* publish(custom("d1", "elsewhere", { n: 1 }))).toMatchObject([{ _tag: "Appended" }])
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G16 more events than a call may hold, and none", () =>
    Effect.gen(function*() {
      for (const count of [0, 1_001]) {
        const { answer } = yield* TestApi.postJson(JSON.stringify({
          jsonrpc: "2.0",
          id: 1,
          method: "event.publish",
          params: { events: Array.from({ length: count }, (_, n) => viewed(`x${n}`)) }
        }))
        expect(answer).toMatchObject({ error: { code: -32602, data: { _tag: "BadInput" } } })
      }
    }))
})
