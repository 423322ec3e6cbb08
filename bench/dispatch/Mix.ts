/**
 * A random mix of mail: a few batch requests of random sizes and realtime mails at random times, and the least time in which
 * any sender could bring it out. All of it follows from a seed.
 */

/** What a provider takes, ms: an upload by its recipients, a send, a question about a send. */
export interface ProviderTimes {
  readonly uploadMs: number
  readonly perRecipientMs: number
  readonly sendMs: number
  readonly statusMs: number
  /** From the acceptance of a send to its last message. */
  readonly sending: { readonly baseMs: number; readonly perRecipientMs: number }
  /** Most recipients in one list. */
  readonly listSize: number
}

/** The provider of these benches. */
export const provider: ProviderTimes = {
  uploadMs: 100,
  perRecipientMs: 10,
  sendMs: 100,
  statusMs: 50,
  sending: { baseMs: 200, perRecipientMs: 0.5 },
  listSize: 50
}

/** How the sandbox is set up as that provider, with so many requests at a time. */
export const sandboxSettings = (concurrency: number, takes: ProviderTimes = provider): object => {
  const fixed = (ms: number) => ({ _tag: "Fixed", ms })
  return {
    concurrency: { total: concurrency, upload: null },
    perSecond: { total: null },
    latency: {
      upload: fixed(takes.uploadMs),
      send: fixed(takes.sendMs),
      status: fixed(takes.statusMs),
      history: fixed(takes.statusMs)
    },
    uploadPerRecipientMs: takes.perRecipientMs,
    sendDuration: takes.sending
  }
}

/** One mail to be delivered to `recipients` people, all due at `arrivesMs` after the start. */
export interface MailRequest {
  readonly id: string
  /** What it belongs to: batch requests have one of their own, realtime mails share a few. */
  readonly campaign: string
  readonly class: "batch" | "realtime"
  readonly arrivesMs: number
  readonly recipients: number
}

/** mulberry32: numbers in [0, 1) that follow from the seed. */
export const randomFrom = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
}

/** Slot time that a mail needs at the least: its lists uploaded, sent, and asked about once. */
export const workMs = (recipients: number, takes: ProviderTimes = provider): number =>
  Math.ceil(recipients / takes.listSize) * (takes.uploadMs + takes.sendMs + takes.statusMs) +
  recipients * takes.perRecipientMs

/**
 * The least time from the start in which the mix can be finished with so many requests at a time: from no arrival on can the
 * work that is still to come be done faster than the provider does it on all its slots.
 */
export const lowerBoundMs = (mix: ReadonlyArray<MailRequest>, concurrency: number): number =>
  mix.reduce((most, { arrivesMs }) => {
    const after = mix.reduce((sum, one) => one.arrivesMs >= arrivesMs ? sum + workMs(one.recipients) : sum, 0)
    return Math.max(most, arrivesMs + after / concurrency)
  }, 0)

const batches = 6
const realtimeCampaigns = 3

/**
 * `n` batch recipients in requests of random sizes, the first at once, the others within the first third; and `perSecond`
 * realtime mails for as long as the batches keep the provider busy.
 */
export const randomMix = (seed: number, n: number, perSecond: number, concurrency: number): Array<MailRequest> => {
  const random = randomFrom(seed)
  const weights = Array.from({ length: batches }, () => 0.2 + random())
  const sum = weights.reduce((a, b) => a + b, 0)
  const spanMs = workMs(n) / concurrency
  const mix = weights.map((weight, index): MailRequest => ({
    id: `batch${index}`,
    campaign: `batch${index}`,
    class: "batch",
    arrivesMs: index === 0 ? 0 : Math.floor(random() * spanMs / 3),
    recipients: Math.max(1, Math.round(n * weight / sum))
  }))
  for (let at = 0, index = 0;; index++) {
    at += -Math.log(1 - random()) * 1_000 / perSecond
    if (at > spanMs * 0.9) return mix.toSorted((a, b) => a.arrivesMs - b.arrivesMs)
    mix.push({
      id: `now${index}`,
      campaign: `now${index % realtimeCampaigns}`,
      class: "realtime",
      arrivesMs: Math.floor(at),
      recipients: 1
    })
  }
}

/** The recipients of a mail, by the ids that the sandbox will name. */
export const deliveryOf = (mail: string, recipient: number): string => `${mail}:${mail}-m${recipient}`
export const memberOf = (mail: string, recipient: number): string => `${mail}-m${recipient}`
