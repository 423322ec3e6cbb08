/** Bodies of small requests from outside, read with a bound. */
import type { HttpServerRequest } from "@effect/platform"
import { NodeHttpServerRequest } from "@effect/platform-node"
import { Effect } from "effect"

/** The bytes of a body, or null when there are more than `max`: then the rest is read away, so that the sender hears so. */
export const readBody = (
  request: HttpServerRequest.HttpServerRequest,
  max: number
): Effect.Effect<Buffer | null> =>
  Effect.async((resume) => {
    const source = NodeHttpServerRequest.toIncomingMessage(request)
    const chunks: Array<Uint8Array> = []
    let size = 0
    const onData = (chunk: Uint8Array) => {
      size += chunk.length
      if (size <= max) return void chunks.push(chunk)
      source.off("data", onData)
      source.resume()
      resume(Effect.succeed(null))
    }
    source.on("data", onData)
    source.once("end", () => resume(Effect.succeed(Buffer.concat(chunks))))
    source.once("error", () => resume(Effect.interrupt))
  })
