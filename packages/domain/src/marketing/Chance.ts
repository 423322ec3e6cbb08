/**
 * Chance without randomness: a share in [0, 1) that follows from ids alone, so that a decision taken again comes out the
 * same, on whatever runner, and a simulation replays.
 */

/** FNV-1a over UTF-16 units, then Murmur3's finaliser, since FNV alone leaves ids that differ in the last digit together. */
const hash32 = (seed: number, text: string): number => {
  let h = seed
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h
}

/**
 * A number in [0, 1) for a purpose and two ids, evenly spread over ids. `purpose` keeps independent decisions about the same
 * ids (holdout, exploration) independent.
 */
export const chance = (purpose: string, a: string, b: string): number => {
  let h = hash32(hash32(hash32(0x811c9dc5, purpose) ^ 0x3a, a) ^ 0x3a, b)
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  h ^= h >>> 16
  return (h >>> 0) / 0x1_0000_0000
}
