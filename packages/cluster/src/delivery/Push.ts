/**
 * App push over FCM (HTTP v1). Sent at most once: FCM keeps no history and knows no repeats. One message to one device is one
 * request. A token that is not registered any more is suppressed.
 *
 * Written from the public documentation (firebase.google.com, "FCM HTTP v1 API" and "FCM error codes"; developers.google.com,
 * "OAuth 2.0 for service accounts"); not verified against the live service.
 */
import { HttpClient } from "@effect/platform"
import { Clock, Config, Duration, Effect, Layer, Option, Redacted, Schema } from "effect"
import { sign } from "node:crypto"
import { Contacts, resolveAddresses } from "./Contacts.ts"
import { type Carriage, type Courier, makeProvider } from "./Courier.ts"
import { type HttpAnswer, post, readObject, reasonOf, retryAfterOf } from "./CourierHttp.ts"
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
import { Suppressions } from "./Suppressions.ts"

/** The part of a service account's key file that is needed. */
const ServiceAccount = Schema.parseJson(Schema.Struct({
  project_id: Schema.NonEmptyString,
  client_email: Schema.NonEmptyString,
  private_key: Schema.NonEmptyString,
  token_uri: Schema.optionalWith(Schema.NonEmptyString, { default: () => "https://oauth2.googleapis.com/token" })
}))

export interface PushConfig {
  /** Where the interface begins; requests go to `/v1/projects/.../messages:send` below it. */
  readonly baseUrl: string
  /** A service account's key file, as JSON. */
  readonly serviceAccount: Redacted.Redacted
  readonly requestTimeout: Duration.Duration
  /** How long the account rests after a 429 that names no time. */
  readonly retryAfter: Duration.Duration
}

/** `HIKYAKU_FCM_SERVICE_ACCOUNT` and the like; all but the account have defaults. */
export const pushConfig: Config.Config<PushConfig> = Config.nested(
  Config.all({
    baseUrl: Config.url("URL").pipe(
      Config.map((url) => url.href.replace(/\/+$/, "")),
      Config.withDefault("https://fcm.googleapis.com")
    ),
    serviceAccount: Config.redacted("SERVICE_ACCOUNT"),
    requestTimeout: Config.withDefault(Config.duration("REQUEST_TIMEOUT"), Duration.seconds(10)),
    retryAfter: Config.withDefault(Config.duration("RETRY_AFTER"), Duration.seconds(60))
  }),
  "HIKYAKU_FCM"
)

/** The service account's file is not one. */
export class BadServiceAccount
  extends Schema.TaggedError<BadServiceAccount>()("BadServiceAccount", { reason: Schema.String })
{
  override get message(): string {
    return `HIKYAKU_FCM_SERVICE_ACCOUNT: ${this.reason}`
  }
}

const scope = "https://www.googleapis.com/auth/firebase.messaging"
/** Lifetime asked for a token, s; and how long before its end it is replaced. */
const tokenLifeS = 3_600
const tokenMargin = Duration.minutes(5)

const Token = Schema.parseJson(Schema.Struct({ access_token: Schema.NonEmptyString, expires_in: Schema.Number }))
const readToken = Schema.decodeUnknownOption(Token)

/** FCM's own code, where an error has one. */
const FcmError = Schema.parseJson(Schema.Struct({
  error: Schema.Struct({
    details: Schema.optionalWith(Schema.Array(Schema.Struct({ errorCode: Schema.optional(Schema.String) })), {
      default: () => []
    })
  })
}))
const readError = Schema.decodeUnknownOption(FcmError)
const errorCodeOf = ({ body }: HttpAnswer): string | undefined =>
  Option.getOrUndefined(readError(body))?.error.details.find(({ errorCode }) => errorCode !== undefined)?.errorCode

const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")

/** A JSON Web Token by which a service account asks for an access token (RFC 7523), signed with its key (RS256). */
export const assertion = (
  account: { readonly client_email: string; readonly private_key: string; readonly token_uri: string },
  nowMs: number
): string => {
  const iat = Math.floor(nowMs / 1_000)
  const claims = { iss: account.client_email, scope, aud: account.token_uri, iat, exp: iat + tokenLifeS }
  const unsigned = `${encoded({ alg: "RS256", typ: "JWT" })}.${encoded(claims)}`
  return `${unsigned}.${sign("RSA-SHA256", Buffer.from(unsigned), account.private_key).toString("base64url")}`
}

const accessTokens = (client: HttpClient.HttpClient, config: PushConfig, account: typeof ServiceAccount.Type) =>
  Effect.gen(function*() {
    const one = yield* Effect.makeSemaphore(1)
    let token = Redacted.make("")
    let until = 0
    const ask = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (now < until) return token
      const answer = yield* post(client, config.requestTimeout, {
        url: account.token_uri,
        headers: {},
        contentType: "application/x-www-form-urlencoded",
        body: new URLSearchParams({
          grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
          assertion: yield* Effect.try(() => assertion(account, now))
        }).toString(),
        mayStart: () => true
      })
      const read = answer.status === 200 ? readToken(answer.body) : Option.none()
      if (Option.isNone(read)) return yield* Effect.fail(new Error(`HTTP ${answer.status}`))
      token = Redacted.make(read.value.access_token)
      until = now + Math.max(0, read.value.expires_in * 1_000 - Duration.toMillis(tokenMargin))
      return token
    }).pipe(
      // Nothing was sent to anybody yet, whatever went wrong here.
      Effect.mapError((error) =>
        new ProviderUnavailable({
          reason: `no access token: ${"reason" in error ? String(error.reason) : error.message}`
        })
      )
    )
    return {
      get: one.withPermits(1)(ask),
      forget: Effect.sync(() => {
        until = 0
      })
    }
  })

const courier = (config: PushConfig) =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const contacts = yield* Contacts
    const suppressions = yield* Suppressions
    const account = yield* Schema.decodeUnknown(ServiceAccount)(Redacted.value(config.serviceAccount)).pipe(
      // The message of the schema would repeat the secret.
      Effect.mapError(() => new BadServiceAccount({ reason: "not a service account's key file in JSON" }))
    )
    const tokens = yield* accessTokens(client, config, account)
    const url = `${config.baseUrl}/v1/projects/${encodeURIComponent(account.project_id)}/messages:send`

    const push: Courier = {
      promises: {
        reconciliation: "at-most-once",
        settleTime: Duration.zero,
        longestProcessingTime: config.requestTimeout,
        // A new access token may be asked for before.
        requestTimeout: Duration.times(config.requestTimeout, 2),
        listSizeMax: 1
      },
      repeatWithin: null,

      accept: (list) => {
        const payload = readObject(list.recipients[0]?.content?.["payload"] ?? "")
        const where = "recipients[0].content"
        if (Option.isNone(payload)) return new ProviderRejected({ reason: "a payload is a JSON object", where })
        const target = ["token", "topic", "condition"].find((name) => Object.hasOwn(payload.value, name))
        return target === undefined
          ? resolveAddresses(contacts, "push", list)
          : new ProviderRejected({ reason: `a payload must not name its ${target}`, where })
      },

      carry: ({ list, mayStart }: Carriage) =>
        Effect.gen(function*() {
          const [recipient] = list.recipients
          if (recipient === undefined) return []
          const { address, content, deliveryId } = recipient
          const payload = Option.getOrElse(readObject(content?.["payload"] ?? "{}"), () => ({}))
          const token = yield* tokens.get
          const answer = yield* post(client, config.requestTimeout, {
            url,
            headers: { authorization: `Bearer ${Redacted.value(token)}` },
            contentType: "application/json",
            body: JSON.stringify({ message: { ...payload, token: address } }),
            mayStart
          })
          const at = yield* Clock.currentTimeMillis
          const { status } = answer
          if (status >= 200 && status < 300) return [{ deliveryId, outcome: "Sent", at }] as const
          if (status === 429) return yield* new Throttled({ retryAfter: retryAfterOf(answer, config.retryAfter) })
          const rejected = [{ deliveryId, outcome: "Rejected", at, reason: reasonOf(answer) }] as const
          switch (errorCodeOf(answer)) {
            case "UNREGISTERED": {
              const reason = "the app was removed, or the token replaced"
              yield* suppressions.report([
                { key: `fcm/${deliveryId}`, channel: "push", address, kind: "hard", reason, at }
              ]).pipe(Effect.catchAll((fault) => Effect.logWarning("A token could not be suppressed", fault)))
              return [{ ...rejected[0], reason }]
            }
            // Of the message or of the app that the token belongs to.
            case "INVALID_ARGUMENT":
            case "SENDER_ID_MISMATCH":
              return rejected
          }
          if (status === 401 || status === 403) {
            yield* tokens.forget
            return yield* new ProviderUnavailable({ reason: reasonOf(answer) })
          }
          if (status >= 400 && status < 500 && status !== 408 && status !== 409) return rejected
          return yield* Effect.fail<ProviderError>(new ProviderUnknown({ reason: reasonOf(answer) }))
        }).pipe(Effect.map((results): ReadonlyArray<DeliveryResult> => results))
    }
    return push
  })

export const layer = (
  account: string,
  config: PushConfig
): Layer.Layer<Provider, BadServiceAccount, HttpClient.HttpClient | Spool | Contacts | Suppressions> =>
  Layer.scoped(Provider, Effect.flatMap(courier(config), (push) => makeProvider(account, push)))

/** The account of the configuration in force (`pushConfig`). */
export const layerConfig = (account: string) =>
  Layer.unwrapEffect(Effect.map(pushConfig, (config) => layer(account, config)))
