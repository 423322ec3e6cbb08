/** Time that passes only when nothing is left to do at an instant: a day's sending in seconds. */

/** Events in the order of their time, then in that in which they were made. */
export class VirtualTime {
  private readonly heap: Array<{ readonly at: number; readonly n: number; readonly what: () => void }> = []
  private made = 0
  /** ms since the start. */
  now = 0

  at(at: number, what: () => void): void {
    const { heap } = this
    const event = { at: Math.max(at, this.now), n: this.made++, what }
    let i = heap.push(event) - 1
    while (i > 0) {
      const up = (i - 1) >> 1
      if (!this.before(event, heap[up]!)) break
      heap[i] = heap[up]!
      i = up
    }
    heap[i] = event
  }

  after(ms: number, what: () => void): void {
    this.at(this.now + ms, what)
  }

  /** Until nothing is left to happen. */
  run(): void {
    for (let next = this.take(); next !== undefined; next = this.take()) {
      this.now = next.at
      next.what()
    }
  }

  private before(a: { readonly at: number; readonly n: number }, b: { readonly at: number; readonly n: number }) {
    return a.at < b.at || (a.at === b.at && a.n < b.n)
  }

  private take() {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && this.before(heap[child + 1]!, heap[child]!)) child++
      if (!this.before(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
    return first
  }
}
