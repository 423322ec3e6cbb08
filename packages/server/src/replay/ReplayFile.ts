/**
 * A replay's file as checked bytes: opened once, unpacked if it is gzip (by its magic bytes, not its name), verified to be
 * UTF-8. Both passes of a replay read through the same handle, so that a file replaced under its name changes nothing.
 */
import { ReplayInputError, type ReplayInputFault } from "@hikyaku/domain/replay/ReplayInputError"
import { Effect, type Scope } from "effect"
import { isUtf8 } from "node:buffer"
import { type FileHandle, open } from "node:fs/promises"
import { pipeline } from "node:stream/promises"
import { createGunzip } from "node:zlib"

/** Bytes read, and unpacked, at a time: what is held of the file at any moment is a few of these. */
const chunkBytes = 64 * 1024

/** Where in the file something is. */
export interface Place {
  readonly line?: number
  readonly column?: number
  readonly byte?: number
  readonly path?: string
}

export interface ReplayFile {
  readonly path: string
  /**
   * The unpacked content from its beginning, without a byte order mark, in chunks of whole characters. Each iteration reads
   * anew. Throws `ReplayInputError`.
   */
  readonly chunks: () => AsyncIterable<Buffer>
  readonly error: (fault: ReplayInputFault, detail: string, place?: Place) => ReplayInputError
  /** Fails with `FileChanged` if the file was written to since it was opened. */
  readonly unchanged: Effect.Effect<void, ReplayInputError>
}

/** What a rejected promise of this module turns into. */
export const asReplayInputError = (file: string) => (cause: unknown): ReplayInputError =>
  cause instanceof ReplayInputError
    ? cause
    : new ReplayInputError({ file, fault: "FileUnreadable", detail: messageOf(cause) })

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** Opens a file for as long as the scope lasts. Refuses what is missing, no regular file, or empty. */
export const openReplayFile = (path: string): Effect.Effect<ReplayFile, ReplayInputError, Scope.Scope> =>
  Effect.gen(function*() {
    const asError = asReplayInputError(path)
    const handle = yield* Effect.acquireRelease(
      Effect.tryPromise({ try: () => open(path, "r"), catch: asError }),
      // Nothing was written: a failed close loses nothing.
      (opened) => Effect.ignore(Effect.tryPromise(() => opened.close()))
    )
    const stat = Effect.tryPromise({ try: () => handle.stat(), catch: asError })
    const opened = yield* stat
    const error = (fault: ReplayInputFault, detail: string, place: Place = {}) =>
      new ReplayInputError({ file: path, fault, detail, ...place })
    if (!opened.isFile()) return yield* error("FileUnreadable", "not a regular file: it is read twice")
    if (opened.size === 0) return yield* error("EmptyFile", "the file has no bytes")

    const magic = Buffer.alloc(2)
    yield* Effect.tryPromise({ try: () => handle.read(magic, 0, 2, 0), catch: asError })
    const isGzip = magic[0] === 0x1f && magic[1] === 0x8b
    return {
      path,
      chunks: () => checkedText(isGzip ? unpacked(handle, error) : packed(handle), error),
      error,
      unchanged: Effect.flatMap(stat, (now) =>
        now.size === opened.size && now.mtimeMs === opened.mtimeMs
          ? Effect.void
          : error("FileChanged", "the file was written to while it was replayed"))
    }
  })

async function* packed(handle: FileHandle): AsyncGenerator<Buffer, void, undefined> {
  for (let position = 0;;) {
    const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position)
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

async function* unpacked(handle: FileHandle, error: ReplayFile["error"]): AsyncGenerator<Buffer, void, undefined> {
  let read = 0
  const gunzip = createGunzip({ chunkSize: chunkBytes })
  const piped = pipeline(
    async function*() {
      for await (const chunk of packed(handle)) {
        read += chunk.length
        yield chunk
      }
    },
    gunzip
  ).catch(() => undefined) // the same failure comes out of the iteration below, where it is told

  try {
    for await (const chunk of gunzip) yield chunk as Buffer
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined
    if (code === "Z_BUF_ERROR") {
      throw error("GzipTruncated", `it ends in the middle, after ${read} bytes`, { byte: read })
    }
    if (typeof code === "string" && code.startsWith("Z_")) {
      throw error("GzipCorrupt", `${messageOf(cause)}, within the first ${read} bytes`, { byte: read })
    }
    throw cause
  } finally {
    // Leaving the iteration early has destroyed the stream; wait until the reading has stopped too (R25).
    await piped
  }
}

const newline = 0x0a
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])

/** Bytes at the end of `bytes` that begin a character without ending it: 0 to 3. */
const unfinishedBytes = (bytes: Buffer): number => {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > back ? back : 0
  }
  return 0
}

/** How many bytes from the beginning are whole characters; all prefixes up to there are valid, none beyond is. */
const validBytes = (bytes: Buffer): number => {
  let valid = 0
  let beyond = bytes.length
  while (valid < beyond) {
    const middle = (valid + beyond + 1) >>> 1
    const prefix = bytes.subarray(0, middle)
    if (isUtf8(prefix.subarray(0, middle - unfinishedBytes(prefix)))) valid = middle
    else beyond = middle - 1
  }
  return valid - unfinishedBytes(bytes.subarray(0, valid))
}

/** Stops at the first byte that is not UTF-8; what comes before it is handed on first, a limit may end there. */
async function* checkedText(
  chunks: AsyncIterable<Buffer>,
  error: ReplayFile["error"]
): AsyncGenerator<Buffer, void, undefined> {
  let line = 1
  let before = 0
  let rest: Buffer = Buffer.alloc(0)

  const withoutMark = (text: Buffer): Buffer =>
    before === 0 && text.subarray(0, 3).equals(byteOrderMark) ? text.subarray(3) : text
  const count = (text: Buffer): void => {
    for (let at = text.indexOf(newline); at >= 0; at = text.indexOf(newline, at + 1)) line += 1
    before += text.length
  }
  async function* checked(bytes: Buffer): AsyncGenerator<Buffer, void, undefined> {
    const text = isUtf8(bytes) ? bytes : bytes.subarray(0, validBytes(bytes))
    if (text.length > 0) yield withoutMark(text)
    count(text)
    if (text.length === bytes.length) return
    const found = bytes.subarray(text.length, text.length + 4).toString("hex").replaceAll(/(..)(?=.)/g, "$1 ")
    throw error("NotUtf8", `no character begins with the bytes ${found}`, { line, byte: before })
  }

  for await (const chunk of chunks) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const whole = bytes.length - unfinishedBytes(bytes)
    rest = bytes.subarray(whole)
    yield* checked(bytes.subarray(0, whole))
  }
  yield* checked(rest)
}
