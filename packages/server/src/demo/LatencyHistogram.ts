/**
 * How long many things took, in a memory that does not grow with their number: counts per class of duration, each class 2%
 * wider than the one before. A quantile is therefore right to 2%.
 */

const growth = 1.02
const smallestMs = 0.01
/** Up to about an hour. */
const classes = 1_000

export interface Quantiles {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export class LatencyHistogram {
  private readonly counts = new Uint32Array(classes)
  private total = 0
  private max = 0

  record(ms: number): void {
    const place = Math.ceil(Math.log(Math.max(ms, smallestMs) / smallestMs) / Math.log(growth))
    const index = Math.min(classes - 1, place)
    this.counts[index] = (this.counts[index] ?? 0) + 1
    this.total++
    this.max = Math.max(this.max, ms)
  }

  /** The duration in ms that a share of all did not exceed; 0 when there were none. */
  quantile(share: number): number {
    const rank = Math.ceil(share * this.total)
    let seen = 0
    for (const [index, count] of this.counts.entries()) {
      seen += count
      if (seen >= rank && rank > 0) return Math.min(this.max, smallestMs * growth ** index)
    }
    return 0
  }

  quantiles(): Quantiles {
    const round = (ms: number) => Math.round(ms * 100) / 100
    return {
      count: this.total,
      p50: round(this.quantile(0.5)),
      p99: round(this.quantile(0.99)),
      max: round(this.max)
    }
  }
}
