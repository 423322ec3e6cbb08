/**
 * What the statements of segments, runs, due deliveries, the ledger, the log and activity read, in a shop of `--members`
 * (200,000 for the documents: 2 million rows of activity, 800,000 deliveries, a million rows of the ledger). Each goes through
 * the code that issues it, and PostgreSQL tells the plan that it used. It fails if one reads, or sorts, far more rows than it
 * is about. Times are beside the point here: the plans say whether they will last.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { type Ran, watchedPool } from "./indexes/Plans.ts"
import { definition, probes } from "./indexes/Probes.ts"
import { fill, sizes } from "./indexes/Shop.ts"
import { bench } from "./rig/Bench.ts"
import type { Verdict } from "./rig/Report.ts"

/** Rows of a whole table that may be read: such tables are small, and an index would be no help. */
const wholeTableMax = 2_000

/** Pages that may be touched for a row: the way down an index, the row itself, and what is written. */
const pagesPerRow = 5

const faultsOf = (ran: Ran, bound: number, whole: boolean): ReadonlyArray<string> => [
  ...(ran.read > bound ? [`reads ${ran.read} rows, ${bound} are enough`] : []),
  ...(ran.pages > pagesPerRow * bound + 1_000 ? [`touches ${ran.pages} pages`] : []),
  ...(ran.sorted > bound ? [`sorts ${ran.sorted} rows`] : []),
  ...ran.sequential.filter(({ rows }) => !whole && rows > wholeTableMax)
    .map(({ rows, table }) => `reads all ${rows} rows of ${table}`)
]

const columns = ["probe", "statement", "plan", "rows", "read", "pages", "ms", ""]
const shown = (probe: string, ran: Ran, faults: ReadonlyArray<string>): ReadonlyArray<string> => [
  probe,
  ran.text.slice(0, 48),
  ran.scans.slice(0, 2).join(", ").slice(0, 64),
  String(ran.rows),
  String(ran.read),
  String(ran.pages),
  ran.ms.toFixed(1),
  faults.join("; ")
]

const tableOf = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)))
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i]!)).join("  ").trimEnd()).join("\n")
}

await bench("indexes", (run) =>
  run.on("indexes", async (database) => {
    const { members } = run.options
    run.say(`making a shop of ${members} members: ${JSON.stringify(sizes(members))}`)
    await fill(database.admin, members, definition, (text) => run.say(text))
    const watched = watchedPool(database.url, 4)
    const table: Array<ReadonlyArray<string>> = [columns]
    const verdicts: Array<Verdict> = []
    try {
      const client = PgClient.layerFromPool({ acquire: Effect.succeed(watched.pool) })
      await Effect.runPromise(
        Effect.gen(function*() {
          for (const { bound, name, only, probe, whole } of probes(members)) {
            // Plans are chosen anew where a statement was prepared for other values; the second time is the one that counts.
            watched.take()
            yield* probe
            // The same statement many times is shown once, where it read most.
            const all = [...watched.take()].sort((a, b) => b.read - a.read)
              .filter(({ text }, i, sorted) =>
                (only?.test(text) ?? true) && sorted.findIndex((each) => each.text === text) === i
              )
            let faults = 0
            for (const ran of all) {
              // What reads next to nothing is nobody's concern.
              const found = faultsOf(ran, bound, whole === true)
              if (found.length === 0 && ran.read < 20 && ran !== all[0]) continue
              faults += found.length
              table.push(shown(name, ran, found))
            }
            const most = Math.max(0, ...all.map((ran) => ran.read))
            verdicts.push({
              id: "indexes",
              what: name,
              goal: `reads <= ${bound} rows`,
              reached: `${most}`,
              met: faults === 0 && all.length > 0
            })
          }
        }).pipe(Effect.provide(Layer.orDie(client)), Effect.scoped)
      )
    } finally {
      await watched.pool.end()
    }
    process.stdout.write(`${tableOf(table)}\n`)
    const bad = verdicts.filter(({ met }) => !met)
    if (bad.length > 0) {
      throw new Error(`${bad.length} of ${verdicts.length}: ${bad.map(({ what }) => what).join(", ")}`)
    }
    return verdicts
  }))
