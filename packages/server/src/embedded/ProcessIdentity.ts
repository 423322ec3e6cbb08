/**
 * Who a process is. A pid alone is not enough to tell whether a process that was noted
 * down is still the same one: pids come round again, soonest of all in containers. So a
 * process is its pid together with the moment in which it began.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { execFile } from "node:child_process"
import { readFile, readlink } from "node:fs/promises"

/**
 * A process. `startedAt` is opaque and only compared: kernel ticks and boot on Linux, what
 * `ps` prints elsewhere, empty where neither can tell.
 */
export class ProcessIdentity extends Schema.Class<ProcessIdentity>("ProcessIdentity")({
  pid: Schema.Int,
  startedAt: Schema.String
}) {}

const readOrUndefined = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined)

/** Longest wait for `ps`, which only systems without /proc need. */
const psTimeoutMs = 5_000

const ps = (pid: number, column: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    execFile(
      "/bin/ps",
      ["-ww", "-o", `${column}=`, "-p", String(pid)],
      { timeout: psTimeoutMs, env: { LC_ALL: "C" } },
      (error, stdout) => resolve(error === null && stdout.trim() !== "" ? stdout.trim() : undefined)
    )
  })

/** Whether the kernel knows the pid at all; a process of somebody else (EPERM) exists too. */
const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

const inspectPromise = async (pid: number): Promise<ProcessIdentity | undefined> => {
  if (!exists(pid)) return undefined
  if (process.platform === "linux") {
    const stat = await readOrUndefined(`/proc/${pid}/stat`)
    if (stat !== undefined) {
      // The command, field 2, may hold spaces and parentheses: count from behind its last one.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      // A zombie has ended; whoever should reap it may never do so (PID 1 of many containers).
      if (fields[0] === "Z" || fields[0] === "X") return undefined
      const boot = await readOrUndefined("/proc/sys/kernel/random/boot_id")
      return new ProcessIdentity({ pid, startedAt: `${fields[19] ?? ""}@${boot?.trim() ?? ""}` })
    }
    // Ended just now, or /proc hides the processes of others.
    return exists(pid) ? new ProcessIdentity({ pid, startedAt: "" }) : undefined
  }
  const state = await ps(pid, "state")
  if (state?.startsWith("Z")) return undefined
  return exists(pid) ? new ProcessIdentity({ pid, startedAt: (await ps(pid, "lstart")) ?? "" }) : undefined
}

/** The process that now has this pid, or undefined when there is none (a zombie counts as none). */
export const inspect = (pid: number): Effect.Effect<ProcessIdentity | undefined> =>
  Effect.promise(() => inspectPromise(pid))

/** This very process. */
export const self: Effect.Effect<ProcessIdentity> = Effect.map(
  inspect(process.pid),
  (found) => found ?? new ProcessIdentity({ pid: process.pid, startedAt: "" })
)

/** Whether this very process, not a later one with its pid, is still alive. When in doubt: yes. */
export const isAlive = (identity: ProcessIdentity): Effect.Effect<boolean> =>
  Effect.map(inspect(identity.pid), (found) =>
    found !== undefined &&
    (found.startedAt === "" || identity.startedAt === "" || found.startedAt === identity.startedAt))

/**
 * Whether the process could be a PostgreSQL server on this data directory (a real path that
 * belongs to `uid`): such a server runs as the owner of its data and works in them. This
 * tells it from a stranger to whom its old pid fell. Undefined where it cannot be found out.
 */
export const serves = (pid: number, data: string, uid: number): Effect.Effect<boolean | undefined> =>
  Effect.promise(async () => {
    if (process.platform === "linux") {
      const status = await readOrUndefined(`/proc/${pid}/status`)
      const user = /^Uid:\s+(\d+)/m.exec(status ?? "")?.[1]
      if (user !== undefined && Number(user) !== uid) return false
      const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined)
      return cwd === undefined ? undefined : cwd === data
    }
    const command = await ps(pid, "command")
    return command === undefined ? undefined : command.includes("postgres") && command.includes(data)
  })

/** Sends the signal if the process is still that one; true if it was sent. */
export const signal = (identity: ProcessIdentity, name: NodeJS.Signals): Effect.Effect<boolean> =>
  Effect.map(isAlive(identity), (alive) => {
    if (!alive) return false
    try {
      return process.kill(identity.pid, name)
    } catch {
      return false
    }
  })
