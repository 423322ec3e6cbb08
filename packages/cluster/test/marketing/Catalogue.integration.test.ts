import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { Catalogue, layer as catalogueLayer } from "@hikyaku/cluster/marketing/Catalogue"
import { EventLog, partitionOf } from "@hikyaku/cluster/marketing/EventLog"
import { layer as eventLogLayer } from "@hikyaku/cluster/marketing/EventLogSql"
import { EventSettings } from "@hikyaku/cluster/marketing/Shop"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import { Context, Effect, Layer } from "effect"
import { campaign, define, houseLayer, start, tell } from "./RunHouse.ts"

const settings = Layer.succeed(EventSettings, { stockMeaning: "physical", timeZone: "Asia/Tokyo" })
const house = Layer.mergeAll(eventLogLayer, settings).pipe(Layer.provideMerge(houseLayer()))

const changed: Happening = { _tag: "PriceChanged", product: "tee", before: 100, after: 80 }
let events = 0
/** Whether any campaign listened, of every event and runner. */
const listened: Array<boolean> = []

/** Publishes an event; what each runner makes of it, judged in the order of the log. */
const happens = (runners: ReadonlyArray<Context.Tag.Service<Catalogue>>, happening: Happening = changed) =>
  Effect.gen(function*() {
    const log = yield* EventLog
    const sql = yield* SqlClient.SqlClient
    const partition = partitionOf(happening)
    yield* log.append([{ source: "shop", id: `e-${events++}`, at: start, happening }])
    const pending = yield* log.pending(partition, 100)
    if (pending === null) return yield* Effect.dieMessage("nothing was appended")
    yield* sql`update consumer_offset set "offset" = ${pending.last} where consumer = 'judge' and partition = ${partition}`
    return yield* Effect.forEach(
      runners,
      (runner) =>
        Effect.gen(function*() {
          const concerned = yield* runner.concerns(pending.entries, pending.catalogueVersion)
          const firings = yield* runner.judge(pending.entries, pending.catalogueVersion)
          // Where nobody listens nobody fires.
          expect(concerned || firings.length === 0).toBe(true)
          listened.push(concerned)
          return firings.map(({ campaign, command }) => [campaign, command._tag === "Fire" ? command.version : null])
        })
    )
  })

describe("what is effective (R16)", () => {
  layer(house, { timeout: 60_000, excludeTestServices: true })((it) => {
    it.effect(
      "an activation, an edit, a pause and a rollback count from the very next event, on every runner",
      () =>
        Effect.gen(function*() {
          const runner = Effect.map(Layer.build(Layer.fresh(catalogueLayer)), Context.get(Catalogue))
          const runners = [yield* runner, yield* runner]
          const both = (...firings: ReadonlyArray<readonly [string, number]>) => [firings, firings]
          // Both have looked before there was anything.
          expect(yield* happens(runners)).toEqual(both())
          yield* define(
            campaign("sale", { trigger: { _tag: "Event", event: "PriceChanged", when: "event.after < 90" } })
          )
          expect(yield* happens(runners)).toEqual(both(["sale", 1]))
          const dearer = { _tag: "Event" as const, event: "PriceChanged", when: "event.after > 90" }
          yield* define(campaign("sale", { trigger: dearer }))
          expect(yield* happens(runners)).toEqual(both())
          expect(yield* happens(runners, { ...changed, after: 95 })).toEqual(both(["sale", 2]))
          yield* tell("sale", "Pause")
          expect(yield* happens(runners, { ...changed, after: 95 })).toEqual(both())
          yield* tell("sale", "Resume")
          const client = yield* ActorClient
          yield* client.send(campaignKind, {
            actor: "sale",
            command: {
              _tag: "Rollback",
              to: 1,
              definition: campaign("sale", {
                trigger: { _tag: "Event", event: "PriceChanged", when: "event.after < 90" }
              }),
              author: "ken",
              timeZone: "Asia/Tokyo"
            }
          })
          expect(yield* happens(runners)).toEqual(both(["sale", 3]))
          yield* tell("sale", "Cancel")
          expect(yield* happens(runners)).toEqual(both())
          // Before the first activation, while paused and after the end nobody does.
          expect(listened).toEqual([false, true, true, true, false, true, false].flatMap((each) => [each, each]))
        }).pipe(Effect.scoped),
      60_000
    )
  })
})
