/**
 * Locks of the database that belong to a session, kept across sessions: when a session ends - the server restarted, or somebody
 * ended it (R22) - the next one is opened at once and takes again what nobody else has taken meanwhile. Whoever holds a lock
 * hears of its loss only when it did not come back for a while. That is safe where a fence decides who may write, and only
 * there: until then two may believe that they hold it.
 *
 * What is wanted and what is held are two sets, and one fibre makes the second agree with the first, a statement for all keys
 * at a time. So no lock is left behind by whoever stopped waiting for it.
 */
import { Duration, Effect, type Scope } from "effect"
import { Socket } from "node:net"
import pg from "pg"

export interface AdvisoryLocks {
  /**
   * Tries for these keys and gives those that were free. Waits while there is no session, and for those who hold keys only as
   * long as `patience` says: not at all where absent.
   */
  readonly acquire: (keys: ReadonlyArray<number>, patience?: Patience) => Effect.Effect<ReadonlyArray<number>>
  /**
   * Which of these keys the holder may go on with: the session holds them, or lost them less than `graceMs` ago and may get
   * them back. The others are given up by this. Asks nobody.
   */
  readonly kept: (keys: ReadonlyArray<number>) => ReadonlyArray<number>
  /** Gives these keys back; done when the database has them, or when the session that held them is gone. */
  readonly release: (keys: ReadonlyArray<number>) => Effect.Effect<void>
  readonly releaseAll: Effect.Effect<void>
}

/** How long keys are waited for that others hold: until all are there, and no longer than this. */
export interface Patience {
  /** In all, ms. */
  readonly mostMs: number
  /** Once some are there, since the last of them, ms: whoever gives keys back gives them back at about the same time. */
  readonly moreMs: number
  /** How often they are tried for, ms. */
  readonly everyMs: number
}

const noPatience: Patience = { mostMs: 0, moreMs: 0, everyMs: 0 }

export interface AdvisoryLockSettings {
  readonly connectionString: string
  /** Name of the session. */
  readonly session: string
  /** Sent every `beatMs`, from the first word of the holder on. */
  readonly beat: { readonly text: string; readonly values: ReadonlyArray<string> }
  readonly beatMs: number
  /** How long a lost lock may take to come back. */
  readonly graceMs: number
}

export const advisoryLockDefaults = {
  /** A third of what the least patient reader of the beat waits for, and more. */
  beatMs: 5_000,
  /** A restart of the database, or a hand-off that turns round, takes less. */
  graceMs: 10_000
} as const

/** Rest before another session is opened. */
const connectRest = Duration.millis(100)
/** How long opening one may take, and a statement in it: a server that hangs for longer is given up, and so is the session. */
const connectTimeoutMs = 5_000
const statementTimeout = Duration.seconds(10)
/** How long it may take to say good-bye. */
const endTimeout = Duration.seconds(1)
/** How often keys are tried again that somebody else has taken meanwhile. */
const retryMs = 250

/** The server notices a host that is gone; by default that takes two hours, and its locks as long. */
const serverOptions =
  "-c synchronous_commit=off -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"

const lockSql = "select key::int as key from unnest($1::bigint[]) as key where pg_try_advisory_lock(key)"
const unlockSql = "select pg_advisory_unlock(key) from unnest($1::bigint[]) as key"

class SessionLost {
  readonly _tag = "SessionLost"
  constructor(readonly cause: unknown) {}
}

/** A session of its own, closed with the scope whatever state it is in. `onLost` is called when it ends by itself. */
const open = (settings: AdvisoryLockSettings, onLost: (cause: unknown) => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = new Socket()
      const client = new pg.Client({
        connectionString: settings.connectionString,
        application_name: settings.session,
        connectionTimeoutMillis: connectTimeoutMs,
        keepAlive: true,
        options: serverOptions,
        stream: () => socket
      })
      client.on("error", onLost)
      client.on("end", () => onLost("the connection was closed"))
      return { client, socket }
    }),
    ({ client, socket }) =>
      Effect.promise(() => client.end().catch(() => {})).pipe(
        Effect.interruptible,
        Effect.timeoutOption(endTimeout),
        // A session that does not answer goes with its socket: no lock stays with a connection that nobody uses.
        Effect.zipRight(Effect.sync(() => socket.destroy()))
      )
  ).pipe(
    Effect.tap(({ client }) =>
      Effect.tryPromise({ try: () => client.connect(), catch: (cause) => new SessionLost(cause) })
    ),
    Effect.map(({ client }) => client)
  )

export const make = (settings: AdvisoryLockSettings): Effect.Effect<AdvisoryLocks, never, Scope.Scope> =>
  Effect.gen(function*() {
    const monotonic = () => performance.now()
    /** What the holder was told that it holds and has not given back. */
    const owned = new Set<number>()
    /** What is being tried for, and by how many. */
    const asked = new Map<number, number>()
    /** What the session holds. */
    const held = new Set<number>()
    /** What is owned and not held: since when. */
    const missing = new Map<number, number>()
    const wake = Effect.unsafeMakeLatch(false)
    /** Who waits for the end of the next pass; told whether it was one. */
    let waiting: Array<(complete: boolean) => void> = []
    let beatenAt = Number.NEGATIVE_INFINITY

    const isWanted = (key: number): boolean => owned.has(key) || asked.has(key)

    const ask = (client: pg.Client, text: string, values: ReadonlyArray<unknown>) =>
      Effect.tryPromise({
        try: () => client.query<{ readonly key: number }>(text, [...values]),
        catch: (cause) => new SessionLost(cause)
      }).pipe(
        Effect.timeoutFail({ duration: statementTimeout, onTimeout: () => new SessionLost("the database hangs") }),
        Effect.map(({ rows }) => rows)
      )

    /** Makes what is held agree with what is wanted, as far as others let it. */
    const pass = (client: pg.Client) =>
      Effect.suspend(() => {
        const told = waiting
        waiting = []
        let complete = false
        return Effect.gen(function*() {
          const surplus = [...held].filter((key) => !isWanted(key))
          if (surplus.length > 0) {
            yield* ask(client, unlockSql, [surplus])
            for (const key of surplus) held.delete(key)
          }
          const lacking = [...new Set([...asked.keys(), ...owned])].filter((key) => !held.has(key))
          if (lacking.length > 0) {
            for (const { key } of yield* ask(client, lockSql, [lacking])) {
              held.add(key)
              missing.delete(key)
            }
          }
          if (monotonic() >= beatenAt + settings.beatMs) {
            yield* ask(client, settings.beat.text, settings.beat.values)
            beatenAt = monotonic()
          }
          // Whoever asked may have been interrupted meanwhile, or have given back.
          if ([...held].some((key) => !isWanted(key))) wake.unsafeOpen()
          complete = true
        }).pipe(Effect.ensuring(Effect.sync(() => {
          for (const tell of told) tell(complete)
        })))
      })

    const lost = () => {
      const now = monotonic()
      for (const key of owned) if (!missing.has(key)) missing.set(key, now)
      held.clear()
      const told = waiting
      waiting = []
      for (const tell of told) tell(false)
    }

    const session = Effect.gen(function*() {
      const broken = Effect.unsafeMakeLatch(false)
      let why: unknown
      const client = yield* open(settings, (cause) => {
        why ??= cause
        broken.unsafeOpen()
      })
      const keep = Effect.gen(function*() {
        wake.unsafeClose()
        yield* pass(client)
        const rest = missing.size > 0 ? retryMs : settings.beatMs
        yield* Effect.timeoutOption(wake.await, Duration.millis(rest))
      })
      yield* Effect.raceFirst(
        Effect.forever(keep),
        Effect.flatMap(broken.await, () => Effect.fail(new SessionLost(why)))
      )
    }).pipe(
      Effect.scoped,
      Effect.ensuring(Effect.sync(lost)),
      Effect.catchTag("SessionLost", ({ cause }) => Effect.logDebug("The session of the locks is lost", cause)),
      Effect.zipRight(Effect.sleep(connectRest))
    )
    yield* Effect.zipRight(wake.await, Effect.forever(session)).pipe(Effect.interruptible, Effect.forkScoped)

    const nextPass = Effect.async<boolean>((resume) => {
      const tell = (complete: boolean) => resume(Effect.succeed(complete))
      waiting.push(tell)
      wake.unsafeOpen()
      return Effect.sync(() => {
        waiting = waiting.filter((each) => each !== tell)
      })
    })

    const tried = Effect.repeat(nextPass, { until: (complete) => complete })
    /** Tries on for keys that were not to be had. */
    const patiently = (keys: ReadonlyArray<number>, { everyMs, moreMs, mostMs }: Patience) =>
      Effect.suspend(() => {
        const began = monotonic()
        let [gained, gainedAt] = [0, began]
        const isOver = (): boolean => {
          const now = monotonic()
          const got = keys.filter((key) => held.has(key)).length
          if (got > gained) [gained, gainedAt] = [got, now]
          return got === keys.length || now >= began + mostMs || (got > 0 && now >= gainedAt + moreMs)
        }
        return Effect.whileLoop({
          while: () => !isOver(),
          body: () => Effect.zipRight(Effect.sleep(Duration.millis(everyMs)), tried),
          step: () => {}
        })
      })

    const release = (keys: ReadonlyArray<number>) =>
      Effect.suspend(() => {
        for (const key of keys) {
          owned.delete(key)
          missing.delete(key)
        }
        const left = () => keys.some((key) => held.has(key) && !isWanted(key))
        return Effect.whileLoop({ while: left, body: () => nextPass, step: () => {} })
      })

    return {
      acquire: (keys, patience = noPatience) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            for (const key of keys) asked.set(key, (asked.get(key) ?? 0) + 1)
          }),
          () =>
            tried.pipe(
              Effect.zipRight(patiently(keys, patience)),
              Effect.map(() => {
                const got = keys.filter((key) => held.has(key))
                for (const key of got) owned.add(key)
                return got
              })
            ),
          () =>
            Effect.sync(() => {
              for (const key of keys) {
                const others = (asked.get(key) ?? 1) - 1
                if (others > 0) asked.set(key, others)
                else asked.delete(key)
              }
              // Whoever was interrupted leaves what nobody wants.
              if (keys.some((key) => held.has(key) && !isWanted(key))) wake.unsafeOpen()
            })
        ),
      kept: (keys) => {
        wake.unsafeOpen()
        const now = monotonic()
        return keys.filter((key) => {
          if (!owned.has(key)) return false
          const since = missing.get(key)
          if (since === undefined || now < since + settings.graceMs) return true
          owned.delete(key)
          missing.delete(key)
          return false
        })
      },
      release,
      releaseAll: Effect.suspend(() => release([...owned, ...held]))
    }
  })
