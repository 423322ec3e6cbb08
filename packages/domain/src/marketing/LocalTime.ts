/**
 * Wall-clock time in a member's zone, fast enough for every decision. A zone's offset is looked up once per UTC day and kept:
 * asking the time zone data takes 5 µs, a decision may take that long altogether. What is kept follows from the arguments
 * alone, so the functions are pure for all who call them.
 */
import { DateTime, Option } from "effect"

export const minuteMs = 60_000
export const hourMs = 3_600_000
export const dayMs = 86_400_000

/** Zones and days kept; past it everything is forgotten and looked up again. */
const zonesMax = 1_000
const daysMax = 4_000

interface Zone {
  readonly zone: DateTime.TimeZone
  /** Offset per UTC day (ms to add to UTC), or NaN for a day on which it changes. */
  readonly days: Map<number, number>
  /** Offsets per quarter of an hour, for days on which it changes: offsets change at whole quarters. */
  readonly quarters: Map<number, number>
}
const zones = new Map<string, Zone | null>()

const lookUp = (id: string): Zone | null => {
  const known = zones.get(id)
  if (known !== undefined) return known
  if (zones.size >= zonesMax) zones.clear()
  const zone = Option.match(DateTime.zoneFromString(id), {
    onNone: () => null,
    onSome: (zone): Zone => ({ zone, days: new Map(), quarters: new Map() })
  })
  zones.set(id, zone)
  return zone
}

/** Whether a text names a time zone: an IANA name or an offset such as `+09:00`. */
export const isZone = (id: string): boolean => lookUp(id) !== null

const measure = (zone: Zone, instant: number): number =>
  DateTime.zonedOffset(DateTime.unsafeMakeZoned(instant, { timeZone: zone.zone }))

/** ms to add to UTC for the local time of `zone` at `instant`; an unknown zone counts as UTC. */
export const offsetAt = (zoneId: string, instant: number): number => {
  const zone = lookUp(zoneId)
  if (zone === null) return 0
  const day = Math.floor(instant / dayMs)
  let offset = zone.days.get(day)
  if (offset === undefined) {
    if (zone.days.size >= daysMax) zone.days.clear()
    offset = measure(zone, day * dayMs)
    if (measure(zone, (day + 1) * dayMs) !== offset) offset = Number.NaN
    zone.days.set(day, offset)
  }
  if (!Number.isNaN(offset)) return offset
  const quarter = Math.floor(instant / (15 * minuteMs))
  let exact = zone.quarters.get(quarter)
  if (exact === undefined) {
    if (zone.quarters.size >= daysMax) zone.quarters.clear()
    exact = measure(zone, quarter * 15 * minuteMs)
    zone.quarters.set(quarter, exact)
  }
  return exact
}

/** Local wall-clock time as ms since the local epoch: the number that the same clock would show in UTC. */
export const localAt = (zone: string, instant: number): number => instant + offsetAt(zone, instant)

/** Minute of the local day, 0 to 1439. */
export const localMinute = (zone: string, instant: number): number => {
  const local = localAt(zone, instant)
  return Math.floor((local - Math.floor(local / dayMs) * dayMs) / minuteMs)
}

/** Hour of the local day, 0 to 23. */
export const localHour = (zone: string, instant: number): number => Math.floor(localMinute(zone, instant) / 60)

/**
 * The instants at which a clock in `zone` shows `local` (ms since the local epoch). It is one as a rule; where the clock is
 * set back it shows the time twice (`first` < `last`); where it is set forward it never does, and `first` and `last` are the
 * readings by the offset after and before the change, on either side of it.
 */
export const instantsOf = (zone: string, local: number): { readonly first: number; readonly last: number } => {
  const before = local - offsetAt(zone, local - dayMs)
  const after = local - offsetAt(zone, local + dayMs)
  if (before === after) return { first: before, last: before }
  const shownBefore = localAt(zone, before) === local
  const shownAfter = localAt(zone, after) === local
  if (shownBefore === shownAfter) return { first: Math.min(before, after), last: Math.max(before, after) }
  const only = shownBefore ? before : after
  return { first: only, last: only }
}
