/** `SandboxControl` over HTTP: how tests, benches and operators talk to a sandbox that is a process of its own. */
import { HttpBody, HttpClient, HttpClientRequest } from "@effect/platform"
import { SandboxControl, SandboxUnavailable } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import { MailSeen, RequestSeen, SandboxReport } from "@hikyaku/cluster/delivery/sandbox/SandboxReport"
import { SandboxSettings, SettingsRefused } from "@hikyaku/cluster/delivery/sandbox/SandboxSettings"
import { Effect, Layer, Redacted, Schema } from "effect"

/** Longest wait for an answer; the sandbox answers these at once. */
const answerWithin = "30 seconds"

const Refusal = Schema.parseJson(Schema.Struct({
  error: Schema.Struct({ reason: Schema.String, where: Schema.String })
}))

const make = (baseUrl: string, apiKey: Redacted.Redacted) =>
  Effect.gen(function*() {
    const key = Redacted.value(apiKey)
    const client = (yield* HttpClient.HttpClient).pipe(HttpClient.mapRequest((request) =>
      request.pipe(
        HttpClientRequest.prependUrl(baseUrl),
        key === "" ? (same) => same : HttpClientRequest.bearerToken(key)
      )
    ))
    const unavailable = (reason: unknown) => new SandboxUnavailable({ reason: String(reason) })

    const ask = <A, I>(request: HttpClientRequest.HttpClientRequest, answer: Schema.Schema<A, I>) =>
      Effect.gen(function*() {
        const response = yield* client.execute(request)
        const text = yield* response.text
        if (response.status === 422) {
          const { error } = yield* Schema.decodeUnknown(Refusal)(text)
          return yield* new SettingsRefused(error)
        }
        if (response.status !== 200) return yield* unavailable(`HTTP ${response.status}: ${text}`)
        return yield* Schema.decodeUnknown(Schema.parseJson(answer))(text)
      }).pipe(
        Effect.timeoutFail({
          duration: answerWithin,
          onTimeout: () => unavailable(`no answer within ${answerWithin}`)
        }),
        Effect.mapError((error) =>
          error._tag === "SettingsRefused" || error._tag === "SandboxUnavailable" ? error : unavailable(error)
        )
      )
    const read = <A, I>(path: string, answer: Schema.Schema<A, I>) =>
      Effect.catchTag(ask(HttpClientRequest.get(path), answer), "SettingsRefused", unavailable)

    return SandboxControl.of({
      settings: read("/v1/settings", SandboxSettings),
      configure: (patch) =>
        ask(
          HttpClientRequest.put("/v1/settings", { body: HttpBody.text(JSON.stringify(patch), "application/json") }),
          SandboxSettings
        ),
      report: read("/v1/report", SandboxReport),
      requests: (after) => read(`/v1/report/requests?after=${after}`, Schema.Array(RequestSeen)),
      mails: (from) => read(`/v1/report/mails?from=${from}`, Schema.Array(MailSeen)),
      reset: ask(HttpClientRequest.post("/v1/reset"), Schema.Struct({})).pipe(
        Effect.catchTag("SettingsRefused", unavailable),
        Effect.asVoid
      )
    })
  })

/** The sandbox at this address. */
export const layer = (
  baseUrl: string,
  apiKey: Redacted.Redacted = Redacted.make("")
): Layer.Layer<SandboxControl, never, HttpClient.HttpClient> => Layer.effect(SandboxControl, make(baseUrl, apiKey))
