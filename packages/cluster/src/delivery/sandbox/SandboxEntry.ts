/**
 * The entries of the sandbox's record: what happened, in order. The sandbox's whole state is a fold over them, so the
 * record of a dead process tells as much as a living one. Only the sandbox writes them.
 *
 * A request is a `start`, at most one effect (`list` or `send`) and an `end`. A start without an end before the next
 * `opened` was under way when the process died: its answer never left.
 */
import { Schema } from "effect"
import { Fault, Operation, Reach, SandboxSettings } from "./SandboxSettings.ts"

/** Number of this format; a record of another one is refused. */
export const recordFormat = 1

/** ms since the epoch with fractions; never runs backwards within a record. */
const at = Schema.Number
/** Number of the request, rising from 1. */
const n = Schema.Int

export const Opened = Schema.Struct({ t: Schema.Literal("opened"), at, format: Schema.Literal(recordFormat) })
export const Configured = Schema.Struct({ t: Schema.Literal("settings"), at, settings: SandboxSettings })
export const Reset = Schema.Struct({ t: Schema.Literal("reset"), at })

/** Which limit a request broke, and when to come back. */
export const Breach = Schema.Struct({
  limit: Schema.Literal("concurrency", "rate", "messages", "day"),
  of: Reach,
  retryAfterMs: Schema.Number
})
export type Breach = typeof Breach.Type

/** A request arrived; with a breach it is refused and counts as a violation. `fault`: what is going to be done to it. */
export const Started = Schema.Struct({
  t: Schema.Literal("start"),
  n,
  at,
  op: Operation,
  /** Of a send: recipients of its list, when it is not a repeat that gets the first answer. */
  messages: Schema.optional(Schema.Int),
  breach: Schema.optional(Breach),
  fault: Schema.optional(Fault)
})
export type Started = typeof Started.Type

/** The request is over for the provider. `status`: that of HTTP; 0: no answer was given (`cut`, `half-open`). */
export const Ended = Schema.Struct({ t: Schema.Literal("end"), n, at, status: Schema.Int })
export type Ended = typeof Ended.Type

/** deliveryId, address and, if it is not the list's, mailKey. */
const Row = Schema.Tuple(Schema.String, Schema.String, Schema.optionalElement(Schema.String))

/** A list was accepted; the upload's id is `u-` and the request's number. `print`: a fingerprint of the content. */
export const ListAccepted = Schema.Struct({
  t: Schema.Literal("list"),
  n,
  at,
  listId: Schema.String,
  channel: Schema.String,
  mailKey: Schema.String,
  key: Schema.String,
  print: Schema.Int,
  rows: Schema.Array(Row)
})
export type ListAccepted = typeof ListAccepted.Type

export const Fate = Schema.Literal("completes", "fails", "never-completes")

/** A send was accepted; its id is `s-` and the request's number. `bounced`, `rejected`: positions in the list. */
export const SendAccepted = Schema.Struct({
  t: Schema.Literal("send"),
  n,
  at,
  uploadId: Schema.String,
  key: Schema.String,
  fate: Fate,
  /** 2 when the provider carries it out twice by its own fault. */
  copies: Schema.Literal(1, 2),
  baseMs: Schema.Number,
  perRecipientMs: Schema.Number,
  bounced: Schema.Array(Schema.Int),
  rejected: Schema.Array(Schema.Int)
})
export type SendAccepted = typeof SendAccepted.Type

export const SandboxEntry = Schema.Union(Opened, Configured, Reset, Started, Ended, ListAccepted, SendAccepted)
export type SandboxEntry = typeof SandboxEntry.Type
