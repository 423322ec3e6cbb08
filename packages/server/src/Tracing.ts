/**
 * Traces of calls, sent to a collector by OTLP over HTTP. Who is sampled is decided once, where the call begins: by the shop
 * front if it traces, else by the gateway. Off unless a collector is configured; what is not sampled then costs one random
 * number.
 */
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import { NodeHttpClient } from "@effect/platform-node"
import type { RpcMessage } from "@effect/rpc"
import type { TraceContext } from "@hikyaku/cluster/actor/Wire"
import { CartAdd } from "@hikyaku/domain/api/CartApi"
import { headSampled } from "@hikyaku/domain/api/HeadSampling"
import { Clock, Config, Context, Duration, Effect, type Exit, Layer, Option, Tracer } from "effect"

/** A sampled call's span. */
export interface CallTrace {
  readonly context: TraceContext
  readonly span: Tracer.Span
  readonly end: (exit: Exit.Exit<unknown, unknown>) => void
}

/** The span of a call that arrives, or null when it is not sampled. */
export type TraceCall = (request: RpcMessage.RequestEncoded) => CallTrace | null

export class Tracing extends Context.Reference<Tracing>()("@hikyaku/server/Tracing", {
  defaultValue: (): { readonly on: boolean; readonly call: TraceCall } => ({ on: false, call: () => null })
}) {}

/** What the spans of the API's calls are called. */
export const spanPrefix = "rpc"

const traceCall = (tracer: Tracer.Tracer, clock: Clock.Clock): TraceCall => ({ sampled, spanId, traceId }) => {
  // Decided by whoever began the trace.
  if (traceId !== undefined && sampled !== true) return null
  const parent = traceId === undefined || spanId === undefined
    ? Option.none()
    : Option.some(Tracer.externalSpan({ traceId, spanId, sampled: true }))
  const name = `${spanPrefix}.${CartAdd._tag}`
  const span = tracer.span(name, parent, Context.empty(), [], clock.unsafeCurrentTimeNanos(), "server")
  if (!span.sampled) return null
  return {
    context: { traceId: span.traceId, spanId: span.spanId },
    span,
    end: (exit) => span.end(clock.unsafeCurrentTimeNanos(), exit)
  }
}

export interface TracingOptions {
  /** Where the collector takes traces, e.g. `http://127.0.0.1:4318/v1/traces`. */
  readonly url: string
  /** Share of the calls that begin here of which a trace is recorded, 0 to 1. */
  readonly ratio: number
  /** What the process is called in traces. */
  readonly service: string
  /** How long spans gather before they are sent. */
  readonly interval?: Duration.DurationInput | undefined
}

/** Spans that leave in one request to the collector. */
const batchMax = 1_000

export const layerWith = ({ interval, ratio, service, url }: TracingOptions): Layer.Layer<never> =>
  Layer.unwrapScoped(Effect.gen(function*() {
    const exporting = yield* OtlpTracer.make({
      url,
      resource: { serviceName: service },
      exportInterval: interval ?? Duration.seconds(5),
      maxBatchSize: batchMax
    })
    const tracer = headSampled(exporting, {
      ratio,
      random: Math.random,
      heads: (name) => name.startsWith(`${spanPrefix}.`)
    })
    const clock = yield* Clock.clockWith(Effect.succeed)
    return Layer.merge(
      Layer.setTracer(tracer),
      Layer.succeed(Tracing, { on: true, call: traceCall(tracer, clock) })
    )
  })).pipe(Layer.provide(Layer.merge(NodeHttpClient.layerUndici, OtlpSerialization.layerJson)))

/**
 * `HIKYAKU_TRACE_URL`: where an OTLP collector takes traces over HTTP, e.g. `http://127.0.0.1:4318/v1/traces`; without it
 * there are none. `HIKYAKU_TRACE_RATIO` (0 to 1, default 0.01): share of the calls that are traced.
 */
export const tracingConfig = Config.all({
  url: Config.option(Config.nonEmptyString("HIKYAKU_TRACE_URL")),
  ratio: Config.withDefault(
    Config.validate(Config.number("HIKYAKU_TRACE_RATIO"), {
      message: "a number between 0 and 1",
      validation: (ratio) => ratio >= 0 && ratio <= 1
    }),
    0.01
  )
})

/** As the environment says. */
export const layer = (service: string) =>
  Layer.unwrapEffect(
    Effect.map(tracingConfig, ({ ratio, url }) =>
      Option.match(url, {
        onNone: () => Layer.empty,
        onSome: (url) => layerWith({ service, url, ratio })
      }))
  )
