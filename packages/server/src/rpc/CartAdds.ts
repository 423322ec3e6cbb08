/**
 * Adds on their way to the Product actors: many at a time, each with an answer of its own. What is answered is never
 * contradicted later, through whichever gateway a ticket is repeated (G3, G6): a ticket that was given up is never told to be
 * in the cart.
 */
import { ActorClient, type SendError } from "@hikyaku/cluster/actor/ActorClient"
import type { TraceContext } from "@hikyaku/cluster/actor/Wire"
import { GivenUp } from "@hikyaku/cluster/stock/GivenUp"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { ContentDiffers, NotAnswered, Overloaded, UnknownProduct } from "@hikyaku/domain/api/ApiError"
import {
  type Add,
  type AddOutcome,
  type CartError,
  deadlineDefault,
  type TicketStatus
} from "@hikyaku/domain/api/CartApi"
import { commandTime, type ProductId, type TicketId } from "@hikyaku/domain/Identifier"
import type { ProductReply } from "@hikyaku/domain/stock/Product"
import { Clock, Context, Deferred, Effect, Either, Exit, FiberSet, Layer } from "effect"
import { ask, commandError, currentTrace, stored } from "./Asking.ts"
import { CartQuery } from "./CartQuery.ts"
import { actorsOnly } from "./Context.ts"
import { type Standing, WaitingLines } from "./WaitingLines.ts"

export interface CartLine {
  readonly ticket: TicketId
  readonly product: ProductId
}

/** An add, and the trace that it belongs to if it is sampled. */
export interface TracedAdd extends Add {
  readonly trace?: TraceContext | undefined
}

type Answer = Exit.Exit<AddOutcome, CartError>

export class CartAdds extends Context.Tag("@hikyaku/server/CartAdds")<CartAdds, {
  /** Adds and waits for the outcome; a ticket that is not decided within its deadline is given up. */
  readonly add: (call: Add) => Effect.Effect<AddOutcome, CartError>
  /**
   * Many at once; `done` is called once for each that is not dropped, in any order. Succeeds when all are on their way, with
   * what drops one: nobody waits for it any more, and if it has not left it never will.
   */
  readonly addEach: (
    calls: ReadonlyArray<TracedAdd>,
    done: (index: number, answer: Answer) => void
  ) => Effect.Effect<(index: number) => void>
  /** How a ticket stands by the word of its actor or of the record; null: nothing is known of it. */
  readonly look: (line: CartLine) => Effect.Effect<TicketStatus | null, CartError>
  /** Where a ticket stands that waits here, or null. */
  readonly standing: (line: CartLine) => Standing | null
  /** Waits until a ticket that waits here is decided; at once when it does not. */
  readonly decided: (line: CartLine) => Effect.Effect<void>
}>() {}

/**
 * A ticket on record as given up is at least this old, ms: that long its release was waited for, less what clocks of shop
 * fronts may be behind. Younger ones need not be looked up.
 */
const recordedAge = 1_000

/** A reply that the command cannot have: our own fault. */
export const unexpected = (reply: ProductReply) => Effect.dieMessage(`the Product actor answered ${reply._tag}`)

const outcomeOf = ({ product, ticket }: CartLine, reply: ProductReply): Answer => {
  switch (reply._tag) {
    case "Allocated":
    case "SoldOut":
    case "Waitlisted":
    case "LimitReached":
    case "TimedOut":
    case "Cancelled":
    case "Released":
      return Exit.succeed(reply)
    case "TicketTaken":
      return Exit.fail(new ContentDiffers({ id: ticket }))
    case "UnknownProduct":
      return Exit.fail(new UnknownProduct({ product }))
    default:
      return Exit.die(new Error(`the Product actor answered ${reply._tag}`))
  }
}

/** How a ticket stands by the actor's word, or null when the actor knows nothing of it any more, or not yet. */
export const standingOf = (
  { product }: CartLine,
  reply: ProductReply
): Effect.Effect<TicketStatus | null, CartError> => {
  switch (reply._tag) {
    case "Allocated":
    case "Waitlisted":
    case "Offered":
    case "Held":
    case "Bought":
    case "TimedOut":
    case "Cancelled":
    case "Released":
    case "SoldOut":
    case "LimitReached":
      return Effect.succeed(reply)
    case "NotOpen":
      return Effect.succeed(reply.standing === "Lapsed" ? { _tag: "Lapsed" } : null)
    case "UnknownTicket":
      return Effect.succeed(null)
    case "UnknownProduct":
      return new UnknownProduct({ product })
    default:
      return unexpected(reply)
  }
}

const make = Effect.gen(function*() {
  const actors = yield* ActorClient
  const givenUp = yield* GivenUp
  const query = yield* CartQuery
  const context = yield* actorsOnly
  const clock = yield* Clock.clockWith(Effect.succeed)
  const run = yield* FiberSet.makeRuntime<never>()
  const lines = new WaitingLines(() => performance.now())

  const look = (line: CartLine): Effect.Effect<TicketStatus | null, CartError> =>
    ask(productKind, { actor: line.product, command: { _tag: "ReadTicket", ticket: line.ticket } }).pipe(
      Effect.flatMap((reply) => standingOf(line, reply)),
      Effect.flatMap((status) => (status === null ? query.past(line) : Effect.succeed(status))),
      Effect.provide(context)
    )

  /** What the actor says to the ticket's being given up is the outcome. */
  const giveUp = (call: Add, reason: "TimedOut" | "Cancelled" | "Released"): Effect.Effect<AddOutcome, CartError> =>
    Effect.flatMap(
      givenUp.release({ ticket: call.ticket, product: call.product, at: call.at, reason }),
      (reply): Effect.Effect<AddOutcome, CartError> => {
        switch (reply?._tag) {
          case "TimedOut":
          case "Cancelled":
          case "Released":
            return Effect.succeed(reply)
          case "UnknownProduct":
            return new UnknownProduct({ product: call.product })
          default:
            return new NotAnswered({
              reason: reply === null
                ? "the ticket is being given up and will hold no stock"
                : "the ticket went on meanwhile; cart.status tells how it stands"
            })
        }
      }
    )

  /** Whether an outcome that says "in the cart" or "in line" may be told: not if the ticket has been given up since (G6). */
  const confirmed = (call: Add, outcome: AddOutcome, repeated: boolean): Effect.Effect<AddOutcome, CartError> =>
    Effect.gen(function*() {
      const reason = (yield* stored(givenUp.recorded([call.ticket]))).get(call.ticket)
      if (reason !== undefined) return yield* giveUp(call, reason)
      if (!repeated) return outcome
      const status = yield* look(call)
      return status?._tag === "TimedOut" || status?._tag === "Cancelled" ? status : outcome
    })

  /** Whether the outcome may be outdated by the time it is told. */
  const doubtful = (call: Add, outcome: AddOutcome, repeated: boolean): boolean =>
    (outcome._tag === "Allocated" || outcome._tag === "Waitlisted") &&
    (repeated ||
      // A replay's tickets are as old as its record.
      (call.at === undefined && commandTime(call.ticket) < clock.unsafeCurrentTimeMillis() - recordedAge))

  const failed = (call: Add, error: SendError): Answer => {
    if (error._tag === "CommandFault") run(Effect.logError(`Product ${call.product}: ${error.reason}`))
    return Exit.fail(commandError(error))
  }

  const addEach: CartAdds["Type"]["addEach"] = (calls, done) =>
    Effect.suspend(() => {
      const dropped = new Set<number>()
      const sent: Array<number> = []
      const finish = (n: number, call: Add, answer: Answer, served = true) => {
        lines.leave(call.product, call.ticket, served)
        if (!dropped.has(n)) done(n, answer)
      }
      const later = (n: number, call: Add, outcome: Effect.Effect<AddOutcome, CartError>) =>
        run(Effect.map(Effect.exit(outcome), (answer) => finish(n, call, answer)))
      const answered = (n: number, answer: Either.Either<ProductReply, SendError>, repeated: boolean) => {
        const call = calls[n]!
        if (Either.isLeft(answer)) {
          if (answer.left._tag === "NoAnswer") later(n, call, giveUp(call, "TimedOut"))
          else finish(n, call, failed(call, answer.left), answer.left._tag !== "Overloaded")
          return
        }
        const outcome = outcomeOf(call, answer.right)
        if (Exit.isSuccess(outcome) && doubtful(call, outcome.value, repeated)) {
          later(n, call, confirmed(call, outcome.value, repeated))
        } else finish(n, call, outcome)
      }
      calls.forEach((call, n) => {
        const retryAfter = lines.enter(call.product, call.ticket)
        if (retryAfter === null) sent.push(n)
        else done(n, Exit.fail(new Overloaded({ retryAfter })))
      })
      const requests = sent.map((n) => {
        const { at, deadline, member, product, quantity, ticket, trace, waitlist } = calls[n]!
        return {
          actor: product,
          id: ticket,
          command: { _tag: "AddToCart", ticket, member, quantity, waitlist: waitlist ?? false } as const,
          within: deadline ?? deadlineDefault,
          at,
          trace
        }
      })
      return Effect.map(
        actors.sendEach(productKind, requests, (i, answer, repeated) => answered(sent[i]!, answer, repeated)),
        (abandon) => (n: number) => {
          const call = calls[n]
          if (call === undefined || dropped.has(n)) return
          dropped.add(n)
          abandon(sent.indexOf(n))
          lines.leave(call.product, call.ticket, false)
        }
      )
    })

  const add: CartAdds["Type"]["add"] = (call) =>
    Effect.gen(function*() {
      const answer = yield* Deferred.make<AddOutcome, CartError>()
      const trace = yield* currentTrace
      const drop = yield* addEach([{ ...call, trace }], (_, exit) => Deferred.unsafeDone(answer, exit))
      return yield* Effect.onInterrupt(Deferred.await(answer), () => Effect.sync(() => drop(0)))
    })

  return CartAdds.of({
    add,
    addEach,
    look,
    standing: ({ product, ticket }) => lines.standing(product, ticket),
    decided: ({ product, ticket }) =>
      Effect.async((resume) => {
        const cancel = lines.whenLeft(product, ticket, () => resume(Effect.void))
        if (cancel === null) return resume(Effect.void)
        return Effect.sync(cancel)
      })
  })
})

export const layer: Layer.Layer<CartAdds, never, ActorClient | GivenUp | CartQuery> = Layer.scoped(CartAdds, make)
