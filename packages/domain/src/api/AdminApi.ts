/** For operators: is it well, what has it done, do the books agree. */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { ProductId } from "../Identifier.ts"
import { CommonError } from "./ApiError.ts"

/** Products that one call of the audit checks. */
export const auditMax = 10_000

const Count = Schema.Number
/** Counts by name. */
const Counts = Schema.Record({ key: Schema.String, value: Count })

/** One thing that the shop needs. `detail` says what is wrong, or what there is to know. */
export const Component = Schema.Struct({ name: Schema.String, ok: Schema.Boolean, detail: Schema.String })
export type Component = typeof Component.Type

export const Health = Schema.Struct({
  ok: Schema.Boolean,
  version: Schema.String,
  /** The shop's instant, ms since the epoch, and whether a replay owns it. */
  now: Schema.Number,
  logical: Schema.Boolean,
  components: Schema.Array(Component)
})
export type Health = typeof Health.Type

/** What the shop has done, counted from the tables. */
export const Report = Schema.Struct({
  /** Events in the log, by type. */
  events: Counts,
  /** Tickets by what they are now: allocated, bought, waiting, lapsed, ... */
  tickets: Counts,
  /** What adds were answered, by outcome, as far back as outcomes are kept. */
  adds: Counts,
  /** Pieces allocated or sold beyond what was taken in and recorded as short; must be 0 (G1). */
  oversold: Count,
  products: Count,
  /** Pieces short because stock was found missing. */
  shortage: Count,
  members: Count,
  /** Campaigns by state. */
  campaigns: Counts,
  /** Runs by state. */
  runs: Counts,
  /** Members that runs have considered. */
  considered: Count,
  /** Members that were turned down, by reason. */
  rejected: Counts,
  /** Deliveries by channel, and by status. */
  deliveries: Counts,
  deliveriesByStatus: Counts,
  /** Recipient lists by status. */
  lists: Counts
})
export type Report = typeof Report.Type

/** Books of one product that do not agree. */
export const AuditFault = Schema.Struct({
  product: Schema.String,
  /** Which rule is broken, and the figures. */
  rule: Schema.String,
  expected: Schema.Number,
  found: Schema.Number
})
export type AuditFault = typeof AuditFault.Type

export const AdminApi = RpcGroup.make(
  /** Whether everything that the shop needs is there. */
  Rpc.make("admin.health", { success: Health, error: CommonError }),
  /** What the shop has done so far. Counts whole tables: for people, not for monitoring. */
  Rpc.make("admin.report", { success: Report, error: CommonError }),
  /**
   * Checks, from the rows alone, that the books of products agree: stock taken in + recorded shortage = on hand + open
   * allocations + sold. Goes through the products in the order of their ids from after `after`, at most `limit` of them and
   * fewer where they have very many lines; `next` is where to go on, null at the end. A page is of one instant, so that
   * traffic causes no false alarm.
   */
  Rpc.make("admin.audit", {
    payload: {
      after: Schema.optional(ProductId),
      limit: Schema.optional(Schema.Int.pipe(Schema.between(1, auditMax)))
    },
    success: Schema.Struct({
      /** Products checked, and cart lines read for it. */
      checked: Schema.Int,
      lines: Schema.Int,
      faults: Schema.Array(AuditFault),
      next: Schema.NullOr(Schema.String)
    }),
    error: CommonError
  })
)
