/** The campaigns' methods: definitions are checked here, then given to the Campaign actors, which trust them. */
import type { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { Shop } from "@hikyaku/cluster/marketing/Shop"
import { type CommandError, Unknown } from "@hikyaku/domain/api/ApiError"
import { badInput } from "@hikyaku/domain/api/BadInput"
import { CampaignApi, type DefinitionFault } from "@hikyaku/domain/api/CampaignApi"
import { deadlineDefault } from "@hikyaku/domain/api/CartApi"
import { difference } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignCommand, CampaignReply } from "@hikyaku/domain/marketing/CampaignCommand"
import { validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import { type DocumentFault, showPath } from "@hikyaku/domain/marketing/DocumentFault"
import { Effect, Either } from "effect"
import { ask } from "./Asking.ts"
import { CampaignQuery } from "./CampaignQuery.ts"
import { setRun } from "./CampaignRuns.ts"
import { CampaignTrial } from "./CampaignTrial.ts"
import { actorsOnly } from "./Context.ts"
import { CustomTypes } from "./CustomTypes.ts"

interface Call {
  readonly campaign: string
  readonly author: string
  readonly deadline?: number | undefined
}

export const shownFaults = (faults: ReadonlyArray<DocumentFault>): ReadonlyArray<DefinitionFault> =>
  faults.map(({ hint, message, path }) => ({ path: showPath(path), message, hint }))

/** A reply that the command cannot have: our own fault. */
const unexpected = (reply: CampaignReply) => Effect.dieMessage(`the Campaign actor answered ${reply._tag}`)

const tell = (
  campaign: string,
  deadline: number | undefined,
  command: CampaignCommand
): Effect.Effect<CampaignReply, CommandError | Unknown, ActorClient> =>
  ask(campaignKind, { actor: campaign, command, within: deadline ?? deadlineDefault }).pipe(
    Effect.filterOrFail(
      (reply) => reply._tag !== "UnknownCampaign",
      () => new Unknown({ what: "campaign", id: campaign })
    )
  )

const setStatus = ({ author, campaign, deadline }: Call, tag: "Pause" | "Resume" | "Cancel") =>
  Effect.flatMap(tell(campaign, deadline, { _tag: tag, author }), (reply) => {
    switch (reply._tag) {
      case "StatusChanged":
      case "NotAllowed":
        return Effect.succeed(reply)
      default:
        return unexpected(reply)
    }
  })

const idOf = (document: unknown): string | null =>
  typeof document === "object" && document !== null && "id" in document && typeof document.id === "string"
    ? document.id
    : null

export const layer = CampaignApi.toLayer(Effect.gen(function*() {
  const context = yield* actorsOnly
  const shop = yield* Shop
  const custom = yield* CustomTypes
  const query = yield* CampaignQuery
  const trial = yield* CampaignTrial
  const toRun = yield* setRun

  const validate = (document: unknown) =>
    Effect.map(
      custom.all,
      (customTypes) =>
        validateCampaign(document, {
          timeZone: shop.timeZone,
          ...(shop.keepMs !== undefined && { keepMs: shop.keepMs }),
          customTypes
        })
    )

  const known = <A>(campaign: string, found: A | null | undefined): Effect.Effect<A, Unknown> =>
    found === null || found === undefined
      ? new Unknown({ what: "campaign", id: campaign })
      : Effect.succeed(found)

  const versionOf = (campaign: string, version: number | undefined) =>
    Effect.flatMap(query.version(campaign, version), (found) =>
      found !== null
        ? Effect.succeed(found)
        : version === undefined
        ? new Unknown({ what: "campaign", id: campaign })
        : new Unknown({ what: "version", id: `${version} of campaign ${campaign}` }))

  return CampaignApi.of({
    "campaign.validate": ({ document }) =>
      Effect.map(
        validate(document),
        Either.match({
          onLeft: (faults) => ({ _tag: "Invalid" as const, faults: shownFaults(faults) }),
          onRight: ({ warnings }) => ({ _tag: "Valid" as const, warnings: shownFaults(warnings) })
        })
      ),

    "campaign.apply": ({ author, base, deadline, document }) =>
      Effect.gen(function*() {
        const valid = yield* validate(document)
        if (Either.isLeft(valid)) return { _tag: "Invalid" as const, faults: shownFaults(valid.left) }
        const { definition, warnings } = valid.right
        const reply = yield* ask(campaignKind, {
          actor: definition.id,
          command: {
            _tag: "Define",
            definition,
            author,
            timeZone: shop.timeZone,
            ...(base !== undefined && { base })
          },
          within: deadline ?? deadlineDefault
        })
        switch (reply._tag) {
          case "Defined":
            return {
              _tag: "Applied" as const,
              version: reply.version,
              changed: reply.changed,
              warnings: shownFaults(warnings)
            }
          case "VersionConflict":
          case "NotAllowed":
            return reply
          default:
            return yield* unexpected(reply)
        }
      }).pipe(Effect.provide(context)),

    "campaign.get": ({ campaign, version }) =>
      Effect.gen(function*() {
        const found = yield* versionOf(campaign, version)
        const [summary] = yield* query.summaries({ id: campaign })
        return { summary: yield* known(campaign, summary), ...found }
      }),
    "campaign.list": (by) => query.summaries(by),
    "campaign.versions": ({ campaign, limit }) =>
      Effect.flatMap(
        query.versions(campaign, limit),
        (versions) => versions.length === 0 ? new Unknown({ what: "campaign", id: campaign }) : Effect.succeed(versions)
      ),

    "campaign.diff": ({ campaign, document, from, to }) =>
      Effect.gen(function*() {
        const before = yield* versionOf(campaign, from)
        const shown = (after: typeof before.definition, to: number | null) => ({
          from: before.version.version,
          to,
          differences: difference(before.definition, after).map(({ after, before, path }) => ({
            path: showPath(path),
            before: before ?? null,
            after: after ?? null
          }))
        })
        if (document === undefined) {
          const after = yield* versionOf(campaign, to)
          return shown(after.definition, after.version.version)
        }
        if (to !== undefined) return yield* badInput("to", "cannot be given together with a document")
        const valid = yield* validate(document)
        if (Either.isLeft(valid)) {
          const [fault, ...others] = shownFaults(valid.left)
          const hint = [
            ...(fault?.hint === null || fault === undefined ? [] : [fault.hint]),
            ...(others.length === 0 ? [] : [`${others.length} more faults: validate it`])
          ].join("; ")
          const path = fault === undefined || fault.path === "" ? "document" : `document.${fault.path}`
          return yield* badInput(path, fault?.message ?? "is not valid", hint === "" ? undefined : hint)
        }
        if (idOf(document) !== campaign) {
          return yield* badInput("document.id", `is not ${campaign}`, "compare versions of one campaign")
        }
        return shown(valid.right.definition, null)
      }),

    "campaign.rollback": ({ author, campaign, deadline, to }) =>
      Effect.gen(function*() {
        const { definition } = yield* versionOf(campaign, to)
        const reply = yield* tell(campaign, deadline, {
          _tag: "Rollback",
          to,
          definition,
          author,
          timeZone: shop.timeZone
        })
        switch (reply._tag) {
          case "Defined":
            return { _tag: "Applied" as const, version: reply.version, changed: reply.changed, warnings: [] }
          case "NotAllowed":
            return reply
          default:
            return yield* unexpected(reply)
        }
      }).pipe(Effect.provide(context)),

    "campaign.pause": (call) => Effect.provide(setStatus(call, "Pause"), context),
    "campaign.resume": (call) => Effect.provide(setStatus(call, "Resume"), context),
    "campaign.cancel": (call) => Effect.provide(setStatus(call, "Cancel"), context),

    "campaign.count": ({ of, ...cause }) => trial.count(of, cause),
    "campaign.sample": ({ limit, of, ...cause }) => trial.sample(of, cause, limit),
    "campaign.preview": (call) => trial.preview(call),

    "campaign.explain": ({ member, run }) => query.explain(member, run),
    "campaign.runs": ({ campaign, limit }) => query.runs(campaign, limit),
    "campaign.setRun": ({ run, to }) => toRun(run, to),

    "campaign.runNow": ({ author, campaign, deadline, eventMember, parameters, product, request }) =>
      tell(campaign, deadline, {
        _tag: "StartRunNow",
        request,
        author,
        parameters: parameters ?? {},
        ...(product !== undefined && { product }),
        ...(eventMember !== undefined && { member: eventMember })
      }).pipe(
        Effect.flatMap((reply) => {
          switch (reply._tag) {
            case "RunStarted":
            case "Suppressed":
            case "NotAllowed":
              return Effect.succeed(reply)
            default:
              return unexpected(reply)
          }
        }),
        Effect.provide(context)
      )
  })
}))
