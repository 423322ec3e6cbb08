/**
 * Whether a history of concurrent operations can be explained by a sequential model: Wing and Gong's search with Lowe's
 * memory of configurations seen. Every operation must take effect at one instant between its call and its return; one that
 * was never answered may have taken effect at any time after its call, or not at all.
 */

export interface Operation<Input, Output> {
  /** Instants of one clock that never repeats: what returned before another was called happened before it. */
  readonly call: number
  /** null: nobody was told what came of it. */
  readonly answer: { readonly at: number; readonly output: Output } | null
  readonly input: Input
}

export interface Model<State, Input, Output> {
  readonly initial: State
  /** What the operation does when nothing else is going on. Must leave the state that it is given alone. */
  readonly step: (state: State, input: Input) => { readonly state: State; readonly output: Output }
  /** Whether the model's answer is the one that was given. */
  readonly agrees: (expected: Output, actual: Output) => boolean
  /** Equal for equal states. */
  readonly key: (state: State) => string
}

export type Verdict<Input, Output> =
  | { readonly _tag: "Linearizable"; readonly order: ReadonlyArray<Operation<Input, Output>> }
  /** `longest` is the longest explanation of a beginning; none of `next` can follow it. */
  | {
    readonly _tag: "NotLinearizable"
    readonly longest: ReadonlyArray<Operation<Input, Output>>
    readonly next: ReadonlyArray<Operation<Input, Output>>
  }
  /** The search was given up after so many steps. */
  | { readonly _tag: "Undecided"; readonly steps: number }

/** Steps of the search after which it is given up; a history of a hundred operations takes some thousands. */
const stepsMaxDefault = 50_000

/**
 * Judges the history of one object. The search tries operations in the order in which they are given, so that a good guess
 * at the real order (the order of commits, say) makes it short; the verdict does not depend on it.
 */
export const judge = <State, Input, Output>(
  model: Model<State, Input, Output>,
  operations: ReadonlyArray<Operation<Input, Output>>,
  stepsMax: number = stepsMaxDefault
): Verdict<Input, Output> => {
  const count = operations.length
  /** What has taken effect, as bits. */
  const done = new Uint8Array(Math.ceil(count / 8))
  const isDone = (i: number): boolean => (done[i >> 3]! & (1 << (i & 7))) !== 0
  const flip = (i: number): void => {
    done[i >> 3]! ^= 1 << (i & 7)
  }
  const seen = new Set<string>()
  const order: Array<Operation<Input, Output>> = []
  let unanswered = operations.filter(({ answer }) => answer !== null).length
  let steps = 0
  let longest: ReadonlyArray<Operation<Input, Output>> = []
  let stuck: ReadonlyArray<Operation<Input, Output>> = []

  /** Whatever was called before the first return to come can be next. */
  const candidates = (): ReadonlyArray<number> => {
    let firstReturn = Number.POSITIVE_INFINITY
    for (let i = 0; i < count; i++) {
      const { answer } = operations[i]!
      if (answer !== null && !isDone(i)) firstReturn = Math.min(firstReturn, answer.at)
    }
    const found: Array<number> = []
    for (let i = 0; i < count; i++) if (!isDone(i) && operations[i]!.call < firstReturn) found.push(i)
    return found
  }

  const take = (i: number): void => {
    flip(i)
    order.push(operations[i]!)
    if (operations[i]!.answer !== null) unanswered--
  }
  const giveBack = (i: number): void => {
    if (order.length > longest.length) {
      longest = [...order]
      stuck = candidates().map((each) => operations[each]!)
    }
    if (operations[i]!.answer !== null) unanswered++
    order.pop()
    flip(i)
  }
  /** What follows if the operation takes effect now, or null if its answer says otherwise. */
  const effect = (state: State, i: number): State | null => {
    steps++
    const { answer, input } = operations[i]!
    const { output, state: after } = model.step(state, input)
    return answer === null || model.agrees(output, answer.output) ? after : null
  }

  /** Whether nothing has changed; most models give the state itself back then, and its key is dear. */
  const same = (after: State, state: State, key: string): boolean => after === state || model.key(after) === key

  /**
   * Takes what can be next and changes nothing: that it takes effect now closes no way. (Wherever it stands in an
   * explanation, it can be moved here.)
   */
  const takeReads = (state: State, key: string): ReadonlyArray<number> => {
    const taken: Array<number> = []
    for (let found = true; found;) {
      found = false
      for (const i of candidates()) {
        if (operations[i]!.answer === null) continue
        const after = effect(state, i)
        if (after === null || !same(after, state, key)) continue
        take(i)
        taken.push(i)
        found = true
      }
    }
    return taken
  }

  /** Whether the rest can be explained from here; null when the search is given up. */
  const search = (state: State): boolean | null => {
    const key = model.key(state)
    const reads = takeReads(state, key)
    const verdict = unanswered === 0 || writeNext(state, key)
    if (verdict === false) { for (const i of reads.toReversed()) giveBack(i) }
    return verdict
  }

  const writeNext = (state: State, key: string): boolean | null => {
    const configuration = `${String.fromCharCode(...done)}|${key}`
    if (seen.has(configuration)) return false
    seen.add(configuration)
    for (const i of candidates()) {
      if (steps > stepsMax) return null
      const after = effect(state, i)
      if (after === null) continue
      // What nobody heard of and changes nothing need not have happened: whatever explains the rest with it does without it.
      if (operations[i]!.answer === null && same(after, state, key)) continue
      take(i)
      const verdict = search(after)
      if (verdict !== false) return verdict
      giveBack(i)
    }
    if (longest.length === 0) stuck = candidates().map((each) => operations[each]!)
    return false
  }

  const verdict = search(model.initial)
  if (verdict === null) return { _tag: "Undecided", steps }
  return verdict ? { _tag: "Linearizable", order } : { _tag: "NotLinearizable", longest, next: stuck }
}
