/** Products and members as their actors would have written them, and the books after a run: the same for every system. */
import { cellOf, cellsDefault } from "@hikyaku/cluster/actor/Placement"
import { settingsDefault } from "@hikyaku/domain/stock/Product"
import type pg from "pg"
import type { Loaded } from "./Load.ts"

/** Prefix of the product that has the template's old adds. */
export const old = "old"

/** Rows per statement when products or members are loaded. */
const chunk = 10_000

const chunks = async (
  count: number,
  insert: (from: number, to: number) => Promise<unknown>,
  progress: (done: number) => void
): Promise<void> => {
  for (let from = 0; from < count; from += chunk) {
    const to = Math.min(count, from + chunk)
    await insert(from, to)
    progress(to)
  }
}

/** Products `${prefix}0` and so on, each with so many pieces, in the cell that their id says (or the one named). */
export const defineProducts = (
  sql: pg.Pool,
  prefix: string,
  products: number,
  stock: number,
  { cell = null as string | null, progress = (_done: number): void => {} } = {}
): Promise<void> => {
  const { cartMs, lowThreshold, offerMs } = settingsDefault
  return chunks(products, (from, to) => {
    const ids = Array.from({ length: to - from }, (_, i) => `${prefix}${from + i}`)
    return sql.query(
      `insert into product (id, version, writer, cell, epoch, clock, name, cart_ms, offer_ms, low_threshold, counting,
         ran_out, taken_in, shortage, available, allocated, offered, sold, sequence, place)
       select id, 1, 'bench', cell, 0, clock_timestamp(), 'Product ' || id, $3, $4, $5, false, false, $6, 0, $6, 0, 0, 0, 0, 0
       from unnest($1::text[], $2::text[]) as p(id, cell)`,
      [ids, ids.map((id) => cell ?? cellOf(id, cellsDefault)), cartMs, offerMs, lowThreshold, stock]
    )
  }, progress)
}

/**
 * Members `m0` and so on: address, consent to mail, two attributes, and i % 4 messages of the last days that occupy their
 * caps (1.5 on average), one of fifty campaigns each.
 */
export const defineMembers = (sql: pg.Pool, members: number): Promise<void> =>
  chunks(members, (from, to) => {
    const ids = Array.from({ length: to - from }, (_, i) => from + i)
    return sql.query(
      `insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, language, time_zone, address,
         attributes, consents, suppressions, holds, stats, decisions)
       select 'm' || i, 1, 'bench', cell, 0, clock_timestamp(), true, false, 'ja', null, 'member' || i || '@example.com',
         jsonb_build_object('tier', (array['gold', 'silver', 'none'])[1 + i % 3], 'birthYear', 1950 + i % 50),
         '{"mail": true}', '{}',
         (select coalesce(jsonb_agg(jsonb_build_array('run-' || k || '-' || i % 50, 'campaign-' || i % 50, null, 0, 1, 10,
            (extract(epoch from now()) * 1000)::bigint - k * 86400000 - i, 0, 2, 0)), '[]') from generate_series(1, i % 4) k),
         '{"responses": {}, "hours": null, "objections": 0}', 0
       from unnest($1::int[], $2::text[]) as m(i, cell)`,
      [ids, ids.map((i) => cellOf(`m${i}`, cellsDefault))]
    )
  }, () => {})

interface Standing {
  readonly adds: number
  readonly allocated: number
  readonly gapless: boolean
  readonly booked: boolean
}

/** What the rows say about the products of a prefix. */
const standingOf = async (sql: pg.Pool, prefix: string): Promise<Standing> => {
  const { rows } = await sql.query<Standing>(
    `with a as (
       select product, count(*) as n, count(distinct sequence) as distinct_n, min(sequence) as low, max(sequence) as high
       from allocation where starts_with(product, $1) group by product
     ), o as (
       -- A product that became hot meanwhile has an outcome of its move as well.
       select actor, count(*) as n from outcome where kind = 'Product' and starts_with(actor, $1)
         and reply->>'_tag' <> 'Relocated' group by actor
     )
     select coalesce(sum(o.n), 0)::float8 as adds, coalesce(sum(a.n), 0)::float8 as allocated,
       coalesce(bool_and(a.n is null or a.low = 1 and a.high = a.n and a.distinct_n = a.n), true) as gapless,
       coalesce(bool_and(p.allocated = coalesce(a.n, 0) and p.sequence = coalesce(a.n, 0)
         and p.available = p.taken_in - p.allocated), true) as booked
     from product p left join a on a.product = p.id left join o on o.actor = p.id where starts_with(p.id, $1)`,
    [prefix]
  )
  return rows[0]!
}

/**
 * Whether the books of a stream's products are right after these loads and no others: so many allocated as there was stock
 * for, numbered without a gap, an outcome for every add, and callers that were told the same.
 */
export const inOrder = async (
  sql: pg.Pool,
  prefix: string,
  loads: ReadonlyArray<Loaded>,
  expected: number | null
): Promise<boolean> => {
  const standing = await standingOf(sql, prefix)
  const told = (tag: string) => loads.reduce((sum, load) => sum + (load.outcomes[tag] ?? 0), 0)
  const [allocated, soldOut] = [told("Allocated"), told("SoldOut")]
  const others = loads.flatMap((load) => Object.keys(load.outcomes)).filter((tag) =>
    tag !== "Allocated" && tag !== "SoldOut" && tag !== "Overloaded"
  )
  const good = standing.gapless && standing.booked && standing.allocated === allocated &&
    standing.adds === allocated + soldOut && others.length === 0 && (expected === null || allocated === expected)
  if (!good) {
    process.stderr.write(
      `CHECK FAILED for ${prefix}: ${
        JSON.stringify({ standing, told: loads.map((load) => load.outcomes), expected })
      }\n`
    )
  }
  return good
}
