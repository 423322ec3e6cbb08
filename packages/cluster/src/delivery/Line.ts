/**
 * LINE Messaging API: push messages, and multicast where a list says the same to everybody. Every request carries a retry key
 * (`X-Line-Retry-Key`), which LINE recognises for 24 hours: an unknown outcome is repeated with the same key, and 409 means
 * that the first one was accepted (R21).
 *
 * Written from the public documentation (developers.line.biz, Messaging API reference and "Retry failed API requests"); not
 * verified against the live service.
 */
import { HttpClient } from "@effect/platform"
import { Config, Duration, Effect, Layer, Option, Redacted } from "effect"
import { createHash } from "node:crypto"
import { Contacts, resolveAddresses } from "./Contacts.ts"
import { type Carriage, type Courier, makeProvider } from "./Courier.ts"
import { post, readObject, readObjects, reasonOf, retryAfterOf } from "./CourierHttp.ts"
import {
  type DeliveryResult,
  Provider,
  type ProviderError,
  ProviderRejected,
  ProviderUnavailable,
  ProviderUnknown,
  Throttled
} from "./Provider.ts"
import type { Spool } from "./Spool.ts"

export interface LineConfig {
  /** Where the interface begins; requests go to `/v2/bot/message/...` below it. */
  readonly baseUrl: string
  /** Channel access token. */
  readonly token: Redacted.Redacted
  readonly requestTimeout: Duration.Duration
  /** 1: every message on its own, with its own content. More (to 500): lists by multicast, whose recipients all get the same. */
  readonly listSizeMax: number
  /** How long the account rests after a 429 that names no time: the limit is per second, the quota per month. */
  readonly retryAfter: Duration.Duration
}

/** Most recipients of one multicast. */
export const multicastMax = 500

/** `HIKYAKU_LINE_TOKEN` and the like; all but the token have defaults. */
export const lineConfig: Config.Config<LineConfig> = Config.nested(
  Config.all({
    baseUrl: Config.url("URL").pipe(
      Config.map((url) => url.href.replace(/\/+$/, "")),
      Config.withDefault("https://api.line.me")
    ),
    token: Config.redacted("TOKEN"),
    requestTimeout: Config.withDefault(Config.duration("REQUEST_TIMEOUT"), Duration.seconds(10)),
    listSizeMax: Config.integer("LIST_SIZE_MAX").pipe(
      Config.withDefault(1),
      Config.validate({
        message: `between 1 and ${multicastMax}`,
        validation: (size) => size >= 1 && size <= multicastMax
      })
    ),
    retryAfter: Config.withDefault(Config.duration("RETRY_AFTER"), Duration.seconds(5))
  }),
  "HIKYAKU_LINE"
)

/** LINE keeps retry keys for 24 h; an hour less, for clocks and for the request itself. */
const keysKept = Duration.hours(23)

/** A retry key is a UUID: the same for the same list. */
export const retryKey = (idempotencyKey: string): string => {
  const hex = createHash("sha256").update(idempotencyKey).digest("hex")
  const variant = ((Number.parseInt(hex[16] ?? "0", 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${
    hex.slice(20, 32)
  }`
}

/** The messages that a rendered content stands for: one object, or a list of them. */
const messagesOf = (content: Readonly<Record<string, string>> | undefined) => {
  const text = content?.["message"] ?? ""
  return Option.orElse(readObjects(text), () => Option.map(readObject(text), (one) => [one]))
}

const courier = (config: LineConfig) =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const contacts = yield* Contacts
    const line: Courier = {
      promises: {
        reconciliation: "retry-key",
        settleTime: Duration.zero,
        longestProcessingTime: config.requestTimeout,
        requestTimeout: config.requestTimeout,
        listSizeMax: config.listSizeMax
      },
      repeatWithin: keysKept,

      accept: (list) =>
        Effect.gen(function*() {
          const first = list.recipients[0]?.content?.["message"]
          for (const [n, { content }] of list.recipients.entries()) {
            const where = `recipients[${n}].content`
            if (Option.isNone(messagesOf(content))) {
              return yield* new ProviderRejected({ reason: "a LINE message is a JSON object or a list of them", where })
            }
            if (content?.["message"] !== first) {
              return yield* new ProviderRejected({
                reason: "a multicast says the same to everybody: set HIKYAKU_LINE_LIST_SIZE_MAX to 1",
                where
              })
            }
          }
          return yield* resolveAddresses(contacts, "line", list)
        }),

      carry: ({ idempotencyKey, list, mayStart }: Carriage) =>
        Effect.gen(function*() {
          const messages = Option.getOrElse(messagesOf(list.recipients[0]?.content), () => [])
          const to = list.recipients.map(({ address }) => address)
          const single = to.length === 1
          const answer = yield* post(client, config.requestTimeout, {
            url: `${config.baseUrl}/v2/bot/message/${single ? "push" : "multicast"}`,
            headers: {
              authorization: `Bearer ${Redacted.value(config.token)}`,
              "x-line-retry-key": retryKey(idempotencyKey)
            },
            contentType: "application/json",
            body: JSON.stringify({ to: single ? to[0] : to, messages }),
            mayStart
          })
          const clock = yield* Effect.clock
          const each = (outcome: DeliveryResult["outcome"], reason?: string): ReadonlyArray<DeliveryResult> =>
            list.recipients.map(({ deliveryId }) => ({
              deliveryId,
              outcome,
              at: clock.unsafeCurrentTimeMillis(),
              ...(reason !== undefined && { reason })
            }))
          const { status } = answer
          if (status >= 200 && status < 300) return each("Sent")
          // The key is known: an earlier request with it was accepted.
          if (status === 409) return each("Sent", "accepted by an earlier request")
          if (status === 429) return yield* new Throttled({ retryAfter: retryAfterOf(answer, config.retryAfter) })
          // Another token may be given before the deadline: nothing is thrown away for a wrong one.
          if (status === 401 || status === 403) return yield* new ProviderUnavailable({ reason: reasonOf(answer) })
          if (status >= 400 && status < 500 && status !== 408) return each("Rejected", reasonOf(answer))
          return yield* Effect.fail<ProviderError>(new ProviderUnknown({ reason: reasonOf(answer) }))
        })
    }
    return line
  })

export const layer = (
  account: string,
  config: LineConfig
): Layer.Layer<Provider, never, HttpClient.HttpClient | Spool | Contacts> =>
  Layer.scoped(Provider, Effect.flatMap(courier(config), (line) => makeProvider(account, line)))

/** The channel of the configuration in force (`lineConfig`). */
export const layerConfig = (account: string) =>
  Layer.unwrapEffect(Effect.map(lineConfig, (config) => layer(account, config)))
