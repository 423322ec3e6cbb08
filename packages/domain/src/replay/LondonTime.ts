/**
 * The United Kingdom's wall clock to instants. The rule in force since 1996, written out because the domain asks no clock
 * and no zone database: summer time (+1 h) from the last Sunday of March, 01:00 UTC, to the last Sunday of October, 01:00 UTC.
 */

const hourMs = 3_600_000
export const dayMs = 24 * hourMs

/** A wall-clock reading: ms since the epoch as if the wall clock showed UTC. */
export interface WallClock {
  readonly year: number
  readonly ms: number
}

const pattern = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})$/

/** Reads `YYYY-MM-DD HH:MM:SS`; undefined if it is not one or names a day or hour that does not exist. */
export const readWallClock = (text: string): WallClock | undefined => {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number
  ]
  if (year < 1996 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return undefined
  if (day > daysIn(year, month)) return undefined
  return { year, ms: Date.UTC(year, month - 1, day, hour, minute, second) }
}

const daysIn = (year: number, month: number): number =>
  (Date.UTC(year, month, 1) - Date.UTC(year, month - 1, 1)) / dayMs

/** 01:00 UTC on the last Sunday of a month (1 to 12) of 31 days. */
const lastSundayAtOne = (year: number, month: number): number => {
  const last = Date.UTC(year, month - 1, 31)
  // 1970-01-01 was a Thursday: day 3 of the epoch is a Sunday.
  const sinceSunday = (last / dayMs + 4) % 7
  return last - sinceSunday * dayMs + hourMs
}

/** The instants at which London's clocks showed this, ascending: none in the lost hour of spring, two in the hour of autumn. */
export const londonInstants = ({ ms, year }: WallClock): ReadonlyArray<number> => {
  const summerBegins = lastSundayAtOne(year, 3)
  const summerEnds = lastSundayAtOne(year, 10)
  const isSummer = (instant: number) => instant >= summerBegins && instant < summerEnds
  const instants: Array<number> = []
  if (isSummer(ms - hourMs)) instants.push(ms - hourMs)
  if (!isSummer(ms)) instants.push(ms)
  return instants
}
