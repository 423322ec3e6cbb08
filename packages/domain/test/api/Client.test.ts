import { expect, it } from "@effect/vitest"
import { mintTicket } from "@hikyaku/domain/api/Client"
import { commandTime, TicketId } from "@hikyaku/domain/Identifier"
import { Effect, Random, Schema, TestClock } from "effect"
import { describe } from "vitest"

describe("tickets", () => {
  it.effect("are UUIDs of version 7 of the caller's clock, and differ", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_800_000_000_123)
      const tickets = yield* Effect.replicateEffect(mintTicket, 1_000)
      expect(new Set(tickets).size).toBe(1_000)
      for (const ticket of tickets) {
        expect(Schema.is(TicketId)(ticket)).toBe(true)
        expect(commandTime(ticket)).toBe(1_800_000_000_123)
      }
    }))

  it.effect("replay with a seed", () =>
    Effect.gen(function*() {
      const seeded = Effect.withRandom(mintTicket, Random.make("seed"))
      expect(yield* seeded).toBe(yield* Effect.withRandom(mintTicket, Random.make("seed")))
    }))
})
