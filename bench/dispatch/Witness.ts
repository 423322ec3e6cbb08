/** What the sandbox's own record says of a sender: how long, how full, who waited, what went wrong. */
import { readFileSync } from "node:fs"
import * as path from "node:path"

export interface Testimony {
  /** From the start to the end of the last request, ms. */
  readonly makespanMs: number
  /** Requests under way by the limit, while anything due had not begun. */
  readonly utilisation: number
  /** From when a delivery was due to the start of its upload, ms, in ascending order. */
  readonly realtimeMs: ReadonlyArray<number>
  readonly batchMs: ReadonlyArray<number>
  readonly lists: number
  readonly polls: number
  readonly violations: number
  /** Most requests under way at one time. */
  readonly peak: number
  /** From the end of a request to the start of the next one in its place, while anything due had not begun; ascending, ms. */
  readonly gapsMs: ReadonlyArray<number>
  /**
   * The same at any time, from the first due on: a place without a request, and how much of that was while something was due
   * and outside failovers.
   */
  readonly idle: ReadonlyArray<{ readonly from: number; readonly until: number; readonly dueMs: number }>
  /** Requests under way, and deliveries that were due and had not begun, from each instant until the next. */
  readonly course: ReadonlyArray<{ readonly at: number; readonly busy: number; readonly waiting: number }>
  /** What the requests took in all by the provider's own record, divided by the limit, ms: no sender could be faster. */
  readonly workMs: number
  readonly duplicates: number
  readonly mailed: number
}

interface Entry {
  readonly t: string
  readonly n: number
  readonly at: number
  readonly op?: string
  readonly breach?: unknown
  readonly rows?: ReadonlyArray<readonly [string, string, string?]>
  readonly uploadId?: string
  readonly mailKey?: string
}

export const percentile = (sorted: ReadonlyArray<number>, p: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? Number.NaN

const entriesOf = (folder: string): Array<Entry> =>
  readFileSync(path.join(folder, "provider.ndjson"), "utf8").split("\n").slice(0, -1).map((line): Entry =>
    JSON.parse(line)
  )

/**
 * Reads the record in this folder. `due`: instant (ms since the epoch) at which each delivery was due; `startAt`: when the
 * first one was. `failovers`: spans in which slots are withheld since nobody knows of their requests; utilisation and
 * the waits that touch them leave them out, everything else counts them.
 */
export const testimony = (
  folder: string,
  due: ReadonlyMap<string, { readonly at: number; readonly class: "batch" | "realtime" }>,
  startAt: number,
  concurrency: number,
  failovers: ReadonlyArray<{ readonly at: number; readonly until: number }> = []
): Testimony => {
  const failsOver = (at: number) => failovers.some((span) => at >= span.at && at < span.until)
  const entries = entriesOf(folder)
  const starts = new Map<number, Entry>()
  const copies = new Map<string, number>()
  const uploads = new Map<string, Entry>()
  const waits = { batch: [] as Array<number>, realtime: [] as Array<number> }
  const changes: Array<{ readonly at: number; readonly busy: number; readonly waiting: number }> = []
  const begun = new Set<string>()
  let [lists, polls, violations, endAt] = [0, 0, 0, startAt]
  for (const entry of entries) {
    const { at, n, t } = entry
    // What the provider was asked before does not count.
    if (at < startAt) continue
    if (t === "start") {
      if (entry.breach !== undefined) violations++
      else {
        starts.set(n, entry)
        changes.push({ at, busy: 1, waiting: 0 })
        if (entry.op === "status") polls++
      }
    } else if (t === "end" && starts.has(n)) {
      changes.push({ at, busy: -1, waiting: 0 })
      endAt = Math.max(endAt, at)
    } else if (t === "list") {
      lists++
      uploads.set(`u-${n}`, entry)
      const from = starts.get(n)?.at ?? at
      for (const [id] of entry.rows ?? []) {
        const was = due.get(id)
        if (was === undefined || begun.has(id)) continue
        begun.add(id)
        if (!failovers.some((span) => was.at < span.until && from > span.at)) {
          waits[was.class].push(Math.max(0, from - was.at))
        }
        changes.push({ at: was.at, busy: 0, waiting: 1 }, { at: Math.max(from, was.at), busy: 0, waiting: -1 })
      }
    } else if (t === "send" && entry.uploadId !== undefined) {
      const upload = uploads.get(entry.uploadId)
      for (const [, address, mail] of upload?.rows ?? []) {
        const key = `${mail ?? upload?.mailKey}/${address.toLowerCase()}`
        copies.set(key, (copies.get(key) ?? 0) + 1)
      }
    }
  }
  let [busy, waiting, last, possible, used, peak, worked] = [0, 0, startAt, 0, 0, 0, 0]
  const gapsMs: Array<number> = []
  const idle: Array<Testimony["idle"][number]> = []
  const course: Array<Testimony["course"][number]> = []
  /** When the places that are free became so, the first first, and how long something had been due by then. */
  const freed: Array<{ readonly at: number; readonly dueMs: number }> = Array.from(
    { length: concurrency },
    () => ({ at: startAt, dueMs: 0 })
  )
  let dueMs = 0
  // Where a span begins or ends, something is looked at, so that no stretch lies half in it.
  for (const { at, until } of failovers) changes.push({ at, busy: 0, waiting: 0 }, { at: until, busy: 0, waiting: 0 })
  for (const change of changes.toSorted((a, b) => a.at - b.at)) {
    if (waiting > 0 && !failsOver(last)) {
      dueMs += change.at - last
      possible += (change.at - last) * concurrency
      used += (change.at - last) * busy
    }
    worked += (change.at - last) * busy
    last = change.at
    busy += change.busy
    peak = Math.max(peak, busy)
    if (change.busy < 0) freed.push({ at: change.at, dueMs })
    else if (change.busy > 0) {
      const free = freed.shift()
      if (free !== undefined) {
        idle.push({ from: free.at, until: change.at, dueMs: dueMs - free.dueMs })
        // A place that was never used yet has no request before it.
        if (free.at > startAt && waiting > 0 && !failsOver(free.at)) gapsMs.push(change.at - free.at)
      }
    }
    waiting += change.waiting
    course.push({ at: change.at, busy, waiting })
  }
  return {
    makespanMs: endAt - startAt,
    utilisation: possible === 0 ? 1 : used / possible,
    realtimeMs: waits.realtime.toSorted((a, b) => a - b),
    batchMs: waits.batch.toSorted((a, b) => a - b),
    lists,
    polls,
    violations,
    peak,
    gapsMs: gapsMs.toSorted((a, b) => a - b),
    idle,
    course,
    workMs: worked / concurrency,
    duplicates: [...copies.values()].reduce((sum, count) => sum + count - 1, 0),
    mailed: copies.size
  }
}

/** When the first upload with each address started, ms since the epoch. */
export const uploadStarts = (folder: string): ReadonlyMap<string, number> => {
  const starts = new Map<number, number>()
  const seen = new Map<string, number>()
  for (const { at, n, rows, t } of entriesOf(folder)) {
    if (t === "start") starts.set(n, at)
    else if (t === "list") {
      for (const [, address] of rows ?? []) if (!seen.has(address)) seen.set(address, starts.get(n) ?? at)
    }
  }
  return seen
}
