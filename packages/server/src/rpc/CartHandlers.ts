/** The cart's methods on top of the Product actors. Nothing is decided here but how long a caller waits. */
import type { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { Checkout } from "@hikyaku/cluster/stock/Checkout"
import { GivenUp } from "@hikyaku/cluster/stock/GivenUp"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { Overloaded, UnknownProduct } from "@hikyaku/domain/api/ApiError"
import { badInput } from "@hikyaku/domain/api/BadInput"
import {
  type Add,
  type AddOutcome,
  CartApi,
  type CartError,
  deadlineDefault,
  type GiveUpOutcome,
  type TicketStatus
} from "@hikyaku/domain/api/CartApi"
import type { TicketId } from "@hikyaku/domain/Identifier"
import type { ReleaseReason } from "@hikyaku/domain/stock/Product"
import { Deferred, Duration, Effect, FiberId, FiberSet, Option } from "effect"
import { ask } from "./Asking.ts"
import { CartAdds, type CartLine as Line, standingOf as standing, unexpected } from "./CartAdds.ts"
import { CartQuery } from "./CartQuery.ts"
import { actorsOnly } from "./Context.ts"

/** Tickets submitted to this process and not decided yet. */
const submittedMax = 10_000
/** When to submit again where there is no room, ms. */
const submitRetryMs = 1_000
/** How often an undecided ticket is looked at while somebody waits: 25 ms, then slower, up to every 500 ms. */
const lookFirst = 25
const lookLast = 500

interface Call extends Line {
  readonly deadline?: number | undefined
  readonly at?: number | undefined
}
const make = Effect.gen(function*() {
  const givenUp = yield* GivenUp
  const checkout = yield* Checkout
  const query = yield* CartQuery
  const adds = yield* CartAdds
  const context = yield* actorsOnly
  const inBackground = yield* FiberSet.makeRuntime<never>()
  const submitted = new Map<TicketId, Deferred.Deferred<AddOutcome, CartError>>()

  const submit = (call: Add) =>
    Effect.suspend(() => {
      const { ticket } = call
      if (submitted.has(ticket)) return Effect.succeed({ _tag: "Submitted" as const, ticket })
      if (submitted.size >= submittedMax) return new Overloaded({ retryAfter: submitRetryMs })
      const outcome = Deferred.unsafeMake<AddOutcome, CartError>(FiberId.none)
      submitted.set(ticket, outcome)
      inBackground(
        adds.add(call).pipe(
          Effect.intoDeferred(outcome),
          Effect.ensuring(Effect.sync(() => submitted.delete(ticket)))
        )
      )
      return Effect.succeed({ _tag: "Submitted" as const, ticket })
    })

  /** Looks until there is something to see or the time is over. */
  const watch = (line: Line, wait: number) =>
    Effect.gen(function*() {
      let left = wait
      let pause = lookFirst
      while (true) {
        const status = yield* adds.look(line)
        if (status !== null || left <= 0) return status ?? { _tag: "NotSeen" as const }
        const rest = Math.min(pause, left)
        yield* Effect.sleep(Duration.millis(rest))
        left -= rest
        pause = Math.min(pause * 2, lookLast)
      }
    })

  /** Where a ticket stands that was handed in here. */
  const inLine = (line: Line): TicketStatus => {
    const place = adds.standing(line)
    return place === null || place.position === 1
      ? { _tag: "Processing" }
      : { _tag: "Waiting", position: place.position, estimate: place.estimate }
  }

  const status = (line: Line, wait: number): Effect.Effect<TicketStatus, CartError> =>
    Effect.suspend(() => {
      const here = submitted.get(line.ticket)
      if (here !== undefined) {
        return Deferred.await(here).pipe(
          Effect.timeoutOption(Duration.millis(wait)),
          Effect.map(Option.getOrElse(() => inLine(line)))
        )
      }
      // Somebody waits for it here: their answer is waited for, instead of standing in line behind it.
      if (adds.standing(line) === null) return watch(line, wait)
      return adds.decided(line).pipe(
        Effect.timeoutOption(Duration.millis(wait)),
        Effect.flatMap(Option.match({ onNone: () => Effect.succeed(inLine(line)), onSome: () => watch(line, 0) }))
      )
    })

  const release = (call: Call, reason: ReleaseReason): Effect.Effect<GiveUpOutcome, CartError> =>
    ask(productKind, {
      actor: call.product,
      command: { _tag: "ReleaseTicket", ticket: call.ticket, reason },
      within: call.deadline ?? deadlineDefault,
      at: call.at
    }).pipe(
      Effect.flatMap((reply): Effect.Effect<GiveUpOutcome, CartError, ActorClient> => {
        switch (reply._tag) {
          case "Released":
          case "Cancelled":
          case "TimedOut":
            return Effect.succeed(reply)
          case "TombstonesFull":
            return new Overloaded({ retryAfter: submitRetryMs })
          case "UnknownProduct":
            return new UnknownProduct({ product: call.product })
          case "HeldByOther":
          case "NotOpen":
            // Bought, in a checkout, or long closed: the ticket itself says which.
            return Effect.map(
              adds.look(call),
              (status): GiveUpOutcome =>
                status?._tag === "Bought" || status?._tag === "Held" ? status : { _tag: "Lapsed" }
            )
          default:
            return unexpected(reply)
        }
      }),
      // Whoever wants it gone gets it gone, also when nobody answers now.
      Effect.tapErrorTag("NotAnswered", () => givenUp.release({ ...call, reason })),
      Effect.provide(context)
    )

  const confirm = (call: Call): Effect.Effect<TicketStatus, CartError> =>
    ask(productKind, {
      actor: call.product,
      command: { _tag: "ConfirmOffer", ticket: call.ticket },
      within: call.deadline ?? deadlineDefault,
      at: call.at
    }).pipe(
      Effect.flatMap((reply) => standing(call, reply)),
      Effect.flatMap((status) => (status === null ? adds.look(call) : Effect.succeed(status))),
      Effect.map((status) => status ?? { _tag: "NotSeen" as const }),
      Effect.provide(context)
    )

  return CartApi.of({
    "cart.add": adds.add,
    "cart.submit": submit,
    "cart.status": ({ wait, ...line }) => status(line, wait ?? 0),
    "cart.release": (call) => release(call, "Released"),
    "cart.expire": (call) => release(call, "TimedOut"),
    "cart.cancel": (call) => release(call, "Cancelled"),
    "cart.confirm": confirm,
    "cart.list": ({ member }) => query.open(member),
    "cart.checkout": ({ at, deadline, lines, order }) => {
      const seen = new Set<string>()
      for (const [n, { ticket }] of lines.entries()) {
        if (seen.has(ticket)) return Effect.fail(badInput(`lines[${n}].ticket`, "is in the order already"))
        seen.add(ticket)
      }
      return checkout.place({ id: order, lines, within: deadline, at })
    },
    "cart.return": ({ at, deadline, product, quantity, returnId, ticket }) =>
      ask(productKind, {
        actor: product,
        command: { _tag: "ReturnGoods", ticket, quantity, returnId },
        within: deadline ?? deadlineDefault,
        at
      }).pipe(
        Effect.flatMap((reply) => {
          switch (reply._tag) {
            case "Returned":
            case "NotReturnable":
              return Effect.succeed(reply)
            case "UnknownProduct":
              return new UnknownProduct({ product })
            default:
              return unexpected(reply)
          }
        }),
        Effect.provide(context)
      )
  })
})

export const layer = CartApi.toLayer(make)
