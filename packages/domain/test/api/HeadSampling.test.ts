import { expect, it } from "@effect/vitest"
import { headSampled } from "@hikyaku/domain/api/HeadSampling"
import { Effect, Layer, Tracer } from "effect"
import { describe } from "vitest"

/** Records the names of the spans that reach the tracer behind. */
const tracing = (ratio: number, numbers: ReadonlyArray<number>) =>
  Effect.map(Effect.tracer, (behind) => {
    const recorded: Array<string> = []
    let next = 0
    const noting = Tracer.make({
      context: (f, fiber) => behind.context(f, fiber),
      span: (name, ...rest) => {
        recorded.push(name)
        return behind.span(name, ...rest)
      }
    })
    const tracer = headSampled(noting, {
      ratio,
      heads: (name) => name.startsWith("rpc."),
      random: () => numbers[next++ % numbers.length] ?? 0
    })
    return { recorded, layer: Layer.setTracer(tracer) }
  })

const call = (name: string) => Effect.void.pipe(Effect.withSpan("inner"), Effect.withSpan(name))

describe("head sampling", () => {
  it.effect("is decided once per trace, and holds for its parts", () =>
    Effect.gen(function*() {
      const { layer, recorded } = yield* tracing(0.5, [0.1, 0.9, 0.4])
      yield* Effect.forEach(["rpc.a", "rpc.b", "rpc.c"], call).pipe(Effect.provide(layer))
      expect(recorded).toEqual(["rpc.a", "inner", "rpc.c", "inner"])
    }))

  it.effect("only heads begin a trace", () =>
    Effect.gen(function*() {
      const { layer, recorded } = yield* tracing(1, [0])
      yield* call("sql.execute").pipe(Effect.provide(layer))
      expect(recorded).toEqual([])
    }))

  it.effect("what came from elsewhere stays as it was decided there", () =>
    Effect.gen(function*() {
      const { layer, recorded } = yield* tracing(0, [0])
      const from = (sampled: boolean) =>
        Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled })
      yield* Effect.void.pipe(Effect.withSpan("yes", { parent: from(true) }), Effect.provide(layer))
      yield* Effect.void.pipe(Effect.withSpan("no", { parent: from(false) }), Effect.provide(layer))
      expect(recorded).toEqual(["yes"])
    }))
})
