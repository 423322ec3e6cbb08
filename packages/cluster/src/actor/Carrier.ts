/**
 * A message's way through one runner: a cell that is sent a message hands its groups to the neighbours in the same process
 * and answers for those that were done in time (R9). Plain callbacks, since every message of the shop passes here.
 */
import type { Cell } from "./Cell.ts"
import { decodeGroups, encodable, encodeAnswer, type WireGroup, type WireReply } from "./Wire.ts"

/** ms that a message waits for the cells it was carried to before it answers `Pending` for the slow ones (R9). */
export const carryTimeout = 100
/**
 * ms that a message to one cell waits before it answers `Pending`: well below what the client waits for a message, which may
 * then take its silence for a lost runner.
 */
export const directTimeout = 400

/** The cells of one process, by `kind/cell`. */
export type CellMap = ReadonlyMap<string, Pick<Cell<never, never, never, never>, "offer">>

export interface CarrierOptions {
  /** Incarnation of this process; clients group cells by it. */
  readonly runner: string
  readonly cells: CellMap
  /** Calls back after so many ms, unless the function that it gives is called first. */
  readonly after: (ms: number, callback: () => void) => () => void
}

/** Hands a message's groups to the local cells; `done` gets what they answered in time. The result gives the message up. */
export const carry = (
  { after, cells, runner }: CarrierOptions,
  kind: string,
  message: Uint8Array,
  done: (answer: Uint8Array) => void
): () => void => {
  const groups = read(message)
  if (groups === null) {
    // Of a version that this one cannot read (R11): nothing of it was done here, and no cell may die of it.
    done(encodeAnswer({ runner, groups: [] }))
    return () => {}
  }
  const commands = groups.reduce((sum, group) => sum + group.commands.length, 0)
  const bytesEach = Math.ceil(message.length / Math.max(1, commands))
  let open = 0
  let finished = false
  const replies = groups.map((group): Array<WireReply> | null => {
    if (!cells.has(`${kind}/${group.cell}`)) return null
    open += group.commands.length
    return group.commands.map(() => ({ _tag: "Pending" }))
  })
  const finish = () => {
    if (finished) return
    finished = true
    cancel()
    done(encodeReplies(runner, replies))
  }
  let cancel = () => {}
  groups.forEach((group, g) => {
    const answers = replies[g]
    if (answers === null || answers === undefined) return
    cells.get(`${kind}/${group.cell}`)?.offer(group.commands, bytesEach, (index, reply) => {
      if (finished) return false
      answers[index] = reply
      open--
      if (open === 0) finish()
      return true
    })
  })
  if (open === 0) finish()
  else cancel = after(groups.length > 1 ? carryTimeout : directTimeout, finish)
  return () => {
    finished = true
    cancel()
  }
}

const read = (message: Uint8Array): ReadonlyArray<WireGroup> | null => {
  try {
    return decodeGroups(message)
  } catch {
    return null
  }
}

/** A reply that cannot be encoded is the fault of its command and of no other in the message. */
const encodeReplies = (runner: string, replies: ReadonlyArray<ReadonlyArray<WireReply> | null>): Uint8Array => {
  try {
    return encodeAnswer({ runner, groups: replies })
  } catch {
    const fault: WireReply = { _tag: "Fault", reason: "the reply cannot be encoded" }
    const groups = replies.map((group) => group?.map((reply) => (encodable(reply) ? reply : fault)) ?? null)
    return encodeAnswer({ runner, groups })
  }
}
