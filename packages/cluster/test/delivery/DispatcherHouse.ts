/** A house around the dispatcher for tests: a fresh database, the sandbox in memory, actors in this process. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import { layerMemory as nudgesLayer } from "@hikyaku/cluster/actor/Nudge"
import { layer as clockLayer } from "@hikyaku/cluster/actor/ShopClock"
import { DeliveryStore, StoreFault } from "@hikyaku/cluster/delivery/DeliveryStore"
import { layer as storeLayer } from "@hikyaku/cluster/delivery/DeliveryStorePostgres"
import { runDispatcher } from "@hikyaku/cluster/delivery/Dispatcher"
import { dispatcherDefaults, type DispatcherSettings } from "@hikyaku/cluster/delivery/DispatcherSettings"
import type { Render } from "@hikyaku/cluster/delivery/ListContent"
import { Provider } from "@hikyaku/cluster/delivery/Provider"
import { layerMemory, type ProviderMemoryOptions } from "@hikyaku/cluster/delivery/ProviderMemory"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { sql as runtimeSql } from "@hikyaku/cluster/sql/migrations/0001_runtime"
import { sql as marketingSql } from "@hikyaku/cluster/sql/migrations/0020_marketing"
import { sql as memberSql } from "@hikyaku/cluster/sql/migrations/0030_members"
import { sql as deliverySql } from "@hikyaku/cluster/sql/migrations/0040_delivery"
import { sql as campaignsSql } from "@hikyaku/cluster/sql/migrations/0070_campaigns"
import { sql as requestSql } from "@hikyaku/cluster/sql/migrations/0085_requests"
import { sql as messagesSql } from "@hikyaku/cluster/sql/migrations/0111_messages"
import { sql as sourceSql } from "@hikyaku/cluster/sql/migrations/0115_request_sources"
import { sql as unsubscribeSql } from "@hikyaku/cluster/sql/migrations/0116_request_unsubscribe"
import { sql as begunSql } from "@hikyaku/cluster/sql/migrations/0117_send_begun"
import { type Limits, unbounded } from "@hikyaku/domain/delivery/RateLimit"
import type { Attributes } from "@hikyaku/domain/marketing/Event"
import { considerCommand, type Terms } from "@hikyaku/domain/marketing/Member"
import { Duration, Effect, Fiber, Layer, Logger, LogLevel, Redacted, Schedule, type Scope } from "effect"
import { expect } from "vitest"
import { freshDatabase } from "../../../../test/Database.ts"
import * as LocalActors from "./LocalActors.ts"

export interface House extends ProviderMemoryOptions {
  readonly limits?: Limits
  readonly loseAnswer?: (kind: string) => boolean
  /** Whether a statement of the dispatcher's store fails, before or after it was carried out. */
  readonly storeFault?: () => "before" | "after" | null
  /** Stands before and after whatever the dispatcher does outside itself, e.g. `begin before`; may end it there. */
  readonly onStep?: (step: string) => Effect.Effect<void>
  /** Stands between what a look at the store has read and who has looked. */
  readonly onLook?: Effect.Effect<void>
  /** Whether dispatchers are told of what becomes due; without it they look all the time. */
  readonly nudges?: boolean
}

export const two: Limits = { concurrency: { ...unbounded, total: 2 }, perSecond: unbounded, marginMs: 20 }

/** Short times, so that lost answers and takeovers are over soon. */
export const quickPromises = {
  settleTime: Duration.millis(50),
  longestProcessingTime: Duration.millis(150),
  requestTimeout: Duration.millis(250)
}

export const settings: DispatcherSettings = {
  ...dispatcherDefaults,
  account: "mail-account",
  channels: ["mail"],
  limits: two,
  listSize: 10,
  leaseMs: 250,
  idleMs: 10,
  statusFirstMs: 20,
  statusMaxMs: 200,
  retryFirstMs: 20,
  retryMaxMs: 200,
  warmUpMs: 0,
  handOverMs: 0,
  drainMs: 0,
  claimMs: 300,
  relayMs: 20
}

export const render: Render = (key, deliveries) =>
  Effect.succeed({
    renderings: deliveries.map(({ delivery }) =>
      delivery.includes("broken")
        ? { _tag: "Unrenderable", reason: "no such variable" }
        : { _tag: "Rendered", subject: `${key.campaign} ${key.version}`, content: { text: "Hello" } }
    )
  })

type OnStep = NonNullable<House["onStep"]>
const nothing: OnStep = () => Effect.void

/** Work between two steps. */
const stepped = (onStep: OnStep) => <A, E, R>(name: string, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  onStep(`${name} before`).pipe(Effect.zipRight(work), Effect.zipLeft(onStep(`${name} after`)))

/** The store, failing as told. What only reads is no step: nothing can be lost there. */
const watchedStore = (fault: () => "before" | "after" | null, onStep: OnStep, onLook: Effect.Effect<void>) =>
  Layer.effect(
    DeliveryStore,
    Effect.map(DeliveryStore, (store) => {
      const failure = new StoreFault({ reason: "by the test" })
      const flaky = <A>(statement: Effect.Effect<A, StoreFault>): Effect.Effect<A, StoreFault> =>
        Effect.suspend(() => {
          switch (fault()) {
            case "before":
              return failure
            case "after":
              return Effect.zipRight(statement, failure)
            case null:
              return statement
          }
        })
      const step = stepped(onStep)
      return DeliveryStore.of({
        overview: (...of) => Effect.zipLeft(flaky(store.overview(...of)), onLook),
        makeList: (...of) => step("makeList", flaky(store.makeList(...of))),
        deliveries: (...of) => flaky(store.deliveries(...of)),
        dropFromList: (...of) => step("dropFromList", flaky(store.dropFromList(...of))),
        begin: (...of) => step("begin", flaky(store.begin(...of))),
        change: (...of) => step("change", flaky(store.change(...of))),
        close: (...of) => step("close", flaky(store.close(...of))),
        expireList: (...of) => step("expireList", flaky(store.expireList(...of))),
        expireDue: (...of) => flaky(store.expireDue(...of)),
        record: (...of) => step("record", flaky(store.record(...of))),
        postpone: (...of) => flaky(store.postpone(...of)),
        claim: (...of) => step("claim", flaky(store.claim(...of))),
        sweepCancelled: (...of) => step("sweepCancelled", flaky(store.sweepCancelled(...of))),
        noteSpeed: (...of) => flaky(store.noteSpeed(...of)),
        statusOf: (...of) => flaky(store.statusOf(...of)),
        held: (...of) => flaky(store.held(...of)),
        released: (...of) => flaky(store.released(...of)),
        facts: flaky(store.facts),
        relayed: (...of) => step("relayed", flaky(store.relayed(...of))),
        backlog: store.backlog
      })
    })
  ).pipe(Layer.provide(storeLayer))

const watchedProvider = (onStep: OnStep) =>
  Layer.effect(
    Provider,
    Effect.map(Provider, (provider) => {
      const step = stepped(onStep)
      return Provider.of({
        promises: provider.promises,
        uploadList: (of) => step("upload", provider.uploadList(of)),
        startDelivery: (of) => step("send", provider.startDelivery(of)),
        status: (of) => step("status", provider.status(of)),
        history: (of) => step("history", provider.history(of))
      })
    })
  )

/** Steps of the conversation with the Provider actor; the members' are the relay's, which can repeat each. */
const watchedActors = (onStep: OnStep) =>
  Layer.effect(
    ActorClient,
    Effect.map(ActorClient, (client) =>
      ActorClient.of({
        send: (kind, request) =>
          kind.name === "Provider" ? stepped(onStep)("slots", client.send(kind, request)) : client.send(kind, request),
        sendAll: client.sendAll,
        sendEach: client.sendEach
      }))
  )

/** Runs a test in a house of its own. */
export const inHouse = <A, E>(
  house: House,
  test: Effect.Effect<
    A,
    E,
    ActorClient | DeliveryStore | SandboxControl | SqlClient.SqlClient | Scope.Scope | Services
  >
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.gen(function*() {
    const { url } = yield* freshDatabase()
    const sql = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 6 }))
    const schema = Layer.effectDiscard(
      Effect.gen(function*() {
        const client = yield* SqlClient.SqlClient
        for (
          const text of [
            runtimeSql,
            marketingSql,
            memberSql,
            deliverySql,
            campaignsSql,
            requestSql,
            messagesSql,
            sourceSql,
            unsubscribeSql,
            begunSql
          ]
        ) yield* client.unsafe(text)
        const now = Date.now()
        yield* client.unsafe("select outcome_partitions($1::bigint, $2::bigint, true)", [
          now - 86_400_000,
          now + 86_400_000
        ])
      }).pipe(Effect.orDie)
    )
    const mishaps = Layer.succeed(LocalActors.Mishaps, { loseAnswer: house.loseAnswer ?? (() => false) })
    const provider = layerMemory({ ...house, promises: { ...quickPromises, ...house.promises } })
    const onStep = house.onStep ?? nothing
    const layer = Layer.mergeAll(
      watchedActors(onStep).pipe(Layer.provide(LocalActors.layer)),
      watchedStore(house.storeFault ?? (() => null), onStep, house.onLook ?? Effect.void),
      watchedProvider(onStep).pipe(Layer.provideMerge(provider))
    ).pipe(
      Layer.provideMerge(Layer.mergeAll(clockLayer, mishaps, journalLayer)),
      Layer.provideMerge(house.nudges === true ? nudgesLayer : Layer.empty),
      Layer.provide(JournalSettings.layer(Redacted.make(url))),
      Layer.provideMerge(schema),
      Layer.provideMerge(sql)
    )
    // What was logged is of interest where the test fails.
    const logged: Array<string> = []
    const gather = Logger.map(Logger.logfmtLogger, (line) => logged.push(line))
    return yield* test.pipe(
      Effect.onError(() => Effect.sync(() => console.log(logged.join("\n")))),
      Effect.provide(layer),
      Logger.withMinimumLogLevel(LogLevel.Info),
      Effect.provide(Logger.replace(Logger.defaultLogger, gather))
    )
  })

type Services =
  | Layer.Layer.Success<typeof clockLayer>
  | Layer.Layer.Success<typeof journalLayer>
  | Layer.Layer.Success<ReturnType<typeof layerMemory>>

/** A dispatcher in the background; ends with the scope, or when it is interrupted. */
export const dispatch = (patch: Partial<DispatcherSettings> = {}, renders: Render = render) =>
  Effect.forkScoped(runDispatcher({ settings: { ...settings, ...patch }, render: renders, members: memberKind }))

/** As a crash would: nothing is drained, whatever was under way goes on at the provider. */
export const crash = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) => Fiber.interrupt(fiber)

export const pollUntil = <A, E, R>(what: Effect.Effect<A, E, R>, done: (value: A) => boolean, withinMs = 30_000) =>
  what.pipe(
    Effect.repeat({ until: done, schedule: Schedule.spaced(Duration.millis(20)) }),
    Effect.timeoutFail({ duration: withinMs, onTimeout: () => new Error("it did not come about in time") }),
    Effect.flatMap(() => what)
  )

/** What is due, on its way, or owed to a member. */
export const owed = Effect.flatMap(DeliveryStore, (store) => store.backlog(1_000))

/** Nothing is due, on its way, or owed to a member any more. */
export const quiet = pollUntil(owed, (left) => left === 0)

const terms: Terms = {
  class: "batch",
  priority: 0,
  channels: ["mail"],
  caps: [{ count: 1, windowMs: 86_400_000 }],
  globalCaps: [],
  cooldownMs: 0,
  holdoutShare: 0,
  timePolicy: { _tag: "Immediate" },
  outsideHours: "hold",
  timeZone: "Asia/Tokyo"
}

export interface Wanted {
  readonly run: string
  readonly member: string
  readonly class?: "realtime" | "batch"
  readonly address?: string
  readonly notBefore?: number
  readonly deadline?: number
  readonly product?: string
  readonly parameters?: Attributes
}

/** Makes members who consent, and has each considered for one message. */
export const consider = (wanted: ReadonlyArray<Wanted>) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    const now = Date.now()
    const shared = { batch: terms, realtime: { ...terms, class: "realtime" as const } }
    const replies = yield* client.sendAll(
      memberKind,
      wanted.flatMap(({ address, class: cls = "batch", deadline, member, notBefore, parameters, product, run }) => [
        { actor: member, command: { _tag: "SetProfile" as const, address: address ?? `${member}@shop.example` } },
        { actor: member, command: { _tag: "SetConsent" as const, channel: "mail" as const, consent: true } },
        {
          actor: member,
          command: considerCommand({
            run,
            campaign: `campaign-${cls}`,
            version: 1,
            ...(product !== undefined && { product }),
            ...(parameters !== undefined && { parameters }),
            terms: shared[cls],
            notBefore: notBefore ?? now - 1_000,
            deadline: deadline ?? now + 3_600_000
          })
        }
      ])
    )
    const answers = replies.map(LocalActors.surely).filter((reply) => reply._tag !== "Done")
    const refused = answers.find((reply) => reply._tag !== "Accepted")
    if (refused !== undefined) return yield* Effect.dieMessage(JSON.stringify(refused))
    return answers.length
  })

export const batchOf = (count: number, run = "run-batch"): ReadonlyArray<Wanted> =>
  Array.from({ length: count }, (_, n) => ({ run, member: `${run}-m${n}` }))

interface DeliveryRow {
  readonly id: string
  readonly status: string
  readonly result: string | null
  readonly reason: string | null
}
/** What the store says of the deliveries. */
export const deliveries = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<DeliveryRow>`select id, status, result, reason from delivery order by id`
)
export const tally = Effect.map(deliveries, (rows) => {
  const counts: Record<string, number> = {}
  for (const row of rows) counts[row.status] = (counts[row.status] ?? 0) + 1
  return counts
})

/** Phases of a member's holds: "sent" occupies from one instant to the same, refunded ones are gone. */
export const memberHolds = (member: string) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    const view = yield* client.send(memberKind, { actor: member, command: { _tag: "ReadMember" } })
    return view._tag === "MemberView" ? view.holds.map((hold) => hold.phase) : []
  })

export const count = (table: string, where = "true") =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql.unsafe<{ readonly n: number }>(`select count(*)::integer as n from ${table} where ${where}`),
      (rows) => rows[0]?.n ?? -1
    ))

export const report = Effect.flatMap(SandboxControl, (control) => control.report)

export const calm = {
  settings: { concurrency: { ...unbounded, total: 2 }, latency: { _tag: "Fixed" as const, ms: 15 } }
}
/** So many dispatchers one after the other, each crashed as soon as it has made more requests of a kind than `more` tells. */
export const crashes = (
  times: number,
  kind: "total" | "send",
  patch: Partial<DispatcherSettings> = {},
  more: (n: number) => number = () => 0
) =>
  Effect.gen(function*() {
    for (let n = 0; n < times; n++) {
      const { requests } = yield* report
      const dispatcher = yield* dispatch(patch)
      yield* pollUntil(report, (seen) => seen.requests[kind] > requests[kind] + more(n))
      yield* crash(dispatcher)
    }
  })

/** Everything that can go wrong with a request, often; some take longer than anybody waits for them. */
export const storm = {
  settings: {
    ...calm.settings,
    latency: { _tag: "LogNormal" as const, medianMs: 15, sigma: 1.4, maxMs: 380 },
    retryAfterMs: 30,
    idempotency: false,
    faults: { throttle: 0.08, failBefore: 0.08, failAfter: 0.08, cut: 0.1, halfOpen: 0.06 }
  }
}

/** Sends that take longer than their timeout, and are carried out only at their end. */
export const slowSend = {
  settings: {
    ...calm.settings,
    latency: {
      upload: { _tag: "Fixed" as const, ms: 5 },
      send: { _tag: "Fixed" as const, ms: 380 },
      status: { _tag: "Fixed" as const, ms: 5 },
      history: { _tag: "Fixed" as const, ms: 5 }
    },
    idempotency: false
  }
}

/** The provider saw so many mails, none twice, and never more requests than it allows. */
export const exactlyOnce = (mails: number) =>
  Effect.gen(function*() {
    const seen = yield* report
    expect(seen.violations).toMatchObject({ total: 0 })
    expect(seen.duplicates).toMatchObject({ total: 0 })
    expect(seen.mailed).toBe(mails)
    expect(seen.peakConcurrency.total).toBeLessThanOrEqual(2)
    return seen
  })
