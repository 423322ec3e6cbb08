/** What is still to happen, by instant; entries of one instant in the order in which they were added. A binary heap. */
export interface Agenda<A> {
  readonly add: (at: number, entry: A) => void
  /** The earliest entry before `until`, removed; undefined if there is none. */
  readonly takeBefore: (until: number) => A | undefined
}

export const makeAgenda = <A>(): Agenda<A> => {
  interface Node {
    readonly at: number
    readonly order: number
    readonly entry: A
  }
  const heap: Array<Node> = []
  let order = 0
  const precedes = (a: Node, b: Node) => a.at < b.at || (a.at === b.at && a.order < b.order)

  return {
    add: (at, entry) => {
      const node = { at, order: order++, entry }
      let index = heap.length
      while (index > 0) {
        const above = (index - 1) >> 1
        const parent = heap[above]
        if (parent === undefined || precedes(parent, node)) break
        heap[index] = parent
        index = above
      }
      heap[index] = node
    },
    takeBefore: (until) => {
      const [first] = heap
      if (first === undefined || first.at >= until) return undefined
      const last = heap.pop()
      if (last === undefined || last === first) return first.entry
      let index = 0
      for (;;) {
        let below = 2 * index + 1
        let child = heap[below]
        const other = heap[below + 1]
        if (child === undefined) break
        if (other !== undefined && precedes(other, child)) {
          child = other
          below += 1
        }
        if (precedes(last, child)) break
        heap[index] = child
        index = below
      }
      heap[index] = last
      return first.entry
    }
  }
}
