/**
 * Databases of growing shops, loaded once and kept for later runs: nobody is measured on them but on copies. Loaded anew
 * when the schema has changed, or when they are a day old, since outcomes are kept for a day.
 */
import type { Bench } from "./Bench.ts"
import { defineProducts } from "./Books.ts"
import type { Options } from "./Options.ts"
import type { Database } from "./Postgres.ts"
import { template } from "./Postgres.ts"

export const prefix = "p-"
export const warmPrefix = "warm-"
const warmProducts = 1_000
const stock = 1_000_000

/** Rows per statement. */
const chunk = 50_000
/** Hours after which a database is loaded anew. */
const ageMax = 20

const rowsOf = ({ products, rows }: Options, size: number): number => size === products ? rows : 0

/** The database of a shop of this size. Only the largest has the closed rows beside it. */
export const sourceOf = (options: Options, size: number): string => {
  const rows = rowsOf(options, size)
  return `bench_growth_${size}${rows > 0 ? `_${rows}` : ""}`
}

/** Changes when a table, an index or a function does. */
const schemaOf = async ({ admin }: Database): Promise<string> => {
  const { rows } = await admin.query<{ readonly schema: string }>(
    `select md5(
       (select string_agg(concat_ws(' ', table_name, column_name, data_type, is_nullable), ';' order by table_name, ordinal_position)
        from information_schema.columns where table_schema = 'public'
          and table_name !~ '^(bench_loaded|outcome_[0-9]+)$')
       || (select string_agg(indexdef, ';' order by indexdef) from pg_indexes
           where schemaname = 'public' and tablename !~ '^outcome_[0-9]+$')) as schema`
  )
  return rows[0]!.schema
}

const isLoaded = async (run: Bench, name: string, schema: string): Promise<boolean> => {
  if (!await run.postgres.exists(name)) return false
  const database = await run.postgres.connect(name)
  try {
    const { rows } = await database.admin.query<{ readonly fits: boolean }>(
      `select schema = $1 and at > now() - $2 * interval '1 hour' as fits from bench_loaded`,
      [schema, ageMax]
    )
    return rows[0]?.fits === true
  } catch {
    return false
  } finally {
    await run.postgres.close(database)
  }
}

/** Closed allocations and the outcomes of a day, of products of old. */
const closedRows = async ({ admin }: Database, rows: number, progress: (done: number) => void): Promise<void> => {
  for (let from = 0; from < rows; from += chunk) {
    const to = Math.min(rows, from + chunk)
    await admin.query(
      `with added as (
         insert into allocation (product, ticket, member, quantity, sequence, status, allocated_at, expires_at, closed_at)
         select 'old-' || i % 100000, (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - (random() * 72000000)::bigint),
             12, '0') || '7000' || '8' || substr(md5(random()::text), 1, 15))::uuid,
           'm' || i, 1, 1 + i / 100000, 'settled', now(), now(), now()
         from generate_series($1::int, $2::int - 1) i returning product, ticket, sequence
       )
       insert into outcome (kind, actor, command, hash, reply)
       select 'Product', product, ticket, '0123456789abcdef',
         json_build_object('_tag', 'Allocated', 'sequence', sequence, 'expiresAt', 1700000000000) from added`,
      [from, to]
    )
    progress(to)
  }
}

/** Loads what is missing. */
export const load = async (run: Bench, sizes: ReadonlyArray<number>): Promise<void> => {
  const { options, postgres } = run
  const reference = await postgres.connect(template)
  const schema = await schemaOf(reference)
  await postgres.close(reference)
  for (const size of sizes) {
    const name = sourceOf(options, size)
    if (await isLoaded(run, name, schema)) continue
    const started = performance.now()
    const progress = (what: string, all: number) => (done: number) => {
      const seconds = Math.round((performance.now() - started) / 1000)
      if (done === all || done % (20 * chunk) === 0) run.say(`loading ${name}: ${done} of ${all} ${what}, ${seconds} s`)
    }
    await postgres.migrated(name)
    const database = await postgres.connect(name)
    await defineProducts(database.admin, warmPrefix, warmProducts, stock)
    await defineProducts(database.admin, prefix, size, stock, { progress: progress("products", size) })
    const rows = rowsOf(options, size)
    await closedRows(database, rows, progress("closed rows", rows))
    await database.admin.query("vacuum analyze product, allocation, outcome")
    await database.admin.query("create table bench_loaded as select $1::text as schema, now() as at", [schema])
    await postgres.close(database)
    await postgres.settle()
  }
}
