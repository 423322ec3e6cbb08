/**
 * Why a replay's input cannot be used at all, and where. Structure is fatal (a file that is not what it claims to be cannot
 * be trusted in any line); content that merely makes no sense in one row is counted by reason instead (`UnusableReason`).
 */
import { Schema } from "effect"

export const ReplayInputFault = Schema.Literal(
  /** Missing, not a regular file, not permitted, or the disk failed. */
  "FileUnreadable",
  "EmptyFile",
  /** The first line lacks columns, or names one twice. */
  "MissingHeader",
  "ColumnCount",
  "BadQuoting",
  /** One record or line exceeds the bound on its bytes; often a quote that is never closed. */
  "RecordTooLong",
  "NotUtf8",
  "GzipTruncated",
  "GzipCorrupt",
  "InvalidJson",
  /** JSON that is neither an event nor a step. */
  "InvalidStep",
  /** A step earlier than the one before it. */
  "OutOfOrder",
  /** An opening after the first step that is none. */
  "LateOpening",
  /** Somebody wrote to the file while it was replayed. */
  "FileChanged",
  "BadOption"
)
export type ReplayInputFault = typeof ReplayInputFault.Type

/** A fault of the input as a whole: nothing of it is replayed beyond the steps already handed out. */
export class ReplayInputError extends Schema.TaggedError<ReplayInputError>()("ReplayInputError", {
  file: Schema.String,
  fault: ReplayInputFault,
  detail: Schema.String,
  /** 1-based line of the (unpacked) file; for a record over several lines, where it begins. */
  line: Schema.optional(Schema.Int),
  /** 1-based character within the line. */
  column: Schema.optional(Schema.Int),
  /** 0-based byte of the (unpacked) file; for a broken gzip, of the packed one. */
  byte: Schema.optional(Schema.Int),
  /** Field within the record: a column's name, or a path such as `happening.after`. */
  path: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const place = [
      this.file,
      ...(this.line === undefined ? [] : [`line ${this.line}`]),
      ...(this.column === undefined ? [] : [`column ${this.column}`]),
      ...(this.byte === undefined ? [] : [`byte ${this.byte}`]),
      ...(this.path === undefined ? [] : [this.path])
    ]
    return `${place.join(", ")}: ${this.fault}: ${this.detail}`
  }
}
