/**
 * Takes the recipients of requests that name a table or a segment: page by page in the order of keys, so that memory stays the
 * same however many there are. A page and the cursor behind it are one commit; whoever goes on after a crash, wherever it
 * fell, repeats nobody and misses nobody. What stands in the way (a table that is gone, a column that may not be read any
 * more) is noted with the request and tried again: nothing is lost by it, and operators see it.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { keyMax, type RecipientSource, type RecipientTable } from "@hikyaku/domain/delivery/RecipientSource"
import { recipientOf } from "@hikyaku/domain/delivery/Request"
import { Duration, Effect, Either } from "effect"
import { compileSegment } from "../marketing/SegmentSql.ts"
import { countOf, pageOf, rowsOf, TableChanged, type TableRow } from "./RecipientTables.ts"
import { type Expansion, type Line, type RequestSource, RequestStore, type SourcePage } from "./RequestStore.ts"

/** Told of when there is a request with a source. */
export const sourcesTopic = "request sources"

export interface SourceLimits {
  /** Rows of a page: read in one query, taken in one commit. */
  readonly pageSize: number
  /** Pages of one request before others have their turn. */
  readonly pagesAtOnce: number
  /** Requests gone on with in one step. */
  readonly requestsAtOnce: number
  /** Longest time of a statement that reads a source. */
  readonly readTimeout: Duration.Duration
  /** How long a request rests whose source cannot be read. */
  readonly faultRest: Duration.Duration
}

export const sourceLimitsDefault: SourceLimits = {
  pageSize: 1_000,
  pagesAtOnce: 8,
  requestsAtOnce: 2,
  readTimeout: Duration.seconds(30),
  faultRest: Duration.seconds(15)
}

/** Rows of a source that are counted at most. */
const countMax = 50_000_000
/** Longest reason, in characters. */
const reasonMax = 200

/** Why a source cannot be read, in words for operators. */
export class SourceFault {
  readonly _tag = "SourceFault"
  constructor(readonly reason: string) {}
}

/** Classes of PostgreSQL's errors that lie in the connection, the server or the traffic: the step is made again. */
const passing = new Set(["08", "40", "53", "55"])
/** Of the class of operators' interventions the one that is the statement's own: it took too long. */
const cancelled = "57014"

const faultOf = (error: SqlError.SqlError): SourceFault | SqlError.SqlError => {
  const { cause } = error
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  if (code === cancelled) return new SourceFault("reading takes too long: is there an index on its key?")
  if (!/^[0-9A-Z]{5}$/.test(code) || passing.has(code.slice(0, 2)) || code.startsWith("57")) return error
  const message = cause instanceof Error ? cause.message : error.message
  return new SourceFault(message.slice(0, reasonMax).toWellFormed())
}

const parametersOf = (table: RecipientTable, { target, values }: TableRow): Readonly<Record<string, unknown>> => ({
  ...Object.fromEntries(table.parameters.map((name, index) => [name, values[index]])),
  [table.address === undefined ? "member" : "address"]: target
})

const lineOf = (table: RecipientTable, row: TableRow, line: number): Line => {
  const recipient = recipientOf(parametersOf(table, row))
  return Either.isRight(recipient)
    ? { _tag: "Recipient", line, recipient: recipient.right }
    : { _tag: "Broken", line, fault: recipient.left, key: row.key }
}

/** Why pages of the rows would miss some: keys that recur cannot be told apart. */
const orderFault = (rows: ReadonlyArray<TableRow>): string | null => {
  for (const [index, { key }] of rows.entries()) {
    if (key.length > keyMax) return `a key is longer than ${keyMax} characters`
    if (index > 0 && rows[index - 1]?.key === key) return `the key ${key.slice(0, 60)} occurs more than once`
  }
  return null
}

/** Reads of sources: in a transaction that cannot write, each statement bounded in time. */
export const makeReads = (limits: SourceLimits) =>
  Effect.map(SqlClient.SqlClient, (sql) => {
    const timeout = Math.round(Duration.toMillis(limits.readTimeout))
    const reading = <A>(read: Effect.Effect<A, SqlError.SqlError | TableChanged, SqlClient.SqlClient>) =>
      sql.withTransaction(
        Effect.zipRight(
          sql.unsafe(`set transaction read only; set local statement_timeout = ${timeout}`),
          Effect.provideService(read, SqlClient.SqlClient, sql)
        )
      ).pipe(
        Effect.mapError((error) => error instanceof TableChanged ? new SourceFault(error.reason) : faultOf(error))
      )

    const segmentIds = (source: Extract<RequestSource, { readonly _tag: "Segment" }>, now: number) => {
      const page = compileSegment(source.segment)
      return (after: string | null, limit: number) => {
        const { text, values } = page(after, limit, now)
        return sql.unsafe<{ readonly id: string }>(text, [...values])
      }
    }

    /** The page behind the request's cursor. */
    const page = ({ after, createdAt, lines: before, source }: Expansion) =>
      Effect.gen(function*() {
        const { pageSize } = limits
        if (source._tag === "Segment") {
          const found = yield* reading(segmentIds(source, createdAt)(after, pageSize))
          const lines = found.map(({ id }, index): Line => ({
            _tag: "Recipient",
            line: before + index + 1,
            recipient: { member: id, address: null, parameters: {} }
          }))
          const next: SourcePage = { lines, last: found.at(-1)?.id ?? after, done: found.length < pageSize }
          return next
        }
        const { definition } = source
        // One more than the page: a key that recurs behind its end would be missed.
        const rows = yield* reading(pageOf(definition, after, pageSize + 1))
        const fault = orderFault(rows)
        if (fault !== null) return yield* Effect.fail(new SourceFault(fault))
        const taken = rows.slice(0, pageSize)
        const lines = taken.map((row, index) => lineOf(definition, row, before + index + 1))
        const next: SourcePage = { lines, last: taken.at(-1)?.key ?? after, done: rows.length <= pageSize }
        return next
      })

    /** Rows that a source has. */
    const count = (source: RequestSource, now: number): Effect.Effect<number, SourceFault | SqlError.SqlError> =>
      source._tag === "Table"
        ? Effect.flatMap(reading(countOf(source.definition, countMax)), ({ keyless, rows }) =>
          keyless === 0
            ? Effect.succeed(rows)
            : Effect.fail(new SourceFault(`${keyless} rows have no key and would be missed`)))
        : reading(Effect.suspend(() => {
          const { text, values } = compileSegment(source.segment)(null, countMax, now)
          return Effect.map(
            sql.unsafe<{ readonly n: number }>(`select count(*)::integer as n from (\n${text}\n) c`, [...values]),
            (rows) => rows[0]?.n ?? 0
          )
        }))

    /** Rows of a table by their keys, as lines with the numbers that they have; who is gone is broken for good. */
    const again = (
      definition: RecipientTable,
      faults: ReadonlyArray<{ readonly line: number; readonly key: string }>
    ) =>
      Effect.map(reading(rowsOf(definition, faults.map(({ key }) => key))), (rows) => {
        const byKey = new Map(rows.map((row) => [row.key, row]))
        return faults.map(({ key, line }): Line => {
          const row = byKey.get(key)
          return row === undefined
            ? { _tag: "Broken", line, fault: { field: "", reason: "no row has its key any more" }, key }
            : lineOf(definition, row, line)
        })
      })
    return { page, count, again }
  })

/** What a source is called in answers and logs. */
export const nameOf = (source: RecipientSource | RequestSource): string =>
  source._tag === "Table" ? `table ${source.table}` : "a segment"

/** The worker; any number of them may be at work, one page is taken by one of them. */
export const makeWith = (limits: SourceLimits) =>
  Effect.gen(function*() {
    const store = yield* RequestStore
    const reads = yield* makeReads(limits)

    /** One page; what comes behind it, or null. */
    const takeOne = (request: Expansion) =>
      Effect.gen(function*() {
        if (!request.allowed) {
          return yield* Effect.fail(new SourceFault(`its system may not use ${nameOf(request.source)} any more`))
        }
        const page = yield* reads.page(request)
        const taken = yield* store.takePage(request.id, request.lines, page)
        if (taken === null) return { rows: 0, next: null }
        const rows = page.lines.length
        return { rows, next: page.done ? null : { ...request, after: page.last, lines: request.lines + rows } }
      })

    /** Some pages of a request; how many rows were taken. */
    const goOn = (request: Expansion) =>
      Effect.gen(function*() {
        let current: Expansion | null = request
        let rows = 0
        for (let pages = 0; current !== null && pages < limits.pagesAtOnce; pages++) {
          const at: Expansion = current
          const taken: { readonly rows: number; readonly next: Expansion | null } = yield* takeOne(at).pipe(
            Effect.catchTag("SourceFault", ({ reason }) =>
              Effect.logWarning("The recipients of a request cannot be read; it will be tried again", reason).pipe(
                Effect.annotateLogs({ request: at.id }),
                Effect.zipRight(store.restSource(at.id, at.lines, reason, Duration.toMillis(limits.faultRest))),
                Effect.as({ rows: 0, next: null })
              ))
          )
          rows += taken.rows
          current = taken.next
        }
        return rows
      })

    /** Goes on with the requests whose turn it is; answers how many there were. */
    const step = Effect.gen(function*() {
      const requests = yield* store.unfinished(limits.requestsAtOnce)
      yield* Effect.forEach(requests, goOn, { discard: true })
      return requests.length
    })
    return { step }
  })

export const make = makeWith(sourceLimitsDefault)
