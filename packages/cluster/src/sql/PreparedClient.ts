/**
 * The process's database client: it prepares the statements that a connection runs again and again. Planning took two fifths
 * of the database's time before, most of it for workers that look whether there is something to do. As drivers of other
 * languages do it (pgjdbc's `prepareThreshold`), a connection keeps a statement once it has seen its text a few times, and
 * only so many of them; whether the plan is kept too is PostgreSQL's own decision (`plan_cache_mode = auto`).
 *
 * A plan that was made while a table was empty can be the wrong one when it has filled, and statistics come a minute later.
 * So a connection lets go of its plans now and then, and makes them anew on what it finds.
 */
import type { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { SqlError } from "@effect/sql/SqlError"
import { Duration, Effect, type Layer, Redacted } from "effect"
import pg from "pg"
import { idleTimeoutMillis, unnamed } from "./DatabaseSession.ts"
import { sqlState } from "./SqlState.ts"

/** How often a connection sees a text before it keeps the statement: what is built for one use is not worth it. */
export const prepareAfter = 5
/** Statements that a connection keeps at most, and texts that it counts: the first that come, those run most often. */
export const statementsMax = 256
const countedMax = 4_096
/** How old the plans of a connection become. */
const plansAgeMax = Duration.seconds(30)
const connectTimeout = Duration.seconds(5)
/** Time that connections get to say goodbye at the end. */
const endWithin = Duration.seconds(1)

/** Statements of data alone: the others cannot be prepared, or are not worth it. */
const preparable = /^(?:\/\* within \d+ ms \*\/)?\s*(?:select|with|insert|update|delete)\b/i

const limit = /^\/\* within (\d+) ms \*\//
/**
 * The statement with a limit to how long its answer is waited for. A connection that has not answered by then is given up, as
 * if it had broken: one that neither answers nor breaks, as when the way to the server is cut without a word, would hold up
 * whoever waits for it for as long as TCP tries, a quarter of an hour. Said in the text, since that is all that reaches the
 * connection. Whether the statement was carried out is as unknown as with any connection that breaks.
 */
export const within = (limitMs: number, statement: string): string => `/* within ${limitMs} ms */ ${statement}`
/** A statement that the server no longer knows, or whose result has other columns than when it was prepared. */
const outdated = new Set(["26000", "0A000"])

type Answered = (error: Error, result: pg.QueryResult) => void

/** What a connection knows about the texts that it has run. */
class Statements {
  #seen = new Map<string, number>()
  #names = new Map<string, string>()
  #named = 0

  /** The name to run this text under; undefined when it is not worth one. */
  nameOf(text: string): string | undefined {
    const name = this.#names.get(text)
    if (name !== undefined) return name
    if (this.#names.size >= statementsMax) return undefined
    const seen = (this.#seen.get(text) ?? 0) + 1
    if (seen === 1 && (this.#seen.size >= countedMax || !preparable.test(text))) return undefined
    if (seen < prepareAfter) {
      this.#seen.set(text, seen)
      return undefined
    }
    this.#seen.delete(text)
    const fresh = `s${this.#named++}`
    this.#names.set(text, fresh)
    return fresh
  }

  /** Names are not used again: the server may know the old ones still. */
  forget(): void {
    this.#names.clear()
  }
}

export class PreparingConnection extends pg.Client {
  readonly #statements = new Statements()
  readonly #plansAgeMax: number
  #plansSince = performance.now()

  constructor(config?: pg.ClientConfig & { readonly plansAgeMax?: number }) {
    super(config)
    this.#plansAgeMax = config?.plansAgeMax ?? Duration.toMillis(plansAgeMax)
  }

  /** Gives the connection up when the statement's limit is over; it is told as broken to all that wait for it. */
  #watched(text: string, answered: Answered): Answered {
    const limitMs = limit.exec(text)?.[1]
    if (limitMs === undefined) return answered
    const timer = setTimeout(() => {
      this.connection.stream.destroy(new Error(`the database did not answer within ${limitMs} ms`))
    }, Number(limitMs))
    return (error, result) => {
      clearTimeout(timer)
      answered(error, result)
    }
  }

  /** Overridden for the form that the client uses (text, values, callback); all others pass. */
  // oxlint-disable-next-line no-explicit-any -- the overloads of the driver
  override query(...call: ReadonlyArray<any>): any {
    const [text, values, last] = call
    if (typeof text !== "string" || !Array.isArray(values) || typeof last !== "function") {
      return Reflect.apply(super.query, this, call)
    }
    const answered = this.#watched(text, last as Answered)
    const name = this.#statements.nameOf(text)
    if (name === undefined) return super.query(text, values, answered)
    super.query({ name, text, values }, (error, result) => {
      if (outdated.has(sqlState(error))) this.#statements.forget()
      if (this.getTransactionStatus() !== "I" || performance.now() - this.#plansSince < this.#plansAgeMax) {
        return answered(error, result)
      }
      // Between statements and before the answer: whoever is interrupted meanwhile leaves nothing behind that could run later.
      this.#plansSince = performance.now()
      super.query("discard plans", () => answered(error, result))
    })
  }
}

export interface PreparedClientOptions {
  readonly url: Redacted.Redacted
  readonly maxConnections: number
  /** Name of the sessions. */
  readonly applicationName: string
  /** How old the plans of a connection become; half a minute unless it is said. */
  readonly plansAgeMax?: Duration.Duration
}

const pool = (options: PreparedClientOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      // The pool hands its settings on to its connections.
      const settings: pg.PoolConfig & { readonly plansAgeMax: number } = {
        connectionString: Redacted.value(unnamed(options.url)),
        max: options.maxConnections,
        application_name: options.applicationName,
        idleTimeoutMillis,
        Client: PreparingConnection,
        plansAgeMax: Duration.toMillis(options.plansAgeMax ?? plansAgeMax)
      }
      const opened = new pg.Pool(settings)
      // A connection that breaks while nobody uses it is reported here; its next user gets a fresh one.
      opened.on("error", () => {})
      return opened
    }),
    (opened) =>
      Effect.promise(() => opened.end()).pipe(Effect.interruptible, Effect.timeoutOption(endWithin), Effect.asVoid)
  ).pipe(
    Effect.tap((opened) =>
      Effect.tryPromise({
        try: () => opened.query("select 1"),
        catch: (cause) => new SqlError({ cause, message: "The database cannot be reached" })
      }).pipe(
        Effect.timeoutFail({
          duration: connectTimeout,
          onTimeout: () =>
            new SqlError({ cause: new Error("timed out"), message: "The database did not answer in time" })
        })
      )
    )
  )

/** Fails with `SqlError` when the database cannot be reached. */
export const layer = (
  options: PreparedClientOptions
): Layer.Layer<SqlClient.SqlClient | PgClient.PgClient, SqlError> =>
  PgClient.layerFromPool({ acquire: pool(options), applicationName: options.applicationName })
