/**
 * What the log means for segments and rules: the catalogue of products as marketing sees it, favourites, and activity per
 * member, product and day. Set statements over a range of offsets, in one transaction with the consumer's own offset: each
 * event counts exactly once, whatever crashes in between. What does not depend on one another goes in one statement.
 */
import { SqlClient } from "@effect/sql"
import type { HappeningType } from "@hikyaku/domain/marketing/Event"
import { Effect } from "effect"

const consumer = "aggregate"

/** The events of the range. As subqueries, so that one plan serves every range: what it is worth to know it is not the planning. */
const range = `partition = $1 and "offset" > (select $2::bigint) and "offset" <= (select $3::bigint)`

/** Products as published, the last word of the range; absent fields keep what they were. */
const published = `insert into catalogue_product (id, name, price, category, brand, attributes, withdrawn)
select distinct on (happening->>'product') happening->>'product', happening->>'name', (happening->>'price')::float8,
  happening->>'category', happening->>'brand', coalesce(happening->'attributes', '{}'), false
from event_log where ${range} and type = 'ProductPublished'
order by happening->>'product', "offset" desc
on conflict (id) do update set name = excluded.name, price = excluded.price, withdrawn = false,
  category = coalesce(excluded.category, catalogue_product.category),
  brand = coalesce(excluded.brand, catalogue_product.brand), attributes = excluded.attributes`

/** What a later publication of the range says anew. */
const notPublishedLater = `and not exists (select from event_log later where later.partition = $1
    and later."offset" > event_log."offset" and later."offset" <= $3 and later.type = 'ProductPublished'
    and later.happening->>'product' = event_log.happening->>'product')`

/** The last price, stock and withdrawal that the range states of a product it knows. */
const changed = (type: string, set: string, unless = "") =>
  `update catalogue_product c set ${set} from (
  select distinct on (happening->>'product') happening->>'product' as product, happening as h
  from event_log where ${range} and type in (${type}) ${unless}
  order by happening->>'product', "offset" desc
) e where c.id = e.product`

const favourited = `insert into favourite (member, product, category, brand, at)
select last.member, last.product, c.category, c.brand, last.at from (
  select distinct on (happening->>'member', happening->>'product') happening->>'member' as member,
    happening->>'product' as product, at, type
  from event_log where ${range} and type in ('Favourited', 'Unfavourited')
  order by happening->>'member', happening->>'product', "offset" desc
) last left join catalogue_product c on c.id = last.product where last.type = 'Favourited'
on conflict (member, product) do update set at = excluded.at`

const unfavourited = `delete from favourite f using (
  select distinct on (happening->>'member', happening->>'product') happening->>'member' as member,
    happening->>'product' as product, type
  from event_log where ${range} and type in ('Favourited', 'Unfavourited')
  order by happening->>'member', happening->>'product', "offset" desc
) last where last.type = 'Unfavourited' and f.member = last.member and f.product = last.product`

/** Activities per member, product and day of the shop's calendar; `activityOf` in the domain says what counts as what. */
const active = `insert into member_activity (member, type, product, category, brand, day, count, last_at)
select e.member, e.activity, e.product, max(c.category), max(c.brand), e.day, count(*), max(e.at)
from (
  select happening->>'member' as member, coalesce(happening->>'product', '') as product, at,
    (at at time zone $4)::date as day,
    case type when 'Viewed' then 'viewed' when 'CartAdded' then 'carted' when 'Purchased' then 'bought'
      when 'Returned' then 'returned' else happening->>'feedback' end as activity
  from event_log where ${range}
    and (type in ('Viewed', 'CartAdded', 'Purchased', 'Returned')
      or type = 'MessageFeedback' and happening->>'feedback' in ('delivered', 'opened', 'clicked'))
) e left join catalogue_product c on c.id = e.product
group by e.member, e.activity, e.product, e.day
order by e.member, e.activity, e.product, e.day
on conflict (member, type, product, day) do update
set count = member_activity.count + excluded.count, last_at = greatest(member_activity.last_at, excluded.last_at)`

interface Statement {
  /** Types of events that it is about. */
  readonly types: ReadonlyArray<HappeningType>
  /** `$1` partition, `$2` after, `$3` to, `$4` time zone. */
  readonly text: string
  /** What it does to the catalogue: sees only what earlier statements have written of it, or does not look at it. */
  readonly catalogue?: "writes" | "reads"
}

const statements: ReadonlyArray<Statement> = [
  { types: ["ProductPublished"], text: published, catalogue: "writes" },
  {
    types: ["PriceChanged"],
    text: changed("'PriceChanged'", "price = (e.h->>'after')::float8", notPublishedLater),
    catalogue: "writes"
  },
  {
    types: ["StockLow", "Restocked", "SoldOut"],
    text: changed("'StockLow', 'Restocked', 'SoldOut'", "available = coalesce((e.h->>'available')::int, 0)"),
    catalogue: "writes"
  },
  {
    types: ["ProductWithdrawn"],
    text: changed("'ProductWithdrawn'", "withdrawn = true", notPublishedLater),
    catalogue: "writes"
  },
  { types: ["Favourited", "Unfavourited"], text: favourited, catalogue: "reads" },
  { types: ["Unfavourited"], text: unfavourited },
  { types: ["Viewed", "CartAdded", "Purchased", "Returned", "MessageFeedback"], text: active, catalogue: "reads" }
]

/**
 * Whether statements may run as parts of one, which all see what was there before it: they write different rows, and none
 * reads what another writes. Favourites that come and those that go are different ones: a range has one last word on each.
 */
const independent = (needed: ReadonlyArray<Statement>): boolean => {
  const writers = needed.filter(({ catalogue }) => catalogue === "writes").length
  return writers === 0 || writers === 1 && needed.every(({ catalogue }) => catalogue !== "reads")
}

/** The judge's offset moves along with the aggregates', where there is nothing for it to judge. */
const judged = `judged as (update consumer_offset set "offset" = $3 where consumer = 'judge' and partition = $1
      and "offset" < $3 and exists (select from moved))`

const inOneStatement = (needed: ReadonlyArray<Statement>, alsoJudged: boolean): string =>
  [
    `with moved as (update consumer_offset set "offset" = $3
      where consumer = '${consumer}' and partition = $1 and "offset" = $2 returning partition)`,
    ...(alsoJudged ? [judged] : []),
    ...needed.map(({ text }, n) => `part${n} as (${text.replaceAll(range, `${range} and exists (select from moved)`)})`)
  ].join(",\n") + "\nselect exists (select from moved) as moved, $4::text as zone"

/**
 * Takes a partition's events of (after, to] into the aggregates; false when another has taken them before. `types`: those of
 * these events, so that nothing is asked of the log about others. `alsoJudged`: none of them is left to judge, and the judge's
 * offset moves in the same commit.
 */
export const aggregate = (
  partition: number,
  after: number,
  to: number,
  timeZone: string,
  types: ReadonlySet<HappeningType>,
  alsoJudged = false
) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const needed = statements.filter((statement) => statement.types.some((type) => types.has(type)))
    if (independent(needed)) {
      return Effect.map(
        sql.unsafe<{ readonly moved: boolean }>(inOneStatement(needed, alsoJudged), [partition, after, to, timeZone]),
        (rows) => rows[0]?.moved === true
      )
    }
    const run = ({ text }: Statement) =>
      sql.unsafe(text, text.includes("$4") ? [partition, after, to, timeZone] : [partition, after, to])
    return sql.withTransaction(Effect.gen(function*() {
      const moved = yield* sql`update consumer_offset set "offset" = ${to}
        where consumer = ${consumer} and partition = ${partition} and "offset" = ${after} returning partition`
      if (moved.length === 0) return false
      yield* Effect.forEach(needed, run, { discard: true })
      if (alsoJudged) {
        yield* sql`update consumer_offset set "offset" = ${to}
          where consumer = 'judge' and partition = ${partition} and "offset" < ${to}`
      }
      return true
    }))
  })
