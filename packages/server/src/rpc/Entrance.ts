/**
 * What every call passes: a bound on the work under way, and a net for our own faults. API keys and roles are to be judged
 * here too; until there are any, whoever reaches the port may call everything, which is why it is bound to loopback.
 */
import { ServiceRate } from "@hikyaku/cluster/actor/ServiceRate"
import { Fault, Overloaded } from "@hikyaku/domain/api/ApiError"
import { Entrance } from "@hikyaku/domain/api/Entrance"
import { Cause, Effect, Layer, Random } from "effect"
import { currentTrace } from "./Asking.ts"

/** Calls under way in one process, those that wait (`cart.status`) included. */
export const callsMax = 20_000
/** Bytes of their payloads, as text: a few calls of the largest size must not take the memory of all. */
export const bytesMax = 128 * 1024 * 1024
/** What a value counts beside its text, bytes. */
const valueBytes = 8

const reference = Effect.map(Random.nextIntBetween(0, 2 ** 31 - 1), (n) => n.toString(36))

/** Our own fault: the caller gets a reference, the log the details. */
export const fault = (method: string, defect: unknown) =>
  Effect.flatMap(
    Effect.zip(reference, currentTrace),
    ([reference, trace]) =>
      Effect.logError(`${method} failed (reference ${reference})`, Cause.die(defect)).pipe(
        Effect.annotateLogs(trace === undefined ? {} : { trace: trace.traceId }),
        Effect.andThen(new Fault({ reason: "the server failed; nothing is known of what was done", reference }))
      )
  )

/** What a payload costs while its call is under way, bytes. */
export const bytesOf = (value: unknown): number => {
  if (typeof value === "string") return value.length
  if (typeof value !== "object" || value === null) return valueBytes
  let sum = valueBytes
  if (Array.isArray(value)) { for (const each of value) sum += bytesOf(each) }
  else for (const each of Object.values(value)) sum += bytesOf(each)
  return sum
}

export interface Bounds {
  readonly calls: number
  readonly bytes: number
}

/**
 * With other bounds on what is under way. A payload that is a list of calls (the fast lane's) counts as so many. What does
 * not fit is turned away at once, with the time in which half of what is under way will have been answered at the rate of
 * late; an empty house takes any single call.
 */
export const layerWith = (bounds: Bounds): Layer.Layer<Entrance> =>
  Layer.sync(Entrance, () => {
    let calls = 0
    let bytes = 0
    const rate = new ServiceRate()
    const now = () => performance.now()
    return Entrance.of(({ next, payload, rpc }) =>
      Effect.suspend(() => {
        const count = Array.isArray(payload) ? payload.length : 1
        const size = bytesOf(payload)
        if (calls > 0 && (calls + count > bounds.calls || bytes + size > bounds.bytes)) {
          return Effect.fail(new Overloaded({ retryAfter: rate.retryAfter(calls, now()) }))
        }
        calls += count
        bytes += size
        return Effect.flatMap(
          currentTrace,
          (trace) => trace === undefined ? next : Effect.annotateLogs(next, "trace", trace.traceId)
        ).pipe(
          Effect.catchAllDefect((defect) => fault(rpc._tag, defect)),
          Effect.ensuring(Effect.sync(() => {
            calls -= count
            bytes -= size
            rate.count(now(), count)
          }))
        )
      })
    )
  })

export const layer: Layer.Layer<Entrance> = layerWith({ calls: callsMax, bytes: bytesMax })
