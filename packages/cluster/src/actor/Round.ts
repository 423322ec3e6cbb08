/**
 * What one round of a cell decides: its commands in order of arrival, each under its own catch (R10), one unit of work per
 * actor. Plain data; the cell loads before it, commits and replies after it.
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import type { ActorKind } from "./ActorKind.ts"
import type { Entry } from "./Intake.ts"
import type { Outcome } from "./Journal.ts"
import { hotCellOf } from "./Placement.ts"
import { isRelocate, isTakeOver, type Relocate, type Relocated } from "./Relocation.ts"
import { type Built, type Live, UnitBuilder } from "./UnitBuilder.ts"
import { fingerprint, type WireReply } from "./Wire.ts"

export const recordKey = (actor: string, id: CommandId): string => id + actor

/** A command's answer, which leaves once its unit is committed. */
export interface Decided {
  readonly entry: Entry
  readonly reply: WireReply
  /** Whether the answer is on record, so that every repeat gets it. */
  readonly lasting: boolean
  /** Monotonic ms until which its unit may commit; infinite for what changes nothing. */
  readonly until: number
}

/** One actor's part of a round. */
export interface Part<State, Command, Reply, Event> {
  readonly builder: UnitBuilder<State, Command, Reply, Event>
  readonly decided: Array<Decided>
  /** Why it cannot be turned into rows. */
  fault?: string
}

export interface RoundOptions<State, Command, Reply, Event> {
  readonly kind: ActorKind<State, Command, Reply, Event>
  /** The cell that decides. */
  readonly name: string
  /** The shared cell of an actor: where it lives as long as nothing else is stored. */
  readonly home: (actor: string) => string
  readonly isCommand: (value: unknown) => value is Command
  readonly clock: { readonly now: () => number; readonly real: () => number; readonly logical: () => boolean }
  readonly monotonic: () => number
  /** State of an actor that is live, and an outcome on record. */
  readonly live: (actor: string) => Live<State> | undefined
  readonly recorded: (actor: string, id: CommandId) => Outcome | undefined
}

/** What was decided per actor, and the commands whose actor lives elsewhere. */
export interface Round<State, Command, Reply, Event> {
  readonly parts: ReadonlyArray<Part<State, Command, Reply, Event>>
  readonly elsewhere: ReadonlyArray<{ readonly entry: Entry; readonly cell: string }>
}

/** Decides each command under its own catch (R10): one that breaks the decider hurts only itself (G19). */
export const decideRound = <State, Command, Reply, Event>(
  options: RoundOptions<State, Command, Reply, Event>,
  entries: ReadonlyArray<Entry>
): Round<State, Command, Reply, Event> => {
  const { clock, home, isCommand, kind, live, monotonic, name, recorded } = options
  const parts = new Map<string, Part<State, Command, Reply, Event>>()
  const elsewhere: Array<{ readonly entry: Entry; readonly cell: string }> = []
  const now = clock.now()
  const logical = clock.logical()
  const realAhead = clock.real() - monotonic()
  for (const entry of takeOversFirst(entries)) {
    const { actor, command, id } = entry
    const base = live(actor) ?? unborn(kind, actor, home(actor))
    let part = parts.get(actor)
    if (part === undefined) {
      if (base.fence.cell !== name && !takesOver(entry, name === home(actor))) {
        // It lives elsewhere (R8); where, is asked anew every time.
        elsewhere.push({ entry, cell: base.fence.cell })
        continue
      }
      parts.set(actor, part = { builder: new UnitBuilder(kind, actor, base), decided: [] })
    }
    const { builder, decided } = part
    if (builder.cell !== name && !takesOver(entry, name === home(actor))) {
      // Behind its move: sent on in order, once the move is committed (R8).
      decided.push({
        entry,
        reply: { _tag: "Moved", cell: builder.cell },
        lasting: false,
        until: Number.POSITIVE_INFINITY
      })
      continue
    }
    try {
      const hash = entry.hash ??= fingerprint(command)
      const earlier = recorded(actor, id)
      if (earlier !== undefined) {
        const reply: WireReply = earlier.hash === hash
          ? { _tag: "Reply", reply: earlier.reply, repeated: true }
          : { _tag: "Differs" }
        decided.push({ entry, reply, lasting: true, until: Number.POSITIVE_INFINITY })
        continue
      }
      if (isRelocate(command)) {
        const { reply, moved } = place(builder, command, entry, home(actor), realAhead)
        decided.push({ entry, reply: { _tag: "Reply", reply }, lasting: moved, until: entry.expiresAt })
        continue
      }
      if (!isCommand(command)) throw new Error(`not a command of ${kind.name}`)
      const instant = logical && entry.at !== null && Number.isFinite(entry.at) ? Math.max(now, entry.at) : now
      const until = entry.expiresAt
      const { final, reply } = builder.decide(command, instant, id, hash, realAhead + until)
      decided.push({ entry, reply: { _tag: "Reply", reply }, lasting: final, until })
    } catch (cause) {
      // Not even a fault is told by a cell that has lost its actor (R1), or of a command that once went well (R3).
      builder.ask(id)
      const reply: WireReply = { _tag: "Fault", reason: String(cause) }
      decided.push({ entry, reply, lasting: false, until: Number.POSITIVE_INFINITY })
    }
  }
  return { parts: [...parts.values()], elsewhere }
}

const takesOver = ({ command }: Entry, atHome: boolean): boolean => atHome && isTakeOver(command)

/**
 * What takes an actor over comes first: whoever it is for cannot have been waiting for commands that no cell would decide,
 * and those that are in the round with it are then decided in their order, all of them.
 */
const takeOversFirst = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> => {
  const first = entries.filter((entry) => takesOver(entry, true))
  return first.length === 0 ? entries : [...first, ...entries.filter((entry) => !takesOver(entry, true))]
}

/** Moves the actor, if it is not there yet. */
const place = <State, Command, Reply, Event>(
  builder: UnitBuilder<State, Command, Reply, Event>,
  { hot }: Relocate,
  { actor, expiresAt, hash, id }: Entry,
  home: string,
  realAhead: number
): { readonly reply: Relocated; readonly moved: boolean } => {
  const cell = hot ? hotCellOf(actor) : home
  // An entity's id may not contain it.
  if (cell.includes("/")) throw new Error(`${actor} cannot have a cell of its own`)
  if (builder.unborn || builder.cell === cell) {
    builder.ask(id)
    const reply: Relocated = builder.unborn
      ? { _tag: "NotStored" }
      : { _tag: "Relocated", cell: builder.cell, epoch: builder.epoch }
    return { reply, moved: false }
  }
  const reply: Relocated = { _tag: "Relocated", cell, epoch: builder.epoch + 1 }
  builder.move(cell, { command: id, hash: hash ?? "", reply }, realAhead + expiresAt)
  return { reply, moved: true }
}

/** An actor of which nothing is stored yet. */
export const unborn = <State, Command, Reply, Event>(
  kind: ActorKind<State, Command, Reply, Event>,
  actor: string,
  cell: string
): Live<State> => ({
  state: kind.decider.initial(actor),
  fence: { version: 0, writer: "", cell, epoch: 0 },
  clock: 0
})

/** The part's unit. What cannot be turned into rows is refused, once a version check has confirmed what it rests on. */
export const buildPart = <State, Command, Reply, Event>(
  part: Part<State, Command, Reply, Event>,
  writer: string
): Built<State> => {
  try {
    return part.builder.build(writer)
  } catch (cause) {
    part.fault = String(cause)
    return part.builder.check(writer)
  }
}
