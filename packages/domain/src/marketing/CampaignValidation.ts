/** Whether a document is a campaign that can run: every fault with its path and a hint, in one go. */
import { Either, ParseResult, Schema } from "effect"
import { CampaignDefinition } from "./Campaign.ts"
import {
  type CampaignContext,
  compileTrigger,
  cycleZone,
  instantOf,
  periodOf,
  ruleFault,
  tableFault
} from "./CampaignTrigger.ts"
import { compileContent, missingVariables } from "./Content.ts"
import { contentVariables } from "./ContentScope.ts"
import { parseCycle } from "./Cycle.ts"
import { compileTable, type TableFinding } from "./DecisionTable.ts"
import { deeperThan, type DocumentFault, documentFaults } from "./DocumentFault.ts"
import { windowMaxMs } from "./FrequencyCap.ts"
import { dayMs, isZone } from "./LocalTime.ts"
import { compile } from "./Rule.ts"
import { filterLengthMax, filterText } from "./RuleFilter.ts"
import { eventFields, filterScope, hasProduct, triggerScope } from "./RuleScope.ts"
import { faultOf, needs, type Segment } from "./Segment.ts"

/** Deepest nesting of a document. */
export const nestingMax = 32
/** Faults listed at most. */
export const faultsMax = 200

/** A definition that can run, and what deserves a second look all the same. */
export interface ValidCampaign {
  readonly definition: CampaignDefinition
  readonly warnings: ReadonlyArray<DocumentFault>
}

const decode = ParseResult.decodeUnknownEither(CampaignDefinition, { errors: "all", onExcessProperty: "error" })

const finding = (path: DocumentFault["path"], found: TableFinding): DocumentFault => {
  if (found._tag === "DeadRow") {
    const why = found.because === null ? "its cells admit nothing" : `row ${found.because} always decides before it`
    return { path: [...path, "rows", found.row], message: `row ${found.row} never decides: ${why}`, hint: "drop it" }
  }
  const [a, b] = found.rows
  return {
    path: [...path, "rows", b],
    message: `rows ${a} and ${b} can both match and differ`,
    hint: found.wins === null ? "the later row's values count" : `row ${found.wins} decides`
  }
}

type Report = (path: DocumentFault["path"], message: string, hint: string | null) => void

const checkSegment = (
  segment: Segment,
  path: DocumentFault["path"],
  definition: CampaignDefinition,
  context: CampaignContext,
  report: Report
): void => {
  const fault = faultOf(segment)
  if (fault !== null) report(path, fault, null)
  const needed = needs(segment)
  const { trigger } = definition
  if (trigger._tag === "Cron") {
    if (needed.product || needed.member) {
      report(path, "the segment speaks of the event, a schedule has none", "name the product, category or brand")
    }
    return
  }
  if (triggerScope(trigger.event, context.customTypes) === undefined) return
  const fields = eventFields(trigger.event)
  if (needed.product && !Object.hasOwn(fields, "product")) {
    report(path, `$event: ${trigger.event} events are not about a product`, null)
  }
  if (needed.member && !Object.hasOwn(fields, "member")) {
    report(path, `EventMember: ${trigger.event} events are not about a member`, null)
  }
}

const checkPeriod = (definition: CampaignDefinition, zone: string, report: Report): void => {
  const { from, until } = definition.period ?? {}
  const ends = [["from", from], ["until", until]] as const
  for (const [name, text] of ends) {
    if (text !== undefined && instantOf(text, zone, name === "until") === null) {
      report(["period", name], `${text} is no day or time that exists`, null)
    }
  }
  const period = periodOf(definition, zone)
  if (period.from >= period.until) report(["period"], "the period ends before it begins", null)
}

const checkTrigger = (definition: CampaignDefinition, context: CampaignContext, report: Report, warn: Report): void => {
  const { trigger } = definition
  if (trigger._tag === "Cron") {
    if (trigger.timeZone !== undefined && !isZone(trigger.timeZone)) {
      report(["trigger", "timeZone"], `${trigger.timeZone} is not a time zone`, "e.g. Asia/Tokyo")
      return
    }
    const cycle = parseCycle(trigger.cron, cycleZone(definition, context.timeZone))
    if (Either.isLeft(cycle)) report(["trigger", "cron"], cycle.left.message, cycle.left.hint)
    return
  }
  const compiled = compileTrigger(definition, context)
  if (Either.isLeft(compiled)) { for (const fault of compiled.left) report(fault.path, fault.message, fault.hint) }
  else {
    for (const found of compiled.right?.findings ?? []) {
      const { path, message, hint } = finding(["trigger", "table"], found)
      warn(path, message, hint)
    }
  }
}

const checkFilter = (definition: CampaignDefinition, report: Report, warn: Report): void => {
  const filter = definition.memberFilter
  if (filter === undefined) return
  if (typeof filter === "string") {
    const compiled = compile(filter, filterScope)
    if (Either.isLeft(compiled)) {
      const { path, message, hint } = ruleFault(["memberFilter"], compiled.left)
      report(path, message, hint)
    }
    return
  }
  const compiled = compileTable(filter, filterScope)
  if (Either.isLeft(compiled)) {
    for (const each of compiled.left) {
      const { path, message, hint } = tableFault(["memberFilter"], each)
      report(path, message, hint)
    }
    return
  }
  if (filterText(filter).length > filterLengthMax) {
    report(
      ["memberFilter"],
      `the table is longer than ${filterLengthMax} characters as JSON`,
      "use a segment or attributes"
    )
  }
  for (const found of compiled.right.findings) {
    const { path, message, hint } = finding(["memberFilter"], found)
    warn(path, message, hint)
  }
}

const checkContent = (definition: CampaignDefinition, context: CampaignContext, report: Report, warn: Report): void => {
  const languages = (["ja", "en"] as const).filter((language) => definition.content[language] !== undefined)
  if (languages.length === 0) report(["content"], "no language has any content", "write content.ja or content.en")
  const { trigger } = definition
  const compiled = Either.getOrNull(compileTrigger(definition, context))
  // Of a trigger that does not compile nobody knows what it gives.
  const parameters = trigger._tag === "Cron" ? [] : compiled?.parameters ?? null
  const known = contentVariables(parameters, trigger._tag !== "Cron" && hasProduct(trigger.event))
  for (const language of languages) {
    const messages = definition.content[language] ?? {}
    for (const channel of ["mail", "line", "push", "onsite"] as const) {
      const templates = messages[channel]
      const path = ["content", language, channel]
      if (templates === undefined) {
        if (definition.channels.includes(channel)) {
          report(path, `is missing: the campaign uses the channel ${channel}`, null)
        }
        continue
      }
      if (!definition.channels.includes(channel)) {
        warn(path, `is never used: the campaign does not use the channel ${channel}`, null)
      }
      const content = compileContent(channel, { ...templates })
      if (Either.isLeft(content)) {
        for (const { column, field, hint, line, message } of content.left) {
          report([...path, field], `${message} (line ${line}, column ${column})`, hint)
        }
        continue
      }
      for (const { hint, name } of missingVariables(content.right.variables, known)) {
        report(path, `{{ ${name} }} has no value: nothing gives it`, hint)
      }
    }
  }
}

const check = (definition: CampaignDefinition, context: CampaignContext, report: Report, warn: Report): void => {
  checkTrigger(definition, context, report, warn)
  checkPeriod(definition, context.timeZone, report)
  checkSegment(definition.segment, ["segment"], definition, context, report)
  if (definition.exclude?.segment !== undefined) {
    checkSegment(definition.exclude.segment, ["exclude", "segment"], definition, context, report)
  }
  checkFilter(definition, report, warn)
  if (new Set(definition.channels).size !== definition.channels.length) {
    report(["channels"], "a channel is named twice", null)
  }
  checkContent(definition, context, report, warn)
  for (const [index, cap] of (definition.caps ?? []).entries()) {
    if (cap.channel !== undefined && !definition.channels.includes(cap.channel)) {
      warn(["caps", index, "channel"], `never applies: the campaign does not use the channel ${cap.channel}`, null)
    }
    if (cap.class !== undefined && cap.class !== definition.class) {
      warn(["caps", index, "class"], `never applies: the campaign's class is ${definition.class}`, null)
    }
    if (cap.class === undefined && definition.class === "transactional") {
      warn(["caps", index], "never applies: only a cap that names the class transactional counts it", null)
    }
    if (cap.count === 0) {
      warn(["caps", index, "count"], "a cap of 0 forbids every message", "leave the cap out for no limit")
    }
  }
  const { keepMs = windowMaxMs } = context
  const tooLong = `reaches back further than members remember, ${Math.floor(keepMs / dayMs)} days`
  for (const [index, cap] of (definition.caps ?? []).entries()) {
    if (cap.windowMs > keepMs) report(["caps", index, "windowMs"], tooLong, null)
  }
  if ((definition.cooldown?.memberMs ?? 0) > keepMs) report(["cooldown", "memberMs"], tooLong, null)
  if (definition.runsPerDay === 0) warn(["runsPerDay"], "0 allows no run at all", "leave it out for no limit")
  if (definition.budgetPerDay === 0) warn(["budgetPerDay"], "0 allows no message at all", "leave it out for no limit")
  if (definition.timePolicy._tag !== "Immediate" && definition.deadlineMs < dayMs) {
    warn(["deadlineMs"], "less than a day: the chosen hour may lie beyond it", null)
  }
}

/** Stand-ins for fields that cannot be read, so that the others can be judged all the same. */
const standIns = {
  id: "x",
  name: "x",
  class: "batch",
  priority: 0,
  channels: ["mail"],
  segment: { _tag: "Everyone" },
  deadlineMs: dayMs,
  timePolicy: { _tag: "Immediate" },
  content: {}
}

/** What is wrong with the fields that can be read, beside those that cannot; nothing where the trigger is one of these. */
const faultsBeside = (
  document: unknown,
  unreadable: ReadonlyArray<DocumentFault>,
  context: CampaignContext
): ReadonlyArray<DocumentFault> => {
  const fields = new Set(unreadable.map(({ path }) => path[0]))
  // Of what a trigger gives rules, segment and content may speak.
  if (typeof document !== "object" || document === null || fields.has(undefined) || fields.has("trigger")) return []
  const readable = Object.fromEntries(Object.entries(document).filter(([name]) => !fields.has(name)))
  const decoded = decode({ ...standIns, ...readable })
  if (Either.isLeft(decoded)) return []
  // Which content there must be depends on the channels.
  if (fields.has("channels")) fields.add("content")
  const faults: Array<DocumentFault> = []
  const report: Report = (path, message, hint) => {
    if (!fields.has(path[0])) faults.push({ path, message, hint })
  }
  check(decoded.right, context, report, () => {})
  return faults
}

/** Checks a document (JSON or YAML, parsed). */
export const validateCampaign = (
  document: unknown,
  context: CampaignContext
): Either.Either<ValidCampaign, ReadonlyArray<DocumentFault>> => {
  // Before anything recursive touches it.
  if (deeperThan(document, nestingMax)) {
    return Either.left([{ path: [], message: `nested deeper than ${nestingMax}`, hint: null }])
  }
  const decoded = decode(document)
  if (Either.isLeft(decoded)) {
    const unreadable = documentFaults(decoded.left, CampaignDefinition.ast)
    return Either.left([...unreadable, ...faultsBeside(document, unreadable, context)].slice(0, faultsMax))
  }
  const faults: Array<DocumentFault> = []
  const warnings: Array<DocumentFault> = []
  check(
    decoded.right,
    context,
    (path, message, hint) => faults.push({ path, message, hint }),
    (path, message, hint) => warnings.push({ path, message, hint })
  )
  return faults.length > 0
    ? Either.left(faults.slice(0, faultsMax))
    : Either.right({ definition: decoded.right, warnings: warnings.slice(0, faultsMax) })
}

/** The stored form of a definition; the same values, encoded and decoded by its schema. */
export const encodeCampaign = Schema.encodeSync(CampaignDefinition)
