/**
 * Finds runners that are gone or hung sooner than the cluster library does (R22): every member probes the runners; two
 * probers that agree, or the only other one there is, take a runner out of service; whoever reaches it again puts it back.
 * Never more than half of the runners are out, since then it is more likely the probers that are cut off. A false alarm
 * costs a hand-off and no more: the fence decides who may write; but see `Suspicion` for what many of them would cost. A hung runner's sessions are ended in the database, so that
 * its shard locks are free.
 */
import { RunnerAddress, Runners } from "@effect/cluster"
import { SqlClient } from "@effect/sql"
import { Clock, Duration, Effect, Layer, Schedule } from "effect"
import { journalSession, runnerSession } from "../sql/DatabaseSession.ts"
import { type Miss, Suspicion } from "./Suspicion.ts"

export const probeInterval = Duration.millis(250)
/** A runner that is silent so long has missed a probe. */
export const probeTimeout = Duration.millis(1000)
/** When the end of a probe was noticed so much too late, the prober itself was held up. */
const heldUp = Duration.millis(250)
/** A suspicion is forgotten when it is not renewed. */
const suspicionAge = "3 seconds"

interface RunnerRow {
  readonly address: string
  readonly healthy: boolean
}

const parse = (address: string): RunnerAddress.RunnerAddress | undefined => {
  const at = address.lastIndexOf(":")
  const port = Number(address.slice(at + 1))
  return at > 0 && Number.isInteger(port) ? RunnerAddress.make(address.slice(0, at), port) : undefined
}

const make = (self: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const runners = yield* Runners.Runners
    const suspicions = new Map<string, Suspicion>()
    const suspicionOf = (address: string): Suspicion => {
      const known = suspicions.get(address) ?? new Suspicion()
      suspicions.set(address, known)
      return known
    }

    const markDown = (address: string) =>
      Effect.gen(function*() {
        yield* sql`insert into runner_suspicion (address, prober) values (${address}, ${self})
          on conflict (address, prober) do update set at = clock_timestamp()`
        // Two agree, or there is nobody else to ask; and most of the runners stay in service.
        // One at a time: two that each see most of the runners in service could take out more together.
        const mark = sql<{ readonly address: string }>`
          update cluster_runners r set healthy = false
          where r.address = ${address} and r.healthy
            and (select count(*) from runner_suspicion s where s.address = r.address
              and s.at > clock_timestamp() - interval '${sql.literal(suspicionAge)}') >=
              least(2, (select count(*) from cluster_member m where m.name <> r.address
                and m.seen_at > clock_timestamp() - interval '${sql.literal(suspicionAge)}'))
            and 2 * (select count(*) from cluster_runners h where h.healthy and h.address <> r.address) >=
              (select count(*) from cluster_runners)
          returning r.address`
        const marked = yield* sql`select pg_advisory_xact_lock(hashtext('hikyaku.detector'))`.pipe(
          Effect.andThen(mark),
          sql.withTransaction
        )
        if (marked.length === 0) return
        yield* Effect.logWarning(`Runner ${address} does not answer: its cells move to the others`)
        // Its shard locks and whatever its journal has under way: a runner that is gone, or hangs, frees neither by itself.
        const sessions = [runnerSession(address), journalSession(address)]
        yield* sql`select pg_terminate_backend(pid) from pg_stat_activity
          where ${sql.in("application_name", sessions)} and datname = current_database()`
      })

    const markUp = (row: RunnerRow) =>
      row.healthy ? Effect.void : Effect.gen(function*() {
        yield* sql`delete from runner_suspicion where address = ${row.address}`
        yield* sql`update cluster_runners set healthy = true where address = ${row.address} and not healthy`
        yield* Effect.logInfo(`Runner ${row.address} answers again`)
      })

    /** Null: it answers. */
    const ask = (address: RunnerAddress.RunnerAddress): Effect.Effect<Miss | null> =>
      Effect.gen(function*() {
        const began = yield* Clock.currentTimeNanos
        const answer = yield* runners.ping(address).pipe(
          Effect.as(null),
          Effect.catchAllCause(() => Effect.succeed("refused" as const)),
          Effect.timeoutTo({ duration: probeTimeout, onSuccess: (known) => known, onTimeout: () => "silent" as const })
        )
        const tookMs = Number((yield* Clock.currentTimeNanos) - began) / 1e6
        const late = tookMs > Duration.toMillis(probeTimeout) + Duration.toMillis(heldUp)
        return answer === "silent" && late ? "unsure" : answer
      })

    const probe = (row: RunnerRow) =>
      Effect.gen(function*() {
        const address = parse(row.address)
        if (address === undefined || row.address === self) return
        const suspicion = suspicionOf(row.address)
        const miss = yield* ask(address)
        if (miss === null) {
          suspicion.answered(!row.healthy)
          return yield* markUp(row)
        }
        if (suspicion.missed(miss) && row.healthy) yield* markDown(row.address)
      })

    const round = Effect.gen(function*() {
      const rows = yield* sql<RunnerRow>`with seen as (insert into cluster_member (name) values (${self})
          on conflict (name) do update set seen_at = clock_timestamp())
        select address, healthy from cluster_runners`
      for (const [address] of suspicions) if (!rows.some((row) => row.address === address)) suspicions.delete(address)
      yield* Effect.forEach(rows, probe, { concurrency: 16, discard: true })
    })

    yield* round.pipe(
      Effect.catchAllCause((cause) => Effect.logDebug("Runners could not be probed", cause)),
      Effect.repeat(Schedule.spaced(probeInterval)),
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() => Effect.ignore(sql`delete from cluster_member where name = ${self}`))
  })

/** `self`: a runner's address as `host:port`, or any name of a gateway's own. */
export const layer = (self: string): Layer.Layer<never, never, SqlClient.SqlClient | Runners.Runners> =>
  Layer.scopedDiscard(make(self))
