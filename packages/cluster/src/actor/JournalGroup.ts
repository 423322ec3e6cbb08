/** A group of units as the parameters of one commit statement. */
import { eventKey, eventType } from "@hikyaku/domain/marketing/Event"
import { partitionOf } from "../marketing/EventLog.ts"
import type { ActorKind } from "./ActorKind.ts"
import type { Unit, UnitChange } from "./Journal.ts"
import { askedColumns, fenceParameters, outboxColumns, outcomeColumns, type Part, partColumns } from "./JournalSql.ts"
import type { ColumnType, Row, Table, Value } from "./Table.ts"

type Columns = ReadonlyArray<readonly [string, ColumnType]>

const special = /["\\]/
const specials = /["\\]/g

/** A value as an element of an array literal of the store. */
const element = (type: ColumnType, value: Value | undefined): string => {
  if (value === undefined || value === null) return "NULL"
  if (typeof value === "number" || typeof value === "boolean") return type === "json" ? `"${value}"` : `${value}`
  const text = typeof value === "string" && type !== "json" ? value : JSON.stringify(value)
  return special.test(text) ? `"${text.replaceAll(specials, "\\$&")}"` : `"${text}"`
}

/**
 * One array literal per column, written as the rows come: the driver would look at every value twice more. What a column
 * repeats from one row to the next (the units of a run differ in the member alone) is written once.
 */
class Arrays {
  readonly columns: Columns
  private readonly texts: Array<string>
  private readonly last: Array<Value | undefined>
  private readonly lastText: Array<string>
  size = 0

  constructor(columns: Columns) {
    this.columns = columns
    this.texts = columns.map(() => "")
    this.last = columns.map(() => null)
    this.lastText = columns.map(() => "NULL")
  }

  push(row: Row): void {
    for (let i = 0; i < this.columns.length; i++) {
      const [name, type] = this.columns[i]!
      const value = row[name]
      if (value !== this.last[i]) {
        this.lastText[i] = element(type, value)
        this.last[i] = value
      }
      this.texts[i] += this.size === 0 ? this.lastText[i]! : `,${this.lastText[i]!}`
    }
    this.size++
  }

  get values(): ReadonlyArray<string> {
    return this.texts.map((text) => `{${text}}`)
  }
}

/** A happening with its place in the event log, so that the relay can move it without looking inside. */
const forTheLog = ({ at, happening }: UnitChange["outbox"][number]) => ({
  at,
  partition: partitionOf(happening),
  key: eventKey(happening),
  type: eventType(happening),
  happening
})

export interface Filled {
  /** Which statement serves this group: the parts that it has, and whether its main rows are brief. */
  readonly variant: string
  /** The columns of the main row that the group writes. */
  readonly main: Table
  /** Whether it leaves the kind's steady columns as they are; such a group holds no actor that is stored for the first time. */
  readonly brief: boolean
  readonly parts: ReadonlyArray<Part>
  /** An array literal per parameter. */
  readonly values: ReadonlyArray<string>
}

/** The main table without the kind's steady columns. */
const briefTable = <S, C, R, E>({ main, steady }: ActorKind<S, C, R, E>): Table => ({
  name: main.name,
  columns: Object.fromEntries(Object.entries(main.columns).filter(([name]) => !steady?.columns.includes(name)))
})

const noRow: Row = {}

/** Spreads units over parameter arrays. Units must be of different actors. */
export const fill = <S, C, R, E>(kind: ActorKind<S, C, R, E>, units: ReadonlyArray<Unit>): Filled => {
  const brief = kind.steady !== undefined &&
    units.every(({ change }) => change === null || change.steady === true)
  const table = brief ? briefTable(kind) : kind.main
  const main = new Arrays(fenceParameters)
  const own = new Arrays(Object.entries(table.columns))
  const outcomes = new Arrays(outcomeColumns)
  const asked = new Arrays(askedColumns)
  const outbox = new Arrays(outboxColumns)
  const rows = new Map<string, { readonly part: Part; readonly arrays: Arrays }>()
  const tables = new Map(kind.children.map((table) => [table.name, table]))
  for (const unit of units) {
    const { base, change } = unit
    own.push(change?.main ?? noRow)
    main.push({
      actor: unit.actor,
      base_version: base.version,
      base_writer: base.writer,
      base_cell: base.cell,
      base_epoch: base.epoch,
      changes: change !== null,
      writer: unit.writer,
      cell: change?.cell ?? base.cell,
      epoch: change?.epoch ?? base.epoch,
      clock: change?.clock ?? null,
      due_at: change?.dueAt ?? null,
      not_after: unit.notAfter
    })
    for (const command of unit.asked) asked.push({ actor: unit.actor, command })
    if (change === null) continue
    for (const outcome of change.outcomes) {
      outcomes.push({
        actor: unit.actor,
        command: outcome.command,
        hash: outcome.hash,
        reply: JSON.stringify(outcome.reply)
      })
    }
    if (change.outbox.length > 0) {
      outbox.push({ actor: unit.actor, version: base.version + 1, happenings: change.outbox.map(forTheLog) })
    }
    for (const write of change.rows) {
      const name = `${write.table}:${write.mode}`
      let entry = rows.get(name)
      if (entry === undefined) {
        const table = tables.get(write.table)
        if (table === undefined) throw new Error(`${kind.name} writes ${write.table}, which is not among its tables`)
        const part: Part = { _tag: "Rows", table, mode: write.mode }
        rows.set(name, entry = { part, arrays: new Arrays(partColumns(part)) })
      }
      entry.arrays.push(write.row)
    }
  }
  const parts: Array<Part> = []
  const values: Array<string> = [...main.values, ...own.values]
  const names: Array<string> = brief ? ["brief"] : []
  const add = (name: string, part: Part, arrays: Arrays) => {
    parts.push(part)
    values.push(...arrays.values)
    names.push(name)
  }
  if (outcomes.size > 0) add("o", { _tag: "Outcomes" }, outcomes)
  if (asked.size > 0) add("a", { _tag: "Asked" }, asked)
  if (outbox.size > 0) add("x", { _tag: "Outbox" }, outbox)
  for (const [name, entry] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1))) add(name, entry.part, entry.arrays)
  return { variant: names.join(","), main: table, brief, parts, values }
}

/** Takes what may travel together from the front of a queue: within the bounds, of one history, no actor twice. */
export const CommitGroup = {
  take: <W extends { readonly units: ReadonlyArray<Unit>; readonly generation: number }>(
    queue: Array<W>,
    unitsMax: number,
    commandsMax: number
  ): { readonly members: ReadonlyArray<W>; readonly units: ReadonlyArray<Unit> } => {
    const members: Array<W> = []
    const units: Array<Unit> = []
    const actors = new Set<string>()
    let commands = 0
    while (queue.length > 0) {
      const next = queue[0]!
      const cost = next.units.reduce((sum, unit) => sum + unit.asked.length + (unit.change?.outcomes.length ?? 0), 0)
      const fits = units.length + next.units.length <= unitsMax && commands + cost <= commandsMax
      const apart = !fits || next.generation !== members[0]?.generation ||
        next.units.some((unit) => actors.has(unit.actor))
      if (members.length > 0 && apart) break
      queue.shift()
      members.push(next)
      commands += cost
      for (const unit of next.units) {
        units.push(unit)
        actors.add(unit.actor)
      }
    }
    return { members, units }
  }
}
