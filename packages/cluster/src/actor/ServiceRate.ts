/**
 * How fast something is served, measured: what an honest time to try again and an estimate for those who wait rest on. Time
 * is given from outside, in monotonic ms.
 */

/** ms over which the rate is measured. */
const window = 1_000
/** The first window may be judged after so many ms. */
const youngest = 100
/** Told where nothing has been served of late, so that nothing can be said, ms. */
const retryUnknown = 1_000
/** Bounds of what is told, ms. */
const retryMin = 50
const retryMax = 10_000

export class ServiceRate {
  private served = 0
  private since: number | null = null
  private rate = 0

  /** So many more were served. */
  count(now: number, served = 1): void {
    this.roll(now)
    this.served += served
  }

  /** Served per ms of late; null: nothing is known. */
  perMs(now: number): number | null {
    this.roll(now)
    if (this.rate > 0) return this.rate
    const elapsed = now - (this.since ?? now)
    return elapsed >= youngest && this.served > 0 ? this.served / elapsed : null
  }

  /** ms until half of what waits has been served at this rate. */
  retryAfter(waiting: number, now: number): number {
    const rate = this.perMs(now)
    if (rate === null) return retryUnknown
    return Math.round(Math.min(retryMax, Math.max(retryMin, waiting / 2 / rate)))
  }

  private roll(now: number): void {
    this.since ??= now
    const elapsed = now - this.since
    if (elapsed < window) return
    // After a pause the rate of the time before says nothing.
    this.rate = elapsed < 2 * window ? this.served / elapsed : 0
    this.served = 0
    this.since = now
  }
}
