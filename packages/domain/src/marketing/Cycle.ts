/**
 * When a scheduled campaign's next cycle is due: a cron expression by the clock on the wall of a time zone. Where the clock
 * is set forward a cycle that the clock skips is due as much later; where it is set back the repeated hour counts once.
 */
import { Cron, Either } from "effect"
import { isZone } from "./LocalTime.ts"

/** A cron expression of five fields: minute, hour, day of month, month, day of week. */
export interface Cycle {
  readonly cron: Cron.Cron
  readonly source: string
  readonly zone: string
}

export interface CycleFault {
  readonly message: string
  readonly hint: string | null
}

/** Steps tried to get past an hour that the clock shows twice: three hours in quarters. */
const stepsMax = 12
const stepMs = 15 * 60_000

/** Crons kept parsed; past it all are parsed anew when needed. */
const cyclesMax = 1_000
const known = new Map<string, Either.Either<Cycle, CycleFault>>()

/** Reads a cron expression. It is a fault if it names a day that never comes. */
export const parseCycle = (source: string, zone: string): Either.Either<Cycle, CycleFault> => {
  const key = `${zone} ${source}`
  const before = known.get(key)
  if (before !== undefined) return before
  const cycle = parse(source, zone)
  if (known.size >= cyclesMax) known.clear()
  known.set(key, cycle)
  return cycle
}

const parse = (source: string, zone: string): Either.Either<Cycle, CycleFault> => {
  if (!isZone(zone)) return Either.left({ message: `${zone} is not a time zone`, hint: "e.g. Asia/Tokyo" })
  const fields = source.trim().split(/\s+/u).length
  if (fields !== 5) {
    return Either.left({
      message: `${fields} fields`,
      hint: "five are needed: minute, hour, day of month, month, day of week; e.g. 0 9 * * 1 for Mondays at 9"
    })
  }
  const cron = Cron.parse(source, zone)
  if (Either.isLeft(cron)) return Either.left({ message: cron.left.message, hint: "e.g. 0 9 * * 1 for Mondays at 9" })
  const cycle: Cycle = { cron: cron.right, source, zone }
  return cycleAfter(cycle, 1_735_689_600_000) === null
    ? Either.left({ message: "this day never comes", hint: null })
    : Either.right(cycle)
}

/** The first cycle after an instant, ms since the epoch, or null if there is none. */
export const cycleAfter = (cycle: Cycle, instant: number): number | null => {
  try {
    for (let step = 0; step <= stepsMax; step++) {
      // In the second showing of an hour the library finds its first, which lies in the past.
      const next = Cron.next(cycle.cron, instant + step * stepMs).getTime()
      if (next > instant) return next
    }
    return null
  } catch {
    return null
  }
}

/**
 * What is due at `now` of a schedule whose next cycle was to be at `next`: the earliest cycle that is still worth running,
 * not older than `lateMax` ms, or null; and the one after `now`. Cycles in between are skipped: a scheduler that was away
 * for weeks does not send weeks of mail.
 */
export const dueCycle = (
  cycle: Cycle,
  next: number,
  now: number,
  lateMax: number
): { readonly cycle: number | null; readonly next: number | null } => {
  const first = next >= now - lateMax ? next : cycleAfter(cycle, Math.max(next, now - lateMax - 1))
  return { cycle: first !== null && first <= now ? first : null, next: cycleAfter(cycle, now) }
}
