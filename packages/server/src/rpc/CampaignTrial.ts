/**
 * A campaign looked at before it is let loose: whom it would reach, and what they would read. Nothing is written, nobody's
 * caps are touched (G18); works for stored versions and for documents that are not stored yet.
 */
import { SqlClient } from "@effect/sql"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { productsOf } from "@hikyaku/cluster/marketing/ProductFacts"
import * as RunTrial from "@hikyaku/cluster/marketing/RunTrial"
import { Shop } from "@hikyaku/cluster/marketing/Shop"
import { type BadInput, type Unavailable, Unknown } from "@hikyaku/domain/api/ApiError"
import { badInput } from "@hikyaku/domain/api/BadInput"
import type { DefinitionFault, Rendered, Subject } from "@hikyaku/domain/api/CampaignApi"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import { describeFault, type Fields } from "@hikyaku/domain/marketing/Content"
import { type DocumentFault, showPath } from "@hikyaku/domain/marketing/DocumentFault"
import { Attributes, type Channel } from "@hikyaku/domain/marketing/Event"
import { composeMessage } from "@hikyaku/domain/marketing/Message"
import { needs } from "@hikyaku/domain/marketing/Segment"
import { Context, Effect, Either, Layer, Schema } from "effect"
import { stored } from "./Asking.ts"
import { CampaignQuery } from "./CampaignQuery.ts"
import { CustomTypes } from "./CustomTypes.ts"

/** Members in a sample where the call does not say. */
const sampleDefault = 10

interface Cause {
  readonly product?: string | undefined
  readonly eventMember?: string | undefined
  readonly parameters?: Attributes | undefined
}
interface Invalid {
  readonly _tag: "Invalid"
  readonly faults: ReadonlyArray<DefinitionFault>
}
interface Counted extends RunTrial.Judgement {
  readonly _tag: "Counted"
  readonly members: number
}
interface Sampled {
  readonly _tag: "Sampled"
  readonly judged: number
  readonly leftOut: Readonly<Record<string, number>>
  readonly members: ReadonlyArray<{
    readonly id: string
    readonly language: string | null
    readonly channels: ReadonlyArray<Channel>
  }>
}
interface Preview {
  readonly of: Subject
  readonly member: string
  readonly product?: string | undefined
  readonly channel?: Channel | undefined
  readonly parameters?: Attributes | undefined
}

type Failure = Unknown | Unavailable

export class CampaignTrial extends Context.Tag("@hikyaku/server/CampaignTrial")<CampaignTrial, {
  /** How many members a run would send to, and why not to the others. */
  readonly count: (of: Subject, cause: Cause) => Effect.Effect<Counted | Invalid, Failure | BadInput>
  /** Some of those it would send to. */
  readonly sample: (of: Subject, cause: Cause, limit?: number) => Effect.Effect<Sampled | Invalid, Failure | BadInput>
  /** The message as a member would get it. */
  readonly preview: (
    preview: Preview
  ) => Effect.Effect<{ readonly _tag: "Previewed"; readonly message: Rendered } | Invalid, Failure>
}>() {}

const ProductRow = Schema.Struct({
  id: Schema.String,
  name: Schema.NullOr(Schema.String),
  price: Schema.NullOr(Schema.Number),
  category: Schema.NullOr(Schema.String),
  brand: Schema.NullOr(Schema.String),
  stock: Schema.NullOr(Schema.Number),
  attributes: Attributes
})
const MemberRow = Schema.Struct({
  id: Schema.String,
  language: Schema.NullOr(Schema.String),
  timeZone: Schema.NullOr(Schema.String),
  attributes: Attributes
})
const rows = <A, I>(row: Schema.Schema<A, I>) => Schema.decodeUnknown(Schema.Array(row))
const decodeProducts = rows(ProductRow)
const decodeMembers = rows(MemberRow)

const shownFaults = (faults: ReadonlyArray<DocumentFault>): ReadonlyArray<DefinitionFault> =>
  faults.map(({ hint, message, path }) => ({ path: showPath(path), message, hint }))

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const clock = yield* ShopClock
  const shop = yield* Shop
  const custom = yield* CustomTypes
  const query = yield* CampaignQuery
  const run = yield* RunTrial.make

  const definitionOf = (of: Subject): Effect.Effect<CampaignDefinition | Invalid, Failure> => {
    if ("document" in of) {
      return Effect.map(
        custom.all,
        (customTypes) =>
          Either.match(
            validateCampaign(of.document, {
              timeZone: shop.timeZone,
              ...(shop.keepMs !== undefined && { keepMs: shop.keepMs }),
              customTypes
            }),
            {
              onLeft: (faults): Invalid => ({ _tag: "Invalid", faults: shownFaults(faults) }),
              onRight: ({ definition }) => definition
            }
          )
      )
    }
    const { campaign, version } = of
    return Effect.flatMap(query.version(campaign, version), (found) =>
      found !== null
        ? Effect.succeed(found.definition)
        : version === undefined
        ? new Unknown({ what: "campaign", id: campaign })
        : new Unknown({ what: "version", id: `${version} of campaign ${campaign}` }))
  }
  const isInvalid = (found: CampaignDefinition | Invalid): found is Invalid => "_tag" in found

  const productOf = (id: string | undefined) =>
    id === undefined ? Effect.succeed(null) : stored(
      productsOf([id]).pipe(Effect.provideService(SqlClient.SqlClient, sql), Effect.flatMap(decodeProducts))
    ).pipe(
      Effect.flatMap(([row]) => (row === undefined ? new Unknown({ what: "product", id }) : Effect.succeed(row)))
    )

  const trialOf = (definition: CampaignDefinition, { eventMember, parameters = {}, product }: Cause) =>
    Effect.gen(function*() {
      // Without what the segment speaks of it means nobody; the answer would be a zero that says nothing of the campaign.
      const segments = [
        definition.segment,
        ...(definition.exclude?.segment === undefined ? [] : [definition.exclude.segment])
      ]
      const needed = segments.map(needs)
      if (product === undefined && needed.some((each) => each.product)) {
        return yield* badInput("product", "is missing", "the segment speaks of the event's product: name one")
      }
      if (eventMember === undefined && needed.some((each) => each.member)) {
        return yield* badInput("eventMember", "is missing", "the segment speaks of the event's member: name one")
      }
      const trial: RunTrial.Trial = {
        definition,
        shop,
        cause: { product: yield* productOf(product), member: eventMember ?? null },
        parameters,
        now: clock.now()
      }
      return trial
    })

  const count = (of: Subject, cause: Cause) =>
    Effect.gen(function*() {
      const definition = yield* definitionOf(of)
      if (isInvalid(definition)) return definition
      const trial = yield* trialOf(definition, cause)
      return { _tag: "Counted" as const, ...(yield* stored(run.count(trial))) }
    })

  const sample = (of: Subject, cause: Cause, limit: number = sampleDefault) =>
    Effect.gen(function*() {
      const definition = yield* definitionOf(of)
      if (isInvalid(definition)) return definition
      const trial = yield* trialOf(definition, cause)
      const { judged, leftOut, reached } = yield* stored(run.sample(trial, limit))
      const members = reached.map(({ channels, member }) => ({ id: member.id, language: member.language, channels }))
      return { _tag: "Sampled" as const, judged, leftOut, members }
    })

  const preview = ({ channel: wanted, member: id, of, parameters, product: productId }: Preview) =>
    Effect.gen(function*() {
      const definition = yield* definitionOf(of)
      if (isInvalid(definition)) return definition
      const [member] = yield* stored(
        sql`select id, language, time_zone as "timeZone", attributes from member where id = ${id}`.pipe(
          Effect.flatMap(decodeMembers)
        )
      )
      if (member === undefined) return yield* new Unknown({ what: "member", id })
      const product = yield* productOf(productId)
      const channel = wanted ?? definition.channels[0]
      const message = composeMessage(definition, channel, {
        member: { id, language: member.language, attributes: member.attributes },
        product,
        parameters: parameters ?? {},
        timeZone: member.timeZone ?? shop.timeZone,
        // Whoever follows the link of a preview must not unsubscribe anybody.
        unsubscribeUrl: "https://unsubscribe.example/preview"
      })
      const { language } = message
      const shown = (parts: Fields, faults: ReadonlyArray<DefinitionFault>) => ({
        _tag: "Previewed" as const,
        message: { channel, language, parts, faults }
      })
      const place = `content.${language}.${channel}`
      switch (message._tag) {
        case "Contentless":
          return shown({}, [{ path: place, message: `there is no content for ${channel}`, hint: null }])
        case "Faulty":
          return shown(
            {},
            message.faults.map((fault) => ({
              path: `${place}.${fault.field}`,
              message: describeFault(fault),
              hint: fault.hint
            }))
          )
        case "Composed":
          return shown(message.parts, [])
      }
    })

  return CampaignTrial.of({ count, sample, preview })
})

export const layer: Layer.Layer<
  CampaignTrial,
  never,
  SqlClient.SqlClient | ShopClock | Shop | CustomTypes | CampaignQuery
> = Layer.effect(CampaignTrial, make)
