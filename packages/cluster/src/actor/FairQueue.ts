/**
 * A queue that is first in first out per actor and round robin over actors (R23): what one actor has waiting delays its
 * neighbours by one bounded round and no more (G19). Plain data, since every command passes through two of them.
 */

export class FairQueue<T extends { readonly actor: string }> {
  /** In the order of their turns. */
  private readonly queues = new Map<string, Array<T>>()
  private count = 0

  get size(): number {
    return this.count
  }

  /** Actors with something waiting. */
  get actors(): number {
    return this.queues.size
  }

  of(actor: string): number {
    return this.queues.get(actor)?.length ?? 0
  }

  push(item: T): void {
    const queue = this.queues.get(item.actor)
    if (queue === undefined) this.queues.set(item.actor, [item])
    else queue.push(item)
    this.count++
  }

  /** Puts items back before anything newer of their actors, in the order given; these actors have the next turns. */
  putBack(items: ReadonlyArray<T>): void {
    if (items.length === 0) return
    const rest = [...this.queues]
    this.queues.clear()
    for (const item of items) this.push(item)
    for (const [actor, queue] of rest) {
      const front = this.queues.get(actor)
      if (front === undefined) this.queues.set(actor, queue)
      else for (const item of queue) front.push(item)
    }
  }

  /**
   * Takes at most `max`: every actor in turn gets its share. `run` says how many of an actor's first items may be taken
   * now; an actor whose run has ended gets nothing more in this round, even if there is room.
   */
  take(max: number, run: (queue: ReadonlyArray<T>) => number = all): Array<T> {
    const round: Array<T> = []
    const ended = new Set<string>()
    while (round.length < max && this.queues.size > ended.size) {
      const turns = this.queues.size
      const share = Math.max(1, Math.ceil((max - round.length) / (turns - ended.size)))
      let turn = 0
      for (const [actor, queue] of this.queues) {
        if (turn++ === turns || round.length >= max) break
        if (ended.has(actor)) continue
        const possible = run(queue)
        const taken = queue.splice(0, Math.min(possible, share, max - round.length))
        for (const item of taken) round.push(item)
        // To the end of the rotation, or out of it.
        this.queues.delete(actor)
        if (queue.length > 0) {
          this.queues.set(actor, queue)
          if (taken.length === possible) ended.add(actor)
        }
      }
    }
    this.count -= round.length
    return round
  }

  /** Takes of every actor the first items that pass the test, at most `max`; no actor loses its turn. */
  takeWhile(max: number, test: (item: T) => boolean): Array<T> {
    const taken: Array<T> = []
    for (const [actor, queue] of this.queues) {
      if (taken.length >= max) break
      let n = 0
      while (n < queue.length && taken.length + n < max && test(queue[n]!)) n++
      for (const item of queue.splice(0, n)) taken.push(item)
      if (queue.length === 0) this.queues.delete(actor)
    }
    this.count -= taken.length
    return taken
  }

  /** Takes all of one actor. */
  takeActor(actor: string): Array<T> {
    const queue = this.queues.get(actor) ?? []
    this.queues.delete(actor)
    this.count -= queue.length
    return queue
  }

  /** Takes the newest item of whoever has most waiting. */
  takeNewestOfLongest(): T | undefined {
    let longest: Array<T> | undefined
    for (const queue of this.queues.values()) {
      if (longest === undefined || queue.length > longest.length) longest = queue
    }
    const item = longest?.pop()
    if (item === undefined) return undefined
    this.count--
    if (longest?.length === 0) this.queues.delete(item.actor)
    return item
  }

  /** Drops what fails the test. */
  retain(test: (item: T) => boolean): void {
    for (const [actor, queue] of this.queues) {
      const kept = queue.filter(test)
      this.count -= queue.length - kept.length
      if (kept.length === 0) this.queues.delete(actor)
      else if (kept.length < queue.length) this.queues.set(actor, kept)
    }
  }

  clear(): void {
    this.queues.clear()
    this.count = 0
  }
}

const all = (queue: ReadonlyArray<unknown>): number => queue.length
