/** A group of units as the parameters of one commit statement. */
import { eventKey, eventType } from "@hikyaku/domain/marketing/Event"
import { partitionOf } from "../marketing/EventLog.ts"
import type { ActorKind } from "./ActorKind.ts"
import type { Unit, UnitChange } from "./Journal.ts"
import {
  askedColumns,
  outboxColumns,
  outcomeColumns,
  parameter,
  type Part,
  partColumns,
  unitColumns
} from "./JournalSql.ts"
import type { ColumnType, Row, Value } from "./Table.ts"

type Columns = ReadonlyArray<readonly [string, ColumnType]>

/** One array per column. */
class Arrays {
  readonly values: ReadonlyArray<Array<Value>>
  readonly columns: Columns
  constructor(columns: Columns) {
    this.columns = columns
    this.values = columns.map(() => [])
  }
  push(row: Row): void {
    for (let i = 0; i < this.columns.length; i++) {
      const [name, type] = this.columns[i]!
      this.values[i]!.push(parameter(type, row[name]))
    }
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
  /** Which statement serves this group: the parts that it has. */
  readonly variant: string
  readonly parts: ReadonlyArray<Part>
  readonly values: ReadonlyArray<ReadonlyArray<Value>>
}

/** Spreads units over parameter arrays. Units must be of different actors. */
export const fill = <S, C, R, E>(kind: ActorKind<S, C, R, E>, units: ReadonlyArray<Unit>): Filled => {
  const main = new Arrays(unitColumns(kind.main))
  const outcomes = new Arrays(outcomeColumns)
  const asked = new Arrays(askedColumns)
  const outbox = new Arrays(outboxColumns)
  const rows = new Map<string, { readonly part: Part; readonly arrays: Arrays }>()
  const tables = new Map(kind.children.map((table) => [table.name, table]))
  for (const unit of units) {
    const { base, change } = unit
    main.push({
      ...change?.main,
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
  const values: Array<ReadonlyArray<Value>> = [...main.values]
  const names: Array<string> = []
  const add = (name: string, part: Part, arrays: Arrays) => {
    parts.push(part)
    values.push(...arrays.values)
    names.push(name)
  }
  if (outcomes.values[0]!.length > 0) add("o", { _tag: "Outcomes" }, outcomes)
  if (asked.values[0]!.length > 0) add("a", { _tag: "Asked" }, asked)
  if (outbox.values[0]!.length > 0) add("x", { _tag: "Outbox" }, outbox)
  for (const [name, entry] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1))) add(name, entry.part, entry.arrays)
  return { variant: names.join(","), parts, values }
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
