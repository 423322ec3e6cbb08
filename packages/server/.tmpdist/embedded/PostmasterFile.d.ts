/**
 * `postmaster.pid` and `postmaster.opts`: what PostgreSQL itself writes into its data
 * directory about the server that runs on it. It is the one record of a running server
 * that cannot disagree with the server, so we keep none of our own.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DataFolderUnusable } from "./EmbeddedPostgresError.ts"
import * as ProcessIdentity from "./ProcessIdentity.ts"
/** The lines that matter here. `ready` once it takes connections; `port` undefined while it is that young. */
export interface PostmasterFile {
  readonly pid: number
  readonly port: number | undefined
  readonly ready: boolean
}
/** None when there is no such file or no pid in it (it is written in steps). */
export declare const read: (data: string) => Effect.Effect<Option.Option<PostmasterFile>, DataFolderUnusable>
/** The server that runs on these data, if the file speaks of a living one. */
export declare const livingServer: (
  data: string
) => Effect.Effect<Option.Option<ProcessIdentity.ProcessIdentity>, DataFolderUnusable>
/**
 * Makes a stale file harmless. PostgreSQL removes one by itself when its pid is free, but
 * refuses to start when another process of the same user has got that pid. The file is not
 * deleted but made to name a process that cannot exist, because its last line lets
 * PostgreSQL notice child processes of the old server that still live and write. Only when
 * `livingServer` is none.
 */
export declare const defuse: (data: string) => Effect.Effect<void, DataFolderUnusable>
/** The command line with which the last server was started on these data, as PostgreSQL noted it. */
export declare const lastCommand: (data: string) => Effect.Effect<string | undefined, DataFolderUnusable>
// # sourceMappingURL=PostmasterFile.d.ts.map
