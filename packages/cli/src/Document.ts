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

/** Deepest nesting that is sent: more than any definition has, less than what stops the connection. */
const nestingMax = 40

/** What no document can hold and no connection carries unchanged, or null. */
const faultIn = (document: unknown): string | null => {
  let level: ReadonlyArray<unknown> = [document]
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > nestingMax) return `is nested deeper than ${nestingMax}`
    const below: Array<unknown> = []
    for (const each of level) {
      if (typeof each === "string" && !each.isWellFormed()) return "holds a lone surrogate (half of a character)"
      if (typeof each === "object" && each !== null) { for (const value of Object.values(each)) below.push(value) }
    }
    level = below
  }
  return null
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const text = (path: string): Effect.Effect<string, CliFailure, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const { size } = yield* files.stat(path)
    if (size > fileMax) return yield* misused(`${path} is larger than ${fileMax} bytes`)
    const bytes = yield* files.readFile(path)
    return yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: () => misused(`${path} is not UTF-8 text: save it in that encoding.`)
    })
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

const parse = (path: string, source: string): Effect.Effect<unknown, CliFailure> =>
  path.toLowerCase().endsWith(".json")
    ? Effect.try({
      try: (): unknown => JSON.parse(source),
      catch: (error) => misused(`${path} is not valid JSON: ${reason(error)}`)
    })
    : Effect.try({
      try: (): unknown => {
        const document = parseDocument(source, { strict: true, uniqueKeys: true })
        const [first] = document.errors
        if (first !== undefined) throw first
        return document.toJS({ maxAliasCount: aliasMax })
      },
      catch: (error) => misused(`${path} is not valid YAML: ${reason(error)}`)
    })

/** The document in a file. */
export const read = (path: string): Effect.Effect<unknown, CliFailure, FileSystem.FileSystem> =>
  text(path).pipe(
    Effect.flatMap((source) => parse(path, source)),
    Effect.filterOrElse(
      (document) => faultIn(document) === null,
      (document) => misused(`${path} ${faultIn(document)}.`)
    )
  )
