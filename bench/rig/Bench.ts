/** What every bench is made of: a run from start to end, with its options, its PostgreSQL and its report. */
import { mkdirSync } from "node:fs"
import * as path from "node:path"
import { inOrder } from "./Books.ts"
import { type Loaded, percentile } from "./Load.ts"
import { quiet } from "./Machine.ts"
import { type Options, readOptions } from "./Options.ts"
import { type Database, Postgres } from "./Postgres.ts"
import { type Measurement, Report, rounded, type Verdict } from "./Report.ts"

export class Bench {
  readonly options: Options
  readonly postgres: Postgres
  readonly report: Report
  private readonly name: string

  constructor(name: string, options: Options, postgres: Postgres) {
    this.name = name
    this.options = options
    this.postgres = postgres
    this.report = new Report(options.json)
  }

  /** Tells people how far it is; the lines on standard output are for programs. */
  say(text: string): void {
    process.stderr.write(`${this.name}: ${text}\n`)
  }

  /** Before every measurement: what must be written anyway is written, and the machine is left to us. */
  async still(): Promise<void> {
    await this.postgres.settle()
    if (!await quiet(this.options.quietS)) this.say("the machine never went quiet")
  }

  /** Runs something on a fresh database that is gone afterwards. */
  async on<A>(name: string, use: (database: Database) => Promise<A>): Promise<A> {
    const database = await this.postgres.fresh(name)
    try {
      return await use(database)
    } finally {
      await this.postgres.drop(database)
    }
  }

  /** Where the profiles of this measurement go (without what follows the process's name), or null. */
  profile(workload: string): string | null {
    const { profile } = this.options
    if (profile === null) return null
    mkdirSync(profile, { recursive: true })
    return path.join(profile, workload)
  }

  /** The line of a load that was driven through. */
  add(
    line: Pick<Measurement, "peer" | "workload"> & Partial<Measurement>,
    load: Loaded,
    ok: boolean
  ): Measurement {
    const answered = load.latencies.reduce((sum, each) => Number.isNaN(each) ? sum : sum + 1, 0)
    const overloaded = load.outcomes["Overloaded"] ?? 0
    const measurement: Measurement = {
      n: load.latencies.length,
      per_s: Math.round(answered / load.ms * 1000),
      p50_ms: rounded(percentile(load.latencies, 0.5)),
      p99_ms: rounded(percentile(load.latencies, 0.99)),
      ...(overloaded > 0 && { overloaded }),
      ...line,
      ok,
      ...(this.options.profile !== null && line.peer === "hikyaku" && { profiled: true })
    }
    this.report.add(measurement)
    return measurement
  }

  inOrder(database: Database, prefix: string, loads: ReadonlyArray<Loaded>, expected: number | null): Promise<boolean> {
    return inOrder(database.admin, prefix, loads, expected)
  }
}

/** Runs a bench: its measurements, their medians, and what they say about the goals. */
export const bench = async (
  name: string,
  body: (bench: Bench) => Promise<ReadonlyArray<Verdict>>
): Promise<void> => {
  const options = readOptions(process.argv.slice(2), process.env["QUIET_S"])
  const postgres = await Postgres.start(options.data)
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      void postgres.stop().finally(() => process.exit(130))
    })
  }
  try {
    await postgres.prepare()
    const run = new Bench(name, options, postgres)
    run.say(`PostgreSQL ${postgres.version}, fsync on, Node ${process.version}`)
    const started = performance.now()
    const verdicts = await body(run)
    run.report.printMedians()
    run.say(`took ${Math.round((performance.now() - started) / 1000)} s`)
    process.send?.({ verdicts })
  } finally {
    await postgres.stop()
  }
}
