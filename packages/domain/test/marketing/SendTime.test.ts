import type { Interval } from "@hikyaku/domain/marketing/FrequencyCap"
import {
  dayMs,
  hourMs,
  instantsOf,
  isZone,
  localHour,
  localMinute,
  minuteMs,
  offsetAt
} from "@hikyaku/domain/marketing/LocalTime"
import {
  chooseTime,
  DailyHours,
  stretches,
  stretchMinMs,
  type TimeTerms,
  type Timing
} from "@hikyaku/domain/marketing/SendTime"
import { Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

/** Local time by another way than the code under test: what the platform prints. */
const shown = (zone: string, instant: number): { readonly date: string; readonly minute: number } => {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23"
  }).formatToParts(instant)
  const of = (type: string) => Number(parts.find((part) => part.type === type)?.value)
  return { date: `${of("year")}-${of("month")}-${of("day")}`, minute: of("hour") * 60 + of("minute") }
}
const utc = (text: string): number => Date.parse(`${text}Z`)

// Set forward and back by an hour, by half an hour, at midnight; whole, half and quarter offsets.
const zones = [
  "America/New_York",
  "Europe/Athens",
  "Asia/Tokyo",
  "Australia/Lord_Howe",
  "America/Havana",
  "Asia/Kathmandu",
  "America/St_Johns",
  "Africa/Cairo"
]
const newYork = "America/New_York"
const athens = "Europe/Athens"
// In 2025 New York changes on 9 March (07:00Z) and 2 November (06:00Z), Athens on 30 March and 26 October (01:00Z both).
const changes = [utc("2025-03-09T07:00"), utc("2025-11-02T06:00"), utc("2025-03-30T01:00"), utc("2025-10-26T01:00")]

const instant = fc.oneof(
  fc.integer({ min: utc("2024-01-01T00:00"), max: utc("2027-01-01T00:00") }),
  fc.tuple(fc.constantFrom(...changes), fc.integer({ min: -36 * 60, max: 36 * 60 })).map(([at, minutes]) =>
    at + minutes * minuteMs
  )
)
const hours = fc.tuple(fc.integer({ min: 0, max: 1439 }), fc.integer({ min: 0, max: 1440 })).filter(([a, b]) => a !== b)
  .map(([from, to]): DailyHours => ({ from, to }))
const inside = ({ from, to }: DailyHours, minute: number): boolean =>
  from < to ? minute >= from && minute < to : minute >= from || minute < to

const terms = (change: Partial<TimeTerms> = {}): TimeTerms => ({
  timePolicy: { _tag: "Immediate" },
  outsideHours: "hold",
  ...change
})
const night: DailyHours = { from: 22 * 60, to: 8 * 60 }
const timed = (timing: Timing): Interval => {
  if (timing._tag === "NoTime") throw new Error(timing.why)
  return timing
}

describe("local time", () => {
  it("agrees with the platform in every zone, around every change of the clock", () => {
    fc.assert(
      fc.property(fc.constantFrom(...zones), instant, (zone, at) => {
        expect(localMinute(zone, at)).toBe(shown(zone, at).minute)
      }),
      { numRuns: 500 }
    )
  })

  it("knows which instants a clock shows twice, once and never", () => {
    // 01:30 on 2 November is shown at 05:30Z (summer) and 06:30Z.
    expect(instantsOf(newYork, utc("2025-11-02T01:30"))).toEqual({
      first: utc("2025-11-02T05:30"),
      last: utc("2025-11-02T06:30")
    })
    // 02:30 on 9 March is never shown: the readings lie on both sides of 07:00Z.
    expect(instantsOf(newYork, utc("2025-03-09T02:30"))).toEqual({
      first: utc("2025-03-09T06:30"),
      last: utc("2025-03-09T07:30")
    })
    expect(instantsOf(athens, utc("2025-03-30T12:00"))).toEqual({
      first: utc("2025-03-30T09:00"),
      last: utc("2025-03-30T09:00")
    })
    expect(instantsOf("Asia/Tokyo", utc("2025-06-01T09:00")).first).toBe(utc("2025-06-01T00:00"))
  })

  it("tells zones from other text, and takes an unknown one for UTC", () => {
    expect(["Asia/Tokyo", "America/New_York", "+09:00", "UTC"].map(isZone)).toEqual([true, true, true, true])
    expect(["", "Tokyo", "Asia/Tokio", "東京", "../etc"].map(isZone)).toEqual([false, false, false, false, false])
    expect(offsetAt("Nowhere/At_All", 0)).toBe(0)
    expect(offsetAt("+09:00", 0)).toBe(9 * hourMs)
  })
})

describe("sending times", () => {
  it("never lie in quiet or outside delivery hours by the member's clock, whatever the clock does", () => {
    const seen = { timed: 0, held: 0 }
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        instant,
        fc.integer({ min: 0, max: 60 * 60 }),
        fc.option(hours, { nil: undefined }),
        fc.option(hours, { nil: undefined }),
        fc.constantFrom<TimeTerms["timePolicy"]>(
          { _tag: "Immediate" },
          { _tag: "BestHour" },
          { _tag: "Slots", hours: [9, 12, 18] }
        ),
        fc.array(fc.nat({ max: 9 }), { minLength: 24, maxLength: 24 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (zone, from, minutes, quietHours, deliveryHours, timePolicy, responses, share) => {
          const interval = { notBefore: from, deadline: from + minutes * minuteMs }
          const timing = chooseTime(
            terms({ timePolicy, ...(quietHours && { quietHours }), ...(deliveryHours && { deliveryHours }) }),
            zone,
            responses,
            interval
          )
          if (timing._tag === "NoTime") return
          seen.timed++
          if (timing.notBefore > from) seen.held++
          expect(timing.notBefore).toBeGreaterThanOrEqual(interval.notBefore)
          expect(timing.deadline).toBeLessThanOrEqual(interval.deadline)
          expect(timing.deadline).toBeGreaterThanOrEqual(timing.notBefore)
          const between = Math.floor(timing.notBefore + share * (timing.deadline - timing.notBefore))
          for (const at of [timing.notBefore, between, timing.deadline]) {
            const { minute } = shown(zone, at)
            if (quietHours !== undefined) expect(inside(quietHours, minute)).toBe(false)
            if (deliveryHours !== undefined) expect(inside(deliveryHours, minute)).toBe(true)
          }
        }
      ),
      { numRuns: 1_000 }
    )
    expect(seen.timed).toBeGreaterThan(200)
    expect(seen.held).toBeGreaterThan(100)
  })

  it("leave out no allowed minute where the clock stands still or runs evenly", () => {
    fc.assert(
      fc.property(instant, fc.integer({ min: 0, max: 3 * 24 * 60 }), hours, (from, minutes, quietHours) => {
        const interval = { notBefore: from, deadline: from + minutes * minuteMs }
        const open = stretches(terms({ quietHours }), "Asia/Tokyo", interval)
        for (let at = interval.notBefore; at <= interval.deadline; at += 7 * minuteMs) {
          const allowed = !inside(quietHours, localMinute("Asia/Tokyo", at))
          expect(open.some((stretch) => at >= stretch.notBefore && at <= stretch.deadline)).toBe(allowed)
        }
      }),
      { numRuns: 100 }
    )
  })

  it("are held over the night, into the morning of the member and not of the shop", () => {
    // 23:00 in Tokyo is 10:00 in New York.
    const interval = { notBefore: utc("2025-06-02T14:00"), deadline: utc("2025-06-03T14:00") }
    const quiet = terms({ quietHours: night })
    expect(timed(chooseTime(quiet, "Asia/Tokyo", null, interval))).toMatchObject({
      notBefore: utc("2025-06-02T23:00"),
      deadline: utc("2025-06-03T13:00") - 1,
      why: "held until 08:00"
    })
    expect(timed(chooseTime(quiet, newYork, null, interval))).toMatchObject({
      notBefore: interval.notBefore,
      deadline: utc("2025-06-03T02:00") - 1,
      why: null
    })
  })

  it("are 8 o'clock in the morning on both sides of a change in New York and in Athens", () => {
    const quiet = terms({ quietHours: night })
    const morning = (zone: string, evening: string) =>
      timed(chooseTime(quiet, zone, null, { notBefore: utc(evening), deadline: utc(evening) + dayMs })).notBefore
    // Forward: the night is an hour shorter. Back: an hour longer.
    expect(morning(newYork, "2025-03-08T04:00")).toBe(utc("2025-03-08T13:00"))
    expect(morning(newYork, "2025-03-09T04:00")).toBe(utc("2025-03-09T12:00"))
    expect(morning(newYork, "2025-11-02T03:00")).toBe(utc("2025-11-02T13:00"))
    expect(morning(athens, "2025-03-29T21:00")).toBe(utc("2025-03-30T05:00"))
    expect(morning(athens, "2025-10-25T20:00")).toBe(utc("2025-10-26T06:00"))
  })

  it("open after the second and close before the first showing of a time that the clock shows twice", () => {
    const day = { notBefore: utc("2025-11-02T04:00"), deadline: utc("2025-11-02T15:00") }
    const opens = stretches(terms({ quietHours: { from: 0, to: 90 } }), newYork, day)
    expect(opens[0]?.notBefore).toBe(utc("2025-11-02T06:30"))
    const closes = stretches(terms({ deliveryHours: { from: 0, to: 90 } }), newYork, day)
    expect(closes).toEqual([{ notBefore: day.notBefore, deadline: utc("2025-11-02T05:30") - 1 }])
  })

  it("take a fixed slot once a day, also on a day on which the clock skips or repeats it", () => {
    const slots = terms({ timePolicy: { _tag: "Slots", hours: [2] } })
    const on = (evening: string) =>
      timed(chooseTime(slots, newYork, null, { notBefore: utc(evening), deadline: utc(evening) + dayMs })).notBefore
    // 02:00 on 9 March does not exist: right after the change, at 03:00.
    expect(on("2025-03-09T02:00")).toBe(utc("2025-03-09T07:00"))
    const repeated = terms({ timePolicy: { _tag: "Slots", hours: [1] } })
    const night = { notBefore: utc("2025-11-02T03:00"), deadline: utc("2025-11-02T20:00") }
    expect(timed(chooseTime(repeated, newYork, null, night)).notBefore).toBe(utc("2025-11-02T05:00"))
    expect(on("2025-06-01T12:00")).toBe(utc("2025-06-02T06:00"))
  })

  it("are the next of the shop's slots, or none when the deadline comes first", () => {
    const slots = terms({ timePolicy: { _tag: "Slots", hours: [9, 12, 18] } })
    const from = utc("2025-06-02T01:00") // 10:00 in Tokyo
    expect(timed(chooseTime(slots, "Asia/Tokyo", null, { notBefore: from, deadline: from + dayMs }))).toMatchObject({
      notBefore: utc("2025-06-02T03:00"),
      why: "slot 12:00"
    })
    expect(chooseTime(slots, "Asia/Tokyo", null, { notBefore: from, deadline: from + hourMs })).toMatchObject({
      _tag: "NoTime",
      reason: "NoSlot"
    })
  })

  it("are the hour in which the member responds, within what is allowed", () => {
    const best = terms({ timePolicy: { _tag: "BestHour" }, quietHours: night })
    const counts = (hour: number, n: number) => Array.from({ length: 24 }, (_, i) => i === hour ? n : 0)
    const from = utc("2025-06-02T01:00")
    const interval = { notBefore: from, deadline: from + dayMs }
    const evening = timed(chooseTime(best, "Asia/Tokyo", counts(20, 5), interval))
    expect(localHour("Asia/Tokyo", evening.notBefore)).toBe(20)
    expect(evening).toMatchObject({ why: "reads at 20:00 (5 of 5 responses)", deadline: utc("2025-06-02T13:00") - 1 })
    // Who reads at night gets it in the evening hour next to it, never at night.
    const owl = timed(chooseTime(best, "Asia/Tokyo", counts(22, 5), interval))
    expect(localHour("Asia/Tokyo", owl.notBefore)).toBe(21)
    // Too few responses to tell.
    expect(timed(chooseTime(best, "Asia/Tokyo", counts(20, 2), interval)).notBefore).toBe(from)
    expect(timed(chooseTime(best, "Asia/Tokyo", null, interval)).notBefore).toBe(from)
  })

  it("are refused outside their hours where the campaign says drop, and held where it says hold", () => {
    const from = utc("2025-06-02T14:00")
    const interval = { notBefore: from, deadline: from + dayMs }
    const quiet = { quietHours: night }
    expect(chooseTime(terms({ ...quiet, outsideHours: "drop" }), "Asia/Tokyo", null, interval)).toMatchObject({
      reason: "QuietHours"
    })
    const delivery = { deliveryHours: { from: 540, to: 1080 } }
    expect(chooseTime(terms({ ...delivery, outsideHours: "drop" }), "Asia/Tokyo", null, interval)).toMatchObject({
      reason: "OutsideHours"
    })
    expect(chooseTime(terms(delivery), "Asia/Tokyo", null, interval)._tag).toBe("Timed")
    expect(chooseTime(terms(quiet), "Asia/Tokyo", null, { notBefore: from, deadline: from + hourMs })).toMatchObject({
      reason: "QuietHours"
    })
  })

  it("pass over a remainder too short to be used, but not when there is nothing else", () => {
    // 21:50 in Tokyo: ten minutes before the night.
    const from = utc("2025-06-02T12:50")
    const quiet = terms({ quietHours: night })
    expect(timed(chooseTime(quiet, "Asia/Tokyo", null, { notBefore: from, deadline: from + dayMs })).notBefore)
      .toBe(utc("2025-06-02T23:00"))
    expect(timed(chooseTime(quiet, "Asia/Tokyo", null, { notBefore: from, deadline: from + hourMs })).notBefore).toBe(
      from
    )
    expect(stretchMinMs).toBe(15 * minuteMs)
  })

  it("have no time at all when the hours exclude each other", () => {
    const never = terms({ quietHours: night, deliveryHours: { from: 23 * 60, to: 6 * 60 } })
    const from = utc("2025-06-02T01:00")
    expect(chooseTime(never, athens, null, { notBefore: from, deadline: from + 10 * dayMs })._tag).toBe("NoTime")
  })

  it("accept daily hours that mean something only", () => {
    const is = Schema.is(DailyHours)
    expect(is({ from: 1320, to: 480 })).toBe(true)
    expect(is({ from: 0, to: 1440 })).toBe(true)
    for (const bad of [{ from: 480, to: 480 }, { from: 1440, to: 480 }, { from: -1, to: 3 }, { from: 0, to: 1441 }]) {
      expect(is(bad)).toBe(false)
    }
  })
})
