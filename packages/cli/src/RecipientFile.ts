/**
 * Recipients in a file, record by record: CSV with a heading line, or NDJSON. Read as a stream with a bounded buffer, so that
 * a million of them take no more memory than ten.
 */
import { parse } from "csv-parse"
import { createReadStream } from "node:fs"
import { stat } from "node:fs/promises"
import { createInterface } from "node:readline"

export type Row = Readonly<Record<string, unknown>>

/** A row, and how much of the file was read by then. Lines count records from 1, the heading left out. */
export interface ReadRow {
  readonly line: number
  readonly row: Row
  readonly bytes: number
}

/** Longest record, in bytes. */
const recordMax = 64 * 1024

export const sizeOf = async (file: string): Promise<number> => (await stat(file)).size

async function* ndjson(file: string): AsyncGenerator<ReadRow> {
  const source = createReadStream(file)
  try {
    let line = 0
    for await (const text of createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (text.trim() === "") continue
      line++
      yield { line, row: objectOf(text), bytes: source.bytesRead }
    }
  } finally {
    source.destroy()
  }
}

/** What cannot be read becomes a row that the server refuses by its line, like any other broken one. */
const objectOf = (text: string): Row => {
  if (text.length > recordMax) return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {}
  } catch {
    return {}
  }
}

async function* csv(file: string): AsyncGenerator<ReadRow> {
  const source = createReadStream(file)
  const parser = source.pipe(parse({
    bom: true,
    columns: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: recordMax
  }))
  source.once("error", (cause) => parser.destroy(cause))
  try {
    let line = 0
    for await (const record of parser) {
      line++
      const row: unknown = record
      yield { line, row: typeof row === "object" && row !== null ? { ...row } : {}, bytes: source.bytesRead }
    }
  } finally {
    source.destroy()
  }
}

/** The rows of a file; by its name NDJSON (`.ndjson`, `.jsonl`) or CSV. */
export const rowsOf = (file: string): AsyncGenerator<ReadRow> =>
  /\.(ndjson|jsonl)$/i.test(file) ? ndjson(file) : csv(file)
