/** What the answers of the Product actors mean for an order: pure, so that every mixture of answers can be tested. */
import { LineFault } from "@hikyaku/domain/api/CartApi"
import { ProductId, TicketId } from "@hikyaku/domain/Identifier"
import type { ProductReply } from "@hikyaku/domain/stock/Product"
import { Either, Schema } from "effect"
import type { SendError } from "../actor/ActorClient.ts"

export const OrderLine = Schema.Struct({ ticket: TicketId, product: ProductId })
export type OrderLine = typeof OrderLine.Type

/**
 * `holding`: lines are being held. `buying`: decided, every line will be bought. `releasing`: decided, none will.
 * `undoing`: a hold was lost after the decision, what was bought goes back. `bought` and `refused` are final.
 */
export const OrderState = Schema.Literal("holding", "buying", "releasing", "undoing", "bought", "refused")
export type OrderState = typeof OrderState.Type

/** What became of one line. `Open`: nothing that counts. */
export const LineResult = Schema.Union(
  Schema.TaggedStruct("Open", {}),
  Schema.TaggedStruct("Bought", { sequence: Schema.Int, quantity: Schema.Int }),
  Schema.TaggedStruct("Fault", { fault: LineFault })
)
export type LineResult = typeof LineResult.Type

/** A decision with what it rests on. */
export interface Step<State extends OrderState> {
  readonly state: State
  readonly results: ReadonlyArray<LineResult>
}

type Answer = Either.Either<ProductReply, SendError>

/** Least time that every hold must still last when an order is decided, ms: buying must be over by then. */
export const holdMarginMs = 10 * 60_000
/** Rounds of holding without an answer after which an order is refused. */
export const holdAttemptsMax = 30

const open: LineResult = { _tag: "Open" }
const fault = (fault: LineFault): LineResult => ({ _tag: "Fault", fault })

/** Why a ticket cannot be held or bought, or null when the reply is no refusal. */
const refusal = (reply: ProductReply): LineFault | null => {
  switch (reply._tag) {
    case "UnknownProduct":
      return "UnknownProduct"
    case "HeldByOther":
      return "InOtherCheckout"
    case "HoldTooLate":
      return "TooLate"
    case "NotOpen":
      return reply.standing === "Sold" ? "AlreadyBought" : "NotInCart"
    case "UnknownTicket":
    case "Released":
    case "Cancelled":
    case "TimedOut":
      return "NotInCart"
    default:
      return null
  }
}

/**
 * The decision after a round of holding, or null while it cannot be made: a line has not answered. One refusal is enough
 * to refuse, all holds are needed to buy, and they must last.
 */
export const afterHolding = (
  answers: ReadonlyArray<Answer>,
  now: number,
  attempts: number
): Step<"buying" | "releasing"> | null => {
  let refused = false
  let unanswered = false
  const results = answers.map((answer): LineResult => {
    if (Either.isLeft(answer)) {
      unanswered = true
      return attempts >= holdAttemptsMax ? fault("TooLate") : open
    }
    const reply = answer.right
    if (reply._tag === "Held") {
      if (reply.until - now >= holdMarginMs) return open
      refused = true
      return fault("TooLate")
    }
    refused = true
    return fault(refusal(reply) ?? "NotInCart")
  })
  if (refused || (unanswered && attempts >= holdAttemptsMax)) return { state: "releasing", results }
  return unanswered ? null : { state: "buying", results }
}

/** Where an order stands after a round of buying, or null while a line has not answered: then it is bought again. */
export const afterBuying = (answers: ReadonlyArray<Answer>): Step<"bought" | "undoing"> | null => {
  const results: Array<LineResult> = []
  let lost = false
  for (const answer of answers) {
    if (Either.isLeft(answer)) return null
    const reply = answer.right
    if (reply._tag === "Bought") {
      results.push({ _tag: "Bought", sequence: reply.sequence, quantity: reply.quantity })
    } else {
      lost = true
      results.push(fault(refusal(reply) ?? "TooLate"))
    }
  }
  return { state: lost ? "undoing" : "bought", results }
}

/** Whether every line has answered, whatever it said: what was asked to let go holds nothing any more. */
export const allAnswered = (answers: ReadonlyArray<Answer>): boolean => answers.every(Either.isRight)
