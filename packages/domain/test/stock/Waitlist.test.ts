import { describe, expect, it } from "@effect/vitest"
import * as Waitlist from "@hikyaku/domain/stock/Waitlist"
import { commandIdPool } from "@hikyaku/domain/testing"
import * as fc from "fast-check"

describe("Waitlist", () => {
  it("keeps the order of places, whoever leaves and comes back to theirs", () => {
    const tickets = commandIdPool(8, 1_760_000_000_000)
    fc.assert(fc.property(fc.array(fc.nat(7)), (places) => {
      let line = Waitlist.empty
      let model: ReadonlyArray<number> = []
      for (const place of places) {
        const inside = model.includes(place)
        line = inside ? Waitlist.leave(line, place) : Waitlist.join(line, place, tickets[place]!)
        model = inside ? model.filter((other) => other !== place) : [...model, place].sort((a, b) => a - b)
        expect(Waitlist.tickets(line)).toEqual(model.map((at) => tickets[at]))
        expect(Waitlist.size(line)).toBe(model.length)
        expect(Waitlist.head(line)).toBe(model[0] === undefined ? undefined : tickets[model[0]])
        model.forEach((at, index) => expect(Waitlist.position(line, at)).toBe(index + 1))
      }
    }))
  })
})
