/** What else the machine is doing. */
import { readdirSync, readFileSync } from "node:fs"

const read = (): { readonly idle: number; readonly all: number } => {
  const fields = readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1).map(Number)
  return { idle: fields[3]! + fields[4]!, all: fields.slice(0, 8).reduce((sum, each) => sum + each, 0) }
}

export const sleep = (ms: number): Promise<void> => new Promise((resume) => setTimeout(resume, ms))

/** Share of idle time from which on a machine counts as quiet, and the time over which it is taken, ms. */
const quietShare = 0.8
const quietWindow = 500

/**
 * Waits until nothing else works on this machine, at most so many seconds; false if it never went quiet. Where the system
 * does not say (no /proc), there is nothing to wait for.
 */
export const quiet = async (maxS: number): Promise<boolean> => {
  const end = performance.now() + 1000 * maxS
  try {
    while (performance.now() < end) {
      const before = read()
      await sleep(quietWindow)
      const after = read()
      if ((after.idle - before.idle) / (after.all - before.all) >= quietShare) return true
    }
  } catch {
    return true
  }
  return maxS === 0
}

/** Clock ticks per second of /proc; 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** CPU time of a process and its children, those that have ended included, ms; 0 where the system does not say. */
export const familyCpuMs = (pid: number): number => {
  try {
    let ticks = 0
    for (const entry of readdirSync("/proc")) {
      if (!/^\d+$/.test(entry)) continue
      let text: string
      try {
        text = readFileSync(`/proc/${entry}/stat`, "utf8")
      } catch {
        continue
      }
      // After the name, which may contain anything: state, parent, ..., user, system, and the same of ended children.
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number)
      const own = entry === String(pid)
      if (!own && fields[1] !== pid) continue
      ticks += fields[11]! + fields[12]!
      if (own) ticks += fields[13]! + fields[14]!
    }
    return ticks * 1000 / ticksPerSecond
  } catch {
    return 0
  }
}
