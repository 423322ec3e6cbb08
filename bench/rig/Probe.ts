/**
 * Loaded into every process that is measured, before the program itself (`--import`): takes CPU profiles of the measured
 * time alone, tells what CPU and memory were used, and ends the process with the bench, also when that is killed.
 */
import { writeFile } from "node:fs/promises"
import { Session } from "node:inspector/promises"

export type Probing =
  | { readonly probe: number; readonly op: "profile" }
  | { readonly probe: number; readonly op: "profiled"; readonly file: string }
  /** CPU time since its start, ms. */
  | { readonly probe: number; readonly op: "usage" }
  | { readonly probe: number; readonly op: "heap" }

/** Bytes, after everything that can be collected was. */
export interface Heap {
  readonly used: number
  readonly resident: number
}

/** µs between two samples of a profile. */
const samplingInterval = 250

let session: Session | undefined

const answer = async (message: Probing): Promise<unknown> => {
  switch (message.op) {
    case "profile":
      session = new Session()
      session.connect()
      await session.post("Profiler.enable")
      await session.post("Profiler.setSamplingInterval", { interval: samplingInterval })
      await session.post("Profiler.start")
      return null
    case "profiled": {
      if (session === undefined) return null
      const { profile } = await session.post("Profiler.stop")
      session.disconnect()
      session = undefined
      await writeFile(message.file, JSON.stringify(profile))
      return null
    }
    case "usage": {
      const { system, user } = process.cpuUsage()
      return (system + user) / 1000
    }
    case "heap": {
      // Twice: what the first finds unreachable may have kept something else.
      for (let i = 0; i < 2; i++) globalThis.gc?.()
      const { heapUsed, rss } = process.memoryUsage()
      return { used: heapUsed, resident: rss } satisfies Heap
    }
  }
}

const isProbing = (message: unknown): message is Probing =>
  typeof message === "object" && message !== null && "probe" in message && "op" in message

process.on("message", (message) => {
  if (!isProbing(message)) return
  const { probe } = message
  answer(message).then(
    (value) => process.send?.({ answer: probe, value }),
    (cause) => process.send?.({ answer: probe, error: String(cause) })
  )
})
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"))
// Listening to the bench keeps no process alive.
process.channel?.unref()
