/**
 * The journal in memory, for tests and the seeded simulation. It can do everything that PostgreSQL can do to us (R24):
 * commits that fail after they happened, commits that fail before, late ones, a version that recurs with another writer.
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import type { Happening } from "@hikyaku/domain/marketing/Event"
import { Effect, Layer } from "effect"
import type { ActorKind } from "./ActorKind.ts"
import {
  CommitUnknown,
  earliestDue,
  type Fence,
  Journal,
  JournalUnavailable,
  type KindJournal,
  type Outcome,
  type Unit,
  type Verdict
} from "./Journal.ts"
import { isHot } from "./Placement.ts"
import type { ChildTable, Row } from "./Table.ts"

/** What happens to one commit: asked before each. */
export type CommitFate =
  | { readonly _tag: "Commit" }
  /** It happened and nobody hears of it. */
  | { readonly _tag: "CommitThenLose" }
  /** It did not happen and nobody can tell. */
  | { readonly _tag: "LoseThenAbort" }
  /** Nobody can tell, and it happens later, when `land` is called, if its base still holds then. */
  | { readonly _tag: "LoseThenCommit" }
  /** It waits for the effect, then happens if its base still holds. */
  | { readonly _tag: "Delay"; readonly until: Effect.Effect<void> }

/** What happens to one read: asked before each. */
export type ReadFate =
  | { readonly _tag: "Read" }
  | { readonly _tag: "Fail" }
  /** It waits for the effect before its answer arrives; what it read is then that old. */
  | { readonly _tag: "Delay"; readonly until: Effect.Effect<void> }

interface StoredActor {
  readonly fence: Fence
  readonly clock: number
  readonly dueAt: number | null
  readonly main: Row
}

interface KindStore {
  readonly actors: Map<string, StoredActor>
  readonly outcomes: Map<string, Outcome & { readonly actor: string }>
  readonly rows: Map<string, Map<string, Row>>
}

export interface OutboxEntry {
  readonly kind: string
  readonly actor: string
  readonly version: number
  readonly happenings: ReadonlyArray<{ readonly at: number; readonly happening: Happening }>
}

/** The "database": outlives the journals that are opened on it, as a server outlives its clients. */
export class MemoryStore {
  readonly kinds = new Map<string, KindStore>()
  readonly outbox: Array<OutboxEntry> = []
  generation = 0
  /** Database time in ms, for `notAfter`. */
  now: () => number = () => 0
  fate: () => CommitFate = () => ({ _tag: "Commit" })
  readFate: () => ReadFate = () => ({ _tag: "Read" })
  /** Commits that were given up for lost and are still on their way. */
  private readonly straying: Array<() => void> = []
  /** Commits that arrived here, for tests that count rounds. */
  commits = 0

  /** Lets the commits land that were given up for lost. */
  land(): void {
    for (const commit of this.straying.splice(0)) commit()
  }

  stray(commit: () => void): void {
    this.straying.push(commit)
  }

  kind(name: string): KindStore {
    let store = this.kinds.get(name)
    if (store === undefined) {
      this.kinds.set(name, store = { actors: new Map(), outcomes: new Map(), rows: new Map() })
    }
    return store
  }

  table(kind: string, table: string): Map<string, Row> {
    const { rows } = this.kind(kind)
    let stored = rows.get(table)
    if (stored === undefined) rows.set(table, stored = new Map())
    return stored
  }
}

const outcomeKey = (actor: string, command: CommandId): string => `${actor}\u0001${command}`
const rowKey = (table: ChildTable, row: Row): string => table.key.map((column) => String(row[column])).join("\u0001")
const sameFence = (a: Fence, b: Fence): boolean =>
  a.version === b.version && a.writer === b.writer && a.cell === b.cell && a.epoch === b.epoch
const isLive = (table: ChildTable, row: Row): boolean =>
  table.live !== null &&
  Object.entries(table.live).every(([column, values]) => values.includes(String(row[column])))

/** Values pass through JSON on their way, as they would through a driver: no shared references, no undefined. */
const copy = <A>(value: A): A => structuredClone(value)

const pick = (row: Row, columns: ReadonlyArray<string>): Row =>
  Object.fromEntries(columns.map((column) => [column, row[column] ?? null]))

const commitOne = <S, C, R, E>(store: MemoryStore, kind: ActorKind<S, C, R, E>, given: Unit): Verdict => {
  let unit: Unit
  try {
    // No JSON, no parameter.
    JSON.stringify(given)
    unit = copy(given)
  } catch (cause) {
    return { _tag: "Fault", reason: String(cause) }
  }
  const { actors, outcomes } = store.kind(kind.name)
  const tables = new Map(kind.children.map((table) => [table.name, table]))
  const stored = actors.get(unit.actor)
  const { base, change } = unit
  const commands = [...unit.asked, ...(change?.outcomes ?? []).map((outcome) => outcome.command)]
  if (commands.some((command) => outcomes.has(outcomeKey(unit.actor, command)))) return { _tag: "Known" }
  if (stored === undefined ? base.version !== 0 : !sameFence(stored.fence, base)) return { _tag: "Stale" }
  if (unit.notAfter !== null && unit.notAfter <= store.now()) return { _tag: "Late" }
  if (change === null) return { _tag: "Committed" }
  for (const write of change.rows) {
    const table = tables.get(write.table)
    if (table === undefined) return { _tag: "Fault", reason: `unknown table ${write.table}` }
    if (write.mode === "insert" && store.table(kind.name, table.name).has(rowKey(table, write.row))) {
      return { _tag: "Fault", reason: `23505 duplicate key in ${write.table}` }
    }
    if (JSON.stringify(write.row).includes("\\u0000")) return { _tag: "Fault", reason: "22021 U+0000 in text" }
  }
  const version = base.version + 1
  actors.set(unit.actor, {
    fence: { version, writer: unit.writer, cell: change.cell, epoch: change.epoch },
    clock: change.clock,
    dueAt: change.dueAt,
    main: change.steady === true && stored !== undefined
      ? { ...change.main, ...pick(stored.main, kind.steady?.columns ?? []) }
      : change.main
  })
  for (const outcome of change.outcomes) {
    outcomes.set(outcomeKey(unit.actor, outcome.command), { ...outcome, actor: unit.actor })
  }
  for (const write of change.rows) {
    const table = tables.get(write.table)!
    const rows = store.table(kind.name, table.name)
    if (write.mode === "delete") rows.delete(rowKey(table, write.row))
    else rows.set(rowKey(table, write.row), write.row)
  }
  if (change.outbox.length > 0) {
    store.outbox.push({ kind: kind.name, actor: unit.actor, version, happenings: change.outbox })
  }
  return { _tag: "Committed" }
}

/** A read as the store sees fit; the answer may be older than its arrival. */
const reading = <A>(store: MemoryStore, read: () => A): Effect.Effect<A, JournalUnavailable> =>
  Effect.suspend(() => {
    const fate = store.readFate()
    if (fate._tag === "Fail") return new JournalUnavailable({ reason: "connection lost" })
    return fate._tag === "Read"
      ? Effect.sync(read)
      : Effect.flatMap(Effect.sync(read), (found) => Effect.as(fate.until, found))
  })

/** `soonest`: the earliest due time of each kind that this journal has committed since it was asked. */
const of =
  (store: MemoryStore, soonest: Map<string, number>) => <S, C, R, E>(kind: ActorKind<S, C, R, E>): KindJournal<S> => ({
    // As over PostgreSQL, main rows and child rows are read one after the other: a commit may come between.
    load: (ids) =>
      Effect.gen(function*() {
        const mains = yield* reading(store, () =>
          ids.flatMap((id) => {
            const stored = store.kind(kind.name).actors.get(id)
            return stored === undefined ? [] : [{ id, ...copy(stored) }]
          }))
        if (mains.length === 0) return []
        const tables = yield* Effect.forEach(kind.children.filter((table) => table.live !== null), (table) =>
          reading(store, () => {
            const rows = [...store.table(kind.name, table.name).values()].filter((row) =>
              isLive(table, row)
            )
            return { table, rows: copy(rows) }
          }))
        return mains.map(({ clock, fence, id, main }) => {
          const children = Object.fromEntries(
            tables.map(({ rows, table }) => [table.name, rows.filter((row) => String(row[table.actor]) === id)])
          )
          return { actor: id, state: kind.restore(id, main, children), fence, clock }
        })
      }),
    outcomes: (pairs) =>
      reading(store, () =>
        pairs.flatMap((pair) => {
          const found = store.kind(kind.name).outcomes.get(outcomeKey(pair.actor, pair.command))
          return found === undefined ? [] : [copy(found)]
        })),
    commit: (units) =>
      Effect.gen(function*() {
        const history = store.generation
        // One actor at most once per group, as in PostgreSQL: a second unit finds the first's version.
        const commit = () =>
          store.generation === history ? units.map((unit) => commitOne(store, kind, unit)) : undefined
        const unknown = new CommitUnknown({ reason: "connection lost" })
        store.commits++
        const fate = store.fate()
        if (fate._tag === "LoseThenAbort") return yield* unknown
        if (fate._tag === "LoseThenCommit") {
          store.stray(commit)
          return yield* unknown
        }
        if (fate._tag === "Delay") yield* fate.until
        const verdicts = commit()
        const due = earliestDue(units, soonest.get(kind.name) ?? null)
        if (due !== null) soonest.set(kind.name, due)
        if (verdicts === undefined || fate._tag === "CommitThenLose") return yield* unknown
        return verdicts
      }),
    due: (cells, now, limit) =>
      reading(store, () =>
        [...store.kind(kind.name).actors]
          .filter(([, stored]) => stored.dueAt !== null && stored.dueAt <= now && cells.includes(stored.fence.cell))
          .sort(([, a], [, b]) => (a.dueAt ?? 0) - (b.dueAt ?? 0))
          .slice(0, limit)
          .map(([actor, stored]) => ({ actor, cell: stored.fence.cell }))),
    nextDue: (cells, now) =>
      reading(store, () => {
        const later = [...store.kind(kind.name).actors.values()].flatMap(({ dueAt, fence }) =>
          dueAt !== null && dueAt > now && cells.includes(fence.cell) ? [dueAt] : []
        )
        return later.length === 0 ? null : Math.min(...later)
      }),
    takeDue: () => {
      const taken = soonest.get(kind.name) ?? null
      soonest.delete(kind.name)
      return taken
    },
    hot: (limit) =>
      reading(store, () =>
        [...store.kind(kind.name).actors]
          .map(([actor, stored]) => ({ actor, cell: stored.fence.cell }))
          .filter(({ cell }) => isHot(cell))
          .sort((a, b) => (a.cell < b.cell ? -1 : 1))
          .slice(0, limit))
  })

export const layer = (store: MemoryStore): Layer.Layer<Journal> =>
  Layer.succeed(Journal, { of: of(store, new Map()), generation: () => store.generation })
