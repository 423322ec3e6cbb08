/**
 * Volume optimisation (RTM-9): how many messages within a window a member tolerates, learnt from how they answer; beyond it
 * nothing is sent, so that the member does not opt out. Pure; the figures are part of the Member actor's state.
 */
import { Schema } from "effect"
import type { ResponsesByChannel } from "./Channel.ts"
import { countMax, windowMaxMs } from "./FrequencyCap.ts"

const Count = Schema.Int.pipe(Schema.between(0, countMax))

/** What a shop sets; without it volume is not optimised. */
export const VolumeTerms = Schema.Struct({
  /** Messages within the window for a member of average response. */
  base: Count,
  /** Nobody gets fewer (0: a member who never answers may be left alone for good) or more. */
  min: Count,
  max: Count,
  windowMs: Schema.Int.pipe(Schema.between(1, windowMaxMs)),
  /** Share of messages that an average member answers. */
  expectedShare: Schema.Number.pipe(Schema.between(0.001, 1))
}).annotations({ identifier: "VolumeTerms" })
export type VolumeTerms = typeof VolumeTerms.Type

/** Weight of the average member in each member's own figures, in messages: ten unanswered ones halve the number. */
const priorWeight = 10

export interface Tolerance {
  /** Messages within `windowMs`. */
  readonly count: number
  /** Share of messages answered that the number rests on. */
  readonly share: number
  readonly sent: number
  readonly responded: number
  /** Times the member unsubscribed or complained; each halves the number. */
  readonly objections: number
}

/**
 * The number that a member tolerates: the base in proportion to the share of messages answered against the average, halved
 * for every objection, within [min, max]. It never falls by a response and never rises by a message left unanswered.
 */
export const tolerated = (terms: VolumeTerms, responses: ResponsesByChannel, objections: number): Tolerance => {
  let sent = 0
  let responded = 0
  for (const channel in responses) {
    const counts = responses[channel as keyof ResponsesByChannel]
    sent += counts?.sent ?? 0
    responded += counts?.responded ?? 0
  }
  const share = (priorWeight * terms.expectedShare + Math.min(responded, sent)) / (priorWeight + sent)
  const raw = Math.round((terms.base * share) / terms.expectedShare) / 2 ** Math.min(objections, 30)
  return {
    count: Math.max(terms.min, Math.min(terms.max, Math.floor(raw))),
    share,
    sent,
    responded,
    objections
  }
}

/** The number and where it comes from, in one line for the decision ledger. */
export const explainTolerance = (terms: VolumeTerms, tolerance: Tolerance): string => {
  const percent = (share: number) => `${Math.round(share * 1000) / 10}%`
  return `tolerates ${tolerance.count} in ${Math.round(terms.windowMs / 3_600_000)} h: ` +
    `answered ${tolerance.responded} of ${tolerance.sent} (${percent(tolerance.share)} with prior, ` +
    `average ${percent(terms.expectedShare)}, base ${terms.base}` +
    `${tolerance.objections > 0 ? `, ${tolerance.objections} objections` : ""})`
}
