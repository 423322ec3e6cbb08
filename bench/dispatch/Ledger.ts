import type { Mail } from "./Day.ts"
import type { VirtualTime } from "./VirtualTime.ts"

/** What one way of sending came to, in virtual time. */
export class Ledger {
  /** Slots in use, by five minutes: of realtime and of batch. */
  readonly used: Array<{ batch: number; realtime: number }> = []
  readonly waits: Array<number> = []
  /** From the arrival of each batch to its end. */
  readonly batches = new Map<string, number>()
  finishedAt = 0
  peak = 0
  private busy = 0
  private due = 0
  private last = 0
  private busyWhileDue = 0
  private timeDue = 0
  private readonly left = new Map<string, number>()
  static readonly span = 5 * 60_000

  constructor(private readonly time: VirtualTime, private readonly limit: number) {}

  private pass(): void {
    const { now } = this.time
    if (this.due > 0) {
      this.timeDue += now - this.last
      this.busyWhileDue += (now - this.last) * Math.min(this.busy, this.limit)
    }
    this.last = now
  }
  arrived(mail: Mail): void {
    this.pass()
    this.due += mail.recipients
    this.left.set(mail.id, mail.recipients)
  }
  /** The upload of a list starts: its recipients are due no more. */
  began(mail: Mail, recipients: number): void {
    this.pass()
    this.due -= recipients
    if (mail.class === "realtime") this.waits.push(this.time.now - mail.at)
  }
  started(cls: Mail["class"], ms: number): void {
    this.pass()
    this.busy++
    this.peak = Math.max(this.peak, this.busy)
    let from = this.time.now
    const until = from + ms
    while (from < until) {
      const index = Math.floor(from / Ledger.span)
      const to = Math.min(until, (index + 1) * Ledger.span)
      const cell = this.used[index] ??= { batch: 0, realtime: 0 }
      cell[cls] += to - from
      from = to
    }
  }
  ended(): void {
    this.pass()
    this.busy--
    this.finishedAt = this.time.now
  }
  completed(mail: Mail, recipients: number): void {
    const left = (this.left.get(mail.id) ?? 0) - recipients
    this.left.set(mail.id, left)
    if (left === 0 && mail.class === "batch") this.batches.set(mail.id, this.time.now - mail.at)
  }
  get utilisation(): number {
    return this.timeDue === 0 ? 1 : this.busyWhileDue / (this.timeDue * this.limit)
  }
  get unfinished(): number {
    return [...this.left.values()].reduce((sum, n) => sum + n, 0)
  }
}
