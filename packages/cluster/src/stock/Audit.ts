/**
 * The audit of the products' books (G1), from the rows alone: what the actors keep in memory is not asked. It goes through
 * the products in the order of their ids, a page at a time; a page is one statement and so of one instant, because an actor
 * writes its row and its lines in one commit: traffic causes no false alarm.
 *
 * Cost: every line is read once, by key. A product's row tells how many lines it has (its last number), so that a page ends
 * before its lines are too many; a product that has more than that alone is a page of its own.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { AuditFault } from "@hikyaku/domain/api/AdminApi"
import { Effect, type ParseResult, Schema } from "effect"

/** Lines (rows of `allocation`) of one page, about: half a second at 4.4 µs a line (3 million of them, spread, on a busy machine). */
export const linesMax = 100_000

export interface AuditPage {
  /** Products checked, and the lines that were read for it. */
  readonly checked: number
  readonly lines: number
  readonly faults: ReadonlyArray<AuditFault>
  /** Where the next page begins; null: this was the last. */
  readonly next: string | null
}

/**
 * Every sum is a lateral look-up by product: a join would leave it to the planner's estimates whether a page of ten products
 * reads the whole table. That numbers are there once each is told from their sum and the sum of their squares; sorting them
 * would cost more than all the rest.
 */
const pageSql = `with candidate as (
  select id, taken_in, shortage, available, allocated, offered, sold, sequence,
    coalesce(sum(sequence) over (order by id rows between unbounded preceding and 1 preceding), 0) as lines_before
  from (select * from product where id > $1 order by id limit $2) p
), page as materialized (
  select * from candidate where lines_before < $3::float8
), books as materialized (
  select page.*, open_found, bought - returned as sold_found, offered_found, n, low, high, total, squares
  from page
  cross join lateral (
    select coalesce(sum(quantity) filter (where status in ('allocated', 'held')), 0) as open_found,
      coalesce(sum(quantity) filter (where status in ('sold', 'settled')), 0) as bought,
      count(*) as n, coalesce(min(a.sequence), 1) as low, coalesce(max(a.sequence), 0) as high,
      coalesce(sum(a.sequence), 0) as total, coalesce(sum(a.sequence::numeric * a.sequence), 0) as squares
    from allocation a where a.product = page.id
  ) lines
  cross join lateral (
    select coalesce(sum(quantity), 0) as returned from allocation_return r where r.product = page.id
  ) back
  cross join lateral (
    select coalesce(sum(quantity), 0) as offered_found from ticket_wait w
    where w.product = page.id and w.status = 'offered'
  ) line
), fault as (
  select id as product, rule, expected::float8 as expected, found::float8 as found from books, lateral (values
    ('taken in + shortage = available + allocated + offered + sold', taken_in + shortage,
      available + allocated + offered + sold),
    ('pieces in carts = open allocations', allocated, open_found),
    ('pieces offered = offers in line', offered, offered_found),
    ('pieces sold = sold allocations - returns', sold, sold_found),
    ('allocated and sold <= taken in + shortage', taken_in + shortage,
      greatest(taken_in + shortage, open_found + offered_found + sold_found)),
    ('the last allocation has the last number', sequence, high),
    ('allocations are numbered without gaps', high - low + 1, n),
    ('the first allocation has number 1', 1, low),
    -- Where as many numbers as there should be are not all of them.
    ('every number is there once', case when n = high then n * (n + 1) / 2 else total end, total),
    ('every number is there once (squares)', case when n = high and total = n * (n + 1) / 2
      then n::numeric * (n + 1) * (2 * n + 1) / 6 else squares end, squares)
  ) as rules(rule, expected, found) where expected <> found
)
select (select count(*) from page)::float8 as checked, (select coalesce(sum(n), 0) from books)::float8 as lines,
  coalesce((select json_agg(fault order by product, rule) from fault), '[]'::json) as faults,
  (select max(id) from page having exists (select 1 from product where id > max(page.id))) as next`

const Page = Schema.Struct({
  checked: Schema.Number,
  lines: Schema.Number,
  faults: Schema.Array(AuditFault),
  next: Schema.NullOr(Schema.String)
})
const decode = Schema.decodeUnknown(Schema.Tuple(Page))

/** Checks the books of the products with ids after `after`, at most `products` of them. */
export const auditPage = (
  after: string,
  products: number,
  lines: number = linesMax
): Effect.Effect<AuditPage, SqlError.SqlError | ParseResult.ParseError, SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const [page] = yield* Effect.flatMap(sql.unsafe(pageSql, [after, products, lines]), decode)
    return page
  })
