/** What handlers of requests do about sources: who may use which, what they come to, and rows that are mended there. */
import { SqlClient, type SqlError } from "@effect/sql"
import { Nudge } from "@hikyaku/cluster/actor/Nudge"
import { checkTable } from "@hikyaku/cluster/delivery/RecipientTables"
import {
  makeReads,
  nameOf,
  type SourceFault,
  sourceLimitsDefault,
  sourcesTopic
} from "@hikyaku/cluster/delivery/RequestSources"
import { type Line, type RequestSource, RequestStore, type System } from "@hikyaku/cluster/delivery/RequestStore"
import { Unauthorized, Unknown } from "@hikyaku/domain/api/ApiError"
import { type BadInput, badInput } from "@hikyaku/domain/api/BadInput"
import type { RequestView } from "@hikyaku/domain/api/RequestApi"
import {
  type RecipientSource,
  type RecipientTable,
  segmentFaultOf,
  tableFaultOf
} from "@hikyaku/domain/delivery/RecipientSource"
import { Effect, Option } from "effect"
import { stored } from "./Asking.ts"

/** Broken rows that are looked up again in one call. */
const mendMax = 500

/** What a handler is told of a table: `parameters` may be left out. */
export type TableTerms = Omit<RecipientTable, "parameters"> & {
  readonly table: string
  readonly parameters?: ReadonlyArray<string> | undefined
}

export const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const store = yield* RequestStore
  const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))
  const reads = yield* makeReads(sourceLimitsDefault)

  /** A source that cannot be read is the request's fault here: nothing was done. */
  const read = <A>(path: string, effect: Effect.Effect<A, SourceFault | SqlError.SqlError>) =>
    Effect.catchTag(
      effect,
      "SourceFault",
      ({ reason }): Effect.Effect<never, BadInput> => Effect.fail(badInput(path, reason))
    ).pipe(
      Effect.catchTag("SqlError", (error) => stored(Effect.fail(error)))
    )

  /** The source as it is kept with the request, if the system may use it. */
  const resolved = (system: System, from: RecipientSource) =>
    Effect.gen(function*() {
      if (from._tag === "Segment") {
        if (!system.segments) return yield* new Unauthorized({ reason: `${system.id} may not write to segments` })
        const fault = segmentFaultOf(from.segment)
        if (fault !== null) return yield* badInput("from.segment", fault)
        return from
      }
      // Whether a table that it may not use is there is none of its business.
      if (!system.tables.includes(from.table)) {
        return yield* new Unauthorized({ reason: `${system.id} may not take recipients from ${from.table}` })
      }
      const definition = yield* stored(store.tableOf(from.table))
      if (definition === null) return yield* new Unknown({ what: "table", id: from.table })
      const source: RequestSource = { ...from, definition }
      return source
    })

  return {
    /** The source and how many rows it has as of `now`, ms. */
    open: (system: System, from: RecipientSource, now: number) =>
      Effect.gen(function*() {
        const of = yield* resolved(system, from)
        return { of, rows: yield* read("from", reads.count(of, now)) }
      }),

    /** The worker need not wait until it looks by itself. */
    opened: Effect.sync(() => nudge?.tell(sourcesTopic)),

    /** Rows that are still to come. */
    rowsLeft: ({ lines, source }: RequestView): number =>
      source === null || source.done ? 0 : Math.max(0, source.rows - lines),

    registerTable: ({ table, ...terms }: TableTerms) =>
      Effect.gen(function*() {
        const definition: RecipientTable = { ...terms, parameters: terms.parameters ?? [] }
        const fault = tableFaultOf(definition) ??
          (yield* stored(Effect.provideService(checkTable(definition), SqlClient.SqlClient, sql)))
        if (fault !== null) return yield* badInput(fault.path, fault.reason)
        yield* stored(store.saveTable(table, definition))
        return { table }
      }),

    mend: (view: RequestView, after: number) =>
      Effect.gen(function*() {
        const expansion = yield* stored(store.sourceOf(view.id))
        if (expansion === null || expansion.source._tag !== "Table") {
          return yield* badInput("request", "its recipients come from no table: send the mended rows with request.add")
        }
        const { source } = expansion
        if (!expansion.allowed) {
          return yield* new Unauthorized({ reason: `${view.system} may not use ${nameOf(source)} any more` })
        }
        const faults = yield* stored(store.faults(view.id, after, mendMax))
        const last = faults.length < mendMax ? null : faults.at(-1)?.line ?? null
        const keyed = faults.flatMap(({ key, line }) => key === undefined ? [] : [{ line, key }])
        const [first] = keyed
        if (first === undefined) return { mended: 0, broken: 0, last }
        const lines: ReadonlyArray<Line> = yield* read("request", reads.again(source.definition, keyed))
        if ((yield* stored(store.add(view.id, lines, first.line))) === null) {
          return yield* badInput("request", "it was cancelled: it takes no more recipients")
        }
        const broken = lines.filter(({ _tag }) => _tag === "Broken").length
        return { mended: lines.length - broken, broken, last }
      })
  }
})
