/**
 * What providers report about messages that they took: delivered, opened, clicked, bounced, complained, unsubscribed. Addresses
 * are suppressed (`Suppressions`), and what concerns a delivery of ours becomes a marketing event, from which the Member actor
 * learns it. Idempotent by the provider's account and event id: both can be given again, whole or in part.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { Instant, MemberId, Text } from "@hikyaku/domain/Identifier"
import { Channel, type Event } from "@hikyaku/domain/marketing/Event"
import { Context, Effect, Layer, Schema } from "effect"
import { EventLog } from "../marketing/EventLog.ts"
import { type AddressReport, Suppressions } from "./Suppressions.ts"

/** The store did not answer; nothing or part of it was done, and the same reports can be given again. */
export class FeedbackFault extends Schema.TaggedError<FeedbackFault>()("FeedbackFault", { reason: Schema.String }) {}

const common = {
  /** Unique within the provider's account. */
  id: Text(100).pipe(Schema.minLength(1)),
  /** When it happened, ms since the epoch. */
  at: Instant,
  /** Our id of the message, as it was given to the provider. */
  delivery: Schema.optional(Text(128)),
  /** The address concerned; that of the delivery where it is left out. */
  address: Schema.optional(Text(4_096).pipe(Schema.minLength(1))),
  reason: Schema.optional(Text(500))
}

export const FeedbackReport = Schema.Union(
  Schema.Struct({ ...common, type: Schema.Literal("delivered", "opened", "clicked", "complained", "unsubscribed") }),
  Schema.Struct({ ...common, type: Schema.Literal("bounced"), bounce: Schema.Literal("hard", "soft") })
)
export type FeedbackReport = typeof FeedbackReport.Type

/** Most reports in one call. */
export const reportsMax = 1_000

/** What became of reports: events for the log, addresses that are suppressed now, reports that named nothing of ours. */
export interface Taken {
  readonly events: number
  readonly suppressed: number
  readonly ignored: number
}

interface Delivery {
  readonly id: string
  readonly member: string
  readonly channel: Channel
  readonly address: string | null
}

export class Feedback extends Context.Tag("@hikyaku/cluster/delivery/Feedback")<Feedback, {
  /** `channel`: of addresses that come without a delivery. */
  readonly take: (
    account: string,
    channel: Channel,
    reports: ReadonlyArray<FeedbackReport>
  ) => Effect.Effect<Taken, FeedbackFault>
}>() {}

const kindOf = (report: FeedbackReport): AddressReport["kind"] | null =>
  report.type === "bounced" ? report.bounce : report.type === "complained" ? "complaint" : null

const isMember = Schema.is(MemberId)
const isChannel = Schema.is(Channel)

export const layer: Layer.Layer<Feedback, never, SqlClient.SqlClient | EventLog | Suppressions> = Layer.effect(
  Feedback,
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const log = yield* EventLog
    const suppressions = yield* Suppressions

    const find = (ids: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<Delivery>, SqlError.SqlError> =>
      ids.length === 0
        ? Effect.succeed([])
        : sql<Delivery>`select id, member, channel, address from delivery where id in ${sql.in([...new Set(ids)])}`

    return Feedback.of({
      take: (account, channel, reports) =>
        Effect.gen(function*() {
          const rows = yield* find(reports.flatMap((report) => report.delivery ?? []))
          const deliveries = new Map(rows.map((row) => [row.id, row]))
          const about = reports.map((report) => {
            const delivery = report.delivery === undefined ? undefined : deliveries.get(report.delivery)
            const on = delivery?.channel ?? channel
            // A mail's delivery knows its address better than the report; those of other channels name the member instead.
            const address = on === "mail" ? delivery?.address ?? report.address : report.address
            return { report, delivery, address, channel: on }
          })
          const addressed = about.flatMap(({ address, channel: on, report }): ReadonlyArray<AddressReport> => {
            const kind = kindOf(report)
            return kind === null || address === undefined ? [] : [{
              key: `${account}/${report.id}`,
              channel: on,
              address,
              kind,
              reason: (report.reason ?? report.type).slice(0, 200).toWellFormed(),
              at: report.at
            }]
          })
          const suppressed = yield* suppressions.report(addressed)
          const barred = yield* isBarred(about)
          const events = about.flatMap(({ delivery, report }): ReadonlyArray<Event> => {
            if (delivery === undefined || !isMember(delivery.member) || !isChannel(delivery.channel)) return []
            // The member hears of a soft bounce only when it was one too many.
            if (report.type === "bounced" && report.bounce === "soft" && !barred.has(report.id)) return []
            return [{
              source: `provider.${account}`,
              id: report.id,
              at: report.at,
              happening: {
                _tag: "MessageFeedback",
                member: delivery.member,
                delivery: delivery.id,
                channel: delivery.channel,
                feedback: report.type
              }
            }]
          })
          if (events.length > 0) yield* log.append(events)
          const ignored = about.filter(({ address, delivery }) =>
            delivery === undefined && address === undefined
          ).length
          return { events: events.length, suppressed: suppressed.size, ignored }
        }).pipe(
          Effect.catchTags({
            SqlError: (error) => new FeedbackFault({ reason: error.message }),
            EventLogUnavailable: ({ reason }) => new FeedbackFault({ reason }),
            SuppressionFault: ({ reason }) => new FeedbackFault({ reason })
          })
        )
    })

    /** Reports of soft bounces whose address is suppressed by now: asked anew, so that a repeat comes to the same. */
    function isBarred(
      about: ReadonlyArray<
        { readonly report: FeedbackReport; readonly address: string | undefined; readonly channel: Channel }
      >
    ) {
      return Effect.gen(function*() {
        const ids = new Set<string>()
        for (const on of new Set(about.map((one) => one.channel))) {
          const soft = about.filter(({ channel: own, report }) =>
            own === on && report.type === "bounced" && report.bounce === "soft"
          )
          const found = yield* suppressions.suppressed(on, soft.flatMap(({ address }) => address ?? []))
          for (const { address, report } of soft) if (address !== undefined && found.has(address)) ids.add(report.id)
        }
        return ids
      })
    }
  })
)
