/** Measurements as JSON lines, their medians, and what they say about the goals. */
import { appendFileSync } from "node:fs"

/** One measurement; a field that makes no sense for a workload is left out. */
export interface Measurement {
  readonly peer: string
  readonly workload: string
  readonly n?: number
  readonly concurrency?: number
  readonly per_s?: number
  readonly p50_ms?: number
  readonly p99_ms?: number
  /** Whether the books agree with what the callers were told. */
  readonly ok: boolean
  /** Bytes per live actor. */
  readonly bytes_per_actor?: number
  /** CPU time of the processes while it was measured, µs per call; tells more than `per_s` on a machine that is shared. */
  readonly runner_us?: number
  readonly gateway_us?: number
  readonly postgres_us?: number
  /** The rate at which callers arrived, where they do not wait for one another. */
  readonly offered_per_s?: number
  /** Of those offered, how many were answered that there is no room. */
  readonly overloaded?: number
  /** `growth`: whether the actors had to be loaded first. */
  readonly touch?: "cold" | "live"
  /** Actors in the runner's memory. */
  readonly live_actors?: number
  /** `delivery`: from the first mail due to the last request's end, the least that is possible, and the one by the other. */
  readonly makespan_ms?: number
  readonly lower_bound_ms?: number
  readonly makespan_ratio?: number
  /** Requests under way by the provider's limit, while anything due had not begun. */
  readonly utilisation?: number
  readonly work_ms?: number
  readonly gap_p50_ms?: number
  readonly gap_p99_ms?: number
  /** From when a realtime mail is due, or its event happened, to the start of the provider's request. */
  readonly realtime_p50_ms?: number
  readonly realtime_p99_ms?: number
  /** Lists uploaded, and questions asked about sends. */
  readonly lists?: number
  readonly polls?: number
  /** Of the provider's limits, and messages beyond the first to one recipient. */
  readonly violations?: number
  readonly duplicates?: number
  /** It was measured under the profiler. */
  readonly profiled?: boolean
}

/** What became of one goal of design/performance.md. */
export interface Verdict {
  readonly id: string
  readonly what: string
  readonly goal: string
  readonly reached: string
  readonly met: boolean
}

const numeric = [
  "per_s",
  "p50_ms",
  "p99_ms",
  "bytes_per_actor",
  "runner_us",
  "gateway_us",
  "postgres_us",
  "offered_per_s",
  "overloaded",
  "live_actors",
  "makespan_ms",
  "lower_bound_ms",
  "makespan_ratio",
  "utilisation",
  "work_ms",
  "gap_p50_ms",
  "gap_p99_ms",
  "realtime_p50_ms",
  "realtime_p99_ms",
  "lists",
  "polls",
  "violations",
  "duplicates"
] as const

const identity = ({ concurrency, n, peer, touch, workload }: Measurement): string =>
  [workload, peer, n, concurrency, touch].join("\t")

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

export const rounded = (value: number, digits = 3): number => Number(value.toFixed(digits))

export class Report {
  private readonly measurements: Array<Measurement> = []
  private readonly file: string | null
  constructor(file: string | null) {
    this.file = file
  }

  private print(line: object): void {
    const text = JSON.stringify(line)
    process.stdout.write(`${text}\n`)
    if (this.file !== null) appendFileSync(this.file, `${text}\n`)
  }

  add(measurement: Measurement): void {
    this.measurements.push(measurement)
    this.print(measurement)
  }

  /** The medians of what was repeated, in the order of first appearance; `ok` only if every repetition was. */
  medians(): ReadonlyArray<Measurement> {
    const groups = new Map<string, Array<Measurement>>()
    for (const each of this.measurements) {
      const group = groups.get(identity(each))
      if (group === undefined) groups.set(identity(each), [each])
      else group.push(each)
    }
    return [...groups.values()].map((group) => {
      const figures = numeric.flatMap((field) => {
        const values = group.map((each) => each[field]).filter((value) => value !== undefined)
        return values.length === 0 ? [] : [[field, rounded(median(values))] as const]
      })
      return { ...group[0]!, ...Object.fromEntries(figures), ok: group.every((each) => each.ok) }
    })
  }

  printMedians(): void {
    for (const each of this.medians()) this.print({ ...each, median: true })
  }

  /** The median line of a peer on a workload; throws when it was not measured. */
  find(
    peer: string,
    workload: string,
    where: Partial<Pick<Measurement, "n" | "concurrency" | "touch">> = {}
  ): Measurement {
    const found = this.medians().find((each) =>
      each.peer === peer && each.workload === workload &&
      (where.n === undefined || where.n === each.n) &&
      (where.concurrency === undefined || where.concurrency === each.concurrency) &&
      (where.touch === undefined || where.touch === each.touch)
    )
    if (found === undefined) throw new Error(`${peer} was not measured on ${workload}`)
    return found
  }
}

/** "3.4 x": how often `b` goes into `a`. */
const times = (ratio: number): string => `${ratio.toFixed(2)} x`

/** A goal of the shape "at least `least` times what `base` does". */
export const atLeast = (
  id: string,
  what: string,
  ours: Measurement,
  base: Measurement,
  least: number
): Verdict => {
  const ratio = (ours.per_s ?? 0) / (base.per_s ?? Number.NaN)
  return {
    id,
    what: `${what} (${ours.per_s ?? "?"} against ${base.per_s ?? "?"} of ${base.peer}, ${
      base.concurrency ?? "?"
    } callers)`,
    goal: `>= ${times(least)}`,
    reached: times(ratio),
    met: ratio >= least && ours.ok && base.ok
  }
}

/** A goal of the shape "at most so many". */
export const atMost = (id: string, what: string, value: number, most: number, unit: string, ok: boolean): Verdict => ({
  id,
  what,
  goal: `<= ${most} ${unit}`,
  reached: `${rounded(value, 2)} ${unit}`,
  met: value <= most && ok
})
