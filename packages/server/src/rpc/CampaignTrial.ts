/**
 * A campaign looked at before it is let loose: whom it would reach, and what they would read. Nothing is written, nobody's
 * caps are touched (G18); works for stored versions and for documents that are not stored yet.
 */
import { SqlClient } from "@effect/sql"
import { ShopClock } from "@hikyaku/cluster/actor/ShopClock"
import { productsOf } from "@hikyaku/cluster/marketing/ProductFacts"
import { countSegment, sampleSegment } from "@hikyaku/cluster/marketing/SegmentSql"
import { Shop } from "@hikyaku/cluster/marketing/Shop"
import { type Unavailable, Unknown } from "@hikyaku/domain/api/ApiError"
import type { DefinitionFault, Rendered, Subject } from "@hikyaku/domain/api/CampaignApi"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import { audienceOf } from "@hikyaku/domain/marketing/CampaignTerms"
import { validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import { channels } from "@hikyaku/domain/marketing/Channel"
import { describeFault, type Fields } from "@hikyaku/domain/marketing/Content"
import { type DocumentFault, showPath } from "@hikyaku/domain/marketing/DocumentFault"
import { Attributes, type Channel } from "@hikyaku/domain/marketing/Event"
import { composeMessage } from "@hikyaku/domain/marketing/Message"
import { Context, Effect, Either, Layer, Schema } from "effect"
import { stored } from "./Asking.ts"
import { CampaignQuery } from "./CampaignQuery.ts"
import { CustomTypes } from "./CustomTypes.ts"

/** Members in a sample where the call does not say. */
const sampleDefault = 10

interface Cause {
  readonly product?: string | undefined
  readonly eventMember?: string | undefined
}
interface Invalid {
  readonly _tag: "Invalid"
  readonly faults: ReadonlyArray<DefinitionFault>
}
interface Counted {
  readonly _tag: "Counted"
  readonly reachable: number
  readonly channels: Readonly<Record<string, number>>
}
interface Sampled {
  readonly _tag: "Sampled"
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
  /** How many members can be reached. */
  readonly count: (of: Subject, cause: Cause) => Effect.Effect<Counted | Invalid, Failure>
  /** Some of them. */
  readonly sample: (of: Subject, cause: Cause, limit?: number) => Effect.Effect<Sampled | Invalid, Failure>
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
const ReachRow = Schema.Struct({
  id: Schema.String,
  language: Schema.NullOr(Schema.String),
  consents: Schema.Record({ key: Schema.String, value: Schema.Boolean }),
  suppressions: Schema.Record({ key: Schema.String, value: Schema.String })
})
const rows = <A, I>(row: Schema.Schema<A, I>) => Schema.decodeUnknown(Schema.Array(row))
const decodeProducts = rows(ProductRow)
const decodeMembers = rows(MemberRow)
const decodeReach = rows(ReachRow)
const decodeCounts = rows(Schema.Struct({ count: Schema.Number }))
const decodeIds = rows(Schema.Struct({ id: Schema.String }))

const shownFaults = (faults: ReadonlyArray<DocumentFault>): ReadonlyArray<DefinitionFault> =>
  faults.map(({ hint, message, path }) => ({ path: showPath(path), message, hint }))

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const clock = yield* ShopClock
  const shop = yield* Shop
  const custom = yield* CustomTypes
  const query = yield* CampaignQuery

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

  const audience = (definition: CampaignDefinition, { eventMember, product }: Cause) =>
    Effect.map(productOf(product), (row) => audienceOf(definition, { product: row, member: eventMember ?? null }))

  const count = (of: Subject, cause: Cause) =>
    Effect.gen(function*() {
      const definition = yield* definitionOf(of)
      if (isInvalid(definition)) return definition
      const segment = yield* audience(definition, cause)
      const counted = (on: ReadonlyArray<Channel>) => {
        const { text, values } = countSegment(segment, on, clock.now())
        return stored(Effect.flatMap(sql.unsafe(text, [...values]), decodeCounts)).pipe(
          Effect.map(([row]) => row?.count ?? 0)
        )
      }
      const reachable = yield* counted(definition.channels)
      const each = yield* Effect.forEach(
        definition.channels,
        (channel) => Effect.map(counted([channel]), (count) => [channel, count] as const)
      )
      return { _tag: "Counted" as const, reachable, channels: Object.fromEntries(each) }
    })

  const sample = (of: Subject, cause: Cause, limit: number = sampleDefault) =>
    Effect.gen(function*() {
      const definition = yield* definitionOf(of)
      if (isInvalid(definition)) return definition
      const segment = yield* audience(definition, cause)
      const { text, values } = sampleSegment(segment, definition.channels, clock.now(), limit, definition.id)
      const ids = yield* stored(Effect.flatMap(sql.unsafe(text, [...values]), decodeIds))
      const found = ids.length === 0 ? [] : yield* stored(
        sql`select id, language, consents, suppressions from member where id in ${sql.in(ids.map(({ id }) => id))}
          order by id`.pipe(Effect.flatMap(decodeReach))
      )
      return {
        _tag: "Sampled" as const,
        members: found.map(({ consents, id, language, suppressions }) => ({
          id,
          language,
          channels: channels.filter((channel) =>
            definition.channels.includes(channel) && consents[channel] === true && !Object.hasOwn(suppressions, channel)
          )
        }))
      }
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
