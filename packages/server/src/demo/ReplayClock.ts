/**
 * The replay's hand on the shop's clock. It owns the one row of `shop_clock` while it lasts: moves the logical instant on,
 * and before it does looks whether what belongs to this instant is over, so that caps, expiry and cooldowns mean in a replay
 * of minutes what they mean in months.
 *
 * What there is left to do is one statement over the tables, one snapshot: work moves from stage to stage in transactions
 * (outbox, log, run, delivery, list, fact for the member), so that a snapshot in which every stage is empty is one in which
 * nothing is under way.
 *
 * One thing may lag behind: how a send ended that the provider has accepted. When it was sent is on record, with the shop's
 * time, and that it succeeded only makes the time that its cap is taken for exact; so the clock may go on for `endsWithinMs`
 * while it is asked about and told to the member. One that failed gives its cap back that much later.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { coverOutcomes } from "@hikyaku/cluster/actor/Retention"
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { PipelineStuck } from "./DemoError.ts"

/** What is left to do at the shop's instant, by stage; counted up to a bound. */
export interface Backlog {
  /** Events that actors have stated and that are not in the log yet. */
  readonly outbox: number
  /** Events of the log that are not judged yet. */
  readonly events: number
  /** Runs that page through their members; one that begins later is not due yet. */
  readonly runs: number
  /** Deliveries that are due or on their way, and outcomes that their members do not know yet; but for what may lag behind. */
  readonly deliveries: number
  /** Orders that are neither bought nor refused. */
  readonly orders: number
  /** Tickets that are being given up. */
  readonly tickets: number
  /** Timers of products and campaigns that are due. */
  readonly timers: number
}

export class ReplayClock extends Context.Tag("@hikyaku/server/demo/ReplayClock")<ReplayClock, {
  /** Takes the shop's clock over at this instant (ms since the epoch). */
  readonly begin: (at: number) => Effect.Effect<void, SqlError.SqlError>
  /** Moves the instant on; never back. Answers the instant. */
  readonly advance: (at: number) => Effect.Effect<number, SqlError.SqlError>
  /**
   * Moves the instant on while the shop is at work, but not to the deadline of a message that is due or on its way: in real
   * time it would have been sent by then. Answers the instant.
   */
  readonly follow: (at: number) => Effect.Effect<number, SqlError.SqlError>
  /** What is left to do now; how what was sent from `lagsFrom` on (ms) has ended does not count. */
  readonly backlog: (lagsFrom?: number) => Effect.Effect<Backlog, SqlError.SqlError>
  /** Waits until there is nothing at all left to do at the shop's instant. */
  readonly settle: Effect.Effect<void, SqlError.SqlError | PipelineStuck>
  /**
   * Moves on to `at` and comes to rest there, resting on the way wherever a cart lapses, a held message may leave or a
   * campaign's cycle comes round. What was sent in the last `endsWithinMs` before each rest may still be ending.
   */
  readonly pass: (at: number) => Effect.Effect<void, SqlError.SqlError | PipelineStuck>
  /** Gives the clock back to the database's time. */
  readonly end: Effect.Effect<void, SqlError.SqlError>
}>() {}

/** Between two looks at the backlog: at first and at most. */
const lookFirst = Duration.millis(5)
const lookLast = Duration.millis(40)
/** When nothing has moved for so long something is wrong: longer than a failover with its doubts about requests takes. */
const stuckAfter = Duration.seconds(90)
/** What is due within so long (logical ms) fires together: how late a timer may be beside the length of a stretch. */
const grainMs = 10 * 60_000
/** How far the clock may have gone beyond a send (logical ms) before it rests until that has ended: a stretch of the replay. */
export const endsWithinMs = 7_200_000
/** Rests on the way to one instant at most. */
const restsMax = 24
/** Rows counted at most per stage. */
const countMax = 1_000
/** Outcome partitions are made so far ahead of the clock at a time, ms. */
const dayMs = 86_400_000
const coverMs = 45 * dayMs

/** Names what is left to do. */
export const describeBacklog = (backlog: Backlog): string =>
  Object.entries(backlog).filter(([, count]) => count > 0).map(([stage, count]) => `${stage}: ${count}`).join(", ") ||
  "nothing"

const isIdle = (backlog: Backlog): boolean => Object.values(backlog).every((count) => count === 0)

/**
 * Where to rest next on the way from one instant to a later one, given when the next timer is due: at the due instant, or
 * a little later so that its neighbours fire with it. Null: nothing is due on the way.
 */
export const nextRest = (due: number | null, to: number): number | null => {
  if (due === null || due >= to) return null
  return Math.min(to, Math.ceil(due / grainMs) * grainMs)
}

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  /** Outcomes have partitions up to here, ms. */
  let covered = Number.NEGATIVE_INFINITY

  const cover = (at: number): Effect.Effect<void, SqlError.SqlError> =>
    Effect.suspend(() => {
      if (at + coverMs / 2 <= covered) return Effect.void
      const from = covered === Number.NEGATIVE_INFINITY ? at - dayMs : covered + dayMs
      covered = Math.max(at, from) + coverMs
      return coverOutcomes(Math.floor(from), Math.floor(covered)).pipe(
        Effect.provideService(SqlClient.SqlClient, sql),
        Effect.asVoid
      )
    })

  const begin = (at: number) =>
    Effect.zipRight(
      cover(at),
      sql`update shop_clock set mode = 'logical', instant = to_timestamp(${at / 1_000}::float8)`
    ).pipe(Effect.asVoid)

  /** The first deadline of what is due or on its way; the last moment before it, since what leaves then is in time. */
  const firstDeadline = sql.literal(`(select min(deadline) - interval '1 second' from (
    select min(deadline) as deadline from delivery where status = 'due'
    union all select min(deadline) from delivery_list where status not in ('sent', 'completed', 'failed', 'expired')) d)`)
  const moveTo = (at: number, most = sql.literal("null")) =>
    Effect.zipRight(
      cover(at),
      sql<{ readonly instant: number }>`
        update shop_clock set instant = greatest(instant, least(to_timestamp(${at / 1_000}::float8), ${most}))
        returning (extract(epoch from instant) * 1000)::float8 as instant`
    ).pipe(Effect.map((rows) => rows[0]?.instant ?? at))
  const advance = (at: number) => moveTo(at)
  const follow = (at: number) => moveTo(at, firstDeadline)

  const most = sql.literal(`limit ${countMax}`)
  const backlog = (lagsFrom = Number.POSITIVE_INFINITY) => {
    // A subquery, so that one plan serves every instant.
    const lags = sql`(select to_timestamp(${lagsFrom / 1_000}::float8))`
    return sql<Backlog>`select
      (select count(*) from (select from outbox order by seq ${most}) o)::int as outbox,
      (select coalesce(sum(p.next_offset - 1 - c."offset"), 0) from event_partition p
        join consumer_offset c on c.partition = p.partition and c.consumer = 'judge')::int as events,
      (select count(*) from run where status = 'running'
        and (begins_at is null or begins_at <= (select shop_now())))::int as runs,
      (select count(*) from (select from delivery where status = 'due' and not_before <= (select shop_now()) ${most}) d)::int
        + (select count(*) from (select from delivery_list where status not in ('completed', 'failed', 'expired')
          and not (status = 'sent' and sent_at >= ${lags}) ${most}) l)::int
        + (select count(*) from (select from delivery_refund where relayed_at is null ${most}) r)::int
        + (select count(*) from (select from delivery_sent where relayed_at is null and at < ${lags} ${most}) s)::int
        as deliveries,
      (select count(*) from checkout_order where state in ('holding', 'buying', 'releasing', 'undoing'))::int as orders,
      (select count(*) from ticket_given_up)::int as tickets,
      (select count(*) from product where due_at <= (select shop_now()))::int
        + (select count(*) from campaign where due_at <= (select shop_now()))::int as timers`.pipe(
      Effect.map((rows) =>
        rows[0] ?? { outbox: 0, events: 0, runs: 0, deliveries: 0, orders: 0, tickets: 0, timers: 0 }
      )
    )
  }

  /** When the next timer is due after the shop's instant, ms. */
  const nextDue = sql<
    { readonly due: number | null }
  >`select (extract(epoch from min(due)) * 1000)::float8 as due from (
      select min(due_at) as due from product where due_at > (select shop_now())
      union all select min(due_at) from campaign where due_at > (select shop_now())
      union all select min(begins_at) from run where status = 'running' and begins_at > (select shop_now())
      union all select min(not_before) from delivery where status = 'due' and not_before > (select shop_now())
    ) d`.pipe(Effect.map((rows) => rows[0]?.due ?? null))

  const settleFrom = (lagsFrom?: number) =>
    Effect.gen(function*() {
      const monotonic = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)
      let before = ""
      let movedAt = yield* monotonic
      let rest = lookFirst
      for (;;) {
        const left = yield* backlog(lagsFrom)
        if (isIdle(left)) return
        const waitsFor = describeBacklog(left)
        const now = yield* monotonic
        if (waitsFor !== before) {
          before = waitsFor
          movedAt = now
        } else if (now - movedAt > Duration.toMillis(stuckAfter)) {
          return yield* new PipelineStuck({ instant: yield* advance(0), waitedMs: now - movedAt, waitsFor })
        }
        yield* Effect.sleep(rest)
        rest = Duration.min(lookLast, Duration.times(rest, 1.5))
      }
    })

  /** What was sent longer before than it may lag behind has ended before the clock moves there. */
  const moveOn = (to: number) =>
    Effect.gen(function*() {
      const lagsFrom = to - endsWithinMs
      yield* settleFrom(lagsFrom)
      yield* advance(to)
      yield* settleFrom(lagsFrom)
    })

  const pass = (at: number) =>
    Effect.gen(function*() {
      for (let rests = 0; rests < restsMax; rests++) {
        const rest = nextRest(yield* nextDue, at)
        if (rest === null) break
        yield* moveOn(rest)
      }
      yield* moveOn(at)
    })

  const end = Effect.asVoid(sql`update shop_clock set mode = 'real', instant = null`)

  return ReplayClock.of({ begin, advance, follow, backlog, settle: settleFrom(), pass, end })
})

export const layer: Layer.Layer<ReplayClock, never, SqlClient.SqlClient> = Layer.effect(ReplayClock, make)
