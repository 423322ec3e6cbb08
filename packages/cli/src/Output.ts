/** What commands print: tables for people, JSON for programs. */
import { Console, type Effect } from "effect"
import type { Connection } from "./Connection.ts"

/** Widest cell, in columns; longer texts are cut. */
const cellMax = 60

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\ud83c-\ud83e][\udc00-\udfff]/
/** Columns that a text takes on a terminal: Japanese characters take two. */
const width = (text: string): number => [...text].reduce((sum, char) => sum + (wide.test(char) ? 2 : 1), 0)

// Control characters of what others wrote must not reach the terminal.
const plain = (text: string): string => text.replace(/\p{Cc}/gu, " ")

const cut = (text: string): string => {
  if (width(text) <= cellMax) return text
  let kept = ""
  for (const char of text) {
    if (width(kept) + width(char) > cellMax - 1) break
    kept += char
  }
  return `${kept}…`
}

export type Cell = string | number | null

const whole = (cell: Cell): string =>
  cell === null ? "-" : typeof cell === "number" ? cell.toLocaleString("en") : plain(cell)
const shown = (cell: Cell): string => cut(whole(cell))

/** Rows under headings; numbers to the right. */
export const table = (headings: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string => {
  if (rows.length === 0) return "(none)"
  const numeric = headings.map((_, n) => rows.every((row) => typeof row[n] !== "string"))
  const texts = [headings, ...rows.map((row) => headings.map((_, n) => shown(row[n] ?? null)))]
  const widths = headings.map((_, n) => Math.max(...texts.map((row) => width(row[n] ?? ""))))
  return texts.map((row) =>
    row.map((text, n) => {
      const gap = " ".repeat((widths[n] ?? 0) - width(text))
      return numeric[n] === true ? gap + text : text + gap
    }).join("  ").trimEnd()
  ).join("\n")
}

/** Names and values, one a line. */
export const facts = (pairs: ReadonlyArray<readonly [string, Cell]>): string => {
  const names = Math.max(0, ...pairs.map(([name]) => width(name)))
  return pairs.map(([name, value]) => `${name}${" ".repeat(names - width(name))}  ${whole(value)}`).join("\n")
}

/** An instant (ms since the epoch) by the clock of this machine. */
export const instant = (ms: number | null): string => {
  if (ms === null) return "-"
  const date = new Date(ms)
  const two = (n: number) => String(n).padStart(2, "0")
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${
    two(date.getMinutes())
  }:${two(date.getSeconds())}`
}

/** Counts by name, the largest first. */
export const counts = (by: Readonly<Record<string, number>>): string => {
  const entries = Object.entries(by).sort(([, a], [, b]) => b - a)
  return entries.length === 0 ? "none" : entries.map(([name, n]) => `${n.toLocaleString("en")} ${name}`).join(", ")
}

/** Prints the answer: as text, or as it came when JSON was asked for. */
export const print = ({ json }: Connection, answer: unknown, text: string): Effect.Effect<void> =>
  Console.log(json ? JSON.stringify(answer, null, 2) : text)
