/**
 * The campaigns that are effective now, compiled, and the products as rules see them (R16). An event carries the version of
 * the catalogue at which it was appended; it is judged by that version or a later one, so that an activation counts from the
 * very next event on.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignCommand } from "@hikyaku/domain/marketing/CampaignCommand"
import { eventType } from "@hikyaku/domain/marketing/Event"
import type { CustomTypes, RuleProduct } from "@hikyaku/domain/marketing/RuleScope"
import { Context, Effect, Layer } from "effect"
import { ShopClock } from "../actor/ShopClock.ts"
import type { LogEntry } from "./EventLog.ts"
import { productsOf } from "./ProductFacts.ts"
import { make as makeIndex, type RuleIndex } from "./RuleIndex.ts"
import { EventSettings } from "./Shop.ts"

/** A campaign that an entry of the log fires, as the command that says so. */
export interface Firing {
  readonly campaign: string
  readonly command: CampaignCommand
  readonly entry: LogEntry
}

export class Catalogue extends Context.Tag("@hikyaku/cluster/Catalogue")<Catalogue, {
  /** What entries of one partition fire, in their order, by the catalogue's version given or a later one. */
  readonly judge: (
    entries: ReadonlyArray<LogEntry>,
    version: number
  ) => Effect.Effect<ReadonlyArray<Firing>, SqlError.SqlError>
  /** Whether any campaign of that version or a later one listens to events like these: else there is nothing to judge. */
  readonly concerns: (entries: ReadonlyArray<LogEntry>, version: number) => Effect.Effect<boolean, SqlError.SqlError>
}>() {}

interface CampaignRow {
  readonly campaign: string
  readonly version: number
  readonly definition: CampaignDefinition
}

const productOf = (entry: LogEntry): string | undefined =>
  "product" in entry.happening ? entry.happening.product : undefined
const memberOf = (entry: LogEntry): string | undefined =>
  "member" in entry.happening ? entry.happening.member : undefined

const make = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const clock = yield* ShopClock
  const { timeZone } = yield* EventSettings
  let version = -1
  let context: { readonly timeZone: string; readonly customTypes: CustomTypes } = { timeZone, customTypes: {} }
  let customTypes = ""
  let index: RuleIndex = makeIndex([], context)

  /** Reads the catalogue anew when it has changed: whatever was appended before this carries no later version. */
  const one = yield* Effect.makeSemaphore(1)
  const refresh = (wanted: number) =>
    wanted <= version ? Effect.succeed(index) : one.withPermits(1)(Effect.gen(function*() {
      const [row] = yield* sql<{ readonly version: number }>`select version::float8 as version from catalogue`
      const current = row?.version ?? 0
      if (current === version) return index
      const types = yield* sql<
        { readonly type: string; readonly schema: { readonly fields: Record<string, "string" | "number" | "boolean"> } }
      >`
      select type, schema from custom_event_type order by type`
      const campaigns = yield* sql<CampaignRow>`
      select c.id as campaign, c.current_version as version, v.definition
      from campaign c join campaign_version v on v.campaign = c.id and v.version = c.current_version
      where c.status = 'active' order by c.id`
      const described = JSON.stringify(types)
      if (described !== customTypes) {
        customTypes = described
        context = { timeZone, customTypes: Object.fromEntries(types.map(({ schema, type }) => [type, schema.fields])) }
      }
      index = makeIndex(campaigns, context, index)
      for (const { campaign, faults } of index.broken) {
        yield* Effect.logWarning(`The trigger of campaign ${campaign} does not compile: it never fires`, faults)
      }
      version = current
      return index
    }))

  const products = (ids: ReadonlyArray<string>) =>
    productsOf(ids).pipe(
      Effect.provideService(SqlClient.SqlClient, sql),
      Effect.map((rows) => new Map<string, RuleProduct>(rows.map((row) => [row.id, row])))
    )

  const judge = (entries: ReadonlyArray<LogEntry>, wanted: number) =>
    Effect.gen(function*() {
      const current = yield* refresh(wanted)
      const concerned = entries.filter((entry) => current.types.has(eventType(entry.happening)))
      if (concerned.length === 0) return []
      const known = yield* products(concerned.flatMap((entry) => productOf(entry) ?? []))
      const now = clock.now()
      return concerned.flatMap((entry) => {
        const product = productOf(entry)
        const member = memberOf(entry)
        const at = Math.round(entry.at)
        return current.match(
          { at, happening: entry.happening },
          product === undefined ? null : known.get(product) ?? null,
          Math.max(now, at)
        ).map((match): Firing => ({
          campaign: match.campaign,
          entry,
          command: {
            _tag: "Fire",
            partition: entry.partition,
            offset: entry.offset,
            event: `${entry.source}/${entry.id}`.slice(0, 200),
            at,
            version: match.version,
            ...(product === undefined ? {} : { product }),
            ...(member === undefined ? {} : { member }),
            parameters: match.parameters
          }
        }))
      })
    })

  const concerns = (entries: ReadonlyArray<LogEntry>, wanted: number) =>
    Effect.map(refresh(wanted), (current) => entries.some((entry) => current.types.has(eventType(entry.happening))))

  return Catalogue.of({ judge, concerns })
})

export const layer: Layer.Layer<Catalogue, never, SqlClient.SqlClient | ShopClock | EventSettings> = Layer.effect(
  Catalogue,
  make
)
