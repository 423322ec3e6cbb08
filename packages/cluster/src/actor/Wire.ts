/**
 * What travels between a client and the cells: one message carries commands for many cells of one runner. Bytes with a
 * format number (R11), so that a newer runner can tell what an older one wrote.
 */
import type { CommandId } from "@hikyaku/domain/Identifier"
import { Packr } from "msgpackr"

/** Format that this version writes; it reads this one and the one before. */
export const format = 1

/** Where a sampled command belongs: the span that the cell's own spans are parts of. */
export interface TraceContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
}

export interface WireCommand {
  readonly actor: string
  readonly id: CommandId
  /** ms from sending within which an answer is of use: deadlines cross processes as remaining time (R6). */
  readonly within: number
  /** Logical instant of a replay, or null. */
  readonly at: number | null
  readonly command: unknown
  /** Only of commands that are sampled, so that the others carry nothing for it. */
  readonly trace?: TraceContext | undefined
}

/** Answers to one command. `Moved`: not here, send it directly. `Pending`: not yet, ask again with the same id (R9). */
export type WireReply =
  /** `repeated`: the answer of an earlier execution under this id, which may be outdated by now. */
  | { readonly _tag: "Reply"; readonly reply: unknown; readonly repeated?: true }
  | { readonly _tag: "Moved"; readonly cell: string | null }
  | { readonly _tag: "Pending" }
  | { readonly _tag: "Overloaded"; readonly retryAfter: number }
  | { readonly _tag: "Late" }
  | { readonly _tag: "Differs" }
  | { readonly _tag: "Expired"; readonly reason: string }
  | { readonly _tag: "Fault"; readonly reason: string }

export interface WireGroup {
  readonly cell: string
  readonly commands: ReadonlyArray<WireCommand>
}

export interface WireAnswer {
  /** Incarnation of the runner that answered; null when none did. */
  readonly runner: string | null
  /** Per group of the message the replies in order, or null where the cell does not live here. */
  readonly groups: ReadonlyArray<ReadonlyArray<WireReply> | null>
}

const packr = new Packr({ useRecords: true, int64AsType: "number" })

export class FormatUnknown extends Error {
  override readonly name = "FormatUnknown"
}

const pack = (value: unknown): Uint8Array => packr.pack([format, value])
const unpack = (bytes: Uint8Array): unknown => {
  const message: unknown = packr.unpack(bytes)
  if (!Array.isArray(message) || message[0] !== format) {
    throw new FormatUnknown(
      `wire format ${Array.isArray(message) ? String(message[0]) : "?"}, this version reads ${format}`
    )
  }
  return message[1]
}

/**
 * Tuples instead of records: half the bytes, a third of the time. A command that goes to many actors (a page of a run asks a
 * thousand members the same) travels once: each addressee names its place.
 */
export const encodeGroups = (groups: ReadonlyArray<WireGroup>): Uint8Array => {
  const places = new Map<unknown, number>()
  const placeOf = (command: unknown): number => {
    const known = places.get(command)
    if (known !== undefined) return known
    places.set(command, places.size)
    return places.size - 1
  }
  const addressed = groups.map((group) => [
    group.cell,
    group.commands.map(({ actor, at, command, id, trace, within }) =>
      trace === undefined
        ? [actor, id, within, at, placeOf(command)]
        : [actor, id, within, at, placeOf(command), trace.traceId, trace.spanId]
    )
  ])
  return pack([addressed, [...places.keys()]])
}

type GroupTuple = readonly [
  string,
  ReadonlyArray<readonly [string, CommandId, number, number | null, number, string?, string?]>
]

const isGroups = (value: unknown): value is readonly [ReadonlyArray<GroupTuple>, ReadonlyArray<unknown>] => {
  if (!Array.isArray(value) || value.length !== 2 || !Array.isArray(value[0]) || !Array.isArray(value[1])) return false
  const [groups, commands] = value
  const isPlace = (place: unknown) => typeof place === "number" && place >= 0 && place < commands.length
  return groups.every((group) =>
    Array.isArray(group) && typeof group[0] === "string" && Array.isArray(group[1]) &&
    group[1].every((command) =>
      Array.isArray(command) && typeof command[0] === "string" && typeof command[1] === "string" &&
      typeof command[2] === "number" && (command[3] === null || typeof command[3] === "number") &&
      isPlace(command[4]) &&
      (command.length <= 5 || (typeof command[5] === "string" && typeof command[6] === "string"))
    )
  )
}

/** Commands that came for several actors, with their fingerprint once somebody needed it. */
const sharedCommands = new WeakMap<object, string | null>()

export const decodeGroups = (bytes: Uint8Array): ReadonlyArray<WireGroup> => {
  const value = unpack(bytes)
  if (!isGroups(value)) throw new FormatUnknown("a message that is not a list of command groups")
  const [groups, shared] = value
  let addressees = 0
  for (const [, commands] of groups) addressees += commands.length
  if (addressees > shared.length) {
    for (const command of shared) if (typeof command === "object" && command !== null) sharedCommands.set(command, null)
  }
  return groups.map(([cell, commands]) => ({
    cell,
    commands: commands.map(([actor, id, within, at, place, traceId, spanId]) => {
      const command = shared[place]
      return traceId === undefined || spanId === undefined
        ? { actor, id, within, at, command }
        : { actor, id, within, at, command, trace: { traceId, spanId } }
    })
  }))
}

export const encodeAnswer = (answer: WireAnswer): Uint8Array => pack(answer)
const isReply = (value: unknown): value is WireReply =>
  typeof value === "object" && value !== null && "_tag" in value && typeof value._tag === "string"

const isAnswer = (value: unknown): value is WireAnswer =>
  typeof value === "object" && value !== null && "runner" in value && "groups" in value &&
  (value.runner === null || typeof value.runner === "string") && Array.isArray(value.groups) &&
  value.groups.every((group) => group === null || Array.isArray(group) && group.every(isReply))

/** Answers come from our own runners; what a reply says is theirs to keep. */
export const decodeAnswer = (bytes: Uint8Array): WireAnswer => {
  const value = unpack(bytes)
  if (!isAnswer(value)) throw new FormatUnknown("a message that is not an answer")
  return value
}

/** Whether a value can travel: no function, no cycle, no number that is too large. */
export const encodable = (value: unknown): boolean => {
  try {
    return packr.pack(value).length > 0
  } catch {
    return false
  }
}

/** 64-bit fingerprint of a command's content (FNV-1a in two halves): tells a repeat from another command with its id. */
export const fingerprint = (command: unknown): string => {
  const shared = typeof command === "object" && command !== null ? sharedCommands.get(command) : undefined
  if (shared !== undefined && shared !== null) return shared
  const made = fingerprintOf(JSON.stringify(command))
  if (shared === null && typeof command === "object" && command !== null) sharedCommands.set(command, made)
  return made
}

const fingerprintOf = (text: string): string => {
  let a = 0x811c9dc5
  let b = 0x1b873593
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193)
    b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 13)
  }
  return (a >>> 0).toString(16).padStart(8, "0") + (b >>> 0).toString(16).padStart(8, "0")
}
