/** What is asked of the shop, through the code that asks it, and how many rows each statement of it may read. */
import { SqlClient } from "@effect/sql"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { DeliveryStore, type DueGroup } from "@hikyaku/cluster/delivery/DeliveryStore"
import { layer as deliveryStoreLayer } from "@hikyaku/cluster/delivery/DeliveryStorePostgres"
import { aggregate } from "@hikyaku/cluster/marketing/Aggregation"
import { EventImport, layer as importLayer } from "@hikyaku/cluster/marketing/EventImport"
import { EventLog } from "@hikyaku/cluster/marketing/EventLog"
import { layer as eventLogLayer } from "@hikyaku/cluster/marketing/EventLogSql"
import { pruneOnce } from "@hikyaku/cluster/marketing/MarketingRetention"
import { productsOf } from "@hikyaku/cluster/marketing/ProductFacts"
import { makeWith, runLimitsDefault } from "@hikyaku/cluster/marketing/RunWorker"
import { compileSegment, countSegment, sampleSegment } from "@hikyaku/cluster/marketing/SegmentSql"
import { Shop } from "@hikyaku/cluster/marketing/Shop"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { Event } from "@hikyaku/domain/marketing/Event"
import { dayMs, type Segment } from "@hikyaku/domain/marketing/Segment"
import { CampaignQuery, layer as campaignQueryLayer } from "@hikyaku/server/rpc/CampaignQuery"
import { Effect, Either, Layer, Schema } from "effect"
import { campaigns } from "./Shop.ts"

interface Probe {
  readonly name: string
  /** Rows that one statement may read. */
  readonly bound: number
  /** It is about so much that reading a table as a whole is right. */
  readonly whole?: boolean
  /** Statements that are looked at; the others are another probe's. Default: all. */
  readonly only?: RegExp
  readonly probe: Effect.Effect<unknown, unknown, SqlClient.SqlClient>
}

/** Members of a page. */
const size = 500
const product = "p7"

/** Whom the example of a price drop addresses. */
const wanting: Segment = {
  _tag: "All",
  of: [
    {
      _tag: "Any",
      of: [
        { _tag: "Favourited", of: { product } },
        { _tag: "Did", activity: "carted", of: { product }, withinDays: 14 }
      ]
    },
    { _tag: "Not", of: { _tag: "Did", activity: "bought", of: { product }, withinDays: 90 } }
  ]
}

/** What every campaign of the shop says; its budget never suffices, so that what was not sent is looked up. */
export const definition: CampaignDefinition = {
  id: "campaign",
  name: "Campaign",
  trigger: { _tag: "Event", event: "PriceChanged" },
  class: "batch",
  priority: 10,
  channels: ["mail"],
  segment: { _tag: "Did", activity: "viewed", of: { category: "c3" }, withinDays: 30 },
  deadlineMs: dayMs,
  budgetPerDay: 1_000_000,
  timePolicy: { _tag: "Immediate" },
  content: { ja: { mail: { subject: "s", html: "<p>h</p>", text: "t" } } }
}

/** Members who always accept, campaigns that grant less than is asked: the worker's own statements are what is looked at. */
const answerTo = (kind: string, command: { readonly _tag: string; readonly count?: number }): unknown =>
  kind === "Member"
    ? { _tag: "Accepted", delivery: "d", channel: "mail", notBefore: 0, deadline: 0 }
    : command._tag === "Spend"
    ? { _tag: "Granted", count: Math.max(0, (command.count ?? 0) - 1) }
    : { _tag: "Settled", changed: true }
const answer = <S, C, R, E>(kind: ActorKind<S, C, R, E>, command: C): R =>
  Schema.decodeUnknownSync(Schema.typeSchema(kind.reply))(
    answerTo(kind.name, command as { readonly _tag: string; readonly count?: number })
  )
const actors = Layer.succeed(
  ActorClient,
  ActorClient.of({
    send: (kind, { command }) => Effect.sync(() => answer(kind, command)),
    sendAll: (kind, requests) => Effect.sync(() => requests.map(({ command }) => Either.right(answer(kind, command)))),
    sendEach: () => Effect.dieMessage("nobody asks one by one")
  })
)
const clock = Layer.succeed(
  ShopClock,
  ShopClock.of({ now: () => Date.now(), real: () => Date.now(), logical: () => false, refresh: Effect.void })
)
const shop = Layer.succeed(Shop, {
  timeZone: "Asia/Tokyo",
  globalCaps: [],
  deliveryHours: {},
  quietHours: null,
  volume: null
})
const services = Layer.mergeAll(actors, clock, shop, eventLogLayer, deliveryStoreLayer, campaignQueryLayer).pipe(
  Layer.merge(Layer.provide(importLayer, eventLogLayer))
)

const run = ({ text, values }: { readonly text: string; readonly values: ReadonlyArray<unknown> }) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(text, [...values]))

const segmentProbes = (members: number): ReadonlyArray<Probe> => {
  const target = { product: 1, brand: 25, category: 100 } as const
  const pages = (name: string, segment: Segment, bound: number): ReadonlyArray<Probe> => [
    { name: `page: ${name}`, bound, probe: Effect.suspend(() => run(compileSegment(segment)(null, size, Date.now()))) },
    {
      name: `page after m5: ${name}`,
      bound,
      probe: Effect.suspend(() => run(compileSegment(segment)("m5", size, Date.now())))
    }
  ]
  const all = (name: string, segment: Segment, bound: number): ReadonlyArray<Probe> => [
    {
      name: `count: ${name}`,
      bound,
      whole: true,
      probe: Effect.suspend(() => run(countSegment(segment, Date.now())))
    },
    {
      name: `sample: ${name}`,
      bound,
      whole: true,
      probe: Effect.suspend(() => run(sampleSegment(segment, Date.now(), 20, "seed")))
    }
  ]
  const viewed = (
    of: { readonly product: string } | { readonly category: string } | { readonly brand: string }
  ): Segment => ({
    _tag: "Did",
    activity: "viewed",
    of,
    withinDays: 30
  })
  // A product's rows of activity of a kind, and everything of a kind: what a count cannot do without.
  const ofProduct = members * 10 / 5_000
  return [
    ...pages("favourited a product", { _tag: "Favourited", of: { product } }, 6 * size),
    ...pages("viewed a product", viewed({ product }), 6 * size),
    ...pages("viewed a brand", viewed({ brand: "b3" }), 8 * size),
    ...pages("viewed a category", viewed({ category: "c3" }), 8 * size),
    ...pages("viewed a category twice", { ...viewed({ category: "c3" }), atLeast: 2 } as Segment, 40 * size),
    ...pages("favourited a category", { _tag: "Favourited", of: { category: "c3" } }, 6 * size),
    ...pages("on a list", { _tag: "OnList", list: "l5" }, 6 * size),
    ...pages("price drop", wanting, 8 * size),
    ...pages("everyone", { _tag: "Everyone" }, 2 * size),
    ...pages("viewed anything", { _tag: "Did", activity: "viewed", withinDays: 30 }, 20 * size),
    ...pages("a tier", { _tag: "Attribute", name: "tier", is: "eq", value: "gold" }, 6 * size),
    ...pages("two named", { _tag: "Members", ids: ["m5", "m77"] }, size),
    ...all("favourited a product", { _tag: "Favourited", of: { product } }, 8 * ofProduct * target.product),
    ...all("price drop", wanting, 12 * ofProduct),
    ...all("viewed a brand", viewed({ brand: "b3" }), 4 * ofProduct * target.brand),
    ...all("viewed a category", viewed({ category: "c3" }), members + 4 * ofProduct * target.category)
  ]
}

const runProbes: ReadonlyArray<Probe> = [
  {
    name: "runs: a batch step, with a budget that runs short",
    bound: 12 * size * runLimitsDefault.stretchPages,
    probe: Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`insert into run (id, campaign, version, cause, parameters, class, priority, started_at, deadline)
        select 'now', 'campaign-1', 5, '{"_tag": "Cycle", "at": 1790000000000}', '{}', 'batch', 5, t, t + interval '1 day' from date_trunc('second', now()) t`
      const worker = yield* makeWith(runLimitsDefault)
      yield* worker.step("batch")
      yield* sql`update run set status = 'finished' where id = 'now'`
    }).pipe(Effect.provide(services))
  },
  {
    name: "runs: a realtime step without a run",
    bound: 2 * size,
    probe: Effect.flatMap(makeWith(runLimitsDefault), (worker) => worker.step("realtime")).pipe(
      Effect.provide(services)
    )
  }
]

const queryProbes: ReadonlyArray<Probe> = Object.entries<
  (query: typeof CampaignQuery.Service) => Effect.Effect<unknown, unknown>
>({
  "explain": (query) => query.explain("m77", "r100"),
  "runs of a campaign": (query) => query.runs("campaign-3", 50),
  "runs of all": (query) => query.runs(undefined, 50),
  "campaigns": (query) => query.summaries({ limit: campaigns }),
  "a campaign's versions": (query) => query.versions("campaign-3"),
  "a version": (query) => query.version("campaign-3")
}).map(([name, ask]) => ({
  name,
  bound: 500,
  probe: Effect.flatMap(CampaignQuery, ask).pipe(Effect.provide(services))
}))

const dispatcher = { provider: "mail", owner: "bench", epoch: 1 }
const channels = ["mail", "line", "push", "onsite"] as const
const listSize = 200

const deliveryProbes = (members: number): ReadonlyArray<Probe> => {
  const probe = (
    name: string,
    bound: number,
    ask: (store: typeof DeliveryStore.Service) => Effect.Effect<unknown, unknown>
  ): Probe => ({ name, bound, probe: Effect.flatMap(DeliveryStore, ask).pipe(Effect.provide(services)) })
  const first = (group: DueGroup | undefined, store: typeof DeliveryStore.Service) =>
    group === undefined
      ? Effect.dieMessage("nothing is due")
      : store.makeList(dispatcher, "a-new-list", group, listSize)
  return [
    // Each group is looked at for a list's worth.
    probe(
      "due: groups and open lists",
      campaigns * 4 * listSize,
      (store) => store.overview(dispatcher, channels, listSize)
    ),
    {
      only: /^with picked/,
      ...probe(
        "due: a list is made",
        12 * listSize,
        (store) =>
          Effect.flatMap(store.overview(dispatcher, channels, listSize), ({ groups }) => first(groups[0], store))
      )
    },
    probe("due: held ones to be judged", 2_500, (store) => store.held(channels)),
    probe("due: expired ones", 2_000, (store) => store.expireDue(channels)),
    probe("facts for members", 2_000, (store) => store.facts),
    probe("backlog of a replay", members / 2, (store) => store.backlog(1_000))
  ]
}

const events = (n: number): ReadonlyArray<Event> =>
  Array.from({ length: n }, (_, i) => ({
    source: "probe",
    id: `n${i}-${Date.now()}`,
    at: Date.now(),
    happening: { _tag: "Viewed", member: `m${i}`, product: `p${i}` }
  }))

const logProbes: ReadonlyArray<Probe> = [
  {
    name: "log: pending",
    bound: 3 * size,
    probe: Effect.flatMap(EventLog, (log) => log.pending(3, size)).pipe(Effect.provide(services))
  },
  {
    name: "log: append",
    bound: 40 * size,
    probe: Effect.flatMap(EventLog, (log) => log.append(events(size))).pipe(Effect.provide(services))
  },
  {
    name: "log: import",
    bound: 40 * size,
    probe: Effect.flatMap(EventImport, (imports) => imports.take("probe", 1, events(size), false)).pipe(
      Effect.provide(services)
    )
  },
  {
    name: "activity: aggregate",
    // Of so few products all are read at once.
    bound: 4 * size + 5_000,
    whole: true,
    probe: Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql<{ readonly at: number }>`select "offset"::float8 as at from consumer_offset
        where consumer = 'aggregate' and partition = 4`
      yield* aggregate(
        [{ partition: 4, after: row!.at, to: row!.at + size, types: new Set(["Viewed"]), alsoJudged: false }],
        "Asia/Tokyo"
      )
    })
  },
  { name: "products for rules", bound: 200, probe: productsOf(Array.from({ length: 50 }, (_, i) => `p${i}`)) }
]

/** Most important first. Pruning comes last, since it changes what there is. */
export const probes = (members: number): ReadonlyArray<Probe> => [
  ...segmentProbes(members),
  ...runProbes,
  ...queryProbes,
  ...deliveryProbes(members),
  ...logProbes,
  { name: "retention", bound: 6 * 10_000, probe: pruneOnce }
]
