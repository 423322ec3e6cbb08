/**
 * Who goes next: pure, and the only place where it is decided. Given what could start, what is under way, the limits, the
 * shares and the instant, it answers which requests start and in which order. Instants of deadlines are the shop's (on a
 * replay the logical ones).
 *
 * Realtime goes first (G11), but of the requests that start while both classes wait, batch gets at least its minimum share
 * (G12). Within a class the earliest latest start goes first, where waiting counts too: nothing waits longer than `ageMs`
 * behind later arrivals with nearer deadlines. Whatever has a free slot and is due starts: no slot is kept for later.
 */
import { type DeliveryClass, deliveryClasses } from "./Delivery.ts"
import { type Bounds, type Counts, freeSlots, type Operation, operations, widened } from "./RateLimit.ts"

/** One request that could start now. */
export interface Candidate {
  readonly id: string
  readonly operation: Operation
  readonly class: DeliveryClass
  /** Latest instant at which it may start if its deadline is to be kept; see `latestStart`. */
  readonly latestStart: number
  /** After this instant it must not start any more; null for requests that only ask. */
  readonly deadline: number | null
  /** Since when it could have started. */
  readonly since: number
  /** Higher goes first among equals. */
  readonly priority: number
  /** Whether its deadline leaves it the time to wait for the last uploads. */
  readonly patient?: boolean
}

export interface Shares {
  /** Least part of the contested starts that batch gets, 0 to 1. */
  readonly batch: number
  /** After this many ms of waiting a request counts as due whatever its deadline. */
  readonly ageMs: number
}

/**
 * What batch is owed per operation, in starts: its share of the contested starts so far, less those it got. A start is
 * contested while both classes wait; nothing is saved up while batch has nothing to start.
 */
export type Credit = Counts

export interface DispatchInput {
  readonly candidates: ReadonlyArray<Candidate>
  readonly inFlight: Counts
  readonly concurrency: Bounds
  readonly shares: Shares
  readonly credit: Credit
  /** The shop's instant, ms. */
  readonly now: number
  /**
   * No list is to come after those whose uploads are among the candidates. Each of these begins the longest chain that is
   * left, with a wait in it while the provider sends; so they go before what is patient, which fills that wait later.
   */
  readonly lastUploads?: boolean
}

export interface Choice {
  /** What starts, the most urgent first: a limit that turns out lower cuts it at the end. */
  readonly start: ReadonlyArray<Candidate>
  /** What must not start any more. */
  readonly expired: ReadonlyArray<Candidate>
  /** What batch is owed once all of `start` has started; see `settle` when only part of it has. */
  readonly credit: Credit
}

const urgency = (candidate: Candidate, shares: Shares): number =>
  Math.min(candidate.latestStart, candidate.since + shares.ageMs)

const stage = (operation: Operation): number => operations.indexOf(operation)

const waits = (candidate: Candidate): number => candidate.patient === true && candidate.operation !== "upload" ? 1 : 0

/** The order within a class; total, so that equal inputs always give equal choices. */
export const compareUrgency = (shares: Shares, lastUploads = false) => (a: Candidate, b: Candidate): number =>
  (lastUploads ? waits(a) - waits(b) : 0) || urgency(a, shares) - urgency(b, shares) || b.priority - a.priority ||
  stage(a.operation) - stage(b.operation) ||
  (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/** Whether a request of the operation only asks: cheap, repeated at will, and never to displace what does the work. */
const onlyAsks = (operation: Operation): boolean => operation === "status" || operation === "history"

/** Of the slots of all operations together, those that mere questions may use while work waits for one: at least one. */
export const questionSlots = (concurrency: Bounds): number =>
  concurrency.total === null ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(concurrency.total / 4))

class Line {
  private next = 0
  constructor(private readonly sorted: ReadonlyArray<Candidate>) {}
  head(): Candidate | undefined {
    return this.sorted[this.next]
  }
  take(): void {
    this.next++
  }
}

type Lines = Readonly<Record<Operation, Readonly<Record<DeliveryClass, Line>>>>

const lines = (
  candidates: ReadonlyArray<Candidate>,
  order: (a: Candidate, b: Candidate) => number
): Lines => {
  const sorted = candidates.toSorted(order)
  const of = (operation: Operation, cls: DeliveryClass) =>
    new Line(sorted.filter((candidate) => candidate.operation === operation && candidate.class === cls))
  const both = (operation: Operation) => ({ realtime: of(operation, "realtime"), batch: of(operation, "batch") })
  return { send: both("send"), history: both("history"), status: both("status"), upload: both("upload") }
}

/** Sums of shares like 0.1 fall short of 1 by rounding. */
const whole = 1 - 1e-9

/** Whether batch must get the next start to keep its share. */
const claims = (credit: number, shares: Shares): boolean => shares.batch > 0 && credit + shares.batch >= whole

/** What batch is owed after a contested start. */
const charge = (credit: number, started: DeliveryClass, shares: Shares): number =>
  Math.max(0, credit + shares.batch - (started === "batch" ? 1 : 0))

/** Chooses what starts now. */
export const choose = (input: DispatchInput): Choice => {
  const { concurrency, now, shares } = input
  const late = (candidate: Candidate) => candidate.deadline !== null && candidate.deadline <= now
  const expired = input.candidates.filter(late)
  const order = compareUrgency(shares, input.lastUploads)
  const line = lines(input.candidates.filter((candidate) => !late(candidate)), order)
  const inFlight = { ...input.inFlight }
  const credit = { ...input.credit }
  for (const operation of operations) if (line[operation].batch.head() === undefined) credit[operation] = 0
  const start: Array<Candidate> = []
  const rank = (candidate: Candidate, claimed: boolean) => claimed ? 0 : candidate.class === "realtime" ? 1 : 2

  for (;;) {
    const heads = operations.flatMap((operation) => {
      if (freeSlots(concurrency, inFlight, operation) === 0) return []
      const { batch, realtime } = line[operation]
      const claim = batch.head()
      if (claim !== undefined && realtime.head() !== undefined && claims(credit[operation], shares)) {
        return [{ head: claim, claimed: true }]
      }
      const head = realtime.head() ?? claim
      return head === undefined ? [] : [{ head, claimed: false }]
    })
    const asking = inFlight.status + inFlight.history >= questionSlots(concurrency)
    const working = heads.filter(({ head }) => !onlyAsks(head.operation))
    const open = asking && working.length > 0 ? working : heads
    const first = open.toSorted((a, b) => rank(a.head, a.claimed) - rank(b.head, b.claimed) || order(a.head, b.head))[0]
    if (first === undefined) return { start, expired, credit }
    const { class: cls, operation } = first.head
    const contested = deliveryClasses.every((each) => line[operation][each].head() !== undefined)
    if (contested) credit[operation] = charge(credit[operation], cls, shares)
    line[operation][cls].take()
    inFlight[operation]++
    start.push(first.head)
  }
}

/**
 * What may be made ready ahead of its turn, as an input to `choose`: so many requests more than there is room for, so that
 * one can start in the turn in which another ends; and as many again for realtime, which must find a place beside whatever
 * batch has ready. `inFlight` counts what is ready as well as what is under way.
 */
export const readyInput = (input: DispatchInput, ahead: number): DispatchInput => {
  const batch = input.candidates.filter((candidate) => candidate.class === "batch")
  const fits = choose({ ...input, candidates: batch, concurrency: widened(input.concurrency, ahead) })
  const may = new Set([...fits.start, ...fits.expired])
  return {
    ...input,
    candidates: input.candidates.filter((candidate) => candidate.class === "realtime" || may.has(candidate)),
    concurrency: widened(input.concurrency, 2 * ahead)
  }
}

/** What batch is owed when of a choice only `started` has started: the rest of it still waits. */
export const settle = (input: DispatchInput, choice: Choice, started: ReadonlySet<string>): Credit => {
  const credit = { ...input.credit }
  const expired = new Set(choice.expired)
  const waiting = input.candidates.filter((candidate) => !expired.has(candidate))
  for (const operation of operations) {
    const left = { realtime: 0, batch: 0 }
    for (const one of waiting) if (one.operation === operation) left[one.class]++
    if (left.batch === 0) credit[operation] = 0
    for (const one of choice.start) {
      if (one.operation !== operation || !started.has(one.id)) continue
      if (left.realtime > 0 && left.batch > 0) credit[operation] = charge(credit[operation], one.class, input.shares)
      left[one.class]--
    }
  }
  return credit
}

/** How long requests take, learned from those that ended: real ms. */
export interface Pace {
  /** Of a request with no recipients. */
  readonly requestMs: number
  readonly perRecipientMs: number
}

/** How much one observation moves the estimate. */
const learning = 0.2

/** The estimate after an upload of `recipients` took `tookMs`. */
export const learnPace = (pace: Pace, recipients: number, tookMs: number): Pace => {
  const predicted = predictMs(pace, recipients)
  if (predicted <= 0) return { requestMs: tookMs, perRecipientMs: pace.perRecipientMs }
  const factor = 1 + learning * (Math.max(0, tookMs) / predicted - 1)
  return { requestMs: pace.requestMs * factor, perRecipientMs: pace.perRecipientMs * factor }
}

/** Predicted length of a request with so many recipients, ms. */
export const predictMs = (pace: Pace, recipients: number): number => pace.requestMs + pace.perRecipientMs * recipients

/**
 * Latest start with which so many recipients are through by the deadline, in lists of `listSize` on `slots` slots, and at
 * most so many messages a second.
 */
export const latestStart = (
  deadline: number,
  recipients: number,
  pace: Pace,
  listSize: number,
  slots: number,
  perSecond: number | null = null
): number => {
  const lists = Math.ceil(recipients / Math.max(1, listSize))
  const rounds = Math.ceil(lists / Math.max(1, slots))
  const requestsMs = rounds * predictMs(pace, Math.min(recipients, listSize))
  return deadline - Math.max(requestsMs, perSecond === null ? 0 : recipients * 1_000 / perSecond)
}

/** A group of due deliveries that could become one list. */
export interface Group extends Omit<Candidate, "operation" | "deadline"> {
  /** Whether it fills a whole list. */
  readonly full: boolean
  /** Which system asked for it; the shop's own campaigns where absent. */
  readonly system?: string
}

/** What keeps one system from taking all slots for itself. */
export interface Fairness {
  /** Groups that must start by now go first whoever's they are. */
  readonly now: number
  /** Lists made so far, by system. */
  readonly served: ReadonlyMap<string, number>
}
const nobodyServed: Fairness = { now: Number.NEGATIVE_INFINITY, served: new Map() }

/** Of some groups in their order, the next one: late ones first, else the first of the system that had least so far. */
const nextOf = (groups: ReadonlyArray<Group>, now: number, served: ReadonlyMap<string, number>): Group | undefined => {
  const [first] = groups
  if (first === undefined || first.latestStart <= now) return first
  return groups.reduce(
    (best, group) => (served.get(group.system ?? "") ?? 0) < (served.get(best.system ?? "") ?? 0) ? group : best,
    first
  )
}

/**
 * Which groups become lists now, one list for each time a group is named. Few are made before their turn, so that the order
 * can still change and small groups can still grow: as many as there are free upload slots, and `ahead` per class beyond. Of
 * batch only whole ones are made in advance, but for a first one: batch that has nothing queued could not claim its share.
 * Systems take turns within a class; a system's groups go the most urgent first.
 */
export const listNext = (
  groups: ReadonlyArray<Group>,
  queued: Readonly<Record<DeliveryClass, number>>,
  free: number,
  ahead: number,
  shares: Shares,
  fairness: Fairness = nobodyServed
): ReadonlyArray<Group> => {
  const order = compareUrgency(shares)
  const chosen: Array<Group> = []
  const served = new Map(fairness.served)
  let room = free
  for (const cls of deliveryClasses) {
    let left = groups.filter((group) => group.class === cls)
      .toSorted((a, b) =>
        order({ ...a, operation: "upload", deadline: null }, { ...b, operation: "upload", deadline: null })
      )
    let lists = queued[cls]
    for (;;) {
      const group = nextOf(left, fairness.now, served)
      if (group === undefined) break
      const hasSlot = lists < room
      const inAdvance = lists < room + ahead && (group.full || cls === "realtime" || lists === 0)
      if (hasSlot || inAdvance) {
        chosen.push(group)
        lists++
        served.set(group.system ?? "", (served.get(group.system ?? "") ?? 0) + 1)
        // A whole list's worth may well be followed by another; a group that was smaller is used up.
        if (group.full) continue
      }
      left = left.filter((one) => one !== group)
    }
    room = Math.max(0, room - lists)
  }
  return chosen
}
