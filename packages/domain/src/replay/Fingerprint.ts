/**
 * Ids and choices that follow from content alone: the same line gives the same id in every replay. Not cryptographic.
 */
import { type CommandId, commandIdFrom } from "../Identifier.ts"

/** Four 32-bit words that depend on every character. */
export const fingerprint = (text: string): readonly [number, number, number, number] => {
  let a = 1779033703
  let b = 3144134277
  let c = 1013904242
  let d = 2773480762
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = b ^ Math.imul(a ^ unit, 597399067)
    b = c ^ Math.imul(b ^ unit, 2869860233)
    c = d ^ Math.imul(c ^ unit, 951274213)
    d = a ^ Math.imul(d ^ unit, 2716044179)
  }
  a = Math.imul(c ^ (a >>> 18), 597399067)
  b = Math.imul(d ^ (b >>> 22), 2869860233)
  c = Math.imul(a ^ (c >>> 17), 951274213)
  d = Math.imul(b ^ (d >>> 19), 2716044179)
  return [(a ^ b ^ c ^ d) >>> 0, (b ^ a) >>> 0, (c ^ a) >>> 0, (d ^ a) >>> 0]
}

/** A UUIDv7 at `at` (ms since the epoch) whose random part is the fingerprint of `content`. */
export const idAt = (at: number, content: string): CommandId => {
  const [a, b, c, d] = fingerprint(content)
  return commandIdFrom(at, a / 2 ** 32, b / 2 ** 32, (c * 2 ** 16 + (d >>> 16)) / 2 ** 48)
}

/** A number in [0, 1) that depends on `content` alone; for choices the record leaves open, such as consent. */
export const share = (content: string): number => fingerprint(content)[0] / 2 ** 32
