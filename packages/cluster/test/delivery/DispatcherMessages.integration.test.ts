/**
 * Messages per second and per day (MAIL-3, G9): the sandbox counts them by itself, and refuses what is too much; it is the
 * only judge here.
 */
import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { DeliveryStore } from "@hikyaku/cluster/delivery/DeliveryStore"
import { providerKind } from "@hikyaku/cluster/delivery/ProviderActor"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { type MessageLimits, noMessageLimits } from "@hikyaku/domain/delivery/MessageRate"
import type { Limits } from "@hikyaku/domain/delivery/RateLimit"
import { Deferred, Duration, Effect } from "effect"
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
  tally,
  two
} from "./DispatcherHouse.ts"

const limited = (messages: Partial<MessageLimits>): Limits => ({
  ...two,
  marginMs: 100,
  messages: { ...noMessageLimits, ...messages }
})
const allows = (messages: { readonly perSecond?: number; readonly perDay?: number }) => ({
  settings: { ...calm.settings, messages }
})
const account = "mail-account"
const view = Effect.flatMap(
  ActorClient,
  (client) =>
    Effect.flatMap(
      client.send(providerKind, { actor: account, command: { _tag: "ReadProvider", wall: Date.now() } }),
      (reply) => reply._tag === "ProviderView" ? Effect.succeed(reply) : Effect.dieMessage(reply._tag)
    )
)
const configure = (limits: Limits) =>
  Effect.flatMap(
    ActorClient,
    (client) => client.send(providerKind, { actor: account, command: { _tag: "Configure", limits } })
  )

describe("messages per second", () => {
  it.scopedLive(
    "are never more than the provider takes, batch and realtime together, and all of them go out",
    () =>
      inHouse(
        allows({ perSecond: 20 }),
        Effect.gen(function*() {
          const wanted = Array.from(
            { length: 5 },
            (_, n) => ({ run: `now-${n}`, member: `quick-${n}`, class: "realtime" as const })
          )
          yield* consider([...batchOf(50), ...wanted])
          yield* dispatch({ limits: limited({ perSecond: 20 }) })
          yield* quiet
          expect(yield* tally).toEqual({ sent: 55 })
          const seen = yield* exactlyOnce(55)
          expect(seen.peakMessages.perSecond).toBeLessThanOrEqual(20)
          expect(seen.peakMessages.perDay).toBe(55)
        })
      ),
    60_000
  )

  it.scopedLive(
    "are realtime's first: it waits for what is uploaded and under way, not for the batch (G11)",
    () =>
      inHouse(
        allows({ perSecond: 20 }),
        Effect.gen(function*() {
          yield* consider(batchOf(200))
          yield* dispatch({ limits: limited({ perSecond: 20 }) })
          yield* pollUntil(tally, ({ sent = 0 }) => sent > 0)
          yield* consider([{ run: "now", member: "quick", class: "realtime" }])
          const sql = yield* SqlClient.SqlClient
          const overtaken = sql<{ readonly n: number }>`select count(b.id)::integer as n
          from delivery r left join delivery b on b.run = 'run-batch' and b.sent_at > r.created_at and b.sent_at <= r.sent_at
          where r.id = 'now:quick' and r.sent_at is not null group by r.id`
          const [row] = yield* pollUntil(overtaken, (rows) => rows.length > 0)
          // What the window of a second and the lists under way hold; of the batch nearly all is still to come.
          expect(row?.n).toBeLessThanOrEqual(2 * 20)
          yield* quiet
          expect(yield* tally).toEqual({ sent: 201 })
          yield* exactlyOnce(201)
        })
      ),
    60_000
  )

  it.scopedLive("hold also through faults and crashes", () =>
    inHouse(
      { settings: { ...storm.settings, messages: { perSecond: 30 } } },
      Effect.gen(function*() {
        const settings = { limits: limited({ perSecond: 30 }) }
        yield* consider(batchOf(60))
        yield* crashes(4, "send", settings)
        yield* dispatch(settings)
        yield* quiet
        expect(yield* tally).toEqual({ sent: 60 })
        yield* exactlyOnce(60)
      })
    ), 90_000)

  it.scopedLive("can be set at run time, also below the size of lists that are there", () =>
    inHouse(
      calm,
      Effect.gen(function*() {
        const control = yield* SandboxControl
        yield* consider(batchOf(40))
        const dispatcher = yield* dispatch()
        yield* pollUntil(report, (seen) => seen.sends >= 1)
        yield* crash(dispatcher)
        yield* configure(limited({ perSecond: 8 }))
        yield* control.configure({ messages: { perSecond: 8 } })
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 40 })
        yield* exactlyOnce(40)
      })
    ), 60_000)
})

describe("messages per day", () => {
  /** One list is all that a day allows. */
  const aDaysList = { limits: limited({ perDay: 5 }), listSize: 5 }

  it.scopedLive(
    "are not exceeded, whoever takes over; no more is uploaded than a day allows, the rest stays due",
    () =>
      inHouse(
        { settings: { ...slowSend.settings, messages: { perDay: 25 } } },
        Effect.gen(function*() {
          const settings = { limits: limited({ perDay: 25 }), listSize: 5 }
          yield* consider(batchOf(60))
          // Crashes while sends are under way: each counts for whoever comes after, though nobody knows what became of it.
          yield* crashes(2, "send", settings)
          yield* dispatch(settings)
          yield* pollUntil(
            Effect.all([view, count("delivery_list", "status not in ('completed', 'uploaded', 'queued')")]),
            ([{ held, slots }, open]) => held?.send?.by === "messages per day" && slots.length === 0 && open === 0
          )
          const seen = yield* report
          expect(seen.violations.total).toBe(0)
          expect(seen.duplicates.total).toBe(0)
          expect(seen.peakMessages.perDay).toBeLessThanOrEqual(25)
          expect(seen.mailed).toBeGreaterThan(0)
          expect(seen.uploaded).toBeLessThanOrEqual(25)
          expect(yield* count("delivery", "status in ('due', 'listed')")).toBe(60 - seen.mailed)
          // What was uploaded, and counted for a send that came to nothing in a crash, waits as a list.
          expect(yield* count("delivery", "status = 'listed'")).toBeLessThanOrEqual(25 - seen.mailed)
          const { messagePace, messages } = yield* view
          expect(messages?.day).toMatchObject({ limit: 25, used: 25 })
          // And those who are told when they will be through are told of it.
          yield* pollUntil(count("delivery_speed", "speed -> 'messages' ->> 'left' = '0'"), (rows) => rows === 1)
          expect(messagePace?.leaving.reduce((all, one) => all + one.messages, 0)).toBe(25)
          // More is allowed: all the rest goes out.
          yield* configure(limited({ perDay: 200 }))
          yield* Effect.flatMap(SandboxControl, (control) => control.configure({ messages: { perDay: 200 } }))
          yield* quiet
          expect(yield* tally).toEqual({ sent: 60 })
          yield* exactlyOnce(60)
        })
      ),
    90_000
  )

  it.scopedLive("are left to an upload in doubt while nothing can be asked about it yet", () =>
    Effect.gen(function*() {
      const accepted = yield* Deferred.make<void>()
      let cut = false
      // The first upload arrives, and whoever made it ends before the answer is on record.
      const onStep = (step: string) => {
        if (step !== "upload after" || cut) return Effect.void
        cut = true
        return Effect.zipRight(Deferred.succeed(accepted, undefined), Effect.never)
      }
      yield* inHouse(
        { ...allows({ perDay: 5 }), promises: { settleTime: Duration.seconds(1) }, onStep },
        Effect.gen(function*() {
          yield* consider(batchOf(10))
          const dispatcher = yield* dispatch(aDaysList)
          yield* Deferred.await(accepted)
          yield* crash(dispatcher)
          yield* dispatch(aDaysList)
          yield* pollUntil(
            Effect.all([tally, count("delivery_list", "status in ('uploading', 'unknown')")]),
            ([{ sent = 0 }, open]) => sent > 0 && open === 0
          )
          expect(yield* count("delivery_list")).toBe(1)
          expect((yield* report).uploaded).toBe(5)
          expect(yield* tally).toEqual({ sent: 5, due: 5 })
          yield* exactlyOnce(5)
        })
      )
    }), 60_000)

  it.scopedLive("are left to an upload that ends while the store is looked at", () =>
    Effect.gen(function*() {
      const looked = yield* Deferred.make<void>()
      const recorded = yield* Deferred.make<void>()
      let uploaded = false
      let looks = 0
      const onStep = (step: string) => {
        if (step === "change after") return Effect.asVoid(Deferred.succeed(recorded, undefined))
        if (step !== "upload after" || uploaded) return Effect.void
        uploaded = true
        return Deferred.await(looked)
      }
      /** Set once the store can be asked: whoever made the upload has let go of its list when that is answered. */
      let roundTrip: Effect.Effect<unknown> = Effect.void
      // The first look after the upload may have been begun before it.
      const onLook = Effect.suspend(() =>
        !uploaded || ++looks !== 2
          ? Effect.void
          : Effect.all([Deferred.succeed(looked, undefined), Deferred.await(recorded), roundTrip], { discard: true })
      )
      yield* inHouse(
        { ...allows({ perDay: 5 }), onStep, onLook },
        Effect.gen(function*() {
          roundTrip = Effect.provide(Effect.orDie(count("delivery")), yield* Effect.context<SqlClient.SqlClient>())
          yield* consider(batchOf(10))
          yield* dispatch(aDaysList)
          yield* pollUntil(tally, ({ sent = 0 }) => sent > 0)
          expect(yield* count("delivery_list")).toBe(1)
          expect((yield* report).uploaded).toBe(5)
          expect(yield* tally).toEqual({ sent: 5, due: 5 })
        })
      )
    }), 60_000)

  it.scopedLive(
    "bound what is uploaded also where more was listed: by one that is gone, after another has looked",
    () =>
      Effect.gen(function*() {
        let looks = 0
        yield* inHouse(
          { ...allows({ perDay: 5 }), onLook: Effect.sync(() => looks++) },
          Effect.gen(function*() {
            yield* consider(batchOf(10))
            yield* dispatch(aDaysList)
            yield* pollUntil(tally, ({ sent = 0 }) => sent === 5)
            const key = { campaign: "campaign-batch", version: 1, class: "batch", channel: "mail" } as const
            const store = yield* DeliveryStore
            yield* store.makeList({ provider: account, owner: "gone", epoch: 0 }, "l-late", key, 5)
            yield* pollUntil(count("delivery_list", "id = 'l-late' and epoch = 1"), (rows) => rows === 1)
            // Now it is the dispatcher's: it is looked at, and rendered.
            const claimed = looks
            yield* pollUntil(Effect.sync(() => looks), (n) => n > claimed + 20)
            expect((yield* report).uploaded).toBe(5)
            expect(yield* count("delivery_list", "id = 'l-late' and status = 'queued' and attempt = 0")).toBe(1)
            yield* configure(limited({ perDay: 10 }))
            yield* Effect.flatMap(SandboxControl, (control) => control.configure({ messages: { perDay: 10 } }))
            yield* quiet
            expect(yield* tally).toEqual({ sent: 10 })
            yield* exactlyOnce(10)
          })
        )
      }),
    60_000
  )

  it.scopedLive("are left to realtime as configured; what finds no room expires with its cap given back", () =>
    inHouse(
      allows({ perDay: 20 }),
      Effect.gen(function*() {
        yield* consider(batchOf(30).map((one) => ({ ...one, deadline: Date.now() + 4_000 })))
        yield* dispatch({ limits: limited({ perDay: 20, keptForRealtime: 5 }) })
        yield* pollUntil(tally, ({ sent = 0 }) => sent === 15)
        yield* consider([{ run: "now", member: "quick", class: "realtime" }])
        yield* quiet
        expect(yield* tally).toEqual({ sent: 16, expired: 15 })
        const seen = yield* exactlyOnce(16)
        expect(seen.peakMessages.perDay).toBe(16)
        expect(yield* Effect.flatMap(DeliveryStore, (store) => store.backlog(10))).toBe(0)
        expect(yield* count("delivery_refund")).toBe(15)
      })
    ), 60_000)
})
