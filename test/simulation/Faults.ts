/** What goes wrong in one run and how often, drawn from the seed: every run is unlucky in its own way. */
import type { CommitFate, MemoryStore, ReadFate } from "@hikyaku/cluster/actor/JournalMemory"
import type { SeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { Duration, Effect } from "effect"

/** Probabilities per commit, read, message; rests in ms between events of a runner's life, infinite for never. */
export interface Faults {
  readonly commitThenLose: number
  readonly loseThenAbort: number
  readonly loseThenCommit: number
  readonly commitSlow: number
  readonly readFails: number
  readonly readSlow: number
  readonly messageLost: number
  readonly messageDoubled: number
  readonly messageSlow: number
  /** A message goes to where its carrier was before. */
  readonly messageAstray: number
  readonly crashEvery: number
  readonly moveEvery: number
  /** A move after which the old owner goes on as if nothing had happened. */
  readonly splitEvery: number
  readonly historyEvery: number
  /** An actor is moved to a cell of its own or back (R8), or taken back from one that may be alive. */
  readonly relocateEvery: number
  /** ms by which runners' clocks are off, at most. */
  readonly clockSkew: number
}

export const noFaults: Faults = {
  commitThenLose: 0,
  loseThenAbort: 0,
  loseThenCommit: 0,
  commitSlow: 0,
  readFails: 0,
  readSlow: 0,
  messageLost: 0,
  messageDoubled: 0,
  messageSlow: 0,
  messageAstray: 0,
  crashEvery: Number.POSITIVE_INFINITY,
  moveEvery: Number.POSITIVE_INFINITY,
  splitEvery: Number.POSITIVE_INFINITY,
  historyEvery: Number.POSITIVE_INFINITY,
  relocateEvery: Number.POSITIVE_INFINITY,
  clockSkew: 0
}

/** About half of all faults, each more or less often. */
export const drawFaults = (random: SeededRandom): Faults => {
  const often = (most: number): number => random.chance(0.55) ? most * random.next() : 0
  const every = (least: number): number =>
    random.chance(0.55) ? least * (1 + 4 * random.next()) : Number.POSITIVE_INFINITY
  return {
    commitThenLose: often(0.15),
    loseThenAbort: often(0.15),
    loseThenCommit: often(0.15),
    commitSlow: often(0.3),
    readFails: often(0.1),
    readSlow: often(0.3),
    messageLost: often(0.12),
    messageDoubled: often(0.2),
    messageSlow: often(0.2),
    messageAstray: often(0.6),
    crashEvery: every(200),
    moveEvery: every(100),
    splitEvery: every(40),
    historyEvery: every(300),
    relocateEvery: every(150),
    clockSkew: often(100)
  }
}

/** ms that something slow takes: mostly little, at times very long. */
const slowness = (random: SeededRandom): number => random.chance(0.2) ? 2000 * random.next() : 60 * random.next()

/** Lets the store fail by these probabilities. `later` is how a commit that was given up for lost lands after all. */
export const afflict = (
  store: MemoryStore,
  faults: () => Faults,
  random: SeededRandom,
  later: (ms: number, callback: () => void) => void
): void => {
  const sleep = (): Effect.Effect<void> => Effect.sleep(Duration.millis(slowness(random)))
  store.fate = (): CommitFate => {
    const { commitSlow, commitThenLose, loseThenAbort, loseThenCommit } = faults()
    if (random.chance(commitThenLose)) return { _tag: "CommitThenLose" }
    if (random.chance(loseThenAbort)) return { _tag: "LoseThenAbort" }
    if (random.chance(loseThenCommit)) {
      later(slowness(random), () => store.land())
      return { _tag: "LoseThenCommit" }
    }
    return random.chance(commitSlow)
      ? { _tag: "Delay", until: sleep() }
      : { _tag: "Delay", until: Effect.sleep(Duration.millis(0.5 + 2 * random.next())) }
  }
  store.readFate = (): ReadFate => {
    const { readFails, readSlow } = faults()
    if (random.chance(readFails)) return { _tag: "Fail" }
    return random.chance(readSlow)
      ? { _tag: "Delay", until: sleep() }
      : { _tag: "Delay", until: Effect.sleep(Duration.millis(random.next())) }
  }
}

/** ms that a message is under way, or null if it is lost. */
export const passage = (faults: Faults, random: SeededRandom): number | null =>
  random.chance(faults.messageLost)
    ? null
    : random.chance(faults.messageSlow)
    ? slowness(random)
    : 0.2 + random.next()
