/** How many requests are made ready ahead of their place. */
import { it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { layerTest as clockLayer } from "@hikyaku/cluster/actor/ShopClock"
import { makeDesk } from "@hikyaku/cluster/delivery/SlotDesk"
import { unbounded } from "@hikyaku/domain/delivery/RateLimit"
import { Effect, Layer } from "effect"
import { describe, expect } from "vitest"

const unused = () => Effect.dieMessage("nobody is asked here")
const services = Layer.merge(
  clockLayer,
  Layer.succeed(ActorClient, ActorClient.of({ send: unused, sendAll: unused, sendEach: unused }))
)
const readyAtMost = 16
/** Places and requests ready beyond them, where so many may be under way. */
const of = (total: number | null) =>
  makeDesk(
    { provider: "p", owner: "o", epoch: 1 },
    { concurrency: { ...unbounded, total }, perSecond: unbounded, marginMs: 0 },
    readyAtMost
  ).pipe(Effect.map((desk) => [desk.places(), desk.ahead()]), Effect.provide(services))

describe("requests that are ready (G11, G12)", () => {
  it.effect("are two per place, so that the order of all others can still change; and no more than the account is set to", () =>
    Effect.gen(function*() {
      expect(yield* of(1)).toEqual([1, 2])
      expect(yield* of(8)).toEqual([8, 16])
      expect(yield* of(100)).toEqual([readyAtMost, readyAtMost])
      expect(yield* of(null)).toEqual([readyAtMost, readyAtMost])
    }))
})
