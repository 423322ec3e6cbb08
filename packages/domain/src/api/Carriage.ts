/**
 * The client's side of a lasting connection: calls that are made at one time leave together in one frame. A frame leaves at
 * once while few are under way, else when the server has taken one in; so low load pays no delay, and the busier the server,
 * the more calls share a frame. `cart.add` takes a short way past the general client, since most calls are that.
 */
import { Rpc, RpcClient, type RpcClientError, type RpcMessage } from "@effect/rpc"
import { Effect, Exit, ParseResult, Schema, type Scope, type Tracer } from "effect"
import { Overloaded } from "./ApiError.ts"
import { Add, AddOutcome, CartAdd, type CartError } from "./CartApi.ts"
import { Entrance } from "./Entrance.ts"
import { frameMax, together } from "./Frame.ts"

type Protocol = RpcClient.Protocol["Type"]
type Message = RpcMessage.FromClientEncoded
type Answer = Exit.Exit<AddOutcome, CartError | RpcClientError.RpcClientError>

/** Frames that the server has not taken in yet; beyond it calls gather. */
export const framesMax = 4
/** Text in one frame, in characters, about; a single message may be larger. */
export const frameTextMax = 256 * 1024
/** Adds under way on one connection; one more is turned away. */
export const addsMax = 20_000
/** When to try again who was turned away, ms. */
const retryAfter = 1_000

/** Ids of short-cut calls: beyond all that the general client counts up to. */
const idsFrom = 2n ** 62n

const isAdd = ParseResult.is(Add)
const validate = Schema.validateSync(Add)
const isOutcome = ParseResult.is(AddOutcome)
const decodeExit = Schema.decodeUnknown(Rpc.exitSchema(CartAdd.middleware(Entrance)))

/** About how much text a message is. */
const textOf = (value: unknown): number => {
  if (typeof value === "string") return value.length + 2
  if (typeof value !== "object" || value === null) return 8
  let sum = 2
  for (const each of Object.values(value)) sum += textOf(each)
  return sum
}

export interface Carriage {
  /** The connection for the general client. */
  readonly protocol: Protocol
  /** Like the general client's `cart.add`. */
  readonly add: (call: Add) => Effect.Effect<AddOutcome, CartError | RpcClientError.RpcClientError>
}

/** Calls on this connection leave together. `traced`: each gets a span, and takes the trace along if that is sampled. */
export const make = (inner: Protocol, traced: boolean): Effect.Effect<Carriage, never, Scope.Scope> =>
  Effect.gen(function*() {
    const adds = new Map<string, (answer: Answer) => void>()
    let queue: Array<Message> = []
    /** Frames that were sent and not taken in yet. */
    let underWay = 0
    let bell: (() => void) | null = null
    let nextId = idsFrom
    /** Who hears what concerns all that is under way. */
    let hear: (message: RpcMessage.FromServerEncoded) => Effect.Effect<void> = () => Effect.void

    const ready = () => queue.length > 0 && underWay < framesMax
    const ring = () => {
      const wake = bell
      if (wake === null || !ready()) return
      bell = null
      wake()
    }
    const awaitWork = Effect.async<void>((resume) => {
      if (ready()) return resume(Effect.void)
      bell = () => resume(Effect.void)
    })
    const enqueue = (message: Message) => {
      queue.push(message)
      ring()
    }

    const failAll = (answer: Answer) => {
      underWay = 0
      queue = []
      const waiting = [...adds.values()]
      adds.clear()
      for (const resume of waiting) resume(answer)
    }

    const takeFrame = (): ReadonlyArray<Message> => {
      let count = 0
      for (let text = 0; count < queue.length && count < frameMax; count++) {
        text += textOf(queue[count])
        if (text > frameTextMax && count > 0) break
      }
      const frame = queue.slice(0, count)
      queue = queue.slice(count)
      return frame
    }

    const sendFrame = Effect.suspend(() => {
      const [first, ...others] = takeFrame()
      if (first === undefined) return Effect.void
      underWay++
      // The server's answer to the ping says that it has taken the frame in.
      return Effect.catchAll(
        inner.send(together<Message>(first, [...others, { _tag: "Ping" }])),
        (error) => hear({ _tag: "ClientProtocolError", error })
      )
    })
    yield* Effect.forkScoped(Effect.forever(Effect.zipRight(awaitWork, sendFrame)))

    const conclude = (requestId: string, exit: RpcMessage.ResponseExitEncoded["exit"]): Effect.Effect<void> => {
      const resume = adds.get(requestId)
      if (resume === undefined) return Effect.void
      adds.delete(requestId)
      if (exit._tag === "Success" && isOutcome(exit.value)) {
        resume(Exit.succeed(exit.value))
        return Effect.void
      }
      return Effect.map(Effect.orDie(decodeExit(exit)), resume).pipe(
        Effect.catchAllCause((cause) => Effect.sync(() => resume(Exit.failCause(cause))))
      )
    }

    const run: Protocol["run"] = (general) => {
      hear = (message) => {
        switch (message._tag) {
          case "Exit":
            if (!adds.has(message.requestId)) return general(message)
            return conclude(message.requestId, message.exit)
          case "Pong":
            underWay = Math.max(0, underWay - 1)
            ring()
            return general(message)
          case "ClientProtocolError":
            failAll(Exit.fail(message.error))
            return general(message)
          case "Defect":
            failAll(Exit.die(message.defect))
            return general(message)
          default:
            return general(message)
        }
      }
      return inner.run((message) => hear(message))
    }

    const addWithin = (call: Add, span: Tracer.Span | null): ReturnType<Carriage["add"]> =>
      Effect.withFiberRuntime((fiber) => {
        if (!isAdd(call)) return Effect.sync(() => validate(call)).pipe(Effect.zipRight(Effect.never))
        if (adds.size >= addsMax) return new Overloaded({ retryAfter })
        return Effect.async<AddOutcome, CartError | RpcClientError.RpcClientError>((resume) => {
          const id = String(nextId++)
          const { at, deadline, member, product, quantity, ticket, waitlist } = call
          const message: RpcMessage.RequestEncoded = {
            _tag: "Request",
            id,
            tag: CartAdd._tag,
            payload: {
              ticket,
              product,
              member,
              quantity,
              ...(waitlist !== undefined && { waitlist }),
              ...(deadline !== undefined && { deadline }),
              ...(at !== undefined && { at })
            },
            headers: Object.entries(fiber.getFiberRef(RpcClient.currentHeaders)),
            ...(span !== null && { traceId: span.traceId, spanId: span.spanId, sampled: span.sampled })
          }
          adds.set(id, resume)
          enqueue(message)
          return Effect.sync(() => {
            if (!adds.delete(id)) return
            const at = queue.indexOf(message)
            // What has not left never will.
            if (at >= 0) queue.splice(at, 1)
            else enqueue({ _tag: "Interrupt", requestId: id })
          })
        })
      })

    const add: Carriage["add"] = (call) =>
      traced
        ? Effect.useSpan(`hikyaku.${CartAdd._tag}`, { captureStackTrace: false, kind: "client" }, (span) =>
          addWithin(call, span))
        : addWithin(call, null)

    return {
      protocol: {
        ...inner,
        run,
        send: (message) => message._tag === "Ping" ? inner.send(message) : Effect.sync(() => enqueue(message))
      },
      add
    }
  })
