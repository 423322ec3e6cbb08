/** The serializations that are served, with bounds that the library's own do not have. */
import { RpcSerialization } from "@effect/rpc"
import { payloadMax, serialization as msgPack } from "@hikyaku/domain/api/Client"

type Serialization = RpcSerialization.RpcSerialization["Type"]

/** Messages in one frame or one HTTP body. */
export const messagesMax = 1_000

class BadFrame extends Error {
  override readonly name = "BadFrame"
}

const sizeOf = (data: Uint8Array | string): number => data.length

/** Every message must be an object that says what it is; the server takes that for granted. */
const checked = (serialization: Serialization): Serialization => ({
  ...serialization,
  unsafeMake: () => {
    const parser = serialization.unsafeMake()
    return {
      encode: parser.encode,
      decode: (data) => {
        if (sizeOf(data) > payloadMax) {
          throw new RpcSerialization.RpcSerializationError({
            reason: "BufferSizeExceeded",
            maxBufferSize: payloadMax,
            bufferSize: sizeOf(data)
          })
        }
        const messages = parser.decode(data)
        if (messages.length > messagesMax) throw new BadFrame(`more than ${messagesMax} messages in one frame`)
        for (const message of messages) {
          if (typeof message !== "object" || message === null || Array.isArray(message)) {
            throw new BadFrame("a message must be an object")
          }
        }
        return messages
      }
    }
  }
})

export const msgPackSerialization: Serialization = checked(msgPack)

const ndjson = RpcSerialization.makeNdjson({ maxBufferSize: payloadMax })

/** A body ends with its last message, whether or not a new line follows. */
export const ndjsonSerialization: Serialization = checked({
  ...ndjson,
  unsafeMake: () => {
    const parser = ndjson.unsafeMake()
    return {
      encode: parser.encode,
      decode: (data) => parser.decode(typeof data === "string" && !data.endsWith("\n") ? `${data}\n` : data)
    }
  }
})
