/**
 * Time and turns of a simulation: whatever is ready to run runs in an order that the seed decides; when nothing is, time
 * jumps to the next timer. No real time passes, nothing happens outside of `run`.
 */
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { Clock, Duration, Effect, type Fiber, FiberRef, type Scheduler } from "effect"

interface Timer {
  readonly at: number
  /** Timers of one instant fire in the order in which they were set. */
  readonly number: number
  readonly fire: () => void
  cancelled: boolean
}

const before = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.number < b.number)

/** Steps of one fibre between two turns, at most; every turn draws its own number. */
const stepsMax = 40

export class VirtualTime implements Scheduler.Scheduler {
  /** ms since the simulation began. */
  now = 0
  private readonly random: SeededRandom
  private readonly ready: Array<() => void> = []
  /** A heap: the next one first. */
  private readonly timers: Array<Timer> = []
  private numbers = 0
  private patience = stepsMax

  constructor(random: SeededRandom) {
    this.random = random
  }

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    if (fiber.currentOpCount <= this.patience) return false
    this.patience = this.random.between(3, stepsMax)
    return fiber.getFiberRef(FiberRef.currentSchedulingPriority)
  }

  scheduleTask(task: () => void): void {
    this.ready.push(task)
  }

  /** Calls back at some turn of the present instant. */
  readonly soon = (callback: () => void): void => {
    this.ready.push(callback)
  }

  /** Calls back after so many ms, unless the function that it gives is called first. */
  readonly after = (ms: number, callback: () => void): () => void => {
    const timer: Timer = { at: this.now + Math.max(0, ms), number: this.numbers++, fire: callback, cancelled: false }
    let i = this.timers.push(timer) - 1
    for (; i > 0; i = (i - 1) >> 1) {
      const parent = this.timers[(i - 1) >> 1]!
      if (before(parent, timer)) break
      this.timers[i] = parent
    }
    this.timers[i] = timer
    return () => {
      timer.cancelled = true
    }
  }

  private nextTimer(): Timer | undefined {
    const first = this.timers[0]
    const last = this.timers.pop()
    if (first === undefined || last === undefined || first === last) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= this.timers.length) break
      if (child + 1 < this.timers.length && before(this.timers[child + 1]!, this.timers[child]!)) child++
      if (before(last, this.timers[child]!)) break
      this.timers[i] = this.timers[child]!
      i = child
    }
    this.timers[i] = last
    return first
  }

  /** Runs until nothing is left to do, or `until` says that it is enough; gives the turns that it took. */
  run(until: () => boolean, turnsMax: number): number {
    for (let turn = 0; turn < turnsMax; turn++) {
      if (until()) return turn
      if (this.ready.length > 0) {
        const chosen = Math.floor(this.random.next() * this.ready.length)
        const task = this.ready[chosen]!
        this.ready[chosen] = this.ready[this.ready.length - 1]!
        this.ready.pop()
        task()
        continue
      }
      const timer = this.nextTimer()
      if (timer === undefined) return turn
      if (timer.cancelled) continue
      this.now = Math.max(this.now, timer.at)
      timer.fire()
    }
    throw new Error(`nothing came to rest in ${turnsMax} turns, at ${this.now} ms`)
  }

  /** Effect's clock on this time; `start` is the instant of its zero, ms since the epoch. */
  clock(start: number): Clock.Clock {
    const millis = () => start + this.now
    return {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: millis,
      unsafeCurrentTimeNanos: () => BigInt(Math.floor(millis() * 1000)) * 1000n,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanos: Effect.sync(() => BigInt(Math.floor(millis() * 1000)) * 1000n),
      sleep: (duration) =>
        Effect.async<void>((resume) => {
          const cancel = this.after(Duration.toMillis(duration), () => resume(Effect.void))
          return Effect.sync(cancel)
        })
    }
  }
}
