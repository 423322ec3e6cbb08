import { cycleAfter, dueCycle, parseCycle } from "@hikyaku/domain/marketing/Cycle"
import { localMinute } from "@hikyaku/domain/marketing/LocalTime"
import { Either } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const cycle = (source: string, zone: string) => Either.getOrThrow(parseCycle(source, zone))
const iso = (instant: number | null) => instant === null ? null : new Date(instant).toISOString()
const series = (source: string, zone: string, from: string, count: number) => {
  const found: Array<string | null> = []
  for (let at: number | null = Date.parse(from); at !== null && found.length < count;) {
    at = cycleAfter(cycle(source, zone), at)
    found.push(iso(at))
  }
  return found
}

describe("a schedule that spans a change of clocks", () => {
  it("New York, forward (9 March 2025): Monday at nine stays nine, half past two is due an hour late", () => {
    expect(series("0 9 * * 1", "America/New_York", "2025-03-02T00:00:00Z", 3))
      .toEqual(["2025-03-03T14:00:00.000Z", "2025-03-10T13:00:00.000Z", "2025-03-17T13:00:00.000Z"])
    // There is no 2:30 on that day.
    expect(series("30 2 * * *", "America/New_York", "2025-03-08T00:00:00Z", 3))
      .toEqual(["2025-03-08T07:30:00.000Z", "2025-03-09T07:30:00.000Z", "2025-03-10T06:30:00.000Z"])
  })

  it("New York, back (2 November 2025): half past one comes twice and is due once", () => {
    expect(series("30 1 * * *", "America/New_York", "2025-11-01T00:00:00Z", 3))
      .toEqual(["2025-11-01T05:30:00.000Z", "2025-11-02T05:30:00.000Z", "2025-11-03T06:30:00.000Z"])
    // From within the second showing of the hour, too: never an instant that has passed.
    expect(iso(cycleAfter(cycle("*/30 * * * *", "America/New_York"), Date.parse("2025-11-02T06:15:00Z"))))
      .toBe("2025-11-02T07:00:00.000Z")
  })

  it("Athens, both ways (30 March and 26 October 2025)", () => {
    expect(series("0 10 * * *", "Europe/Athens", "2025-03-28T23:00:00Z", 3))
      .toEqual(["2025-03-29T08:00:00.000Z", "2025-03-30T07:00:00.000Z", "2025-03-31T07:00:00.000Z"])
    expect(series("30 3 * * *", "Europe/Athens", "2025-03-29T00:00:00Z", 3))
      .toEqual(["2025-03-29T01:30:00.000Z", "2025-03-30T01:30:00.000Z", "2025-03-31T00:30:00.000Z"])
    expect(series("30 3 * * *", "Europe/Athens", "2025-10-25T00:00:00Z", 3))
      .toEqual(["2025-10-25T00:30:00.000Z", "2025-10-26T00:30:00.000Z", "2025-10-27T01:30:00.000Z"])
    expect(iso(cycleAfter(cycle("0 * * * *", "Europe/Athens"), Date.parse("2025-10-26T01:15:00Z"))))
      .toBe("2025-10-26T02:00:00.000Z")
  })

  it("Tokyo knows no such changes", () => {
    expect(series("0 9 * * 5", "Asia/Tokyo", "2025-03-25T00:00:00Z", 2))
      .toEqual(["2025-03-28T00:00:00.000Z", "2025-04-04T00:00:00.000Z"])
  })

  it("always goes forward, and reads on the wall what was asked for (property)", () => {
    const zones = ["America/New_York", "Europe/Athens", "Asia/Tokyo", "Australia/Lord_Howe"]
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.integer({ min: 0, max: 23 }),
        fc.integer({ min: 0, max: 59 }),
        fc.oneof(
          fc.integer({ min: Date.UTC(2025, 0, 1), max: Date.UTC(2026, 0, 1) }),
          fc.constantFrom(
            "2025-11-02T06:00:00Z",
            "2025-10-26T01:00:00Z",
            "2025-04-05T15:00:00Z",
            "2025-03-09T07:00:00Z"
          )
            .chain((day) => fc.integer({ min: -7_200_000, max: 7_200_000 }).map((ms) => Date.parse(day) + ms))
        ),
        (zone, hour, minute, from) => {
          const next = cycleAfter(cycle(`${minute} ${hour} * * *`, zone), from) ?? 0
          expect(next).toBeGreaterThan(from)
          expect(next - from).toBeLessThanOrEqual(26 * 3_600_000)
          const shown = localMinute(zone, next)
          // Where the clock skips the time it is due up to an hour later.
          expect((shown - (hour * 60 + minute) + 1_440) % 1_440).toBeLessThanOrEqual(60)
        }
      ),
      { numRuns: 300 }
    )
  })
})

describe("cycles that were missed", () => {
  const daily = cycle("0 9 * * *", "UTC")
  const at = (text: string) => Date.parse(text)
  const hour = 3_600_000

  it("runs what is due", () => {
    expect(dueCycle(daily, at("2025-06-02T09:00Z"), at("2025-06-02T09:00Z"), hour))
      .toEqual({ cycle: at("2025-06-02T09:00Z"), next: at("2025-06-03T09:00Z") })
  })
  it("skips what is too old, and runs the one that is not", () => {
    expect(dueCycle(daily, at("2025-06-02T09:00Z"), at("2025-06-20T09:30Z"), hour))
      .toEqual({ cycle: at("2025-06-20T09:00Z"), next: at("2025-06-21T09:00Z") })
    expect(dueCycle(daily, at("2025-06-02T09:00Z"), at("2025-06-20T12:00Z"), hour))
      .toEqual({ cycle: null, next: at("2025-06-21T09:00Z") })
  })
  it("runs one of several that are still worth it", () => {
    expect(dueCycle(daily, at("2025-06-02T09:00Z"), at("2025-06-20T12:00Z"), 60 * hour))
      .toEqual({ cycle: at("2025-06-18T09:00Z"), next: at("2025-06-21T09:00Z") })
  })
  it("is not due before its time", () => {
    expect(dueCycle(daily, at("2025-06-02T09:00Z"), at("2025-06-02T08:59Z"), hour))
      .toEqual({ cycle: null, next: at("2025-06-02T09:00Z") })
  })
})
