/**
 * Callers. A closed loop: so many callers, each calls again once it is answered; it finds the most that a system can do. An
 * open loop: callers arrive at a given rate whether or not the earlier ones are answered, and a call's time counts from
 * when it should have begun; it finds how long shoppers wait.
 */
import { commandIdFrom } from "@hikyaku/domain/Identifier"

/** One cart line to add; what is being called takes it in and tells the outcome's tag. Must not throw. */
export interface Line {
  readonly ticket: string
  readonly product: string
  readonly member: string
}
export type Add = (line: Line, done: (outcome: string) => void) => void

/** Where the adds of a stream go: products `${prefix}0` to `${prefix}${products - 1}`, in turn. */
export interface Stream {
  readonly prefix: string
  readonly products: number
  /** Products that are called; without it all of them. */
  readonly only?: ReadonlyArray<number>
}
export interface Closed extends Stream {
  readonly n: number
  readonly concurrency: number
}
export interface Open extends Stream {
  readonly perSecond: number
  readonly seconds: number
}

export interface Loaded {
  readonly ms: number
  /** ms per call, in the order of the calls; NaN for a call that was answered that there is no room. */
  readonly latencies: Float64Array
  /** How often which outcome came. */
  readonly outcomes: Readonly<Record<string, number>>
}

/** Not answered, but turned away. */
export const overloadedTag = "Overloaded"

const lineOf = ({ only, prefix, products }: Stream, i: number): Line => ({
  ticket: commandIdFrom(Date.now(), Math.random(), Math.random(), Math.random()),
  product: `${prefix}${only === undefined ? i % products : only[i % only.length]!}`,
  member: `m${i}`
})

export const closed = (add: Add, load: Closed): Promise<Loaded> =>
  new Promise((resolve) => {
    const { concurrency, n } = load
    const latencies = new Float64Array(n)
    const outcomes: Record<string, number> = {}
    let next = 0
    let left = n
    const start = performance.now()
    const caller = () => {
      const i = next++
      if (i >= n) return
      const begun = performance.now()
      add(lineOf(load, i), (outcome) => {
        latencies[i] = outcome === overloadedTag ? Number.NaN : performance.now() - begun
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
        left--
        if (left === 0) resolve({ ms: performance.now() - start, latencies, outcomes })
        else caller()
      })
    }
    for (let i = 0; i < Math.min(concurrency, n); i++) caller()
  })

/** How often the arrivals of an open loop are looked at, ms; it adds as much to what is measured, at most. */
const tick = 1
/** How long after the last arrival answers are waited for, ms. */
const patience = 10_000

/** Several streams at once, each at its own rate. */
export const open = (add: Add, loads: ReadonlyArray<Open>): Promise<ReadonlyArray<Loaded>> =>
  new Promise((resolve) => {
    const start = performance.now()
    const streams = loads.map((load) => {
      const n = Math.floor(load.perSecond * load.seconds)
      return {
        load,
        n,
        sent: 0,
        left: n,
        latencies: new Float64Array(n),
        open: new Map<number, number>(),
        outcomes: {} as Record<string, number>
      }
    })
    let timer: NodeJS.Timeout | undefined
    let finished = false
    const finish = () => {
      finished = true
      clearTimeout(timer)
      const now = performance.now()
      resolve(streams.map(({ latencies, left, load, open, outcomes }) => {
        // Whoever is not answered by now has waited at least so long.
        for (const [i, due] of open) latencies[i] = now - due
        return {
          ms: load.seconds * 1000,
          latencies,
          outcomes: left === 0 ? outcomes : { ...outcomes, Unanswered: left }
        }
      }))
    }
    const arrive = (stream: (typeof streams)[number]) => {
      const { latencies, load, open, outcomes } = stream
      const i = stream.sent++
      const due = start + i / load.perSecond * 1000
      latencies[i] = Number.NaN
      open.set(i, due)
      add(lineOf(load, i), (outcome) => {
        if (finished) return
        open.delete(i)
        if (outcome !== overloadedTag) latencies[i] = performance.now() - due
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
        stream.left--
        if (streams.every((each) => each.left === 0)) finish()
      })
    }
    const arrivals = () => {
      const now = performance.now() - start
      for (const stream of streams) {
        const due = Math.min(stream.n, Math.floor(now * stream.load.perSecond / 1000) + 1)
        while (stream.sent < due) arrive(stream)
      }
      if (streams.some((each) => each.sent < each.n)) timer = setTimeout(arrivals, tick)
      else if (!finished) timer = setTimeout(finish, patience)
    }
    arrivals()
  })

/** A percentile (0 to 1) of the calls that were answered, ms. */
export const percentile = (latencies: Float64Array, p: number): number => {
  const answered = latencies.filter((each) => !Number.isNaN(each)).sort()
  return answered.length === 0 ? Number.NaN : answered[Math.min(answered.length - 1, Math.floor(answered.length * p))]!
}

/** Several callers' parts of one load as one, from their first call to their last answer. */
export const together = (parts: ReadonlyArray<Loaded>, ms: number): Loaded => {
  const latencies = new Float64Array(parts.reduce((sum, part) => sum + part.latencies.length, 0))
  const outcomes: Record<string, number> = {}
  let at = 0
  for (const part of parts) {
    latencies.set(part.latencies, at)
    at += part.latencies.length
    for (const [tag, count] of Object.entries(part.outcomes)) outcomes[tag] = (outcomes[tag] ?? 0) + count
  }
  return { ms, latencies, outcomes }
}
