/**
 * The journal on PostgreSQL. Group commit: while a lane's statement is under way, units gather; groups grow with the load
 * and cost nothing when there is none. Uses its own connections, since its settings are promises (R5) and its statements
 * are prepared once per connection.
 */
import { Array as Arr, Config, Context, Duration, Effect, Layer, Option, Redacted } from "effect"
import pg from "pg"
import { idleTimeoutMillis, unnamed } from "../sql/DatabaseSession.ts"
import { isRepeatable, repeatsMax, sqlState } from "../sql/SqlState.ts"
import type { ActorKind } from "./ActorKind.ts"
import {
  CommitUnknown,
  earliestDue,
  Journal,
  JournalUnavailable,
  type KindJournal,
  type Unit,
  type Verdict
} from "./Journal.ts"
import { CommitGroup, fill, type Filled } from "./JournalGroup.ts"
import { commitSql, dueSql, hotSql, loadChildSql, loadMainSql, nextDueSql, outcomesSql } from "./JournalSql.ts"
import { Nudge, outboxTopic, writtenTopic } from "./Nudge.ts"
import type { Row } from "./Table.ts"

export class JournalSettings extends Context.Tag("@hikyaku/cluster/JournalSettings")<JournalSettings, {
  readonly url: Redacted.Redacted
  /** Name of its database sessions; `journalSession` of a runner, so that they can be ended when it hangs (R22). */
  readonly session: string
  /** Statements under way per kind; two keep the store busy while the next group gathers. */
  readonly lanes: number
  /**
   * Connections for commits and loads of all kinds of this process. Few: each plans every statement for itself, and a process
   * of one thread keeps no more of them busy.
   */
  readonly connections: number
  /** Most units in one group (R23). */
  readonly unitsMax: number
  /** Most commands in one group (R23). */
  readonly commandsMax: number
}>() {
  static readonly defaults = {
    session: "hikyaku-journal",
    lanes: 2,
    connections: 4,
    unitsMax: 1024,
    commandsMax: 2048
  } as const
  static readonly layer = (url: Redacted.Redacted, session: string = JournalSettings.defaults.session) =>
    Layer.succeed(JournalSettings, { url, ...JournalSettings.defaults, session })
  /** From the environment: DATABASE_URL. */
  static readonly layerConfig = Layer.effect(
    JournalSettings,
    Effect.map(Config.redacted("DATABASE_URL"), (url) => ({ url, ...JournalSettings.defaults }))
  )
}

/** SQLSTATE classes that speak of the content of a statement, not of the server: the group is split to find the culprit. */
const contentClasses: ReadonlySet<string> = new Set(["22", "23", "42", "54"])
/** How long a new connection may take. */
const connectTimeout = Duration.seconds(10)

const message = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/**
 * What the journal's sessions are set to. Asynchronous commit or a cancelled one would acknowledge what is not durable (R5). A
 * generic plan is made once, maybe while a table is empty: then reading all of it is the cheapest there is, and stays what
 * every commit does until statistics come. Rows are found by their keys and in no other way.
 */
export const sessionOptions = [
  "synchronous_commit=on",
  "statement_timeout=0",
  "plan_cache_mode=force_generic_plan",
  "enable_seqscan=off",
  "enable_bitmapscan=off",
  "enable_hashjoin=off",
  "enable_mergejoin=off",
  "jit=off",
  "tcp_keepalives_idle=5",
  "tcp_keepalives_interval=2",
  "tcp_keepalives_count=3"
].map((setting) => `-c ${setting}`).join(" ")

const timelineSql =
  "select system_identifier::text || '/' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as line from pg_control_system()"

/** The store turned out to have another history than the one on which a statement builds (R5). */
class OtherHistory extends Error {
  override readonly name = "OtherHistory"
}

interface Waiting {
  readonly units: ReadonlyArray<Unit>
  /** The history on which they build. */
  readonly generation: number
  readonly resume: (result: Effect.Effect<ReadonlyArray<Verdict>, CommitUnknown>) => void
}

const make = Effect.gen(function*() {
  const settings = yield* JournalSettings
  const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))
  let generation = 0
  let timeline: string | undefined
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() =>
      new pg.Pool({
        connectionString: Redacted.value(unnamed(settings.url)),
        max: settings.connections,
        connectionTimeoutMillis: Duration.toMillis(connectTimeout),
        idleTimeoutMillis,
        keepAlive: true,
        application_name: settings.session,
        options: sessionOptions
      })
    ),
    (pool) => Effect.promise(() => pool.end())
  )
  // A connection that breaks while it is idle reports here; its next user gets a fresh one.
  pool.on("error", () => {})
  // So does one that breaks between two statements of its user, who learns it from the next one: without a listener the
  // process would die.
  pool.on("connect", (client) => {
    client.on("error", () => {})
  })
  // A restored or promoted server has another timeline: versions may recur with other content (R5). Asked once per
  // connection, before its first statement.
  const checked = new WeakSet<pg.PoolClient>()
  const connect = async (): Promise<pg.PoolClient> => {
    const client = await pool.connect()
    if (checked.has(client)) return client
    try {
      const { rows } = await client.query<{ readonly line: string }>(timelineSql)
      const line = rows[0]?.line
      if (timeline !== undefined && line !== timeline) generation++
      timeline = line
      checked.add(client)
      return client
    } catch (cause) {
      client.release(true)
      throw cause
    }
  }
  const execute = async (config: pg.QueryConfig, history: number): Promise<pg.QueryResult> => {
    const client = await connect()
    if (generation !== history) {
      client.release()
      throw new OtherHistory("the store has another history now")
    }
    let broken = true
    try {
      const result = await client.query(config)
      broken = false
      return result
    } catch (cause) {
      // An error about content leaves the connection sound; after any other (a prepared statement that no longer fits, a
      // server going down) a fresh one is the remedy.
      const state = sqlState(cause)
      broken = !contentClasses.has(state.slice(0, 2)) && !isRepeatable(cause)
      throw cause
    } finally {
      client.release(broken)
    }
  }

  const query = <A extends object>(name: string, text: string, values: ReadonlyArray<unknown>) =>
    Effect.tryPromise({
      try: () => execute({ name, text, values: [...values] }, generation),
      catch: (cause) => new JournalUnavailable({ reason: message(cause) })
    }).pipe(Effect.map((result): ReadonlyArray<A> => result.rows))

  let named = 0
  const open = <State, Command, Reply, Event>(kind: ActorKind<State, Command, Reply, Event>): KindJournal<State> => {
    const queue: Array<Waiting> = []
    // Numbered over all kinds, since the server cuts a statement's name at 63 bytes and a variant's would be longer.
    const statements = new Map<string, { readonly name: string; readonly text: string }>()
    let busy = 0
    let soonest: number | null = null
    /** Noted once it is there: whoever looks before has not seen it, and looks again. */
    const noteDue = (units: ReadonlyArray<Unit>): void => {
      soonest = earliestDue(units, soonest)
    }

    /** Finds the unit that cannot be stored by halving the group until it is alone. */
    const split = async (
      units: ReadonlyArray<Unit>,
      history: number,
      reason: string
    ): Promise<ReadonlyArray<Verdict>> => {
      if (units.length === 1) return [{ _tag: "Fault", reason }]
      const half = units.length >> 1
      return [...await run(units.slice(0, half), history), ...await run(units.slice(half), history)]
    }

    const run = async (units: ReadonlyArray<Unit>, history: number): Promise<ReadonlyArray<Verdict>> => {
      let filled: Filled
      try {
        filled = fill(kind, units)
      } catch (cause) {
        // A value that no parameter can carry is its unit's fault, not the store's.
        return split(units, history, message(cause))
      }
      const { brief, main, parts, values, variant } = filled
      let statement = statements.get(variant)
      if (statement === undefined) {
        statement = { name: `commit:${kind.name}:${named++}`, text: commitSql(kind.name, main, parts, brief) }
        statements.set(variant, statement)
      }
      for (let attempt = 1;; attempt++) {
        try {
          const result = await execute({ ...statement, values: [...values] }, history)
          const verdicts = new Map<string, Verdict>()
          for (const row of result.rows) verdicts.set(row.actor, { _tag: row.verdict })
          return units.map((unit) => verdicts.get(unit.actor) ?? { _tag: "Fault", reason: "the store gave no verdict" })
        } catch (cause) {
          const state = sqlState(cause)
          if (isRepeatable(cause) && attempt < repeatsMax) continue
          if (!contentClasses.has(state.slice(0, 2))) throw cause
          return split(units, history, `${state} ${message(cause)}`)
        }
      }
    }

    const flush = () => {
      if (busy >= settings.lanes || queue.length === 0) return
      const group = CommitGroup.take(queue, settings.unitsMax, settings.commandsMax)
      busy++
      run(group.units, group.members[0]!.generation).then(
        (verdicts) => {
          noteDue(group.units)
          if (nudge !== null) tellOf(nudge, kind, group.units)
          let at = 0
          for (const waiting of group.members) {
            waiting.resume(Effect.succeed(verdicts.slice(at, at += waiting.units.length)))
          }
        },
        (cause) => {
          // It may have happened.
          noteDue(group.units)
          const unknown = Effect.fail(new CommitUnknown({ reason: `${sqlState(cause)} ${message(cause)}` }))
          for (const waiting of group.members) waiting.resume(unknown)
        }
      ).finally(() => {
        busy--
        flush()
      })
    }

    const loadMain = loadMainSql(kind.main)
    const children = kind.children.filter((table) => table.live !== null)
    const load: KindJournal<State>["load"] = (actors) =>
      Effect.gen(function*() {
        if (actors.length === 0) return []
        const mains = yield* query<Row & FenceRow>(`load:${kind.name}`, loadMain, [actors])
        if (mains.length === 0) return []
        const stored = mains.map((row) => row.id)
        const live = yield* Effect.forEach(
          children,
          (table) =>
            query<Row>(`load:${table.name}`, loadChildSql(table), [stored]).pipe(
              Effect.map((rows) => [table.name, Arr.groupBy(rows, (row) => String(row[table.actor]))] as const)
            ),
          { concurrency: "unbounded" }
        )
        return mains.map((row) => ({
          actor: row.id,
          state: kind.restore(
            row.id,
            row,
            Object.fromEntries(live.map(([name, rows]) => [name, rows[row.id] ?? []]))
          ),
          fence: { version: row.version, writer: row.writer, cell: row.cell, epoch: row.epoch },
          clock: row.clock
        }))
      })

    return {
      load,
      outcomes: (pairs) =>
        pairs.length === 0
          ? Effect.succeed([])
          : query(`outcomes:${kind.name}`, outcomesSql(kind.name), [
            pairs.map((pair) => pair.actor),
            pairs.map((pair) => pair.command)
          ]),
      commit: (units) =>
        units.length === 0 ? Effect.succeed([]) : Effect.async((resume) => {
          const waiting: Waiting = { units, generation, resume }
          queue.push(waiting)
          flush()
          // What has not left need not leave any more (R25).
          return Effect.sync(() => {
            const at = queue.indexOf(waiting)
            if (at >= 0) queue.splice(at, 1)
          })
        }),
      due: (cells, now, limit) => query(`due:${kind.name}`, dueSql(kind.main), [cells, now, limit]),
      nextDue: (cells, now) =>
        query<{ readonly at: number | null }>(`next:${kind.name}`, nextDueSql(kind.main), [cells, now]).pipe(
          Effect.map((rows) => rows[0]?.at ?? null)
        ),
      takeDue: () => {
        const taken = soonest
        soonest = null
        return taken
      },
      hot: (limit) => query(`hot:${kind.name}`, hotSql(kind.main), [limit])
    }
  }

  // One per kind and process: the cells share its queue, so that their rounds are committed together.
  const journals = new Map<string, { readonly kind: object; readonly journal: unknown }>()
  const of = <State, Command, Reply, Event>(kind: ActorKind<State, Command, Reply, Event>): KindJournal<State> => {
    const known = journals.get(kind.name)
    // The kind is the very one that it was opened with, and so is the type of its states.
    if (known?.kind === kind) return known.journal as KindJournal<State>
    const journal = open(kind)
    journals.set(kind.name, { kind, journal })
    return journal
  }

  return { of, generation: () => generation }
})

/** Tells the workers of what a commit has left for them; a unit that failed costs them a look. */
const tellOf = (
  nudge: Context.Tag.Service<Nudge>,
  { children, main }: Pick<ActorKind<never, never, never, never>, "children" | "main">,
  units: ReadonlyArray<Unit>
): void => {
  const changes = units.flatMap(({ change }) => change === null ? [] : [change])
  if (main.awaited && changes.length > 0) nudge.tell(writtenTopic(main.name))
  for (const { awaited, name } of children) {
    if (awaited && changes.some(({ rows }) => rows.some(({ table }) => table === name))) nudge.tell(writtenTopic(name))
  }
  if (changes.some(({ outbox }) => outbox.length > 0)) nudge.tell(outboxTopic)
}

interface FenceRow {
  readonly id: string
  readonly version: number
  readonly writer: string
  readonly cell: string
  readonly epoch: number
  readonly clock: number
}

export const layer: Layer.Layer<Journal, never, JournalSettings> = Layer.scoped(Journal, make)
