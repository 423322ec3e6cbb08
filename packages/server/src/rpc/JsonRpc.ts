/**
 * JSON-RPC 2.0 over HTTP, for callers in other languages. The library's serialization of that name turns ids into numbers,
 * gives every error the code 0 and lets malformed requests die; this one keeps to the specification.
 *
 * One parser lives for one HTTP body: it hands the server requests under ids of its own, and puts the answers back under
 * the caller's.
 */
import { type Rpc, type RpcGroup, type RpcMessage, RpcSchema, type RpcSerialization } from "@effect/rpc"
import { badInput, reasonMax } from "@hikyaku/domain/api/BadInput"
import { Schema } from "effect"
import { payloadOf, unknownMethod } from "./RequestGuard.ts"

/** Calls in one batch. */
export const batchMax = 100

/** Codes of the specification, and ours between -32000 and -32099. */
export const codes = {
  parseError: -32700,
  invalidRequest: -32600,
  unknownMethod: -32601,
  badInput: -32602,
  fault: -32603
} as const

const errorCodes: Readonly<Record<string, number>> = {
  BadInput: codes.badInput,
  UnknownMethod: codes.unknownMethod,
  Fault: codes.fault,
  Overloaded: -32001,
  NotAnswered: -32002,
  ContentDiffers: -32003,
  Expired: -32004,
  Unknown: -32005,
  UnknownProduct: -32005,
  Unavailable: -32006,
  Unauthorized: -32007
}

type Id = string | number | null

interface ErrorObject {
  readonly code: number
  readonly message: string
  /** The typed error as the other protocols carry it. */
  readonly data?: unknown
}

const errorResponse = (id: Id, error: ErrorObject) => ({ jsonrpc: "2.0", error, id }) as const
type Response = ReturnType<typeof errorResponse> | {
  readonly jsonrpc: "2.0"
  readonly result: unknown
  readonly id: Id
}

/** A whole answer of one error, for bodies that were not read. */
export const errorBody = (code: number, message: string): string =>
  JSON.stringify(errorResponse(null, { code, message }))

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const isId = (value: unknown): value is Id =>
  value === null || typeof value === "string" || (typeof value === "number" && Number.isFinite(value))

const textOf = (error: unknown): string => {
  if (!isObject(error)) return "the call failed"
  const parts = [error["path"], error["reason"], error["hint"]].filter((part) =>
    typeof part === "string" && part !== ""
  )
  const about = parts.length === 0
    ? Object.entries(error).filter(([key]) => key !== "_tag").map(([, v]) => String(v))
    : parts
  return `${String(error["_tag"])}: ${about.join(": ")}`.slice(0, 2 * reasonMax)
}

const errorObject = (cause: unknown): ErrorObject => {
  if (isObject(cause) && cause["_tag"] === "Fail") {
    const error = cause["error"]
    const tag = isObject(error) ? String(error["_tag"]) : ""
    return { code: errorCodes[tag] ?? codes.fault, message: textOf(error), data: error }
  }
  if (isObject(cause) && cause["_tag"] === "Interrupt") return { code: -32002, message: "the call was broken off" }
  return { code: codes.fault, message: "the call failed on the server" }
}

/** What one entry of the body is waiting for: an answer, or nothing because it is a notification. */
interface Call {
  readonly id: Id
  readonly notification: boolean
}

class Exchange {
  private readonly calls = new Map<string, Call>()
  private readonly responses: Array<Response> = []
  private batch = false

  constructor(private readonly methods: ReadonlyMap<string, Rpc.Any>) {}

  read(text: string): ReadonlyArray<RpcMessage.FromClientEncoded> {
    let body: unknown
    try {
      body = JSON.parse(text)
    } catch (error) {
      const why = error instanceof Error ? error.message : "not JSON"
      this.refuse(null, codes.parseError, `not valid JSON: ${why.slice(0, reasonMax)}`)
      return []
    }
    if (!Array.isArray(body)) return this.one(body)
    const entries: ReadonlyArray<unknown> = body
    if (entries.length === 0 || entries.length > batchMax) {
      this.refuse(null, codes.invalidRequest, `a batch holds 1 to ${batchMax} calls, this one ${entries.length}`)
      return []
    }
    this.batch = true
    return entries.flatMap((entry) => this.one(entry))
  }

  private refuse(id: Id, code: number, message: string, data?: unknown): void {
    this.responses.push(errorResponse(id, { code, message, ...(data !== undefined && { data }) }))
  }

  private one(entry: unknown): ReadonlyArray<RpcMessage.FromClientEncoded> {
    if (!isObject(entry)) {
      this.refuse(null, codes.invalidRequest, "a call must be an object")
      return []
    }
    const { id, jsonrpc, method, params } = entry
    const known = isId(id) ? id : null
    if (jsonrpc !== "2.0" || typeof method !== "string" || (id !== undefined && !isId(id))) {
      const what = jsonrpc !== "2.0"
        ? "jsonrpc must be \"2.0\""
        : typeof method !== "string"
        ? "method must be text"
        : "id must be text, a number or null"
      this.refuse(known, codes.invalidRequest, what)
      return []
    }
    const notification = id === undefined
    const rpc = this.methods.get(method)
    if (rpc === undefined) {
      const { hint, method: name } = unknownMethod(method, this.methods.keys())
      if (!notification) {
        this.refuse(known, codes.unknownMethod, `there is no method ${name}`, {
          _tag: "UnknownMethod",
          method: name,
          hint
        })
      }
      return []
    }
    if (params !== undefined && !isObject(params)) {
      const error = badInput("params", "must be an object: parameters are given by name")
      if (!notification) this.refuse(known, codes.badInput, error.message, { ...error })
      return []
    }
    if ("successSchema" in rpc && Schema.isSchema(rpc.successSchema) && RpcSchema.isStreamSchema(rpc.successSchema)) {
      const error = badInput("", "this method answers with a stream: call it over the WebSocket")
      if (!notification) this.refuse(known, codes.badInput, error.message, { ...error })
      return []
    }
    const number = String(this.calls.size)
    this.calls.set(number, { id: known, notification })
    return [{ _tag: "Request", id: number, tag: method, payload: this.payload(rpc, params), headers: [] }]
  }

  /** Methods without parameters may be given none, or an empty object. */
  private payload(rpc: Rpc.Any, params: Readonly<Record<string, unknown>> | undefined): unknown {
    if (payloadOf(rpc)?._tag === "VoidKeyword") {
      return params === undefined || Object.keys(params).length === 0 ? undefined : params
    }
    return params ?? {}
  }

  write(messages: ReadonlyArray<unknown>): string {
    for (const message of messages) {
      if (!isObject(message) || message["_tag"] !== "Exit") continue
      const call = this.calls.get(String(message["requestId"]))
      if (call === undefined) continue
      this.calls.delete(String(message["requestId"]))
      if (call.notification) continue
      const exit = isObject(message["exit"]) ? message["exit"] : {}
      this.responses.push(
        exit["_tag"] === "Success"
          ? { jsonrpc: "2.0", result: exit["value"] ?? null, id: call.id }
          : errorResponse(call.id, errorObject(exit["cause"]))
      )
    }
    // Whoever was not answered hears so: an answer must not depend on what else was in the batch.
    for (const { id, notification } of this.calls.values()) {
      if (!notification) this.refuse(id, codes.fault, "the call failed on the server")
    }
    this.calls.clear()
    if (this.responses.length === 0) return ""
    return JSON.stringify(this.batch ? this.responses : this.responses[0])
  }
}

/** JSON-RPC 2.0 for the methods of a group. */
export const jsonRpcSerialization = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>
): RpcSerialization.RpcSerialization["Type"] => ({
  contentType: "application/json",
  includesFraming: false,
  unsafeMake: () => {
    const exchange = new Exchange(group.requests)
    return {
      decode: (data) => exchange.read(typeof data === "string" ? data : new TextDecoder().decode(data)),
      encode: (responses) => exchange.write(Array.isArray(responses) ? responses : [responses])
    }
  }
})
