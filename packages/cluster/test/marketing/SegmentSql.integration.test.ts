import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { compileSegment, countSegment, sampleSegment, type SegmentPage } from "@hikyaku/cluster/marketing/SegmentSql"
import { type Activity, dayMs, matches, type Segment, type SegmentProfile } from "@hikyaku/domain/marketing/Segment"
import { Effect, Runtime } from "effect"
import fc from "fast-check"
import { describe } from "vitest"
import { marketingDatabase } from "./MarketingDatabase.ts"

const now = Date.UTC(2025, 5, 2, 3)
const products = ["p1", "p2", "p3"]
const categoryOf: Record<string, string | null> = { p1: "tops", p2: "tops", p3: null, "": null }
const brandOf: Record<string, string | null> = { p1: "Kumo", p2: null, p3: "Hoshi", "": null }
const activities: ReadonlyArray<Activity> = ["viewed", "carted", "bought", "opened"]
const texts = ["gold", "銀", "it's \"x\" \\ %_$1", ""]

interface Plan {
  readonly "Node Type": string
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly "Rows Removed by Filter"?: number
  readonly Plans?: ReadonlyArray<Plan>
}

interface Member extends SegmentProfile {
  readonly joined: boolean
  readonly consents: Readonly<Record<string, boolean>>
  readonly suppressions: Readonly<Record<string, string>>
}

// Times around the edges of the windows that the segments below use.
const instant = fc.oneof(
  fc.integer({ min: 0, max: 40 }).chain((days) => fc.constantFrom(-1, 0, 1).map((ms) => now - days * dayMs + ms)),
  fc.integer({ min: now - 60 * dayMs, max: now })
)
const scalar = fc.oneof(
  fc.constantFrom<string | number | boolean>(...texts, "3", true, false, 0, 1, 3, -2, 0.1, 1e21),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ noNaN: true, noDefaultInfinity: true })
)
const name = fc.constantFrom("rank", "points", "o'clock", "__proto__")
const member = (id: string): fc.Arbitrary<Member> =>
  fc.record({
    id: fc.constant(id),
    joined: fc.boolean(),
    withdrawn: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
    language: fc.constantFrom("ja", "en", null),
    attributes: fc.array(fc.tuple(name, scalar), { maxLength: 3 }).map((entries) => Object.fromEntries(entries)),
    consents: fc.record({ mail: fc.boolean(), line: fc.boolean() }, { requiredKeys: [] }),
    suppressions: fc.record({ mail: fc.constant("bounced") }, { requiredKeys: [] }),
    lists: fc.subarray(["vip", "debug"]).map((lists) => new Set(lists)),
    favourites: fc.subarray(products).chain((chosen) =>
      fc.tuple(...chosen.map(() => instant)).map((times) =>
        chosen.map((product, i) => ({
          product,
          category: categoryOf[product] ?? null,
          brand: brandOf[product] ?? null,
          at: times[i] ?? now
        }))
      )
    ),
    activities: fc.uniqueArray(
      fc.record({
        activity: fc.constantFrom(...activities),
        product: fc.constantFrom(...products, ""),
        count: fc.integer({ min: 1, max: 4 }),
        lastAt: instant
      }),
      { maxLength: 6, selector: (each) => `${each.activity} ${each.product} ${Math.floor(each.lastAt / dayMs)}` }
    ).map((entries) =>
      entries.map((each) => ({
        ...each,
        product: each.product === "" ? null : each.product,
        category: categoryOf[each.product] ?? null,
        brand: brandOf[each.product] ?? null
      }))
    )
  })

const ids = Array.from({ length: 160 }, (_, i) => `${["m", "M", "a.", "z-"][i % 4]}${(i * 37) % 160}`)
const members = fc.sample(fc.tuple(...ids.map(member)), { seed: 7, numRuns: 1 })[0]!

const target = fc.oneof(
  fc.constantFrom(...products).map((product) => ({ product })),
  fc.constantFrom("tops", "none").map((category) => ({ category })),
  fc.constantFrom("Kumo", "Hoshi").map((brand) => ({ brand }))
)
const optional = { requiredKeys: ["_tag", "activity"] as Array<"_tag" | "activity"> }
const days = fc.integer({ min: 1, max: 40 })
const leaf: fc.Arbitrary<Segment> = fc.oneof(
  fc.constant<Segment>({ _tag: "Everyone" }),
  fc.record({
    _tag: fc.constant("Did" as const),
    activity: fc.constantFrom(...activities),
    of: target,
    withinDays: days,
    atLeast: fc.integer({ min: 1, max: 6 })
  }, optional),
  fc.record({ _tag: fc.constant("Favourited" as const), of: target, withinDays: days }, { requiredKeys: ["_tag"] }),
  fc.record({
    _tag: fc.constant("Attribute" as const),
    name,
    is: fc.constantFrom("eq" as const, "ne" as const, "lt" as const, "le" as const, "gt" as const, "ge" as const),
    value: scalar
  }),
  fc.record({ _tag: fc.constant("HasAttribute" as const), name }),
  fc.record({
    _tag: fc.constant("AttributeIn" as const),
    name,
    values: fc.tuple(fc.constantFrom(...texts, "3"), fc.constantFrom(...texts))
  }),
  fc.record({ _tag: fc.constant("Speaks" as const), language: fc.constantFrom("ja" as const, "en" as const) }),
  fc.record({ _tag: fc.constant("OnList" as const), list: fc.constantFrom("vip", "debug", "empty") }),
  fc.record({ _tag: fc.constant("Members" as const), ids: fc.subarray(ids.slice(0, 12)) })
)
const segment = fc.letrec<{ segment: Segment }>((tie) => {
  const several = fc.array(tie("segment"), { minLength: 1, maxLength: 3 })
  return {
    segment: fc.oneof(
      { maxDepth: 4, depthSize: "small", withCrossShrink: true },
      leaf,
      several.map((of): Segment => ({ _tag: "All", of })),
      several.map((of): Segment => ({ _tag: "Any", of })),
      tie("segment").map((of): Segment => ({ _tag: "Not", of }))
    )
  }
}).segment

const load = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  for (const each of members) {
    yield* sql`insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, language, attributes, consents,
      suppressions, holds, stats, decisions) values (${each.id}, 1, '', '', 0, now(), ${each.joined}, ${each.withdrawn},
      ${each.language}, ${JSON.stringify(each.attributes)}::jsonb, ${JSON.stringify(each.consents)}::jsonb,
      ${JSON.stringify(each.suppressions)}::jsonb, '[]', '{}', 0)`
    for (const list of each.lists) yield* sql`insert into list_member values (${list}, ${each.id})`
    for (const { at, brand, category, product } of each.favourites) {
      yield* sql`insert into favourite values (${each.id}, ${product}, ${category}, ${brand}, to_timestamp(${at}::float8 / 1000))`
    }
    for (const { activity, brand, category, count, lastAt, product } of each.activities) {
      const day = new Date(Math.floor(lastAt / dayMs) * dayMs).toISOString().slice(0, 10)
      yield* sql`insert into member_activity values (${each.id}, ${activity}, ${product ?? ""}, ${category}, ${brand},
        ${day}::date, ${count}, to_timestamp(${lastAt}::float8 / 1000))`
    }
  }
})

const query = <A extends object>(page: SegmentPage) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<A>(page.text, [...page.values]))

const allPages = (of: Segment, limit: number) =>
  Effect.gen(function*() {
    const page = compileSegment(of)
    const found: Array<string> = []
    for (let after: string | null = null;;) {
      const rows: ReadonlyArray<{ readonly id: string }> = yield* query<{ readonly id: string }>(
        page(after, limit, now)
      )
      found.push(...rows.map((row) => row.id))
      if (rows.length < limit) return found
      after = found[found.length - 1] ?? null
    }
  })

describe("segments in SQL", () => {
  layer(marketingDatabase, { timeout: "60 seconds" })("over generated data", (it) => {
    it.effect("mean the same as the predicate, page by page (property)", () =>
      Effect.gen(function*() {
        yield* load
        const run = Runtime.runPromise(yield* Effect.runtime<SqlClient.SqlClient>())
        const check = async (of: Segment, limit: number) => {
          const expected = members.filter((each) => matches(of, each, now)).map((each) => each.id)
          const found = await run(allPages(of, limit))
          expect(new Set(found).size).toBe(found.length)
          expect([...found].sort()).toEqual([...expected].sort())
          const [row] = await run(query<{ readonly count: number }>(countSegment(of, now)))
          expect(row?.count).toBe(expected.length)
          const sample = await run(query<{ readonly id: string }>(sampleSegment(of, now, 5, "seed")))
          expect(new Set(sample.map(({ id }) => id)).size).toBe(Math.min(5, expected.length))
          expect(sample.every(({ id }) => expected.includes(id))).toBe(true)
        }
        yield* Effect.promise(() =>
          fc.assert(fc.asyncProperty(segment, fc.integer({ min: 3, max: 60 }), check), { numRuns: 250 })
        )
      }), 60_000)

    it.effect("a page begins where the last one ended, also for a single member", () =>
      Effect.gen(function*() {
        const everyone = yield* allPages({ _tag: "Everyone" }, 1)
        expect(everyone.length).toBe(members.filter((each) => !each.withdrawn).length)
      }), 60_000)
  })

  layer(marketingDatabase, { timeout: "60 seconds" })("over many members", (it) => {
    it.effect("a page reads what it finds, not what there is", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`insert into member select 'm' || n, 1, '', '', 0, now(), null, true, false, 'ja', null, null, '{}',
          '{"mail": true}', '{}', '[]', '{}', 0 from generate_series(1, 30000) n`
        yield* sql`insert into favourite select 'm' || n, 'p' || (n * 7 + k * 131) % 600, 'c' || n % 20, 'b' || n % 50, now()
          from generate_series(1, 30000) n, generate_series(0, 2) k on conflict do nothing`
        yield* sql`insert into member_activity select 'm' || n, 'viewed', 'p' || (n * 3 + k * 17) % 600, 'c' || k, 'b' || n % 50,
          current_date - k, 1, now() - k * interval '1 day' from generate_series(1, 30000) n, generate_series(0, 4) k`
        yield* sql`insert into list_member select 'l' || n % 100, 'm' || n from generate_series(1, 30000) n`
        for (const table of ["member", "favourite", "member_activity", "list_member"]) {
          yield* sql.unsafe(`analyze ${table}`)
        }
        const today = Date.now()
        // Rows that the scans of a plan read, thrown away ones included; no page may read more than a few times its size.
        const read = (node: Plan): number =>
          (node.Plans ?? []).reduce(
            (sum, each) => sum + read(each),
            /Scan/.test(node["Node Type"])
              ? (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"]
              : 0
          )
        const size = 100
        const plan = (of: Segment, after: string | null) =>
          Effect.gen(function*() {
            const { text, values } = compileSegment(of)(after, size, today)
            const found = yield* sql.unsafe<{ readonly id: string }>(text, [...values])
            const [row] = yield* sql.unsafe<{ readonly "QUERY PLAN": ReadonlyArray<{ readonly Plan: Plan }> }>(
              `explain (analyze, format json) ${text}`,
              [...values]
            )
            const tree = row?.["QUERY PLAN"][0]?.Plan
            return { found: found.length, read: tree === undefined ? Infinity : read(tree), tree: JSON.stringify(tree) }
          })
        const segments: ReadonlyArray<Segment> = [
          { _tag: "Favourited", of: { product: "p7" } },
          { _tag: "Did", activity: "viewed", of: { product: "p9" }, withinDays: 30 },
          { _tag: "Did", activity: "viewed", of: { category: "c3" }, withinDays: 30, atLeast: 1 },
          { _tag: "OnList", list: "l5" },
          {
            _tag: "All",
            of: [
              { _tag: "Speaks", language: "ja" },
              {
                _tag: "Any",
                of: [
                  { _tag: "Favourited", of: { product: "p7" } },
                  { _tag: "Did", activity: "viewed", of: { product: "p7" } }
                ]
              },
              { _tag: "Not", of: { _tag: "Did", activity: "bought", of: { product: "p7" } } }
            ]
          },
          // Of whatever product: no condition to begin with, so members are asked one by one.
          { _tag: "Did", activity: "viewed", withinDays: 30 },
          { _tag: "Members", ids: ["m5", "m77"] }
        ]
        for (const of of segments) {
          for (const after of [null, "m2"]) {
            const page = yield* plan(of, after)
            expect(page.found).toBeGreaterThan(0)
            expect(page.read, `${JSON.stringify(of)} ${page.tree}`).toBeLessThan(12 * size)
          }
        }
      }), 60_000)
  })
})
