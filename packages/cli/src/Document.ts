/** Campaign definitions as they lie on the disk: JSON, or YAML, which is easier to write. */
import { FileSystem } from "@effect/platform"
import { Effect } from "effect"
import { parseDocument } from "yaml"
import { type CliFailure, misused } from "./Failure.ts"

/** Largest file that is read, in bytes. */
const fileMax = 4 * 1024 * 1024
/** Aliases that a document may expand: YAML can blow up small files into huge ones. */
const aliasMax = 100

/** Whether an argument means a file rather than the id of something stored. */
export const isFile = (argument: string): boolean => /\.(json|ya?ml)$/i.test(argument) || argument.includes("/")

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const text = (path: string): Effect.Effect<string, CliFailure, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const { size } = yield* files.stat(path)
    if (size > fileMax) return yield* misused(`${path} is larger than ${fileMax} bytes`)
    return yield* files.readFileString(path)
  }).pipe(
    Effect.catchTags({
      SystemError: (error) =>
        Effect.fail(
          misused(
            error.reason === "NotFound" ? `There is no file ${path}.` : `${path} cannot be read: ${error.message}`
          )
        ),
      BadArgument: (error) => Effect.fail(misused(`${path} cannot be read: ${error.message}`))
    })
  )

/** The document in a file. */
export const read = (path: string): Effect.Effect<unknown, CliFailure, FileSystem.FileSystem> =>
  Effect.flatMap(text(path), (source) => {
    if (path.toLowerCase().endsWith(".json")) {
      return Effect.try({
        try: (): unknown => JSON.parse(source),
        catch: (error) => misused(`${path} is not valid JSON: ${reason(error)}`)
      })
    }
    return Effect.try({
      try: (): unknown => {
        const document = parseDocument(source, { strict: true, uniqueKeys: true })
        const [first] = document.errors
        if (first !== undefined) throw first
        return document.toJS({ maxAliasCount: aliasMax })
      },
      catch: (error) => misused(`${path} is not valid YAML: ${reason(error)}`)
    })
  })
