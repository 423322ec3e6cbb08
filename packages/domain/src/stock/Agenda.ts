/**
 * What falls due when: a persistent heap of (instant, key). Adding costs O(1) whatever is in it - every cart add puts one
 * entry in - and dropping the first O(log n) amortised. Entries are never removed from the middle: whoever reads the first
 * one asks whether it still holds, and drops it if not (see `prune` in ProductEvolve).
 */

export interface Entry {
  /** ms since the epoch. */
  readonly due: number
  readonly key: string
}

interface Node extends Entry {
  readonly children: Branches | null
}

interface Branches {
  readonly node: Node
  readonly next: Branches | null
}

export interface Agenda {
  readonly root: Node | null
  /** Entries in it, outdated ones included. */
  readonly size: number
}

export const empty: Agenda = { root: null, size: 0 }

/** Ties go by key, so that the order follows from the content alone and not from how it was put in. */
const precedes = (a: Entry, b: Entry): boolean => a.due < b.due || (a.due === b.due && a.key <= b.key)

const under = (parent: Node, child: Node): Node => ({
  due: parent.due,
  key: parent.key,
  children: { node: child, next: parent.children }
})

const meld = (a: Node, b: Node): Node => precedes(a, b) ? under(a, b) : under(b, a)

export const add = (agenda: Agenda, due: number, key: string): Agenda => {
  const node: Node = { due, key, children: null }
  return { root: agenda.root === null ? node : meld(agenda.root, node), size: agenda.size + 1 }
}

/** The earliest entry, or undefined. */
export const first = (agenda: Agenda): Entry | undefined => agenda.root ?? undefined

/** Without the earliest entry. Loops instead of recursion: a heap filled in order has all its entries in one row. */
export const dropFirst = (agenda: Agenda): Agenda => {
  if (agenda.root === null) return agenda
  const pairs: Array<Node> = []
  for (let rest = agenda.root.children; rest !== null;) {
    const second = rest.next
    pairs.push(second === null ? rest.node : meld(rest.node, second.node))
    rest = second === null ? null : second.next
  }
  let root: Node | null = null
  for (let index = pairs.length - 1; index >= 0; index--) {
    const pair = pairs[index]!
    root = root === null ? pair : meld(root, pair)
  }
  return { root, size: agenda.size - 1 }
}

/** All entries in order of due time; for tests and for rebuilding, O(n log n). */
export const entries = (agenda: Agenda): ReadonlyArray<Entry> => {
  const found: Array<Entry> = []
  const open = agenda.root === null ? [] : [agenda.root]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    found.push({ due: node.due, key: node.key })
    for (let rest = node.children; rest !== null; rest = rest.next) open.push(rest.node)
  }
  return found.sort((a, b) => precedes(a, b) ? -1 : 1)
}
