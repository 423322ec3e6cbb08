/**
 * Whom PostgreSQL runs as, and the running of its programs as that user. PostgreSQL
 * refuses to run as root; started as root, Hikyaku runs it as another, existing user.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { NoUserToRunAs } from "./EmbeddedPostgresError.ts"
/** A user and its main group. */
export interface ServerUser {
  readonly uid: number
  readonly gid: number
}
/**
 * What the programs see of our environment: nothing, so that no PGPORT, PGDATA or
 * LD_LIBRARY_PATH of the shell changes what they do, and their messages are English
 * (we look for some of them).
 */
export declare const programEnvironment: {
  readonly PATH: "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
  readonly LC_ALL: "C"
}
/** The part of spawn's options that makes a program run as the user; ourselves when there is none. */
export declare const asUser: (user: Option.Option<ServerUser>) => {} | {
  uid: number
  gid: number
}
/** How a program ended. `code` is null when a signal ended it or it could not be run at all. */
export interface Ended {
  readonly code: number | null
  readonly output: string
}
/**
 * Runs a short-lived program as the user to its end, from the root folder (any other might
 * be closed to it). Never fails: a program that cannot be run ends with code null and the
 * reason as its output. Interruption and the time limit kill it with all that it started.
 */
export declare const run: (program: string, args: ReadonlyArray<string>, options: {
  readonly user: Option.Option<ServerUser>
  readonly timeoutMs: number
}) => Effect.Effect<Ended>
/** The user that new data are to belong to; none when this process is an ordinary user, who then owns them. */
export declare const forNewData: Effect.Effect<Option.Option<ServerUser>, NoUserToRunAs>
// # sourceMappingURL=ServerUser.d.ts.map
