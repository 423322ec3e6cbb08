/**
 * The example campaigns on eight months of a real shop (Online Retail): every event goes the whole way, through the Product
 * actor, the outbox, the log, aggregation and judgement to the runs and their members. When each campaign fires and whom it
 * addresses is counted out from the raw lines alone (OnlineRetail.ts).
 */
import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { poll } from "@hikyaku/cluster/actor/Timers"
import { layer as catalogueLayer } from "@hikyaku/cluster/marketing/Catalogue"
import { EventLog } from "@hikyaku/cluster/marketing/EventLog"
import { layer as eventLogLayer } from "@hikyaku/cluster/marketing/EventLogSql"
import { make as makeProcessor } from "@hikyaku/cluster/marketing/EventProcessor"
import { makeWith, runLimitsDefault } from "@hikyaku/cluster/marketing/RunWorker"
import { EventSettings } from "@hikyaku/cluster/marketing/Shop"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import { Effect, Either, Layer } from "effect"
import { example } from "../../../domain/test/marketing/CampaignExamples.ts"
import { type Expected, expectedRuns, hasOnlineRetail, readLines, type Step, storyOf } from "./OnlineRetail.ts"
import { day, define, houseLayer, itIs, join, shop } from "./RunHouse.ts"

if (!hasOnlineRetail) console.warn("SKIPPED: ../shared/data/online-retail is not there")

const terms = { ...shop, timeZone: "Europe/London" }
const settings = Layer.succeed(EventSettings, { stockMeaning: "physical", timeZone: terms.timeZone })
const house = Layer.provideMerge(
  catalogueLayer,
  Layer.provideMerge(Layer.merge(eventLogLayer, settings), houseLayer(terms))
)

const campaigns = ["price-drop", "last-one", "back-in-stock", "abandoned-cart"]

/** The shop as its parts: what it is told, and everything that follows from it, to the end. */
const openShop = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const client = yield* ActorClient
  const log = yield* EventLog
  const processor = yield* makeProcessor
  const worker = yield* makeWith(runLimitsDefault)

  /** Until nothing follows from anything any more. */
  const settle = Effect.gen(function*() {
    for (;;) {
      yield* log.relay
      const waiting = yield* sql<{ readonly partition: number }>`
        select p.partition from event_partition p
        join consumer_offset c on c.partition = p.partition and c.consumer = 'judge' where c."offset" < p.next_offset - 1`
      if (waiting.length === 0) break
      yield* Effect.forEach(waiting, ({ partition }) => processor.step(partition), { discard: true })
    }
    while ((yield* worker.step("realtime")) > 0);
  })

  let seen = -1
  /** Whether actors have said something since that could fire a campaign; the rest waits, and is judged with the next. */
  const stirring = Effect.suspend(() =>
    Effect.map(
      sql<{ readonly last: number | null; readonly stirs: boolean | null }>`
      select max(seq)::float8 as last, bool_or(happenings::text ~ '"(StockLow|Restocked|CartExpired)"') as stirs
      from outbox where seq > ${seen}`,
      ([row]) => {
        seen = row?.last ?? seen
        return row?.stirs === true
      }
    )
  )

  let told = 0
  const publish = (at: number, happenings: ReadonlyArray<Happening>) =>
    happenings.length === 0 ? Effect.void : log.append(
      happenings.map((happening) => ({ source: "online-retail", id: `e-${told++}`, at, happening }))
    )

  const ask = (actor: string, command: typeof productKind.command.Type, id?: string) =>
    client.send(productKind, { actor, command, ...(id === undefined ? {} : { id }) })

  const favourites = new Set<string>()
  let sourceVersion = 1
  const play = ({ adds, at, deliveries, prices }: Step) =>
    Effect.gen(function*() {
      yield* itIs(at)
      yield* publish(at, [
        ...prices.map((change): Happening => ({ _tag: "PriceChanged", ...change })),
        ...deliveries.map(({ pieces, product }): Happening => ({
          _tag: "StockChanged",
          product,
          change: { _tag: "Delta", delta: pieces },
          sourceVersion: ++sourceVersion
        }))
      ])
      if (deliveries.length + prices.length > 0) yield* settle
      yield* poll(productKind, ["local"])
      for (const { left, member, n, product, quantity } of adds) {
        const ticket = commandIdFrom(at, 0, 0, n / 2 ** 48)
        const reply = yield* ask(product, { _tag: "AddToCart", ticket, member, quantity, waitlist: false }, ticket)
        if (reply._tag !== "Allocated" || left) continue
        yield* ask(product, { _tag: "BuyTicket", order: `o-${n}`, ticket })
        if (favourites.has(`${member} ${product}`)) continue
        favourites.add(`${member} ${product}`)
        yield* publish(at, [{ _tag: "Favourited", member, product }])
      }
      if (yield* stirring) yield* settle
    })
  return { play, publish, settle }
})

/** What the store says of the runs that began, in the form of the expectation. */
const begun = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  return yield* sql<Expected>`
    select campaign, product, member, (extract(epoch from started_at) * 1000)::float8 as at, coalesce((
      select json_agg(x.member order by x.member collate "C") from (
        select d.member from delivery d where d.run = run.id
        union select l.member from decision_ledger l where l.run = run.id
      ) x), '[]'::json) as audience
    from run`
})

const inOrder = (runs: ReadonlyArray<Expected>) =>
  runs.map((run) => ({ ...run, when: new Date(run.at).toISOString() })).sort((a, b) =>
    a.at - b.at || a.campaign.localeCompare(b.campaign) || a.product.localeCompare(b.product) ||
    String(a.member).localeCompare(String(b.member))
  )

describe.skipIf(!hasOnlineRetail)(
  "Online Retail (../shared/data): example campaigns fire where the record says",
  () => {
    layer(house, { timeout: 120_000, excludeTestServices: true })((it) => {
      it.scoped(
        "price drops, last ones, returns to stock and lapsed carts, each with its members",
        () =>
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            const story = storyOf(readLines())
            const last = story.steps.at(-1)!.at
            // Tickets are of the record's time; so is the shop's clock before anything is defined.
            yield* sql`select outcome_span(${story.opens - day}::float8::bigint, ${last + day}::float8::bigint)`
            yield* itIs(story.opens)
            yield* join(story.members)
            for (const name of campaigns) {
              const valid = validateCampaign(example(`${name}.json`), { timeZone: terms.timeZone, customTypes: {} })
              yield* define(Either.getOrThrow(valid).definition, terms)
            }
            const { play, publish, settle } = yield* openShop
            yield* publish(
              story.opens,
              story.products.flatMap(({ id, name, price, stock }): ReadonlyArray<Happening> => [
                { _tag: "ProductPublished", product: id, name, price },
                { _tag: "StockChanged", product: id, change: { _tag: "Level", level: stock }, sourceVersion: 1 }
              ])
            )
            yield* settle
            for (const step of story.steps) {
              yield* play(step)
            }

            const expected = inOrder(expectedRuns(story))
            expect(inOrder(yield* begun)).toEqual(expected)
            // The slice has something to say about each of them, and about whom they leave out.
            for (const name of campaigns) {
              const own = expected.filter(({ campaign }) => campaign === name)
              expect(own.length, name).toBeGreaterThan(4)
              expect(own.some(({ audience }) => audience.length > 0), name).toBe(true)
            }
          }),
        120_000
      )
    })
  }
)
