/** What `npm run demo --` can be told. */
import { Options } from "@effect/cli"
import type { Option } from "effect"

export interface DemoOptions {
  /** A file to replay: Online Retail as CSV (plain or gzip) or NDJSON of our own; none: a generated shop. */
  readonly events: Option.Option<string>
  /** Lines of the file at most. */
  readonly limit: Option.Option<number>
  /** Seed and sizes of a generated shop. */
  readonly seed: Option.Option<string>
  readonly days: Option.Option<number>
  readonly products: Option.Option<number>
  readonly members: Option.Option<number>
  readonly visits: Option.Option<number>
  /** Where the report goes as JSON. */
  readonly report: Option.Option<string>
  readonly keep: boolean
  /** The demo's folder: database, logs, the sandbox's record; none: a temporary one. */
  readonly folder: Option.Option<string>
}

/** As options of a command line. */
export const demoOptions = {
  events: Options.optional(
    Options.withDescription(
      Options.file("events"),
      "A file to replay: Online Retail (CSV, plain or .gz) or NDJSON of events and steps. Default: a generated shop."
    )
  ),
  limit: Options.optional(Options.withDescription(Options.integer("limit"), "Lines of the file at most.")),
  seed: Options.optional(Options.withDescription(Options.text("seed"), "Seed of the generated shop.")),
  days: Options.optional(Options.withDescription(Options.integer("days"), "Days of the generated shop; default 7.")),
  products: Options.optional(
    Options.withDescription(Options.integer("products"), "Products of the generated shop; default 300.")
  ),
  members: Options.optional(
    Options.withDescription(Options.integer("members"), "Members of the generated shop; default 2,000.")
  ),
  visits: Options.optional(
    Options.withDescription(Options.integer("visits"), "Visits a day to the generated shop; default 1,200.")
  ),
  report: Options.optional(Options.withDescription(Options.text("report"), "Write the report to this file as JSON.")),
  keep: Options.withDescription(Options.boolean("keep"), "Leave everything running until Ctrl-C."),
  folder: Options.optional(
    Options.withDescription(
      Options.directory("folder"),
      "Where the database, the logs and the sandbox's record go. Default: a temporary folder."
    )
  )
}
