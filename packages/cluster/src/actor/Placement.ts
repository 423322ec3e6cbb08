/**
 * Which cell an actor lives in. The cell follows from the id; a kind's number of cells is recorded in the store and checked
 * at start, since two processes that count differently would both own an actor (the fence would hold, nothing would work).
 */
import { SqlClient } from "@effect/sql"
import { Effect, Schema } from "effect"

/** Cells per kind where nothing else is recorded: enough to spread over any cluster this size, few enough to batch. */
export const cellsDefault = 64

/** Shard group of actors that have a cell of their own (CART-4); comes last in the alphabet on purpose. */
export const hotGroup = "hot"
export const defaultGroup = "default"

/** 32-bit FNV-1a: stable across versions and machines, unlike a library's hash. */
const hash = (text: string): number => {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

/** Cell names are entity ids: `c7` shared cells, `hot-<actor>` a cell of one's own. */
export const cellOf = (actor: string, cells: number): string => `c${hash(actor) % cells}`
export const hotCellOf = (actor: string): string => `hot-${actor}`
export const isHot = (cell: string): boolean => cell.startsWith("hot-")
export const groupOf = (cell: string): string => (isHot(cell) ? hotGroup : defaultGroup)
export const cellNames = (cells: number): ReadonlyArray<string> => Array.from({ length: cells }, (_, i) => `c${i}`)

/** The store says that a kind has another number of cells than this process was told. */
export class CellCountDiffers extends Schema.TaggedError<CellCountDiffers>()("CellCountDiffers", {
  kind: Schema.String,
  recorded: Schema.Number,
  configured: Schema.Number
}) {
  override get message() {
    return `${this.kind} has ${this.recorded} cells in the store and ${this.configured} in this process's configuration; ` +
      `start it with the recorded number`
  }
}

/** Records the number of cells of a kind at its first start and refuses another one later. */
export const checkCells = (kind: string, cells: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql`insert into cell_generation (kind, generation, cells) values (${kind}, 1, ${cells}) on conflict do nothing`
    const rows = yield* sql<{ readonly cells: number }>`
      select cells from cell_generation where kind = ${kind} order by generation desc limit 1`
    const recorded = rows[0]?.cells ?? cells
    if (recorded !== cells) return yield* new CellCountDiffers({ kind, recorded, configured: cells })
  })
