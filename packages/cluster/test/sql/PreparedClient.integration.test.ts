import { SqlClient } from "@effect/sql"
import { expect, it } from "@effect/vitest"
import * as PreparedClient from "@hikyaku/cluster/sql/PreparedClient"
import { Duration, Effect, Layer, Redacted } from "effect"
import * as Net from "node:net"
import { freshDatabase } from "../../../../test/Database.ts"

/** One connection, so that all statements of a test meet on it. */
const onOneConnection = <A, E>(
  work: Effect.Effect<A, E, SqlClient.SqlClient>,
  plansAgeMax?: Duration.Duration
) =>
  Effect.flatMap(freshDatabase(), ({ url }) =>
    Effect.provide(
      work,
      Layer.orDie(
        PreparedClient.layer({
          url: Redacted.make(url),
          maxConnections: 1,
          applicationName: "prepared-test",
          ...(plansAgeMax === undefined ? {} : { plansAgeMax })
        })
      )
    ))

const prepared = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql<{ readonly name: string; readonly statement: string }>`
      select name, statement from pg_prepared_statements where statement not like ${"%pg_prepared_statements%"} order by name`
)

it.scoped("a statement that is run again and again is prepared, one for a single use is not", () =>
  onOneConnection(Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const again = (n: number) => sql<{ readonly n: number }>`select ${n}::int as n`
    for (let n = 1; n < PreparedClient.prepareAfter; n++) yield* again(n)
    yield* sql`select ${1}::int as once`
    expect(yield* prepared).toEqual([])
    for (let n = 0; n < 20; n++) expect((yield* again(n))[0]?.n).toBe(n)
    expect((yield* prepared).map((row) => row.statement)).toEqual(["select $1::int as n"])
  })))

it.scoped("a connection keeps so many statements and no more, and goes on with the others", () =>
  onOneConnection(Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const texts = Array.from({ length: PreparedClient.statementsMax + 20 }, (_, n) => `select $1::int + ${n} as n`)
    for (let round = 0; round <= PreparedClient.prepareAfter; round++) {
      for (const [n, text] of texts.entries()) {
        const [row] = yield* sql.unsafe<{ readonly n: number }>(text, [round])
        expect(row?.n).toBe(round + n)
      }
    }
    expect((yield* prepared).length).toBe(PreparedClient.statementsMax)
  })))

it.scoped("after a migration that changes a statement's columns it fails once and is prepared anew", () =>
  onOneConnection(Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create table thing (id int primary key)`
    yield* sql`insert into thing values (1)`
    const read = sql`select * from thing where id = ${1}`
    for (let n = 0; n < 2 * PreparedClient.prepareAfter; n++) yield* read
    yield* sql`alter table thing add column name text`
    yield* Effect.flip(read)
    for (let n = 0; n < 2 * PreparedClient.prepareAfter; n++) {
      expect(yield* read).toEqual([{ id: 1, name: null }])
    }
  })))

it.scoped("an error in a transaction is its owner's, and the connection serves the next one", () =>
  onOneConnection(
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const divide = (by: number) => sql<{ readonly n: number }>`select 6 / ${by}::int as n`
      for (let n = 1; n < 20; n++) yield* divide(n)
      const failed = sql.withTransaction(Effect.zipRight(Effect.ignore(divide(0)), divide(2)))
      yield* Effect.flip(failed)
      expect(yield* divide(2)).toEqual([{ n: 3 }])
    }),
    Duration.zero
  ))

/** Passes everything on to the database, until all ways that are open are cut without a word; `cut` cuts them. */
const wayTo = (url: string) =>
  Effect.gen(function*() {
    const { hostname, port: farPort } = new URL(url)
    const ways = new Set<() => void>()
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((near) => {
      const far = Net.connect({ host: hostname, port: Number(farPort) })
      for (const [one, other] of [[near, far], [far, near]] as const) {
        sockets.add(one)
        one.on("error", () => {})
        one.pipe(other)
      }
      ways.add(() => {
        near.unpipe(far)
        far.unpipe(near)
      })
    })
    const port = yield* Effect.acquireRelease(
      Effect.async<number>((resume) => {
        server.listen({ host: "127.0.0.1", port: 0 }, () => {
          const address = server.address()
          resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
        })
      }),
      () =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    const near = new URL(url)
    near.host = `127.0.0.1:${port}`
    return { url: near.href, cut: Effect.sync(() => ways.forEach((cut) => cut())) }
  })

it.scoped("a connection that neither answers nor breaks is given up when its statement's limit is over", () =>
  Effect.gen(function*() {
    const { url } = yield* freshDatabase()
    const way = yield* wayTo(url)
    const read = Effect.flatMap(
      SqlClient.SqlClient,
      (sql) => sql.unsafe<{ readonly n: number }>(PreparedClient.within(500, "select $1::int as n"), [1])
    )
    yield* Effect.gen(function*() {
      for (let n = 0; n < 2 * PreparedClient.prepareAfter; n++) expect(yield* read).toEqual([{ n: 1 }])
      expect((yield* prepared).map((row) => row.statement)).toEqual(["/* within 500 ms */ select $1::int as n"])
      yield* way.cut
      yield* Effect.flip(read)
      // The next one opens another.
      expect(yield* read).toEqual([{ n: 1 }])
    }).pipe(Effect.provide(Layer.orDie(PreparedClient.layer({
      url: Redacted.make(way.url),
      maxConnections: 1,
      applicationName: "limit-test"
    }))))
  }))

/** How the prepared statement finds its row when 50,000 rows have come since it was planned, statistics unknown. */
const planOfFilledTable = (plansAgeMax: Duration.Duration) =>
  onOneConnection(
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`set plan_cache_mode = force_generic_plan`
      yield* sql`create table thing (id int primary key, name text) with (autovacuum_enabled = off)`
      yield* sql`analyze thing`
      const read = sql`select name from thing where id = ${1}`
      for (let n = 0; n < 2 * PreparedClient.prepareAfter; n++) yield* read
      yield* sql`insert into thing select n, 'x' from generate_series(1, 50000) n`
      yield* read
      const [statement] = yield* prepared
      const plan = yield* sql.unsafe<Readonly<Record<string, string>>>(`explain execute ${statement?.name}(1)`)
      return plan.map((row) => row["QUERY PLAN"]).join("\n")
    }),
    plansAgeMax
  )

it.scoped("a plan that was made for an empty table does not stay when the table has filled", () =>
  Effect.gen(function*() {
    // What would happen: the plan of the empty table reads all 50,000 rows for one. Not every time: a session that misses
    // too much of what others change in the server's catalogues forgets its plans by itself.
    const stale = planOfFilledTable(Duration.hours(1))
    expect(yield* Effect.repeat(stale, { until: (plan) => plan.includes("Seq Scan"), times: 9 })).toContain("Seq Scan")
    expect(yield* planOfFilledTable(Duration.zero)).toContain("Index")
  }))
