/**
 * What clients asked and heard over the public API, written down as it happens and judged when all is over. Every event has
 * an instant of its own (`tick`), since all clients live in one process: what was heard before another thing was asked
 * happened before it.
 */
import type { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import type { ReleaseReason } from "@hikyaku/domain/stock/Product"

export type Call =
  | {
    readonly _tag: "Add"
    readonly ticket: TicketId
    readonly member: string
    readonly quantity: number
    readonly waitlist: boolean
  }
  | { readonly _tag: "GiveUp"; readonly ticket: TicketId; readonly reason: ReleaseReason }
  | { readonly _tag: "Confirm"; readonly ticket: TicketId }
  /** The same number again is the same delivery of goods. */
  | { readonly _tag: "Restock"; readonly version: number; readonly pieces: number }
  | { readonly _tag: "ReadStock" }

/** An answer of the API, refusals of the shop included. */
export interface Reply {
  readonly _tag: string
  readonly sequence?: number
  readonly position?: number
  readonly quantity?: number
  readonly available?: number
}

/** What came of one call. `Silent`: nobody knows; the connection broke, or its caller did not wait. */
export type Answer =
  | { readonly _tag: "Reply"; readonly reply: Reply }
  | { readonly _tag: "Error"; readonly error: string; readonly message: string }
  | { readonly _tag: "Silent"; readonly why: string }

/** One call over one connection. */
export interface Attempt {
  readonly product: ProductId
  readonly call: Call
  /** Name of the connection; a new one each time that it was opened. */
  readonly connection: string
  readonly calledAt: number
  /** ms of the wall clock, for people. */
  readonly calledMs: number
  answeredAt: number | null
  answeredMs: number | null
  answer: Answer | null
}

export class History {
  readonly attempts: Array<Attempt> = []
  private ticks = 0

  begin(product: ProductId, call: Call, connection: string): Attempt {
    const attempt: Attempt = {
      product,
      call,
      connection,
      calledAt: ++this.ticks,
      calledMs: performance.now(),
      answeredAt: null,
      answeredMs: null,
      answer: null
    }
    this.attempts.push(attempt)
    return attempt
  }

  end(attempt: Attempt, answer: Answer): void {
    attempt.answeredAt = ++this.ticks
    attempt.answeredMs = performance.now()
    attempt.answer = answer
  }

  /** Attempts by product, in the order in which they were made. */
  byProduct(): ReadonlyMap<ProductId, ReadonlyArray<Attempt>> {
    const found = new Map<ProductId, Array<Attempt>>()
    for (const attempt of this.attempts) {
      const list = found.get(attempt.product)
      if (list === undefined) found.set(attempt.product, [attempt])
      else list.push(attempt)
    }
    return found
  }

  /** How often each answer was given, e.g. `Add Allocated`, `Add error Overloaded`, `GiveUp silent`. */
  tally(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {}
    for (const { answer, call } of this.attempts) {
      const what = answer === null || answer._tag === "Silent"
        ? "silent"
        : answer._tag === "Error"
        ? `error ${answer.error}`
        : answer.reply._tag
      const name = `${call._tag} ${what}`
      counts[name] = (counts[name] ?? 0) + 1
    }
    return Object.fromEntries(Object.entries(counts).toSorted(([a], [b]) => a < b ? -1 : 1))
  }
}

/** The shop's answer, if there was one. */
export const replyOf = ({ answer }: Attempt): Reply | null => (answer?._tag === "Reply" ? answer.reply : null)

/** What is an outcome of an add: on record, the same for every repeat (R3). */
export const outcomeTags: ReadonlySet<string> = new Set(["Allocated", "SoldOut", "Waitlisted", "LimitReached"])
/** What a ticket is told that was given up: it holds no stock and never will (G6). */
export const givenUpTags: ReadonlySet<string> = new Set(["TimedOut", "Cancelled", "Released"])
