/**
 * Messages that travel together: a socket's frame may hold many of them, and one frame costs what one message does. Neither
 * side needs to know whether the other does so: each message stays what it is.
 */
import type { RpcSerialization } from "@effect/rpc"

type Serialization = RpcSerialization.RpcSerialization["Type"]

/** Messages in one frame: half of what a server takes in. */
export const frameMax = 500

/** What travels behind a message. */
const companions = new WeakMap<object, ReadonlyArray<object>>()

/** The messages as one, for a protocol that sends one at a time. */
export const together = <Message extends object>(first: Message, others: ReadonlyArray<Message>): Message => {
  if (others.length === 0) return first
  // A message of its own, since protocols keep constants and send them again.
  const head = { ...first }
  companions.set(head, others)
  return head
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** A binary serialization that keeps together what `together` joined. */
export const framed = (serialization: Serialization): Serialization => ({
  ...serialization,
  unsafeMake: () => {
    const parser = serialization.unsafeMake()
    return {
      decode: parser.decode,
      encode: (message) => {
        const others = typeof message === "object" && message !== null ? companions.get(message) : undefined
        if (others === undefined) return parser.encode(message)
        const parts: Array<Uint8Array> = []
        for (const each of [message, ...others]) {
          const bytes = parser.encode(each)
          if (bytes instanceof Uint8Array) parts.push(bytes)
        }
        return concat(parts)
      }
    }
  }
})
