/**
 * The few file operations behind the embedded PostgreSQL, with failures that name the
 * path. Written so that a crash at any moment leaves the old content or the new, never half.
 */
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { DataFolderUnusable } from "./EmbeddedPostgresError.ts"

/** The system's code of an error (`ENOENT`, `EACCES`, ...), or undefined. */
export const errorCode = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined

const unusable = (folder: string, doing: string, cause: unknown): DataFolderUnusable => {
  const code = errorCode(cause)
  const advice = code === "EACCES" || code === "EPERM"
    ? "It was perhaps created by another user (root?): start as that user, change its owner, or choose another folder."
    : code === "ENOSPC"
    ? "Free some space on that disk."
    : code === "EROFS"
    ? "The file system is read-only: choose another folder."
    : "Check the folder, or choose another one."
  return new DataFolderUnusable({
    folder,
    reason: `${doing}: ${cause instanceof Error ? cause.message : String(cause)}`,
    advice
  })
}

/** Runs a file operation; its failure becomes a `DataFolderUnusable` that names folder and operation. */
export const attempt = <A>(
  folder: string,
  doing: string,
  run: () => Promise<A>
): Effect.Effect<A, DataFolderUnusable> =>
  Effect.tryPromise({ try: run, catch: (cause) => unusable(folder, doing, cause) })

const unlessMissing = <A>(run: () => Promise<A>) => (): Promise<A | undefined> =>
  run().catch((error) => {
    if (errorCode(error) === "ENOENT") return undefined
    throw error
  })

/** The text of a file, or undefined when there is none. */
export const readText = (file: string): Effect.Effect<string | undefined, DataFolderUnusable> =>
  attempt(path.dirname(file), `reading ${file}`, unlessMissing(() => fs.readFile(file, "utf8")))

/** What `stat` says, or undefined when there is nothing at that path. */
export const statOf = (file: string) =>
  attempt(path.dirname(file), `looking at ${file}`, unlessMissing(() => fs.stat(file)))

/** Makes renames and new names in this folder durable. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await fs.open(folder, "r")
  // Some file systems cannot sync a folder; they then keep its names in order themselves.
  await handle.sync().catch(() => undefined)
  await handle.close()
}

/** Makes a file that root created belong to whoever owns its folder: the next start may be that user's. */
export const belongToFolder = async (file: string): Promise<void> => {
  if (process.getuid?.() !== 0) return
  const { gid, uid } = await fs.stat(path.dirname(file))
  if (uid !== 0) await fs.chown(file, uid, gid)
}

/** Writes the text beside the file under a name of its own, durably; returns that name. */
const writeBeside = async (file: string, text: string, mode: number): Promise<string> => {
  const temporary = `${file}.${randomUUID()}.tmp`
  const handle = await fs.open(temporary, "wx", mode)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await belongToFolder(temporary)
  return temporary
}

/** Replaces the file's whole content durably. */
export const replaceText = (
  file: string,
  text: string,
  mode = 0o600
): Effect.Effect<void, DataFolderUnusable> =>
  attempt(path.dirname(file), `writing ${file}`, async () => {
    const temporary = await writeBeside(file, text, mode)
    await fs.rename(temporary, file)
    await syncFolder(path.dirname(file))
  })

/** Creates the file with its whole content at once; false when the name is already taken. */
export const createText = (
  file: string,
  text: string,
  mode = 0o600
): Effect.Effect<boolean, DataFolderUnusable> =>
  attempt(path.dirname(file), `creating ${file}`, async () => {
    const temporary = await writeBeside(file, text, mode)
    try {
      // Unlike open("wx") followed by a write, a link is never seen half written.
      await fs.link(temporary, file)
      return true
    } catch (error) {
      if (errorCode(error) === "EEXIST") return false
      throw error
    } finally {
      await fs.rm(temporary, { force: true })
    }
  })
