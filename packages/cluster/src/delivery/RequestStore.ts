/**
 * Requests of registered systems in the store: who may ask, what for, and the recipients as they come in. Each method is one
 * statement, so that a call that is cut off was carried out whole or not at all. A recipient becomes a delivery at once, due
 * at the request's time; it leaves no earlier than its request is accepted.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { RequestView, RowFaultView } from "@hikyaku/domain/api/RequestApi"
import type { DeliveryClass, DeliveryStatus } from "@hikyaku/domain/delivery/Delivery"
import type { RecipientTable } from "@hikyaku/domain/delivery/RecipientSource"
import {
  type Recipient,
  requestCampaign,
  type RequestStatus,
  type RowFault,
  type Speed,
  speedAtFirst
} from "@hikyaku/domain/delivery/Request"
import type { CampaignContent } from "@hikyaku/domain/marketing/Campaign"
import type { Attributes } from "@hikyaku/domain/marketing/Event"
import type { Segment } from "@hikyaku/domain/marketing/Segment"
import { Context, Effect, Layer, Option } from "effect"
import { dueTopic, Nudge } from "../actor/Nudge.ts"
import * as text from "./RequestStoreSql.ts"

export interface System {
  readonly id: string
  readonly templates: ReadonlyArray<string>
  readonly class: DeliveryClass
  readonly priority: number
  /** Registered tables of which it may take recipients, and whether it may take them from segments. */
  readonly tables: ReadonlyArray<string>
  readonly segments: boolean
}

/** What a request takes its recipients from, as it is kept with the request: a table as it was registered then. */
export type RequestSource =
  | ({ readonly _tag: "Table"; readonly table: string } & { readonly definition: RecipientTable })
  | { readonly _tag: "Segment"; readonly segment: Segment }

/** A request with a source, and how far it has come. */
export interface Expansion {
  readonly id: string
  readonly source: RequestSource
  /** Key of the last row taken; null: none is. */
  readonly after: string | null
  readonly lines: number
  /** The shop's instant at which the request was made, ms: what windows of a segment are counted back from. */
  readonly createdAt: number
  /** Whether the system may still use the source. */
  readonly allowed: boolean
}

export interface NewRequest {
  readonly id: string
  readonly system: string
  readonly idempotencyKey: string
  readonly contentHash: string
  readonly mail: string
  readonly template: string
  readonly templateVersion: number
  readonly class: DeliveryClass
  readonly priority: number
  readonly parameters: Attributes
  readonly sendAt: number
  readonly deadline: number
  /** Null: its rows come in calls. `rows`: how many the source has, for progress and predictions alone. */
  readonly source: { readonly of: RequestSource; readonly rows: number } | null
}

/** `key`: of a row of a table. */
export type Line =
  | { readonly _tag: "Recipient"; readonly line: number; readonly recipient: Recipient }
  | { readonly _tag: "Broken"; readonly line: number; readonly fault: RowFault; readonly key?: string }

/** A page of a request's source. */
export interface SourcePage {
  readonly lines: ReadonlyArray<Line>
  /** The key of its last row; of an empty page that of the one before. */
  readonly last: string | null
  /** Whether there is nothing behind it. */
  readonly done: boolean
}

export interface Taken {
  readonly lines: number
  readonly added: number
  readonly repeated: number
}

export class RequestStore extends Context.Tag("@hikyaku/cluster/delivery/RequestStore")<RequestStore, {
  readonly saveSystem: (system: System, keyHash: Uint8Array) => Effect.Effect<void, SqlError.SqlError>
  /** The system with this key, or null. */
  readonly systemOf: (keyHash: Uint8Array) => Effect.Effect<System | null, SqlError.SqlError>
  /** The template's version with this content: a new one where the newest differs. */
  readonly saveTemplate: (id: string, content: CampaignContent) => Effect.Effect<number, SqlError.SqlError>
  /** The newest version, or null. */
  readonly templateVersion: (id: string) => Effect.Effect<number | null, SqlError.SqlError>
  /** The request under this system's key, as it is on record: a repeat finds the first one, with its hash. */
  readonly open: (
    request: NewRequest
  ) => Effect.Effect<{ readonly view: RequestView; readonly contentHash: string }, SqlError.SqlError>
  /** The request that this system made under this key, or null. */
  readonly openedBefore: (
    system: string,
    idempotencyKey: string
  ) => Effect.Effect<RequestView | null, SqlError.SqlError>
  readonly find: (id: string) => Effect.Effect<RequestView | null, SqlError.SqlError>
  readonly list: (
    of: { readonly system: string | null; readonly status: RequestStatus | null; readonly limit: number }
  ) => Effect.Effect<ReadonlyArray<RequestView>, SqlError.SqlError>
  /**
   * Takes rows up to the line `until`. Of those that were taken before only broken ones count again. Null: the request takes
   * no more, or rows are missing before the first one.
   */
  readonly add: (
    id: string,
    lines: ReadonlyArray<Line>,
    until: number
  ) => Effect.Effect<Taken | null, SqlError.SqlError>
  /**
   * Takes the page of the request's source that follows the first `lines` rows and moves its cursor, both or neither. Null:
   * it was taken already, or the request was cancelled.
   */
  readonly takePage: (id: string, lines: number, page: SourcePage) => Effect.Effect<Taken | null, SqlError.SqlError>
  /** Requests whose source has rows left, those to be gone on with first. */
  readonly unfinished: (limit: number) => Effect.Effect<ReadonlyArray<Expansion>, SqlError.SqlError>
  /** The request's source, or null. */
  readonly sourceOf: (id: string) => Effect.Effect<Expansion | null, SqlError.SqlError>
  /** Notes why the source cannot be read behind the first `lines` rows; it is tried again after `waitMs`. */
  readonly restSource: (
    id: string,
    lines: number,
    reason: string,
    waitMs: number
  ) => Effect.Effect<void, SqlError.SqlError>
  readonly saveTable: (id: string, table: RecipientTable) => Effect.Effect<void, SqlError.SqlError>
  /** A registered table, or null. */
  readonly tableOf: (id: string) => Effect.Effect<RecipientTable | null, SqlError.SqlError>
  readonly faults: (
    id: string,
    after: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<RowFaultView>, SqlError.SqlError>
  /** Moves a request from one of these statuses; the status it has then. */
  readonly move: (
    id: string,
    from: ReadonlyArray<RequestStatus>,
    to: RequestStatus
  ) => Effect.Effect<RequestStatus | null, SqlError.SqlError>
  /** Failed ones become due again; how many. */
  readonly retry: (id: string, deadline: number) => Effect.Effect<number, SqlError.SqlError>
  readonly tally: (id: string) => Effect.Effect<Partial<Record<DeliveryStatus, number>>, SqlError.SqlError>
  /** Recipients still to be worked off for this request, and for those that go before it. */
  readonly ahead: (
    view: RequestView
  ) => Effect.Effect<{ readonly own: number; readonly others: number; readonly now: number }, SqlError.SqlError>
  readonly speed: (provider: string) => Effect.Effect<Speed, SqlError.SqlError>
}>() {}

/** Recipients that a prediction counts at most: beyond it is later than anybody asks for. */
const aheadMax = 5_000_000

/** The first twelve parameters of what takes rows. */
const rowsOf = (id: string, lines: ReadonlyArray<Line>, until: number, from: number): ReadonlyArray<unknown> => {
  const good = lines.filter((line) => line._tag === "Recipient")
  const bad = lines.filter((line) => line._tag === "Broken")
  return [
    id,
    requestCampaign(id),
    until,
    from,
    good.map(({ line }) => line),
    good.map(({ recipient }) => recipient.member ?? ""),
    good.map(({ recipient }) => recipient.address),
    good.map(({ recipient }) => JSON.stringify(recipient.parameters)),
    bad.map(({ line }) => line),
    bad.map(({ fault }) => fault.field),
    bad.map(({ fault }) => fault.reason),
    bad.map(({ key }) => key ?? null)
  ]
}

export const layer: Layer.Layer<RequestStore, never, SqlClient.SqlClient> = Layer.effect(
  RequestStore,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const query = <A extends object>(statement: string, parameters: ReadonlyArray<unknown>) =>
      sql.unsafe<A>(statement, parameters)
    const first = <A extends object>(statement: string, parameters: ReadonlyArray<unknown>) =>
      Effect.map(query<A>(statement, parameters), (rows) => rows[0] ?? null)
    const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))
    /** After what may make deliveries due. */
    const tellDispatchers = Effect.sync(() => nudge?.tell(dueTopic))

    return RequestStore.of({
      saveSystem: (system, keyHash) =>
        Effect.asVoid(
          query(text.saveSystem, [
            system.id,
            keyHash,
            system.templates,
            system.class,
            system.priority,
            system.tables,
            system.segments
          ])
        ),
      systemOf: (keyHash) => first<System>(text.systemOf, [keyHash]),
      saveTemplate: (id, content) =>
        Effect.map(
          first<{ readonly version: number }>(text.saveTemplate, [id, JSON.stringify(content)]),
          (row) => row?.version ?? 1
        ),
      templateVersion: (id) =>
        Effect.map(first<{ readonly version: number }>(text.templateVersion, [id]), (row) => row?.version ?? null),
      open: (request) =>
        first<RequestView & { readonly contentHash: string }>(text.open, [
          request.id,
          request.system,
          request.idempotencyKey,
          request.contentHash,
          request.mail,
          request.template,
          request.templateVersion,
          request.class,
          request.priority,
          JSON.stringify(request.parameters),
          request.sendAt,
          request.deadline,
          request.source === null ? null : JSON.stringify(request.source.of),
          request.source?.rows ?? null
        ]).pipe(
          // Another one's, made at the same time, is not in the statement's snapshot.
          Effect.flatMap((row) =>
            row === null
              ? first<RequestView & { readonly contentHash: string }>(text.byKey, [
                request.system,
                request.idempotencyKey
              ])
              : Effect.succeed(row)
          ),
          Effect.flatMap((row) => {
            if (row === null) return Effect.dieMessage("a request that was made is not there")
            const { contentHash, ...view } = row
            return Effect.succeed({ view, contentHash })
          })
        ),
      openedBefore: (system, idempotencyKey) => first<RequestView>(text.byKey, [system, idempotencyKey]),
      find: (id) => first<RequestView>(text.find, [id]),
      list: ({ limit, status, system }) => query<RequestView>(text.list, [system, status, limit]),
      add: (id, lines, until) =>
        Effect.zipLeft(first<Taken>(text.add, rowsOf(id, lines, until, lines[0]?.line ?? until + 1)), tellDispatchers),
      takePage: (id, before, { done, last, lines }) =>
        Effect.zipLeft(
          first<Taken>(text.takePage, [...rowsOf(id, lines, before + lines.length, before + 1), last, done]),
          tellDispatchers
        ),
      unfinished: (limit) => query<Expansion>(text.unfinished, [limit]),
      sourceOf: (id) => first<Expansion>(text.sourceOf, [id]),
      restSource: (id, lines, reason, waitMs) => Effect.asVoid(query(text.restSource, [id, lines, reason, waitMs])),
      saveTable: (id, table) => Effect.asVoid(query(text.saveTable, [id, JSON.stringify(table)])),
      tableOf: (id) =>
        Effect.map(
          first<{ readonly definition: RecipientTable }>(text.tableOf, [id]),
          (row) => row?.definition ?? null
        ),
      faults: (id, after, limit) =>
        Effect.map(
          query<Omit<RowFaultView, "key"> & { readonly key: string | null }>(text.faults, [id, after, limit]),
          (rows) => rows.map(({ key, ...fault }) => key === null ? fault : { ...fault, key })
        ),
      move: (id, from, to) =>
        Effect.map(
          first<{ readonly status: RequestStatus }>(text.move, [id, from, to]),
          (row) => row?.status ?? null
        ).pipe(Effect.zipLeft(tellDispatchers)),
      retry: (id, deadline) =>
        Effect.map(first<{ readonly n: number }>(text.retry, [id, deadline]), (row) => row?.n ?? 0).pipe(
          Effect.zipLeft(tellDispatchers)
        ),
      tally: (id) =>
        Effect.map(
          query<{ readonly status: DeliveryStatus; readonly n: number }>(text.tally, [id]),
          (rows) => Object.fromEntries(rows.map(({ n, status }) => [status, n]))
        ),
      ahead: (view) =>
        Effect.map(
          first<{ readonly own: number; readonly others: number; readonly now: number }>(text.ahead, [
            view.id,
            view.class,
            view.deadline,
            aheadMax
          ]),
          (row) => row ?? { own: 0, others: 0, now: 0 }
        ),
      speed: (provider) =>
        Effect.map(
          first<{ readonly speed: Speed }>("select speed from delivery_speed where provider = $1", [provider]),
          (row) => row?.speed ?? speedAtFirst
        )
    })
  })
)
