/** What somebody probably meant: the nearest of the known names, for hints in faults. */

/** Names longer than this are not compared: the cost is the product of both lengths. */
const lengthMax = 64

/** Levenshtein distance where swapping two neighbours counts as one change; case counts nothing. */
const distance = (left: string, right: string): number => {
  const a = left.toLowerCase()
  const b = right.toLowerCase()
  let beforeLast: Array<number> = []
  let last = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + change)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1)
      }
      row.push(best)
    }
    beforeLast = last
    last = row
  }
  return last[b.length] ?? 0
}

/** How long the owner is that both names begin with: `product.` of `product.nmae` and `product.name`. */
const sharedOwner = (a: string, b: string): number => {
  const end = a.lastIndexOf(".") + 1
  return a.slice(0, end) === b.slice(0, end) ? end : 0
}

/** The known name nearest to `name`, or undefined when none is near enough to be a slip. */
export const nearest = (name: string, known: Iterable<string>): string | undefined => {
  if (name.length > lengthMax) return undefined
  let best: string | undefined
  let bestDistance = Infinity
  for (const candidate of known) {
    if (candidate.length > lengthMax) continue
    const shared = sharedOwner(name, candidate)
    const length = name.length - shared
    const changes = distance(name.slice(shared), candidate.slice(shared))
    if (changes > Math.max(1, Math.floor(length / 3)) || changes >= bestDistance) continue
    best = candidate
    bestDistance = changes
  }
  return best
}

/** A hint for an unknown name: the nearest known one, else the known ones themselves. */
export const hintFor = (name: string, known: ReadonlyArray<string>): string => {
  const meant = nearest(name, known)
  if (meant !== undefined) return `did you mean ${meant}?`
  if (known.length === 0) return "nothing is allowed here"
  const shown = known.slice(0, 20).join(", ")
  return `known are ${shown}${known.length > 20 ? ", ..." : ""}`
}
