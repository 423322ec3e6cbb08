/** A group of units as the parameters of one commit statement. */
import { eventKey, eventType } from "@hikyaku/domain/marketing/Event"
import { partitionOf } from "../marketing/EventLog.ts"
import type { ActorKind } from "./ActorKind.ts"
import { ArrayColumns } from "./ArrayLiteral.ts"
import type { Unit, UnitChange } from "./Journal.ts"
import {
  askedColumns,
  outboxColumns,
  outcomeColumns,
  ownColumns,
  type Part,
  partColumns,
  unitFenceColumns
} from "./JournalSql.ts"
import type { Table } from "./Table.ts"

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
  /** The statement's parameters: an array literal per column. */
  readonly values: ReadonlyArray<string>
}

/** The main table without the kind's steady columns. */
const briefTable = <S, C, R, E>({ main, steady }: ActorKind<S, C, R, E>): Table => ({
  name: main.name,
  columns: Object.fromEntries(Object.entries(main.columns).filter(([name]) => !steady?.columns.includes(name)))
})

const noRow = {}

/** Spreads units over parameter arrays. Units must be of different actors. */
export const fill = <S, C, R, E>(kind: ActorKind<S, C, R, E>, units: ReadonlyArray<Unit>): Filled => {
  const brief = kind.steady !== undefined &&
    units.every(({ change }) => change === null || change.steady === true)
  const main = brief ? briefTable(kind) : kind.main
  const fence = new ArrayColumns(unitFenceColumns)
  const own = new ArrayColumns(ownColumns(main))
  const outcomes = new ArrayColumns(outcomeColumns)
  const asked = new ArrayColumns(askedColumns)
  const outbox = new ArrayColumns(outboxColumns)
  const rows = new Map<string, { readonly part: Part; readonly columns: ArrayColumns }>()
  const tables = new Map(kind.children.map((table) => [table.name, table]))
  for (const unit of units) {
    const { actor, base, change } = unit
    fence.add({
      actor,
      base_version: base.version,
      base_writer: base.writer,
      base_cell: base.cell,
      base_epoch: base.epoch,
      changes: change !== null,
      writer: unit.writer,
      cell: change === null ? base.cell : change.cell,
      epoch: change === null ? base.epoch : change.epoch,
      clock: change === null ? null : change.clock,
      due_at: change === null ? null : change.dueAt,
      not_after: unit.notAfter
    })
    own.add(change === null ? noRow : change.main)
    for (const command of unit.asked) asked.add({ actor, command })
    if (change === null) continue
    for (const { command, hash, reply } of change.outcomes) {
      outcomes.add({ actor, command, hash, reply: JSON.stringify(reply) })
    }
    if (change.outbox.length > 0) {
      outbox.add({ actor, version: base.version + 1, happenings: change.outbox.map(forTheLog) })
    }
    for (const write of change.rows) {
      const name = `${write.table}:${write.mode}`
      let entry = rows.get(name)
      if (entry === undefined) {
        const table = tables.get(write.table)
        if (table === undefined) throw new Error(`${kind.name} writes ${write.table}, which is not among its tables`)
        const part: Part = { _tag: "Rows", table, mode: write.mode }
        rows.set(name, entry = { part, columns: new ArrayColumns(partColumns(part)) })
      }
      entry.columns.add(write.row)
    }
  }
  const parts: Array<Part> = []
  const values = [...fence.literals, ...own.literals]
  const names: Array<string> = brief ? ["brief"] : []
  const add = (name: string, part: Part, columns: ArrayColumns) => {
    parts.push(part)
    values.push(...columns.literals)
    names.push(name)
  }
  if (!outcomes.empty) add("o", { _tag: "Outcomes" }, outcomes)
  if (!asked.empty) add("a", { _tag: "Asked" }, asked)
  if (!outbox.empty) add("x", { _tag: "Outbox" }, outbox)
  for (const [name, { columns, part }] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1))) add(name, part, columns)
  return { variant: names.join(","), main, brief, parts, values }
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
