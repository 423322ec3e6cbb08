/**
 * The fast lane of a socket protocol: `cart.add` is most of what shops call, so those that arrive together are handled
 * together, by one fibre and one call of the actors, and their answers leave in one frame per connection. To callers it looks
 * as if each were handled by itself: own outcome, own deadline, own interruption, and what is wrong with one hurts no other.
 */
import { Headers } from "@effect/platform"
import type { RpcMessage, RpcServer } from "@effect/rpc"
import { Fault } from "@hikyaku/domain/api/ApiError"
import { type Add, CartAdd, type CartError } from "@hikyaku/domain/api/CartApi"
import type { Entrance } from "@hikyaku/domain/api/Entrance"
import { frameMax, together } from "@hikyaku/domain/api/Frame"
import {
  Cause,
  type Context,
  Deferred,
  Effect,
  Exit,
  FiberId,
  FiberSet,
  identity,
  Mailbox,
  Option,
  Schema
} from "effect"
import type { CallTrace, TraceCall } from "../Tracing.ts"
import type { CartAdds, TracedAdd } from "./CartAdds.ts"
import { fault } from "./Entrance.ts"

type Protocol = RpcServer.Protocol["Type"]
type ExitEncoded = RpcMessage.ResponseExitEncoded
type Request = RpcMessage.RequestEncoded

export interface AddLane {
  /** The protocol, whose lost connections the lane has heard of. */
  readonly protocol: Protocol
  /** Takes an add in; it is on its way by the end of this turn of the event loop. False: its request id is in use. */
  readonly offer: (clientId: number, request: Request, add: Add) => boolean
  /** Nobody waits for an add any more; false when it is none of the lane's. */
  readonly interrupt: (clientId: number, requestId: string) => boolean
  /** Sends on what was taken in: called before anything else of a connection, so that its order is kept (G4). */
  readonly flush: () => void
}

interface Open {
  readonly clientId: number
  readonly requestId: string
  readonly add: Add
  readonly headers: Request["headers"]
  readonly trace: CallTrace | null
  /** Gives it up, once it is on its way. */
  drop: (() => void) | null
  settled: boolean
}

/** What a group's fibre ends with when the entrance has let it pass and each of its adds was answered. */
const passed = new Fault({ reason: "each add has its own answer" })

const encodeError = Schema.encodeSync(CartAdd.errorSchema)
const failure = (error: CartError): ExitEncoded["exit"] => ({
  _tag: "Failure",
  cause: { _tag: "Fail", error: encodeError(error) }
})
const interrupted: ExitEncoded["exit"] = {
  _tag: "Failure",
  cause: { _tag: "Interrupt", fiberId: { _tag: "None" } }
}

export interface LaneOptions {
  readonly protocol: Protocol
  readonly adds: Context.Tag.Service<CartAdds>
  readonly entrance: Context.Tag.Service<Entrance>
  readonly trace: TraceCall
}

export const make = ({ adds, entrance, protocol, trace }: LaneOptions) =>
  Effect.gen(function*() {
    const run = yield* FiberSet.makeRuntime<never>()
    const disconnects = yield* Mailbox.make<number>()
    const open = new Map<number, Map<string, Open>>()
    let pending: Array<Open> = []
    let answers = new Map<number, Array<ExitEncoded>>()

    const sendTo = (clientId: number, exits: ReadonlyArray<ExitEncoded>) =>
      Effect.gen(function*() {
        for (let from = 0; from < exits.length; from += frameMax) {
          const [first, ...others] = exits.slice(from, from + frameMax)
          if (first !== undefined) yield* protocol.send(clientId, together(first, others))
        }
      })
    const send = () => {
      const leaving = answers
      answers = new Map()
      for (const [clientId, exits] of leaving) run(sendTo(clientId, exits))
    }

    const conclude = (one: Open, exit: Exit.Exit<unknown, CartError>) => {
      if (one.settled) return
      one.settled = true
      one.trace?.end(exit)
      const { clientId, requestId } = one
      const calls = open.get(clientId)
      calls?.delete(requestId)
      if (calls?.size === 0) open.delete(clientId)
      const error = Exit.isSuccess(exit) ? Option.none() : Cause.failureOption(exit.cause)
      const encoded: ExitEncoded["exit"] = Exit.isSuccess(exit)
        ? { _tag: "Success", value: exit.value }
        : Option.isSome(error)
        ? failure(error.value)
        : interrupted
      if (answers.size === 0) queueMicrotask(send)
      const message: ExitEncoded = { _tag: "Exit", requestId, exit: encoded }
      const exits = answers.get(clientId)
      if (exits === undefined) answers.set(clientId, [message])
      else exits.push(message)
    }

    const tell = (one: Open, exit: Exit.Exit<unknown, CartError>) => {
      const defect = Exit.isFailure(exit) ? Cause.dieOption(exit.cause) : Option.none()
      if (Option.isNone(defect)) return conclude(one, exit)
      run(
        Effect.flip(fault(CartAdd._tag, defect.value)).pipe(
          one.trace === null ? identity : Effect.withParentSpan(one.trace.span),
          Effect.map((error) => conclude(one, Exit.fail(error)))
        )
      )
    }

    /** A group's way through the entrance: it counts as under way until the last of it is answered or given up. */
    const handle = (group: ReadonlyArray<Open>) =>
      Effect.gen(function*() {
        const done = yield* Deferred.make<void>()
        let left = group.length
        const finished = () => {
          if (--left === 0) Deferred.unsafeDone(done, Exit.void)
        }
        const calls: ReadonlyArray<TracedAdd> = group.map((one) =>
          one.trace === null ? one.add : { ...one.add, trace: one.trace.context }
        )
        const drop = yield* adds.addEach(calls, (n, exit) => {
          tell(group[n]!, exit)
          finished()
        })
        group.forEach((one, n) => {
          one.drop = () => {
            drop(n)
            finished()
          }
        })
        yield* Deferred.await(done)
        return yield* Effect.fail(passed)
      })

    const admit = (group: ReadonlyArray<Open>) => {
      const { clientId, headers } = group[0]!
      const payload = group.map(({ add }) => add)
      run(
        Effect.map(
          Effect.exit(
            entrance({ rpc: CartAdd, clientId, headers: Headers.fromInput(headers), payload, next: handle(group) })
          ),
          (exit) => {
            if (Exit.isFailure(exit) && Option.contains(Cause.failureOption(exit.cause), passed)) return
            for (const one of group) tell(one, exit)
          }
        )
      )
    }

    const flush = () => {
      const taken = pending
      pending = []
      const groups = new Map<string, Array<Open>>()
      for (const one of taken) {
        if (one.settled) continue
        const key = one.headers.length === 0 ? `${one.clientId}` : `${one.clientId} ${JSON.stringify(one.headers)}`
        const group = groups.get(key)
        if (group === undefined) groups.set(key, [one])
        else group.push(one)
      }
      for (const group of groups.values()) admit(group)
    }

    const interrupt = (clientId: number, requestId: string): boolean => {
      const one = open.get(clientId)?.get(requestId)
      if (one === undefined) return false
      one.drop?.()
      conclude(one, Exit.interrupt(FiberId.none))
      return true
    }

    yield* Effect.forkScoped(Effect.forever(Effect.flatMap(protocol.disconnects.take, (clientId) => {
      for (const requestId of [...open.get(clientId)?.keys() ?? []]) interrupt(clientId, requestId)
      return disconnects.offer(clientId)
    })))

    const lane: AddLane = {
      protocol: { ...protocol, disconnects },
      offer: (clientId, request, add) => {
        let calls = open.get(clientId)
        if (calls === undefined) open.set(clientId, calls = new Map())
        if (calls.has(request.id)) return false
        const { headers, id } = request
        const one: Open = { clientId, requestId: id, add, headers, trace: trace(request), drop: null, settled: false }
        calls.set(id, one)
        // The end of the turn: by then all has arrived that came together, over whatever connection.
        if (pending.length === 0) setImmediate(flush)
        pending.push(one)
        return true
      },
      interrupt,
      flush
    }
    return lane
  })
