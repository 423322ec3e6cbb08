/**
 * The SQL of the journal, made once per kind from its tables: one statement commits a group of units and gives each its own
 * verdict (R2). Arrays travel as parameters, a column each, so that a group of any size is one round trip.
 */
import type { Columns } from "./ArrayLiteral.ts"
import type { ChildTable, ColumnType, Table } from "./Table.ts"

/** Columns that every actor's main row has beside the kind's own. */
export const fenceColumns = ["id", "version", "writer", "cell", "epoch", "clock", "due_at"] as const

const arrayType: Record<ColumnType, string> = {
  text: "text[]",
  uuid: "uuid[]",
  integer: "integer[]",
  bigint: "bigint[]",
  double: "float8[]",
  boolean: "boolean[]",
  instant: "float8[]",
  json: "text[]"
}

/** From the array's element to the column. */
const fromParameter = (type: ColumnType, expression: string): string =>
  type === "instant" ? `to_timestamp(${expression} / 1000.0)` : type === "json" ? `${expression}::jsonb` : expression

/** From the column to what JavaScript reads: instants as ms, big integers as numbers. */
const toResult = (type: ColumnType, column: string): string =>
  type === "instant"
    ? `(extract(epoch from ${column}) * 1000)::float8 as ${quote(column)}`
    : type === "bigint"
    ? `${column}::float8 as ${quote(column)}`
    : quote(column)

const quote = (name: string): string => `"${name}"`

/** `unnest` over one array parameter per column, beginning at parameter `first`. */
const unnest = (alias: string, columns: Columns, first: number): string =>
  `unnest(${columns.map(([, type], i) => `$${first + i}::${arrayType[type]}`).join(", ")}) as ${alias}(${
    columns.map(([name]) => quote(name)).join(", ")
  })`

/** Parts of a group beyond the units themselves; a group that lacks one uses a statement without it. */
export type Part =
  | { readonly _tag: "Outcomes" }
  | { readonly _tag: "Asked" }
  | { readonly _tag: "Outbox" }
  | { readonly _tag: "Rows"; readonly table: ChildTable; readonly mode: "insert" | "update" | "delete" }

/** What a unit says of itself, whatever its kind. */
export const unitFenceColumns: Columns = [
  ["actor", "text"],
  ["base_version", "bigint"],
  ["base_writer", "text"],
  ["base_cell", "text"],
  ["base_epoch", "integer"],
  ["changes", "boolean"],
  ["writer", "text"],
  ["cell", "text"],
  ["epoch", "integer"],
  ["clock", "instant"],
  ["due_at", "instant"],
  ["not_after", "double"]
]

/** The kind's own columns of the main row; they follow those of the fence. */
export const ownColumns = (main: Table): Columns => Object.entries(main.columns)

export const outcomeColumns: Columns = [
  ["actor", "text"],
  ["command", "uuid"],
  ["hash", "text"],
  ["reply", "text"]
]

export const askedColumns: Columns = [
  ["actor", "text"],
  ["command", "uuid"]
]

export const outboxColumns: Columns = [
  ["actor", "text"],
  ["version", "bigint"],
  ["happenings", "json"]
]

export const partColumns = (part: Part): Columns => {
  switch (part._tag) {
    case "Outcomes":
      return outcomeColumns
    case "Asked":
      return askedColumns
    case "Outbox":
      return outboxColumns
    case "Rows": {
      const { columns, key } = part.table
      return part.mode === "delete"
        ? [...new Set([part.table.actor, ...key])].map((name) => [name, columns[name] ?? "text"] as const)
        : Object.entries(columns)
    }
  }
}

/**
 * Whether a column's value is among the ids that a CTE of the statement gives. Written so that it stays a look-up in a hash
 * table: the planner takes a group for ten rows (of arrays that are parameters it knows no length), would compare every row
 * with every other in a join, and a group of a thousand units took a second.
 */
const isIn = (column: string, cte: string, key = "id"): string =>
  `coalesce(${column} in (select ${key} from ${cte}), false)`

const rowsSql = (part: Extract<Part, { _tag: "Rows" }>, first: number): string => {
  const { table, mode } = part
  const columns = partColumns(part)
  const source = unnest("r", columns, first)
  const own = `where ${isIn(`r.${quote(table.actor)}`, "done")}`
  const value = ([name, type]: readonly [string, ColumnType]) => fromParameter(type, `r.${quote(name)}`)
  const keyMatch = table.key.map((name) => `t.${quote(name)} = r.${quote(name)}`).join(" and ")
  switch (mode) {
    case "insert":
      return `insert into ${table.name} (${columns.map(([name]) => quote(name)).join(", ")})
    select ${columns.map(value).join(", ")} from ${source} ${own}`
    case "update": {
      const set = columns.filter(([name]) => !table.key.includes(name))
        .map((column) => `${quote(column[0])} = ${value(column)}`)
      return `update ${table.name} t set ${set.join(", ")} from ${source} ${own} and ${keyMatch}`
    }
    case "delete":
      return `delete from ${table.name} t using ${source} ${own} and ${keyMatch}`
  }
}

/**
 * Joins the recorded outcome to a source of (actor, command), one look-up by key for each. The limit keeps the planner from
 * anything else: it takes a join of the two for one of large tables, and reads whole partitions of outcomes instead.
 */
const outcomeOf = (source: string, kind: string, columns: string): string =>
  `cross join lateral (select ${columns} from outcome
    where command = ${source}.command and kind = '${kind}' and actor = ${source}.actor limit 1) o`

/**
 * The commit of one group. Locks the matching rows in the order of their ids (no two groups can wait for each other in a
 * circle as long as all lock so), skips units that are stale, late or known, and says of each unit what became of it. A
 * `brief` one writes the columns of `main` only and stores no actor for the first time.
 *
 * Outcomes are looked up before the first row is locked, and not again in its recheck (nothing comes out of `fresh` before
 * all of `known` is there). It must stay so: a lock that had to wait for another writer sets up the statement's partition
 * pruning anew, and PostgreSQL 18 frees that with the recheck. Whatever prunes after it reads freed memory, and the backend
 * takes every connection of the server with it.
 *
 * Whether an actor is stored is asked by its key, not with "not exists": that the planner may turn into reading all actors.
 */
export const commitSql = (kind: string, main: Table, parts: ReadonlyArray<Part>, brief = false): string => {
  const own = ownColumns(main)
  const units = [...unitFenceColumns, ...own]
  let next = 1 + units.length
  const sources: Array<string> = []
  const effects: Array<string> = []
  const known: Array<string> = []
  const knownIn = (source: string) => known.push(`select c.actor from ${source} c ${outcomeOf("c", kind, "")}`)
  for (const part of parts) {
    const columns = partColumns(part)
    switch (part._tag) {
      case "Outcomes":
        knownIn("outcomes")
        sources.push(`outcomes as materialized (select * from ${unnest("o", columns, next)})`)
        effects.push(`remembered as (insert into outcome (kind, actor, command, hash, reply)
    select '${kind}', o.actor, o.command, o.hash, o.reply::json from outcomes o where ${isIn("o.actor", "done")})`)
        break
      case "Asked":
        knownIn("asked")
        sources.push(`asked as materialized (select * from ${unnest("a", columns, next)})`)
        break
      case "Outbox":
        effects.push(`published as (insert into outbox (kind, actor, version, happenings)
    select '${kind}', r.actor, r.version, r.happenings::jsonb from ${unnest("r", columns, next)}
    where ${isIn("r.actor", "done")})`)
        break
      case "Rows":
        effects.push(`${part.table.name}_${part.mode} as (${rowsSql(part, next)})`)
        break
    }
    next += columns.length
  }
  const set = own.map(([name, type]) => `${quote(name)} = ${fromParameter(type, `g.${quote(name)}`)}`)
  const inTime = "(u.not_after is null or u.not_after > extract(epoch from clock_timestamp()) * 1000)"
  const born = brief ? "" : `born as (
  insert into ${main.name} (${[...fenceColumns, ...own.map(([name]) => name)].map(quote).join(", ")})
  select u.actor, 1, u.writer, u.cell, u.epoch, to_timestamp(u.clock / 1000.0), to_timestamp(u.due_at / 1000.0)${
    own.map(([name, type]) => `, ${fromParameter(type, `u.${quote(name)}`)}`).join("")
  }
  from fresh u where u.base_version = 0 and u.changes and ${inTime}
  order by u.actor on conflict (id) do nothing returning id
),
`
  return `with u as materialized (select * from ${unnest("u", units, 1)}),
${sources.map((cte) => `${cte},\n`).join("")}known as materialized (${
    known.length === 0 ? "select null::text as actor where false" : known.join("\n  union\n    ")
  }),
fresh as materialized (select * from u where actor not in (select actor from known)),
locked as materialized (
  select m.id from ${main.name} m join fresh u on u.actor = m.id
  where m.version = u.base_version and m.writer = u.base_writer and m.cell = u.base_cell and m.epoch = u.base_epoch
  order by m.id for update of m
),
good as materialized (select u.* from fresh u where ${isIn("u.actor", "locked")} and ${inTime}),
updated as (
  update ${main.name} m set version = m.version + 1, writer = g.writer, cell = g.cell, epoch = g.epoch,
    clock = to_timestamp(g.clock / 1000.0), due_at = to_timestamp(g.due_at / 1000.0)${set.map((s) => `, ${s}`).join("")}
  from good g where m.id = g.actor and g.changes returning m.id
),
${born}done as materialized (select id from updated${brief ? "" : " union all select id from born"})${
    effects.map((cte) => `,\n${cte}`).join("")
  }
select u.actor, case
  when u.actor in (select id from done) then 'Committed'
  when u.actor in (select actor from known) then 'Known'
  when u.not_after is not null and u.not_after <= extract(epoch from clock_timestamp()) * 1000 then 'Late'
  when not u.changes and (u.actor in (select actor from good)
    or u.base_version = 0 and (select m.id from ${main.name} m where m.id = u.actor) is null) then 'Committed'
  else 'Stale' end as verdict
from u`
}

export const loadMainSql = (main: Table): string =>
  `select id, version::float8 as version, writer, cell, epoch, (extract(epoch from clock) * 1000)::float8 as clock${
    Object.entries(main.columns).map(([name, type]) => `, ${toResult(type, name)}`).join("")
  } from ${main.name} where id = any($1::text[])`

export const loadChildSql = (table: ChildTable): string => {
  const live = Object.entries(table.live ?? {})
    .map(([column, values]) =>
      ` and ${quote(column)} in (${values.map((value) => `'${value.replaceAll("'", "''")}'`).join(", ")})`
    )
  return `select ${Object.entries(table.columns).map(([name, type]) => toResult(type, name)).join(", ")}
from ${table.name} where ${quote(table.actor)} = any($1::text[])${live.join("")}`
}

export const outcomesSql = (kind: string): string =>
  `select p.actor, p.command::text as command, o.hash, o.reply
from unnest($1::text[], $2::uuid[]) as p(actor, command) ${outcomeOf("p", kind, "hash, reply")}`

export const dueSql = (main: Table): string =>
  `select id as actor, cell from ${main.name}
where due_at is not null and cell = any($1::text[]) and due_at <= to_timestamp($2::float8 / 1000.0)
order by due_at limit $3`

/** The first of each cell: a look into the index of what is due, cell by cell. */
export const nextDueSql = (main: Table): string =>
  `select (extract(epoch from min(d.due_at)) * 1000)::float8 as at
from unnest($1::text[]) c(cell) cross join lateral (
  select due_at from ${main.name} where due_at is not null and cell = c.cell and due_at > to_timestamp($2::float8 / 1000.0)
  order by due_at limit 1) d`

/** The condition is that of the kind's partial index, word for word, since the planner compares no more than words. */
export const hotSql = (main: Table): string =>
  `select id as actor, cell from ${main.name} where cell like 'hot-%' order by cell limit $1`
