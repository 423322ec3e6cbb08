/** A house around the run worker for tests: a fresh database, actors in this process, a clock that the test sets. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { LocalCells } from "@hikyaku/cluster/actor/CellEntity"
import type { Journal } from "@hikyaku/cluster/actor/Journal"
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { makeWith, type RunLimits } from "@hikyaku/cluster/marketing/RunWorker"
import { Shop } from "@hikyaku/cluster/marketing/Shop"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignReply } from "@hikyaku/domain/marketing/CampaignCommand"
import type { ShopTerms } from "@hikyaku/domain/marketing/CampaignTerms"
import type { Attributes, Channel } from "@hikyaku/domain/marketing/Event"
import { Context, Effect, Layer, Redacted } from "effect"
import { freshDatabase } from "../../../../test/Database.ts"
import * as LocalActors from "../delivery/LocalActors.ts"
import { memberSweep } from "./MemberSweep.ts"

export const hour = 3_600_000
export const day = 24 * hour
/** Monday, 9:00 in Tokyo. */
export const start = Date.parse("2025-06-02T00:00:00Z")

/** The test's clock. */
export class Instant extends Context.Tag("Instant")<Instant, { now: number }>() {}
/** Whether the next call to actors of a kind is carried out and its answer lost; set by the test. */
export class Losses extends Context.Tag("Losses")<Losses, { lose: (kind: string) => boolean }>() {}

export const shop: ShopTerms = {
  timeZone: "Asia/Tokyo",
  globalCaps: [{ count: 2, windowMs: 7 * day }],
  deliveryHours: {},
  quietHours: null,
  volume: null
}

export type Services = SqlClient.SqlClient | Journal | ActorClient | ShopClock | Shop | Instant | Losses

/** Members of this process are asked in sweeps. */
const sweeps = Layer.effect(
  LocalCells,
  Effect.gen(function*() {
    const sweep = yield* memberSweep()
    return { runner: "test", cells: new Map(), sweeps: new Map([[memberKind.name, sweep]]) }
  })
)

/** A house of its own for a suite; `swept` if runs find the members in their own process. */
export const houseLayer = (terms: ShopTerms = shop, swept = false): Layer.Layer<Services> => {
  const database = Layer.unwrapScoped(Effect.map(freshDatabase(), ({ url }) => {
    const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 6 }))
    const schema = Layer.effectDiscard(
      Effect.gen(function*() {
        yield* migrate
        const sql = yield* SqlClient.SqlClient
        yield* sql`select outcome_span(${start - 500 * day}::float8::bigint, ${Date.now() + 400 * day}::float8::bigint)`
        yield* sql`update shop_clock set mode = 'logical', instant = to_timestamp(${start / 1000})`
      }).pipe(Effect.orDie)
    )
    return Layer.provide(journalLayer, JournalSettings.layer(Redacted.make(url))).pipe(
      Layer.provideMerge(schema),
      Layer.provideMerge(client)
    )
  }))
  const instant = Layer.sync(Instant, () => ({ now: start }))
  const clock = Layer.effect(
    ShopClock,
    Effect.map(Instant, (instant) => {
      const now = () => instant.now
      return ShopClock.of({ now, real: () => Date.now(), logical: () => true, refresh: Effect.void })
    })
  )
  const services = Layer.mergeAll(clock.pipe(Layer.provideMerge(instant)), Layer.succeed(Shop, terms))
  const losses = Layer.succeed(Losses, { lose: () => false })
  const mishaps = Layer.effect(
    LocalActors.Mishaps,
    Effect.map(Losses, (losses) => ({ loseAnswer: (kind: string) => losses.lose(kind) }))
  )
  return LocalActors.layer.pipe(
    Layer.provide(mishaps),
    Layer.merge(swept ? sweeps : Layer.empty),
    Layer.provideMerge(Layer.merge(services, losses)),
    Layer.provideMerge(database)
  )
}

/** It is `at` now, ms since the epoch, in the store and for the actors. */
export const itIs = (at: number) =>
  Effect.gen(function*() {
    const instant = yield* Instant
    const sql = yield* SqlClient.SqlClient
    instant.now = at
    yield* sql`update shop_clock set instant = to_timestamp(${at / 1000})`
  })

/** Members who joined and consented. */
export const join = (
  ids: ReadonlyArray<string>,
  { attributes = {}, channels = ["mail"] }: {
    readonly attributes?: Attributes
    readonly channels?: ReadonlyArray<Channel>
  } = {}
) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    yield* client.sendAll(
      memberKind,
      ids.map((actor) => ({ actor, command: { _tag: "SetProfile", address: `${actor}@example.com`, attributes } }))
    )
    for (const channel of channels) {
      yield* client.sendAll(
        memberKind,
        ids.map((actor) => ({ actor, command: { _tag: "SetConsent", channel, consent: true } }))
      )
    }
  })

export const campaign = (id: string, over: Partial<CampaignDefinition> = {}): CampaignDefinition => ({
  id,
  name: id,
  trigger: { _tag: "Event", event: "PriceChanged" },
  class: "batch",
  priority: 100,
  channels: ["mail"],
  segment: { _tag: "Everyone" },
  deadlineMs: 6 * hour,
  timePolicy: { _tag: "Immediate" },
  content: { en: { mail: { subject: "Hello", html: "<p>Hello</p>", text: "Hello" } } },
  ...over
})

export const define = (definition: CampaignDefinition, terms: ShopTerms = shop) =>
  Effect.flatMap(ActorClient, (client) =>
    client.send(campaignKind, {
      actor: definition.id,
      command: { _tag: "Define", definition, author: "aya", timeZone: terms.timeZone }
    }))

export const tell = (id: string, tag: "Pause" | "Resume" | "Cancel") =>
  Effect.flatMap(
    ActorClient,
    (client) => client.send(campaignKind, { actor: id, command: { _tag: tag, author: "aya" } })
  )

let requests = 0
/** Starts a run by hand; answers its id. */
export const runNow = (id: string, product?: string) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    const { now } = yield* Instant
    const reply: CampaignReply = yield* client.send(campaignKind, {
      actor: id,
      command: {
        _tag: "StartRunNow",
        request: commandIdFrom(now, 0, 0, requests++ / 2 ** 48),
        author: "aya",
        parameters: {},
        ...(product === undefined ? {} : { product })
      }
    })
    if (reply._tag !== "RunStarted") return yield* Effect.dieMessage(`no run: ${JSON.stringify(reply)}`)
    return reply.run
  })

/** Pages so small that a few members make several stretches. */
export const smallLimits: RunLimits = {
  pageSize: 4,
  stretchPages: 2,
  pagesAtOnce: 2,
  crowdedSize: 3,
  stretchesAtOnce: 2,
  runsAtOnce: 3,
  dropMax: 3
}

/** Steps of both lanes until neither finds a run that can go on; at most `most`. */
export const workOff = (limits: RunLimits = smallLimits, most = 50) =>
  Effect.gen(function*() {
    const worker = yield* makeWith(limits)
    for (let n = 0; n < most; n++) {
      const found = (yield* worker.step("realtime")) + (yield* worker.step("batch"))
      if (found === 0) return n
    }
    return most
  })

export interface RunRow {
  readonly status: string
  readonly considered: number
  readonly accepted: number
  readonly rejected: Readonly<Record<string, number>>
}
export const readRun = (id: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<RunRow>`
      select status, considered::int as considered, accepted::int as accepted, rejected from run where id = ${id}`
    return row!
  })

/** Any three messages of one member that one window of seven days can hold, by when they were, or may still be, sent. */
export const brokenWindows = `with said as (
  select member, id, coalesce(sent_at, not_before) as a, coalesce(sent_at, deadline) as b from delivery
  where status in ('due', 'sent') and not (status = 'due' and exists (
    select from decision_ledger l where l.member = delivery.member and l.run = delivery.run and l.decision = 'displaced'))
)
select x.id, y.id, z.id from said x join said y on y.member = x.member and y.id > x.id
  join said z on z.member = x.member and z.id > y.id
where greatest(x.a, y.a, z.a) - least(x.b, y.b, z.b) < interval '7 days'`
