/**
 * The queues of one client for one kind: commands per cell, in order per actor, one batch in flight per cell (R7), one
 * message per runner for many cells. Plain data and callbacks, since every command of the shop passes here; what sends a
 * message is given from outside.
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import { FairQueue } from "./FairQueue.ts"
import { cellOf, isHot } from "./Placement.ts"
import { ServiceRate } from "./ServiceRate.ts"
import type { TraceContext, WireAnswer, WireGroup, WireReply } from "./Wire.ts"

export interface Item {
  readonly actor: string
  readonly id: CommandId
  readonly command: unknown
  readonly at: number | null
  /** The trace that it belongs to, if it is sampled. */
  readonly trace?: TraceContext | undefined
  /** Monotonic ms. */
  readonly expiresAt: number
  readonly resume: (reply: WireReply) => void
  settled: boolean
  /** It has left at least once, so it may have been executed. */
  sent: boolean
  /** It has left and was not heard of, or not the last word: whatever is said of it now, it may still be executed. */
  astray: boolean
}

interface CellQueue {
  readonly cell: string
  readonly queue: FairQueue<Item>
  /** Commands from `send` until answer. */
  open: number
  /** A batch is under way, or the cell rests after a failure. */
  busy: boolean
  /** Runner seen last; null: ask the cell itself. */
  runner: string | null
  /** How fast the cell answers this client: for an honest retry time. */
  readonly rate: ServiceRate
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

export interface QueueOptions {
  readonly cells: number
  readonly limits: QueueLimits
  readonly post: Post
  /** Calls back after so many ms. */
  readonly rest: (ms: number, wake: () => void) => void
  /** Calls back at the end of this turn of the event loop; a microtask by default. */
  readonly soon?: ((wake: () => void) => void) | undefined
  readonly monotonic: () => number
}

export class ClientQueue {
  private readonly cells = new Map<string, CellQueue>()
  private readonly moved = new Map<string, string>()
  private readonly underWay = new Map<string, number>()
  /** All that is not answered, and the queue that it counts for. */
  private readonly open = new Map<Item, CellQueue>()
  private scheduled = false
  private closed = false
  private readonly options: QueueOptions
  private readonly limits: QueueLimits
  private readonly soon: (wake: () => void) => void

  constructor(options: QueueOptions) {
    this.options = options
    this.limits = options.limits
    this.soon = options.soon ?? queueMicrotask
  }

  get openCount(): number {
    return this.open.size
  }

  /** Commands that lie in the queues, those included that nobody waits for any more. */
  get queuedCount(): number {
    let count = 0
    for (const { queue } of this.cells.values()) count += queue.size
    return count
  }

  /** Cells that have a queue. */
  get cellCount(): number {
    return this.cells.size
  }

  private queueOf(cell: string): CellQueue {
    let queue = this.cells.get(cell)
    if (queue === undefined) {
      this.cells.set(
        cell,
        queue = { cell, queue: new FairQueue(), open: 0, busy: false, runner: null, rate: new ServiceRate() }
      )
    }
    return queue
  }

  /** Queues a command, or answers at once that there is no room. */
  send(item: Item): void {
    if (this.closed) {
      item.settled = true
      item.resume({ _tag: "Late" })
      return
    }
    const queue = this.queueOf(this.moved.get(item.actor) ?? cellOf(item.actor, this.options.cells))
    if (this.open.size >= this.limits.openMax || (queue.open >= this.limits.cellMax && !this.makeRoom(queue, item))) {
      item.settled = true
      item.resume(this.overloaded(queue))
      return
    }
    this.open.set(item, queue)
    queue.open++
    queue.queue.push(item)
    this.schedule()
  }

  /** As at the cell itself: who rushes in is turned away, not the neighbours (G19). */
  private makeRoom(home: CellQueue, item: Item): boolean {
    const { queue } = home
    const own = queue.of(item.actor)
    if (own + 1 > queue.size / (queue.actors + (own === 0 ? 1 : 0))) return false
    const last = queue.takeNewestOfLongest()
    if (last === undefined) return false
    if (!last.settled && last.sent) {
      queue.push(last)
      return false
    }
    this.settle(last, this.overloaded(home))
    return home.open < this.limits.cellMax
  }

  private overloaded(queue: CellQueue): WireReply {
    return { _tag: "Overloaded", retryAfter: queue.rate.retryAfter(queue.open, this.options.monotonic()) }
  }

  /** Nobody waits for it any more; if it has not left, it never will. */
  abandon(item: Item): void {
    item.settled = true
    this.release(item)
  }

  /** Answers what has waited beyond its deadline; whether it was executed is for its id to say later. */
  expire(): void {
    const now = this.options.monotonic()
    for (const item of this.open.keys()) {
      if (item.expiresAt <= now) this.settle(item, { _tag: "Late" })
    }
  }

  /** Answers everything that waits, and whatever comes, as not answered: the client is going away. */
  close(): void {
    this.closed = true
    for (const item of [...this.open.keys()]) this.settle(item, { _tag: "Late" })
    this.cells.clear()
  }

  private settle(item: Item, reply: WireReply): void {
    if (item.settled) return
    item.settled = true
    this.release(item)
    item.resume(reply)
  }

  private release(item: Item): void {
    const home = this.open.get(item)
    if (home === undefined) return
    this.open.delete(item)
    home.open--
    // What is settled stays in its place until its turn; should that not come, it may not pile up (R10).
    if (home.queue.size > 2 * home.open + settledMax) home.queue.retain((each) => !each.settled)
  }

  /** Once per turn of the event loop: all that one turn sends leaves in the same messages. */
  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    this.soon(() => {
      this.scheduled = false
      this.pump()
    })
  }

  private pump(): void {
    const byRunner = new Map<string, Array<CellQueue>>()
    for (const queue of this.cells.values()) {
      // Cells of one actor come and go: those that nothing waits for are forgotten.
      if (isHot(queue.cell) && queue.open === 0 && !queue.busy) this.cells.delete(queue.cell)
      if (queue.busy || queue.queue.size === 0) continue
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
      if (count < this.limits.messagesMax) this.fire(queues, runner)
    }
  }

  /** What leaves in the next batch of a cell: in order per actor, a share for each. */
  private batch(queue: CellQueue): ReadonlyArray<Item> {
    const batch: Array<Item> = []
    while (batch.length < this.limits.batchMax && queue.queue.size > 0) {
      for (const item of queue.queue.take(this.limits.batchMax - batch.length)) {
        if (item.settled) continue
        item.sent = true
        batch.push(item)
      }
    }
    return batch
  }

  private fire(candidates: ReadonlyArray<CellQueue>, runner: string | null): void {
    const now = this.options.monotonic()
    const flights = candidates.map((queue) => ({ queue, direct: queue.runner === null, batch: this.batch(queue) }))
      .filter(({ batch }) => batch.length > 0)
    const first = flights[0]
    if (first === undefined) return
    if (runner !== null) this.underWay.set(runner, (this.underWay.get(runner) ?? 0) + 1)
    const groups = flights.map(({ batch, queue }): WireGroup => {
      queue.busy = true
      return {
        cell: queue.cell,
        commands: batch.map((item) => ({
          actor: item.actor,
          id: item.id,
          within: Math.max(0, item.expiresAt - now),
          at: item.at,
          command: item.command,
          ...(item.trace !== undefined && { trace: item.trace })
        }))
      }
    })
    this.options.post(first.queue.cell, groups, (answer) => {
      if (runner !== null) {
        const left = (this.underWay.get(runner) ?? 1) - 1
        if (left > 0) this.underWay.set(runner, left)
        else this.underWay.delete(runner)
      }
      flights.forEach(({ batch, direct, queue }, i) => {
        const replies = answer?.groups[i] ?? null
        queue.runner = replies === null ? null : answer?.runner ?? null
        const full = this.distribute(queue, batch, replies)
        const actor = batch[0]?.actor
        // Nobody may serve the hot group any more, and then its actors are served where they came from (R8). If it does live
        // there still, it is sent on again.
        if (answer === null && actor !== undefined && isHot(queue.cell)) {
          this.rehouse(queue, actor, cellOf(actor, this.options.cells))
        }
        // Asked directly and not at home, or no answer at all: the cell is on its way to somewhere. Otherwise it is gone from
        // where it was last seen, and is asked directly next time.
        if (answer !== null && !(direct && queue.runner === null) && !full) queue.busy = false
        else {
          this.options.rest(retryRest, () => {
            queue.busy = false
            this.schedule()
          })
        }
      })
      this.schedule()
    })
  }

  /** Tells everybody what came of it and puts back what is still to come; true if the cell had no room for some of that. */
  private distribute(
    queue: CellQueue,
    batch: ReadonlyArray<Item>,
    replies: ReadonlyArray<WireReply> | null
  ): boolean {
    const back: Array<Item> = []
    let full = false
    let served = 0
    /** Where the actors live that live elsewhere. */
    const homes = new Map<string, string>()
    for (let i = 0; i < batch.length; i++) {
      const item = batch[i]!
      const reply = replies?.[i] ?? { _tag: "Pending" }
      if (reply._tag === "Pending") back.push(item)
      else if (reply._tag === "Overloaded" && item.astray) {
        // Nothing was done this time; of an earlier one that cannot be said.
        full = true
        back.push(item)
      } else if (reply._tag === "Moved") {
        back.push(item)
        if (reply.cell === null || reply.cell === queue.cell) queue.runner = null
        else homes.set(item.actor, reply.cell)
      } else {
        if (reply._tag !== "Overloaded") served++
        this.settle(item, reply)
      }
    }
    if (served > 0) queue.rate.count(this.options.monotonic(), served)
    for (const item of back) item.astray = true
    queue.queue.putBack(back)
    for (const [actor, cell] of homes) this.rehouse(queue, actor, cell)
    return full
  }

  /** Sends all that waits for an actor to its new cell, in its order and ahead of what is still to come (R7). */
  private rehouse(from: CellQueue, actor: string, cell: string): void {
    this.moved.delete(actor)
    if (cell !== cellOf(actor, this.options.cells)) this.moved.set(actor, cell)
    for (const [each] of this.moved) {
      if (this.moved.size <= this.limits.movedMax) break
      this.moved.delete(each)
    }
    const to = this.queueOf(cell)
    for (const item of from.queue.takeActor(actor)) {
      if (item.settled) continue
      this.open.set(item, to)
      from.open--
      to.open++
      to.queue.push(item)
    }
  }
}

/** ms before a failed message is sent again. */
const retryRest = 50
/** Settled commands that may lie in a cell's queue beside as many as are open. */
const settledMax = 64
