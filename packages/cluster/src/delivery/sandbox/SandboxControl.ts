/**
 * The other side of the sandbox: what a test, a bench or an operator asks of it. Not part of the provider, and not counted.
 */
import { Context, type Effect, Schema } from "effect"
import type { MailSeen, RequestSeen, SandboxReport } from "./SandboxReport.ts"
import type { SandboxSettings, SettingsPatch, SettingsRefused } from "./SandboxSettings.ts"

/** The sandbox cannot be reached or made no sense. */
export class SandboxUnavailable extends Schema.TaggedError<SandboxUnavailable>()("SandboxUnavailable", {
  reason: Schema.String
}) {}

export class SandboxControl extends Context.Tag("@hikyaku/cluster/delivery/SandboxControl")<SandboxControl, {
  readonly settings: Effect.Effect<SandboxSettings, SandboxUnavailable>
  /** In force from the next request on. */
  readonly configure: (
    patch: SettingsPatch
  ) => Effect.Effect<SandboxSettings, SettingsRefused | SandboxUnavailable>
  readonly report: Effect.Effect<SandboxReport, SandboxUnavailable>
  /** A page of at most `reportPageMax` requests numbered above `after`, oldest first; of the last `requestsKeptMax`. */
  readonly requests: (after: number) => Effect.Effect<ReadonlyArray<RequestSeen>, SandboxUnavailable>
  /** A page of at most `reportPageMax` pairs of mail and address from position `from` on. */
  readonly mails: (from: number) => Effect.Effect<ReadonlyArray<MailSeen>, SandboxUnavailable>
  /** Forgets lists, sends and tallies; settings, and requests under way, stay. */
  readonly reset: Effect.Effect<void, SandboxUnavailable>
}>() {}
