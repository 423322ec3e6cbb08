import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { clockTopic, dueTopic, Nudge, owedTopic } from "@hikyaku/cluster/actor/Nudge"
import { layer as requestStore, RequestStore } from "@hikyaku/cluster/delivery/RequestStore"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { unbounded } from "@hikyaku/domain/delivery/RateLimit"
import { Effect, Option } from "effect"
import { describe, expect } from "vitest"
import {
  batchOf,
  calm,
  consider,
  count,
  dispatch,
  exactlyOnce,
  inHouse,
  pollUntil,
  quiet,
  report,
  tally
} from "./DispatcherHouse.ts"

const hour = 3_600_000

describe("a dispatcher with nothing to do", () => {
  it.scopedLive("asks the store for nothing until it is told that something is due", () => {
    let asked = 0
    return inHouse(
      { ...calm, nudges: true, storeFault: () => (asked++, null) },
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const nudge = Option.getOrThrow(yield* Effect.serviceOption(Nudge))
        const atRest = pollUntil(
          Effect.gen(function*() {
            const before = asked
            yield* Effect.sleep("200 millis")
            return asked - before
          }),
          (more) => more === 0
        )
        yield* dispatch({ quietMs: hour, relayMs: hour, claimMs: hour })
        yield* pollUntil(Effect.sync(() => asked), (statements) => statements > 0)
        yield* atRest
        // Members decide, and their commit tells.
        yield* consider(batchOf(5))
        yield* pollUntil(tally, ({ sent = 0 }) => sent === 5)
        yield* atRest
        expect(nudge.told(owedTopic)).toBeGreaterThan(0)
        // A commit of theirs that leaves nothing to deliver tells nobody.
        const silent = asked
        yield* Effect.flatMap(ActorClient, (client) =>
          client.sendAll(
            memberKind,
            batchOf(5).map(({ member }) => ({
              actor: member,
              command: { _tag: "SetConsent" as const, channel: "line" as const, consent: true }
            }))
          ))
        yield* Effect.sleep("300 millis")
        expect(asked).toBe(silent)
        const looksOnlyWhenTold = (topic: string) =>
          Effect.gen(function*() {
            const before = asked
            yield* Effect.sleep("300 millis")
            expect(asked).toBe(before)
            nudge.tell(topic)
            yield* pollUntil(tally, ({ due = 0, listed = 0 }) => due + listed === 0)
            yield* atRest
          })
        // Due otherwise, and nobody tells.
        yield* sql`update delivery set status = 'due', list_id = null`
        yield* looksOnlyWhenTold(dueTopic)
        // A replay's clock moves past nothing that waits for it, and then past something.
        const idle = asked
        nudge.tell(clockTopic)
        yield* Effect.sleep("300 millis")
        expect(asked).toBe(idle)
        yield* sql`update delivery set status = 'due', list_id = null, not_before = clock_timestamp() + interval '30 minutes'`
        nudge.tell(dueTopic)
        yield* pollUntil(Effect.sync(() => asked), (statements) => statements > idle)
        yield* atRest
        yield* sql`update delivery set not_before = clock_timestamp() - interval '1 second'`
        yield* looksOnlyWhenTold(clockTopic)
      })
    )
  }, 60_000)

  it.scopedLive("is told of requests: of their lines, and of what is accepted, resumed or tried again", () =>
    inHouse(
      { ...calm, nudges: true },
      Effect.gen(function*() {
        const nudge = Option.getOrThrow(yield* Effect.serviceOption(Nudge))
        const store = yield* RequestStore
        const tells = <A, E, R>(work: Effect.Effect<A, E, R>) =>
          Effect.gen(function*() {
            const before = nudge.told(dueTopic)
            yield* work
            expect(nudge.told(dueTopic)).toBe(before + 1)
          })
        yield* tells(store.add("unknown", [], 1))
        yield* tells(store.takePage("unknown", 0, { lines: [], last: null, done: true }))
        yield* tells(store.move("unknown", ["open"], "accepted"))
        yield* tells(store.retry("unknown", Date.now()))
      }).pipe(Effect.provide(requestStore))
    ), 60_000)
})

describe("a dispatcher whose places are supplied", () => {
  it.scopedLive(
    "gathers what happens, but not what realtime waits for, nor until a place is empty (G11, G12)",
    () =>
      inHouse(
        {
          nudges: true,
          settings: { concurrency: { ...unbounded, total: 2 }, latency: { _tag: "Fixed", ms: 60 } }
        },
        Effect.gen(function*() {
          yield* consider(batchOf(200))
          // It would gather for an hour: whatever goes on does so for one of these two reasons.
          yield* dispatch({ gatherMs: hour })
          yield* pollUntil(report, (seen) => seen.sends > 0)
          yield* consider([{ run: "now", member: "quick", class: "realtime" }])
          yield* quiet
          expect(yield* tally).toEqual({ sent: 201 })
          yield* exactlyOnce(201)
          const later = "sent_at > (select sent_at from delivery where id = 'now:quick')"
          expect(yield* count("delivery", later)).toBeGreaterThan(100)
        })
      ),
    60_000
  )
})
