/** R21: what is begun durably before the first byte is worth, with a courier that fails as told and a clock that jumps. */
import { describe, expect, it } from "@effect/vitest"
import { type Carriage, type Courier, makeProvider } from "@hikyaku/cluster/delivery/Courier"
import {
  type DeliveryResult,
  type ProviderError,
  ProviderUnavailable,
  ProviderUnknown
} from "@hikyaku/cluster/delivery/Provider"
import { layerMemory, Spool, SpoolFault } from "@hikyaku/cluster/delivery/Spool"
import { Deferred, Duration, Effect, Either, Fiber, TestClock } from "effect"

const recipients = ["a", "b"].map((name) => ({ deliveryId: `d-${name}`, address: `${name}@x.example` }))
const list = { listId: "l", channel: "line", mailKey: "m", recipients, idempotencyKey: "l/1" }
const start = { uploadId: "l/1", idempotencyKey: "l/key" }
const sentTo = ({ list }: Carriage): ReadonlyArray<DeliveryResult> =>
  list.recipients.map(({ deliveryId }) => ({ deliveryId, outcome: "Sent", at: 1 }))

const house = (
  carry: (carriage: Carriage) => Effect.Effect<ReadonlyArray<DeliveryResult>, ProviderError>,
  repeatWithin: Duration.Duration | null
) => {
  const courier: Courier = {
    promises: {
      reconciliation: repeatWithin === null ? "at-most-once" : "retry-key",
      settleTime: Duration.zero,
      longestProcessingTime: Duration.seconds(1),
      requestTimeout: Duration.seconds(1),
      listSizeMax: 10
    },
    repeatWithin,
    accept: Effect.succeed,
    carry
  }
  return makeProvider("account", courier)
}
const fault = <E extends { readonly _tag: string }>(effect: Effect.Effect<unknown, E>) =>
  Effect.map(Effect.either(effect), (result) => Either.isLeft(result) ? result.left._tag : "success")

describe("R21 couriers", () => {
  it.scoped("who is interrupted while a list is carried leaves it begun: it is not carried again", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      let carried = 0
      const provider = yield* house(() => {
        carried++
        return Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never)
      }, null)
      yield* provider.uploadList(list)
      const caller = yield* Effect.fork(provider.startDelivery(start))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(caller)
      expect(yield* fault(provider.startDelivery(start))).toBe("ProviderUnknown")
      expect(carried).toBe(1)
      expect(yield* provider.status({ sendId: "l/1" })).toEqual({ state: "Sending", results: [] })
    }).pipe(Effect.provide(layerMemory)))

  it.scoped("a key is used while it is kept; after that the messages are reported as unknown", () =>
    Effect.gen(function*() {
      let carried = 0
      const provider = yield* house(() => {
        carried++
        return new ProviderUnknown({ reason: "lost" })
      }, Duration.hours(23))
      yield* provider.uploadList(list)
      expect(yield* fault(provider.startDelivery(start))).toBe("ProviderUnknown")
      yield* TestClock.adjust("22 hours")
      expect(yield* fault(provider.startDelivery(start))).toBe("ProviderUnknown")
      expect(carried).toBe(2)
      yield* TestClock.adjust("2 hours")
      const { sendId } = yield* provider.startDelivery(start)
      expect(carried).toBe(2)
      // No result is what unknown means to the dispatcher.
      expect(yield* provider.status({ sendId })).toEqual({ state: "Completed", results: [] })
    }).pipe(Effect.provide(layerMemory)))

  it.scoped("a repeat that is known to have come to nothing says nothing about the first try", () =>
    Effect.gen(function*() {
      const answers: Array<Effect.Effect<never, ProviderError> | null> = [
        new ProviderUnknown({ reason: "lost" }),
        new ProviderUnavailable({ reason: "nobody there" }),
        null
      ]
      const provider = yield* house(
        (carriage) => answers.shift() ?? Effect.succeed(sentTo(carriage)),
        Duration.hours(1)
      )
      yield* provider.uploadList(list)
      yield* fault(provider.startDelivery(start))
      expect(yield* fault(provider.startDelivery(start))).toBe("ProviderUnavailable")
      // Another list with the same mail is still kept from going out.
      yield* provider.uploadList({ ...list, listId: "k", idempotencyKey: "k/1" })
      const other = yield* provider.startDelivery({ uploadId: "k/1", idempotencyKey: "k/key" })
      const outcomes = Effect.map(provider.status(other), ({ results }) => results.map(({ outcome }) => outcome))
      expect(yield* outcomes).toEqual(["Rejected", "Rejected"])
      const { sendId } = yield* provider.startDelivery(start)
      expect((yield* provider.status({ sendId })).results).toHaveLength(2)
    }).pipe(Effect.provide(layerMemory)))

  it.scoped("a spool that does not answer: before the first byte nothing was sent; after it, nobody knows", () =>
    Effect.gen(function*() {
      const memory = yield* Spool
      let broken: "begin" | "end" | null = "begin"
      let carried = 0
      const failure = new SpoolFault({ reason: "by the test" })
      const flaky = Spool.of({
        ...memory,
        begin: (...of) => broken === "begin" ? failure : memory.begin(...of),
        end: (...of) => broken === "end" ? failure : memory.end(...of)
      })
      const provider = yield* house((carriage) => {
        carried++
        return Effect.succeed(sentTo(carriage))
      }, null).pipe(Effect.provideService(Spool, flaky))
      yield* provider.uploadList(list)
      expect(yield* fault(provider.startDelivery(start))).toBe("ProviderUnavailable")
      expect(carried).toBe(0)
      broken = "end"
      const starting = yield* Effect.fork(fault(provider.startDelivery(start)))
      yield* TestClock.adjust("1 minute")
      expect(yield* Fiber.join(starting)).toBe("ProviderUnknown")
      broken = null
      expect(yield* fault(provider.startDelivery(start))).toBe("ProviderUnknown")
      expect(carried).toBe(1)
    }).pipe(Effect.provide(layerMemory)))
})
