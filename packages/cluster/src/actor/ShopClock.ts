/**
 * What time it is in the shop (R6). Real: the database's time as this process estimates it, so that runners with wrong
 * clocks agree. Logical: the instant to which a replay has moved the clock; months pass in minutes.
 */
import { SqlClient } from "@effect/sql"
import { Clock, Context, Duration, Effect, Layer, Schedule } from "effect"

export class ShopClock extends Context.Tag("@hikyaku/cluster/ShopClock")<ShopClock, {
  /** The shop's instant in ms since the epoch; cheap, reads memory. */
  readonly now: () => number
  /** Database time in ms since the epoch, also while the shop's clock is logical: for deadlines and retention. */
  readonly real: () => number
  /** Whether commands' own instants count (a replay is under way). */
  readonly logical: () => boolean
  /** Reads the clock again at once. */
  readonly refresh: Effect.Effect<void>
}>() {}

/** How often the clock is read while nobody replays: how long it may take until a replay's beginning is noticed. */
const estimateInterval = Duration.seconds(1)
/** An answer that took longer, ms, says too little about when it was given, unless there was no better one for so long, ms. */
const answerMax = 500
const estimateAge = 10_000
/** How often the logical instant is read while a replay owns the clock. */
const logicalInterval = Duration.millis(50)

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  let offset = 0
  let instant: number | null = null
  let readAt = 0
  let estimatedAt = Number.NEGATIVE_INFINITY
  const monotonic = () => performance.timeOrigin + performance.now()
  const refresh = Effect.gen(function*() {
    const before = monotonic()
    const rows = yield* sql<{ readonly real: number; readonly logical: number | null }>`
      select (extract(epoch from clock_timestamp()) * 1000)::float8 as real,
        (select (extract(epoch from instant) * 1000)::float8 from shop_clock where mode = 'logical') as logical`
    const after = monotonic()
    const row = rows[0]
    if (row === undefined) return
    if (after - before <= answerMax || after - estimatedAt >= estimateAge) {
      offset = row.real - (before + after) / 2
      estimatedAt = after
    }
    instant = row.logical
    readAt = after
  }).pipe(Effect.catchAll((cause) => Effect.logWarning("The database's time could not be read", cause)))
  yield* refresh
  yield* Effect.suspend(() =>
    instant !== null || monotonic() - readAt >= Duration.toMillis(estimateInterval) ? refresh : Effect.void
  ).pipe(Effect.repeat(Schedule.spaced(logicalInterval)), Effect.forkScoped)
  const real = () => monotonic() + offset
  return ShopClock.of({ now: () => Math.floor(instant ?? real()), real, logical: () => instant !== null, refresh })
})

export const layer: Layer.Layer<ShopClock, never, SqlClient.SqlClient> = Layer.scoped(ShopClock, make)

/** Follows Effect's Clock: the test clock drives it. */
export const layerTest: Layer.Layer<ShopClock> = Layer.effect(
  ShopClock,
  Effect.map(Clock.clockWith(Effect.succeed), (clock) => {
    const now = () => clock.unsafeCurrentTimeMillis()
    return ShopClock.of({ now, real: now, logical: () => false, refresh: Effect.void })
  })
)
