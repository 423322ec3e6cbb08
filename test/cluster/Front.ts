/** A client of the shop over the public RPC: one WebSocket to one gateway, every call written down. */
import { NodeSocket } from "@effect/platform-node"
import { Hikyaku, layerSocket } from "@hikyaku/domain/api/Client"
import type { ProductId } from "@hikyaku/domain/Identifier"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Answer, Call, History, Reply } from "./History.ts"

type Client = Context.Tag.Service<Hikyaku>

export interface Front {
  readonly client: Client
  readonly name: string
  /**
   * Makes a call and says what came of it. `deadline`: ms that the gateway is given. Interrupted, it is as if the shopper
   * had closed the page: nobody hears the answer.
   */
  readonly tell: (product: ProductId, call: Call, deadline?: number) => Effect.Effect<Answer>
}

/** How long a call may take beyond its deadline before the client stops to believe in its connection, ms. */
const patience = 5_000
/** What the gateway is given where nothing else is said, ms. */
export const deadlineDefault = 10_000

const send = (client: Client, product: ProductId, call: Call, deadline: number): Effect.Effect<Reply, unknown> => {
  switch (call._tag) {
    case "Add": {
      const { member, quantity, ticket, waitlist } = call
      return client.cart.add({ product, ticket, member, quantity, waitlist, deadline })
    }
    case "GiveUp": {
      const { reason, ticket } = call
      const payload = { product, ticket, deadline }
      return reason === "TimedOut"
        ? client.cart.expire(payload)
        : reason === "Cancelled"
        ? client.cart.cancel(payload)
        : client.cart.release(payload)
    }
    case "Confirm":
      return client.cart.confirm({ product, ticket: call.ticket, deadline })
    case "Restock":
      return client.product.changeStock({
        product,
        source: "warehouse",
        sourceVersion: call.version,
        meaning: "onHand",
        change: { _tag: "Delta", delta: call.pieces },
        deadline
      })
    case "ReadStock":
      return client.product.stock({ product, deadline })
  }
}

const textOf = (value: unknown): string => value instanceof Error ? value.message : String(value)

/** Errors of the API are answers; a broken connection is none. */
const failed = (cause: Cause.Cause<unknown>): Answer => {
  const error = Cause.failureOption(cause)
  if (error._tag === "None") return { _tag: "Silent", why: Cause.pretty(cause).split("\n")[0] ?? "" }
  const { value } = error
  const tag = typeof value === "object" && value !== null && "_tag" in value ? String(value._tag) : ""
  if (tag === "" || tag === "RpcClientError") return { _tag: "Silent", why: textOf(value) }
  return { _tag: "Error", error: tag, message: textOf(value) }
}

let fronts = 0

/** Opens a connection; it opens itself anew when it breaks. */
export const openFront = (url: string, history: History): Effect.Effect<Front, never, Scope.Scope> =>
  Effect.gen(function*() {
    const client = Context.get(
      yield* Layer.build(layerSocket().pipe(Layer.provide(NodeSocket.layerWebSocket(url)))),
      Hikyaku
    )
    const name = `${++fronts} to ${url}`
    /** Calls that a broken connection has swallowed begin a new one. */
    let breaks = 0
    const tell = (product: ProductId, call: Call, deadline = deadlineDefault) =>
      Effect.suspend(() => {
        const attempt = history.begin(product, call, `${name} #${breaks}`)
        return send(client, product, call, deadline).pipe(
          Effect.map((reply): Answer => ({ _tag: "Reply", reply })),
          // An interrupt that arrives as an answer is the gateway's; our own does not come here.
          Effect.catchAllCause((cause) => Effect.sync(() => failed(cause))),
          Effect.timeoutTo({
            duration: deadline + patience,
            onSuccess: (answer): Answer => answer,
            onTimeout: (): Answer => ({ _tag: "Silent", why: "no answer at all" })
          }),
          Effect.onExit((exit) =>
            Effect.sync(() => {
              const answer: Answer = Exit.isSuccess(exit) ? exit.value : { _tag: "Silent", why: "its caller is gone" }
              if (answer._tag === "Silent" && Exit.isSuccess(exit)) breaks++
              history.end(attempt, answer)
            })
          )
        )
      })
    return { client, name, tell }
  })
