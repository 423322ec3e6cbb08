/**
 * Between a protocol and the RPC server: every request is checked for form, method and payload before the server sees it,
 * so that bad input gets a typed error that says what and where (G16). The library alone would answer an untyped defect, and
 * a request id that is no number would end the connection.
 */
import { Headers } from "@effect/platform"
import type { Rpc, RpcGroup, RpcMessage, RpcServer } from "@effect/rpc"
import { type BadInput, CommonError, UnknownMethod } from "@hikyaku/domain/api/ApiError"
import { fromParseError } from "@hikyaku/domain/api/BadInput"
import { Add, CartAdd } from "@hikyaku/domain/api/CartApi"
import { hintFor } from "@hikyaku/domain/marketing/Spelling"
import { Effect, Either, ParseResult, Schema, type SchemaAST } from "effect"
import type { AddLane } from "./AddLane.ts"
import { payloadFault } from "./Payload.ts"

type Protocol = RpcServer.Protocol["Type"]
type Guarded = RpcMessage.FromClientEncoded | RpcMessage.RequestEncoded

/** Longest method name that is repeated in an answer, in characters. */
const methodMax = 64
const requestId = /^\d{1,19}$/

const encodeError = Schema.encodeSync(CommonError)

/** A failed call as it travels. */
export const failure = (
  requestId: string,
  error: BadInput | UnknownMethod
): RpcMessage.ResponseExitEncoded => ({
  _tag: "Exit",
  requestId,
  exit: { _tag: "Failure", cause: { _tag: "Fail", error: encodeError(error) } }
})

/** The error for a method that does not exist. */
export const unknownMethod = (method: string, known: Iterable<string>): UnknownMethod => {
  const name = (method.length > methodMax ? `${method.slice(0, methodMax)}...` : method).toWellFormed()
  return new UnknownMethod({ method: name, hint: hintFor(name, [...known]) })
}

/** What a method expects. */
export const payloadOf = (rpc: Rpc.Any): SchemaAST.AST | null =>
  "payloadSchema" in rpc && Schema.isSchema(rpc.payloadSchema) ? rpc.payloadSchema.ast : null

type Check = (payload: unknown) => Either.Either<unknown, BadInput>

/** Judges payloads of one method. Unknown fields are refused: a misspelt option must not be ignored. */
const checkOf = (payload: SchemaAST.AST): Check => {
  const schema = Schema.make<unknown>(payload)
  const decode = ParseResult.decodeUnknownEither(schema, { onExcessProperty: "error" })
  return (payload) => {
    const fault = payloadFault(payload)
    if (fault !== null) return Either.left(fault)
    return Either.mapLeft(decode(payload), (issue) => fromParseError(ParseResult.parseError(issue)))
  }
}

const isText = (value: unknown): value is string => typeof value === "string"
const isPair = (value: unknown): value is readonly [string, string] =>
  Array.isArray(value) && value.length === 2 && value.every(isText)

/** Headers and trace as far as they can be used; what is malformed is left out. */
const tidied = (request: RpcMessage.RequestEncoded): RpcMessage.RequestEncoded => {
  const headers: unknown = request.headers
  const { sampled, spanId, traceId } = request
  const traced = isText(traceId) && isText(spanId)
  return {
    _tag: "Request",
    id: request.id,
    tag: request.tag,
    payload: request.payload,
    headers: Array.isArray(headers) ? Object.entries(Headers.fromInput(headers.filter(isPair))) : [],
    ...(traced && { traceId, spanId, sampled: sampled === true })
  }
}

const isAdd = ParseResult.is(Add, { onExcessProperty: "error" })

/** The protocol with every request checked. With a lane, adds take that instead of the server's way. */
export const guard = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  protocol: Protocol,
  lane: AddLane | null = null
): Protocol => {
  const checks = new Map<string, Check>()
  for (const [method, rpc] of group.requests) {
    const payload = payloadOf(rpc)
    if (payload !== null) checks.set(method, checkOf(payload))
  }
  const refuse = (clientId: number, defect: string) => protocol.send(clientId, { _tag: "Defect", defect })

  const admit = (
    next: (clientId: number, message: Guarded) => Effect.Effect<void>,
    clientId: number,
    message: Guarded
  ): Effect.Effect<void> => {
    switch (message._tag) {
      case "Request": {
        const { id, payload, tag } = message
        if (!isText(id) || !requestId.test(id)) return refuse(clientId, "a request id must be a number, as text")
        if (!isText(tag)) return refuse(clientId, "a request must name its method as text")
        const check = checks.get(tag)
        if (check === undefined) return protocol.send(clientId, failure(id, unknownMethod(tag, checks.keys())))
        // What is whole by the schema can hold nothing of what the full check looks for besides.
        if (lane !== null && tag === CartAdd._tag && isAdd(payload)) {
          return lane.offer(clientId, tidied(message), payload)
            ? Effect.void
            : refuse(clientId, "a request id is in use already")
        }
        lane?.flush()
        const checked = check(payload)
        if (Either.isLeft(checked)) return protocol.send(clientId, failure(id, checked.left))
        return next(clientId, tidied(message))
      }
      case "Ack":
      case "Interrupt": {
        const { requestId: id } = message
        if (!isText(id) || !requestId.test(id)) return refuse(clientId, "a request id must be a number, as text")
        return message._tag === "Interrupt" && lane?.interrupt(clientId, id) === true
          ? Effect.void
          : next(clientId, message)
      }
      case "Ping":
      case "Eof":
        return next(clientId, message)
      default:
        return refuse(clientId, "not a message of this protocol")
    }
  }

  return { ...protocol, run: (next) => protocol.run((clientId, message) => admit(next, clientId, message)) }
}
