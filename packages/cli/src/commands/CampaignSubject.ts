/** What the campaign commands have in common: how a campaign is named, and how its faults are told. */
import { Args, Options } from "@effect/cli"
import type { FileSystem } from "@effect/platform"
import type { DefinitionFault, Subject } from "@hikyaku/domain/api/CampaignApi"
import { Effect } from "effect"
import { isFile, read } from "../Document.ts"
import { type CliFailure, refused } from "../Failure.ts"

/** A stored campaign. */
export const campaign = Args.text({ name: "campaign" }).pipe(Args.withDescription("The campaign's id."))
/** A stored campaign, or a file. */
export const subject = Args.text({ name: "campaign" }).pipe(
  Args.withDescription("A campaign's id, or a file (.json, .yaml) that is not stored yet.")
)
/** What the event would be about. */
export const productOption = Options.text("product").pipe(
  Options.withDescription("The product that the event would be about."),
  Options.optional
)
export const eventMember = Options.text("event-member").pipe(
  Options.withDescription("The member that the event would be about."),
  Options.optional
)
/** Rows to show. */
export const limit = Options.integer("limit").pipe(
  Options.withDescription("At most so many; default 50."),
  Options.withDefault(50)
)

/** Faults, one below the other, with their hints. */
export const faultsTable = (faults: ReadonlyArray<DefinitionFault>): string =>
  faults.map(({ hint, message, path }) =>
    `  ${path === "" ? "(document)" : path}: ${message}${hint === null ? "" : `\n      ${hint}`}`
  ).join("\n")

/** A definition that cannot run. */
export const invalid = (name: string, faults: ReadonlyArray<DefinitionFault>): CliFailure =>
  refused(`${name} cannot run; nothing was stored:\n${faultsTable(faults)}`)
/** What deserves a second look. */
export const warned = (warnings: ReadonlyArray<DefinitionFault>): string =>
  warnings.length === 0 ? "" : `\nWorth a second look:\n${faultsTable(warnings)}`
/** What cannot be done to the campaign as it stands. */
export const notAllowed = (id: string, { hint, status }: { readonly hint: string; readonly status: string | null }) =>
  refused(`${id}${status === null ? "" : ` is ${status}`}: ${hint}. Nothing was changed.`)

/** What an argument names. */
export const subjectOf = (argument: string): Effect.Effect<Subject, CliFailure, FileSystem.FileSystem> =>
  isFile(argument)
    ? Effect.map(read(argument), (document) => ({ document }))
    : Effect.succeed({ campaign: argument })
