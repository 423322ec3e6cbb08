/** What a Campaign actor knows, and how facts change it. */
import { VersionedMap } from "../stock/VersionedMap.ts"
import type { CampaignDefinition } from "./Campaign.ts"
import type { CampaignEvent, CampaignStatus, RunCause, SuppressReason } from "./CampaignCommand.ts"

/** What the last page of a run takes from the budget of a day. */
export interface Grant {
  readonly page: string
  readonly count: number
  readonly day: number
}

/** Runs whose last page is remembered; the one longest unused is forgotten, and a repeat of its page then costs twice. */
export const grantsMax = 64

/** A campaign that nobody has defined yet, or what is known of one. */
export type CampaignState = { readonly _tag: "Undefined"; readonly id: string } | DefinedCampaign

export interface DefinedCampaign {
  readonly _tag: "Defined"
  readonly id: string
  readonly status: CampaignStatus
  readonly version: number
  readonly definition: CampaignDefinition
  readonly author: string
  readonly definedAt: number
  readonly timeZone: string
  /** Version that the current one repeats, or null. */
  readonly rolledBackTo: number | null
  /** Highest offset decided, by partition. */
  readonly marks: Readonly<Record<string, number>>
  readonly lastRunAt: number | null
  /** When the campaign last fired for a product, ms; kept while its cooldown for products lasts. */
  readonly lastByProduct: VersionedMap<string, number>
  /** The shop's day that the next two count for. */
  readonly day: number
  readonly runsToday: number
  readonly spentToday: number
  /** Of those spent today, messages that were provably not sent. */
  readonly unsentToday: number
  /** By run. */
  readonly grants: Readonly<Record<string, Grant>>
  /** Runs ever started. */
  readonly runs: number
  readonly suppressed: Readonly<Partial<Record<SuppressReason, number>>>
  /** When the schedule is due next; null without one, or while nothing fires. */
  readonly nextCycle: number | null
}

const marked = (marks: DefinedCampaign["marks"], cause: RunCause): DefinedCampaign["marks"] =>
  cause._tag === "Event" ? { ...marks, [cause.partition]: Math.max(cause.offset, marks[cause.partition] ?? -1) } : marks

const defined = (
  state: CampaignState,
  event: CampaignEvent & { readonly _tag: "CampaignDefined" }
): DefinedCampaign => {
  const { version, definition, author, timeZone, at, status, rolledBackTo, nextCycle } = event
  const current = { status, version, definition, author, timeZone, definedAt: at, rolledBackTo, nextCycle }
  if (state._tag === "Defined") return { ...state, ...current }
  return {
    _tag: "Defined",
    id: state.id,
    ...current,
    marks: {},
    lastRunAt: null,
    lastByProduct: VersionedMap.empty(),
    day: 0,
    runsToday: 0,
    spentToday: 0,
    unsentToday: 0,
    grants: {},
    runs: 0,
    suppressed: {}
  }
}

/** What a page of a run takes from a day's budget already. */
export const heldBy = (state: DefinedCampaign, run: string, page: string, day: number): number => {
  const grant = Object.hasOwn(state.grants, run) ? state.grants[run] : undefined
  return grant !== undefined && grant.page === page && grant.day === day ? grant.count : 0
}

/** The run moves to the end: what is forgotten is the one longest unused. */
const granted = (grants: DefinedCampaign["grants"], run: string, grant: Grant): DefinedCampaign["grants"] => {
  const others = Object.entries(grants).filter(([other]) => other !== run).slice(1 - grantsMax)
  return Object.fromEntries([...others, [run, grant]])
}

/** Applies one fact. */
export const evolve = (state: CampaignState, event: CampaignEvent): CampaignState => {
  if (event._tag === "CampaignDefined") return defined(state, event)
  if (state._tag === "Undefined") return state
  switch (event._tag) {
    case "StatusSet":
      return { ...state, status: event.status, nextCycle: event.nextCycle }
    case "RunBegan": {
      const { run, day, cools } = event
      const sameDay = day === state.day
      return {
        ...state,
        marks: marked(state.marks, run.cause),
        lastRunAt: run.startedAt,
        lastByProduct: cools && run.product !== null
          ? state.lastByProduct.with(run.product, run.startedAt)
          : state.lastByProduct,
        day,
        runsToday: sameDay ? state.runsToday + 1 : 1,
        spentToday: sameDay ? state.spentToday : 0,
        unsentToday: sameDay ? state.unsentToday : 0,
        runs: state.runs + 1
      }
    }
    case "FiringSuppressed": {
      const { cause, reason } = event
      return {
        ...state,
        marks: marked(state.marks, cause),
        suppressed: { ...state.suppressed, [reason]: (state.suppressed[reason] ?? 0) + 1 }
      }
    }
    case "CooldownsLapsed":
      return {
        ...state,
        lastByProduct: event.products.reduce((map, product) => map.without(product), state.lastByProduct)
      }
    case "BudgetSpent": {
      const { count, day, page, run, unsent } = event
      const sameDay = day === state.day
      return {
        ...state,
        day,
        runsToday: sameDay ? state.runsToday : 0,
        spentToday: (sameDay ? state.spentToday : 0) - heldBy(state, run, page, day) + count,
        unsentToday: unsent,
        grants: granted(state.grants, run, { page, count, day })
      }
    }
    case "CycleSet":
      return { ...state, nextCycle: event.at }
  }
}
