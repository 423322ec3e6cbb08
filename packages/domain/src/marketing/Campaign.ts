/**
 * A campaign as marketers define it: one JSON (or YAML) document. Plain values only, the same stored and in memory, so that
 * versions can be compared and rolled back. What it means beyond its form is checked by `CampaignValidation`.
 *
 * Absent and zero differ: no `caps` leaves only the shop's own, a cap of count 0 forbids; no `runsPerDay` or `budgetPerDay`
 * is no limit, 0 allows nothing; no `cooldown` is none.
 */
import { JSONSchema, Schema } from "effect"
import { MemberId, Text } from "../Identifier.ts"
import { DecisionTable } from "./DecisionTable.ts"
import { Channel } from "./Event.ts"
import { CapRule, MessageClass, windowMaxMs } from "./FrequencyCap.ts"
import { capRulesMax } from "./Member.ts"
import { sourceLengthMax } from "./Rule.ts"
import { Filter } from "./RuleFilter.ts"
import { Segment } from "./Segment.ts"
import { DailyHours, deadlineMaxMs, TimePolicy } from "./SendTime.ts"

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })
const NonEmptyText = (max: number) => Text(max).pipe(Schema.minLength(1))
const Share = Schema.Number.pipe(Schema.between(0, 1))
const Ms = Schema.Int.pipe(Schema.between(0, windowMaxMs))

/** Shorter than the ids of campaigns in general: the ids of its runs begin with it. */
export const DefinitionId = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/, {
    message: () => "1 to 36 of A-Z a-z 0-9 . _ - beginning with a letter or digit"
  }),
  Schema.annotations({ identifier: "DefinitionId" })
)

/**
 * How long after the event the campaign fires, ms; default at once. The segment and its exclusions are asked when it fires,
 * not when the event happened: whoever bought meanwhile can be left out of a reminder of their cart.
 */
const DelayMs = Schema.Int.pipe(Schema.between(0, deadlineMaxMs))

/** An event's type and, if given, a condition in CEL over `event`, `product` and `now`. */
export const EventTrigger = Schema.TaggedStruct("Event", {
  /** `PriceChanged`, `Restocked`, ..., `custom.NAME`. */
  event: NonEmptyText(80),
  when: optional(Text(sourceLengthMax)),
  delayMs: optional(DelayMs)
})
/** An event's type and a decision table over it, whose actions become the run's parameters. */
export const TableTrigger = Schema.TaggedStruct("Table", {
  event: NonEmptyText(80),
  table: DecisionTable,
  delayMs: optional(DelayMs)
})
/** A schedule: five cron fields by the clock of the shop's zone, or of the one given. */
export const CronTrigger = Schema.TaggedStruct("Cron", {
  cron: NonEmptyText(200),
  timeZone: optional(NonEmptyText(64))
})
export const Trigger = Schema.Union(EventTrigger, TableTrigger, CronTrigger).annotations({ identifier: "Trigger" })
export type Trigger = typeof Trigger.Type

/**
 * A day (`2025-06-01`), a local time (`2025-06-01T09:00`, by the shop's clock) or an instant with its offset. As an end a day
 * is included.
 */
export const When = Schema.String.pipe(
  Schema.pattern(/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?$/, {
    message: () => "a day 2025-06-01, a time 2025-06-01T09:00 or an instant 2025-06-01T09:00:00+09:00"
  }),
  Schema.annotations({ identifier: "When" })
)

/** Templates in Liquid. */
const Liquid = (max: number) => NonEmptyText(max)
export const MailContent = Schema.Struct({ subject: Liquid(1_000), html: Liquid(200_000), text: Liquid(100_000) })
/** The template's result is the JSON of a LINE message, of a push payload. */
export const LineContent = Schema.Struct({ message: Liquid(50_000) })
export const PushContent = Schema.Struct({ payload: Liquid(4_000) })
export const OnsiteContent = Schema.Struct({ title: Liquid(500), body: Liquid(10_000) })
/** Templates by channel. */
export const Messages = Schema.Struct({
  mail: optional(MailContent),
  line: optional(LineContent),
  push: optional(PushContent),
  onsite: optional(OnsiteContent)
}).annotations({ identifier: "Messages" })
export type Messages = typeof Messages.Type
/** Templates by language; members whose language is not there get the first one given, Japanese before English. */
export const CampaignContent = Schema.Struct({ ja: optional(Messages), en: optional(Messages) }).annotations({
  identifier: "CampaignContent"
})
export type CampaignContent = typeof CampaignContent.Type

/** The list whose members are the debug members. */
export const debugList = "debug"

export const CampaignDefinition = Schema.Struct({
  id: DefinitionId,
  name: NonEmptyText(200),
  description: optional(Text(2_000)),
  /** `draft`: kept and checked, not effective. Default: `active`. */
  status: optional(Schema.Literal("draft", "active")),
  trigger: Trigger,
  /** Outside it nothing fires; both ends may be left open. */
  period: optional(Schema.Struct({ from: optional(When), until: optional(When) })),
  /** `transactional` is exempt from the shop's caps: for what members are owed, not for marketing. */
  class: MessageClass,
  /** The higher one wins where campaigns compete for the last slot of a cap. */
  priority: Schema.Int.pipe(Schema.between(0, 1_000)),
  /** Channels that may be used, the preferred one first. */
  channels: Schema.NonEmptyArray(Channel).pipe(Schema.maxItems(4)),
  segment: Segment,
  /** Judged for each member where the member's data lives: CEL over `member`, `parameters` and `now`, or a table. */
  memberFilter: optional(Filter),
  /** Who gets nothing of this campaign whatever the segment says. */
  exclude: optional(Schema.Struct({
    members: optional(Schema.Array(MemberId).pipe(Schema.maxItems(1_000))),
    lists: optional(Schema.Array(NonEmptyText(64)).pipe(Schema.maxItems(20))),
    segment: optional(Segment)
  })),
  /** Only members of the list `debug`; for trying a campaign out. */
  debugMembersOnly: optional(Schema.Boolean),
  /** The campaign's own caps, over its own messages to one member. The shop's caps hold besides. */
  caps: optional(Schema.Array(CapRule).pipe(Schema.maxItems(capRulesMax))),
  /** Pauses, ms: between runs of the campaign, between runs for one product, between messages to one member (and product). */
  cooldown: optional(
    Schema.Struct({ campaignMs: optional(Ms), productMs: optional(Ms), memberMs: optional(Ms) })
  ),
  /** Runs that may start on one day of the shop's calendar. */
  runsPerDay: optional(Schema.Int.pipe(Schema.between(0, 1_000_000))),
  /** Messages accepted on one day of the shop's calendar. */
  budgetPerDay: optional(Schema.Int.pipe(Schema.between(0, 100_000_000))),
  /** Time from firing to the latest moment at which the message still makes sense, ms. */
  deadlineMs: Schema.Int.pipe(Schema.between(60_000, deadlineMaxMs)),
  timePolicy: TimePolicy,
  /** Hours by the member's clock within which messages may leave, instead of the shop's hours of the class. */
  deliveryHours: optional(DailyHours),
  /** Hours by the member's clock in which nothing leaves. */
  quietHours: optional(DailyHours),
  /** What becomes of a message outside them: held and checked again (default), or dropped. */
  outsideHours: optional(Schema.Literal("hold", "drop")),
  content: CampaignContent,
  /** Whether mails carry the day's banners at their foot; default: they do. */
  banners: optional(Schema.Boolean),
  /** Share of members who get nothing of this campaign, so that its effect can be measured. */
  holdoutShare: optional(Share)
}).annotations({ identifier: "CampaignDefinition", title: "Campaign" })
export type CampaignDefinition = typeof CampaignDefinition.Type

/** The published JSON Schema of a campaign document. */
export const campaignJsonSchema = (): JSONSchema.JsonSchema7Root => JSONSchema.make(CampaignDefinition)

/** One difference between two versions; `before` or `after` is undefined where the field was not there. */
export interface Difference {
  readonly path: ReadonlyArray<string | number>
  readonly before: unknown
  readonly after: unknown
}

/** Differences listed at most. */
export const differencesMax = 500

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

/** What differs between two versions, field by field in the order of their names. */
export const difference = (before: CampaignDefinition, after: CampaignDefinition): ReadonlyArray<Difference> => {
  const found: Array<Difference> = []
  const compare = (a: unknown, b: unknown, path: ReadonlyArray<string | number>): void => {
    if (found.length >= differencesMax || Object.is(a, b)) return
    if (isObject(a) && isObject(b) && Array.isArray(a) === Array.isArray(b)) {
      for (const key of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort((x, y) => order(x, y))) {
        compare(
          Object.hasOwn(a, key) ? a[key] : undefined,
          Object.hasOwn(b, key) ? b[key] : undefined,
          [...path, Array.isArray(a) ? Number(key) : key]
        )
      }
    } else found.push({ path, before: a, after: b })
  }
  compare(before, after, [])
  return found
}

const order = (x: string, y: string): number =>
  /^\d+$/.test(x) && /^\d+$/.test(y) ? Number(x) - Number(y) : x < y ? -1 : x > y ? 1 : 0
