/** A campaign's trigger, compiled: what of the shop's events fires it, with which parameters, and within which period. */
import { Either } from "effect"
import type { CampaignDefinition } from "./Campaign.ts"
import { compileTable, type TableFault, type TableFinding } from "./DecisionTable.ts"
import type { DocumentFault } from "./DocumentFault.ts"
import { type Attributes, type Event, eventType } from "./Event.ts"
import { dayMs, instantsOf } from "./LocalTime.ts"
import { compile, type Equality, type RuleInputs } from "./Rule.ts"
import type { RuleError } from "./RuleError.ts"
import {
  type CustomTypes,
  eventFields,
  eventView,
  knownEventTypes,
  productView,
  type RuleProduct,
  type RuleScope,
  triggerScope
} from "./RuleScope.ts"
import { hintFor } from "./Spelling.ts"

/** What the shop gives: where it lies, and the custom events it has registered. */
export interface CampaignContext {
  /** The shop's time zone. */
  readonly timeZone: string
  readonly customTypes: CustomTypes
  /** Longest window that a cap or cooldown may span, ms; without it the longest that can be written. */
  readonly keepMs?: number
}

export type TriggerOutcome =
  | { readonly _tag: "Fires"; readonly parameters: Attributes }
  | { readonly _tag: "Silent"; readonly reason: string | null }

/** A trigger on events. */
export interface CompiledTrigger {
  readonly event: string
  readonly judge: (inputs: RuleInputs) => TriggerOutcome
  /** What must hold for it to fire, for indexes. */
  readonly equalities: ReadonlyArray<Equality>
  readonly findings: ReadonlyArray<TableFinding>
  /** Names of the parameters that a firing may give. */
  readonly parameters: ReadonlyArray<string>
}

const fires: TriggerOutcome = { _tag: "Fires", parameters: Object.freeze({}) }

/** A rule's error as a fault of the document; `start` and `end` are characters of the expression. */
export const ruleFault = (path: DocumentFault["path"], error: RuleError): DocumentFault => ({
  path,
  message: `${error.message} (characters ${error.start} to ${error.end})`,
  hint: error.hint
})

/** A table's fault as a fault of the document: the path leads to the cell. */
export const tableFault = (path: DocumentFault["path"], fault: TableFault): DocumentFault => ({
  path: [...path, "rows", fault.row, fault.column],
  message: fault.message,
  hint: fault.hint
})

/** Compiles the trigger of a campaign; null for one on a schedule. */
export const compileTrigger = (
  definition: Pick<CampaignDefinition, "trigger">,
  context: CampaignContext
): Either.Either<CompiledTrigger | null, ReadonlyArray<DocumentFault>> => {
  const { trigger } = definition
  if (trigger._tag === "Cron") return Either.right(null)
  const scope = triggerScope(trigger.event, context.customTypes)
  if (scope === undefined) {
    const known = knownEventTypes(context.customTypes)
    return Either.left([{
      path: ["trigger", "event"],
      message: `there are no ${trigger.event} events`,
      hint: hintFor(trigger.event, known)
    }])
  }
  const own = parametersOf(scope)
  if (trigger._tag === "Event") {
    if (trigger.when === undefined) {
      return Either.right({ event: trigger.event, judge: () => fires, equalities: [], findings: [], parameters: own })
    }
    return Either.mapBoth(compile(trigger.when, scope), {
      onLeft: (error) => [ruleFault(["trigger", "when"], error)],
      onRight: (rule): CompiledTrigger => ({
        event: trigger.event,
        equalities: rule.equalities,
        findings: [],
        parameters: own,
        judge: (inputs) => {
          const outcome = rule.test(inputs)
          return outcome._tag === "Matched" ? fires : { _tag: "Silent", reason: outcome.reason }
        }
      })
    })
  }
  return Either.mapBoth(compileTable(trigger.table, scope), {
    onLeft: (faults) => faults.map((fault) => tableFault(["trigger", "table"], fault)),
    onRight: (table): CompiledTrigger => ({
      event: trigger.event,
      equalities: [],
      findings: table.findings,
      parameters: [...new Set([...own, ...table.parameters])],
      judge: (inputs) => {
        const outcome = table.judge(inputs)
        return outcome._tag === "Hit"
          ? { _tag: "Fires", parameters: outcome.parameters }
          : { _tag: "Silent", reason: outcome.reason }
      }
    })
  })
}

/** What triggers are judged on; made once per event, whatever the number of campaigns. */
export const triggerInputs = (
  event: Pick<Event, "at" | "happening">,
  product: RuleProduct | null,
  now: number
): RuleInputs => ({
  event: eventView(event),
  product: product === null ? undefined : productView(product),
  member: undefined,
  parameters: undefined,
  now: new Date(now)
})

/** Fields of events that are no parameters: ids, which runs have of their own. */
const noParameters: ReadonlySet<string> = new Set(["_tag", "product", "member", "ticket"])

/** What an event says of itself, for filters and content: its plain fields but for the ids, and its type as `event`. */
export const eventParameters = (event: Pick<Event, "happening">): Attributes => {
  const parameters: Record<string, string | number | boolean> = {}
  const values: Readonly<Record<string, unknown>> = event.happening._tag === "Custom"
    ? event.happening.data
    : event.happening
  for (const [name, value] of Object.entries(values)) {
    if (noParameters.has(name)) continue
    if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") parameters[name] = value
  }
  parameters["event"] = eventType(event.happening)
  return parameters
}

/** The names that `eventParameters` may give for events of a scope. */
const parametersOf = (scope: RuleScope): ReadonlyArray<string> => {
  if (scope._tag === "Filter") return []
  if (scope.data !== null) return [...new Set([...Object.keys(scope.data), "event"])]
  const plain = Object.entries(eventFields(scope.event)).filter(([name, type]) =>
    name !== "type" && !noParameters.has(name) && ["string", "int", "double", "bool"].includes(type)
  )
  return ["event", ...plain.map(([name]) => name)]
}

const written = /^(\d{4})-(\d{2})-(\d{2})(?:T(\d{2}):(\d{2})(?::(\d{2}))?(Z|[+-]\d{2}:\d{2})?)?$/

/**
 * The instant, ms since the epoch, of a day, local time or instant as a definition writes it; null if there is no such day.
 * A day that is an `end` includes all of it. A time that the clock shows twice is its first showing.
 */
export const instantOf = (text: string, zone: string, end: boolean): number | null => {
  const parts = written.exec(text)
  if (parts === null) return null
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1, 7).map((part) =>
    Number(part ?? 0)
  )
  const utc = Date.UTC(year, month - 1, day, hour, minute, second)
  const check = new Date(utc)
  if (check.getUTCMonth() !== month - 1 || check.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) {
    return null
  }
  if (parts[4] === undefined) return instantsOf(zone, end ? utc + dayMs : utc).first
  const offset = parts[7]
  if (offset === undefined) return instantsOf(zone, utc).first
  if (offset === "Z") return utc
  const sign = offset.startsWith("-") ? 1 : -1
  return utc + sign * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4, 6))) * 60_000
}

/** From (included) and until (excluded) in ms; open ends are infinite. */
export interface Period {
  readonly from: number
  readonly until: number
}

/** When a campaign may fire at all. An end that names no real day counts as open; validation refuses it. */
export const periodOf = (definition: Pick<CampaignDefinition, "period">, zone: string): Period => {
  const { from, until } = definition.period ?? {}
  return {
    from: from === undefined ? -Infinity : instantOf(from, zone, false) ?? -Infinity,
    until: until === undefined ? Infinity : instantOf(until, zone, true) ?? Infinity
  }
}

/** The zone of a schedule. */
export const cycleZone = (definition: Pick<CampaignDefinition, "trigger">, zone: string): string =>
  definition.trigger._tag === "Cron" ? definition.trigger.timeZone ?? zone : zone
