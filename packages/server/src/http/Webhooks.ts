/**
 * Where providers report what became of messages: `POST /webhooks/:account`. A report is signed with the account's secret over
 * time and body, so that nobody else can suppress an address or make up a click (G17); an old one is refused, so that it cannot
 * be played again. Whoever cannot sign gets one answer, whatever is wrong.
 */
import { HttpLayerRouter, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Feedback, FeedbackReport, reportsMax } from "@hikyaku/cluster/delivery/Feedback"
import { fromParseError } from "@hikyaku/domain/api/BadInput"
import { Channel } from "@hikyaku/domain/marketing/Event"
import { Clock, Config, ConfigError, Context, Duration, Effect, Either, Layer, Option, Redacted, Schema } from "effect"
import { createHmac, timingSafeEqual } from "node:crypto"
import { readBody } from "./RequestBody.ts"

export const webhookPath = "/webhooks/"
/** Largest body, in bytes. */
const bodyMax = 2 * 1024 * 1024

/** Seconds since the epoch, and `v1=` with the hexadecimal HMAC-SHA256 of `<timestamp>.<body>`. */
export const timestampHeader = "hikyaku-timestamp"
export const signatureHeader = "hikyaku-signature"

export interface WebhookConfig {
  /** By account. An account may have several, while one replaces another. */
  readonly secrets: ReadonlyMap<string, ReadonlyArray<Redacted.Redacted>>
  /** How far the time of a report may lie from ours, either way. */
  readonly window: Duration.Duration
}

const accountPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$/

/** `account=secret` pairs, separated by commas. A pair that is none is named by its place: its text may be a secret. */
const readSecrets = (text: string): Either.Either<WebhookConfig["secrets"], ConfigError.ConfigError> => {
  const secrets = new Map<string, ReadonlyArray<Redacted.Redacted>>()
  for (const [n, pair] of text.split(",").entries()) {
    const at = pair.indexOf("=")
    const account = pair.slice(0, Math.max(0, at)).trim()
    const secret = pair.slice(at + 1).trim()
    if (!accountPattern.test(account) || secret === "") {
      return Either.left(ConfigError.InvalidData(["HIKYAKU_WEBHOOK_SECRETS"], `pair ${n + 1} is not account=secret`))
    }
    secrets.set(account, [...secrets.get(account) ?? [], Redacted.make(secret)])
  }
  return Either.right(secrets)
}

/**
 * `HIKYAKU_WEBHOOK_SECRETS`: `account=secret`, separated by commas; default none, and then every report is refused.
 * `HIKYAKU_WEBHOOK_WINDOW`: default 5 minutes.
 */
export const webhookConfig: Config.Config<WebhookConfig> = Config.all({
  secrets: Config.option(Config.redacted("HIKYAKU_WEBHOOK_SECRETS")).pipe(
    Config.mapOrFail(Option.match({
      onNone: () => Either.right<WebhookConfig["secrets"]>(new Map()),
      onSome: (text) => readSecrets(Redacted.value(text))
    }))
  ),
  window: Config.withDefault(Config.duration("HIKYAKU_WEBHOOK_WINDOW"), Duration.minutes(5))
})

export class WebhookSettings extends Context.Tag("@hikyaku/server/WebhookSettings")<WebhookSettings, WebhookConfig>() {}

export const layerSettings = Layer.effect(WebhookSettings, webhookConfig)

/** The signature's header for a body, as a provider makes it. */
export const signatureOf = (secret: Redacted.Redacted, timestamp: string, body: Uint8Array): string =>
  `v1=${createHmac("sha256", Redacted.value(secret)).update(`${timestamp}.`).update(body).digest("hex")}`

const same = (a: string, b: string): boolean => {
  const [x, y] = [Buffer.from(a), Buffer.from(b)]
  return x.length === y.length && timingSafeEqual(x, y)
}

/** Nobody has this secret: the same work is done for accounts that there are not. */
const nobodys = Redacted.make("no account has this secret")

/** Whether a body was signed for the account, and lately. */
export const isGenuine = (
  { secrets, window }: WebhookConfig,
  account: string,
  headers: { readonly timestamp: string | undefined; readonly signature: string | undefined },
  body: Uint8Array,
  nowMs: number
): boolean => {
  const { signature = "", timestamp = "" } = headers
  const known = secrets.get(account)
  // Every secret is tried: how long it takes tells nothing.
  let genuine = false
  for (const secret of known ?? [nobodys]) {
    if (same(signatureOf(secret, timestamp, body), signature)) genuine = true
  }
  const age = /^\d{1,12}$/.test(timestamp) ? Math.abs(nowMs - Number(timestamp) * 1_000) : Number.POSITIVE_INFINITY
  return genuine && known !== undefined && age <= Duration.toMillis(window)
}

/** `channel`: of addresses that come without a delivery; default mail. */
const Body = Schema.parseJson(Schema.Struct({
  channel: Schema.optionalWith(Channel, { default: () => "mail" as const }),
  events: Schema.Array(FeedbackReport).pipe(Schema.maxItems(reportsMax))
}))
const decodeBody = Schema.decodeUnknownEither(Body)

const json = (status: number, body: object) => HttpServerResponse.unsafeJson(body, { status })
const refused = json(401, { error: "not signed for this account, or not lately" })

export const routes = Layer.scopedDiscard(Effect.gen(function*() {
  const router = yield* HttpLayerRouter.HttpRouter
  const feedback = yield* Feedback
  const config = yield* WebhookSettings

  yield* router.add(
    "POST",
    `${webhookPath}:account`,
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const account = (request.url.split("?")[0] ?? "").slice(webhookPath.length)
      const body = yield* readBody(request, bodyMax)
      if (body === null) return json(413, { error: `more than ${bodyMax} bytes` })
      const headers = { timestamp: request.headers[timestampHeader], signature: request.headers[signatureHeader] }
      if (!isGenuine(config, account, headers, body, yield* Clock.currentTimeMillis)) return refused
      const read = decodeBody(new TextDecoder().decode(body))
      if (Either.isLeft(read)) {
        const { path, reason } = fromParseError(read.left)
        return json(400, { error: reason, where: path })
      }
      const { channel, events } = read.right
      // Anything but 2xx makes the provider send the same again, which is safe.
      return yield* feedback.take(account, channel, events).pipe(
        Effect.map((taken) => json(200, taken)),
        Effect.catchTag("FeedbackFault", ({ reason }) =>
          Effect.as(
            Effect.logWarning(`reports of ${account} could not be taken: ${reason}`),
            json(503, { error: "the store cannot be reached; send the same again" })
          ))
      )
    })
  )
}))
