/** Steps that are still to happen, by instant; those of one instant in the order in which they were added. A binary heap. */
import type { Step } from "./Step.ts"

export interface StepQueue {
  readonly add: (step: Step) => void
  /** The earliest step before `until` (ms since the epoch), removed; undefined if there is none. */
  readonly takeBefore: (until: number) => Step | undefined
}

interface Node {
  readonly at: number
  readonly order: number
  readonly step: Step
}

export const makeStepQueue = (): StepQueue => {
  const heap: Array<Node> = []
  let order = 0
  const precedes = (a: Node, b: Node) => a.at < b.at || (a.at === b.at && a.order < b.order)

  return {
    add: (step) => {
      const node = { at: step.at, order: order++, step }
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
      if (last === undefined || last === first) return first.step
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
      return first.step
    }
  }
}
