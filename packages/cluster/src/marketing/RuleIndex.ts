/**
 * The rules of all effective campaigns, compiled, and found by what an event is: its type, then the equalities without which
 * a rule cannot match (`product.category == "tops" && ...`). So judging an event costs what could match, not what exists.
 * Pure given the definitions; one per version of the catalogue (R16).
 */
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import {
  type CampaignContext,
  type CompiledTrigger,
  compileTrigger,
  eventParameters,
  type Period,
  periodOf,
  triggerInputs,
  type TriggerOutcome
} from "@hikyaku/domain/marketing/CampaignTrigger"
import type { DocumentFault } from "@hikyaku/domain/marketing/DocumentFault"
import { type Attributes, type Event, eventType } from "@hikyaku/domain/marketing/Event"
import type { Equality } from "@hikyaku/domain/marketing/Rule"
import type { RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { Either } from "effect"

/** An effective campaign: status `active`, with its current version. */
export interface EffectiveCampaign {
  readonly campaign: string
  readonly version: number
  readonly definition: CampaignDefinition
}

/** A campaign that an event fires. */
export interface RuleMatch {
  readonly campaign: string
  readonly version: number
  /** What the event says of itself, and what the decision table says; for filters and content. */
  readonly parameters: Attributes
}

/** What became of one campaign that could have matched, for explanations. */
export interface RuleJudgement {
  readonly campaign: string
  readonly version: number
  readonly outcome: TriggerOutcome
}

export interface RuleIndex {
  /** The campaigns that fire, the highest priority first, then by id. `product` is the event's, if the catalogue has it. */
  readonly match: (
    event: Pick<Event, "at" | "happening">,
    product: RuleProduct | null,
    now: number
  ) => ReadonlyArray<RuleMatch>
  /** What became of every campaign on this event's type, with the reasons. Costs all of them: not for the hot path. */
  readonly explain: (
    event: Pick<Event, "at" | "happening">,
    product: RuleProduct | null,
    now: number
  ) => ReadonlyArray<RuleJudgement>
  /** Campaigns on events whose trigger does not compile (any more): they never fire. */
  readonly broken: ReadonlyArray<{ readonly campaign: string; readonly faults: ReadonlyArray<DocumentFault> }>
  /** Event types that some campaign is on: others need no judging at all. */
  readonly types: ReadonlySet<string>
  /** For the index of the next version: what has not changed is not compiled again. */
  readonly compiled: ReadonlyMap<string, Compiled>
}

interface Compiled {
  readonly context: CampaignContext
  readonly trigger: Either.Either<CompiledTrigger | null, ReadonlyArray<DocumentFault>>
  readonly period: Period
}

interface Entry {
  readonly campaign: string
  readonly version: number
  readonly priority: number
  readonly trigger: CompiledTrigger
  readonly period: Period
}

/** Campaigns on one event type. */
interface OfType {
  readonly all: Array<Entry>
  /** Those without an equality to be found by. */
  readonly others: Array<Entry>
  /** By owner and field, then by value. */
  readonly byField: Map<string, { readonly equality: Equality; readonly byValue: Map<string, Array<Entry>> }>
}

/** Fields in which values are rarest, first. */
const fieldOrder = ["product", "id", "member", "name", "brand", "category"]

const place = (equality: Equality): number => {
  const found = fieldOrder.indexOf(equality.field)
  return (found < 0 ? fieldOrder.length : found) * 1_000 + equality.values.length
}

/** The equality by which an entry is found. */
const chosen = (equalities: ReadonlyArray<Equality>): Equality | undefined =>
  [...equalities].sort((a, b) => place(a) - place(b))[0]

const add = (types: Map<string, OfType>, entry: Entry): void => {
  let ofType = types.get(entry.trigger.event)
  if (ofType === undefined) types.set(entry.trigger.event, ofType = { all: [], others: [], byField: new Map() })
  ofType.all.push(entry)
  const equality = chosen(entry.trigger.equalities)
  if (equality === undefined) {
    ofType.others.push(entry)
    return
  }
  const key = `${equality.owner}.${equality.field}`
  let field = ofType.byField.get(key)
  if (field === undefined) ofType.byField.set(key, field = { equality, byValue: new Map() })
  for (const value of new Set(equality.values)) {
    const entries = field.byValue.get(value)
    if (entries === undefined) field.byValue.set(value, [entry])
    else entries.push(entry)
  }
}

const byPriority = (a: Entry, b: Entry): number =>
  b.priority - a.priority || (a.campaign < b.campaign ? -1 : a.campaign > b.campaign ? 1 : 0)

const within = (period: Period, at: number): boolean => at >= period.from && at < period.until

/** Compiles the effective campaigns. `before`: the index of an earlier version, from which unchanged ones are taken. */
export const make = (
  campaigns: ReadonlyArray<EffectiveCampaign>,
  context: CampaignContext,
  before?: Pick<RuleIndex, "compiled">
): RuleIndex => {
  const types = new Map<string, OfType>()
  const compiled = new Map<string, Compiled>()
  const broken: Array<{ readonly campaign: string; readonly faults: ReadonlyArray<DocumentFault> }> = []
  for (const { campaign, definition, version } of campaigns) {
    const key = `${campaign}/${version}`
    const known = before?.compiled.get(key)
    const mine: Compiled = known !== undefined && known.context === context ? known : {
      context,
      trigger: compileTrigger(definition, context),
      period: periodOf(definition, context.timeZone)
    }
    compiled.set(key, mine)
    if (Either.isLeft(mine.trigger)) broken.push({ campaign, faults: mine.trigger.left })
    else if (mine.trigger.right !== null) {
      add(types, { campaign, version, priority: definition.priority, trigger: mine.trigger.right, period: mine.period })
    }
  }

  const candidates = (ofType: OfType, inputs: ReturnType<typeof triggerInputs>): ReadonlyArray<Entry> => {
    if (ofType.byField.size === 0) return ofType.others
    const found = [...ofType.others]
    for (const { equality, byValue } of ofType.byField.values()) {
      const view = inputs[equality.owner]
      const value: unknown = view === undefined ? undefined : Reflect.get(view, equality.field)
      if (typeof value !== "string") continue
      const entries = byValue.get(value)
      if (entries !== undefined) { for (const entry of entries) found.push(entry) }
    }
    return found
  }

  return {
    match: (event, product, now) => {
      const ofType = types.get(eventType(event.happening))
      if (ofType === undefined) return []
      const at = Math.min(event.at, now)
      const inputs = triggerInputs(event, product, now)
      const firing: Array<{ readonly entry: Entry; readonly parameters: Attributes }> = []
      for (const entry of candidates(ofType, inputs)) {
        if (!within(entry.period, at)) continue
        const outcome = entry.trigger.judge(inputs)
        if (outcome._tag === "Fires") firing.push({ entry, parameters: outcome.parameters })
      }
      if (firing.length === 0) return []
      const own = eventParameters(event)
      return firing.sort((a, b) => byPriority(a.entry, b.entry)).map(({ entry, parameters }) => ({
        campaign: entry.campaign,
        version: entry.version,
        parameters: { ...own, ...parameters }
      }))
    },
    explain: (event, product, now) => {
      const inputs = triggerInputs(event, product, now)
      const at = Math.min(event.at, now)
      return (types.get(eventType(event.happening))?.all ?? []).map((entry) => ({
        campaign: entry.campaign,
        version: entry.version,
        outcome: within(entry.period, at)
          ? entry.trigger.judge(inputs)
          : { _tag: "Silent", reason: "outside the campaign's period" }
      }))
    },
    broken,
    types: new Set(types.keys()),
    compiled
  }
}
