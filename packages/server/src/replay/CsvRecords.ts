/**
 * CSV records of a replay's file with the columns that are asked for. The structure is strict: the header names every
 * column once, each record has as many fields as the header, quotes are doubled and closed. What breaks it is an error with
 * its line, never a record that is skipped.
 */
import { CsvError, type Options, Parser } from "csv-parse"
import type { ReplayFile } from "./ReplayFile.ts"

/** Bytes of one record; a quote that is never closed would otherwise take in the rest of the file. */
export const recordBytesMax = 64 * 1024

/**
 * Batches of records, each with the fields of `columns` in that order; other columns are left out. At most `limit` records
 * (the header does not count); what comes after them, but for the few bytes by which the parser looks ahead, is not looked
 * at. Throws `ReplayInputError`.
 */
export async function* csvRecords(
  file: ReplayFile,
  columns: ReadonlyArray<string>,
  limit: number
): AsyncGenerator<ReadonlyArray<ReadonlyArray<string>>, void, undefined> {
  let header: ReadonlyArray<string> | undefined
  let picked: ReadonlyArray<number> | undefined
  let inOrder = false
  let records = 0
  let linesBefore = 0
  let batch: Array<ReadonlyArray<string>> = []

  const take = (record: ReadonlyArray<string>, line: number): void => {
    if (picked === undefined) {
      header = record
      picked = pickColumns(file, columns, record)
      inOrder = picked.length === record.length && picked.every((index, at) => index === at)
    } else if (records < limit) {
      if (record.length !== header?.length) {
        throw file.error("ColumnCount", `${record.length} fields where the header has ${header?.length}`, {
          line: linesBefore + 1
        })
      }
      records += 1
      batch.push(inOrder ? record : picked.map((index) => record[index] ?? ""))
    }
    linesBefore = line
  }
  const parser = new RecordParser(take, {
    delimiter: ",",
    record_delimiter: ["\r\n", "\n"],
    relax_column_count: true, // counted above, where the header is known
    skip_empty_lines: true,
    max_record_size: recordBytesMax,
    to: limit + 1
  })

  const failure = (cause: unknown) => {
    if (!(cause instanceof CsvError)) return cause
    if (picked === undefined) {
      return file.error("MissingHeader", `the first line is no header: ${cause.message}`, { line: 1 })
    }
    const index: unknown = cause["index"]
    const path = typeof index === "number" ? header?.[index] : undefined
    return file.error(cause.code === "CSV_MAX_RECORD_SIZE" ? "RecordTooLong" : "BadQuoting", cause.message, {
      line: linesBefore + 1,
      ...(path === undefined ? {} : { path })
    })
  }

  // Errors come with the call that they belong to; without a listener they would end the process as well.
  parser.on("error", () => {})
  const told = (call: (done: (cause?: Error | null) => void) => void): Promise<unknown> =>
    new Promise((resolve) => {
      try {
        call((cause) => resolve(cause ?? undefined))
      } catch (cause) {
        resolve(cause) // thrown by `take`
      }
    })

  try {
    for await (const chunk of file.chunks()) {
      const cause = await told((done) => parser.write(chunk, done))
      if (batch.length > 0) yield batch
      batch = []
      if (cause !== undefined) throw failure(cause)
      if (records >= limit) return
    }
    const cause = await told((done) => parser.end(done))
    if (batch.length > 0) yield batch
    if (cause !== undefined) throw failure(cause)
    if (picked === undefined) throw file.error("EmptyFile", "the file has no lines")
  } finally {
    parser.destroy()
  }
}

/**
 * Hands each record over as it is parsed instead of putting it into the stream: an error then loses none of the records
 * before it, and the parser's own call-back (`on_record`) costs as much as the parsing.
 */
class RecordParser extends Parser {
  readonly #take: (record: ReadonlyArray<string>, line: number) => void

  constructor(take: (record: ReadonlyArray<string>, line: number) => void, options: Options) {
    super(options)
    this.#take = take
  }

  override push(record: ReadonlyArray<string> | null): boolean {
    if (record === null) return super.push(null)
    this.#take(record, this.info.lines)
    return true
  }
}

const pickColumns = (
  file: ReplayFile,
  columns: ReadonlyArray<string>,
  header: ReadonlyArray<string>
): ReadonlyArray<number> => {
  const names = header.map((name) => name.trim())
  const missing = columns.filter((column) => !names.includes(column))
  if (missing.length > 0) {
    throw file.error("MissingHeader", `the first line does not name the columns ${missing.join(", ")}`, { line: 1 })
  }
  const twice = columns.find((column) => names.indexOf(column) !== names.lastIndexOf(column))
  if (twice !== undefined) {
    throw file.error("MissingHeader", "the first line names a column twice", { line: 1, path: twice })
  }
  return columns.map((column) => names.indexOf(column))
}
