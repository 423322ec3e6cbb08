/**
 * Which channel goes to which provider account: one dispatcher per account in the whole cluster, wherever it is put. Mail goes
 * to the bulk provider or over SMTP; LINE and push go out when their credentials are configured; on-site notices always.
 */
import { Singleton } from "@effect/cluster"
import type { HttpClient } from "@effect/platform"
import { workLoop } from "@hikyaku/cluster/actor/WorkLoop"
import { layer as contactsLayer } from "@hikyaku/cluster/delivery/Contacts"
import { DeliveryStore, expiriesMax } from "@hikyaku/cluster/delivery/DeliveryStore"
import { dispatcherConfig, type DispatcherSettings } from "@hikyaku/cluster/delivery/DispatcherSettings"
import * as Feedback from "@hikyaku/cluster/delivery/Feedback"
import * as HttpProvider from "@hikyaku/cluster/delivery/HttpProvider"
import * as Line from "@hikyaku/cluster/delivery/Line"
import * as Notices from "@hikyaku/cluster/delivery/Notices"
import * as OnSite from "@hikyaku/cluster/delivery/OnSite"
import type { Provider } from "@hikyaku/cluster/delivery/Provider"
import * as Push from "@hikyaku/cluster/delivery/Push"
import { checkRecipients } from "@hikyaku/cluster/delivery/RecipientCheck"
import { withRequests } from "@hikyaku/cluster/delivery/RequestRenderer"
import * as Smtp from "@hikyaku/cluster/delivery/Smtp"
import type { Spool } from "@hikyaku/cluster/delivery/Spool"
import * as SpoolPostgres from "@hikyaku/cluster/delivery/SpoolPostgres"
import { suppressionConfig, type Suppressions } from "@hikyaku/cluster/delivery/Suppressions"
import * as SuppressionsPostgres from "@hikyaku/cluster/delivery/SuppressionsPostgres"
import * as Unsubscribed from "@hikyaku/cluster/delivery/Unsubscribed"
import { makeRender } from "@hikyaku/cluster/marketing/Renderer"
import * as UnsubscribeLinks from "@hikyaku/cluster/marketing/UnsubscribeLinks"
import * as ClusterRunner from "@hikyaku/cluster/Runner"
import { type Limits, unbounded } from "@hikyaku/domain/delivery/RateLimit"
import type { Channel } from "@hikyaku/domain/marketing/Event"
import { Config, type ConfigError, Duration, Effect, Layer, Option } from "effect"
import * as ProviderClient from "./http/ProviderClient.ts"
import * as Webhooks from "./http/Webhooks.ts"
import { providerLimitsConfig } from "./Settings.ts"

const suppressions = Layer.unwrapEffect(Effect.map(suppressionConfig, SuppressionsPostgres.layer))
const links = UnsubscribeLinks.layerConfig

/** What a gateway needs of the channels: inboxes, contacts, suppressions, unsubscribe links, and where reports go. */
export const gateway = Layer.mergeAll(
  contactsLayer,
  Notices.layer,
  links,
  Unsubscribed.layer,
  Webhooks.layerSettings,
  suppressions,
  Feedback.layer.pipe(Layer.provide(suppressions))
)

/** What the adapters keep in the store. */
const stores = Layer.mergeAll(contactsLayer, Notices.layer, links, SpoolPostgres.layer, suppressions)

/** Facts for the members are every channel's: the first dispatcher tells them, the others need not. */
const withoutFacts = Layer.effect(
  DeliveryStore,
  Effect.map(DeliveryStore, (store) => DeliveryStore.of({ ...store, facts: Effect.succeed([]) }))
)

interface Account {
  readonly account: string
  readonly channel: Channel
  readonly limits: Limits
}

const dispatcher = <E, R>(
  { account, channel, limits }: Account,
  provider: Layer.Layer<Provider, E, R>,
  patch: Partial<DispatcherSettings> = {}
) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const settings = yield* dispatcherConfig({ account, channels: [channel], limits })
    return ClusterRunner.dispatcher(
      { ...settings, ...patch },
      yield* checkRecipients(yield* withRequests(yield* makeRender))
    )
  })).pipe(Layer.provide(provider))

/** How channels without lists of their own are dispatched: results are there at once. */
const quick: Partial<DispatcherSettings> = { idleMs: 200, statusFirstMs: 10 }

/** So many messages at one time and a second; what else is asked stays in the house and needs places of its own. */
const sends = (concurrency: number, perSecond: number | null): Limits => ({
  concurrency: { ...unbounded, total: concurrency * 3, upload: concurrency, send: concurrency },
  perSecond: { ...unbounded, send: perSecond },
  marginMs: 100
})

/** `HIKYAKU_LINE_CONCURRENCY` and `_RATE`, `HIKYAKU_FCM_CONCURRENCY` and `_RATE`: limits of a new account, 8 and 100. */
const limitsOf = (prefix: string) =>
  Config.map(
    Config.all({
      concurrency: Config.withDefault(Config.integer(`${prefix}_CONCURRENCY`), 8),
      perSecond: Config.withDefault(Config.integer(`${prefix}_RATE`), 100)
    }),
    ({ concurrency, perSecond }) => sends(concurrency, perSecond)
  )

/** `HIKYAKU_MAIL_PROVIDER`: `http` (default), the bulk provider; `smtp`: an account of its own. */
const mail = Layer.unwrapEffect(Effect.gen(function*() {
  const kind = yield* Config.withDefault(Config.literal("http", "smtp")("HIKYAKU_MAIL_PROVIDER"), "http" as const)
  const { concurrency, perSecond } = yield* providerLimitsConfig
  // Each kind has an account of its own: what one has begun is not the other's to ask about.
  const provider: Layer.Layer<Provider, ConfigError.ConfigError, Spool | Suppressions | HttpClient.HttpClient> =
    kind === "smtp" ? Smtp.layerConfig("smtp") : HttpProvider.layerConfig
  const limits: Limits = kind === "smtp" ? sends(concurrency, perSecond) : {
    concurrency: { ...unbounded, total: concurrency },
    perSecond: { ...unbounded, total: perSecond },
    marginMs: 100
  }
  return dispatcher({ account: kind === "smtp" ? "smtp" : "mail", channel: "mail", limits }, provider)
}))

/** How often deliveries on channels that nobody carries are looked at, and the most that are closed at once. */
const unservedRest = Duration.seconds(1)

/** Nobody carries the channel: what is due on it expires at its deadline, so that members get their caps back. */
const unserved = (channel: Channel) =>
  Layer.unwrapEffect(Effect.map(DeliveryStore, (store) =>
    Singleton.make(
      `unserved-${channel}`,
      workLoop(`Expiry on ${channel}`, unservedRest, store.expireDue([channel]), expiriesMax)
    )))

const isConfigured = (name: string) => Effect.map(Config.option(Config.redacted(name)), Option.isSome)

const line = Layer.unwrapEffect(Effect.gen(function*() {
  const account = { account: "line", channel: "line", limits: yield* limitsOf("HIKYAKU_LINE") } as const
  return dispatcher(account, Line.layerConfig("line"), quick).pipe(Layer.provide(withoutFacts))
}))

const push = Layer.unwrapEffect(Effect.gen(function*() {
  const account = { account: "push", channel: "push", limits: yield* limitsOf("HIKYAKU_FCM") } as const
  return dispatcher(account, Push.layerConfig("push"), quick).pipe(Layer.provide(withoutFacts))
}))

/** On-site notices go to the shop's own store: as many lists at one time as do not crowd out its other work. */
const onSite = dispatcher(
  { account: "onsite", channel: "onsite", limits: sends(2, null) },
  OnSite.layer("onsite"),
  quick
).pipe(Layer.provide(withoutFacts))

/** The dispatchers of all accounts that are configured. */
export const dispatchers = Layer.unwrapEffect(Effect.gen(function*() {
  const others = [
    (yield* isConfigured("HIKYAKU_LINE_TOKEN")) ? line : unserved("line"),
    (yield* isConfigured("HIKYAKU_FCM_SERVICE_ACCOUNT")) ? push : unserved("push")
  ]
  return Layer.mergeAll(mail, onSite, ...others)
})).pipe(
  Layer.provide(ProviderClient.layer()),
  Layer.provide(stores)
)
