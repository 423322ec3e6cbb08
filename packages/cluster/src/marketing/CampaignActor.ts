/**
 * How campaigns live on the cluster. Keyed by the campaign's id; this actor alone writes its row, its versions and cooldowns,
 * and inserts its runs. A run's progress is its worker's: the columns for it are not named here, so that no unit can touch
 * them.
 */
import { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import {
  CampaignCommand,
  type CampaignEvent,
  CampaignReply,
  CampaignStatus,
  RunCause,
  SuppressReason
} from "@hikyaku/domain/marketing/CampaignCommand"
import { campaignDecider } from "@hikyaku/domain/marketing/CampaignDecider"
import type { CampaignState, DefinedCampaign } from "@hikyaku/domain/marketing/CampaignState"
import { VersionedMap } from "@hikyaku/domain/stock/VersionedMap"
import { Schema } from "effect"
import type { ActorKind, Fact } from "../actor/ActorKind.ts"
import type { ChildTable, MainTable, Row, RowWriter } from "../actor/Table.ts"

export const campaignTable: MainTable = {
  name: "campaign",
  // Runs begin with a commit of their campaign, and end with one that ends it.
  awaited: true,
  columns: {
    status: "text",
    current_version: "integer",
    time_zone: "text",
    marks: "json",
    last_run_at: "instant",
    day: "integer",
    runs_today: "integer",
    spent_today: "bigint",
    unsent_today: "bigint",
    grants: "json",
    runs: "bigint",
    suppressed: "json",
    next_cycle: "instant"
  }
}

/** All versions stay; the current one alone is kept in memory. */
export const campaignVersionTable: ChildTable = {
  name: "campaign_version",
  actor: "campaign",
  key: ["campaign", "version"],
  live: { state: ["current"] },
  columns: {
    campaign: "text",
    version: "integer",
    definition: "json",
    author: "text",
    at: "instant",
    state: "text",
    rolled_back_to: "integer"
  }
}

export const campaignCooldownTable: ChildTable = {
  name: "campaign_cooldown",
  actor: "campaign",
  key: ["campaign", "product"],
  live: {},
  columns: { campaign: "text", product: "text", last_run_at: "instant" }
}

/** Only inserted here; the worker owns what is not among these columns, and the status. */
export const runTable: ChildTable = {
  name: "run",
  actor: "campaign",
  key: ["id"],
  live: null,
  columns: {
    id: "text",
    campaign: "text",
    version: "integer",
    cause: "json",
    product: "text",
    member: "text",
    parameters: "json",
    class: "text",
    priority: "integer",
    started_at: "instant",
    begins_at: "instant",
    deadline: "instant",
    status: "text"
  }
}

const encodeDefinition = Schema.encodeSync(CampaignDefinition)
const encodeCause = Schema.encodeSync(RunCause)

/** The main row as it is stored; decoding it is the check that the store holds what this version understands. */
const StoredCampaign = Schema.Struct({
  status: CampaignStatus,
  current_version: Schema.Int,
  time_zone: Schema.String,
  marks: Schema.Record({ key: Schema.String, value: Schema.Int }),
  last_run_at: Schema.NullOr(Schema.Number),
  day: Schema.Int,
  runs_today: Schema.Int,
  spent_today: Schema.Int,
  unsent_today: Schema.Int,
  // A list: what is longest unused comes first.
  grants: Schema.Array(Schema.Tuple(Schema.String, Schema.String, Schema.Int, Schema.Int)),
  runs: Schema.Int,
  suppressed: Schema.partialWith(Schema.Record({ key: SuppressReason, value: Schema.Int }), { exact: true }),
  next_cycle: Schema.NullOr(Schema.Number)
})
const StoredVersion = Schema.Struct({
  version: Schema.Int,
  definition: CampaignDefinition,
  author: Schema.String,
  at: Schema.Number,
  rolled_back_to: Schema.NullOr(Schema.Int)
})
const StoredCooldown = Schema.Struct({ product: Schema.String, last_run_at: Schema.Number })

const decodeCampaign = Schema.decodeUnknownSync(StoredCampaign)
const decodeVersion = Schema.decodeUnknownSync(StoredVersion)
const decodeCooldown = Schema.decodeUnknownSync(StoredCooldown)

const mainRow = (state: CampaignState): Row => {
  // Whatever is answered before a definition leaves no row: the decider makes no outcome of it.
  if (state._tag === "Undefined") throw new Error(`campaign ${state.id} has no definition to store`)
  return {
    status: state.status,
    current_version: state.version,
    time_zone: state.timeZone,
    marks: state.marks,
    last_run_at: state.lastRunAt,
    day: state.day,
    runs_today: state.runsToday,
    spent_today: state.spentToday,
    unsent_today: state.unsentToday,
    grants: Object.entries(state.grants).map(([run, { count, day, page }]) => [run, page, count, day]),
    runs: state.runs,
    suppressed: state.suppressed,
    next_cycle: state.nextCycle
  }
}

const restore = (id: string, main: Row, children: Readonly<Record<string, ReadonlyArray<Row>>>): CampaignState => {
  const row = decodeCampaign(main)
  const current = children[campaignVersionTable.name] ?? []
  const version = current.map((each) => decodeVersion(each)).find((each) => each.version === row.current_version)
  if (version === undefined) throw new Error(`campaign ${id} lacks its version ${row.current_version}`)
  return {
    _tag: "Defined",
    id,
    status: row.status,
    version: row.current_version,
    definition: version.definition,
    author: version.author,
    definedAt: version.at,
    timeZone: row.time_zone,
    rolledBackTo: version.rolled_back_to,
    marks: row.marks,
    lastRunAt: row.last_run_at,
    lastByProduct: VersionedMap.from(
      (children[campaignCooldownTable.name] ?? []).map((each) => {
        const { last_run_at, product } = decodeCooldown(each)
        return [product, last_run_at] as const
      })
    ),
    day: row.day,
    runsToday: row.runs_today,
    spentToday: row.spent_today,
    unsentToday: row.unsent_today,
    grants: Object.fromEntries(row.grants.map(([run, page, count, day]) => [run, { page, count, day }])),
    runs: row.runs,
    suppressed: row.suppressed,
    nextCycle: row.next_cycle
  }
}

const versionRow = (state: DefinedCampaign, place: "current" | "past"): Row => ({
  campaign: state.id,
  version: state.version,
  definition: encodeDefinition(state.definition),
  author: state.author,
  at: state.definedAt,
  state: place,
  rolled_back_to: state.rolledBackTo
})

const write = (writer: RowWriter, fact: Fact<CampaignState, CampaignEvent>): void => {
  const { after, before, event, id } = fact
  if (after._tag === "Undefined") return
  switch (event._tag) {
    case "CampaignDefined":
      if (before._tag === "Defined") writer.update(campaignVersionTable, versionRow(before, "past"))
      writer.insert(campaignVersionTable, versionRow(after, "current"))
      return
    case "RunBegan": {
      const { cools, run } = event
      writer.insert(runTable, {
        id: run.id,
        campaign: id,
        version: run.version,
        cause: encodeCause(run.cause),
        product: run.product,
        member: run.member,
        parameters: run.parameters,
        class: after.definition.class,
        priority: after.definition.priority,
        started_at: run.startedAt,
        begins_at: run.beginsAt,
        deadline: run.deadline,
        status: "running"
      })
      if (!cools || run.product === null) return
      const row = { campaign: id, product: run.product, last_run_at: run.startedAt }
      if (before._tag === "Defined" && before.lastByProduct.has(run.product)) writer.update(campaignCooldownTable, row)
      else writer.insert(campaignCooldownTable, row)
      return
    }
    case "CooldownsLapsed":
      for (const product of event.products) writer.delete(campaignCooldownTable, { campaign: id, product })
      return
    case "StatusSet":
    case "FiringSuppressed":
    case "BudgetSpent":
    case "CycleSet":
      return
  }
}

/** The Campaign actor kind. */
export const campaignKind: ActorKind<CampaignState, CampaignCommand, CampaignReply, CampaignEvent> = {
  name: "Campaign",
  decider: campaignDecider,
  command: CampaignCommand,
  reply: CampaignReply,
  main: campaignTable,
  children: [campaignVersionTable, campaignCooldownTable, runTable],
  mainRow,
  restore,
  write,
  publish: () => []
}
