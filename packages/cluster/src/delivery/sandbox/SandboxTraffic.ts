/**
 * Requests as the sandbox sees them: which are under way, which break a limit, how well the limits are used. A fold over
 * the record's `start` and `end` entries; nothing else may change it.
 *
 * A request is under way from its arrival until its answer is handed to the socket: a client that starts the next request
 * only after the answer to the last is therefore never counted as being over. Refused requests occupy nothing and do not
 * count in the window of the rate; those that are made to fail do both. A send counts with its messages when it arrives, be
 * it made to fail or not: its client cannot know that nothing went out. Only a 429 says so.
 */
import type { Breach, Ended, Started } from "./SandboxEntry.ts"
import { type Counts, type RequestSeen, requestsKeptMax } from "./SandboxReport.ts"
import { type Operation, operations, type Reach, type SandboxSettings } from "./SandboxSettings.ts"

const reaches: ReadonlyArray<Reach> = ["total", ...operations]
const zero = (): { -readonly [K in keyof Counts]: number } => ({ total: 0, upload: 0, send: 0, status: 0, history: 0 })

/** Width of the window in which starts are counted for the rate. */
const windowMs = 1000

/** Starts within the last second, oldest first. */
class Window {
  private readonly starts: Array<number> = []
  private first = 0
  /** Starts in the second that ends at `now`, its beginning excluded. */
  count(now: number): number {
    while (this.first < this.starts.length && (this.starts[this.first] ?? 0) <= now - windowMs) this.first++
    if (this.first > 1024 && this.first * 2 > this.starts.length) {
      this.starts.splice(0, this.first)
      this.first = 0
    }
    return this.starts.length - this.first
  }
  add(at: number): void {
    this.starts.push(at)
  }
  /** How long until fewer than `limit` starts are in the window. */
  roomAfter(now: number, limit: number): number {
    const blocking = this.starts[this.starts.length - limit]
    return blocking === undefined ? 0 : Math.max(0, blocking + windowMs - now)
  }
}

/** Width of the window in which messages of a day are counted, ms. */
const dayMs = 86_400_000

/** Messages of sends within a window, oldest first. */
class Messages {
  private readonly sends: Array<{ readonly at: number; readonly messages: number }> = []
  private first = 0
  private sum = 0
  constructor(private readonly windowMs: number) {}
  /** Messages in the window that ends at `now`, its beginning excluded. */
  count(now: number): number {
    for (let oldest = this.sends[this.first]; oldest !== undefined && oldest.at <= now - this.windowMs;) {
      this.sum -= oldest.messages
      oldest = this.sends[++this.first]
    }
    if (this.first > 1024 && this.first * 2 > this.sends.length) {
      this.sends.splice(0, this.first)
      this.first = 0
    }
    return this.sum
  }
  add(at: number, messages: number): void {
    this.sends.push({ at, messages })
    this.sum += messages
  }
  /** How long until `messages` of those in the window have left it. */
  leftAfter(now: number, messages: number): number {
    let left = 0
    for (let next = this.first; next < this.sends.length; next++) {
      const send = this.sends[next]
      left += send?.messages ?? 0
      if (send !== undefined && left >= messages) return Math.max(0, send.at + this.windowMs - now)
    }
    return this.windowMs
  }
}

const windows = (): Record<Reach, Window> => ({
  total: new Window(),
  upload: new Window(),
  send: new Window(),
  status: new Window(),
  history: new Window()
})

const nullable = <A>(of: (reach: Reach) => A): Record<Reach, A> => ({
  total: of("total"),
  upload: of("upload"),
  send: of("send"),
  status: of("status"),
  history: of("history")
})

type Seen = { -readonly [K in keyof RequestSeen]: RequestSeen[K] }

export class SandboxTraffic {
  private readonly open = new Map<number, Seen>()
  private kept: Array<Seen> = []
  private readonly starts = windows()
  private readonly second = new Messages(windowMs)
  private readonly day = new Messages(dayMs)
  /** Until when a list that was above the limit of a second holds the rate by itself. */
  private heldUntil = 0
  private readonly peakMessages = { perSecond: 0, perDay: 0 }
  private readonly underWay = zero()
  private readonly requests = zero()
  private readonly peak = zero()
  private readonly peakRate = zero()
  private readonly violations = { concurrency: 0, rate: 0, messages: 0, day: 0, of: zero() }
  private readonly faults: Record<string, number> = {}
  private readonly answers: Record<string, number> = {}
  private throttled = 0
  private cutByDeath = 0
  private readonly requestMs = zero()
  private readonly busyMs = zero()
  private readonly possibleMs = zero()
  private unlimited = { total: false, upload: false, send: false, status: false, history: false }
  private integratedTo: number
  private firstStartAt: number | null = null
  private lastEndAt: number | null = null

  constructor(now: number) {
    this.integratedTo = now
  }

  /** Requests to which a fault was done so far. */
  faultsDone = 0

  /** Which limit a request of this kind would break if it started now. */
  breach(op: Operation, now: number, settings: SandboxSettings, messages: number): Breach | undefined {
    const both: ReadonlyArray<Reach> = ["total", op]
    for (const of of both) {
      const limit = settings.concurrency[of]
      if (limit !== null && this.underWay[of] >= limit) {
        return { limit: "concurrency", of, retryAfterMs: settings.retryAfterMs }
      }
    }
    for (const of of both) {
      const limit = settings.perSecond[of]
      if (limit !== null && this.starts[of].count(now) >= limit) {
        return { limit: "rate", of, retryAfterMs: this.starts[of].roomAfter(now, limit) }
      }
    }
    return messages === 0 ? undefined : this.messageBreach(now, settings, messages)
  }

  /** A list above the limit of a second may go alone; then nothing may for as long as its messages take. */
  private messageBreach(now: number, settings: SandboxSettings, messages: number): Breach | undefined {
    const { perDay, perSecond } = settings.messages
    if (perSecond !== null) {
      const used = this.second.count(now)
      const over = used === 0 ? 0 : used + Math.min(messages, perSecond) - perSecond
      const retryAfterMs = Math.max(this.heldUntil - now, over > 0 ? this.second.leftAfter(now, over) : 0)
      if (retryAfterMs > 0) return { limit: "messages", of: "send", retryAfterMs }
    }
    if (perDay !== null) {
      const over = this.day.count(now) + messages - perDay
      if (over > 0) return { limit: "day", of: "send", retryAfterMs: this.day.leftAfter(now, over) }
    }
    return undefined
  }

  private countMessages({ at, breach, fault, messages = 0 }: Started, settings: SandboxSettings): void {
    if (messages === 0) return
    this.peakMessages.perSecond = Math.max(this.peakMessages.perSecond, this.second.count(at) + messages)
    this.peakMessages.perDay = Math.max(this.peakMessages.perDay, this.day.count(at) + messages)
    // What is refused sends nothing.
    if (breach !== undefined || fault === "throttle") return
    this.second.add(at, messages)
    this.day.add(at, messages)
    const { perSecond } = settings.messages
    if (perSecond !== null && messages > perSecond) this.heldUntil = at + messages * windowMs / perSecond
  }

  started(entry: Started, settings: SandboxSettings): void {
    this.integrate(entry.at, settings)
    this.firstStartAt ??= entry.at
    const seen: Seen = {
      n: entry.n,
      op: entry.op,
      startedAt: entry.at,
      endedAt: null,
      status: null,
      ...(entry.breach && { breach: entry.breach }),
      ...(entry.fault && { fault: entry.fault })
    }
    this.keep(seen)
    this.open.set(entry.n, seen)
    for (const  of of["total", entry.op] as const) {
      this.requests[of]++
      this.peak[of] = Math.max(this.peak[of], this.underWay[of] + 1)
      this.peakRate[of] = Math.max(this.peakRate[of], this.starts[of].count(entry.at) + 1)
      if (entry.breach === undefined) {
        this.underWay[of]++
        this.starts[of].add(entry.at)
      }
    }
    this.countMessages(entry, settings)
    if (entry.breach !== undefined) {
      this.violations[entry.breach.limit]++
      this.violations.of[entry.breach.of]++
    }
    if (entry.fault !== undefined) {
      this.faultsDone++
      this.faults[entry.fault] = (this.faults[entry.fault] ?? 0) + 1
    }
  }

  ended(entry: Ended, settings: SandboxSettings): void {
    this.integrate(entry.at, settings)
    const seen = this.open.get(entry.n)
    if (seen === undefined) return
    this.open.delete(entry.n)
    seen.endedAt = entry.at
    seen.status = entry.status
    this.lastEndAt = entry.at
    this.answers[entry.status] = (this.answers[entry.status] ?? 0) + 1
    if (seen.breach !== undefined) this.throttled++
    else for (const  of of["total", seen.op] as const) this.underWay[of]--
  }

  /** A new process: what was under way died with the old one. */
  reopened(now: number): void {
    this.cutByDeath += this.open.size
    this.open.clear()
    Object.assign(this.underWay, zero())
    this.integratedTo = now
  }

  /** Limits are about to change: the time so far belongs to the old ones. */
  integrate(now: number, settings: SandboxSettings): void {
    const passed = now - this.integratedTo
    this.integratedTo = now
    if (passed <= 0) return
    for (const of of reaches) {
      const count = this.underWay[of]
      if (count === 0) continue
      const limit = settings.concurrency[of]
      this.requestMs[of] += count * passed
      this.busyMs[of] += passed
      if (limit === null) this.unlimited[of] = true
      else this.possibleMs[of] += limit * passed
    }
  }

  /** The traffic after a reset: tallies begin anew, what is under way stays so. */
  reset(now: number): SandboxTraffic {
    const next = new SandboxTraffic(now)
    for (const seen of this.open.values()) {
      if (seen.breach !== undefined) continue
      next.keep(seen)
      next.open.set(seen.n, seen)
      for (const  of of["total", seen.op] as const) {
        next.requests[of]++
        next.underWay[of]++
        next.peak[of] = next.underWay[of]
      }
      next.firstStartAt = now
    }
    return next
  }

  /** Requests numbered above `after`, oldest first. */
  page(after: number, limit: number): ReadonlyArray<RequestSeen> {
    const from = this.kept.findIndex((seen) => seen.n > after)
    return from < 0 ? [] : this.kept.slice(from, from + limit)
  }

  report() {
    return {
      requests: { ...this.requests },
      underWay: { ...this.underWay },
      peakConcurrency: { ...this.peak },
      peakPerSecond: { ...this.peakRate },
      peakMessages: { ...this.peakMessages },
      violations: {
        ...this.violations,
        total: this.violations.concurrency + this.violations.rate + this.violations.messages + this.violations.day,
        of: { ...this.violations.of }
      },
      throttled: { genuine: this.throttled, injected: this.faults["throttle"] ?? 0 },
      faults: { ...this.faults },
      answers: { ...this.answers },
      cutByDeath: this.cutByDeath,
      utilisation: nullable((of) =>
        this.unlimited[of] || this.possibleMs[of] === 0 ? null : this.requestMs[of] / this.possibleMs[of]
      ),
      requestMs: { ...this.requestMs },
      busyMs: { ...this.busyMs },
      firstStartAt: this.firstStartAt,
      lastEndAt: this.lastEndAt
    }
  }

  private keep(seen: Seen): void {
    this.kept.push(seen)
    // A quarter more before it is cut, so that not every request pays for the copy.
    if (this.kept.length > requestsKeptMax * 1.25) this.kept = this.kept.slice(-requestsKeptMax)
  }
}
