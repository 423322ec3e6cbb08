/**
 * Whether a member gets one message, on which channel and when: the chain of judgements of the Member actor, pure. Each one
 * has its stage and its reason in the decision ledger. The order: member, filter, channels allowed, time, cooldown, volume,
 * caps (best channel first), holdout - last, so that the members held out are like those who were sent to.
 */
import { chance } from "./Chance.ts"
import { expectedResponse, rankChannels } from "./Channel.ts"
import type { Attributes, Channel } from "./Event.ts"
import {
  admits,
  type CapHold,
  type CapRule,
  fits,
  governs,
  type Interval,
  matters,
  windowMaxMs
} from "./FrequencyCap.ts"
import { isZone } from "./LocalTime.ts"
import { type Consideration, explorationShareDefault, type RejectionReason, type Terms } from "./Member.ts"
import { type Hold, holdsMax, type Member, type Stage } from "./MemberState.ts"
import { chooseTime, deadlineMaxMs } from "./SendTime.ts"
import { explainTolerance, tolerated } from "./Volume.ts"

/** What a filter sees beside the member. */
export interface FilterSubject {
  readonly member: Member
  readonly campaign: string
  readonly product: string | null
  readonly parameters: Attributes
  /** ms since the epoch. */
  readonly now: number
}
/** `null`: the member passes. Otherwise why not; a fault is an error of the filter itself, and nobody passes by it. */
export type FilterVerdict = null | { readonly why: string | null; readonly fault: boolean }
/** Judges the filter text of a run's terms; pure, and quick on a text it has seen before. */
export type MemberFilter = (filter: string, subject: FilterSubject) => FilterVerdict

/** For shops without filters: a campaign that has one reaches nobody rather than everybody. */
export const noFilter: MemberFilter = () => ({ why: "filters are not available here", fault: true })

export type Verdict =
  | {
    readonly _tag: "Pass"
    readonly channel: Channel
    /** What the message occupies: the instants at which it may be sent. */
    readonly notBefore: number
    readonly deadline: number
    readonly why: string | null
    /** Held deliveries of lower priority that give way. */
    readonly displaced: ReadonlyArray<Hold>
  }
  | { readonly _tag: "Fail"; readonly stage: Stage; readonly reason: RejectionReason; readonly why: string | null }

const fail = (stage: Stage, reason: RejectionReason, why: string | null = null): Verdict => ({
  _tag: "Fail",
  stage,
  reason,
  why
})

/**
 * Whether a channel may carry a message of a class to the member: null, or why not. Marketing needs consent; an order's own
 * messages need none, but respect one that was withdrawn.
 */
export const barred = (
  member: Member,
  channel: Channel,
  transactional: boolean
): "NoConsent" | "Suppressed" | "NoChannel" | null => {
  const consent = member.consents[channel]
  if (consent !== true && (consent === false || !transactional)) return "NoConsent"
  if (member.suppressions[channel] !== undefined) return "Suppressed"
  // Other channels are addressed by the member's id; mail needs an address.
  if (channel === "mail" && member.address === null) return "NoChannel"
  return null
}

/** The rules that one message has to pass, with the holds that each of them looks at. */
interface Caps {
  readonly terms: Terms
  readonly campaign: string
  readonly interval: Interval
}

const ofCampaign = (holds: ReadonlyArray<Hold>, campaign: string): ReadonlyArray<Hold> =>
  holds.filter((hold) => hold.campaign === campaign)

/** The first rule that forbids a message on the channel, or null. */
const forbidding = (holds: ReadonlyArray<Hold>, caps: Caps, channel: Channel): CapRule | null => {
  const { terms, interval } = caps
  for (const rule of terms.globalCaps) {
    if (governs(rule, channel, terms.class) && !admits(holds, rule, interval)) return rule
  }
  let own: ReadonlyArray<CapHold> | null = null
  for (const rule of terms.caps) {
    if (!governs(rule, channel, terms.class)) continue
    own ??= ofCampaign(holds, caps.campaign)
    if (!admits(own, rule, interval)) return rule
  }
  return null
}

const describe = (rule: CapRule): string =>
  `at most ${rule.count} in ${Math.round(rule.windowMs / 36_000) / 100} h` +
  `${rule.channel === undefined ? "" : ` on ${rule.channel}`}${
    rule.class === undefined ? "" : ` of class ${rule.class}`
  }`

/**
 * The fewest held deliveries of lower priority that have to give way so that the channel admits the message, or null when
 * even all of them do not help. The lowest priority goes first, then the one that would be sent last, then by run.
 */
const toDisplace = (member: Member, caps: Caps, channel: Channel): ReadonlyArray<Hold> | null => {
  const { terms } = caps
  const weaker = member.holds
    .filter((hold) => hold.phase === "held" && hold.priority < terms.priority && hold.class !== "transactional")
    .sort((a, b) => a.priority - b.priority || b.notBefore - a.notBefore || (a.run < b.run ? 1 : -1))
  const given: Array<Hold> = []
  let left = member.holds
  for (const hold of weaker) {
    if (forbidding(left, caps, channel) === null) break
    given.push(hold)
    left = left.filter((other) => other !== hold)
  }
  if (given.length === 0 || forbidding(left, caps, channel) !== null) return null
  // Those whose going did not help after all stay, the strongest first.
  for (let i = given.length - 1; i >= 0; i--) {
    const back = [...left, given[i]!]
    if (forbidding(back, caps, channel) === null) {
      left = back
      given.splice(i, 1)
    }
  }
  return given
}

const percent = (share: number): string => `${Math.round(share * 100)}%`

/** Longest window that a decision under these terms can look at. */
export const keepOf = (terms: Terms): number => {
  let keep = Math.max(terms.keepMs ?? windowMaxMs, terms.cooldownMs, terms.volume?.windowMs ?? 0)
  for (const rule of terms.globalCaps) keep = Math.max(keep, rule.windowMs)
  for (const rule of terms.caps) keep = Math.max(keep, rule.windowMs)
  return keep
}

/** Judges one consideration. `now` is the actor's clock; no message may leave before it. */
export const consider = (member: Member, command: Consideration, filter: MemberFilter, now: number): Verdict => {
  const { campaign, terms } = command
  const transactional = terms.class === "transactional"
  if (member.withdrawn) return fail("member", "Withdrawn")
  if (!member.joined) return fail("member", "Unknown")
  const notBefore = Math.max(command.notBefore, now)
  if (command.deadline < notBefore) return fail("time", "TooLate")
  // A delivery occupies every window up to its deadline (R18); one that is due some day would block the member till then.
  const deadline = Math.min(command.deadline, now + deadlineMaxMs)
  if (deadline < notBefore) return fail("time", "TooLate", "more than 31 days ahead")

  if (terms.filter !== undefined) {
    const product = command.product ?? null
    const verdict = filter(terms.filter, { member, campaign, product, parameters: command.parameters ?? {}, now })
    if (verdict !== null) return fail("filter", verdict.fault ? "FilterFault" : "Filtered", verdict.why)
  }

  const eligible: Array<Channel> = []
  let bar: "NoConsent" | "Suppressed" | "NoChannel" = "NoConsent"
  for (const channel of terms.channels) {
    const barrier = barred(member, channel, transactional)
    if (barrier === null) eligible.push(channel)
    else if (bar === "NoConsent") bar = barrier
  }
  if (eligible.length === 0) return fail("channel", bar)

  const zone = member.timeZone !== null && isZone(member.timeZone) ? member.timeZone : terms.timeZone
  const timing = chooseTime(terms, zone, member.habits.hours, { notBefore, deadline })
  if (timing._tag === "NoTime") return fail("time", timing.reason, timing.why)

  if (timing.deadline - (terms.lagMs ?? 0) < timing.notBefore) {
    return fail("time", "TooLate", "less time than sending takes")
  }

  const product = command.product ?? null
  if (terms.cooldownMs > 0) {
    const same = member.holds.filter((hold) => hold.campaign === campaign && hold.product === product)
    if (!fits(same, 1, terms.cooldownMs, timing)) return fail("cooldown", "Cooldown")
  }
  if (terms.volume !== undefined && !transactional) {
    const tolerance = tolerated(terms.volume, member.habits.responses, member.habits.objections)
    const marketing = member.holds.filter((hold) => hold.class !== "transactional")
    if (!fits(marketing, tolerance.count, terms.volume.windowMs, timing)) {
      return fail("volume", "Volume", explainTolerance(terms.volume, tolerance))
    }
  }
  if (member.holds.length >= holdsMax && member.holds.filter((hold) => matters(hold, now)).length >= holdsMax) {
    return fail("cap", "Full")
  }

  const { explored, order } = eligible.length === 1 ? { explored: false, order: eligible } : rankChannels(
    eligible,
    member.habits.responses,
    terms.explorationShare ?? explorationShareDefault,
    chance("channel", command.run, member.id)
  )
  const caps: Caps = { terms, campaign, interval: timing }
  let chosen: Channel | null = null
  let displaced: ReadonlyArray<Hold> = []
  let rule: CapRule | null = null
  for (const channel of order) {
    const forbids = forbidding(member.holds, caps, channel)
    if (forbids === null) {
      chosen = channel
      break
    }
    rule ??= forbids
  }
  if (chosen === null && terms.displaces === true) {
    for (const channel of order) {
      const weaker = toDisplace(member, caps, channel)
      if (weaker === null) continue
      chosen = channel
      displaced = weaker
      break
    }
  }
  if (chosen === null) return fail("cap", "Capped", rule === null ? null : describe(rule))
  if (terms.holdoutShare > 0 && chance("holdout", campaign, member.id) < terms.holdoutShare) {
    return fail("holdout", "Holdout")
  }

  let why = timing.why
  if (chosen !== terms.channels[0]) {
    const expected = `${chosen} ${
      explored && chosen === order[0]
        ? "tried"
        : `expected to do best (${percent(expectedResponse(member.habits.responses[chosen]))})`
    }`
    // A channel further down was taken because caps or consent forbid those above it.
    const reason = chosen === order[0] && eligible.length > 1 ? expected : `${chosen}, the first one allowed`
    why = why === null ? reason : `${reason}; ${why}`
  }
  return { _tag: "Pass", channel: chosen, notBefore: timing.notBefore, deadline: timing.deadline, why, displaced }
}
