/** A shop front: a process of its own that calls the public API over one WebSocket. Told what to do by the bench. */
import { NodeSocket } from "@effect/platform-node"
import { Hikyaku, layerSocket } from "@hikyaku/domain/api/Client"
import { Cause, Config, Effect, Exit, Layer, Runtime } from "effect"
import { serve } from "./Asked.ts"
import { type Add, type Closed, closed, overloadedTag } from "./Load.ts"

export interface Question {
  readonly op: "closed"
  readonly load: Closed
}

/** Longest that an add may take, ms. */
const deadline = 60_000

const program = Effect.gen(function*() {
  const client = yield* Hikyaku
  const fork = Runtime.runFork(yield* Effect.runtime<never>())
  const add: Add = ({ member, product, ticket }, done) => {
    fork(client.cart.add({ ticket, product, member, quantity: 1, deadline })).addObserver((exit) =>
      done(
        Exit.isSuccess(exit)
          ? exit.value._tag
          : exit.cause._tag === "Fail"
          ? exit.cause.error._tag === "Overloaded" ? overloadedTag : `Failed: ${exit.cause.error._tag}`
          : `Failed: ${Cause.pretty(exit.cause)}`
      )
    )
  }
  serve((question: Question) => closed(add, question.load))
  return yield* Effect.never
})

const main = Effect.gen(function*() {
  const url = yield* Config.nonEmptyString("HIKYAKU_URL")
  yield* Effect.provide(
    program,
    layerSocket({ waitForConnection: true }).pipe(Layer.provide(NodeSocket.layerWebSocket(url)))
  )
})

const fiber = Effect.runFork(main)
fiber.addObserver((exit) => process.exit(Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause) ? 0 : 1))
process.on("SIGTERM", () => fiber.unsafeInterruptAsFork(fiber.id()))
