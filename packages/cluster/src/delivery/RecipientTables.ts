/**
 * Tables and views of which requests take recipients, as the database has them: whether they can be used, and the statements
 * that read them. Every name comes from a registration and is quoted; nothing of a caller's is ever part of a statement.
 *
 * They lie in schemas of their own: what is among the shop's own tables (keys, members, secrets) cannot be registered, only
 * shown through a view that somebody with the right to do so has made.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import type { RecipientTable } from "@hikyaku/domain/delivery/RecipientSource"
import { Effect } from "effect"

interface Column {
  readonly name: string
  readonly type: string
  readonly notNull: boolean
  readonly readable: boolean
  /** Whether equal values are the same text. */
  readonly deterministic: boolean
  readonly unique: boolean
  /** Whether the relation is a table, so that it could promise more of its columns. */
  readonly isTable: boolean
  /** Whether it lies among the shop's own tables or the database's. */
  readonly reserved: boolean
}

/** $1 schema, $2 relation. */
const columnsSql = `select a.attname as name, format_type(a.atttypid, null) as type, a.attnotnull as "notNull",
  has_schema_privilege(n.oid, 'USAGE') and has_column_privilege(c.oid, a.attnum, 'SELECT') as readable,
  coalesce(o.collisdeterministic, true) as deterministic, c.relkind in ('r', 'p') as "isTable",
  n.oid = (select relnamespace from pg_class where oid = 'mail_request'::regclass)
    or n.nspname = 'information_schema' or n.nspname like 'pg\\_%' as reserved,
  exists (select from pg_index i where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indpred is null
    and i.indnkeyatts = 1 and i.indkey[0] = a.attnum) as "unique"
from pg_namespace n join pg_class c on c.relnamespace = n.oid
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_collation o on o.oid = a.attcollation
where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p', 'v', 'm', 'f')`

/** Types whose values are the same after a way through text, so that a cursor can be one. */
const keyTypes: ReadonlySet<string> = new Set(["smallint", "integer", "bigint", "text", "character varying", "uuid"])

export interface TableFault {
  readonly path: string
  readonly reason: string
}

const faultOf = (table: RecipientTable, columns: ReadonlyMap<string, Column>): TableFault | null => {
  const [any] = columns.values()
  if (any === undefined) return { path: "relation", reason: `there is no ${table.schema}.${table.relation}` }
  if (any.reserved) {
    return {
      path: "schema",
      reason: "what is among the shop's own tables cannot be used: make a view in another schema"
    }
  }
  const named: ReadonlyArray<readonly [string, string | undefined]> = [
    ["key", table.key],
    ["address", table.address],
    ["member", table.member],
    ...table.parameters.map((name, index) => [`parameters[${index}]`, name] as const)
  ]
  for (const [path, name] of named) {
    if (name === undefined) continue
    const column = columns.get(name)
    if (column === undefined) return { path, reason: `${table.relation} has no column ${name}` }
    if (!column.readable) return { path, reason: `the shop's database user may not read ${name}` }
  }
  const key = columns.get(table.key)
  if (key === undefined) return null
  if (!keyTypes.has(key.type) || !key.deterministic) {
    return { path: "key", reason: `${key.type} is no key; it can be ${[...keyTypes].join(", ")}` }
  }
  // A view can promise neither; what breaks the order of its rows is told when it is read.
  if (key.isTable && !(key.unique && key.notNull)) {
    return { path: "key", reason: `${table.key} must be unique and never null: pages could miss rows` }
  }
  return null
}

const columnsOf = (table: RecipientTable) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) =>
    Effect.map(
      sql.unsafe<Column>(columnsSql, [table.schema, table.relation]),
      (rows) => new Map(rows.map((row) => [row.name, row]))
    ))

/** Why the table cannot be used, with the place in its registration; null if it can. */
export const checkTable = (
  table: RecipientTable
): Effect.Effect<TableFault | null, SqlError.SqlError, SqlClient.SqlClient> =>
  Effect.map(columnsOf(table), (columns) => faultOf(table, columns))

const quoted = (name: string): string => `"${name.replaceAll("\"", "\"\"")}"`
const relationOf = (table: RecipientTable): string => `${quoted(table.schema)}.${quoted(table.relation)}`

/** Longest text of a column that is read, in characters: more than any field may have, so that it is refused by its row. */
const textMax = 1_001
/** Types that JSON has, and those whose values may be beyond what a JSON number keeps. */
const jsonTypes: ReadonlySet<string> = new Set(["boolean", "smallint", "integer", "real", "double precision"])
const wideTypes: ReadonlySet<string> = new Set(["bigint", "numeric"])
const safe = Number.MAX_SAFE_INTEGER

const valueSql = (name: string, type: string): string => {
  const column = `t.${quoted(name)}`
  if (jsonTypes.has(type)) return `to_jsonb(${column})`
  const text = `to_jsonb(left(${column}::text, ${textMax}))`
  return wideTypes.has(type)
    ? `case when ${column} between -${safe} and ${safe} then to_jsonb(${column}) else ${text} end`
    : text
}

/** A row of a table. `values`: its parameters, in the order of the registration. */
export interface TableRow {
  readonly key: string
  readonly target: string | null
  readonly values: ReadonlyArray<unknown>
}

const rowSql = (table: RecipientTable, columns: ReadonlyMap<string, Column>): string => {
  const values = table.parameters.map((name) => valueSql(name, columns.get(name)?.type ?? "text"))
  return `select t.${quoted(table.key)}::text as key,
  left(t.${quoted(table.address ?? table.member ?? table.key)}::text, ${textMax}) as target,
  jsonb_build_array(${values.join(", ")}) as values
from ${relationOf(table)} t`
}

/** The registration does not fit the table any more. */
export class TableChanged {
  readonly _tag = "TableChanged"
  constructor(readonly reason: string) {}
}

const usable = (table: RecipientTable) =>
  Effect.flatMap(columnsOf(table), (columns) => {
    const fault = faultOf(table, columns)
    return fault === null ? Effect.succeed(columns) : Effect.fail(new TableChanged(fault.reason))
  })

/** The rows after a key (null: from the beginning), in the order of keys. */
export const pageOf = (
  table: RecipientTable,
  after: string | null,
  limit: number
): Effect.Effect<ReadonlyArray<TableRow>, SqlError.SqlError | TableChanged, SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const columns = yield* usable(table)
    const key = `t.${quoted(table.key)}`
    const beyond = after === null ? `${key} is not null` : `${key} > $2::${columns.get(table.key)?.type ?? "text"}`
    return yield* sql.unsafe<TableRow>(
      `${rowSql(table, columns)}\nwhere ${beyond} order by ${key} limit $1`,
      after === null ? [limit] : [limit, after]
    )
  })

/** The rows with these keys. */
export const rowsOf = (
  table: RecipientTable,
  keys: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<TableRow>, SqlError.SqlError | TableChanged, SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const columns = yield* usable(table)
    const type = columns.get(table.key)?.type ?? "text"
    return yield* sql.unsafe<TableRow>(
      `${rowSql(table, columns)}\nwhere t.${quoted(table.key)} = any($1::text[]::${type}[]) limit $2`,
      [keys, keys.length + 1]
    )
  })

/** How many rows it has, counted up to a bound, and how many of them have no key. */
export const countOf = (
  table: RecipientTable,
  bound: number
): Effect.Effect<
  { readonly rows: number; readonly keyless: number },
  SqlError.SqlError | TableChanged,
  SqlClient.SqlClient
> =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* usable(table)
    const [row] = yield* sql.unsafe<{ readonly rows: number; readonly keyless: number }>(
      `select count(*)::integer as rows, (count(*) - count(k))::integer as keyless
from (select t.${quoted(table.key)} as k from ${relationOf(table)} t limit $1) c`,
      [bound]
    )
    return row ?? { rows: 0, keyless: 0 }
  })
