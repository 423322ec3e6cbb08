/**
 * What a dispatcher does before it takes an account over from one that is at work. A process that has just begun is slow at
 * whatever it does for the first time, while the one before it goes on until it is deposed: so the newcomer first does again
 * and again what it will have to do - asks the Provider actor, looks at the store, renders what is queued - and takes over
 * when it knows how. Nothing of it is kept, and nothing is written.
 *
 * Whoever is at work has been granted a slot lately: what is ready has its slot renewed before its lease is over. An account
 * whose dispatcher is dead, or has nothing to do, is taken over at once.
 */
import type { ProviderReply } from "@hikyaku/domain/delivery/ProviderCommand"
import { Clock, Duration, Effect, Schedule } from "effect"
import { ActorClient } from "../actor/ActorClient.ts"
import { ShopClock } from "../actor/ShopClock.ts"
import { DeliveryStore } from "./DeliveryStore.ts"
import type { DispatcherSettings } from "./DispatcherSettings.ts"
import { recipientsOf, type Render } from "./ListContent.ts"
import { providerKind } from "./ProviderActor.ts"

/** Lists that are rendered in one round. */
const listsMax = 4
/** Rest between two rounds, ms: whoever is at work needs the machine. */
const restMs = 50

/** Whether the account's dispatcher was granted something within the last lease. */
const isAtWork = (view: Extract<ProviderReply, { readonly _tag: "ProviderView" }>, wall: number, leaseMs: number) =>
  view.slots.some(({ grantedAt, owner }) => owner === view.owner && grantedAt > wall - leaseMs)

/** Rehearses while another one is at work, for `warmUpMs` at the most. */
export const rehearse = (
  settings: Pick<DispatcherSettings, "account" | "channels" | "leaseMs" | "listSize" | "warmUpMs">,
  render: Render
) =>
  Effect.gen(function*() {
    const store = yield* DeliveryStore
    const client = yield* ActorClient
    const clock = yield* ShopClock
    const until = (yield* Clock.currentTimeMillis) + settings.warmUpMs

    /** Answers whether there is reason for another round. */
    const round = Effect.gen(function*() {
      const wall = Math.floor(clock.real())
      const view = yield* client.send(providerKind, {
        actor: settings.account,
        command: { _tag: "ReadProvider", wall }
      })
      if (view._tag !== "ProviderView" || !isAtWork(view, wall, settings.leaseMs)) return false
      const by = { provider: settings.account, owner: view.owner, epoch: view.takeovers }
      const { lists } = yield* store.overview(by, settings.channels, settings.listSize)
      for (const list of lists.filter(({ state }) => state.status === "queued").slice(0, listsMax)) {
        yield* recipientsOf(render, list, yield* store.deliveries(list.id))
      }
      return true
    })
    yield* Clock.currentTimeMillis.pipe(
      Effect.flatMap((now) => now < until ? round : Effect.succeed(false)),
      // Whatever it was, the takeover meets it too, and waits it out.
      Effect.catchAllCause((cause) => Effect.as(Effect.logDebug("A rehearsal broke off", cause), false)),
      Effect.repeat({ while: (again) => again, schedule: Schedule.spaced(Duration.millis(restMs)) })
    )
  })
