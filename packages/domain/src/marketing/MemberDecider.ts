/**
 * The Member actor as a pure state machine. A delivery consumes its caps in the step that accepts it, and gives them back at
 * most once (R19, G8); whatever is asked twice is answered as it was the first time.
 */
import { Either } from "effect"
import { answer, type Decider, type Decision, outcome } from "../Actor.ts"
import { counted } from "./Channel.ts"
import { barred, consider, keepOf, type MemberFilter, noFilter } from "./Consideration.ts"
import type { Attributes, Channel } from "./Event.ts"
import { matters } from "./FrequencyCap.ts"
import { isZone, localHour } from "./LocalTime.ts"
import { deliveryId, type MemberCommand, type MemberReply, readConsider, runOf } from "./Member.ts"
import {
  goneKeptMs,
  goneMax,
  type Hold,
  type HoldPhase,
  type Member,
  type MemberEvent,
  unknownMember
} from "./MemberState.ts"

type Reply = Decision<MemberReply, MemberEvent>
type Command<Tag extends MemberCommand["_tag"]> = Extract<MemberCommand, { readonly _tag: Tag }>

const byRun = (holds: ReadonlyArray<Hold>, run: string): Hold | null => {
  for (let i = 0; i < holds.length; i++) if (holds[i]!.run === run) return holds[i]!
  return null
}

const notHeld: MemberReply = { _tag: "NotHeld" }

const decideConsider = (member: Member, text: Command<"Consider">, filter: MemberFilter, now: number): Reply => {
  const read = readConsider(text)
  if (Either.isLeft(read)) {
    return answer({ _tag: "Refused", field: "page or terms", hint: read.left.message.slice(0, 500) })
  }
  const command = read.right
  // Asked before: the same delivery, whatever has become of it, and nothing is consumed again.
  const earlier = byRun(member.holds, command.run) ?? byRun(member.gone, command.run)
  if (earlier !== null) {
    return outcome({
      _tag: "Accepted",
      delivery: deliveryId(command.run, member.id),
      channel: earlier.channel,
      notBefore: earlier.notBefore,
      deadline: earlier.deadline - (earlier.phase === "sent" ? 0 : command.terms.lagMs ?? 0)
    })
  }
  const { campaign, run, terms } = command
  const verdict = consider(member, command, filter, now)
  if (verdict._tag === "Fail") {
    const { reason, stage, why } = verdict
    const reply: MemberReply = { _tag: "Rejected", reason }
    if (terms.shadow === true) return answer(reply)
    return outcome(reply, { _tag: "DeliveryRejected", run, campaign, stage, reason, why, at: now })
  }
  const { channel, deadline, displaced, notBefore, why } = verdict
  const startBy = deadline - (terms.lagMs ?? 0)
  const delivery = deliveryId(run, member.id)
  const reply: MemberReply = { _tag: "Accepted", delivery, channel, notBefore, deadline: startBy }
  if (terms.shadow === true) return answer(reply)
  const hold: Hold = {
    run,
    campaign,
    product: command.product ?? null,
    channel,
    class: terms.class,
    priority: terms.priority,
    notBefore,
    deadline,
    phase: notBefore > now ? "held" : "due",
    heard: 0
  }
  const accepted: MemberEvent = {
    _tag: "DeliveryAccepted",
    hold,
    version: command.version,
    startBy,
    parameters: command.parameters ?? null,
    why,
    keepMs: keepOf(terms),
    at: now
  }
  if (displaced.length === 0) return outcome(reply, accepted)
  return outcome(
    reply,
    ...displaced.map((weaker): MemberEvent => ({ _tag: "DeliveryDisplaced", run: weaker.run, by: run, at: now })),
    accepted
  )
}

const decideRelease = (member: Member, command: Command<"Release">, now: number): Reply => {
  const run = runOf(command.delivery, member.id)
  if (run === null) return answer(notHeld)
  const gone = byRun(member.gone, run)
  if (gone !== null) {
    return answer({ _tag: "Dropped", reason: gone.phase === "displaced" ? "Displaced" : "Refunded" })
  }
  const hold = byRun(member.holds, run)
  if (hold === null) return answer(notHeld)
  if (hold.phase === "sent") return answer({ _tag: "KeptAsSent" })
  const reason = member.withdrawn ? "Withdrawn" : barred(member, hold.channel, hold.class === "transactional")
  if (reason !== null) {
    const reply: MemberReply = { _tag: "Dropped", reason }
    // Once released it may be under way: then only the dispatcher can know that it was not sent, and refunds it (R19).
    return hold.phase === "held" ? outcome(reply, { _tag: "DeliveryDropped", run, reason, at: now }) : answer(reply)
  }
  const reply: MemberReply = {
    _tag: "Released",
    channel: hold.channel,
    address: member.address
  }
  return hold.phase === "held" ? outcome(reply, { _tag: "DeliveryReleased", run, at: now }) : answer(reply)
}

const decideFeedback = (member: Member, command: Command<"Feedback">, zone: string): Reply => {
  const { channel, kind } = command
  switch (kind) {
    case "delivered":
      return answer({ _tag: "Noted", changed: false })
    case "opened":
    case "clicked": {
      const run = runOf(command.delivery, member.id)
      const hold = run === null ? null : byRun(member.holds, run)
      // Mail programs open again and again: one response per message.
      if (hold === null || hold.heard !== 0) return answer({ _tag: "Noted", changed: false })
      const hour = localHour(member.timeZone ?? zone, command.at)
      return outcome({ _tag: "Noted", changed: true }, {
        _tag: "ResponseHeard",
        run: hold.run,
        channel: hold.channel,
        hour
      })
    }
    case "bounced":
      return member.suppressions[channel] !== undefined
        ? answer({ _tag: "Noted", changed: false })
        : outcome({ _tag: "Noted", changed: true }, { _tag: "ChannelSuppressed", channel, reason: "bounced" })
    case "complained":
      return member.suppressions[channel] === "complained"
        ? answer({ _tag: "Noted", changed: false })
        : outcome(
          { _tag: "Noted", changed: true },
          { _tag: "ChannelSuppressed", channel, reason: "complained" },
          { _tag: "Objected", channel, kind }
        )
    case "unsubscribed":
      return member.consents[channel] === false
        ? answer({ _tag: "Noted", changed: false })
        : outcome(
          { _tag: "Noted", changed: true },
          { _tag: "ConsentSet", channel, consent: false },
          { _tag: "Objected", channel, kind }
        )
  }
}

const unchanged: Reply = outcome({ _tag: "Done", changed: false })
const changed = (...events: ReadonlyArray<MemberEvent>): Reply => outcome({ _tag: "Done", changed: true }, ...events)

const sameAttributes = (a: Attributes, b: Attributes): boolean => {
  if (a === b) return true
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
}

const decideProfile = (member: Member, command: Command<"SetProfile">): Reply => {
  if (command.timeZone !== undefined && !isZone(command.timeZone)) {
    return answer({
      _tag: "Refused",
      field: "timeZone",
      hint: "an IANA time zone such as Asia/Tokyo, or an offset such as +09:00"
    })
  }
  const address = command.address === undefined ? member.address : command.address
  const language = command.language ?? member.language
  const timeZone = command.timeZone ?? member.timeZone
  const attributes = command.attributes ?? member.attributes
  // Imports say the same again and again: that need not be written.
  const same = member.joined && !member.withdrawn && address === member.address && language === member.language &&
    timeZone === member.timeZone && sameAttributes(attributes, member.attributes)
  return same ? unchanged : changed({ _tag: "ProfileSet", address, language, timeZone, attributes })
}

const decide = (member: Member, command: MemberCommand, now: number, settings: MemberSettings): Reply => {
  switch (command._tag) {
    case "Consider":
      return decideConsider(member, command, settings.filter, now)
    case "Sent": {
      const run = runOf(command.delivery, member.id)
      if (run === null) return answer(notHeld)
      const hold = byRun(member.holds, run)
      if (hold !== null && hold.phase === "sent") return outcome({ _tag: "Narrowed" })
      // Given back and sent after all: what was really sent counts, so the hold comes back.
      if (hold === null && byRun(member.gone, run) === null) return answer(notHeld)
      return outcome({ _tag: "Narrowed" }, { _tag: "DeliverySent", run, at: command.at })
    }
    case "Refund": {
      const run = runOf(command.delivery, member.id)
      if (run === null) return answer(notHeld)
      const hold = byRun(member.holds, run)
      if (hold === null) {
        return byRun(member.gone, run) === null ? answer(notHeld) : outcome({ _tag: "Refunded", first: false })
      }
      if (hold.phase === "sent") return outcome({ _tag: "KeptAsSent" })
      return outcome({ _tag: "Refunded", first: true }, { _tag: "DeliveryRefunded", run, at: now })
    }
    case "Release":
      return decideRelease(member, command, now)
    case "Feedback":
      return decideFeedback(member, command, settings.timeZone)
    case "SetProfile":
      return decideProfile(member, command)
    case "SetConsent":
      if (member.withdrawn) return answer({ _tag: "Refused", field: "member", hint: "has withdrawn" })
      return member.consents[command.channel] === command.consent
        ? unchanged
        : changed({ _tag: "ConsentSet", channel: command.channel, consent: command.consent })
    case "Withdraw":
      return member.withdrawn ? unchanged : changed({ _tag: "MemberLeft" })
    case "Suppress":
      return member.suppressions[command.channel] === command.reason
        ? unchanged
        : changed({ _tag: "ChannelSuppressed", channel: command.channel, reason: command.reason })
    case "Unsuppress":
      return member.suppressions[command.channel] === undefined
        ? unchanged
        : changed({ _tag: "ChannelRestored", channel: command.channel })
    case "ReadMember": {
      const { address, attributes, consents, holds, id, joined, language, suppressions, timeZone, withdrawn } = member
      const person = { id, joined, withdrawn, address, language, timeZone, attributes }
      return answer({ _tag: "MemberView", ...person, consents, suppressions, holds })
    }
  }
}

const restored = (suppressions: Member["suppressions"], channel: Channel): Member["suppressions"] => {
  const rest = { ...suppressions }
  delete rest[channel]
  return rest
}

const replaceHold = (member: Member, run: string, change: (hold: Hold) => Hold): Member => ({
  ...member,
  holds: member.holds.map((hold) => hold.run === run ? change(hold) : hold)
})

/** Takes a hold out of the caps and remembers for a while that it was given back. */
const giveBack = (member: Member, run: string, phase: HoldPhase, now: number): Member => {
  const hold = byRun(member.holds, run)
  if (hold === null) return member
  const remembered = member.gone.filter((other) => other.deadline > now - goneKeptMs)
  return {
    ...member,
    holds: member.holds.filter((other) => other !== hold),
    gone: [...remembered, { ...hold, phase }].slice(-goneMax)
  }
}

const evolve = (member: Member, event: MemberEvent): Member => {
  switch (event._tag) {
    case "ProfileSet": {
      const { address, attributes, language, timeZone } = event
      const rejoins = member.withdrawn
      // A bounce belongs to the address that bounced.
      const suppressions = address !== member.address && member.suppressions.mail === "bounced"
        ? restored(member.suppressions, "mail")
        : member.suppressions
      return {
        ...member,
        joined: true,
        withdrawn: false,
        consents: rejoins ? {} : member.consents,
        address,
        attributes,
        language,
        timeZone,
        suppressions
      }
    }
    case "ConsentSet":
      return { ...member, consents: { ...member.consents, [event.channel]: event.consent } }
    case "MemberLeft":
      // What identifies the person goes; what was sent stays, since it may still occupy a window when they come back.
      return { ...member, withdrawn: true, address: null, attributes: {}, consents: {} }
    case "ChannelSuppressed":
      return { ...member, suppressions: { ...member.suppressions, [event.channel]: event.reason } }
    case "ChannelRestored":
      return { ...member, suppressions: restored(member.suppressions, event.channel) }
    case "DeliveryAccepted": {
      const holds: Array<Hold> = []
      for (const hold of member.holds) if (matters(hold, event.at, event.keepMs)) holds.push(hold)
      holds.push(event.hold)
      return { ...member, holds }
    }
    case "DeliveryRejected":
      return { ...member, decisions: member.decisions + 1 }
    case "DeliveryDisplaced":
      return { ...giveBack(member, event.run, "displaced", event.at), decisions: member.decisions + 1 }
    case "DeliveryReleased":
      return replaceHold(member, event.run, (hold) => ({ ...hold, phase: "due" }))
    case "DeliveryDropped":
      return { ...giveBack(member, event.run, "dropped", event.at), decisions: member.decisions + 1 }
    case "DeliveryRefunded":
      return giveBack(member, event.run, "refunded", event.at)
    case "DeliverySent": {
      const returned = byRun(member.gone, event.run)
      const back = returned === null ? member : {
        ...member,
        gone: member.gone.filter((hold) => hold !== returned),
        holds: [...member.holds, returned]
      }
      const sent = replaceHold(back, event.run, (hold) => ({
        ...hold,
        phase: "sent",
        notBefore: event.at,
        deadline: event.at
      }))
      const hold = byRun(sent.holds, event.run)
      if (hold === null) return sent
      const responses = { ...sent.habits.responses, [hold.channel]: counted(sent.habits.responses[hold.channel], 1, 0) }
      return { ...sent, habits: { ...sent.habits, responses } }
    }
    case "ResponseHeard": {
      const { habits } = member
      const hours = habits.hours === null ? Array.from({ length: 24 }, () => 0) : [...habits.hours]
      hours[event.hour] = (hours[event.hour] ?? 0) + 1
      const responses = { ...habits.responses, [event.channel]: counted(habits.responses[event.channel], 0, 1) }
      return {
        ...replaceHold(member, event.run, (hold) => ({ ...hold, heard: 1 })),
        habits: { ...habits, hours, responses }
      }
    }
    case "Objected":
      return { ...member, habits: { ...member.habits, objections: member.habits.objections + 1 } }
  }
}

/** What a shop gives the decider. */
export interface MemberSettings {
  readonly filter: MemberFilter
  /** The shop's time zone, for the hours of members of whom none is known. */
  readonly timeZone: string
}

/** The Member actor's decider for a shop. Members need no timer: what has aged is dropped when the next one is accepted. */
export const makeMemberDecider = (
  settings: MemberSettings
): Decider<Member, MemberCommand, MemberReply, MemberEvent> => ({
  initial: unknownMember,
  decide: (member, command, now) => decide(member, command, now, settings),
  evolve,
  dueAt: () => null,
  wake: { _tag: "ReadMember" }
})

/** The decider of a shop in Japan without filters. */
export const memberDecider = makeMemberDecider({ filter: noFilter, timeZone: "Asia/Tokyo" })
