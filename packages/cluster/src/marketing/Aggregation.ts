/**
 * What the log means for segments and rules: the catalogue of products as marketing sees it, favourites, and activity per
 * member, product and day. Set statements over ranges of offsets, in one transaction with the consumer's own offsets: each
 * event counts exactly once, whatever crashes in between. What does not depend on one another goes in one statement, and so
 * do ranges of several partitions: all events of a product, or of a member and what is about none, are in one of them.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { HappeningType } from "@hikyaku/domain/marketing/Event"
import { Effect } from "effect"

const consumer = "aggregate"

/**
 * The ranges: partition, the last offset before, the last one, and whether the judge is to pass them by. As subqueries, so
 * that one plan serves all: what it is worth to know how many there are is not the planning.
 */
const asked = `asked as (
  select r.*, $5::text as zone
  from unnest((select $1::int[]), (select $2::bigint[]), (select $3::bigint[]), (select $4::boolean[]))
    r(partition, after, until, judged)
)`

/** Those of them that nobody has taken, whoever is asking; two that ask for the same partitions lock them in one order. */
const moved = `free as materialized (
  select a.* from consumer_offset c join asked a on a.partition = c.partition and a.after = c."offset"
  where c.consumer = '${consumer}' order by c.partition for update of c
),
moved as (
  update consumer_offset c set "offset" = f.until from free f
  where c.consumer = '${consumer}' and c.partition = f.partition returning f.*
)`

/** The judge's offset moves along with the aggregates', where there is nothing for it to judge. */
const judged = `judged as (
  update consumer_offset c set "offset" = m.until from moved m
  where m.judged and c.consumer = 'judge' and c.partition = m.partition and c."offset" < m.until
)`

/** The events of these ranges. */
const taken = (of: "asked" | "moved") =>
  `taken as (
  select l.* from ${of} r cross join lateral (
    select * from event_log l where l.partition = r.partition and l."offset" > r.after and l."offset" <= r.until
  ) l
)`

/** Products as published, the last word of the range; absent fields keep what they were. */
const published = `insert into catalogue_product (id, name, price, category, brand, attributes, withdrawn)
select distinct on (happening->>'product') happening->>'product', happening->>'name', (happening->>'price')::float8,
  happening->>'category', happening->>'brand', coalesce(happening->'attributes', '{}'), false
from taken where type = 'ProductPublished'
order by happening->>'product', "offset" desc
on conflict (id) do update set name = excluded.name, price = excluded.price, withdrawn = false,
  category = coalesce(excluded.category, catalogue_product.category),
  brand = coalesce(excluded.brand, catalogue_product.brand), attributes = excluded.attributes`

/** What a later publication of the range says anew. */
const notPublishedLater = `and not exists (select from taken later where later.partition = taken.partition
    and later."offset" > taken."offset" and later.type = 'ProductPublished'
    and later.happening->>'product' = taken.happening->>'product')`

/** The last price, stock and withdrawal that the range states of a product it knows. */
const changed = (type: string, set: string, unless = "") =>
  `update catalogue_product c set ${set} from (
  select distinct on (happening->>'product') happening->>'product' as product, happening as h
  from taken where type in (${type}) ${unless}
  order by happening->>'product', "offset" desc
) e where c.id = e.product`

const favourited = `insert into favourite (member, product, category, brand, at)
select last.member, last.product, c.category, c.brand, last.at from (
  select distinct on (happening->>'member', happening->>'product') happening->>'member' as member,
    happening->>'product' as product, at, type
  from taken where type in ('Favourited', 'Unfavourited')
  order by happening->>'member', happening->>'product', "offset" desc
) last left join catalogue_product c on c.id = last.product where last.type = 'Favourited'
on conflict (member, product) do update set at = excluded.at`

const unfavourited = `delete from favourite f using (
  select distinct on (happening->>'member', happening->>'product') happening->>'member' as member,
    happening->>'product' as product, type
  from taken where type in ('Favourited', 'Unfavourited')
  order by happening->>'member', happening->>'product', "offset" desc
) last where last.type = 'Unfavourited' and f.member = last.member and f.product = last.product`

/** Activities per member, product and day of the shop's calendar; `activityOf` in the domain says what counts as what. */
const active = `insert into member_activity (member, type, product, category, brand, day, count, last_at)
select e.member, e.activity, e.product, max(c.category), max(c.brand), e.day, count(*), max(e.at)
from (
  select happening->>'member' as member, coalesce(happening->>'product', '') as product, at,
    (at at time zone $5)::date as day,
    case type when 'Viewed' then 'viewed' when 'CartAdded' then 'carted' when 'Purchased' then 'bought'
      when 'Returned' then 'returned' else happening->>'feedback' end as activity
  from taken where (type in ('Viewed', 'CartAdded', 'Purchased', 'Returned')
      or type = 'MessageFeedback' and happening->>'feedback' in ('delivered', 'opened', 'clicked'))
) e left join catalogue_product c on c.id = e.product
group by e.member, e.activity, e.product, e.day
order by e.member, e.activity, e.product, e.day
on conflict (member, type, product, day) do update
set count = member_activity.count + excluded.count, last_at = greatest(member_activity.last_at, excluded.last_at)`

interface Statement {
  /** Types of events that it is about. */
  readonly types: ReadonlyArray<HappeningType>
  /** Of the rows of `taken`; `$5` is the time zone. */
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

const inOneStatement = (needed: ReadonlyArray<Statement>): string =>
  `with ${[asked, moved, judged, taken("moved"), ...needed.map(({ text }, n) => `part${n} as (${text})`)].join(",\n")}
select partition from moved`

/** For whoever has moved the offsets before, in the same transaction. */
const byItself = ({ text }: Statement): string => `with ${asked},\n${taken("asked")}\n${text}`

/** A stretch of a partition, not empty. */
export interface Range {
  readonly partition: number
  /** Offset of the last event that is aggregated already. */
  readonly after: number
  /** Offset of the last event of the range. */
  readonly to: number
  /** Types of its events, so that nothing is asked of the log about others. */
  readonly types: ReadonlySet<HappeningType>
  /** None of its events is left to judge: the judge's offset moves in the same commit. */
  readonly alsoJudged: boolean
}

/** Takes ranges of different partitions into the aggregates; answers the partitions whose range nobody had taken before. */
export const aggregate = (
  ranges: ReadonlyArray<Range>,
  timeZone: string
): Effect.Effect<ReadonlySet<number>, SqlError.SqlError, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => {
    const ask = (statement: string, of: ReadonlyArray<Range>) =>
      sql.unsafe<{ readonly partition: number }>(statement, [
        of.map(({ partition }) => partition),
        of.map(({ after }) => after),
        of.map(({ to }) => to),
        of.map(({ alsoJudged }) => alsoJudged),
        timeZone
      ])
    const take = (needed: ReadonlyArray<Statement>) =>
      Effect.map(ask(inOneStatement(needed), ranges), (rows) => new Set(rows.map(({ partition }) => partition)))
    const needed = statements.filter(({ types }) => types.some((type) => ranges.some((range) => range.types.has(type))))
    if (independent(needed)) return take(needed)
    return sql.withTransaction(Effect.gen(function*() {
      const mine = yield* take([])
      const left = ranges.filter(({ partition }) => mine.has(partition))
      if (left.length > 0) yield* Effect.forEach(needed, (each) => ask(byItself(each), left), { discard: true })
      return mine
    }))
  })
