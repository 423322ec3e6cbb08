/** One HTTP request of a courier: when it may start, when it is given up, and what a connection that fails says. */
import { HttpBody, HttpClient, HttpClientRequest } from "@effect/platform"
import { Duration, Effect, Schema } from "effect"
import { type ProviderError, ProviderRejected, ProviderUnknown, TooLateToStart } from "./Provider.ts"
import { failureOfTransport } from "./ProviderWire.ts"
import { StartGuard } from "./StartGuard.ts"

export interface HttpAnswer {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly body: string
}

/** A request as it goes out; `url` whole. */
export interface HttpAsk {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly contentType: string
  readonly mayStart: () => boolean
}

/** Posts once. Every answer is an answer, whatever its status; an answer that breaks off leaves the outcome unknown. */
export const post = (
  client: HttpClient.HttpClient,
  requestTimeout: Duration.Duration,
  { body, contentType, headers, mayStart, url }: HttpAsk
): Effect.Effect<HttpAnswer, ProviderError> =>
  Effect.gen(function*() {
    if (!mayStart()) return yield* new TooLateToStart()
    const request = HttpClientRequest.post(url).pipe(
      HttpClientRequest.acceptJson,
      HttpClientRequest.setHeaders(headers),
      HttpClientRequest.setBody(HttpBody.text(body, contentType))
    )
    const response = yield* HttpClient.withTracerPropagation(client, false).execute(request).pipe(
      Effect.provideService(StartGuard, { mayStart }),
      Effect.mapError((error) =>
        error._tag === "RequestError" && error.reason !== "Transport"
          ? new ProviderRejected({ reason: error.message, where: "request" })
          : failureOfTransport(error.cause ?? error)
      )
    )
    const text = yield* Effect.mapError(
      response.text,
      (error) => new ProviderUnknown({ reason: `the answer broke off: ${error.message}` })
    )
    return { status: response.status, retryAfter: response.headers["retry-after"], body: text }
  }).pipe(Effect.timeoutFail({
    duration: requestTimeout,
    onTimeout: () => new ProviderUnknown({ reason: `no answer within ${Duration.format(requestTimeout)}` })
  }))

/** Whatever a 429 asks for, it is not believed beyond this. */
const retryAfterMax = Duration.minutes(10)

/** How long a 429 asks to wait, by its header in seconds; `unless`: where it names none. */
export const retryAfterOf = ({ retryAfter }: HttpAnswer, unless: Duration.Duration): Duration.Duration =>
  retryAfter !== undefined && /^\d{1,9}$/.test(retryAfter.trim())
    ? Duration.min(Duration.seconds(Number(retryAfter)), retryAfterMax)
    : unless

/** A foreign text, bounded. */
export const reasonOf = ({ body, status }: HttpAnswer): string => {
  const text = body.replaceAll(/\s+/g, " ").trim()
  return `HTTP ${status}: ${text.length > 300 ? `${text.slice(0, 300)}...` : text}`.toWellFormed()
}

const JsonObject = Schema.parseJson(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
const JsonObjects = Schema.parseJson(Schema.Array(Schema.Record({ key: Schema.String, value: Schema.Unknown })))
/** A JSON object, or a list of JSON objects, from a text. */
export const readObject = Schema.decodeUnknownOption(JsonObject)
export const readObjects = Schema.decodeUnknownOption(JsonObjects)
