/**
 * The provider in this process: the sandbox without a network, for tests, simulation and replays. It runs on Effect's clock
 * and draws from its seed alone, so that under a test clock a run repeats exactly.
 */
import { Clock, Duration, Effect, Layer } from "effect"
import {
  type History,
  Provider,
  type ProviderError,
  type ProviderPromises,
  ProviderRejected,
  ProviderUnavailable,
  ProviderUnknown,
  type RequestTerms,
  type SendStatus,
  Throttled,
  TooLateToStart
} from "./Provider.ts"
import type { SandboxAnswer, SandboxRequest } from "./sandbox/Sandbox.ts"
import type { SandboxControl } from "./sandbox/SandboxControl.ts"
import {
  layer as layerService,
  layerForgetful,
  type SandboxRecorder,
  SandboxService
} from "./sandbox/SandboxService.ts"
import { defaultSettings, type SettingsPatch } from "./sandbox/SandboxSettings.ts"

export interface ProviderMemoryOptions {
  readonly settings?: SettingsPatch
  /** What the provider is said to promise, where it differs from what the sandbox keeps by default. */
  readonly promises?: Partial<ProviderPromises>
  /** Whether a connection can be had now; while it cannot, requests fail as unavailable and the provider sees nothing. */
  readonly reachable?: Effect.Effect<boolean>
}

/** What the sandbox keeps with its default settings. */
export const sandboxPromises: ProviderPromises = {
  reconciliation: "history",
  settleTime: Duration.seconds(1),
  longestProcessingTime: Duration.seconds(10),
  requestTimeout: Duration.seconds(10),
  listSizeMax: defaultSettings.listSizeMax
}

const make = (options: ProviderMemoryOptions) =>
  Effect.gen(function*() {
    const sandbox = yield* SandboxService
    const promises = { ...sandboxPromises, ...options.promises }
    const reachable = options.reachable ?? Effect.succeed(true)

    const request = <A>(
      terms: RequestTerms,
      asked: SandboxRequest,
      read: (body: SandboxAnswer) => A | undefined
    ): Effect.Effect<A, ProviderError> =>
      Effect.gen(function*() {
        if (!(yield* reachable)) return yield* new ProviderUnavailable({ reason: "connection refused" })
        if (terms.startBefore !== undefined && (yield* Clock.currentTimeNanos) >= terms.startBefore) {
          return yield* new TooLateToStart()
        }
        const reply = yield* sandbox.handle(
          asked.op,
          Effect.succeed(asked),
          asked.op === "send" ? asked : undefined
        )
        switch (reply._tag) {
          case "Answered": {
            const answer = read(reply.body)
            return answer === undefined
              ? yield* new ProviderUnknown({ reason: "an answer that makes no sense" })
              : answer
          }
          case "Refused":
            // 507 is a 5xx, and what the HTTP adapter cannot tell apart must not be told apart here.
            return reply.refusal.status >= 500
              ? yield* new ProviderUnknown({ reason: `HTTP ${reply.refusal.status}: ${reply.refusal.reason}` })
              : yield* new ProviderRejected({ reason: reply.refusal.reason, where: reply.refusal.where })
          case "Throttled":
            return yield* new Throttled({ retryAfter: Duration.millis(reply.retryAfterMs) })
          case "Broken":
            return yield* new ProviderUnknown({ reason: "HTTP 500" })
          case "Cut":
            return yield* new ProviderUnknown({ reason: "the connection was cut" })
          case "HalfOpen":
            return yield* Effect.never
        }
      }).pipe(Effect.timeoutFail({
        duration: promises.requestTimeout,
        onTimeout: () => new ProviderUnknown({ reason: `no answer within ${Duration.format(promises.requestTimeout)}` })
      }))

    return Provider.of({
      promises,
      uploadList: (upload) =>
        request(upload, { op: "upload", ...upload }, (body) =>
          "uploadId" in body ? { uploadId: body.uploadId } : undefined),
      startDelivery: (start) =>
        request(start, { op: "send", ...start }, (body) =>
          "sendId" in body ? { sendId: body.sendId } : undefined),
      status: (status) =>
        request<SendStatus>(status, { op: "status", ...status }, (body) =>
          "results" in body ? body : undefined),
      history: (history) =>
        request<History>(history, { op: "history", ...history }, (body) => "deliveries" in body ? body : undefined)
    })
  })

/** The provider on a recorder of the caller's, e.g. one that collects the entries. */
export const layerRecorded = (
  options: ProviderMemoryOptions = {}
): Layer.Layer<Provider | SandboxControl, never, SandboxRecorder> =>
  Layer.effect(Provider, make(options)).pipe(Layer.provideMerge(Layer.orDie(layerService(options.settings))))

/** The provider in this process, and the other side of it. */
export const layerMemory = (options: ProviderMemoryOptions = {}): Layer.Layer<Provider | SandboxControl> =>
  layerRecorded(options).pipe(Layer.provide(layerForgetful))
