/**
 * The few file operations behind the embedded PostgreSQL, with failures that name the
 * path. Written so that a crash at any moment leaves the old content or the new, never half.
 */
import * as Effect from "effect/Effect"
import { DataFolderUnusable } from "./EmbeddedPostgresError.ts"
/** The system's code of an error (`ENOENT`, `EACCES`, ...), or undefined. */
export declare const errorCode: (error: unknown) => string | undefined
/** Runs a file operation; its failure becomes a `DataFolderUnusable` that names folder and operation. */
export declare const attempt: <A>(
  folder: string,
  doing: string,
  run: () => Promise<A>
) => Effect.Effect<A, DataFolderUnusable>
/** The text of a file, or undefined when there is none. */
export declare const readText: (file: string) => Effect.Effect<string | undefined, DataFolderUnusable>
/** What `stat` says, or undefined when there is nothing at that path. */
export declare const statOf: (file: string) => Effect.Effect<import("fs").Stats | undefined, DataFolderUnusable, never>
/** Makes renames and new names in this folder durable. */
export declare const syncFolder: (folder: string) => Promise<void>
/** Makes a file that root created belong to whoever owns its folder: the next start may be that user's. */
export declare const belongToFolder: (file: string) => Promise<void>
/** Replaces the file's whole content durably. */
export declare const replaceText: (file: string, text: string, mode?: number) => Effect.Effect<void, DataFolderUnusable>
/** Creates the file with its whole content at once; false when the name is already taken. */
export declare const createText: (
  file: string,
  text: string,
  mode?: number
) => Effect.Effect<boolean, DataFolderUnusable>
// # sourceMappingURL=DataFile.d.ts.map
