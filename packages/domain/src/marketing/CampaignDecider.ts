/**
 * The Campaign actor's decider. Keyed by the campaign's id; its state is written by this actor alone. A firing is idempotent
 * by the event's place in the log: per partition the state keeps the highest offset that was decided, and whatever lies at or
 * below it was decided before.
 */
import { Either, Equal } from "effect"
import { answer, type Decider, type Decision, outcome } from "../Actor.ts"
import type { CampaignDefinition } from "./Campaign.ts"
import type {
  CampaignCommand,
  CampaignEvent,
  CampaignReply,
  CampaignStatus,
  Define,
  Fire,
  Rollback,
  Run,
  RunCause,
  Settle,
  Spend,
  StartRunNow,
  SuppressReason
} from "./CampaignCommand.ts"
import { type CampaignState, type DefinedCampaign, evolve, heldBy } from "./CampaignState.ts"
import { cycleZone, periodOf } from "./CampaignTrigger.ts"
import { type Cycle, cycleAfter, dueCycle, parseCycle } from "./Cycle.ts"
import type { Attributes } from "./Event.ts"
import { dayMs, localAt } from "./LocalTime.ts"
import { needs } from "./Segment.ts"

/** Cooldowns of products forgotten in one decision at most; the rest go with the next firings. */
export const lapsedMax = 1_000

type CampaignDecision = Decision<CampaignReply, CampaignEvent>

const base36 = (n: number): string => n.toString(36)

/**
 * The id of the run that a cause leads to: derived, never random, so that a cause decided twice is one run. At most 63
 * characters without a colon; the last dot separates campaign and cause, so that no two can clash.
 */
export const runId = (campaign: string, cause: RunCause): string => {
  switch (cause._tag) {
    case "Event":
      return `${campaign}.e${base36(cause.partition)}-${base36(cause.offset)}`
    case "Cycle":
      return `${campaign}.c${base36(cause.at)}`
    case "Hand":
      return `${campaign}.h${BigInt(`0x${cause.request.replaceAll("-", "")}`).toString(36)}`
  }
}

const dayOf = (state: Pick<DefinedCampaign, "timeZone">, now: number): number =>
  Math.floor(localAt(state.timeZone, now) / dayMs)

const cycleOf = (definition: CampaignDefinition, timeZone: string): Cycle | null => {
  if (definition.trigger._tag !== "Cron") return null
  return Either.getOrNull(parseCycle(definition.trigger.cron, cycleZone(definition, timeZone)))
}

/** The first cycle after `now` within the period. */
const nextCycle = (
  definition: CampaignDefinition,
  timeZone: string,
  status: CampaignStatus,
  now: number
): number | null => {
  const cycle = status === "active" ? cycleOf(definition, timeZone) : null
  if (cycle === null) return null
  const period = periodOf(definition, timeZone)
  const next = cycleAfter(cycle, Math.max(now, period.from - 1))
  return next !== null && next < period.until ? next : null
}

const storeVersion = (
  state: CampaignState,
  command: typeof Define.Type | typeof Rollback.Type,
  now: number
): CampaignDecision => {
  const { definition, author, timeZone } = command
  const version = state._tag === "Undefined" ? 0 : state.version
  const refuse = (hint: string): CampaignDecision =>
    answer({ _tag: "NotAllowed", status: state._tag === "Undefined" ? null : state.status, hint })
  if (definition.id !== state.id) return refuse(`the definition's id is ${definition.id}`)
  if (state._tag === "Defined" && state.status === "cancelled") {
    return refuse("a cancelled campaign stays so: use another id")
  }
  if (command._tag === "Define") {
    if (command.base !== undefined && command.base !== version) {
      return answer({ _tag: "VersionConflict", current: version })
    }
    if (state._tag === "Defined" && state.timeZone === timeZone && sameValue(state.definition, definition)) {
      return outcome({ _tag: "Defined", version, changed: false })
    }
  } else if (command.to >= version) {
    return refuse(`version ${command.to} is not an earlier one, the current is ${version}`)
  }
  const wanted = definition.status ?? "active"
  // Editing a paused campaign does not resume it.
  const status = state._tag === "Defined" && state.status === "paused" ? "paused" : wanted
  return outcome<CampaignReply, CampaignEvent>({ _tag: "Defined", version: version + 1, changed: true }, {
    _tag: "CampaignDefined",
    version: version + 1,
    definition,
    author,
    timeZone,
    at: now,
    status,
    rolledBackTo: command._tag === "Rollback" ? command.to : null,
    nextCycle: nextCycle(definition, timeZone, status, now)
  })
}

const sameValue = (a: unknown, b: unknown): boolean => {
  if (Equal.equals(a, b)) return true
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const left = Object.entries(a)
  const right = new Map(Object.entries(b))
  return left.length === right.size && left.every(([key, value]) => right.has(key) && sameValue(value, right.get(key)))
}

const setStatus = (
  state: DefinedCampaign,
  status: CampaignStatus,
  from: ReadonlyArray<CampaignStatus>,
  author: string,
  now: number
): CampaignDecision => {
  if (state.status === status) return outcome({ _tag: "StatusChanged", status, changed: false })
  if (!from.includes(state.status)) {
    return answer({ _tag: "NotAllowed", status: state.status, hint: `only from ${from.join(" or ")}` })
  }
  return outcome<CampaignReply, CampaignEvent>(
    { _tag: "StatusChanged", status, changed: true },
    { _tag: "StatusSet", status, author, at: now, nextCycle: nextCycle(state.definition, state.timeZone, status, now) }
  )
}

const today = (
  state: DefinedCampaign,
  now: number
): { readonly day: number; readonly runs: number; readonly spent: number; readonly unsent: number } => {
  const day = dayOf(state, now)
  return day === state.day
    ? { day, runs: state.runsToday, spent: state.spentToday, unsent: state.unsentToday }
    : { day, runs: 0, spent: 0, unsent: 0 }
}

interface Firing {
  readonly cause: RunCause
  readonly version: number
  /** When it counts as fired: deadline and period are measured from it. */
  readonly at: number
  readonly product: string | null
  readonly member: string | null
  readonly parameters: Attributes
}

/** Why a firing starts no run, or null. In the order in which a marketer would ask. */
const suppression = (state: DefinedCampaign, firing: Firing, now: number): SuppressReason | null => {
  const { definition } = state
  const byHand = firing.cause._tag === "Hand"
  if (state.status !== "active") return state.status
  const period = periodOf(definition, state.timeZone)
  if (!byHand && (firing.at < period.from || firing.at >= period.until)) return "outsidePeriod"
  if (firing.at + delayOf(definition, firing.cause) + definition.deadlineMs <= now) return "late"
  const { runs, spent, unsent } = today(state, now)
  if (!byHand) {
    const pause = definition.cooldown?.campaignMs ?? 0
    if (state.lastRunAt !== null && now < state.lastRunAt + pause) return "campaignCooldown"
    // Measured by the current definition, so that an edit takes effect at once.
    const last = firing.product === null ? undefined : state.lastByProduct.get(firing.product)
    if (last !== undefined && now < last + (definition.cooldown?.productMs ?? 0)) return "productCooldown"
    if (definition.runsPerDay !== undefined && runs >= definition.runsPerDay) return "runsPerDay"
  }
  return definition.budgetPerDay !== undefined && spent - unsent >= definition.budgetPerDay ? "budget" : null
}

/** A run by hand does not wait. */
const delayOf = ({ trigger }: CampaignDefinition, cause: RunCause): number =>
  cause._tag === "Event" && trigger._tag !== "Cron" ? trigger.delayMs ?? 0 : 0

/** Products whose cooldown has lapsed; looked for once a day, since it means going through all of them. */
const lapsed = (state: DefinedCampaign, now: number): ReadonlyArray<CampaignEvent> => {
  if (state.lastByProduct.size === 0 || dayOf(state, now) === state.day) return []
  const pause = state.definition.cooldown?.productMs ?? 0
  const products: Array<string> = []
  for (const [product, last] of state.lastByProduct.entries()) {
    if (last + pause <= now && products.length < lapsedMax) products.push(product)
  }
  return products.length === 0 ? [] : [{ _tag: "CooldownsLapsed", products }]
}

type Begun =
  | { readonly _tag: "Begun"; readonly run: Run; readonly events: ReadonlyArray<CampaignEvent> }
  | { readonly _tag: "Kept"; readonly reason: SuppressReason; readonly events: ReadonlyArray<CampaignEvent> }

const begin = (state: DefinedCampaign, firing: Firing, now: number): Begun => {
  const { cause, product } = firing
  const reason = suppression(state, firing, now)
  if (reason !== null) return { _tag: "Kept", reason, events: [{ _tag: "FiringSuppressed", cause, reason }] }
  const delay = delayOf(state.definition, cause)
  const run: Run = {
    id: runId(state.id, cause),
    version: firing.version,
    cause,
    startedAt: now,
    beginsAt: Math.max(now, firing.at + delay),
    deadline: firing.at + delay + state.definition.deadlineMs,
    product,
    member: firing.member,
    parameters: firing.parameters
  }
  const cools = product !== null && (state.definition.cooldown?.productMs ?? 0) > 0
  return {
    _tag: "Begun",
    run,
    events: [...lapsed(state, now), { _tag: "RunBegan", run, day: dayOf(state, now), cools }]
  }
}

const replyOf = (begun: Begun): CampaignReply =>
  begun._tag === "Begun"
    ? { _tag: "RunStarted", run: begun.run.id, version: begun.run.version, deadline: begun.run.deadline }
    : { _tag: "Suppressed", reason: begun.reason }

const fire = (state: DefinedCampaign, command: typeof Fire.Type, now: number): CampaignDecision => {
  const { partition, offset, event, at } = command
  if (offset <= (state.marks[partition] ?? -1)) return answer({ _tag: "Duplicate" })
  const begun = begin(state, {
    cause: { _tag: "Event", partition, offset, event, at },
    version: Math.min(command.version, state.version),
    // An event from the future counts from now: its deadline must not lie beyond what the campaign says.
    at: Math.min(at, now),
    product: command.product ?? null,
    member: command.member ?? null,
    parameters: command.parameters
  }, now)
  return outcome<CampaignReply, CampaignEvent>(replyOf(begun), ...begun.events)
}

const startNow = (state: DefinedCampaign, command: typeof StartRunNow.Type, now: number): CampaignDecision => {
  const needed = needs(state.definition.segment)
  if (needed.product && command.product === undefined) {
    return answer({ _tag: "NotAllowed", status: state.status, hint: "the segment speaks of a product: name one" })
  }
  if (needed.member && command.member === undefined) {
    return answer({ _tag: "NotAllowed", status: state.status, hint: "the segment speaks of a member: name one" })
  }
  const begun = begin(state, {
    cause: { _tag: "Hand", request: command.request, author: command.author },
    version: state.version,
    at: now,
    product: command.product ?? null,
    member: command.member ?? null,
    parameters: command.parameters
  }, now)
  return outcome<CampaignReply, CampaignEvent>(replyOf(begun), ...begun.events)
}

const spend = (state: DefinedCampaign, command: typeof Spend.Type, now: number): CampaignDecision => {
  if (state.status !== "active") return answer({ _tag: "Granted", count: 0 })
  const { page, run } = command
  const { day, spent, unsent: known } = today(state, now)
  // Deliveries that were not sent stay so: a lower count was taken earlier.
  const unsent = Math.max(known, command.unsent ?? 0)
  const budget = state.definition.budgetPerDay
  const others = spent - heldBy(state, run, page, day) - unsent
  const count = budget === undefined ? command.count : Math.max(0, Math.min(command.count, budget - others))
  if (count === 0) return answer({ _tag: "Granted", count })
  return outcome<CampaignReply, CampaignEvent>(
    { _tag: "Granted", count },
    ...lapsed(state, now),
    { _tag: "BudgetSpent", run, page, count, unsent, day }
  )
}

const settle = (state: DefinedCampaign, command: typeof Settle.Type, now: number): CampaignDecision => {
  const { page, run, used } = command
  const { day, unsent } = today(state, now)
  // What another day's budget paid for is no longer of interest; nothing is ever taken here that was not granted.
  if (used >= heldBy(state, run, page, day)) return outcome({ _tag: "Settled", changed: false })
  return outcome<CampaignReply, CampaignEvent>(
    { _tag: "Settled", changed: true },
    { _tag: "BudgetSpent", run, page, count: used, unsent, day }
  )
}

const wake = (state: DefinedCampaign, now: number): CampaignDecision => {
  const cycle = cycleOf(state.definition, state.timeZone)
  if (state.status !== "active" || cycle === null || state.nextCycle === null || now < state.nextCycle) {
    return answer({ _tag: "Woken", run: null })
  }
  const due = dueCycle(cycle, state.nextCycle, now, state.definition.deadlineMs - 1)
  const period = periodOf(state.definition, state.timeZone)
  const next = due.next !== null && due.next < period.until ? due.next : null
  const rest: CampaignEvent = { _tag: "CycleSet", at: next }
  if (due.cycle === null) return { reply: { _tag: "Woken", run: null }, events: [rest], final: false }
  const begun = begin(state, {
    cause: { _tag: "Cycle", at: due.cycle },
    version: state.version,
    at: due.cycle,
    product: null,
    member: null,
    parameters: {}
  }, now)
  return {
    reply: { _tag: "Woken", run: begun._tag === "Begun" ? begun.run.id : null },
    events: [...begun.events, rest],
    final: false
  }
}

const view = (state: DefinedCampaign, now: number): CampaignReply => {
  const { runs, spent, unsent } = today(state, now)
  return {
    _tag: "CampaignView",
    id: state.id,
    status: state.status,
    version: state.version,
    definition: state.definition,
    author: state.author,
    timeZone: state.timeZone,
    runs: state.runs,
    runsToday: runs,
    spentToday: spent - unsent,
    suppressed: Object.fromEntries(Object.entries(state.suppressed).map(([reason, count]) => [reason, count ?? 0])),
    lastRunAt: state.lastRunAt,
    nextCycle: state.nextCycle
  }
}

const decide = (state: CampaignState, command: CampaignCommand, now: number): CampaignDecision => {
  if (command._tag === "Define" || command._tag === "Rollback") {
    return command._tag === "Rollback" && state._tag === "Undefined"
      ? answer({ _tag: "UnknownCampaign" })
      : storeVersion(state, command, now)
  }
  if (state._tag === "Undefined") return answer({ _tag: "UnknownCampaign" })
  switch (command._tag) {
    case "Pause":
      return setStatus(state, "paused", ["active"], command.author, now)
    case "Resume":
      // Back to what its definition says: a draft that was stored meanwhile stays one.
      return setStatus(state, state.definition.status ?? "active", ["paused"], command.author, now)
    case "Cancel":
      return setStatus(state, "cancelled", ["draft", "active", "paused"], command.author, now)
    case "Fire":
      return fire(state, command, now)
    case "StartRunNow":
      return startNow(state, command, now)
    case "Spend":
      return spend(state, command, now)
    case "Settle":
      return settle(state, command, now)
    case "Wake":
      return wake(state, now)
    case "ReadCampaign":
      return answer(view(state, now))
  }
}

/** The Campaign actor's decider. */
export const campaignDecider: Decider<CampaignState, CampaignCommand, CampaignReply, CampaignEvent> = {
  initial: (id) => ({ _tag: "Undefined", id }),
  decide,
  evolve,
  dueAt: (state) => state._tag === "Defined" && state.status === "active" ? state.nextCycle : null,
  wake: { _tag: "Wake" }
}
