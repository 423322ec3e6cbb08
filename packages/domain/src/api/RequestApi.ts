/** Deliveries asked for by other systems (MAIL-1, MAIL-2): who may ask, for what, and what became of it. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { DeliveryClass, DeliveryStatus } from "../delivery/Delivery.ts"
import { RecipientSource, RecipientTable } from "../delivery/RecipientSource.ts"
import { limiting, RequestStatus } from "../delivery/Request.ts"
import { Instant, SourceId, Text } from "../Identifier.ts"
import { CampaignContent } from "../marketing/Campaign.ts"
import { Attributes } from "../marketing/Event.ts"
import { CommonError, ContentDiffers, Unknown } from "./ApiError.ts"

export { CampaignContent, RecipientSource, RequestStatus }

/** Rows of one request. */
const linesMax = 100_000_000
/** Rows of one call. */
export const rowsMax = 1_000
/** Faults and requests of one answer. */
export const requestPageMax = 500

const Name = SourceId
const Priority = Schema.Int.pipe(Schema.between(0, 1_000))
/** What `request.registerSystem` gave the system. */
const key = { key: Text(128) }
const request = { ...key, request: Text(64) }
const Limit = Schema.optional(Schema.Int.pipe(Schema.between(1, requestPageMax)))

const terms = {
  ...key,
  /** The caller's own name for this request: the same one again gets the same request. */
  idempotencyKey: Text(128).pipe(Schema.minLength(1)),
  /** The mail, across systems: nobody gets it twice at one address. */
  mail: Name,
  template: Name,
  /** Default: the system's. */
  class: Schema.optional(DeliveryClass),
  priority: Schema.optional(Priority),
  /** For all recipients; a recipient's own go before. */
  parameters: Schema.optional(Attributes),
  /** Nothing goes out before; default: now. */
  sendAt: Schema.optional(Instant),
  /** By then it is finished; what is not, is dropped with a reason. */
  deadline: Instant
}

/** Its recipients are taken from there, page by page, by the shop itself; no rows are sent then. */
const from = { from: Schema.optional(RecipientSource) }

/** Number of a row, from 1. */
const Line = Schema.Int.pipe(Schema.between(0, linesMax))

/** One recipient as a row: `member` or `address`; other columns are parameters. What is wrong with it is told by its line. */
const Row = Schema.Record({ key: Text(64), value: Schema.Unknown })
const Rows = Schema.Array(Row).pipe(Schema.maxItems(rowsMax))

/** `key`: of a row of a table. */
export const RowFaultView = Schema.Struct({
  line: Schema.Int,
  field: Schema.String,
  reason: Schema.String,
  key: Schema.optional(Schema.String)
})
export type RowFaultView = typeof RowFaultView.Type

/** Instants in ms since the epoch. `lines` = recipients + repeated + broken. */
export const RequestView = Schema.Struct({
  id: Schema.String,
  system: Schema.String,
  mail: Schema.String,
  template: Schema.String,
  class: DeliveryClass,
  priority: Schema.Int,
  status: RequestStatus,
  sendAt: Schema.Number,
  deadline: Schema.Number,
  createdAt: Schema.Number,
  /** Rows taken so far; the next one has the number after it. */
  lines: Schema.Int,
  recipients: Schema.Int,
  /** Rows whose address (or member) the mail has already, in this request or another. */
  repeated: Schema.Int,
  broken: Schema.Int,
  /** What its recipients are taken from; null: its rows come in calls. */
  source: Schema.NullOr(Schema.Struct({
    kind: Schema.Literal("table", "segment"),
    table: Schema.NullOr(Schema.String),
    /** Rows that it had when the request was made; `lines` of them are taken. */
    rows: Schema.Int,
    /** Whether all are taken. */
    done: Schema.Boolean,
    /** Why it does not go on; it is tried again. */
    fault: Schema.NullOr(Schema.String)
  }))
})
export type RequestView = typeof RequestView.Type

export const Added = Schema.Struct({
  /** Rows taken so far, this call's included: go on with the next one. */
  lines: Schema.Int,
  added: Schema.Int,
  repeated: Schema.Int,
  faults: Schema.Array(RowFaultView)
})

/** When it will be through as things stand, and whether that is in time (G13). */
export const OutlookView = Schema.Struct({
  finishAt: Schema.Number,
  startBy: Schema.Number,
  makesDeadline: Schema.Boolean,
  /** What it mostly waits for. */
  limitedBy: Schema.optional(Schema.Literal(...limiting))
})

const Submitted = Schema.Struct({ request: RequestView, outlook: OutlookView })
const Changed = Schema.Struct({ status: RequestStatus, deliveries: Schema.Int })
const errors = Schema.Union(CommonError, Unknown)

export const RequestApi = RpcGroup.make(
  /** Makes a system known, or changes it; its key is told this once, and the one before is void. */
  Rpc.make("request.registerSystem", {
    payload: {
      system: Name,
      templates: Schema.Array(Name).pipe(Schema.maxItems(1_000)),
      class: Schema.optional(DeliveryClass),
      priority: Schema.optional(Priority),
      /** Registered tables of which it may take recipients; default: none. */
      tables: Schema.optional(Schema.Array(Name).pipe(Schema.maxItems(1_000))),
      /** Whether it may take them from segments of the members; default: no. */
      segments: Schema.optional(Schema.Boolean)
    },
    success: Schema.Struct({ system: Schema.String, key: Schema.String }),
    error: CommonError
  }),
  /**
   * Makes a table or view known of which requests may take recipients, or changes it for requests made from then on. It lies
   * in a schema of its own, not among the shop's tables.
   */
  Rpc.make("request.registerTable", {
    payload: { table: Name, ...RecipientTable.fields, parameters: Schema.optional(RecipientTable.fields.parameters) },
    success: Schema.Struct({ table: Schema.String }),
    error: CommonError
  }),
  /** Keeps a template; with other content it gets a new version, which requests made from then on use. */
  Rpc.make("request.saveTemplate", {
    payload: { template: Name, content: CampaignContent },
    success: Schema.Struct({ template: Schema.String, version: Schema.Int }),
    error: CommonError
  }),
  /** Begins a request to which recipients are added in several calls; nothing goes out before it is submitted. */
  Rpc.make("request.open", {
    payload: { ...terms, ...from },
    success: RequestView,
    error: Schema.Union(CommonError, ContentDiffers, Unknown)
  }),
  /**
   * Adds rows; the first one has the number `firstLine`. Rows that are there already are passed over, so that a call can be
   * repeated and a stream resumed, but for broken ones: those are taken anew.
   */
  Rpc.make("request.add", {
    payload: { ...request, firstLine: Schema.Int.pipe(Schema.between(1, linesMax)), rows: Rows },
    success: Added,
    error: errors
  }),
  /** Lets a request go, and says when it will be through. */
  Rpc.make("request.submit", { payload: request, success: Submitted, error: errors }),
  /** All of it in one call, for few recipients, or for those of a table or segment. */
  Rpc.make("request.send", {
    payload: { ...terms, ...from, recipients: Schema.optional(Rows) },
    success: Schema.Struct({ ...Submitted.fields, faults: Schema.Array(RowFaultView) }),
    error: Schema.Union(CommonError, ContentDiffers, Unknown)
  }),
  /** A request, what became of its recipients, and when it will be through. */
  Rpc.make("request.read", {
    payload: { request: Text(64) },
    success: Schema.Struct({
      ...Submitted.fields,
      deliveries: Schema.Record({ key: DeliveryStatus, value: Schema.Int })
    }),
    error: errors
  }),
  /** Requests, the newest first. */
  Rpc.make("request.list", {
    payload: { system: Schema.optional(Name), status: Schema.optional(RequestStatus), limit: Limit },
    success: Schema.Array(RequestView),
    error: CommonError
  }),
  /** Rows that are broken, in their order, from after the line `after`. */
  Rpc.make("request.faults", {
    payload: { request: Text(64), after: Schema.optional(Line), limit: Limit },
    success: Schema.Array(RowFaultView),
    error: errors
  }),
  /**
   * Looks broken rows of the request's table up again by their keys, from after the line `after`, some at a time; `last` is
   * the line to go on after, null when these were the last.
   */
  Rpc.make("request.mend", {
    payload: { ...request, after: Schema.optional(Line) },
    success: Schema.Struct({ mended: Schema.Int, broken: Schema.Int, last: Schema.NullOr(Schema.Int) }),
    error: errors
  }),
  /** Nothing more of it starts until it is resumed; what is being sent is. */
  Rpc.make("request.pause", { payload: request, success: Changed, error: errors }),
  Rpc.make("request.resume", { payload: request, success: Changed, error: errors }),
  /** For good; `deliveries`: how many were withdrawn by it. What is being sent is. */
  Rpc.make("request.cancel", { payload: request, success: Changed, error: errors }),
  /** Those that failed, and only those, become due again until the deadline given. */
  Rpc.make("request.retry", { payload: { ...request, deadline: Instant }, success: Changed, error: errors })
)
