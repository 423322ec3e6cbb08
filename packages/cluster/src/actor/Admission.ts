/** Which commands a cell takes up at all. */
import { CommandId, commandTime } from "@hikyaku/domain/Identifier"
import { Schema } from "effect"
import type { CellLimits } from "./CellLimits.ts"
import type { Entry } from "./Intake.ts"
import type { WireReply } from "./Wire.ts"

/** Longest id of an actor, in characters. */
const actorLengthMax = 256

const isCommandId = Schema.is(CommandId)
/** What a store can hold as a key: anything else would fail the queries of the whole round (R2). */
const isActorId = (actor: string): boolean =>
  actor.length > 0 && actor.length <= actorLengthMax && actor.isWellFormed() && !actor.includes("\u0000")

/**
 * Judges the commands of one round at one instant: null for what is taken up, the answer for what nobody waits for any more,
 * what is too old or too new to be told from a repeat (R3), and what is no address.
 */
export const admission = (
  { aheadMax, retention }: Pick<CellLimits, "aheadMax" | "retention">,
  clock: { readonly real: () => number; readonly logical: () => boolean },
  monotonic: number
): (entry: Pick<Entry, "actor" | "expiresAt" | "id">) => WireReply | null => {
  const real = clock.real()
  // A replay's ids are as old as its record, and its outcomes are all kept.
  const oldest = clock.logical() ? Number.NEGATIVE_INFINITY : real - retention
  const newest = clock.logical() ? Number.POSITIVE_INFINITY : real + aheadMax
  return ({ actor, expiresAt, id }) => {
    if (expiresAt <= monotonic) return { _tag: "Late" }
    if (!isCommandId(id) || !isActorId(actor)) {
      return { _tag: "Fault", reason: "not the id of a command, or not that of an actor" }
    }
    const time = commandTime(id)
    if (time >= oldest && time <= newest) return null
    const reason = `the id's time is outside [now - ${retention} ms, now + ${aheadMax} ms]`
    return { _tag: "Expired", reason }
  }
}
