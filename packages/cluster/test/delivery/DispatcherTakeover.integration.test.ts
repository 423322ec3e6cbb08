import { it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { providerKind } from "@hikyaku/cluster/delivery/ProviderActor"
import { Deferred, Duration, Effect, Fiber, FiberId, Option } from "effect"
import { describe, expect } from "vitest"
import {
  batchOf,
  calm,
  consider,
  count,
  crash,
  crashes,
  dispatch,
  exactlyOnce,
  inHouse,
  pollUntil,
  quiet,
  report,
  slowSend,
  storm,
  tally
} from "./DispatcherHouse.ts"

describe("takeover (G5, G9, G10, R20)", () => {
  it.scopedLive("resumes after crashes amid a storm of faults without sending twice", () =>
    inHouse(
      storm,
      Effect.gen(function*() {
        yield* consider(batchOf(60))
        yield* crashes(6, "total", {}, (n) => n)
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 60 })
        yield* exactlyOnce(60)
      })
    ), 90_000)

  it.scopedLive("waits until a send of the one before must be over before it believes the history", () =>
    inHouse(
      slowSend,
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        const dispatcher = yield* dispatch()
        yield* pollUntil(report, (seen) => seen.requests.send >= 1)
        yield* crash(dispatcher)
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 10 })
        // A list per send, and none sent twice.
        expect((yield* exactlyOnce(10)).sends).toBe(yield* count("delivery_list"))
      })
    ))

  it.scopedLive("waits for a store that does not answer, and takes nothing over anew for it", () => {
    let claims = 0
    const onStep = (step: string) => Effect.sync(() => (claims += step === "claim before" ? 1 : 0))
    return inHouse(
      { ...calm, onStep, storeFault: () => claims === 1 ? "before" : claims === 2 ? "after" : null },
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* quiet
        yield* exactlyOnce(10)
        expect(claims).toBeGreaterThan(2)
        const client = yield* ActorClient
        expect(yield* client.send(providerKind, { actor: "mail-account", command: { _tag: "ReadProvider" } }))
          .toMatchObject({ _tag: "ProviderView", takeovers: 1 })
      })
    )
  })

  it.scopedLive("lets only the later of two dispatchers work, and neither exceeds the limit", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        yield* consider(batchOf(60))
        const client = yield* ActorClient
        const view = client.send(providerKind, { actor: "mail-account", command: { _tag: "ReadProvider" } })
        yield* dispatch()
        yield* pollUntil(count("delivery_list"), (lists) => lists > 0)
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 60 })
        yield* exactlyOnce(60)
        expect(yield* view).toMatchObject({ _tag: "ProviderView", takeovers: 2 })
      })
    ))
})

describe("a dispatcher that is to go (G12)", () => {
  // Whoever had to wait until a request must be over, or to ask the history, would wait for minutes. So no answer may come too
  // late on a busy machine either.
  const house = {
    ...calm,
    promises: { longestProcessingTime: Duration.minutes(5), requestTimeout: Duration.minutes(1) }
  }
  const patient = { handOverMs: 600_000, drainMs: 60_000 }

  it.scopedLive("goes on until the next one has taken over, and hands over what it had under way", () =>
    inHouse(
      house,
      Effect.gen(function*() {
        yield* consider(batchOf(200))
        const first = yield* dispatch(patient)
        yield* pollUntil(report, (seen) => seen.requests.upload > 0)
        const going = yield* Effect.fork(Fiber.interrupt(first))
        const { requests } = yield* report
        // Two at a time: more than were under way when it was told to go.
        yield* pollUntil(report, (seen) => seen.requests.total > requests.total + 4)
        expect(Option.isNone(yield* Fiber.poll(going))).toBe(true)
        yield* dispatch()
        yield* Fiber.join(going)
        yield* quiet
        expect(yield* tally).toEqual({ sent: 200 })
        yield* exactlyOnce(200)
      })
    ))

  it.scopedLive("goes on while there is anything to do, even in between, when nothing is ready or under way", () => {
    const making = Effect.unsafeMakeLatch(false)
    let isHeld = false
    return inHouse(
      {
        ...house,
        onStep: (step) =>
          step === "makeList before" ? Effect.zipRight(Effect.sync(() => (isHeld = true)), making.await) : Effect.void
      },
      Effect.gen(function*() {
        yield* consider(batchOf(25))
        const first = yield* dispatch(patient)
        yield* pollUntil(Effect.sync(() => isHeld), (held) => held)
        yield* Fiber.interruptAsFork(first, FiberId.none)
        yield* making.open
        // Nobody else is there to send anything.
        yield* Fiber.await(first)
        yield* exactlyOnce(25)
        // What came of it is asked by the next one.
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 25 })
        yield* exactlyOnce(25)
      })
    )
  })

  it.scopedLive("gives the slots of what is ready back at once, before it has put their lists right", () => {
    const uploading = Effect.unsafeMakeLatch(false)
    const putting = Effect.unsafeMakeLatch(false)
    const open = Effect.zipRight(putting.open, uploading.open)
    let isGoing = false
    const onStep = (step: string) =>
      step === "upload before" ? uploading.await : step === "change before" && isGoing ? putting.await : Effect.void
    return inHouse(
      { ...house, onStep },
      Effect.gen(function*() {
        yield* consider(batchOf(100))
        const client = yield* ActorClient
        const slots = client.send(providerKind, { actor: "mail-account", command: { _tag: "ReadProvider" } }).pipe(
          Effect.map((view) => view._tag === "ProviderView" ? view.slots.length : 0)
        )
        const first = yield* dispatch({ ...patient, handOverMs: 0, leaseMs: 600_000 })
        // Two under way, and two ready for each of their places.
        yield* pollUntil(slots, (held) => held === 6, 10_000)
        yield* pollUntil(count("delivery_list", "status = 'uploading'"), (begun) => begun === 6, 10_000)
        isGoing = true
        const going = yield* Effect.fork(Fiber.interrupt(first))
        yield* pollUntil(slots, (held) => held === 2, 15_000)
        yield* open
        yield* Fiber.join(going)
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 100 })
        yield* exactlyOnce(100)
      }).pipe(Effect.ensuring(open))
    )
  })

  it.scopedLive("goes at once when there is nothing to do", () =>
    inHouse(
      house,
      Effect.gen(function*() {
        yield* consider(batchOf(3))
        const first = yield* dispatch(patient)
        yield* quiet
        yield* Fiber.interrupt(first).pipe(
          Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error("it waits for nobody") })
        )
        yield* exactlyOnce(3)
      })
    ))
})

/** Each step of a list's life, and how often it is taken until the list is closed, at the least. */
const steps: Readonly<Record<string, number>> = {
  claim: 1,
  slots: 4,
  makeList: 1,
  begin: 2,
  upload: 1,
  change: 2,
  send: 1,
  status: 1,
  record: 1,
  close: 1,
  relayed: 1
}
const points = Object.entries(steps).flatMap(([name, times]) =>
  Array.from({ length: times }, (_, n) => [[`${name} before`, n + 1] as const, [`${name} after`, n + 1] as const])
    .flat()
)

describe("kill between every two steps (G9, G10, R20, R21)", () => {
  it.scopedLive("wherever a dispatcher dies, the next one sends what is left, nothing twice, and within the limit", () => {
    /** Where the next one dies, and after how often. */
    let deadly = ""
    let left = Number.POSITIVE_INFINITY
    let dead = false
    let died = Deferred.unsafeMake<void>(FiberId.none)
    const onStep = (step: string) =>
      Effect.suspend(() => {
        // Whoever is dead does nothing more, not even as it is ended.
        if (dead) return Effect.interrupt
        if (step !== deadly || --left > 0) return Effect.void
        dead = true
        return Effect.zipRight(Deferred.succeed(died, undefined), Effect.never)
      })
    return inHouse(
      { ...calm, onStep },
      Effect.gen(function*() {
        for (const [index, [step, times]] of points.entries()) {
          yield* consider(batchOf(3, `run${index}`))
          died = yield* Deferred.make<void>()
          deadly = step
          left = times
          const dispatcher = yield* dispatch()
          yield* Deferred.await(died).pipe(Effect.timeoutFail({
            duration: "20 seconds",
            onTimeout: () => new Error(`it never came to "${step}" for the ${times}. time`)
          }))
          yield* crash(dispatcher)
          deadly = ""
          dead = false
          const next = yield* dispatch()
          yield* quiet
          yield* crash(next)
          yield* exactlyOnce(3 * (index + 1))
        }
        expect(yield* tally).toEqual({ sent: 3 * points.length })
      })
    )
  })
})
