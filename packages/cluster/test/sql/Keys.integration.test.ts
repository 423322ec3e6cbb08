/** The keys and checks of the tables are the backstops of promises that code keeps: they hold by themselves. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { expect, layer } from "@effect/vitest"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { Cause, Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"

const database = Layer.unwrapScoped(Effect.map(freshDatabase(), ({ url }) =>
  Layer.provideMerge(
    Layer.orDie(Layer.effectDiscard(migrate)),
    Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
  )))

const ticket = commandIdFrom(1_760_000_000_000, 0, 0, 0)

/** The SQLSTATE with which a statement is refused; "done" when it is not. */
const stateOf = (statement: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(statement)).pipe(
    Effect.as("done"),
    Effect.catchAllCause((cause) => {
      const failed = Cause.squash(cause)
      const origin = failed instanceof Error ? failed.cause : undefined
      const code = typeof origin === "object" && origin !== null && "code" in origin ? origin.code : undefined
      return Effect.succeed(String(code))
    })
  )

const unique = "23505"
const check = "23514"

layer(database)("backstops in the schema", (it) => {
  it.effect("R13: an actor's happenings of one version are in the outbox once", () =>
    Effect.gen(function*() {
      const statement = "insert into outbox (kind, actor, version, happenings) values ('Product', 'p', 1, '[]')"
      expect(yield* stateOf(statement)).toBe("done")
      expect(yield* stateOf(statement)).toBe(unique)
    }))

  it.effect("G3: a ticket is allocated once, whatever its number, and waits once", () =>
    Effect.gen(function*() {
      const allocation = (sequence: number) =>
        `insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at)
        values ('p', '${ticket}', 'm', 1, ${sequence}, 'allocated', now(), now())`
      expect(yield* stateOf(allocation(1))).toBe("done")
      expect(yield* stateOf(allocation(2))).toBe(unique)
      const wait = `insert into ticket_wait (product, ticket, member, quantity, place, status, since)
        values ('p', '${ticket}', 'm', 1, 1, 'waiting', now())`
      expect(yield* stateOf(wait)).toBe("done")
      expect(yield* stateOf(wait)).toBe(unique)
    }))

  it.effect("R3: a command has one outcome per actor", () =>
    Effect.gen(function*() {
      expect(yield* stateOf("select outcome_partitions(1760000000000, 1760000000000, false)")).toBe("done")
      const outcome = (actor: string) => `insert into outcome values ('Product', '${actor}', '${ticket}', 'h', '{}')`
      expect(yield* stateOf(outcome("p"))).toBe("done")
      expect(yield* stateOf(outcome("p"))).toBe(unique)
      expect(yield* stateOf(outcome("q"))).toBe("done")
    }))

  it.effect("G1: no commit leaves a product's books in disorder, or a count below nothing", () =>
    Effect.gen(function*() {
      const product = (id: string, available: number, sold: number) =>
        `insert into product (id, version, writer, cell, epoch, clock, name, cart_ms, offer_ms, low_threshold, counting,
          ran_out, taken_in, shortage, available, allocated, offered, sold, sequence, place)
        values ('${id}', 1, 'w', 'c', 0, now(), 'p', 1, 1, 1, false, false, 5, 0, ${available}, 1, 0, ${sold}, 1, 0)`
      expect(yield* stateOf(product("p", 3, 1))).toBe("done")
      expect(yield* stateOf(product("q", 4, 1))).toBe(check)
      expect(yield* stateOf(product("r", -1, 5))).toBe(check)
      expect(yield* stateOf("update product set available = available - 1 where id = 'p'")).toBe(check)
      expect(yield* stateOf("update product set available = available - 1, sold = sold + 1 where id = 'p'")).toBe(
        "done"
      )
    }))
})
