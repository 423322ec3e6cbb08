/** The dispatcher's store on PostgreSQL. One statement per method: each stands or falls as a whole. */
import { SqlClient, type SqlError } from "@effect/sql"
import { type ListState, type ListStatus, mayHaveGone } from "@hikyaku/domain/delivery/List"
import { Effect, Layer, Option } from "effect"
import { dueTopic, Nudge, owedTopic } from "../actor/Nudge.ts"
import { within } from "../sql/PreparedClient.ts"
import { isRepeatable, repeatsMax } from "../sql/SqlState.ts"
import {
  DeliveryStore,
  doubtOf,
  type DueGroup,
  expiriesMax,
  type Fact,
  factsMax,
  groupsMax,
  heldMax,
  type ListChange,
  type ListedDelivery,
  listsMax,
  type MadeList,
  type OpenList,
  StoreFault
} from "./DeliveryStore.ts"
import * as text from "./DeliveryStoreSql.ts"

interface ListRow extends Omit<OpenList, "state"> {
  readonly status: ListStatus
  readonly attempt: number
  readonly doubtful: "upload" | "send" | null
  readonly upload_id: string | null
  readonly send_id: string | null
  readonly reason: string | null
}

/** All that a look answers; null where there is nothing of the kind. */
interface OverviewRow {
  readonly now: number
  readonly wait: number | null
  readonly awaits: boolean
  readonly groups: ReadonlyArray<DueGroup> | null
  readonly lists: ReadonlyArray<ListRow & { readonly ready: boolean; readonly paused: boolean }> | null
}

/** A delivery of a list just made, or the one row that says that there is none. */
interface MadeRow extends Omit<ListedDelivery, "delivery"> {
  readonly delivery: string | null
  readonly refused: number
  readonly deadline: number
  readonly since: number
  readonly priority: number
}

const stateOf = (row: ListRow): ListState => {
  const { attempt, doubtful, reason, send_id: sendId, status, upload_id: uploadId } = row
  switch (status) {
    case "queued":
    case "uploading":
    case "completed":
    case "expired":
      return { status, attempt }
    case "failed":
      return { status, attempt, reason: reason ?? "" }
    case "uploaded":
    case "sending":
      return { status, attempt, uploadId: uploadId ?? "", ...(doubtful === "send" && { inDoubt: true }) }
    case "sent":
      return { status, attempt, uploadId: uploadId ?? "", sendId: sendId ?? "" }
    case "unknown":
      return doubtful === "send"
        ? { status, attempt, of: "send", uploadId: uploadId ?? "" }
        : { status, attempt, of: "upload" }
  }
}

const openList = (row: ListRow): OpenList => ({
  id: row.id,
  campaign: row.campaign,
  version: row.version,
  class: row.class,
  channel: row.channel,
  state: stateOf(row),
  priority: row.priority,
  recipients: row.recipients,
  polls: row.polls,
  since: row.since,
  deadline: row.deadline,
  sendAgeMs: row.sendAgeMs ?? null
})

const listed = (row: ListedDelivery): ListedDelivery => ({ ...row, parameters: row.parameters ?? {} })
/** By code units, as every other order of ids here: the database's collation is not ours. */
const byId = (a: ListedDelivery, b: ListedDelivery) => a.delivery < b.delivery ? -1 : 1

/**
 * How long a statement may take, ms: many times what the longest of them takes on a slow machine. After that the connection is
 * given up, so that a turn is held up no longer than this; what was written or not is found out as after any fault.
 */
export const statementMax = 15_000

const fault = (cause: SqlError.SqlError) =>
  new StoreFault({ reason: cause.cause instanceof Error ? cause.cause.message : cause.message })

/** A foreign text as the store can take it: what it cannot take would be written again for ever. */
const storable = (text: string): string => text.replaceAll("\u0000", "\ufffd").toWellFormed()

/** Parameters of a list's change, in the order in which `changeSql` names them. */
const changeParameters = ({ from, id, to, waitMs }: ListChange): ReadonlyArray<unknown> => [
  id,
  from.attempt,
  from.status,
  from.status === "unknown" ? from.of : doubtOf(from),
  to.status,
  // Of a send that is repeated, that the one before it is in doubt.
  to.status === "unknown" ? to.of : mayHaveGone(to) ? "send" : null,
  "uploadId" in to ? to.uploadId : null,
  "sendId" in to ? to.sendId : null,
  "reason" in to ? storable(to.reason) : null,
  waitMs ?? null
]

export const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const nudge = Option.getOrNull(yield* Effect.serviceOption(Nudge))
  // Repeated after a deadlock: two dispatchers of an account, while one takes over from the other, lock the same lists.
  const unbounded = <A extends object>(statement: string, parameters: ReadonlyArray<unknown>) =>
    sql.unsafe<A>(statement, parameters).pipe(
      Effect.retry({ times: repeatsMax, while: ({ cause }) => isRepeatable(cause) }),
      Effect.mapError(fault)
    )
  const query = <A extends object>(statement: string, parameters: ReadonlyArray<unknown>) =>
    unbounded<A>(within(statementMax, statement), parameters)
  const tellOwed = Effect.sync(() => nudge?.tell(owedTopic))
  const count = (rows: ReadonlyArray<{ readonly n: number }>) => rows[0]?.n ?? 0

  return DeliveryStore.of({
    overview: (by, channels, listSize) =>
      Effect.map(
        query<OverviewRow>(text.overview, [by.provider, by.epoch, channels, listSize, groupsMax, listsMax]),
        ([row]) => ({
          groups: row?.groups ?? [],
          lists: (row?.lists ?? []).filter(({ ready }) => ready).map(openList),
          waiting: (row?.lists ?? []).filter(({ paused, ready }) => !ready && !paused).map(openList),
          paused: (row?.lists ?? []).filter(({ paused }) => paused).map(openList),
          now: row?.now ?? 0,
          wakeInMs: row?.wait ?? null,
          awaitsClock: row?.awaits ?? false
        })
      ),

    makeList: (by, id, key, listSize) =>
      Effect.map(
        query<MadeRow>(
          text.makeList,
          [by.provider, by.owner, by.epoch, id, key.campaign, key.version, key.class, key.channel, listSize]
        ),
        (rows): MadeList => {
          const first = rows[0]
          const refused = first?.refused ?? 0
          if (first === undefined || first.delivery === null) return { list: null, deliveries: [], refused }
          const { deadline, priority, since } = first
          const list: OpenList = {
            ...key,
            id,
            state: { status: "queued", attempt: 0 },
            priority,
            recipients: rows.length,
            polls: 0,
            since,
            deadline
          }
          const deliveries = rows.flatMap(
            (
              { deadline: _, delivery, priority: __, refused: ___, since: ____, ...row }
            ): ReadonlyArray<ListedDelivery> => delivery === null ? [] : [listed({ ...row, delivery })]
          )
          return { list, deliveries: deliveries.toSorted(byId), refused }
        }
      ),

    deliveries: (list) =>
      Effect.map(query<ListedDelivery>(text.deliveries, [list]), (rows) => rows.map(listed).toSorted(byId)),

    dropFromList: (list, dropped) =>
      Effect.asVoid(query(text.dropFromList, [
        list,
        dropped.map((one) => one.delivery),
        dropped.map((one) => storable(one.reason))
      ])).pipe(Effect.zipLeft(tellOwed)),

    begin: (by, lists) => {
      // In the order in which a claim locks them.
      const ordered = lists.toSorted((a, b) => a.id < b.id ? -1 : 1)
      return Effect.map(
        query<{ readonly id: string }>(text.begin, [
          by.epoch,
          ordered.map((list) => list.id),
          ordered.map((list) => list.state.status),
          ordered.map((list) => list.state.attempt)
        ]),
        (rows) => new Set(rows.map((row) => row.id))
      )
    },

    change: (change) => Effect.map(query(text.change, changeParameters(change)), (rows) => rows.length > 0),

    close: (change, remainder) =>
      Effect.map(
        query(text.close, [...changeParameters(change), remainder.status, storable(remainder.reason)]),
        (rows) => rows.length > 0
      ).pipe(Effect.zipLeft(tellOwed)),

    expireList: (by, list) =>
      Effect.map(
        query(text.expireList, [list.id, by.epoch, list.state.status, list.state.attempt]),
        (rows) => rows.length > 0
      ).pipe(Effect.zipLeft(tellOwed)),

    expireDue: (channels) => Effect.map(query<{ readonly n: number }>(text.expireDue, [channels, expiriesMax]), count),

    record: (list, results) =>
      Effect.asVoid(query(text.record, [
        list,
        // Of two results for one delivery the first stands.
        JSON.stringify(Object.fromEntries(
          results.toReversed().map(({ at, deliveryId, outcome, reason }) => [
            storable(deliveryId),
            [outcome, at, reason === undefined ? null : storable(reason)]
          ])
        ))
      ])).pipe(Effect.zipLeft(tellOwed)),

    postpone: (list, waitMs) => Effect.asVoid(query(text.postpone, [list, waitMs])),

    claim: (by, settleMs, busy) =>
      Effect.map(query(text.claim, [by.provider, by.owner, by.epoch, settleMs, busy]), (rows) => rows.length),

    sweepCancelled: (request) => {
      // Of a request that is named it withdraws all that it asked for, a million mails: no turn waits for that.
      const sweep = request === null ? query : unbounded
      return Effect.map(sweep<{ readonly n: number }>(text.sweepCancelled, [request]), count)
    },

    noteSpeed: (provider, speed) => Effect.asVoid(query(text.noteSpeed, [provider, JSON.stringify(speed)])),

    statusOf: (lists) => query(text.statusOf, [lists]),

    held: (channels) => query(text.held, [channels, heldMax]),

    released: (verdicts) =>
      Effect.asVoid(query(text.released, [
        verdicts.map((verdict) => verdict.delivery),
        verdicts.map((verdict) => verdict.dropped)
      ])).pipe(Effect.zipLeft(Effect.sync(() => nudge?.tell(dueTopic)))),

    facts: query<Fact>(text.facts, [factsMax]),

    relayed: (facts) => {
      const of = (tag: Fact["_tag"]) => facts.filter(({ fact }) => fact._tag === tag)
      const ids = (some: typeof facts) => some.map(({ fact }) => fact.delivery)
      const applied = (some: typeof facts) => ids(some.filter((one) => one.applied))
      const [sent, refunds] = [of("Sent"), of("Refund")]
      return Effect.asVoid(query(text.relayed, [ids(sent), applied(sent), ids(refunds), applied(refunds)]))
    },

    backlog: (bound) => Effect.map(query<{ readonly n: number }>(text.backlog, [bound]), count)
  })
})

export const layer: Layer.Layer<DeliveryStore, never, SqlClient.SqlClient> = Layer.effect(DeliveryStore, make)
