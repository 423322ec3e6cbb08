import { londonInstants, readWallClock } from "@hikyaku/domain/replay/LondonTime"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const london = new Intl.DateTimeFormat("sv-SE", {
  timeZone: "Europe/London",
  dateStyle: "short",
  timeStyle: "medium"
})
const instantsOf = (text: string) => {
  const wall = readWallClock(text)
  if (wall === undefined) throw new Error(`not a wall clock: ${text}`)
  return londonInstants(wall)
}

describe("LondonTime", () => {
  it("finds every instant again from what London's clocks show, with the zone database as the judge", () => {
    // Seconds from 2000 to 2099, and as many close to a change of the clocks.
    const any = fc.integer({ min: Date.UTC(2000, 0, 1) / 1000, max: Date.UTC(2036, 11, 31) / 1000 })
    const nearChange = fc.tuple(
      fc.integer({ min: 2000, max: 2036 }),
      fc.constantFrom(2, 9),
      fc.integer({ min: 24 * 86_400, max: 32 * 86_400 })
    ).map(([year, month, seconds]) => Date.UTC(year, month, 1) / 1000 + seconds)
    fc.assert(
      fc.property(fc.oneof(any, nearChange), (seconds) => {
        const shown = london.format(seconds * 1000)
        const instants = instantsOf(shown)
        expect(instants).toContain(seconds * 1000)
        for (const instant of instants) expect(london.format(instant)).toBe(shown)
      }),
      { numRuns: 500 }
    )
  })

  it("knows the hour that does not exist and the hour that exists twice", () => {
    expect(instantsOf("2011-03-27 00:59:59")).toEqual([Date.UTC(2011, 2, 27, 0, 59, 59)])
    expect(instantsOf("2011-03-27 01:30:00")).toEqual([])
    expect(instantsOf("2011-03-27 02:00:00")).toEqual([Date.UTC(2011, 2, 27, 1)])
    expect(instantsOf("2011-10-30 01:30:00")).toEqual([Date.UTC(2011, 9, 30, 0, 30), Date.UTC(2011, 9, 30, 1, 30)])
    expect(instantsOf("2011-10-30 02:00:00")).toEqual([Date.UTC(2011, 9, 30, 2)])
  })

  it.each([
    "2011-02-29 10:00:00",
    "2011-13-01 10:00:00",
    "2011-00-01 10:00:00",
    "2011-01-00 10:00:00",
    "2011-04-31 10:00:00",
    "2011-01-01 24:00:00",
    "2011-01-01 10:60:00",
    "2011-01-01 10:00:60",
    "1995-01-01 10:00:00",
    "2011-01-01T10:00:00",
    "2011-01-01 10:00",
    "12/1/2010 8:26",
    ""
  ])("refuses %j", (text) => {
    expect(readWallClock(text)).toBeUndefined()
  })

  it("accepts the leap day of a leap year", () => {
    expect(instantsOf("2012-02-29 10:00:00")).toEqual([Date.UTC(2012, 1, 29, 10)])
  })
})
