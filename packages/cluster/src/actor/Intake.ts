/**
 * What waits at a cell: bounded in commands and bytes until replied (R10), first in first out per actor, round robin over
 * actors (R23), so that one actor's queue delays its cell-mates by one bounded round at most and never takes their room
 * (G19).
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import type { Traced } from "./CellTrace.ts"
import { FairQueue } from "./FairQueue.ts"
import { fingerprint, type WireCommand, type WireReply } from "./Wire.ts"

export interface Entry {
  readonly actor: string
  readonly id: CommandId
  readonly command: unknown
  readonly at: number | null
  /** Monotonic ms after which nobody waits for the answer any more; a repeat may wait longer than the first did. */
  expiresAt: number
  readonly bytes: number
  /** Everybody who waits for this command's answer: a repeat joins instead of being queued twice. */
  readonly waiters: Array<Waiter>
  /** Repeats that came while a round with it was under way: what that round reads may be older than they are (R1). */
  readonly latecomers: Array<Waiter>
  /** A round with it is under way. */
  taken: boolean
  /** Fingerprint, made when first needed. */
  hash: string | null
  /** Rounds that ended without a verdict for it; from the first on it is looked up before it is decided. */
  attempts: number
  /** Rounds refused by the fence, of those. */
  refusals: number
  /** Rounds that died while it was in them (R10). */
  deaths: number
  /** Decide it in a unit of its own, since its unit was refused by the store. */
  alone: boolean
  /** The trace that it belongs to, if it is sampled. */
  readonly trace: Traced | null
}

/** Takes the answer; `false` says that nobody waits there any more. */
type Waiter = (reply: WireReply) => unknown

/** Bounds of one cell; all documented here since they are the cell's promise of memory. */
export interface IntakeLimits {
  /** Commands from arrival until reply. */
  readonly commandsMax: number
  /** Bytes of commands (as text) from arrival until reply. */
  readonly bytesMax: number
  /** Commands taken into one round. */
  readonly roundMax: number
}

export const limitsDefault: IntakeLimits = { commandsMax: 8192, bytesMax: 32 * 1024 * 1024, roundMax: 1024 }

/** Repeats of one command that wait for its answer; one more sends the first of them back to ask again. */
export const waitersMax = 16

/**
 * Answers that found nobody waiting, kept for the repeat that collects them by id (R9): so many, and for so long (ms, at
 * least; a repeat comes when a message is given up for lost, which takes seconds).
 */
export const keptMax = 1024
export const keptFor = 10_000

interface Kept {
  readonly reply: WireReply
  /** Fingerprint of the command. */
  readonly hash: string
  /** Monotonic ms when it was first seen to be old; null: it is new. */
  at: number | null
}

/**
 * Whether an answer is worth being kept: it cost a round, and is about the command. Where an actor lives is asked anew: what
 * was true for this command may not be for those that come with its repeat, which would overtake it.
 */
const worthKeeping = (reply: WireReply): boolean =>
  reply._tag === "Reply" || reply._tag === "Fault" || reply._tag === "Differs"

/** How many of an actor's first entries one round may take (R4): what comes again does so before anything newer joins it. */
const run = (queue: ReadonlyArray<Entry>): number => {
  const first = queue[0]!
  if (first.alone) return 1
  const again = first.attempts > 0
  let n = 1
  while (n < queue.length && !queue[n]!.alone && queue[n]!.attempts > 0 === again) n++
  return n
}

export class Intake {
  readonly limits: IntakeLimits
  private readonly queue = new FairQueue<Entry>()
  /** All that is not replied yet, queued or in a round, by actor and id, in order of arrival. */
  private readonly open = new Map<string, Entry>()
  private readonly kept = new Map<string, Kept>()
  private bytes = 0
  /** Commands replied since `rateSince`, and the rate per ms of the second before: for an honest retry time. */
  private replied = 0
  private rateSince = 0
  private rate = 0

  constructor(limits: IntakeLimits) {
    this.limits = limits
  }

  private key(actor: string, id: CommandId): string {
    return `${id}${actor}`
  }

  get waiting(): number {
    return this.queue.size
  }

  get size(): number {
    return this.open.size
  }

  /** Queues a command, joins the one under way with its id, or answers at once that there is no room. */
  offer(command: WireCommand, bytes: number, now: number, reply: Waiter): void {
    this.measure(now)
    const key = this.key(command.actor, command.id)
    const open = this.open.get(key)
    if (open !== undefined) {
      this.join(open, command, now, reply)
      return
    }
    if (this.kept.size > 0 && this.collect(key, command, reply)) return
    if (!this.makeRoom(command.actor, bytes)) {
      reply({ _tag: "Overloaded", retryAfter: this.retryAfter() })
      return
    }
    this.add({
      actor: command.actor,
      id: command.id,
      command: command.command,
      at: command.at,
      expiresAt: now + remaining(command),
      bytes,
      waiters: [reply],
      latecomers: [],
      taken: false,
      hash: null,
      attempts: 0,
      refusals: 0,
      deaths: 0,
      alone: false,
      trace: command.trace === undefined ? null : { ...command.trace, arrivedAt: now }
    })
  }

  private add(entry: Entry): void {
    this.open.set(this.key(entry.actor, entry.id), entry)
    this.bytes += entry.bytes
    this.queue.push(entry)
  }

  private join(entry: Entry, command: WireCommand, now: number, reply: Waiter): void {
    try {
      const hash = entry.hash ??= fingerprint(entry.command)
      if (fingerprint(command.command) !== hash) {
        reply({ _tag: "Differs" })
        return
      }
    } catch (cause) {
      reply({ _tag: "Fault", reason: String(cause) })
      return
    }
    entry.expiresAt = Math.max(entry.expiresAt, now + remaining(command))
    const waiters = entry.taken ? entry.latecomers : entry.waiters
    waiters.push(reply)
    if (waiters.length > waitersMax) waiters.shift()?.({ _tag: "Pending" })
  }

  /**
   * Answers a repeat with what its command came to when nobody was there to hear it. The round that decided it began after
   * the command had first arrived, so it is true of an instant at which somebody waited (R1); another round would answer as
   * late as the one before, and the next one too, for ever.
   */
  private collect(key: string, command: WireCommand, reply: Waiter): boolean {
    const kept = this.kept.get(key)
    if (kept === undefined) return false
    if (hashOf(command.command) !== kept.hash) return false
    // Once it is heard, whoever asks again asks anew.
    if (tell(reply, kept.reply)) this.kept.delete(key)
    return true
  }

  private keep(key: string, entry: Entry, reply: WireReply): void {
    const hash = entry.hash ?? hashOf(entry.command)
    if (hash === null) return
    this.kept.delete(key)
    this.kept.set(key, { reply, hash, at: null })
    for (const [oldest] of this.kept) {
      if (this.kept.size <= keptMax) break
      this.kept.delete(oldest)
    }
  }

  /** Nothing that was answered counts any more: the store has another history (R5). */
  forget(): void {
    this.kept.clear()
  }

  private fits(bytes: number): boolean {
    return this.open.size < this.limits.commandsMax && this.bytes + bytes <= this.limits.bytesMax
  }

  /**
   * Whether one more command of the actor has room. When there is none, an actor with less than its share of what waits
   * takes it from the one with most: who rushes in is turned away, not the neighbours (G19).
   */
  private makeRoom(actor: string, bytes: number): boolean {
    if (this.fits(bytes)) return true
    const { queue } = this
    const own = queue.of(actor)
    if (own + 1 > queue.size / (queue.actors + (own === 0 ? 1 : 0))) return false
    const last = queue.takeNewestOfLongest()
    if (last === undefined) return false
    // What was in a round may have happened already, so it cannot be told that it did not.
    if (last.attempts > 0 || this.bytes - last.bytes + bytes > this.limits.bytesMax) {
      queue.push(last)
      return false
    }
    this.reply(last, { _tag: "Overloaded", retryAfter: this.retryAfter() })
    return true
  }

  /** Takes the next round: every waiting actor in turn gets its share of the round. */
  take(max: number): Array<Entry> {
    return this.taken(this.queue.take(max, run))
  }

  /** Takes what has been in a round that died, in order, at most `max`. */
  takeSuspects(max: number): Array<Entry> {
    return this.taken(this.queue.takeWhile(max, (entry) => entry.deaths > 0))
  }

  private taken(entries: Array<Entry>): Array<Entry> {
    for (const entry of entries) entry.taken = true
    return entries
  }

  /** Whether somebody still waits for it. */
  isOpen(entry: Entry): boolean {
    return this.open.get(this.key(entry.actor, entry.id)) === entry
  }

  /** Puts entries back before anything newer of their actors, in their order (R4, R7). */
  putBack(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      entry.taken = false
      // The round to come begins after they arrived.
      for (const waiter of entry.latecomers.splice(0)) entry.waiters.push(waiter)
    }
    this.queue.putBack(entries)
  }

  /** Queues anew all that is not replied, in order of arrival; for a loop that lost track of its round. */
  requeue(): void {
    this.queue.clear()
    const all = [...this.open.values()]
    for (const entry of all) entry.attempts++
    this.putBack(all)
  }

  /**
   * The final word on a command: everybody who waits hears it, its room is free again. An answer that is not on record
   * (`lasting` false) is no answer for who came after its round had begun, once somebody has heard it (R1): for them the
   * command is queued again. If nobody has, those who came are the ones that were told to ask again, and it is for them; if
   * nobody is there at all, it is kept.
   */
  reply(entry: Entry, reply: WireReply, lasting = true): void {
    const key = this.key(entry.actor, entry.id)
    if (this.open.get(key) !== entry) return
    this.open.delete(key)
    this.bytes -= entry.bytes
    this.replied++
    let heard = false
    for (const waiter of entry.waiters) if (tell(waiter, reply)) heard = true
    if (heard && !lasting && entry.latecomers.length > 0) {
      this.add({ ...entry, waiters: entry.latecomers, latecomers: [], taken: false })
      return
    }
    for (const waiter of entry.latecomers) if (tell(waiter, reply)) heard = true
    if (!heard && worthKeeping(reply)) this.keep(key, entry, reply)
  }

  /** Sends on all that is queued for one actor, but for what `stays`. */
  sendOn(actor: string, reply: WireReply, stays: (command: unknown) => boolean): void {
    for (const entry of this.queue.takeActor(actor)) {
      if (stays(entry.command)) this.queue.push(entry)
      else this.reply(entry, reply)
    }
  }

  /** Answers what is queued and not in a round. */
  drainQueue(reply: WireReply): void {
    for (const entry of this.queue.take(this.queue.size)) this.reply(entry, reply)
  }

  /** Answers everything; the cell is going away. */
  drain(reply: WireReply): void {
    this.queue.clear()
    for (const entry of [...this.open.values()]) this.reply(entry, reply)
  }

  private measure(now: number): void {
    const elapsed = now - this.rateSince
    if (elapsed < rateWindow) return
    for (const [key, kept] of this.kept) {
      kept.at ??= now
      if (now - kept.at > keptFor) this.kept.delete(key)
    }
    // After a pause the rate of the time before says nothing.
    this.rate = elapsed < 2 * rateWindow ? this.replied / elapsed : 0
    this.replied = 0
    this.rateSince = now
  }

  /** ms until half of what waits now has been served at the recent rate; between 50 ms and 10 s. */
  private retryAfter(): number {
    const estimate = this.rate > 0 ? this.open.size / 2 / this.rate : 1000
    return Math.round(Math.min(10_000, Math.max(50, estimate)))
  }
}

/** Longest that a command waits, ms; what is no number is no time. */
const withinMax = 24 * 3_600_000
const remaining = ({ within }: WireCommand): number => Math.max(0, Math.min(withinMax, within) || 0)

/** ms over which the rate of service is measured. */
const rateWindow = 1000

/** A command's fingerprint, or null for what has none. */
const hashOf = (command: unknown): string | null => {
  try {
    return fingerprint(command)
  } catch {
    return null
  }
}

/** Whether somebody heard it. A waiter that fails keeps nobody else from hearing, and ends no round. */
const tell = (waiter: Waiter, reply: WireReply): boolean => {
  try {
    return waiter(reply) !== false
  } catch {
    // Whoever waits there asks again with the same id.
    return false
  }
}
