/**
 * Makes `Math.random` follow a seed (R24). Imported before anything that imports effect, whose hashes draw from it.
 */
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"

/** Begins the sequence anew. */
export const seedMathRandom = (seed: string): void => {
  Math.random = makeSeededRandom(seed).next
}

seedMathRandom("before effect is imported")
