/**
 * Relational tables as the journal sees them: enough to write rows in groups and to load an actor, in PostgreSQL and in
 * memory alike. State lives in plain tables per kind, so that segments and operators' questions stay SQL.
 */

/**
 * `instant` is a number of ms since the epoch in code and `timestamptz` in the store; `json` is any JSON value in code and
 * `jsonb` in the store; `bigint` is a safe integer in code.
 */
export type ColumnType = "text" | "uuid" | "integer" | "bigint" | "double" | "boolean" | "instant" | "json"

export type Value = string | number | boolean | null | object
export type Row = Readonly<Record<string, Value>>

export interface Table {
  readonly name: string
  readonly columns: Readonly<Record<string, ColumnType>>
  /** Some worker waits for what actors write here: a commit that has tells of it (`writtenTopic`). */
  readonly awaited?: true
}

/** The one row per actor that carries the fence; the columns named here come on top of the fence's own. */
export interface MainTable extends Table {}

/** Rows that belong to one actor; only its unit of work may write them. */
export interface ChildTable extends Table {
  /** Column that names the owning actor; part of `columns`. */
  readonly actor: string
  /** Columns of the primary key; what a write replaces or deletes is found by it. */
  readonly key: ReadonlyArray<string>
  /**
   * Which of its rows an actor keeps in memory: equality on every column named, all of them when empty; `null` when none
   * are loaded. Rows that are closed (sold, released) stay in the store and out of memory.
   */
  readonly live: Readonly<Record<string, ReadonlyArray<string>>> | null
}

/** What one unit of work does to child rows. A key is written at most once per unit; the last write wins. */
export interface RowWrite {
  readonly table: string
  readonly mode: "insert" | "update" | "delete"
  /** All columns for insert and update; the key columns for delete. */
  readonly row: Row
}

/** Collects a unit's row writes, keeping one per key. */
export class RowWriter {
  private readonly writes = new Map<string, RowWrite>()

  private id(table: ChildTable, row: Row): string {
    let id = table.name
    for (const column of table.key) id += `\u0001${String(row[column])}`
    return id
  }

  /** A row that must not exist yet: its key is the backstop of idempotency. */
  insert(table: ChildTable, row: Row): void {
    const id = this.id(table, row)
    // Deleted by an earlier fact of the same unit: in the store it is still there.
    const mode = this.writes.get(id)?.mode === "delete" ? "update" : "insert"
    this.writes.set(id, { table: table.name, mode, row })
  }

  /** A row that exists, given whole. */
  update(table: ChildTable, row: Row): void {
    const id = this.id(table, row)
    const earlier = this.writes.get(id)
    this.writes.set(id, { table: table.name, mode: earlier?.mode === "insert" ? "insert" : "update", row })
  }

  delete(table: ChildTable, row: Row): void {
    const id = this.id(table, row)
    if (this.writes.get(id)?.mode === "insert") this.writes.delete(id)
    else this.writes.set(id, { table: table.name, mode: "delete", row })
  }

  all(): ReadonlyArray<RowWrite> {
    return [...this.writes.values()]
  }
}
