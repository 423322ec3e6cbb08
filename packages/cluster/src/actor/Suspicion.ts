/**
 * How much one prober holds against one runner (R22). A refused connection says that nobody is there. Silence says less: the
 * runner may be slow, or the prober itself. So less is made of a miss when the prober was held up, and a runner that turned out to
 * be alive after it was taken for hung is given longer the next time: otherwise a busy cluster takes runner after runner out
 * of service, and the hand-offs make it busier still. Pure; one per runner, forgotten when the runner is gone.
 */

/** Misses in a row before a prober speaks up. */
export const missesMin = 2
/** As many at most where silence was a false alarm before. */
export const missesMax = 6
/** What each false alarm adds. */
const missesStep = 2
/** So many answers in a row take one false alarm back: about a minute of probes. */
export const calmProbes = 240

export type Miss =
  /** Nobody listens. */
  | "refused"
  /** No answer in time, though the prober was awake. */
  | "silent"
  /** No answer in time, and the prober itself was held up meanwhile: says little. */
  | "unsure"

export class Suspicion {
  private misses = 0
  private needed = missesMin
  private calm = 0
  private last: Miss | null = null

  /** Whether it is time to speak up. */
  missed(miss: Miss): boolean {
    this.last = miss
    this.calm = 0
    this.misses++
    return this.misses >= (miss === "refused" ? missesMin : miss === "silent" ? this.needed : missesMax)
  }

  /** `wasDown`: it was out of service. If for its silence, that was a false alarm; a refusal was none: somebody is there again. */
  answered(wasDown: boolean): void {
    if (wasDown && this.last !== "refused" && this.last !== null) {
      this.needed = Math.min(missesMax, this.needed + missesStep)
      this.calm = 0
    } else if (++this.calm >= calmProbes) {
      this.needed = Math.max(missesMin, this.needed - missesStep)
      this.calm = 0
    }
    this.misses = 0
    this.last = null
  }
}
