import { it } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { providerKind } from "@hikyaku/cluster/delivery/ProviderActor"
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
  pollUntil,
  quiet,
  render,
  tally
} from "./DispatcherHouse.ts"

describe("a dispatcher that has just come (G11, G12)", () => {
  const takeovers = Effect.flatMap(
    ActorClient,
    (client) => client.send(providerKind, { actor: "mail-account", command: { _tag: "ReadProvider" } })
  ).pipe(Effect.map((view) => view._tag === "ProviderView" ? view.takeovers : 0))
  /** What it asks for lasts longer than the other's: so whatever that one is granted says that it is at work. */
  const newcomer = (warmUpMs: number, renders = render) => dispatch({ leaseMs: 2_000, warmUpMs }, renders)

  /** A house in which a send is held up until the gate opens. */
  const heldSend = () => {
    const gate = Effect.unsafeMakeLatch(false)
    let isHeld = false
    const onStep = (step: string) =>
      step === "send before" ? Effect.zipRight(Effect.sync(() => (isHeld = true)), gate.await) : Effect.void
    /** One that is at work, amid a send, has lists queued, and renews the slots of what is ready. */
    const oneAtWork = Effect.gen(function*() {
      yield* consider(batchOf(100))
      const dispatcher = yield* dispatch()
      yield* pollUntil(Effect.sync(() => isHeld), (held) => held)
      yield* pollUntil(count("delivery_list", "status = 'queued'"), (queued) => queued > 0)
      return dispatcher
    })
    const sentOnce = Effect.gen(function*() {
      yield* quiet
      expect(yield* tally).toEqual({ sent: 100 })
      yield* exactlyOnce(100)
    })
    return { gate, house: { ...calm, onStep }, oneAtWork, sentOnce }
  }

  it.scopedLive("leaves the account to the one that is at work and rehearses, of which nothing is kept", () => {
    const { gate, house, oneAtWork, sentOnce } = heldSend()
    let rehearsed = 0
    const renders: typeof render = (_, deliveries) => {
      rehearsed++
      return Effect.succeed({ renderings: deliveries.map(() => ({ _tag: "Unrenderable", reason: "a rehearsal" })) })
    }
    return inHouse(
      house,
      Effect.gen(function*() {
        yield* oneAtWork
        const rehearsing = yield* newcomer(600_000, renders)
        yield* pollUntil(Effect.sync(() => rehearsed), (times) => times > 3)
        expect(yield* takeovers).toBe(1)
        yield* crash(rehearsing)
        yield* gate.open
        yield* sentOnce
        // There is nothing to wait for once the other has nothing to do.
        yield* newcomer(600_000)
        yield* pollUntil(takeovers, (times) => times === 2)
      })
    )
  })

  it.scopedLive("takes it over all the same when it has waited for so long", () => {
    const { gate, house, oneAtWork, sentOnce } = heldSend()
    return inHouse(
      house,
      Effect.gen(function*() {
        yield* oneAtWork
        yield* newcomer(100)
        yield* pollUntil(takeovers, (times) => times === 2)
        yield* gate.open
        yield* sentOnce
      })
    )
  })

  it.scopedLive("takes it over at once from one that is dead", () => {
    const { house, oneAtWork } = heldSend()
    return inHouse(
      // Its slot stays withheld for minutes: that does not say that anybody is at work.
      { ...house, promises: { longestProcessingTime: Duration.minutes(5) } },
      Effect.gen(function*() {
        yield* crash(yield* oneAtWork)
        yield* dispatch({ warmUpMs: 600_000 })
        yield* pollUntil(takeovers, (times) => times === 2)
      })
    )
  })
})
