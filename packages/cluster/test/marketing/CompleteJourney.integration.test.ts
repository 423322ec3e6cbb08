import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { cellOf, cellsDefault } from "@hikyaku/cluster/actor/Placement"
import { aggregate } from "@hikyaku/cluster/marketing/Aggregation"
import { EventLog } from "@hikyaku/cluster/marketing/EventLog"
import { layer as eventLogLayer } from "@hikyaku/cluster/marketing/EventLogSql"
import * as RunTrial from "@hikyaku/cluster/marketing/RunTrial"
import { compileSegment } from "@hikyaku/cluster/marketing/SegmentSql"
import { validateCampaign } from "@hikyaku/domain/marketing/CampaignValidation"
import type { Event } from "@hikyaku/domain/marketing/Event"
import { Effect, Either, Layer } from "effect"
import { hasCompleteJourney, type Journey, type JourneyCampaign, readJourney, timeZone } from "./CompleteJourney.ts"
import { day, define, houseLayer, itIs, readRun, runNow, shop, workOff } from "./RunHouse.ts"

if (!hasCompleteJourney) console.warn("SKIPPED: ../shared/data/complete-journey is not there")

const terms = { ...shop, timeZone, globalCaps: [{ count: 2, windowMs: 30 * day }] }
const house = Layer.provideMerge(eventLogLayer, houseLayer(terms))
const chunk = 1_000

const chunked = <A, E, R>(rows: ReadonlyArray<A>, use: (rows: ReadonlyArray<A>) => Effect.Effect<unknown, E, R>) =>
  Effect.forEach(
    Array.from({ length: Math.ceil(rows.length / chunk) }, (_, i) => rows.slice(i * chunk, (i + 1) * chunk)),
    use,
    { discard: true }
  )

/** Everything as plain tables, for the SQL that is written here; and the households as members, one in ten unreachable. */
const loadPlain = (journey: Journey) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(`
      create table raw_tx (household text, product text, ts timestamptz);
      create table raw_product (id text primary key, department text, brand text);
      create table raw_received (campaign text, household text);
      create table raw_household (id text primary key, age text)`)
    yield* chunked(journey.transactions, (rows) =>
      sql.unsafe("insert into raw_tx select * from unnest($1::text[], $2::text[], $3::timestamptz[])", [
        rows.map(({ household }) =>
          `h${household}`
        ),
        rows.map(({ product }) => product),
        rows.map(({ at }) => new Date(at).toISOString())
      ]))
    yield* chunked(journey.products, (rows) =>
      sql.unsafe("insert into raw_product select * from unnest($1::text[], $2::text[], $3::text[])", [
        rows.map(({ id }) =>
          id
        ),
        rows.map(({ department }) => department),
        rows.map(({ brand }) => brand)
      ]))
    yield* chunked(journey.received, (rows) =>
      sql.unsafe("insert into raw_received select * from unnest($1::text[], $2::text[])", [
        rows.map(({ campaign }) =>
          `cj-${campaign}`
        ),
        rows.map(({ household }) =>
          `h${household}`
        )
      ]))
    const households = [
      ...new Set([...journey.transactions.map(({ household }) => household), ...journey.ages.keys()])
    ]
    yield* chunked(households, (ids) =>
      sql.unsafe("insert into raw_household select * from unnest($1::text[], $2::text[])", [
        ids.map((id) =>
          `h${id}`
        ),
        ids.map((id) => journey.ages.get(id) ?? null)
      ]))
    const ids = households.map((id) =>
      `h${id}`
    )
    yield* chunked(ids, (some) =>
      sql.unsafe(
        `insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, address, attributes, consents,
           suppressions, holds, stats, decisions)
         select id, 1, 'test', cell, 0, '2017-01-01', true, false, id || '@example.com',
           coalesce((select jsonb_build_object('age', age) from raw_household h where h.id = m.id and age is not null), '{}'),
           jsonb_build_object('mail', substr(id, 2)::int % 10 <> 0), '{}', '[]',
           '{"responses": {}, "hours": null, "objections": 0}', 0
         from unnest($1::text[], $2::text[]) as m(id, cell)`,
        [some, some.map((id) => cellOf(id, cellsDefault))]
      ))
    yield* sql`insert into list_member select distinct campaign, household from raw_received`
    // Runs address one household in four, so that the test stays quick; segments are compared over all of them.
    yield* sql`insert into list_member select 'sample', id from raw_household where substr(id, 2)::int % 4 = 0`
  })

const published = (journey: Journey): ReadonlyArray<Event> =>
  journey.products.map(({ brand, department, id }) => ({
    source: "complete-journey",
    id: `product-${id}`,
    at: journey.transactions[0]!.at,
    happening: { _tag: "ProductPublished", product: id, name: id, price: 1, category: department, brand }
  }))
const purchases = (journey: Journey): ReadonlyArray<Event> =>
  journey.transactions.map(({ at, household, product, quantity }, line) => ({
    source: "complete-journey",
    id: `line-${line}`,
    at,
    happening: { _tag: "Purchased", member: `h${household}`, product, quantity }
  }))

const append = (events: ReadonlyArray<Event>) =>
  Effect.gen(function*() {
    const log = yield* EventLog
    const sql = yield* SqlClient.SqlClient
    yield* chunked(events, log.append)
    const partitions = yield* sql<{ readonly partition: number; readonly from: number; readonly to: number }>`
      select partition, c."offset"::float8 as from, p.next_offset::float8 - 1 as to from event_partition p
      join consumer_offset c using (partition) where consumer = 'aggregate' and c."offset" < p.next_offset - 1`
    const types = new Set(["Purchased", "ProductPublished"] as const)
    yield* aggregate(
      partitions.map(({ from, partition, to }) => ({ partition, after: from, to, types, alsoJudged: false })),
      timeZone
    )
  })

/** What a segment of these campaigns means, in SQL over the plain tables: nothing of the product is used. $1: now. */
const bought = (days: number, where: string, atLeast = 1) =>
  `select household from (
     select t.household, count(*) as c, max(t.ts) as latest from raw_tx t left join raw_product p on p.id = t.product
     where t.ts <= $1::timestamptz ${where}
     group by t.household, t.product, (t.ts at time zone 'America/New_York')::date
   ) days where latest >= $1::timestamptz - interval '${
    days * 24
  } hours' group by household having sum(c) >= ${atLeast}`
const independentSql = ({ definition, type }: JourneyCampaign): string => {
  switch (type) {
    case "Type A":
      return bought(30, "", 3)
    case "Type B":
      return `select household from raw_received where campaign = '${definition.id}'
        intersect ${bought(28, "and p.department = 'GROCERY'", 2)}`
    default:
      return `select id as household from raw_household where age in ('35-44', '45-54')
        intersect ((${bought(14, "and p.brand = 'Private'")}) union (${bought(28, "and p.department = 'DRUG GM'")}))
        except (${bought(7, "and p.department = 'PRODUCE'")})`
  }
}

describe.skipIf(!hasCompleteJourney)(
  "Complete Journey (../shared/data): segments and caps against plain SQL (G7)",
  () => {
    layer(house, { timeout: 120_000, excludeTestServices: true })((it) => {
      it.effect(
        "17 campaigns reach whom SQL over the raw transactions says, and no window of any cap is broken",
        () =>
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            const journey = readJourney()
            expect(journey.campaigns).toHaveLength(17)
            yield* loadPlain(journey)
            yield* append(published(journey))
            const events = purchases(journey)
            let told = 0
            // Each campaign ten days after it began; those of type A again three days later, within their own cap's week.
            const moments = journey.campaigns.flatMap((campaign) => {
              const first = campaign.from + 10 * day + 15 * 3_600_000
              return campaign.type === "Type A"
                ? [{ campaign, at: first }, { campaign, at: first + 3 * day }]
                : [{ campaign, at: first }]
            }).sort((a, b) => a.at - b.at)
            let reached = 0
            for (const { at, campaign } of moments) {
              const { definition } = campaign
              const valid = validateCampaign(definition, { timeZone, customTypes: {} })
              expect(Either.isLeft(valid) ? valid.left : []).toEqual([])
              // The log is told in order, as it happened.
              const upTo = events.findIndex((event) => event.at > at)
              const end = upTo < 0 ? events.length : upTo
              yield* append(events.slice(told, end))
              told = Math.max(told, end)
              yield* itIs(at)
              const page = compileSegment(definition.segment)
              const ids: Array<string> = []
              for (let after: string | null = null;;) {
                const { text, values } = page(after, 300, at)
                const rows: ReadonlyArray<{ readonly id: string }> = yield* sql.unsafe<{ readonly id: string }>(text, [
                  ...values
                ])
                ids.push(...rows.map(({ id }) => id))
                if (rows.length < 300) break
                after = rows.at(-1)!.id
              }
              const instant = new Date(at).toISOString()
              const independent = yield* sql.unsafe<{ readonly household: string }>(independentSql(campaign), [instant])
              const expected = independent.map(({ household }) => household).sort()
              expect([...ids].sort(), `${definition.id} at ${instant}`).toEqual(expected)
              expect(ids.length).toBeGreaterThan(0)
              reached += ids.length
              // Before launch: whoever did not consent is left out, and said to be.
              const trial = yield* RunTrial.make
              const cause = { product: null, member: null }
              const before = { shop: terms, cause, parameters: {}, now: at }
              const counted = yield* trial.count({ ...before, definition })
              expect(counted.members).toBe(expected.length)
              expect(counted.judged).toBe(expected.length)
              const silent = expected.filter((id) => Number(id.slice(1)) % 10 === 0).length
              expect(counted.leftOut["NoConsent"] ?? 0).toBe(silent)

              const sampled = {
                ...definition,
                segment: { _tag: "All" as const, of: [definition.segment, { _tag: "OnList" as const, list: "sample" }] }
              }
              const expectedOfRun = yield* trial.count({ ...before, definition: sampled })
              yield* define(sampled, terms)
              const run = yield* runNow(definition.id)
              yield* workOff({
                pageSize: 100,
                stretchPages: 2,
                pagesAtOnce: 2,
                crowdedSize: 3,
                stretchesAtOnce: 4,
                runsAtOnce: 1,
                dropMax: 100
              })
              // What was counted before is what came of it, reasons included.
              const { accepted, considered, rejected } = yield* readRun(run)
              expect({ accepted, considered, rejected }).toEqual({
                accepted: expectedOfRun.reachable,
                considered: expectedOfRun.members,
                rejected: expectedOfRun.leftOut
              })
              // Each of the segment is accounted for: a delivery, or a reason.
              const unaccounted = yield* sql.unsafe<{ readonly household: string }>(
                `(select household from (${independentSql(campaign)}) s where substr(household, 2)::int % 4 = 0)
             except select member from delivery where run = $2
             except select member from decision_ledger where run = $2`,
                [instant, run]
              )
              expect(unaccounted).toEqual([])
            }
            expect(reached).toBeGreaterThan(2_000)

            // From the delivery log alone: intervals that one window of the cap can touch, whoever sent them.
            const touching = (n: number, days: number, same: string) => {
              const names = Array.from({ length: n }, (_, i) => `d${i}`)
              const max = `greatest(${names.map((name) => `${name}.not_before`).join(", ")})`
              const min = `least(${names.map((name) => `${name}.deadline`).join(", ")})`
              return `select d0.id from ${
                names.map((name, i) =>
                  i === 0
                    ? "delivery d0"
                    : `join delivery ${name} on ${name}.member = d0.member and ${name}.id > d${i - 1}.id ${
                      same === "" ? "" : `and ${name}.${same} = d0.${same}`
                    }`
                ).join(" ")
              } where ${max} - ${min} < interval '${days * 24} hours'`
            }
            expect(yield* sql.unsafe(touching(3, 30, ""))).toEqual([])
            expect(yield* sql.unsafe(touching(2, 7, "campaign"))).toEqual([])
            // The caps were at work, and the shop's allows what it says.
            expect((yield* sql.unsafe(touching(2, 30, ""))).length).toBeGreaterThan(20)
            const capped = yield* sql<{ readonly unfounded: number; readonly capped: number }>`
          select count(*)::int as capped, count(*) filter (where not (
            (select count(*) from delivery d where d.member = l.member
              and d.not_before < l.at + interval '32 days' and d.deadline > l.at - interval '30 days') >= 2
            or exists (select from delivery d where d.member = l.member and d.campaign = l.campaign
              and d.not_before < l.at + interval '9 days' and d.deadline > l.at - interval '7 days')))::int as unfounded
          from decision_ledger l where reason = 'Capped'`
            expect(capped[0]?.unfounded).toBe(0)
            expect(capped[0]?.capped).toBeGreaterThan(20)
            const silent = yield* sql`select member from delivery where substr(member, 2)::int % 10 = 0`
            expect(silent).toEqual([])
          }),
        120_000
      )
    })
  }
)
