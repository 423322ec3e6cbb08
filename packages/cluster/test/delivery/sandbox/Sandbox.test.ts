import { describe, expect, it } from "@effect/vitest"
import { Provider } from "@hikyaku/cluster/delivery/Provider"
import { layerRecorded } from "@hikyaku/cluster/delivery/ProviderMemory"
import { Sandbox } from "@hikyaku/cluster/delivery/sandbox/Sandbox"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import type { SandboxEntry } from "@hikyaku/cluster/delivery/sandbox/SandboxEntry"
import {
  layer as sandboxLayer,
  SandboxRecorder,
  SandboxService
} from "@hikyaku/cluster/delivery/sandbox/SandboxService"
import { draw, latencyOf, type SettingsPatch } from "@hikyaku/cluster/delivery/sandbox/SandboxSettings"
import { Clock, Duration, Effect, Exit, FastCheck, Fiber, Layer, Scope, TestClock, TestContext } from "effect"
import { recount } from "./Recount.ts"

/** A recorder that keeps what it is given; the disk takes as long as `disk`. */
const collect = (entries: Array<SandboxEntry>, disk: Effect.Effect<void> = Effect.void) =>
  Layer.succeed(SandboxRecorder, {
    replay: (each) => Effect.sync(() => [...entries].forEach(each)),
    write: (entry) => void entries.push(entry),
    durable: disk
  })

/** What a record says when it is read like a file. */
const lines = (entries: ReadonlyArray<SandboxEntry>): Parameters<typeof recount>[0] =>
  JSON.parse(JSON.stringify(entries))

const probability = FastCheck.constantFrom(0, 0.1, 0.5)
const bound = FastCheck.option(FastCheck.integer({ min: 1, max: 6 }))
const bounds = FastCheck.record({ total: bound, upload: bound, send: bound, status: bound, history: bound })
const settings: FastCheck.Arbitrary<SettingsPatch> = FastCheck.record({
  seed: FastCheck.integer(),
  concurrency: bounds,
  perSecond: FastCheck.record({ total: FastCheck.option(FastCheck.integer({ min: 1, max: 30 })), upload: bound }),
  messages: FastCheck.record({
    perSecond: FastCheck.option(FastCheck.integer({ min: 1, max: 8 })),
    perDay: FastCheck.option(FastCheck.integer({ min: 1, max: 40 }))
  }),
  latency: FastCheck.constantFrom(
    { _tag: "Fixed", ms: 30 } as const,
    { _tag: "Uniform", minMs: 0, maxMs: 200 } as const,
    { _tag: "LogNormal", medianMs: 40, sigma: 1, maxMs: 900 } as const
  ),
  faults: FastCheck.record({
    throttle: probability,
    failBefore: probability,
    failAfter: probability,
    cut: probability,
    duplicate: probability,
    failSend: probability,
    bounce: probability
  }),
  idempotency: FastCheck.boolean()
})
const actions = FastCheck.array(
  FastCheck.record({
    pause: FastCheck.constantFrom(0, 1, 20, 150),
    op: FastCheck.constantFrom("upload" as const, "send" as const, "status" as const, "history" as const),
    who: FastCheck.nat({ max: 5 }),
    /** Some callers hang up. */
    patience: FastCheck.constantFrom(1, 100, 10_000)
  }),
  { minLength: 1, maxLength: 60 }
)

/** Random clients against a random sandbox on the test clock; returns its record and its report. */
const run = (patch: SettingsPatch, todo: typeof actions extends FastCheck.Arbitrary<infer A> ? A : never) => {
  const entries: Array<SandboxEntry> = []
  const history = Effect.gen(function*() {
    const provider = yield* Provider
    const known: Array<string> = []
    const calls = {
      upload: (who: number) =>
        provider.uploadList({
          listId: `list-${who}`,
          channel: "mail",
          mailKey: `mail-${who % 2}`,
          recipients: Array.from(
            { length: who + 1 },
            (_, i) => ({ deliveryId: `d-${i}`, address: `${who < 3 ? "P" : "p"}${i}@example.com` })
          ),
          idempotencyKey: `k-${who}`
        }).pipe(Effect.map(({ uploadId }) => known.push(uploadId))),
      send: (who: number) =>
        provider.startDelivery({
          uploadId: known[who % Math.max(1, known.length)] ?? "u-0",
          idempotencyKey: `k-${who}`
        }),
      status: (who: number) => provider.status({ sendId: `s-${who}` }),
      history: (who: number) => provider.history({ query: { _tag: "List", listId: `list-${who}` } })
    }
    const clients = []
    for (const { op, patience, pause, who } of todo) {
      yield* TestClock.adjust(pause)
      const call: Effect.Effect<unknown, unknown> = calls[op](who)
      clients.push(yield* Effect.fork(Effect.exit(Effect.timeout(call, patience))))
    }
    yield* TestClock.adjust("1 minute")
    yield* Effect.forEach(clients, Fiber.join)
    return yield* Effect.flatMap(SandboxControl, (sandbox) => sandbox.report)
  })
  return Effect.map(
    Effect.provide(history, Layer.provideMerge(layerRecorded({ settings: patch }), collect(entries))),
    (report) => ({ report, entries })
  ).pipe(Effect.provide(TestContext.TestContext))
}

describe("G9, G10: the sandbox's testimony", () => {
  it("is what its record says, whatever clients do", () =>
    FastCheck.assert(
      FastCheck.asyncProperty(settings, actions, (patch, todo) =>
        Effect.runPromise(Effect.gen(function*() {
          const { entries, report } = yield* run(patch, todo)
          const counted = recount(lines(entries))
          expect(report.requests).toEqual(counted.requests)
          expect(report.requests.total).toBe(todo.length)
          expect(report.peakConcurrency).toEqual(counted.peakConcurrency)
          expect(report.violations).toMatchObject(counted.violations)
          expect(report.peakMessages).toEqual(counted.peakMessages)
          expect(counted.miscounted).toBe(0)
          expect(report.throttled.genuine).toBe(report.violations.total)
          expect(report.answers).toEqual(counted.answers)
          expect(report.lists).toBe(counted.lists)
          expect(report.mailed).toBe(counted.mailed)
          expect(report.duplicates.total + report.duplicates.injected).toBe(counted.doubles)
          expect(report.requestMs.total).toBeCloseTo(counted.requestMs, 3)
          expect(report.busyMs.total).toBeCloseTo(counted.busyMs, 3)
          expect(report.underWay.total).toBe(0)
        }))),
      { numRuns: 60 }
    ), 60_000)

  it("repeats exactly with the same seed on the same clock", () =>
    FastCheck.assert(
      FastCheck.asyncProperty(settings, actions, (patch, todo) =>
        Effect.runPromise(Effect.gen(function*() {
          expect(lines((yield* run(patch, todo)).entries)).toEqual(lines((yield* run(patch, todo)).entries))
        }))),
      { numRuns: 15 }
    ), 60_000)

  it("is the same when the record of a dead sandbox is folded again", () =>
    FastCheck.assert(
      FastCheck.asyncProperty(settings, actions, FastCheck.nat(), (patch, todo, cut) =>
        Effect.runPromise(Effect.gen(function*() {
          const { entries, report } = yield* run(patch, todo)
          const fold = (some: ReadonlyArray<SandboxEntry>) => {
            const sandbox = new Sandbox(0)
            some.forEach((entry) =>
              sandbox.apply(entry)
            )
            return sandbox.report(some.at(-1)?.at ?? 0)
          }
          expect(fold(entries)).toEqual(report)
          // Death at any point: every request of the record is there, and what was under way is told apart.
          const until = entries.slice(0, 2 + (cut % entries.length))
          const dead = fold(until)
          const reborn = fold([...until, { t: "opened", at: dead.lastEndAt ?? dead.since, format: 1 }])
          expect(reborn.requests).toEqual(dead.requests)
          expect(reborn.underWay.total).toBe(0)
          expect(reborn.cutByDeath).toBeGreaterThanOrEqual(dead.underWay.total)
          expect(reborn.mailed).toBe(dead.mailed)
          // And what was under way took until the last line, whatever that line says.
          for (let cut = 2; cut <= entries.length; cut++) {
            const some: ReadonlyArray<SandboxEntry> = [
              ...entries.slice(0, cut),
              { t: "opened", at: entries.at(-1)?.at ?? 0, format: 1 }
            ]
            expect(fold(some).requestMs.total).toBeCloseTo(recount(lines(some)).requestMs, 3)
          }
        }))),
      { numRuns: 25 }
    ), 60_000)
})

describe("the sandbox's time", () => {
  const upload = (listId: string, recipients = 1) =>
    Effect.flatMap(Provider, (provider) =>
      provider.uploadList({
        listId,
        channel: "mail",
        mailKey: "m",
        recipients: Array.from(
          { length: recipients },
          (_, i) => ({ deliveryId: `d-${i}`, address: `p${i}@example.com` })
        ),
        idempotencyKey: listId
      }))
  const took = (effect: Effect.Effect<unknown, unknown, Provider>) =>
    Effect.gen(function*() {
      const from = yield* Clock.currentTimeMillis
      const fiber = yield* Effect.fork(Effect.zipRight(effect, Clock.currentTimeMillis))
      yield* TestClock.adjust("10 seconds")
      return (yield* Fiber.join(fiber)) - from
    })
  const sandbox = (settings: SettingsPatch) => layerRecorded({ settings }).pipe(Layer.provide(collect([])))

  it.effect("an upload takes longer the more recipients it has", () =>
    Effect.gen(function*() {
      expect(yield* took(upload("a", 1))).toBe(12)
      expect(yield* took(upload("b", 100))).toBe(210)
    }).pipe(Effect.provide(sandbox({ latency: { _tag: "Fixed", ms: 10 }, uploadPerRecipientMs: 2 }))))

  it.effect("what a request takes is counted from its arrival: reading it is part of that", () => {
    const entries: Array<SandboxEntry> = []
    return Effect.gen(function*() {
      const { handle } = yield* SandboxService
      const read = Effect.delay(Effect.succeed({ op: "status" as const, sendId: "none" }), "40 millis")
      const slow = Effect.delay(Effect.succeed({ op: "status" as const, sendId: "none" }), "150 millis")
      const clients = [yield* Effect.fork(handle("status", read)), yield* Effect.fork(handle("status", slow))]
      for (let n = 0; n < 20; n++) yield* TestClock.adjust("10 millis")
      yield* Fiber.joinAll(clients)
      const took = (n: number) => {
        const [from, until] = entries.flatMap((entry) => "n" in entry && entry.n === n ? [entry.at] : [])
        return until! - from!
      }
      expect([took(1), took(2)]).toEqual([100, 150])
    }).pipe(Effect.provide(
      sandboxLayer({ latency: { _tag: "Fixed", ms: 100 } }).pipe(Layer.provide(collect(entries)))
    ))
  })

  it.effect("making its record durable is part of what a request takes, and a disk that is slower lengthens it", () => {
    const entries: Array<SandboxEntry> = []
    let disk = 0
    const durable = Effect.suspend(() => disk === 0 ? Effect.void : Effect.sleep(disk))
    return Effect.gen(function*() {
      for (const [slow, ms] of [[4, 100], [60, 150]] as const) {
        disk = slow
        yield* Effect.fork(upload(`of ${ms}`))
        for (let n = 0; n < 200; n++) yield* TestClock.adjust("1 millis")
        const [from, listed, until] = entries.slice(-3)
        expect([from?.t, listed?.t, until?.t]).toEqual(["start", "list", "end"])
        expect(until!.at - from!.at).toBe(ms)
      }
    }).pipe(Effect.provide(
      layerRecorded({ settings: { latency: { _tag: "Fixed", ms: 100 }, uploadPerRecipientMs: 0 } }).pipe(
        Layer.provide(collect(entries, durable))
      )
    ))
  })

  it.effect("a slow start wears off", () =>
    Effect.gen(function*() {
      expect(yield* took(upload("a"))).toBe(100)
      expect(yield* took(upload("b"))).toBe(55)
      expect(yield* took(upload("c"))).toBe(10)
    }).pipe(Effect.provide(sandbox({
      latency: { _tag: "Fixed", ms: 10 },
      uploadPerRecipientMs: 0,
      slowStart: { forMs: 20_000, factor: 10 }
    }))))

  it.effect("a full second after the first of as many as the rate allows there is room again, not before", () =>
    Effect.gen(function*() {
      const control = yield* SandboxControl
      yield* upload("a")
      yield* TestClock.adjust(400)
      yield* upload("b")
      yield* TestClock.adjust(599)
      const refused = yield* Effect.flip(upload("c"))
      expect(refused).toMatchObject({ _tag: "Throttled" })
      yield* TestClock.adjust(1)
      yield* upload("d")
      expect((yield* control.report).violations).toMatchObject({ rate: 1, concurrency: 0 })
      expect((yield* Effect.flip(upload("e")))._tag).toBe("Throttled")
    }).pipe(
      Effect.provide(sandbox({ latency: { _tag: "Fixed", ms: 0 }, uploadPerRecipientMs: 0, perSecond: { upload: 2 } }))
    ))

  it.effect("a send counts with its list's messages, by the second and by the day, whatever is done to it; a 429 does not", () =>
    Effect.gen(function*() {
      const control = yield* SandboxControl
      const provider = yield* Provider
      const list = (id: string, recipients: number) =>
        provider.uploadList({
          listId: id,
          channel: "mail",
          mailKey: "m",
          recipients: Array.from(
            { length: recipients },
            (_, n) => ({ deliveryId: `${id}-${n}`, address: `${id}-${n}@x.example` })
          ),
          idempotencyKey: id
        })
      const send = (uploadId: string, key: string) => provider.startDelivery({ uploadId, idempotencyKey: key })
      const [six, four, one, big] = [
        yield* list("a", 6),
        yield* list("b", 4),
        yield* list("c", 1),
        yield* list("d", 25)
      ]
      yield* send(six.uploadId, "a")
      yield* TestClock.adjust(300)
      yield* send(four.uploadId, "b")
      // A repeat gets the first answer and sends nothing.
      yield* send(six.uploadId, "a")
      expect(yield* Effect.flip(send(one.uploadId, "c"))).toMatchObject({
        _tag: "Throttled",
        retryAfter: Duration.millis(700)
      })
      yield* TestClock.adjust(700)
      yield* send(one.uploadId, "c")
      expect((yield* control.report).violations).toMatchObject({ total: 1, messages: 1, day: 0, rate: 0 })
      // More than a second allows goes alone, and holds the rate for two and a half.
      yield* TestClock.adjust(1_000)
      yield* control.configure({ faults: { failBefore: 1 }, faultsOn: ["send"] })
      expect((yield* Effect.flip(send(big.uploadId, "d")))._tag).toBe("ProviderUnknown")
      yield* control.configure({ faults: { failBefore: 0 } })
      yield* TestClock.adjust(2_499)
      expect((yield* Effect.flip(send(one.uploadId, "e")))._tag).toBe("Throttled")
      yield* TestClock.adjust(1)
      yield* send(one.uploadId, "f")
      yield* TestClock.adjust(1_000)
      expect((yield* Effect.flip(send(four.uploadId, "g")))._tag).toBe("Throttled")
      const { peakMessages, violations } = yield* control.report
      expect(violations).toMatchObject({ total: 3, messages: 2, day: 1 })
      expect(peakMessages).toEqual({ perSecond: 25, perDay: 6 + 4 + 1 + 25 + 1 + 4 })
      yield* TestClock.adjust("1 day")
      yield* send(four.uploadId, "h")
    }).pipe(
      Effect.provide(sandbox({
        latency: { _tag: "Fixed", ms: 0 },
        uploadPerRecipientMs: 0,
        messages: { perSecond: 10, perDay: 40 }
      }))
    ))

  it.effect("utilisation is time under way by time possible, limits changing meanwhile", () =>
    Effect.gen(function*() {
      const control = yield* SandboxControl
      // One of two for 100 ms, then one of one for 100 ms; the idle second between counts for nothing.
      yield* took(upload("a"))
      yield* control.configure({ concurrency: { total: 1 } })
      yield* took(upload("b"))
      const { busyMs, requestMs, utilisation } = yield* control.report
      expect(busyMs.total).toBeCloseTo(200, 3)
      expect(requestMs.total).toBeCloseTo(200, 3)
      expect(utilisation.total).toBeCloseTo(200 / 300, 5)
      expect(utilisation.status).toBe(null)
    }).pipe(Effect.provide(sandbox({
      latency: { _tag: "Fixed", ms: 100 },
      uploadPerRecipientMs: 0,
      concurrency: { total: 2 }
    }))))

  it.effect("no answer, refusals included, leaves before its request is on the disk", () => {
    const entries: Array<SandboxEntry> = []
    const disk = Effect.unsafeMakeLatch(true)
    const patch: SettingsPatch = { latency: { _tag: "Fixed", ms: 0 }, concurrency: { upload: 1 } }
    const kinds = () => entries.slice(2).map(({ t }) => t)
    return Effect.gen(function*() {
      const control = yield* SandboxControl
      yield* disk.close
      const accepted = yield* Effect.fork(upload("a"))
      const refused = yield* Effect.fork(Effect.flip(upload("b")))
      yield* TestClock.adjust("1 second")
      expect(kinds()).toEqual(["start", "start", "list"])
      expect([accepted.unsafePoll(), refused.unsafePoll()]).toEqual([null, null])
      expect((yield* control.report).underWay.total).toBe(1)
      yield* disk.open
      expect(yield* Fiber.join(accepted)).toEqual({ uploadId: "u-1" })
      expect((yield* Fiber.join(refused))._tag).toBe("Throttled")
      expect(kinds().slice(3)).toEqual(["end", "end"])
    }).pipe(Effect.provide(layerRecorded({ settings: patch }).pipe(Layer.provide(collect(entries, disk.await)))))
  })

  it.effect("closing the sandbox leaves no request behind (R25)", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(sandbox({ latency: { _tag: "Fixed", ms: 1000 } }), scope)
      const caller = yield* Effect.fork(Effect.provide(upload("a"), context))
      yield* TestClock.adjust(10)
      yield* Scope.close(scope, Exit.void)
      expect(Exit.isInterrupted(yield* Fiber.await(caller))).toBe(true)
    }))

  it("latencies follow their distribution, and only the seed", () => {
    const sample = (seed: number) =>
      Array.from(
        { length: 4000 },
        (_, n) =>
          latencyOf({ _tag: "LogNormal", medianMs: 50, sigma: 0.8, maxMs: 400 }, draw(seed, n, 1), draw(seed, n, 2))
      )
    const sorted = sample(7).sort((a, b) => a - b)
    expect(sorted[2000]).toBeGreaterThan(45)
    expect(sorted[2000]).toBeLessThan(55)
    expect(sorted.at(-1)).toBeLessThanOrEqual(400)
    expect(sample(7)).toEqual(sample(7))
    expect(sample(8)).not.toEqual(sample(7))
    const draws = Array.from({ length: 10_000 }, (_, n) => draw(1, n, 3))
    const tenths = Array.from({ length: 10 }, (_, i) => draws.filter((d) => Math.floor(d * 10) === i).length)
    for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })
})
