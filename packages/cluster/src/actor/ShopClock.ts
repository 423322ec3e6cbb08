/**
 * What time it is in the shop (R6). Real: the database's time as this process estimates it, so that runners with wrong
 * clocks agree. Logical: the instant to which a replay has moved the clock; months pass in minutes. The database tells when it
 * is moved, so that nobody has to look all the time.
 */
import { SqlClient } from "@effect/sql"
import { Clock, Context, Duration, Effect, Layer, Option } from "effect"
import { clockTopic, Nudge } from "./Nudge.ts"

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
/** How often the logical instant is read while a replay owns the clock and nobody tells when it is moved. */
const logicalInterval = Duration.millis(50)
/** How often it is read by whoever is told: how late the instant may be when the telling is lost. */
const toldInterval = Duration.millis(500)

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))
  let offset = 0
  let instant: number | null = null
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
  }).pipe(Effect.catchAll((cause) => Effect.logWarning("The database's time could not be read", cause)))
  yield* refresh
  let seen = nudge?.told(clockTopic) ?? 0
  const rest = Effect.suspend(() => {
    if (instant === null) return Effect.sleep(estimateInterval)
    return Effect.sleep(nudge === null ? logicalInterval : toldInterval)
  })
  const untilMoved = nudge === null
    ? rest
    : Effect.suspend(() => Effect.raceFirst(rest, nudge.beyond(clockTopic, seen)))
  yield* untilMoved.pipe(
    Effect.zipRight(Effect.sync(() => {
      if (nudge !== null) seen = nudge.told(clockTopic)
    })),
    Effect.zipRight(refresh),
    Effect.forever,
    Effect.forkScoped
  )
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
