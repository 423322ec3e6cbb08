/** Randomness that a seed decides: the same seed gives the same numbers in every run (R24). */
import { fingerprint } from "./Fingerprint.ts"

export interface SeededRandom {
  /** In [0, 1). */
  readonly next: () => number
  /** An integer in [from, to]. */
  readonly between: (from: number, to: number) => number
  readonly chance: (probability: number) => boolean
  /** How many arrivals, when `mean` are expected. */
  readonly poisson: (mean: number) => number
  readonly pick: <A>(choices: readonly [A, ...ReadonlyArray<A>]) => A
}

/** sfc32, which passes the usual statistical batteries. */
export const makeSeededRandom = (seed: string): SeededRandom => {
  let [a, b, c, d] = fingerprint(seed)
  const next = (): number => {
    const sum = (((a + b) | 0) + d) | 0
    d = (d + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
  // The first numbers still resemble the seed.
  for (let i = 0; i < 16; i++) next()

  /** Knuth's product of uniforms; exp(-mean) must not underflow, hence parts of at most 16. */
  const poisson = (mean: number): number => {
    let count = 0
    for (let rest = mean; rest > 0; rest -= 16) {
      const floor = Math.exp(-Math.min(rest, 16))
      for (let product = next(); product > floor; product *= next()) count += 1
    }
    return count
  }

  return {
    next,
    between: (from, to) => from + Math.floor(next() * (to - from + 1)),
    chance: (probability) => next() < probability,
    poisson,
    pick: (choices) => choices[Math.floor(next() * choices.length)] ?? choices[0]
  }
}

/** Ranks 0 to `count - 1`, rank r drawn with a probability proportional to 1 / (r + 1) ^ exponent. */
export interface Zipf {
  readonly draw: (random: SeededRandom) => number
  readonly probability: (rank: number) => number
}

export const makeZipf = (count: number, exponent: number): Zipf => {
  const sums = new Float64Array(count)
  let total = 0
  for (let rank = 0; rank < count; rank++) {
    total += (rank + 1) ** -exponent
    sums[rank] = total
  }
  return {
    draw: (random) => {
      const wanted = random.next() * total
      let low = 0
      let high = count - 1
      while (low < high) {
        const middle = (low + high) >>> 1
        if ((sums[middle] ?? total) > wanted) high = middle
        else low = middle + 1
      }
      return low
    },
    probability: (rank) => (rank + 1) ** -exponent / total
  }
}
