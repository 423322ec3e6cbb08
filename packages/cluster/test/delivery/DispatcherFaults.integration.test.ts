import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { runDispatcher } from "@hikyaku/cluster/delivery/Dispatcher"
import type { Render } from "@hikyaku/cluster/delivery/ListContent"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { Duration, Effect } from "effect"
import { describe, expect } from "vitest"
import {
  batchOf,
  calm,
  consider,
  count,
  crash,
  dispatch,
  exactlyOnce,
  inHouse,
  memberHolds,
  owed,
  pollUntil,
  quickPromises,
  quiet,
  render,
  report,
  settings,
  slowSend,
  storm,
  tally
} from "./DispatcherHouse.ts"

/** Breaks the program at the first of these, once: no fault that anybody has foreseen. */
const breaksOnce = (where: string) => {
  let broken = false
  return (step: string) =>
    Effect.suspend(() => {
      if (broken || step !== where) return Effect.void
      broken = true
      return Effect.dieMessage("by the test")
    })
}

describe("a defect", () => {
  // A look at the store, the slots of a choice, lists as they begin beside the turns, and as they are made.
  for (const where of ["look", "slots after", "begin before", "begin after", "makeList after"]) {
    it.scopedLive(`${where}: does not end the dispatcher, and nobody is mailed twice or forgotten`, () => {
      const breaks = breaksOnce(where)
      return inHouse(
        { ...calm, onStep: breaks, onLook: breaks("look") },
        Effect.gen(function*() {
          yield* consider(batchOf(40))
          yield* dispatch()
          yield* quiet
          expect(yield* tally).toEqual({ sent: 40 })
          yield* exactlyOnce(40)
        })
      )
    })
  }

  it.scopedLive("of a renderer: the list is rendered again, and no other waits for it", () => {
    let left = 1
    const breaking: Render = (key, deliveries) =>
      Effect.suspend(() => left-- > 0 ? Effect.dieMessage("by the test") : render(key, deliveries))
    return inHouse(
      calm,
      Effect.gen(function*() {
        yield* consider(batchOf(20))
        yield* Effect.forkScoped(runDispatcher({ settings, render: breaking, members: memberKind }))
        yield* quiet
        expect(yield* tally).toEqual({ sent: 20 })
        // The same dispatcher: nothing was taken over for it.
        expect(yield* count("provider", "takeovers = 1")).toBe(1)
      })
    )
  })
})

describe("lost answers (G9, G10, R21)", () => {
  it.scopedLive("reconciles with the history before anything is repeated: nobody twice, nobody forgotten", () =>
    inHouse(
      storm,
      Effect.gen(function*() {
        yield* consider(batchOf(80))
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 80 })
        const seen = yield* exactlyOnce(80)
        expect(Object.keys(seen.faults).length).toBeGreaterThan(0)
      })
    ))

  it.scopedLive("asks the history only when it must be complete: a slow send is not repeated", () =>
    inHouse(
      slowSend,
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 10 })
        // A send per list, none repeated. Two lists that are made at once may share what is due, so there may be two.
        expect((yield* exactlyOnce(10)).sends).toBe(yield* count("delivery_list"))
      })
    ))

  it.scopedLive("never repeats a send that nobody can find out about, and reports it", () =>
    inHouse(
      {
        settings: { ...calm.settings, idempotency: false, faults: { cut: 1 }, faultsOn: ["send"] },
        promises: { reconciliation: "at-most-once" }
      },
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ unknown: 10 })
        const seen = yield* exactlyOnce(10)
        expect(seen.sends).toBe(yield* count("delivery_list"))
        expect(yield* count("delivery_refund")).toBe(0)
        expect(yield* memberHolds("run-batch-m0")).toEqual(["due"])
      })
    ))

  it.scopedLive("repeats with the same key where the provider keeps retry keys", () =>
    inHouse(
      {
        settings: { ...calm.settings, faults: { cut: 1 }, faultsMax: 2, faultsOn: ["send"] },
        promises: { reconciliation: "retry-key" }
      },
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 10 })
        // A send per list, none repeated. Two lists that are made at once may share what is due, so there may be two.
        expect((yield* exactlyOnce(10)).sends).toBe(yield* count("delivery_list"))
      })
    ))

  /** Every send is carried out and none answered, until the provider has mailed all. */
  const sentWithoutAnswer = {
    settings: { ...calm.settings, faults: { cut: 1 }, faultsOn: ["send" as const] },
    promises: { reconciliation: "retry-key" as const }
  }
  const allMailed = pollUntil(report, (seen) => seen.mailed === 10)

  it.scopedLive("a send in doubt whose deadline passes before its repeat is unknown: no cap is given back (R19)", () =>
    inHouse(
      sentWithoutAnswer,
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* allMailed
        const sql = yield* SqlClient.SqlClient
        yield* sql`update delivery set not_before = shop_now(), deadline = shop_now()`
        yield* sql`update delivery_list set deadline = shop_now()`
        yield* quiet
        expect(yield* tally).toEqual({ unknown: 10 })
        expect(yield* count("delivery_refund")).toBe(0)
        expect(yield* memberHolds("run-batch-m0")).toEqual(["due"])
        yield* exactlyOnce(10)
      })
    ))

  it.scopedLive("a send in doubt is not repeated when its key is too old: a repeat could be a second mail (R21)", () =>
    inHouse(
      {
        settings: { ...calm.settings, idempotency: false, faults: { cut: 1 }, faultsOn: ["send"] },
        promises: { reconciliation: "retry-key", retryKeyValidity: quickPromises.requestTimeout }
      },
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ unknown: 10 })
        expect(yield* count("delivery", "reason like '%too old%'")).toBe(10)
        expect(yield* count("delivery_refund")).toBe(0)
        expect((yield* exactlyOnce(10)).sends).toBe(yield* count("delivery_list"))
      })
    ))

  it.scopedLive("nor when it has become so while its repeat could not start", () => {
    let isReachable = true
    return inHouse(
      {
        ...sentWithoutAnswer,
        promises: { reconciliation: "retry-key", retryKeyValidity: Duration.seconds(2) },
        reachable: Effect.sync(() => isReachable)
      },
      Effect.gen(function*() {
        const control = yield* SandboxControl
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* allMailed
        isReachable = false
        yield* pollUntil(count("delivery_list", "status = 'uploaded' and doubtful = 'send'"), (n) => n === 1)
        // Its key ages while the provider cannot be reached.
        const aged = "clock_timestamp() - send_begun_at > interval '2 seconds'"
        yield* pollUntil(count("delivery_list", aged), (n) => n === 1)
        const { sends } = yield* report
        // What the provider has forgotten it would send again.
        yield* control.configure({ idempotency: false, faults: { cut: 0 } })
        isReachable = true
        yield* quiet
        expect(yield* tally).toEqual({ unknown: 10 })
        expect((yield* exactlyOnce(10)).sends).toBe(sends)
      })
    )
  })

  it.scopedLive("a send in doubt that is refused when it is repeated is unknown: no cap is given back (R19)", () =>
    inHouse(
      sentWithoutAnswer,
      Effect.gen(function*() {
        yield* consider(batchOf(10))
        yield* dispatch()
        yield* allMailed
        // What the provider does not know any more it refuses.
        const control = yield* SandboxControl
        yield* control.reset
        yield* control.configure({ faults: { cut: 0 } })
        yield* quiet
        expect(yield* tally).toEqual({ unknown: 10 })
        expect(yield* count("delivery_refund")).toBe(0)
        yield* exactlyOnce(0)
      })
    ))

  it.scopedLive("survives answers of the actors that get lost", () => {
    let n = 0
    return inHouse(
      { ...calm, loseAnswer: () => ++n > 200 && n % 4 === 0 },
      Effect.gen(function*() {
        yield* consider(batchOf(40))
        yield* dispatch()
        n = 1_000
        yield* quiet
        expect(yield* tally).toEqual({ sent: 40 })
        yield* exactlyOnce(40)
      })
    )
  })
})

describe("a provider in trouble (G9, G10)", () => {
  const faults = (settings: object) => ({ settings: { ...calm.settings, ...settings } })

  it.scopedLive.each([
    { trouble: "storms of 429s", house: faults({ retryAfterMs: 40, faults: { throttle: 0.6 }, faultsMax: 60 }) },
    { trouble: "a slow start", house: faults({ slowStart: { forMs: 1_000, factor: 8 } }) },
    {
      trouble: "every first answer lost after the work was done",
      house: faults({ faults: { cut: 1 }, faultsMax: 12 })
    },
    { trouble: "connections that stay half open", house: faults({ faults: { halfOpen: 0.5 }, faultsMax: 8 }) },
    { trouble: "errors after the work was done", house: faults({ faults: { failAfter: 0.5 }, faultsMax: 12 }) },
    {
      trouble: "sends whose status never says that they are through",
      house: faults({ faults: { neverCompletes: 0.5 } })
    }
  ])("$trouble: everybody gets it once, within the limit", ({ house }) =>
    inHouse(
      house,
      Effect.gen(function*() {
        yield* consider(batchOf(40))
        yield* dispatch({ pollsMax: 3 })
        yield* quiet
        expect(yield* tally).toEqual({ sent: 40 })
        yield* exactlyOnce(40)
      })
    ))

  it.scopedLive("doubles that the provider makes by itself are its own: ours are sent once each", () =>
    inHouse(
      faults({ faults: { duplicate: 0.5 } }),
      Effect.gen(function*() {
        yield* consider(batchOf(40))
        yield* dispatch()
        yield* quiet
        expect(yield* tally).toEqual({ sent: 40 })
        expect((yield* exactlyOnce(40)).duplicates.injected).toBeGreaterThan(0)
      })
    ))
})

describe("a store that fails (R4, R19)", () => {
  it.scopedLive("loses nothing and sends nothing twice, whether or not what failed was written", () => {
    let n = 0
    const moods = ["before", null, null, null, "after", null, null] as const
    return inHouse(
      { ...calm, storeFault: () => moods[n++ % moods.length] ?? null },
      Effect.gen(function*() {
        yield* consider(batchOf(60))
        const dispatcher = yield* dispatch()
        yield* pollUntil(count("delivery_list", "status <> 'queued'"), (begun) => begun > 0)
        yield* crash(dispatcher)
        yield* dispatch()
        yield* pollUntil(Effect.zip(tally, owed), ([counts, left]) => counts["sent"] === 60 && left === 0)
        yield* exactlyOnce(60)
        expect(yield* memberHolds("run-batch-m7")).toEqual(["sent"])
      })
    )
  }, 60_000)
})
