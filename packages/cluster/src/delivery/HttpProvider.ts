/**
 * The provider over HTTP: a bulk mail service that takes recipient lists, sends them, and remembers. Speaks the interface
 * that the sandbox of the server package documents (docs/sandbox.md). One call is one request (see `Provider.ts`).
 *
 * Needs an `HttpClient`. The server's own (`ProviderClient`) asks `StartGuard` in the turn in which it writes and marks
 * failures before the first byte; with any other client both are a little less sharp, never wrong.
 */
import { HttpBody, HttpClient, HttpClientRequest } from "@effect/platform"
import { Config, ConfigError, Duration, Effect, Either, Layer, Option, Redacted, Schema } from "effect"
import {
  Provider,
  type ProviderError,
  type ProviderPromises,
  ProviderRejected,
  ProviderUnknown,
  type Recipient,
  type RequestTerms,
  TooLateToStart
} from "./Provider.ts"
import {
  failureOfBody,
  failureOfStatus,
  failureOfTransport,
  History,
  SendStatus,
  Started,
  Uploaded
} from "./ProviderWire.ts"
import { StartGuard } from "./StartGuard.ts"

export interface HttpProviderConfig {
  /** Where the interface begins, e.g. `https://mail.example.com/api`; requests go to `/v1/...` below it. */
  readonly baseUrl: string
  /** Sent as `Authorization: Bearer`; "" sends none. */
  readonly apiKey: Redacted.Redacted
  /** When an answer is no longer waited for, connecting included. */
  readonly requestTimeout: Duration.Duration
  /** How long after the latest possible end of a request the history is complete. */
  readonly settleTime: Duration.Duration
  /** How long the provider may work on a request whose answer was not waited for. */
  readonly longestProcessingTime: Duration.Duration
  readonly listSizeMax: number
  /** How unknown outcomes are resolved. */
  readonly reconciliation: ProviderPromises["reconciliation"]
  /** How long the provider recognises a repeated key; with `retry-key` it must be said. */
  readonly retryKeyValidity?: Duration.Duration | undefined
}

/** A key of which nobody says how long it is known could be forgotten when it is needed (R21). */
const retryKeyValidity = Config.duration("RETRY_KEY_VALIDITY").pipe(
  Config.validate({
    message: "longer than nothing",
    validation: (validity) => Duration.toMillis(validity) > 0
  })
)

/**
 * `HIKYAKU_PROVIDER_URL` and the like; all but the address have defaults that fit the sandbox, and `RECONCILIATION=retry-key`
 * needs `RETRY_KEY_VALIDITY`.
 */
export const httpProviderConfig: Config.Config<HttpProviderConfig> = Config.nested(
  Config.all({
    baseUrl: Config.map(Config.url("URL"), (url) => url.href.replace(/\/+$/, "")),
    apiKey: Config.redacted("API_KEY").pipe(Config.withDefault(Redacted.make(""))),
    requestTimeout: Config.duration("REQUEST_TIMEOUT").pipe(Config.withDefault(Duration.seconds(10))),
    settleTime: Config.duration("SETTLE_TIME").pipe(Config.withDefault(Duration.seconds(1))),
    longestProcessingTime: Config.duration("LONGEST_PROCESSING_TIME").pipe(Config.withDefault(Duration.seconds(10))),
    listSizeMax: Config.integer("LIST_SIZE_MAX").pipe(Config.withDefault(10_000)),
    reconciliation: Config.literal("history", "retry-key", "at-most-once")("RECONCILIATION").pipe(
      Config.withDefault("history" as const)
    ),
    validity: Config.option(retryKeyValidity)
  }).pipe(
    Config.mapOrFail(({ validity, ...config }) =>
      config.reconciliation === "retry-key" && Option.isNone(validity)
        ? Either.left(
          ConfigError.MissingData(
            ["HIKYAKU_PROVIDER_RETRY_KEY_VALIDITY"],
            "how long the provider recognises a repeated key, e.g. 24 hours"
          )
        )
        : Either.right({ ...config, retryKeyValidity: Option.getOrUndefined(validity) })
    )
  ),
  "HIKYAKU_PROVIDER"
)

/** What may stand in a header. */
const keyPattern = /^[\x21-\x7e]{1,255}$/

/** The adapter over the given client. */
export const make = (
  config: HttpProviderConfig
): Effect.Effect<typeof Provider.Service, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const key = Redacted.value(config.apiKey)
    const client = (yield* HttpClient.HttpClient).pipe(
      // Our trace ids are none of the provider's business.
      HttpClient.withTracerPropagation(false),
      HttpClient.mapRequest((request) =>
        request.pipe(
          HttpClientRequest.prependUrl(config.baseUrl),
          HttpClientRequest.acceptJson,
          key === "" ? (same) => same : HttpClientRequest.bearerToken(key)
        )
      )
    )
    const { listSizeMax, longestProcessingTime, reconciliation, requestTimeout, settleTime } = config
    const tooLong = `no answer within ${Duration.format(requestTimeout)}`

    const request = <A, I>(
      terms: RequestTerms,
      asked: HttpClientRequest.HttpClientRequest,
      answer: Schema.Schema<A, I>
    ): Effect.Effect<A, ProviderError> => {
      const read = Schema.decodeUnknown(Schema.parseJson(answer))
      return Effect.gen(function*() {
        const clock = yield* Effect.clock
        const mayStart = () => terms.startBefore === undefined || clock.unsafeCurrentTimeNanos() < terms.startBefore
        if (!mayStart()) return yield* new TooLateToStart()
        const response = yield* client.execute(asked).pipe(
          Effect.provideService(StartGuard, { mayStart }),
          Effect.mapError((error) =>
            error._tag === "RequestError" && error.reason !== "Transport"
              ? new ProviderRejected({ reason: error.message, where: "request" })
              : failureOfTransport(error.cause ?? error)
          )
        )
        // A connection that ends within the answer leaves everything open.
        const body = yield* Effect.mapError(
          response.text,
          (error) => new ProviderUnknown({ reason: `the answer broke off: ${error.message}` })
        )
        if (response.status >= 200 && response.status < 300) {
          if (terms.answered !== undefined) yield* terms.answered
          return yield* Effect.mapError(read(body), failureOfBody)
        }
        return yield* failureOfStatus(
          response.status,
          response.headers["retry-after"],
          body,
          clock.unsafeCurrentTimeMillis()
        )
      }).pipe(Effect.timeoutFail({
        duration: requestTimeout,
        onTimeout: () => new ProviderUnknown({ reason: tooLong })
      }))
    }

    const encoder = new TextEncoder()
    const encode = (body: object): Uint8Array => encoder.encode(JSON.stringify(body))
    /** Bodies of uploads to come, by their recipients; gone with these. */
    const prepared = new WeakMap<ReadonlyArray<Recipient>, Uint8Array>()
    const post = (path: string, body: Uint8Array) =>
      HttpClientRequest.post(path).pipe(HttpClientRequest.setBody(HttpBody.uint8Array(body, "application/json")))
    const postWithKey = <A, I>(
      { answered, idempotencyKey, startBefore }: RequestTerms & { readonly idempotencyKey: string },
      path: string,
      body: Uint8Array,
      answer: Schema.Schema<A, I>
    ) =>
      keyPattern.test(idempotencyKey)
        ? request(
          { startBefore, answered },
          HttpClientRequest.setHeader(post(path, body), "idempotency-key", idempotencyKey),
          answer
        )
        : new ProviderRejected({ reason: "1 to 255 printable ASCII characters", where: "idempotencyKey" })

    return Provider.of({
      promises: {
        reconciliation,
        ...(reconciliation === "retry-key" && { retryKeyValidity: config.retryKeyValidity }),
        settleTime,
        longestProcessingTime,
        requestTimeout,
        listSizeMax
      },
      prepareList: (list) => Effect.sync(() => void prepared.set(list.recipients, encode(list))),
      uploadList: ({ answered, idempotencyKey, startBefore, ...list }) =>
        postWithKey(
          { answered, idempotencyKey, startBefore },
          "/v1/lists",
          prepared.get(list.recipients) ?? encode(list),
          Uploaded
        ),
      startDelivery: ({ uploadId, ...terms }) =>
        postWithKey(terms, `/v1/lists/${encodeURIComponent(uploadId)}/send`, encode({}), Started),
      status: ({ sendId, ...terms }) =>
        request(terms, HttpClientRequest.get(`/v1/sends/${encodeURIComponent(sendId)}`), SendStatus),
      history: ({ query, ...terms }) => request(terms, post("/v1/history", encode(query)), History)
    })
  })

/** The provider of a configuration at hand. */
export const layer = (config: HttpProviderConfig): Layer.Layer<Provider, never, HttpClient.HttpClient> =>
  Layer.effect(Provider, make(config))

/** The provider of the configuration in force (`httpProviderConfig`). */
export const layerConfig = Layer.effect(Provider, Effect.flatMap(httpProviderConfig, make))
