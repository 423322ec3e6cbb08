/**
 * What every provider adapter keeps, and what the sandbox tells about its clients. One suite over the in-process provider
 * and over HTTP against the sandbox: whoever is tested with the one may trust the other.
 */
import { describe, expect, it } from "@effect/vitest"
import {
  type History,
  type HistoryQuery,
  Provider,
  type ProviderError,
  type Recipient
} from "@hikyaku/cluster/delivery/Provider"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import type { SettingsPatch } from "@hikyaku/cluster/delivery/sandbox/SandboxSettings"
import { Clock, Duration, Effect, Either, Fiber, type Layer } from "effect"

/** Nothing takes time unless a test says so. */
const quick: SettingsPatch = {
  concurrency: { total: null, upload: null },
  perSecond: { total: null },
  latency: { _tag: "Fixed", ms: 0 },
  uploadPerRecipientMs: 0,
  sendDuration: { baseMs: 0, perRecipientMs: 0 }
}

const people = (count: number, prefix = "d"): ReadonlyArray<Recipient> =>
  Array.from({ length: count }, (_, i) => ({ deliveryId: `${prefix}-${i}`, address: `p${i}@example.com` }))

const upload = (
  listId: string,
  recipients = people(1, listId),
  mailKey = "mail-1",
  idempotencyKey = `upload-${listId}`
) =>
  Effect.flatMap(
    Provider,
    (provider) => provider.uploadList({ listId, channel: "mail", mailKey, recipients, idempotencyKey })
  )
const start = (uploadId: string, idempotencyKey = `start-${uploadId}`) =>
  Effect.flatMap(Provider, (provider) => provider.startDelivery({ uploadId, idempotencyKey }))
const status = (sendId: string) => Effect.flatMap(Provider, (provider) => provider.status({ sendId }))
const history = (query: HistoryQuery) => Effect.flatMap(Provider, (provider) => provider.history({ query }))
const configure = (patch: SettingsPatch) => Effect.flatMap(SandboxControl, (sandbox) => sandbox.configure(patch))
const report = Effect.flatMap(SandboxControl, (sandbox) => sandbox.report)

/** Uploads and starts; the send's id. */
const send = (listId: string, recipients?: ReadonlyArray<Recipient>, mailKey?: string) =>
  Effect.flatMap(upload(listId, recipients, mailKey), ({ uploadId }) => start(uploadId))

const fault = (effect: Effect.Effect<unknown, ProviderError, Provider>) =>
  Effect.map(Effect.either(effect), (result) => Either.isLeft(result) ? result.left._tag : "success")

/** Asks again every 10 ms, for at most 10 s. */
const eventually = <A, E, R>(effect: Effect.Effect<A, E, R>, until: (a: A) => boolean) => {
  const ask: Effect.Effect<A, E, R> = Effect.flatMap(
    effect,
    (a) => until(a) ? Effect.succeed(a) : Effect.delay(ask, "10 millis")
  )
  return Effect.timeout(ask, "10 seconds")
}

const ids = (seen: History) => seen.deliveries.map(({ deliveryId }) => deliveryId)

/** `layer`: a fresh provider and its sandbox; its request timeout should be short, since a test waits for it. */
export const providerContract = (name: string, layer: Layer.Layer<Provider | SandboxControl, unknown>) => {
  const test = (title: string, effect: Effect.Effect<unknown, unknown, Provider | SandboxControl>) =>
    it.live(title, () => Effect.provide(Effect.zipRight(configure(quick), effect), layer), 20_000)

  describe(`${name}: delivery`, () => {
    test(
      "a list is uploaded, sent, completed with a result per recipient (MAIL-7)",
      Effect.gen(function*() {
        const recipients = [
          ...people(2),
          { deliveryId: "d-b", address: "x@bounce.invalid" },
          { deliveryId: "d-r", address: "x@reject.invalid" },
          { deliveryId: "d-n", address: "no address" }
        ]
        const { sendId } = yield* send("list-1", recipients)
        const done = yield* status(sendId)
        expect(done.state).toBe("Completed")
        expect(done.results.map(({ deliveryId, outcome }) => [deliveryId, outcome])).toEqual([
          ["d-0", "Sent"],
          ["d-1", "Sent"],
          ["d-b", "Bounced"],
          ["d-r", "Rejected"],
          ["d-n", "Rejected"]
        ])
        expect(done.results[2]?.reason).toBe("mailbox unavailable")
        const told = yield* report
        expect(told).toMatchObject({
          lists: 1,
          sends: 1,
          uploaded: 5,
          mailed: 2,
          duplicates: { total: 0, injected: 0 }
        })
      })
    )

    test(
      "a send passes through queued and sending, without results before it is completed",
      Effect.gen(function*() {
        yield* configure({ sendDuration: { baseMs: 600, perRecipientMs: 100 } })
        const { sendId } = yield* send("list-1", people(3))
        expect(yield* status(sendId)).toEqual({ state: "Queued", results: [] })
        expect(yield* eventually(status(sendId), ({ state }) => state !== "Queued")).toEqual({
          state: "Sending",
          results: []
        })
        const done = yield* eventually(status(sendId), ({ state }) => state !== "Sending")
        expect(done.state).toBe("Completed")
        const times = done.results.map(({ at }) => at)
        expect(times).toEqual([...times].sort((a, b) => a - b))
      })
    )

    test(
      "a failed send reached nobody",
      Effect.gen(function*() {
        yield* configure({ faults: { failSend: 1 } })
        const { sendId } = yield* send("list-1", people(2))
        expect(yield* status(sendId)).toEqual({ state: "Failed", results: [] })
        const seen = yield* history({ _tag: "List", listId: "list-1" })
        expect(seen.deliveries.map(({ state }) => state)).toEqual(["Failed", "Failed"])
        expect((yield* report).mailed).toBe(0)
      })
    )
  })

  describe(`${name}: G9 limits`, () => {
    test(
      "exactly at the limit nothing is violated, and the limit is reached",
      Effect.gen(function*() {
        yield* configure({ concurrency: { total: 4 }, latency: { _tag: "Uniform", minMs: 0, maxMs: 5 } })
        yield* Effect.forEach(Array.from({ length: 120 }, (_, i) => `list-${i}`), (id) => upload(id), {
          concurrency: 4
        })
        const told = yield* report
        expect(told.violations.total).toBe(0)
        expect(told.throttled).toEqual({ genuine: 0, injected: 0 })
        expect(told.peakConcurrency).toMatchObject({ total: 4, upload: 4, send: 0 })
        expect(told.requests).toEqual({ total: 120, upload: 120, send: 0, status: 0, history: 0 })
        expect(told.answers).toEqual({ 201: 120 })
        expect(told.utilisation.total).toBeGreaterThan(0)
        expect(told.utilisation.total).toBeLessThanOrEqual(1)
      })
    )

    test(
      "one over the limit is refused and counted as a violation",
      Effect.gen(function*() {
        yield* configure({ concurrency: { total: 4 }, latency: { _tag: "Fixed", ms: 300 }, retryAfterMs: 70 })
        const results = yield* Effect.forEach(
          ["a", "b", "c", "d", "e"],
          (id) => Effect.either(upload(id)),
          { concurrency: "unbounded" }
        )
        const refused = results.filter(Either.isLeft).map(({ left }) => left)
        expect(refused).toHaveLength(1)
        expect(refused[0]).toMatchObject({ _tag: "Throttled", retryAfter: Duration.millis(70) })
        const told = yield* report
        expect(told.violations).toMatchObject({ total: 1, concurrency: 1, rate: 0, of: { total: 1, upload: 0 } })
        expect(told.throttled).toEqual({ genuine: 1, injected: 0 })
        expect(told.peakConcurrency.total).toBe(5)
        expect(told.lists).toBe(4)
      })
    )

    for (const op of ["upload", "send", "status", "history"] as const) {
      test(
        `${op} has a limit of its own`,
        Effect.gen(function*() {
          const { uploadId } = yield* upload("list-1")
          const { sendId } = yield* start(uploadId)
          yield* configure({ concurrency: { [op]: 1 }, latency: { _tag: "Fixed", ms: 250 } })
          const calls = {
            upload: upload("list-2"),
            send: start(uploadId, "other"),
            status: status(sendId),
            history: history({ _tag: "List", listId: "list-1" })
          }
          const results = yield* Effect.all([...Object.values(calls).map(fault), fault(calls[op])], {
            concurrency: "unbounded"
          })
          expect(results.filter((result) => result === "Throttled")).toHaveLength(1)
          expect(results.filter((result) => result === "success")).toHaveLength(4)
          expect((yield* report).violations).toMatchObject({ total: 1, of: { total: 0, [op]: 1 } })
        })
      )
    }

    test(
      "the rate holds in every second, and the advice leads to success",
      Effect.gen(function*() {
        yield* configure({ perSecond: { total: 5 } })
        yield* Effect.forEach(["a", "b", "c", "d", "e"], (id) => upload(id), { concurrency: "unbounded" })
        expect((yield* report).violations.total).toBe(0)
        const sixth = yield* Effect.either(upload("f"))
        expect(Either.isLeft(sixth) && sixth.left._tag).toBe("Throttled")
        expect((yield* report).violations).toMatchObject({ total: 1, concurrency: 0, rate: 1 })
        if (Either.isLeft(sixth) && sixth.left._tag === "Throttled") {
          expect(Duration.toMillis(sixth.left.retryAfter)).toBeGreaterThan(0)
          expect(Duration.toMillis(sixth.left.retryAfter)).toBeLessThanOrEqual(1000)
          yield* Effect.delay(upload("f"), sixth.left.retryAfter)
        }
        expect((yield* report).violations.total).toBe(1)
        expect((yield* report).peakPerSecond.total).toBe(6)
      })
    )

    test(
      "a large list that is refused is known to be refused, although it was still on its way",
      Effect.gen(function*() {
        yield* configure({ concurrency: { upload: 1 }, latency: { _tag: "Fixed", ms: 400 } })
        const content = { html: "x".repeat(1000) }
        const large = people(5000).map((person) => ({ ...person, content }))
        const first = yield* Effect.fork(upload("a"))
        yield* eventually(report, ({ underWay }) => underWay.upload === 1)
        expect(yield* fault(upload("b", large))).toBe("Throttled")
        yield* Fiber.join(first)
        expect((yield* report).violations.total).toBe(1)
      })
    )

    test(
      "injected 429s are no violations",
      Effect.gen(function*() {
        yield* configure({ faults: { throttle: 1 }, faultsMax: 2 })
        expect(yield* fault(upload("a"))).toBe("Throttled")
        expect(yield* fault(upload("a"))).toBe("Throttled")
        expect(yield* fault(upload("a"))).toBe("success")
        const told = yield* report
        expect(told.violations.total).toBe(0)
        expect(told.throttled).toEqual({ genuine: 0, injected: 2 })
        expect(told.lists).toBe(1)
      })
    )

    test(
      "who hangs up does not end the request: it stays under way until the provider is done (R20)",
      Effect.gen(function*() {
        yield* configure({ latency: { _tag: "Fixed", ms: 400 }, concurrency: { total: 1 } })
        const caller = yield* Effect.fork(upload("a"))
        yield* eventually(report, ({ underWay }) => underWay.total === 1)
        yield* Fiber.interrupt(caller)
        expect(yield* fault(upload("b"))).toBe("Throttled")
        const told = yield* eventually(report, ({ underWay }) => underWay.total === 0)
        expect(told.violations.total).toBe(1)
        expect(told.lists).toBe(1)
      })
    )

    test(
      "a request that may not start any more reaches nobody (G13, R20)",
      Effect.gen(function*() {
        const provider = yield* Provider
        const now = yield* Clock.currentTimeNanos
        const list = { listId: "a", channel: "mail", mailKey: "m", recipients: people(1), idempotencyKey: "k" }
        expect(yield* fault(provider.uploadList({ ...list, startBefore: now }))).toBe("TooLateToStart")
        expect((yield* report).requests.total).toBe(0)
        yield* provider.uploadList({ ...list, startBefore: now + 60_000_000_000n })
        expect((yield* report).requests.total).toBe(1)
      })
    )
  })

  describe(`${name}: G10 unknown outcomes and doubles`, () => {
    test(
      "a lost reply is unknown to the caller and known to the history (R21)",
      Effect.gen(function*() {
        yield* configure({ faults: { cut: 1 }, faultsOn: ["upload", "send"], faultsMax: 1 })
        expect(yield* fault(upload("a"))).toBe("ProviderUnknown")
        const uploaded = yield* history({ _tag: "List", listId: "a" })
        expect(uploaded.lists.map(({ listId, recipients }) => [listId, recipients])).toEqual([["a", 1]])
        expect(uploaded.sends).toEqual([])
        const uploadId = uploaded.lists[0]?.uploadId ?? ""

        yield* configure({ faultsMax: 1 })
        expect(yield* fault(start(uploadId, "k"))).toBe("ProviderUnknown")
        const sent = yield* history({ _tag: "Deliveries", deliveryIds: ["a-0"] })
        expect(sent.sends).toHaveLength(1)
        expect(sent.deliveries).toMatchObject([{ deliveryId: "a-0", mailKey: "mail-1", state: "Sent" }])
        // With the same key the first answer comes back, and nobody gets it twice.
        expect(yield* start(uploadId, "k")).toEqual({ sendId: sent.sends[0]?.sendId })
        const told = yield* report
        expect(told).toMatchObject({ sends: 1, mailed: 1, faults: { cut: 2 }, duplicates: { total: 0 } })
        expect(told.violations.total).toBe(0)
      })
    )

    test(
      "500 is unknown whether it came before or after the effect; only the history tells",
      Effect.gen(function*() {
        yield* configure({ faults: { failBefore: 1 }, faultsMax: 1 })
        expect(yield* fault(upload("a"))).toBe("ProviderUnknown")
        expect((yield* history({ _tag: "List", listId: "a" })).lists).toEqual([])
        yield* configure({ faults: { failBefore: 0, failAfter: 1 }, faultsMax: 1 })
        expect(yield* fault(upload("a"))).toBe("ProviderUnknown")
        expect((yield* history({ _tag: "List", listId: "a" })).lists).toHaveLength(1)
      })
    )

    test(
      "an answer that never comes is unknown after the request timeout",
      Effect.gen(function*() {
        const { uploadId } = yield* upload("a")
        yield* configure({ faults: { halfOpen: 1 }, faultsOn: ["send"] })
        expect(yield* fault(start(uploadId))).toBe("ProviderUnknown")
        expect((yield* history({ _tag: "List", listId: "a" })).sends).toHaveLength(1)
        expect((yield* report).underWay.total).toBe(0)
      })
    )

    test(
      "without retry keys a repeat is a second delivery, and it is counted",
      Effect.gen(function*() {
        yield* configure({ idempotency: false })
        const { uploadId } = yield* upload("a", people(3))
        yield* start(uploadId, "k")
        yield* start(uploadId, "k")
        const told = yield* report
        expect(told).toMatchObject({ sends: 2, mailed: 3, duplicates: { total: 3, pairs: 3, injected: 0 } })
        expect(told.duplicates.shown[0]).toEqual({
          mailKey: "mail-1",
          address: "p0@example.com",
          copies: 2,
          injected: 0
        })
      })
    )

    test(
      "one mail to one address counts across lists and ids, other mails do not",
      Effect.gen(function*() {
        const to = (deliveryId: string, address: string, mailKey?: string) => [{ deliveryId, address, mailKey }]
        yield* send("a", to("d-1", "someone@example.com"))
        yield* send("b", to("d-2", "someone@example.com"), "mail-2")
        expect((yield* report).duplicates.total).toBe(0)
        yield* send("c", to("d-3", "Someone@Example.com"))
        expect((yield* report).duplicates.total).toBe(1)
        // A mail's key on the recipient overrides the list's.
        yield* send("d", to("d-4", "someone@example.com", "mail-2"), "mail-3")
        expect((yield* report).duplicates).toMatchObject({ total: 2, pairs: 2 })
      })
    )

    test(
      "whoever got nothing may get it again",
      Effect.gen(function*() {
        yield* configure({ faults: { bounce: 1 } })
        yield* send("a", people(2))
        yield* configure({ faults: { bounce: 0 } })
        yield* send("b", people(2))
        expect(yield* report).toMatchObject({ mailed: 2, duplicates: { total: 0 } })
      })
    )

    test(
      "the provider's own doubles count apart and stand in the history",
      Effect.gen(function*() {
        yield* configure({ faults: { duplicate: 1 } })
        yield* send("a", people(2))
        expect((yield* report).duplicates).toMatchObject({ total: 0, injected: 2 })
        expect((yield* history({ _tag: "List", listId: "a" })).sends).toHaveLength(2)
      })
    )

    test(
      "a send that never completes is told by the history all the same",
      Effect.gen(function*() {
        yield* configure({ faults: { neverCompletes: 1 } })
        const { sendId } = yield* send("a", people(2))
        expect((yield* status(sendId)).state).toBe("Sending")
        const seen = yield* history({ _tag: "Deliveries", deliveryIds: ["d-0", "d-1"] })
        expect(seen.deliveries.map(({ state }) => state)).toEqual(["Sent", "Sent"])
      })
    )
  })

  describe(`${name}: history (MAIL-6)`, () => {
    test(
      "is asked by delivery, by mail and address, by list, by mail, by time",
      Effect.gen(function*() {
        yield* send("a", people(2, "a"))
        const between = (yield* Clock.currentTimeNanos) / 1_000_000n + 1n
        yield* eventually(Clock.currentTimeNanos, (now) => now / 1_000_000n > between)
        yield* send("b", people(2, "b"), "mail-2")
        yield* upload("c", people(1, "c"), "mail-2")

        expect(ids(yield* history({ _tag: "Deliveries", deliveryIds: ["b-1", "a-0", "nobody"] }))).toEqual([
          "b-1",
          "a-0"
        ])
        const addresses = ["P1@example.com", "nobody@example.com"]
        expect(ids(yield* history({ _tag: "Recipients", mailKey: "mail-1", addresses }))).toEqual(["a-1"])
        expect(ids(yield* history({ _tag: "List", listId: "a" }))).toEqual(["a-0", "a-1"])
        const mail = yield* history({ _tag: "Mail", mailKey: "mail-2" })
        expect(ids(mail)).toEqual(["b-0", "b-1"])
        expect(mail.lists.map(({ listId }) => listId)).toEqual(["b", "c"])
        expect(ids(yield* history({ _tag: "Since", since: Number(between) }))).toEqual(["b-0", "b-1"])
        expect(ids(yield* history({ _tag: "Since", since: 0 }))).toHaveLength(4)
      })
    )

    test(
      "comes in pages",
      Effect.gen(function*() {
        yield* send("a", people(6000, "a"))
        yield* send("b", people(6000, "b"))
        const first = yield* history({ _tag: "Mail", mailKey: "mail-1" })
        expect(first.deliveries).toHaveLength(10_000)
        const second = yield* history({ _tag: "Mail", mailKey: "mail-1", cursor: first.next })
        expect(second.next).toBeUndefined()
        const all = new Set([...ids(first), ...ids(second)])
        expect(all.size).toBe(12_000)
      })
    )

    test(
      "may lag behind",
      Effect.gen(function*() {
        yield* configure({ historyLagMs: 300 })
        yield* send("a")
        expect(yield* history({ _tag: "List", listId: "a" })).toEqual({ lists: [], sends: [], deliveries: [] })
        yield* eventually(history({ _tag: "List", listId: "a" }), ({ sends }) => sends.length === 1)
      })
    )
  })

  describe(`${name}: G16 refusals`, () => {
    const rejected = (effect: Effect.Effect<unknown, ProviderError, Provider>) =>
      Effect.map(Effect.flip(effect), (error) => error._tag === "ProviderRejected" ? error.where : error._tag)

    test(
      "name the place, and nothing happens",
      Effect.gen(function*() {
        yield* configure({ listSizeMax: 2 })
        expect(yield* rejected(start("u-404"))).toBe("uploadId")
        expect(yield* rejected(status("s-404"))).toBe("sendId")
        expect(yield* rejected(upload("a", []))).toBe("recipients")
        expect(yield* rejected(upload("a", people(3)))).toBe("recipients")
        const { uploadId } = yield* upload("a", people(2), "mail-1", "k")
        expect(yield* rejected(upload("a", people(1), "mail-1", "k"))).toBe("idempotencyKey")
        yield* start(uploadId, "k")
        const other = yield* upload("b", people(1), "mail-1", "k2")
        expect(yield* rejected(start(other.uploadId, "k"))).toBe("idempotencyKey")
        expect(yield* report).toMatchObject({ lists: 2, sends: 1, mailed: 2 })
      })
    )

    test(
      "settings that make no sense change nothing",
      Effect.gen(function*() {
        const sandbox = yield* SandboxControl
        const before = yield* sandbox.settings
        const error = yield* Effect.flip(sandbox.configure({ faults: { cut: 2 }, seed: 7 }))
        expect(error).toMatchObject({ _tag: "SettingsRefused", where: "faults.cut" })
        expect(yield* sandbox.settings).toEqual(before)
      })
    )
  })

  describe(`${name}: the sandbox's own pages`, () => {
    test(
      "requests with start and end, mails with copies; a reset forgets both",
      Effect.gen(function*() {
        const sandbox = yield* SandboxControl
        yield* send("a", people(2))
        const requests = yield* sandbox.requests(0)
        expect(requests.map(({ op, status }) => [op, status])).toEqual([["upload", 201], ["send", 202]])
        for (const { endedAt, startedAt } of requests) expect(endedAt).toBeGreaterThanOrEqual(startedAt)
        expect(yield* sandbox.requests(requests[0]?.n ?? 0)).toHaveLength(1)
        expect(yield* sandbox.mails(1)).toEqual([
          { mailKey: "mail-1", address: "p1@example.com", copies: 1, injected: 0 }
        ])
        yield* sandbox.reset
        expect(yield* sandbox.requests(0)).toEqual([])
        expect(yield* sandbox.mails(0)).toEqual([])
        expect(yield* report).toMatchObject({ requests: { total: 0 }, lists: 0, mailed: 0 })
        expect((yield* sandbox.settings).latency.upload).toEqual({ _tag: "Fixed", ms: 0 })
      })
    )
  })
}
