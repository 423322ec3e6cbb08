/** What every bench is made of: a run from start to end, with its options, its PostgreSQL and its report. */
import { mkdirSync } from "node:fs"
import * as path from "node:path"
import { inOrder } from "./Books.ts"
import type { Watch } from "./House.ts"
import { type Add, type Closed, closed, type Loaded, percentile } from "./Load.ts"
import { familyCpuMs, quiet } from "./Machine.ts"
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

  /** The systems take turns, so many times; what is there for comparison alone may do with the first. */
  async repeat(turn: (rep: number) => Promise<void>): Promise<void> {
    const { reps } = this.options
    for (let rep = 1; rep <= reps; rep++) {
      this.say(`repetition ${rep} of ${reps}`)
      await turn(rep)
    }
  }

  /** Before every measurement: what must be written anyway is written, and the machine is left to us. */
  async still(): Promise<void> {
    await this.postgres.settle()
    if (!await quiet(this.options.quietS)) this.say("the machine never went quiet")
  }

  /** Runs something on a fresh copy of the template (or of another database) that is gone afterwards. */
  async on<A>(name: string, use: (database: Database) => Promise<A>, source?: string): Promise<A> {
    const database = await this.postgres.fresh(name, source)
    try {
      return await use(database)
    } finally {
      await this.postgres.drop(database)
    }
  }

  /** A system's turn, on a fresh database; nothing happens if it is not to be measured. */
  async turn(peer: string, use: (database: Database) => Promise<void>, source?: string): Promise<void> {
    if (this.options.only?.includes(peer) === false) return
    await this.on(peer.replaceAll("-", "_"), use, source)
  }

  /** What the medians say about the goals; nothing when not everybody was measured. */
  goals(say: (report: Report) => ReadonlyArray<Verdict>): ReadonlyArray<Verdict> {
    return this.options.only === null ? say(this.report) : []
  }

  /** Where the profiles of this measurement go (without what follows the process's name), or null. */
  profile(workload: string): string | null {
    const { profile } = this.options
    if (profile === null) return null
    mkdirSync(profile, { recursive: true })
    return path.join(profile, workload)
  }

  /** Runs a load and says beside it what CPU time PostgreSQL took, ms. */
  async with<A>(load: () => Promise<A>): Promise<readonly [A, number]> {
    const before = familyCpuMs(this.postgres.pid)
    const result = await load()
    return [result, familyCpuMs(this.postgres.pid) - before]
  }

  /** The line of a load that was driven through. What `line` says goes before what the load says. */
  add(
    line: Pick<Measurement, "peer" | "workload"> & Partial<Measurement>,
    load: Loaded,
    ok: boolean,
    cpu: Partial<Watch> & { readonly postgresMs: number }
  ): Measurement {
    const answered = load.latencies.reduce((sum, each) => Number.isNaN(each) ? sum : sum + 1, 0)
    const overloaded = load.outcomes["Overloaded"] ?? 0
    const each = (ms: number) => Math.round(ms * 1000 / answered)
    const { concurrency, n, peer, workload, ...others } = line
    const measurement: Measurement = {
      peer,
      workload,
      ...(n !== undefined && { n }),
      ...(concurrency !== undefined && { concurrency }),
      per_s: Math.round(answered / load.ms * 1000),
      p50_ms: rounded(percentile(load.latencies, 0.5)),
      p99_ms: rounded(percentile(load.latencies, 0.99)),
      ok,
      ...others,
      ...(overloaded > 0 && { overloaded }),
      ...(cpu.runnerMs !== undefined && { runner_us: each(cpu.runnerMs) }),
      ...(cpu.gatewayMs !== undefined && { gateway_us: each(cpu.gatewayMs) }),
      postgres_us: each(cpu.postgresMs),
      ...(this.options.profile !== null && peer === "hikyaku" && { profiled: true })
    }
    this.report.add(measurement)
    return measurement
  }

  /** A closed load on Hikyaku, as one line. */
  async closed(
    house: { readonly closed: (load: Closed, profile: string | null) => Promise<readonly [Loaded, Watch]> },
    workload: string,
    load: Closed,
    check: (result: Loaded) => Promise<boolean>,
    line: Partial<Measurement> = {}
  ): Promise<readonly [Measurement, Loaded]> {
    await this.still()
    const { concurrency, n } = load
    const profile = this.profile(`${workload}-${concurrency}`)
    const [[result, watch], postgresMs] = await this.with(() => house.closed(load, profile))
    const ok = await check(result)
    return [
      this.add({ peer: "hikyaku", workload, n, concurrency, ...line }, result, ok, { ...watch, postgresMs }),
      result
    ]
  }

  /** The same load on a baseline. */
  async closedOn(
    peer: string,
    add: Add,
    workload: string,
    load: Closed,
    check: (result: Loaded) => Promise<boolean>,
    line: Partial<Measurement> = {}
  ): Promise<readonly [Measurement, Loaded]> {
    await this.still()
    const { concurrency, n } = load
    const [result, postgresMs] = await this.with(() => closed(add, load))
    return [this.add({ peer, workload, n, concurrency, ...line }, result, await check(result), { postgresMs }), result]
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
  const giveUp = () => {
    void postgres.stop().finally(() => process.exit(130))
  }
  process.once("SIGINT", giveUp)
  process.once("SIGTERM", giveUp)
  // Whoever started this bench is gone.
  process.once("disconnect", giveUp)
  // A listener keeps the channel open, and an open channel the process.
  process.channel?.unref()
  try {
    if (!options.templateMade) await postgres.prepare()
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
