/** What can end a demo early. Each says what happened and where to look. */
import { Schema } from "effect"

/** A process did not come up: it ended, or said nothing in time. */
export class ProcessNotReady extends Schema.TaggedError<ProcessNotReady>()("ProcessNotReady", {
  name: Schema.String,
  reason: Schema.String,
  log: Schema.String,
  /** The last of what it said. */
  tail: Schema.String
}) {
  override get message(): string {
    return `${this.name} did not start: ${this.reason}; its log is ${this.log}\n${this.tail}`
  }
}

/** A process that the demo cannot do without has ended. */
export class ProcessDied extends Schema.TaggedError<ProcessDied>()("ProcessDied", {
  name: Schema.String,
  pid: Schema.Int,
  how: Schema.String,
  log: Schema.String,
  tail: Schema.String
}) {
  override get message(): string {
    return `${this.name} (process ${this.pid}) has ended: ${this.how}; its log is ${this.log}\n${this.tail}`
  }
}

/** The sandbox did not take the demo's settings. */
export class SandboxRefused extends Schema.TaggedError<SandboxRefused>()("SandboxRefused", {
  reason: Schema.String
}) {
  override get message(): string {
    return `the provider sandbox did not take its settings: ${this.reason}`
  }
}

/** The demo begins with an empty shop; this database holds one already. */
export class DatabaseInUse extends Schema.TaggedError<DatabaseInUse>()("DatabaseInUse", {
  found: Schema.String
}) {
  override get message(): string {
    return `the demo needs an empty database, this one holds ${this.found}: name another in DATABASE_URL, or none`
  }
}

/** The pipeline does not come to rest at an instant of the logical clock. */
export class PipelineStuck extends Schema.TaggedError<PipelineStuck>()("PipelineStuck", {
  /** ms since the epoch. */
  instant: Schema.Number,
  waitedMs: Schema.Number,
  /** What is left to do. */
  waitsFor: Schema.String
}) {
  override get message(): string {
    const seconds = Math.round(this.waitedMs / 1_000)
    return `at ${new Date(this.instant).toISOString()} nothing has moved for ${seconds} s; waiting for ${this.waitsFor}`
  }
}

/** A step that the shop did not carry out, however often it was asked. */
export class StepFailed extends Schema.TaggedError<StepFailed>()("StepFailed", {
  step: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.step} failed: ${this.reason}`
  }
}

/** A campaign of the demo was not accepted. */
export class CampaignRefused extends Schema.TaggedError<CampaignRefused>()("CampaignRefused", {
  campaign: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `the campaign ${this.campaign} was refused: ${this.reason}`
  }
}

/** The replay came to its end, but its sums do not agree. */
export class ChecksFailed extends Schema.TaggedError<ChecksFailed>()("ChecksFailed", {
  checks: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `the sums do not agree:\n${this.checks.map((check) => `  ${check}`).join("\n")}`
  }
}

/** A file of the demo cannot be written. */
export class FileUnwritable extends Schema.TaggedError<FileUnwritable>()("FileUnwritable", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file} cannot be written: ${this.reason}`
  }
}
