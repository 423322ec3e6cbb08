/** What the sandbox testifies about its clients: the shapes of its report. Times are ms, instants ms since the epoch. */
import { Schema } from "effect"
import { Breach } from "./SandboxEntry.ts"
import { Bounds, Fault, MessageBounds, Operation } from "./SandboxSettings.ts"

const perReach = <A, I>(value: Schema.Schema<A, I>) =>
  Schema.Struct({ total: value, upload: value, send: value, status: value, history: value })

const Counts = perReach(Schema.Number)
export type Counts = typeof Counts.Type

/** One request as the sandbox saw it. */
export const RequestSeen = Schema.Struct({
  n: Schema.Number,
  op: Operation,
  startedAt: Schema.Number,
  /** null: still under way, or under way when the process died. */
  endedAt: Schema.NullOr(Schema.Number),
  /** HTTP status; 0: no answer was given; null as above. */
  status: Schema.NullOr(Schema.Number),
  breach: Schema.optional(Breach),
  fault: Schema.optional(Fault)
})
export type RequestSeen = typeof RequestSeen.Type

/** How often one address was sent one mail. */
export const MailSeen = Schema.Struct({
  mailKey: Schema.String,
  address: Schema.String,
  /** Times it was sent, the provider's own doubles included. */
  copies: Schema.Number,
  /** Of these, doubles that were injected. */
  injected: Schema.Number
})
export type MailSeen = typeof MailSeen.Type

export const SandboxReport = Schema.Struct({
  /** Start of what is reported: the first start of the sandbox or the last reset. */
  since: Schema.Number,
  /** Processes that have written this record since then. */
  processes: Schema.Number,
  limits: Schema.Struct({ concurrency: Bounds, perSecond: Bounds, messages: MessageBounds }),
  /** Requests that arrived, refused ones included. */
  requests: Counts,
  underWay: Counts,
  /** Most requests under way at one time, the one that was refused included: above the limit means violated. */
  peakConcurrency: Counts,
  /** Most starts within one second, the one that was refused included. */
  peakPerSecond: Counts,
  /** Most messages of sends that arrived within one second and one day, the one that was refused included. */
  peakMessages: Schema.Struct({ perSecond: Schema.Number, perDay: Schema.Number }),
  /** Requests that broke a limit; `of` counts by the limit that was found broken first. */
  violations: Schema.Struct({
    total: Schema.Number,
    concurrency: Schema.Number,
    rate: Schema.Number,
    /** Sends whose messages were too many for the second, or for the day. */
    messages: Schema.Number,
    day: Schema.Number,
    of: Counts
  }),
  /** 429s: `genuine` equals the violations answered, `injected` are ours. */
  throttled: Schema.Struct({ genuine: Schema.Number, injected: Schema.Number }),
  /** Requests to which a fault was done, by fault. */
  faults: Schema.Record({ key: Schema.String, value: Schema.Number }),
  /** Requests ended, by HTTP status; `0`: no answer was given. */
  answers: Schema.Record({ key: Schema.String, value: Schema.Number }),
  /** Requests that were under way when a process died. */
  cutByDeath: Schema.Number,
  lists: Schema.Number,
  sends: Schema.Number,
  /** Recipients of accepted lists. */
  uploaded: Schema.Number,
  /** Distinct pairs of mail and address that were sent. */
  mailed: Schema.Number,
  duplicates: Schema.Struct({
    /** Messages beyond the first to one address of one mail, the provider's own doubles not counted. */
    total: Schema.Number,
    /** Pairs of mail and address that this struck. */
    pairs: Schema.Number,
    /** Doubles that were injected. */
    injected: Schema.Number,
    /** The first of the pairs struck, at most `duplicatesShownMax`. */
    shown: Schema.Array(MailSeen)
  }),
  /**
   * Time under way divided by time possible, over the spans with any request under way; null without a limit. Refused
   * requests take no time.
   */
  utilisation: perReach(Schema.NullOr(Schema.Number)),
  /** Sum over the requests of their time under way. */
  requestMs: Counts,
  /** Time with at least one request under way. */
  busyMs: Counts,
  firstStartAt: Schema.NullOr(Schema.Number),
  lastEndAt: Schema.NullOr(Schema.Number)
})
export type SandboxReport = typeof SandboxReport.Type

/** Most duplicates named in the report itself; the recipients' pages have them all. */
export const duplicatesShownMax = 100
/** Most rows in a page of requests or recipients. */
export const reportPageMax = 10_000
/** Latest requests that can be paged through; older ones are in the record alone. */
export const requestsKeptMax = 200_000
