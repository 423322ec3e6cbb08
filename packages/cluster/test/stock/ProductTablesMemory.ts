/** Tables in memory that are stricter than a database: what is written must fit its table, and be there or not be there. */
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import type { ChildTable, ColumnType, Row, RowWrite, Value } from "@hikyaku/cluster/actor/Table"

const fits: Readonly<Record<ColumnType, (value: Value) => boolean>> = {
  text: (value) => typeof value === "string",
  uuid: (value) => typeof value === "string" && /^[0-9a-f-]{36}$/.test(value),
  integer: (value) => Number.isInteger(value) && Math.abs(Number(value)) < 2 ** 31,
  bigint: (value) => Number.isSafeInteger(value),
  double: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  instant: (value) => Number.isSafeInteger(value),
  json: () => true
}

const check = (table: string, columns: Readonly<Record<string, ColumnType>>, row: Row): void => {
  const names = Object.keys(columns).sort().join()
  if (Object.keys(row).sort().join() !== names) throw new Error(`${table}: ${Object.keys(row).join()} for ${names}`)
  for (const [name, value] of Object.entries(row)) {
    const type = columns[name]
    if (type === undefined || (value !== null && !fits[type](value))) {
      throw new Error(`${table}.${name}: ${JSON.stringify(value)} is no ${type}`)
    }
  }
}

export class TablesMemory<State, Command, Reply, Event> {
  main: Row | null = null
  private readonly rows = new Map<string, Map<string, Row>>()

  constructor(private readonly kind: ActorKind<State, Command, Reply, Event>) {
    for (const table of kind.children) this.rows.set(table.name, new Map())
  }

  writeMain(row: Row): void {
    check(this.kind.main.name, this.kind.main.columns, row)
    this.main = structuredClone(row)
  }

  write({ mode, row, table: name }: RowWrite): void {
    const table = this.table(name)
    const stored = this.rows.get(name)!
    const key = JSON.stringify(table.key.map((column) => row[column]))
    if (stored.has(key) !== (mode !== "insert")) {
      throw new Error(`${mode} of ${name} ${key}, which is ${stored.has(key) ? "" : "not "}there`)
    }
    if (mode === "delete") {
      stored.delete(key)
      return
    }
    check(name, table.columns, row)
    stored.set(key, structuredClone(row))
  }

  all(name: string): ReadonlyArray<Row> {
    return [...this.rows.get(name)!.values()]
  }

  /** What an actor loads, in an order that means nothing. */
  live(): Readonly<Record<string, ReadonlyArray<Row>>> {
    return Object.fromEntries(
      this.kind.children.filter((table) => table.live !== null).map((table) => [
        table.name,
        this.all(table.name).filter((row) =>
          Object.entries(table.live ?? {}).every(([column, values]) => values.includes(String(row[column])))
        ).reverse()
      ])
    )
  }

  private table(name: string): ChildTable {
    const table = this.kind.children.find((child) => child.name === name)
    if (table === undefined) throw new Error(`no table ${name}`)
    return table
  }
}
