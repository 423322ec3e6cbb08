/**
 * How members live on the cluster: one row per member, holds included, loaded and written whole; a delivery row per message
 * accepted, inserted in the commit that consumes the caps and never touched again by this actor (the dispatcher owns its
 * status); a ledger row per decision that differs from the run's default, which is "accepted".
 */
import { channels } from "@hikyaku/domain/marketing/Channel"
import type { Attributes, Channel } from "@hikyaku/domain/marketing/Event"
import type { MessageClass } from "@hikyaku/domain/marketing/FrequencyCap"
import { deliveryId, MemberCommand, MemberReply } from "@hikyaku/domain/marketing/Member"
import { makeMemberDecider, type MemberSettings } from "@hikyaku/domain/marketing/MemberDecider"
import {
  type Habits,
  type Hold,
  type HoldPhase,
  type Member,
  type MemberEvent,
  unknownMember
} from "@hikyaku/domain/marketing/MemberState"
import { ruleFilter } from "@hikyaku/domain/marketing/RuleFilter"
import type { ActorKind, Fact } from "../actor/ActorKind.ts"
import type { ChildTable, MainTable, Row, RowWriter, Value } from "../actor/Table.ts"

export const memberTable: MainTable = {
  name: "member",
  columns: {
    joined: "boolean",
    withdrawn: "boolean",
    language: "text",
    time_zone: "text",
    address: "text",
    attributes: "json",
    consents: "json",
    suppressions: "json",
    holds: "json",
    stats: "json",
    decisions: "integer"
  }
}

/** Only inserted here; none are loaded, since the dispatcher writes them afterwards. Its key is the backstop against twice. */
export const deliveryTable: ChildTable = {
  name: "delivery",
  actor: "member",
  key: ["id"],
  live: null,
  awaited: true,
  columns: {
    id: "text",
    run: "text",
    campaign: "text",
    version: "integer",
    member: "text",
    channel: "text",
    class: "text",
    priority: "integer",
    product: "text",
    parameters: "json",
    status: "text",
    not_before: "instant",
    deadline: "instant",
    held: "boolean",
    why: "text",
    created_at: "instant"
  }
}

export const ledgerTable: ChildTable = {
  name: "decision_ledger",
  actor: "member",
  key: ["member", "n"],
  live: null,
  columns: {
    member: "text",
    n: "integer",
    run: "text",
    campaign: "text",
    stage: "text",
    decision: "text",
    reason: "text",
    detail: "json",
    at: "instant"
  }
}

// Places in these lists are stored: append, never reorder.
const classes: ReadonlyArray<MessageClass> = ["realtime", "batch", "transactional"]
const phases: ReadonlyArray<HoldPhase> = ["held", "due", "sent", "refunded", "displaced", "dropped"]
const occupying: ReadonlySet<HoldPhase> = new Set<HoldPhase>(["held", "due", "sent"])

type HoldRow = readonly [
  run: string,
  campaign: string,
  product: string | null,
  channel: number,
  messageClass: number,
  priority: number,
  notBefore: number,
  length: number,
  phase: number,
  heard: number
]

const holdRow = (hold: Hold): HoldRow => [
  hold.run,
  hold.campaign,
  hold.product,
  channels.indexOf(hold.channel),
  classes.indexOf(hold.class),
  hold.priority,
  hold.notBefore,
  hold.deadline - hold.notBefore,
  phases.indexOf(hold.phase),
  hold.heard
]

/**
 * Runs and campaigns recur in the holds of thousands of members: one copy of each name serves all. Past the bound the names
 * in use are merely no longer shared.
 */
const namesMax = 20_000
const names = new Map<string, string>()
const shared = (name: string): string => {
  const known = names.get(name)
  if (known !== undefined) return known
  if (names.size >= namesMax) names.clear()
  names.set(name, name)
  return name
}

const restoreHold = (row: HoldRow): Hold => ({
  run: shared(row[0]),
  campaign: shared(row[1]),
  product: row[2] === null ? null : shared(row[2]),
  channel: channels[row[3]] ?? "mail",
  class: classes[row[4]] ?? "batch",
  priority: row[5],
  notBefore: row[6],
  deadline: row[6] + row[7],
  phase: phases[row[8]] ?? "due",
  heard: row[9]
})

interface StatsRow {
  readonly responses: Readonly<Record<string, readonly [sent: number, responded: number]>>
  readonly hours: ReadonlyArray<number> | null
  readonly objections: number
}

const statsRow = ({ hours, objections, responses }: Habits): StatsRow => ({
  responses: Object.fromEntries(
    Object.entries(responses).map(([channel, { responded, sent }]) => [channel, [sent, responded] as const])
  ),
  hours,
  objections
})

// Most members have never answered: they share what an unknown member has.
const { attributes: noAttributes, consents: noConsents, gone: noHolds, habits: noHabits } = unknownMember("")

const restoreHabits = (row: StatsRow): Habits => {
  const answered = Object.entries(row.responses)
  if (answered.length === 0 && row.hours === null && row.objections === 0) return noHabits
  return {
    responses: Object.fromEntries(answered.map(([channel, [sent, responded]]) => [channel, { sent, responded }])),
    hours: row.hours,
    objections: row.objections
  }
}

/** What the store gives back is what this module wrote: columns are read as what they were. */
const json = <A>(value: Value | undefined): A => value as A
const text = (value: Value | undefined): string | null => typeof value === "string" ? value : null

const mainRow = (member: Member): Row => ({
  joined: member.joined,
  withdrawn: member.withdrawn,
  language: member.language,
  time_zone: member.timeZone,
  address: member.address,
  attributes: member.attributes,
  consents: member.consents,
  suppressions: member.suppressions,
  holds: [...member.holds.map(holdRow), ...member.gone.map(holdRow)],
  stats: statsRow(member.habits),
  decisions: member.decisions
})

/** What runs and sending leave alone; states that share it have it from one another. */
const steady = {
  columns: [
    "joined",
    "withdrawn",
    "language",
    "time_zone",
    "address",
    "attributes",
    "consents",
    "suppressions"
  ],
  same: (a: Member, b: Member): boolean =>
    a.joined === b.joined && a.withdrawn === b.withdrawn && a.language === b.language && a.timeZone === b.timeZone &&
    a.address === b.address && a.attributes === b.attributes && a.consents === b.consents &&
    a.suppressions === b.suppressions
}

const restore = (id: string, main: Row): Member => {
  const holds = json<ReadonlyArray<HoldRow>>(main["holds"]).map(restoreHold)
  const gone = holds.filter((hold) => !occupying.has(hold.phase))
  const attributes = json<Attributes>(main["attributes"])
  const consents = json<Readonly<Partial<Record<Channel, boolean>>>>(main["consents"])
  const suppressions = json<Readonly<Partial<Record<Channel, string>>>>(main["suppressions"])
  const language = text(main["language"])
  return {
    id,
    joined: main["joined"] === true,
    withdrawn: main["withdrawn"] === true,
    address: text(main["address"]),
    language: language === "ja" || language === "en" ? language : null,
    timeZone: text(main["time_zone"]),
    attributes: isEmpty(attributes) ? noAttributes : attributes,
    consents: isEmpty(consents) ? noConsents : consents,
    suppressions: isEmpty(suppressions) ? {} : suppressions,
    holds: gone.length === 0 ? holds : holds.filter((hold) => occupying.has(hold.phase)),
    gone: gone.length === 0 ? noHolds : gone,
    habits: restoreHabits(json<StatsRow>(main["stats"])),
    decisions: Number(main["decisions"])
  }
}

const isEmpty = (record: object): boolean => {
  for (const _ in record) return false
  return true
}

const ledger = (
  writer: RowWriter,
  fact: Fact<Member, MemberEvent>,
  row: { readonly run: string; readonly campaign: string; readonly stage: string; readonly decision: string } & {
    readonly reason: string
    readonly detail: object | null
  }
): void => writer.insert(ledgerTable, { ...row, member: fact.id, n: fact.after.decisions, at: fact.now })

const campaignOf = (member: Member, run: string): string =>
  member.holds.find((hold) => hold.run === run)?.campaign ?? ""

const write = (writer: RowWriter, fact: Fact<Member, MemberEvent>): void => {
  const { event } = fact
  switch (event._tag) {
    case "DeliveryAccepted": {
      const { hold } = event
      return writer.insert(deliveryTable, {
        id: deliveryId(hold.run, fact.id),
        run: hold.run,
        campaign: hold.campaign,
        version: event.version,
        member: fact.id,
        channel: hold.channel,
        class: hold.class,
        priority: hold.priority,
        product: hold.product,
        parameters: event.parameters,
        status: "due",
        not_before: hold.notBefore,
        deadline: event.startBy,
        held: hold.phase === "held",
        why: event.why,
        created_at: event.at
      })
    }
    case "DeliveryRejected": {
      const { campaign, reason, run, stage, why } = event
      const detail = why === null ? null : { why }
      return ledger(writer, fact, { run, campaign, stage, decision: "rejected", reason, detail })
    }
    case "DeliveryDisplaced": {
      const campaign = campaignOf(fact.before, event.run)
      const detail = { by: event.by }
      return ledger(writer, fact, {
        run: event.run,
        campaign,
        stage: "cap",
        decision: "displaced",
        reason: "Displaced",
        detail
      })
    }
    case "DeliveryDropped": {
      const campaign = campaignOf(fact.before, event.run)
      const { reason, run } = event
      return ledger(writer, fact, { run, campaign, stage: "release", decision: "dropped", reason, detail: null })
    }
    case "ProfileSet":
    case "ConsentSet":
    case "MemberLeft":
    case "ChannelSuppressed":
    case "ChannelRestored":
    case "DeliveryReleased":
    case "DeliverySent":
    case "DeliveryRefunded":
    case "ResponseHeard":
    case "Objected":
      return
  }
}

/** The Member actor of a shop with its filters and time zone. */
export const makeMemberKind = (
  settings: MemberSettings
): ActorKind<Member, MemberCommand, MemberReply, MemberEvent> => ({
  name: "Member",
  decider: makeMemberDecider(settings),
  command: MemberCommand,
  reply: MemberReply,
  main: memberTable,
  children: [deliveryTable, ledgerTable],
  mainRow,
  steady,
  restore,
  write,
  // What members do comes in as events; stating it again would go round in a circle.
  publish: () => []
})

/** For those who send to members or keep their tables, whom the shop's time zone does not concern; runners host their own. */
export const memberKind = makeMemberKind({ filter: ruleFilter, timeZone: "Asia/Tokyo" })
