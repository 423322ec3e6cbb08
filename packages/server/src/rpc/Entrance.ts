/**
 * What every call passes: a bound on the work under way, and a net for our own faults. API keys and roles are to be judged
 * here too; until there are any, whoever reaches the port may call everything, which is why it is bound to loopback.
 */
import { Fault, Overloaded } from "@hikyaku/domain/api/ApiError"
import { Entrance } from "@hikyaku/domain/api/Entrance"
import { Cause, Effect, Layer, Random } from "effect"

/** Calls under way in one process, those that wait (`cart.status`) included. */
export const callsMax = 20_000
/** When a caller may try again who found it full, ms: the time in which a full house is usually served. */
const retryAfterMs = 500

const reference = Effect.map(Random.nextIntBetween(0, 2 ** 31 - 1), (n) => n.toString(36))

/** Our own fault: the caller gets a reference, the log the details. */
const fault = (method: string, defect: unknown) =>
  Effect.flatMap(
    reference,
    (reference) =>
      Effect.logError(`${method} failed (reference ${reference})`, Cause.die(defect)).pipe(
        Effect.andThen(new Fault({ reason: "the server failed; nothing is known of what was done", reference }))
      )
  )

/** With another bound on the calls under way. */
export const layerWith = (max: number): Layer.Layer<Entrance> =>
  Layer.sync(Entrance, () => {
    let underWay = 0
    return Entrance.of(({ next, rpc }) =>
      Effect.suspend(() => {
        if (underWay >= max) return Effect.fail(new Overloaded({ retryAfter: retryAfterMs }))
        underWay++
        return next.pipe(
          Effect.catchAllDefect((defect) => fault(rpc._tag, defect)),
          Effect.ensuring(Effect.sync(() => underWay--))
        )
      })
    )
  })

export const layer: Layer.Layer<Entrance> = layerWith(callsMax)
