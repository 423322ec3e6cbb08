/**
 * What an adapter's promise means (R21), for channels that send a message at a time: one suite over SMTP, LINE, push and on-site
 * notices. The far side, which counts what it was given, is the judge.
 */
import { describe, expect, it } from "@effect/vitest"
import { Provider, type ProviderError } from "@hikyaku/cluster/delivery/Provider"
import { Clock, Context, Effect, Either, type Layer } from "effect"

/** `lose`: the message is taken and the answer lost. `later`: refused for now. `refuse`: refused for good. */
export type Behaviour = "accept" | "lose" | "later" | "refuse" | "unreachable"

export class FarSide extends Context.Tag("test/FarSide")<FarSide, {
  /** Where the messages went that were taken, in order; one entry per message, and one per repeat that went out again. */
  readonly received: () => ReadonlyArray<string>
  /** Requests that reached the far side, whatever became of them. */
  readonly requests: () => number
  readonly behave: (behaviour: Behaviour) => Effect.Effect<void>
}>() {}

export interface PromiseRig<E> {
  /** A fresh adapter and far side. */
  readonly layer: Layer.Layer<Provider | FarSide, E>
  readonly channel: string
  /** What the adapter is said to promise. */
  readonly reconciliation: "retry-key" | "at-most-once"
  readonly content: Readonly<Record<string, string>>
  /** What the far side can do. */
  readonly behaviours: ReadonlyArray<Behaviour>
  /** The far side's name for a recipient's address. */
  readonly reached?: (address: string) => string
}

export const promiseContract = <E>(name: string, rig: PromiseRig<E>) => {
  const reached = rig.reached ?? ((address: string) => address)
  const upload = (listId: string, address = `${listId}@shop.example`, mailKey = `mail-${listId}`) =>
    Effect.flatMap(Provider, (provider) =>
      provider.uploadList({
        listId,
        channel: rig.channel,
        mailKey,
        recipients: [{ deliveryId: `d-${listId}`, address, subject: "Hello", content: rig.content }],
        idempotencyKey: `${listId}/1`
      }))
  const start = (uploadId: string, startBefore?: bigint) =>
    Effect.flatMap(
      Provider,
      (provider) => provider.startDelivery({ uploadId, idempotencyKey: `key-${uploadId}`, startBefore })
    )
  const send = (listId: string, address?: string, mailKey?: string) =>
    Effect.flatMap(upload(listId, address, mailKey), ({ uploadId }) => start(uploadId))
  const status = (sendId: string) => Effect.flatMap(Provider, (provider) => provider.status({ sendId }))
  const behave = (behaviour: Behaviour) => Effect.flatMap(FarSide, (far) => far.behave(behaviour))
  const received = Effect.map(FarSide, (far) => far.received())
  const fault = (effect: Effect.Effect<unknown, ProviderError, Provider>) =>
    Effect.map(Effect.either(effect), (result) => Either.isLeft(result) ? result.left._tag : "success")
  const test = (title: string, effect: Effect.Effect<unknown, unknown, Provider | FarSide>) =>
    it.live(title, () => Effect.provide(effect, rig.layer), 30_000)
  const when = (behaviour: Behaviour) => (rig.behaviours.includes(behaviour) ? test : it.skip)

  describe(`${name}: R21 its promise`, () => {
    test(
      "is stated",
      Effect.map(Provider, ({ promises }) => expect(promises.reconciliation).toBe(rig.reconciliation))
    )

    test(
      "an upload sends nothing; a start sends once, however often it is asked; results per recipient (MAIL-7)",
      Effect.gen(function*() {
        const { uploadId } = yield* upload("a")
        expect(yield* received).toEqual([])
        const first = yield* start(uploadId)
        expect(yield* start(uploadId)).toEqual(first)
        const done = yield* status(first.sendId)
        expect(done).toMatchObject({ state: "Completed", results: [{ deliveryId: "d-a", outcome: "Sent" }] })
        expect(yield* received).toEqual([reached("a@shop.example")])
      })
    )

    test(
      "G10 the same mail reaches an address once, whichever list it comes in; another mail does reach it",
      Effect.gen(function*() {
        yield* send("a", "x@shop.example", "mail-1")
        const again = yield* send("b", "x@shop.example", "mail-1")
        expect((yield* status(again.sendId)).results).toMatchObject([{ deliveryId: "d-b", outcome: "Rejected" }])
        yield* send("c", "x@shop.example", "mail-2")
        expect(yield* received).toEqual([reached("x@shop.example"), reached("x@shop.example")])
      })
    )

    when("later")(
      "is asked to wait: nothing was sent, and the next try sends it once",
      Effect.gen(function*() {
        const { uploadId } = yield* upload("a")
        yield* behave("later")
        expect(yield* fault(start(uploadId))).toBe("Throttled")
        yield* behave("accept")
        const { sendId } = yield* start(uploadId)
        expect((yield* status(sendId)).results).toMatchObject([{ outcome: "Sent" }])
        expect(yield* received).toEqual([reached("a@shop.example")])
      })
    )

    when("refuse")(
      "a recipient who is refused for good is a result, not a fault, and is not tried again",
      Effect.gen(function*() {
        yield* behave("refuse")
        const { sendId } = yield* send("a")
        const [result] = (yield* status(sendId)).results
        expect(result).toMatchObject({ deliveryId: "d-a", outcome: "Rejected" })
        expect(result?.reason).not.toBe("")
        expect(yield* received).toEqual([])
      })
    )

    when("lose")(
      "a lost answer: repeated only where the far side recognises it, and received once",
      Effect.gen(function*() {
        const far = yield* FarSide
        const { uploadId } = yield* upload("a")
        yield* behave("lose")
        expect(yield* fault(start(uploadId))).toBe("ProviderUnknown")
        expect(yield* received).toEqual([reached("a@shop.example")])
        yield* behave("accept")
        const before = far.requests()
        if (rig.reconciliation === "at-most-once") {
          expect(yield* fault(start(uploadId))).toBe("ProviderUnknown")
          expect(yield* fault(start(uploadId))).toBe("ProviderUnknown")
          expect(far.requests()).toBe(before)
        } else {
          const { sendId } = yield* start(uploadId)
          expect(far.requests()).toBe(before + 1)
          expect((yield* status(sendId)).results).toMatchObject([{ outcome: "Sent" }])
        }
        expect(yield* received).toEqual([reached("a@shop.example")])
      })
    )

    when("lose")(
      "G10 while a mail's fate is unknown, no other list carries it",
      Effect.gen(function*() {
        const { uploadId } = yield* upload("a", "x@shop.example", "mail-1")
        yield* behave("lose")
        yield* fault(start(uploadId))
        yield* behave("accept")
        const { sendId } = yield* send("b", "x@shop.example", "mail-1")
        expect((yield* status(sendId)).results).toMatchObject([{ outcome: "Rejected" }])
        expect(yield* received).toHaveLength(1)
      })
    )

    when("unreachable")(
      "nobody there: nothing was written, and the next try sends it once",
      Effect.gen(function*() {
        const { uploadId } = yield* upload("a")
        yield* behave("unreachable")
        expect(yield* fault(start(uploadId))).toBe("ProviderUnavailable")
        yield* behave("accept")
        yield* start(uploadId)
        expect(yield* received).toEqual([reached("a@shop.example")])
      })
    )

    test(
      "G13 what may not start any more reaches nobody, and can be started later",
      Effect.gen(function*() {
        const { uploadId } = yield* upload("a")
        expect(yield* fault(start(uploadId, yield* Clock.currentTimeNanos))).toBe("TooLateToStart")
        expect(yield* received).toEqual([])
        yield* start(uploadId, (yield* Clock.currentTimeNanos) + 60_000_000_000n)
        expect(yield* received).toHaveLength(1)
      })
    )

    test(
      "G16 lists that it cannot carry, and ids that it does not know, are refused",
      Effect.gen(function*() {
        const provider = yield* Provider
        const { listSizeMax } = provider.promises
        const list = (size: number, content: Readonly<Record<string, string>>) =>
          provider.uploadList({
            listId: "l",
            channel: rig.channel,
            mailKey: "m",
            recipients: Array.from(
              { length: size },
              (_, n) => ({ deliveryId: `d-${n}`, address: `a${n}@b.example`, content })
            ),
            idempotencyKey: "l/1"
          })
        expect(yield* fault(list(listSizeMax + 1, rig.content))).toBe("ProviderRejected")
        expect(yield* fault(list(0, rig.content))).toBe("ProviderRejected")
        expect(yield* fault(list(1, {}))).toBe("ProviderRejected")
        expect(yield* fault(start("nothing"))).toBe("ProviderRejected")
        expect(yield* fault(status("nothing"))).toBe("ProviderRejected")
        expect(yield* fault(provider.history({ query: { _tag: "List", listId: "l" } }))).toBe("ProviderRejected")
        expect(yield* received).toEqual([])
      })
    )
  })
}
