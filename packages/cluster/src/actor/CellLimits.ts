/** The bounds of a cell, all named here since they are its promises of memory, time and patience. */
import { type IntakeLimits, limitsDefault } from "./Intake.ts"

export interface CellLimits extends IntakeLimits {
  /** Actors beyond this many are dropped from memory, longest unused first. */
  readonly liveMax: number
  /** Rounds refused by the fence after which a command is sent on: its actor is at home elsewhere. */
  readonly attemptsMax: number
  /** Outcomes are kept so long, ms; a command whose id is older is never executed (R3). */
  readonly retention: number
  /** How far ahead of database time a command id may be, ms. */
  readonly aheadMax: number
  /** A command id older than this, ms, is looked up before it is decided: it may be a repeat. */
  readonly repeatAge: number
  /** Outcomes of recent commands kept in memory. */
  readonly rememberedMax: number
}

export const cellLimitsDefault: CellLimits = {
  ...limitsDefault,
  liveMax: 50_000,
  attemptsMax: 8,
  retention: 24 * 3_600_000,
  aheadMax: 300_000,
  repeatAge: 2000,
  rememberedMax: 4096
}
