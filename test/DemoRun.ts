/**
 * The demo as `npm run demo` runs it: the built server, as a process, on a database of this test's own. Needs the build, as
 * `npm test` makes it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { expect } from "@effect/vitest"
import type { DemoPlaces } from "@hikyaku/server/demo/DemoCluster"
import type { DemoReport } from "@hikyaku/server/demo/DemoReport"
import { Context, Deferred, Duration, Effect, FiberId, Layer, Redacted, Schedule, type Scope } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { freshDatabase } from "./Database.ts"
import { temporaryFolder } from "./TemporaryFolder.ts"

const main = path.join(import.meta.dirname, "../packages/server/dist/bundle/main.js")

/** A shop in which every campaign of the demo has something to do: price drops, last ones, restocks, and caps that decide. */
export const smallShop = ["--days", "2", "--products", "40", "--members", "150", "--visits", "250"]

/** How often something is looked for that another process does. */
const lookEvery = Schedule.spaced(Duration.millis(50))

const readJson = <A>(file: string): Effect.Effect<A, unknown> =>
  Effect.tryPromise(async (): Promise<A> => JSON.parse(await fs.readFile(file, "utf8")))

/**
 * Starts a demo; it is stopped with the scope if it has not ended by then. `prepare` is given its database before anything
 * of the demo runs.
 */
export const startDemo = <A, E>(
  args: ReadonlyArray<string>,
  prepare: (sql: SqlClient.SqlClient) => Effect.Effect<A, E, Scope.Scope>
) =>
  Effect.gen(function*() {
    yield* Effect.promise(() =>
      fs.access(main).catch(() => Promise.reject(new Error(`${main} is missing: build first (npm test does)`)))
    )
    const folder = yield* temporaryFolder("demo")
    const { url } = yield* freshDatabase()
    const sql = yield* Effect.map(
      // Migrations take several, and one may wait for a lock while others look.
      Layer.build(PgClient.layer({ url: Redacted.make(url), maxConnections: 6 })),
      (context) => Context.get(context, SqlClient.SqlClient)
    )
    const prepared = yield* prepare(sql)
    const reportFile = path.join(folder, "report.json")
    const said: Array<string> = []
    const exit = Deferred.unsafeMake<number | null>(FiberId.none)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(
          process.execPath,
          [main, "demo", ...args, "--folder", folder, "--report", reportFile],
          { env: { ...process.env, DATABASE_URL: url }, stdio: ["ignore", "pipe", "pipe"] }
        )
        for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => said.push(String(chunk)))
        child.once("close", (code) => Deferred.unsafeDone(exit, Effect.succeed(code)))
        return child
      }),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.exitCode === null && child.signalCode === null ? child.kill("SIGTERM") : false),
          Deferred.await(exit)
        )
    )
    return {
      sql,
      /** What `prepare` gave. */
      prepared,
      /** Where its processes are, once they are up. */
      places: readJson<DemoPlaces>(path.join(folder, "demo.json")).pipe(Effect.retry(lookEvery)),
      /** Waits for the end; what it said, and its report. */
      ended: Effect.gen(function*() {
        const code = yield* Deferred.await(exit)
        const output = said.join("")
        if (code !== 0) return yield* Effect.dieMessage(`the demo ended with ${String(code)}:\n${output}`)
        return { output, report: yield* readJson<DemoReport>(reportFile) }
      })
    }
  })

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0)

/** What the demo promises, from its report and, independently of it, from the tables. */
export const expectInvariants = (report: DemoReport, sql: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    const number = (expression: string) =>
      Effect.map(
        sql.unsafe<{ readonly n: number }>(`select (${expression})::float8 as n`),
        (rows) => rows[0]?.n ?? Number.NaN
      )
    expect(report.checks.filter((check) => !check.ok)).toEqual([])
    expect(report.checks.length).toBeGreaterThan(25)

    // G1: never oversold, by the rows alone.
    expect(report.oversold).toBe(0)
    expect(
      yield* number(`select count(*) from product p where taken_in + shortage <> available + allocated + offered + sold
      or allocated <> (select coalesce(sum(quantity), 0) from allocation a
        where a.product = p.id and status in ('allocated', 'held'))
      or sold <> (select coalesce(sum(quantity), 0) from allocation a where a.product = p.id and status in ('sold', 'settled'))
        - (select coalesce(sum(quantity), 0) from allocation_return r where r.product = p.id)`)
    ).toBe(0)
    expect(report.soldOutProducts).toBeGreaterThan(0)
    expect(report.soldOut).toBeGreaterThan(0)
    // Every line of the input is accounted for.
    expect(report.cartAdds).toBe(report.input.steps["CartAdd"])
    expect(report.cartAdds).toBe(report.allocated + report.soldOut + sum(report.otherAdds))
    expect(report.allocated).toBe(yield* number("select count(*) from allocation"))
    expect(report.soldOut).toBe(
      yield* number("select count(*) from outcome where kind = 'Product' and reply->>'_tag' = 'SoldOut'")
    )
    // G4: allocations are numbered without gaps, in the order in which they were asked for.
    expect(
      yield* number(`select count(*) from (select sequence - lag(sequence, 1, 0::bigint) over w as step
      from allocation window w as (partition by product order by sequence)) s where step <> 1`)
    ).toBe(0)

    // Campaigns by price and by stock, and caps that decide.
    const runs = (campaign: string) => report.campaigns.find(({ id }) => id === campaign)?.runs ?? 0
    expect(runs("price-drop")).toBeGreaterThan(0)
    expect(runs("last-one") + runs("back-in-stock")).toBeGreaterThan(0)
    expect(report.campaignRuns).toBe(yield* number("select count(*) from run"))
    expect(report.rejected["Capped"] ?? 0).toBeGreaterThan(0)
    expect(report.membersConsidered).toBe(yield* number("select sum(considered) from run"))
    expect(report.membersConsidered).toBe(report.accepted + sum(report.rejected))

    // Deliveries: as many at the provider as in the books, none twice, within its limits (G9, G10).
    expect(sum(report.deliveries)).toBeGreaterThan(0)
    expect(sum(report.deliveries)).toBe(yield* number("select count(*) from delivery"))
    expect(yield* number("select count(*) from delivery where status in ('due', 'listed')")).toBe(0)
    expect(yield* number("select count(*) from delivery where status = 'sent'")).toBeLessThanOrEqual(
      report.provider.mailed
    )
    expect(report.provider.limit).not.toBeNull()
    expect(report.provider.peakConcurrency).toBeLessThanOrEqual(report.provider.limit ?? 0)
    expect(report.provider.peakConcurrency).toBeGreaterThan(0)
    expect(report.provider.violations).toBe(0)
    expect(report.provider.duplicates).toBe(0)
    // G7: the shop's caps, from the real sending times alone.
    expect(
      yield* number(`select coalesce(max(n), 0) from (select count(*) over (partition by member order by sent_at
      range between current row and interval '1 day' - interval '1 millisecond' following) as n
      from delivery where status = 'sent') w`)
    ).toBe(1)
  })
