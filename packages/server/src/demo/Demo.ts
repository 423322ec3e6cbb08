/**
 * `npm run demo`: a small cluster of real processes, a shop that is loaded into it and replayed, and a report that says
 * whether the sums agree. Fails when they do not.
 */
import { NodeSocket } from "@effect/platform-node"
import { SqlClient } from "@effect/sql"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import * as Client from "@hikyaku/domain/api/Client"
import { generatedShopSource } from "@hikyaku/domain/replay/GeneratedShop"
import { onlineRetailSource } from "@hikyaku/domain/replay/OnlineRetail"
import { Clock, Effect, Layer, Option, Stream } from "effect"
import * as fs from "node:fs/promises"
import * as ReplaySource from "../replay/ReplaySource.ts"
import * as AdminQuery from "../rpc/AdminQuery.ts"
import { shopConfig } from "../Settings.ts"
import { applyCampaigns } from "./DemoCampaigns.ts"
import { describeCheck } from "./DemoChecks.ts"
import { type DemoPlaces, openDatabase, startCluster } from "./DemoCluster.ts"
import { ChecksFailed, DatabaseInUse, FileUnwritable } from "./DemoError.ts"
import { readTables } from "./DemoFigures.ts"
import { openFolder } from "./DemoFolder.ts"
import type { DemoOptions } from "./DemoOptions.ts"
import { type Screen, show } from "./DemoProgress.ts"
import { makeReport } from "./DemoReport.ts"
import { reportText } from "./DemoReportText.ts"
import * as ReplayClock from "./ReplayClock.ts"
import { lowStock, makeDriver } from "./ReplayDriver.ts"

/** Runners of the demo's cluster. */
const runnersCount = 2

/** What only the process itself knows. */
export interface DemoHost {
  /** The server's `main.js`, which the other processes run. */
  readonly main: string
  /** What they inherit. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Progress and places; usually standard error. */
  readonly screen: Screen
  /** The report; usually standard output. */
  readonly print: (text: string) => void
}

const openSource = (options: DemoOptions) => {
  if (Option.isSome(options.events)) {
    return ReplaySource.fromFile(options.events.value, { limit: Option.getOrUndefined(options.limit) })
  }
  const { days, members, products, seed, visits } = options
  return ReplaySource.generated({
    ...(Option.isSome(seed) && { seed: seed.value }),
    ...(Option.isSome(days) && { days: days.value }),
    ...(Option.isSome(products) && { products: products.value }),
    ...(Option.isSome(members) && { members: members.value }),
    // The rushes grow with the visits.
    ...(Option.isSome(visits) && { sessionsPerDay: visits.value, addsPerBurst: Math.ceil(visits.value / 8) })
  })
}

/** Stock is stated in the source's name, so that its versions follow on the openings'. */
const sourceIds = { "online-retail": onlineRetailSource, generated: generatedShopSource, ndjson: "replay" } as const

const refuseUsed = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const [found] = yield* sql<{ readonly products: number; readonly events: number }>`
    select (select count(*) from product)::int as products, (select count(*) from event_log)::int as events`
  if (found !== undefined && found.products + found.events > 0) {
    return yield* new DatabaseInUse({ found: `${found.products} products and ${found.events} events` })
  }
})

const deliveriesSent = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ readonly n: number }>`select count(*)::int as n from delivery_sent`,
    (rows) => rows[0]?.n ?? 0
  ))

const whereItIs = ({ database, folder, gateway, runners, sandbox }: DemoPlaces): string =>
  [
    `  gateway   ${gateway.url}  (process ${gateway.pid})`,
    ...runners.map(({ address, pid }) => `  runner    ${address}  (process ${pid})`),
    `  provider  ${sandbox.url}  (process ${sandbox.pid}; its report: ${sandbox.url}/v1/report)`,
    `  database  ${database}`,
    `  folder    ${folder}`,
    ""
  ].join("\n")

const writeReport = (file: string, report: object) =>
  Effect.tryPromise({
    try: () => fs.writeFile(file, `${JSON.stringify(report, null, 2)}\n`),
    catch: (cause) => new FileUnwritable({ file, reason: String(cause) })
  })

const seconds = Effect.map(Clock.currentTimeMillis, (ms) => ms / 1_000)

/** Runs the demo to its end. Fails when the input is bad, something needed dies, or the sums do not agree. */
export const demo = (options: DemoOptions, host: DemoHost) =>
  Effect.gen(function*() {
    const began = yield* seconds
    const { print, screen } = host
    const say = (line: string) => Effect.sync(() => screen.write(`${screen.isTerminal ? "\r\u001b[2K" : ""}${line}\n`))
    // Bad input ends the demo before anything is started.
    const source = yield* openSource(options)
    const first = yield* Stream.runHead(source.stream)
    const folder = yield* openFolder(options.folder, say)
    const database = yield* openDatabase(folder)

    yield* Effect.gen(function*() {
      yield* refuseUsed
      const clock = yield* ReplayClock.ReplayClock
      // Before any runner starts: none of them ever sees the replay's commands by another clock.
      yield* clock.begin(Option.match(first, { onNone: () => 0, onSome: ({ at }) => at }))
      const { cluster, sandbox } = yield* startCluster({
        main: host.main,
        folder,
        environment: host.environment,
        runners: runnersCount,
        say
      }, database)
      yield* say(`A cluster of ${runnersCount} runners is up:\n${whereItIs(cluster.places)}`)

      const run = Effect.gen(function*() {
        const driver = yield* makeDriver(sourceIds[source.format])
        const replayBegan = yield* seconds
        yield* driver.run(source.stream, applyCampaigns).pipe(
          Effect.raceFirst(show(screen, source, driver.state, deliveriesSent))
        )
        const replaySeconds = (yield* seconds) - replayBegan
        const { globalCaps } = yield* shopConfig
        const tables = yield* readTables(globalCaps).pipe(Effect.provide(AdminQuery.layer))
        const sandboxReport = yield* sandbox.report
        const report = makeReport({
          source,
          sent: { progress: yield* source.progress, steps: driver.state.byTag, seen: driver.state.seen },
          tables,
          sandbox: sandboxReport,
          firstAt: driver.state.firstAt,
          lastAt: driver.state.lastAt,
          seconds: (yield* seconds) - began,
          replaySeconds,
          spent: driver.state.spent,
          runnersLost: yield* cluster.runnersLost,
          derived: [lowStock.note]
        })
        print(reportText(report))
        if (Option.isSome(options.report)) {
          yield* writeReport(options.report.value, report)
          yield* say(`The report is in ${options.report.value}`)
        }
        const failed = report.checks.filter((check) => !check.ok)
        if (options.keep) {
          yield* clock.end
          yield* say(`Everything goes on, by real time from here; Ctrl-C ends it.\n${whereItIs(cluster.places)}`)
          yield* Effect.never
        }
        if (failed.length > 0) return yield* new ChecksFailed({ checks: failed.map(describeCheck) })
      }).pipe(
        Effect.provideService(SandboxControl, sandbox),
        Effect.provide(
          Client.layerSocket({ waitForConnection: true }).pipe(
            Layer.provide(NodeSocket.layerWebSocket(cluster.places.gateway.url))
          )
        )
      )
      yield* Effect.raceFirst(run, Effect.raceFirst(cluster.died, database.died))
    }).pipe(Effect.provide(ReplayClock.layer), Effect.provide(database.context))
  }).pipe(Effect.scoped)
