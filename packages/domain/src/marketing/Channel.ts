/**
 * Channel optimisation (RTM-7): which of the channels that may reach a member is the one that the member answers. Pure;
 * the figures are part of the Member actor's state.
 */
import { type Channel } from "./Event.ts"

/** Every channel, in the order in which they are stored and named. Never reordered: places in it are stored. */
export const channels: ReadonlyArray<Channel> = ["mail", "line", "push", "onsite"]

/** How a member answered messages on one channel: how many were sent, and to how many of them there was a response. */
export interface Responses {
  readonly sent: number
  readonly responded: number
}
export type ResponsesByChannel = Readonly<Partial<Record<Channel, Responses>>>

/**
 * The prior, as if five messages had been sent and one answered: a channel that was never tried is expected to do as well as
 * an average one, and a single lucky open does not decide.
 */
export const prior: Responses = { sent: 5, responded: 1 }

/**
 * Beyond this many messages both counts are halved, so that what a member did last year weighs less than what they do now,
 * and the counts stay small.
 */
export const memoryMax = 200

/** Expected share of messages answered: the mean of a Beta distribution over prior and counts; in (0, 1). */
export const expectedResponse = (responses: Responses | undefined): number => {
  const sent = prior.sent + (responses?.sent ?? 0)
  // Responses may be reported before the sending is; no more than all can have been answered.
  return Math.min(prior.responded + (responses?.responded ?? 0), sent) / sent
}

/** Counts one more message, or one more response. */
export const counted = (responses: Responses | undefined, sent: number, responded: number): Responses => {
  const next = { sent: (responses?.sent ?? 0) + sent, responded: (responses?.responded ?? 0) + responded }
  return next.sent > memoryMax ? { sent: next.sent >> 1, responded: next.responded >> 1 } : next
}

export interface Ranking {
  /** All eligible channels, the one to try first in front. */
  readonly order: ReadonlyArray<Channel>
  /** Whether the first one is there to be tried rather than because it is expected to do best. */
  readonly explored: boolean
}

/**
 * Ranks the channels that may be used, given in the campaign's order of preference, by expected response; equals keep the
 * campaign's order. For a share of the (run, member) pairs the least tried of the others comes first, so that a channel that
 * started badly is heard again: `luck` is `chance` of run and member, `explorationShare` 0 never explores.
 */
export const rankChannels = (
  eligible: ReadonlyArray<Channel>,
  responses: ResponsesByChannel,
  explorationShare: number,
  luck: number
): Ranking => {
  if (eligible.length < 2) return { order: eligible, explored: false }
  const order = [...eligible].sort((a, b) => expectedResponse(responses[b]) - expectedResponse(responses[a]))
  if (luck >= explorationShare) return { order, explored: false }
  let least = 1
  for (let i = 2; i < order.length; i++) {
    if ((responses[order[i]!]?.sent ?? 0) < (responses[order[least]!]?.sent ?? 0)) least = i
  }
  const [explored] = order.splice(least, 1)
  return { order: [explored!, ...order], explored: true }
}
