/**
 * Who a process is. A pid alone is not enough to tell whether a process that was noted
 * down is still the same one: pids come round again, soonest of all in containers. So a
 * process is its pid together with the moment in which it began.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
declare const ProcessIdentity_base: Schema.Class<
  ProcessIdentity,
  {
    pid: typeof Schema.Int
    startedAt: typeof Schema.String
  },
  Schema.Struct.Encoded<{
    pid: typeof Schema.Int
    startedAt: typeof Schema.String
  }>,
  never,
  {
    readonly pid: number
  } & {
    readonly startedAt: string
  },
  {},
  {}
>
/**
 * A process. `startedAt` is opaque and only compared: kernel ticks and boot on Linux, what
 * `ps` prints elsewhere, empty where neither can tell.
 */
export declare class ProcessIdentity extends ProcessIdentity_base {
}
/** The process that now has this pid, or undefined when there is none (a zombie counts as none). */
export declare const inspect: (pid: number) => Effect.Effect<ProcessIdentity | undefined>
/** This very process. */
export declare const self: Effect.Effect<ProcessIdentity>
/** Whether this very process, not a later one with its pid, is still alive. When in doubt: yes. */
export declare const isAlive: (identity: ProcessIdentity) => Effect.Effect<boolean>
/**
 * Whether the process could be a PostgreSQL server on this data directory (a real path that
 * belongs to `uid`): such a server runs as the owner of its data and works in them. This
 * tells it from a stranger to whom its old pid fell. Undefined where it cannot be found out.
 */
export declare const serves: (pid: number, data: string, uid: number) => Effect.Effect<boolean | undefined>
/** Sends the signal if the process is still that one; true if it was sent. */
export declare const signal: (identity: ProcessIdentity, name: NodeJS.Signals) => Effect.Effect<boolean>
export {}
// # sourceMappingURL=ProcessIdentity.d.ts.map
