/**
 * What waits at a cell: bounded in commands and bytes until replied (R10), first in first out per actor, round robin over
 * actors (R23), so that one actor's queue delays its cell-mates by one bounded round at most (G19).
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import type { WireCommand, WireReply } from "./Wire.ts"

export interface Entry {
  readonly actor: string
  readonly id: CommandId
  readonly command: unknown
  readonly at: number | null
  /** Monotonic ms after which nobody waits for the answer any more. */
  readonly expiresAt: number
  readonly bytes: number
  /** Everybody who waits for this command's answer: a repeat joins instead of being queued twice. */
  readonly waiters: Array<(reply: WireReply) => void>
  /** Fingerprint, made when first needed. */
  hash: string | null
  /** Rounds that ended without a verdict for it. */
  attempts: number
  /** Rounds that died while it was in them (R10). */
  deaths: number
  /** Decide it in a unit of its own, since its unit was refused by the store. */
  alone: boolean
}

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

export class Intake {
  readonly limits: IntakeLimits
  private readonly queues = new Map<string, Array<Entry>>()
  /** All that is not replied yet, queued or in a round: actor and id. */
  private readonly open = new Map<string, Entry>()
  private bytes = 0
  private queued = 0
  /** Commands replied since `rateSince`, for an honest retry time. */
  private replied = 0
  private rateSince = 0

  constructor(limits: IntakeLimits) {
    this.limits = limits
  }

  private key(actor: string, id: CommandId): string {
    return `${id}${actor}`
  }

  get waiting(): number {
    return this.queued
  }

  get size(): number {
    return this.open.size
  }

  /** Queues a command, joins the one under way with its id, or answers at once that there is no room. */
  offer(command: WireCommand, bytes: number, now: number, reply: (reply: WireReply) => void): void {
    const key = this.key(command.actor, command.id)
    const open = this.open.get(key)
    if (open !== undefined) {
      open.waiters.push(reply)
      return
    }
    if (this.open.size >= this.limits.commandsMax || this.bytes + bytes > this.limits.bytesMax) {
      reply({ _tag: "Overloaded", retryAfter: this.retryAfter(now) })
      return
    }
    const entry: Entry = {
      actor: command.actor,
      id: command.id,
      command: command.command,
      at: command.at,
      expiresAt: now + command.within,
      bytes,
      waiters: [reply],
      hash: null,
      attempts: 0,
      deaths: 0,
      alone: false
    }
    this.open.set(key, entry)
    this.bytes += bytes
    this.enqueue(entry)
  }

  private enqueue(entry: Entry): void {
    const queue = this.queues.get(entry.actor)
    if (queue === undefined) this.queues.set(entry.actor, [entry])
    else queue.push(entry)
    this.queued++
  }

  /** Takes the next round: every waiting actor in turn gets its share of the round. */
  take(max: number): Array<Entry> {
    const round: Array<Entry> = []
    const share = Math.max(1, Math.ceil(max / Math.max(1, this.queues.size)))
    for (const [actor, queue] of this.queues) {
      if (round.length >= max) break
      const first = queue[0]
      const count = first?.alone ? 1 : Math.min(share, max - round.length)
      const taken = queue.splice(0, count)
      // An entry that must be alone ends its actor's part of the round before it.
      const stop = taken.findIndex((entry, i) => i > 0 && entry.alone)
      if (stop > 0) queue.unshift(...taken.splice(stop))
      for (const entry of taken) round.push(entry)
      // To the end of the rotation, or out of it.
      this.queues.delete(actor)
      if (queue.length > 0) this.queues.set(actor, queue)
    }
    this.queued -= round.length
    return round
  }

  /** Whether somebody still waits for it. */
  isOpen(entry: Entry): boolean {
    return this.open.get(this.key(entry.actor, entry.id)) === entry
  }

  /** Puts entries back before anything newer of their actors, in their order (R4, R7). */
  putBack(entries: ReadonlyArray<Entry>): void {
    const byActor = new Map<string, Array<Entry>>()
    for (const entry of entries) {
      const list = byActor.get(entry.actor)
      if (list === undefined) byActor.set(entry.actor, [entry])
      else list.push(entry)
    }
    const rest = [...this.queues]
    this.queues.clear()
    for (const [actor, list] of byActor) this.queues.set(actor, list)
    for (const [actor, queue] of rest) {
      const list = this.queues.get(actor)
      if (list === undefined) this.queues.set(actor, queue)
      else list.push(...queue)
    }
    this.queued += entries.length
  }

  /** The final word on a command: everybody who waits hears it, its room is free again. */
  reply(entry: Entry, reply: WireReply): void {
    const key = this.key(entry.actor, entry.id)
    if (this.open.get(key) !== entry) return
    this.open.delete(key)
    this.bytes -= entry.bytes
    this.replied++
    for (const waiter of entry.waiters) waiter(reply)
  }

  /** Answers everything that is queued; the cell is going away. */
  drain(reply: WireReply): void {
    for (const entry of [...this.open.values()]) this.reply(entry, reply)
    this.queues.clear()
    this.queued = 0
  }

  /** ms until half of what waits now has been served at the recent rate; between 50 ms and 10 s. */
  retryAfter(now: number): number {
    const elapsed = Math.max(1, now - this.rateSince)
    const perMs = this.replied / elapsed
    if (elapsed > 5000) {
      this.replied = 0
      this.rateSince = now
    }
    const estimate = perMs > 0 ? this.open.size / 2 / perMs : 1000
    return Math.round(Math.min(10_000, Math.max(50, estimate)))
  }
}
