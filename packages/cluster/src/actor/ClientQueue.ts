/**
 * The queues of one client for one kind: commands per cell in order, one batch in flight per cell (R7), one message per
 * runner for many cells. Plain data and callbacks, since every command of the shop passes here; what sends a message is
 * given from outside.
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import { cellOf, isHot } from "./Placement.ts"
import type { WireAnswer, WireGroup, WireReply } from "./Wire.ts"

export interface Item {
  readonly actor: string
  readonly id: CommandId
  readonly command: unknown
  readonly at: number | null
  /** Monotonic ms. */
  readonly expiresAt: number
  readonly resume: (reply: WireReply) => void
  settled: boolean
}

interface CellQueue {
  readonly cell: string
  queue: Array<Item>
  /** A batch is under way, or the cell rests after a failure. */
  busy: boolean
  /** Runner seen last; null: ask the cell itself. */
  runner: string | null
}

export interface QueueLimits {
  /** Commands from `send` until answer, all cells of the kind. */
  readonly openMax: number
  /** Commands queued or under way for one cell. */
  readonly cellMax: number
  /** Commands of one cell in one message (quota of a carrier). */
  readonly batchMax: number
  /** Messages under way to one runner. */
  readonly messagesMax: number
  /** Cells whose actors have moved away that are remembered. */
  readonly movedMax: number
}

export const queueLimitsDefault: QueueLimits = {
  openMax: 50_000,
  cellMax: 8_192,
  batchMax: 1_024,
  messagesMax: 2,
  movedMax: 10_000
}

/** Sends one message to the cell named; `done` is called once, with the answer or null when it failed. */
export type Post = (
  carrier: string,
  groups: ReadonlyArray<WireGroup>,
  done: (answer: WireAnswer | null) => void
) => void

export class ClientQueue {
  private readonly cells = new Map<string, CellQueue>()
  private readonly moved = new Map<string, string>()
  private readonly underWay = new Map<string, number>()
  private readonly open = new Set<Item>()
  private scheduled = false
  private readonly cellCount: number
  private readonly limits: QueueLimits
  private readonly post: Post
  private readonly rest: (ms: number, wake: () => void) => void
  private readonly monotonic: () => number

  constructor(options: {
    readonly cells: number
    readonly limits: QueueLimits
    readonly post: Post
    /** Calls back after so many ms. */
    readonly rest: (ms: number, wake: () => void) => void
    readonly monotonic: () => number
  }) {
    this.cellCount = options.cells
    this.limits = options.limits
    this.post = options.post
    this.rest = options.rest
    this.monotonic = options.monotonic
  }

  get openCount(): number {
    return this.open.size
  }

  private queueOf(cell: string): CellQueue {
    let queue = this.cells.get(cell)
    if (queue === undefined) this.cells.set(cell, queue = { cell, queue: [], busy: false, runner: null })
    return queue
  }

  /** Queues a command, or answers at once that there is no room. */
  send(item: Item): void {
    const queue = this.queueOf(this.moved.get(item.actor) ?? cellOf(item.actor, this.cellCount))
    if (this.open.size >= this.limits.openMax || queue.queue.length >= this.limits.cellMax) {
      item.settled = true
      // Nothing is known of the service rate here beyond the queue's own length: about 10,000 commands a second.
      item.resume({ _tag: "Overloaded", retryAfter: Math.min(5000, 50 + Math.round(queue.queue.length / 10)) })
      return
    }
    this.open.add(item)
    queue.queue.push(item)
    this.schedule()
  }

  /** Nobody waits for it any more; if it has not left, it never will. */
  abandon(item: Item): void {
    item.settled = true
    this.open.delete(item)
  }

  /** Answers what has waited beyond its deadline; whether it was executed is for its id to say later. */
  expire(): void {
    const now = this.monotonic()
    for (const item of this.open) {
      if (item.expiresAt <= now) this.settle(item, { _tag: "Late" })
    }
  }

  private settle(item: Item, reply: WireReply): void {
    if (item.settled) return
    item.settled = true
    this.open.delete(item)
    item.resume(reply)
  }

  /** Once per turn of the event loop: all that one turn sends leaves in the same messages. */
  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      this.pump()
    })
  }

  private pump(): void {
    const byRunner = new Map<string, Array<CellQueue>>()
    for (const queue of this.cells.values()) {
      if (queue.busy || queue.queue.length === 0) continue
      // Hot cells travel alone: nobody waits for them and they wait for nobody (R9).
      if (queue.runner === null || isHot(queue.cell)) this.fire([queue], null)
      else {
        const list = byRunner.get(queue.runner)
        if (list === undefined) byRunner.set(queue.runner, [queue])
        else list.push(queue)
      }
    }
    for (const [runner, queues] of byRunner) {
      const count = this.underWay.get(runner) ?? 0
      if (count >= this.limits.messagesMax) continue
      this.underWay.set(runner, count + 1)
      this.fire(queues, runner)
    }
  }

  private fire(queues: ReadonlyArray<CellQueue>, runner: string | null): void {
    const now = this.monotonic()
    const batches = queues.map((queue) => {
      queue.busy = true
      const batch: Array<Item> = []
      let taken = 0
      for (; taken < queue.queue.length && batch.length < this.limits.batchMax; taken++) {
        const item = queue.queue[taken]!
        if (!item.settled) batch.push(item)
      }
      queue.queue = queue.queue.slice(taken)
      return batch
    })
    const groups = queues.map((queue, i): WireGroup => ({
      cell: queue.cell,
      commands: batches[i]!.map((item) => ({
        actor: item.actor,
        id: item.id,
        within: Math.max(0, item.expiresAt - now),
        at: item.at,
        command: item.command
      }))
    }))
    this.post(queues[0]!.cell, groups, (answer) => {
      if (runner !== null) this.underWay.set(runner, Math.max(0, (this.underWay.get(runner) ?? 1) - 1))
      queues.forEach((queue, i) => {
        const replies = answer?.groups[i] ?? null
        // Asked directly and still no answer: the cell is on its way to somewhere. Otherwise it is gone from where it was
        // last seen, and is asked directly next time.
        const resting = replies === null && (answer === null || queue.runner === null)
        if (replies === null) {
          queue.runner = null
          queue.queue = [...batches[i]!, ...queue.queue]
        } else {
          queue.runner = answer?.runner ?? null
          this.distribute(queue, batches[i]!, replies)
        }
        if (!resting) queue.busy = false
        else {
          this.rest(retryRest, () => {
            queue.busy = false
            this.schedule()
          })
        }
      })
      this.schedule()
    })
  }

  private distribute(queue: CellQueue, batch: ReadonlyArray<Item>, replies: ReadonlyArray<WireReply>): void {
    const back: Array<Item> = []
    for (let i = 0; i < batch.length; i++) {
      const item = batch[i]!
      const reply = replies[i] ?? { _tag: "Pending" }
      if (reply._tag === "Pending") back.push(item)
      else if (reply._tag === "Moved") this.redirect(queue, item, reply.cell, back)
      else this.settle(item, reply)
    }
    if (back.length > 0) queue.queue = [...back, ...queue.queue]
  }

  private redirect(from: CellQueue, item: Item, cell: string | null, back: Array<Item>): void {
    if (cell === null || cell === from.cell) {
      from.runner = null
      back.push(item)
      return
    }
    this.moved.delete(item.actor)
    this.moved.set(item.actor, cell)
    for (const [actor] of this.moved) {
      if (this.moved.size <= this.limits.movedMax) break
      this.moved.delete(actor)
    }
    this.queueOf(cell).queue.push(item)
  }
}

/** ms before a failed message is sent again. */
const retryRest = 50
