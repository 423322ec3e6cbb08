/**
 * Reads what clients send to the sandbox; whatever it refuses it names by place and reason (G16). Lists are read by hand:
 * a general decoder would make the sandbox slower than the limits it announces.
 */
import { historyLookupMax, type HistoryQuery, type Recipient } from "@hikyaku/cluster/delivery/Provider"
import { RequestRefused, type SandboxRequest } from "@hikyaku/cluster/delivery/sandbox/Sandbox"
import { Either, ParseResult, Schema } from "effect"

type Read<A> = Either.Either<A, RequestRefused>
type Fields = Readonly<Record<string, unknown>>

/** Longest id, key or address in characters. */
const nameMax = 320
/** Largest subject or rendered part in characters. */
const textMax = 1024 * 1024

const refused = (where: string, reason: string, status = 422) => new RequestRefused({ status, reason, where })
const isObject = (u: unknown): u is Fields => typeof u === "object" && u !== null && !Array.isArray(u)

/** Thrown within this module only, so that the loop over a large list stays plain. */
class Stop extends Error {
  constructor(readonly refusal: RequestRefused) {
    super(refusal.reason)
  }
}
const attempt = <A>(read: () => A): Read<A> => {
  try {
    return Either.right(read())
  } catch (error) {
    if (error instanceof Stop) return Either.left(error.refusal)
    throw error
  }
}
const stop = (where: string, reason: string, status?: number): never => {
  throw new Stop(refused(where, reason, status))
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    return stop("body", `not JSON: ${error instanceof Error ? error.message : "unreadable"}`, 400)
  }
}

const string = (value: unknown, where: string, max: number, min = 0): string => {
  if (typeof value !== "string") return stop(where, "a string is expected")
  if (value.length < min || value.length > max) return stop(where, `${min} to ${max} characters are expected`)
  if (value.includes("\u0000") || !value.isWellFormed()) return stop(where, "U+0000 or half a character")
  return value
}
const name = (value: unknown, where: string) => string(value, where, nameMax, 1)
const optional = <A>(value: unknown, where: string, read: (value: unknown, where: string) => A) =>
  value === undefined ? undefined : read(value, where)

const content = (value: unknown, where: string) => {
  if (!isObject(value)) return stop(where, "an object of texts is expected")
  return Object.fromEntries(
    Object.entries(value).map(([part, text]) => [part, string(text, `${where}.${part}`, textMax)])
  )
}
const object = (value: unknown, where: string) => isObject(value) ? value : stop(where, "an object is expected")

const recipient = (value: unknown, where: string): Recipient => {
  if (!isObject(value)) return stop(where, "an object is expected")
  return {
    deliveryId: name(value["deliveryId"], `${where}.deliveryId`),
    address: name(value["address"], `${where}.address`),
    mailKey: optional(value["mailKey"], `${where}.mailKey`, name),
    subject: optional(value["subject"], `${where}.subject`, (text, where) => string(text, where, textMax)),
    content: optional(value["content"], `${where}.content`, content),
    parameters: optional(value["parameters"], `${where}.parameters`, object)
  }
}

/** Header of the key under which a repeated request gets the first answer. */
const key = (header: string | undefined): string => header === undefined ? "" : name(header, "idempotency-key")

/** Body of `POST /v1/lists`. */
export const readUpload = (text: string, keyHeader: string | undefined): Read<SandboxRequest> =>
  attempt(() => {
    const body = parse(text)
    if (!isObject(body)) return stop("body", "an object is expected")
    const { recipients } = body
    if (!Array.isArray(recipients)) return stop("recipients", "an array is expected")
    return {
      op: "upload",
      listId: name(body["listId"], "listId"),
      channel: name(body["channel"], "channel"),
      mailKey: name(body["mailKey"], "mailKey"),
      template: optional(body["template"], "template", (text, where) => string(text, where, textMax)),
      recipients: recipients.map((value: unknown, index) => recipient(value, `recipients[${index}]`)),
      idempotencyKey: key(keyHeader)
    }
  })

/** `POST /v1/lists/:id/send`. */
export const readSend = (
  uploadId: string,
  keyHeader: string | undefined
): Read<Extract<SandboxRequest, { readonly op: "send" }>> =>
  attempt(() => ({ op: "send" as const, uploadId: name(uploadId, "uploadId"), idempotencyKey: key(keyHeader) }))

/** `GET /v1/sends/:id`. */
export const readStatus = (sendId: string): Read<SandboxRequest> =>
  attempt(() => ({ op: "status", sendId: name(sendId, "sendId") }))

const cursor = Schema.optional(Schema.String.pipe(Schema.pattern(/^\d{1,12}\.\d{1,12}$/)))
const names = Schema.Array(Schema.String).pipe(Schema.maxItems(historyLookupMax))
const Query = Schema.Union(
  Schema.TaggedStruct("Deliveries", { deliveryIds: names }),
  Schema.TaggedStruct("Recipients", { mailKey: Schema.String, addresses: names }),
  Schema.TaggedStruct("List", { listId: Schema.String, cursor }),
  Schema.TaggedStruct("Mail", { mailKey: Schema.String, cursor }),
  Schema.TaggedStruct("Since", { since: Schema.Finite, cursor })
)
const decodeQuery = Schema.decodeUnknownEither(Query)

const historyQuery = (value: unknown): Read<SandboxRequest> =>
  Either.mapBoth(decodeQuery(value), {
    onLeft: (error) => {
      const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
      return refused(["query", ...(issue?.path ?? [])].join("."), issue?.message ?? "not a query")
    },
    onRight: (query: HistoryQuery) => ({ op: "history" as const, query })
  })

/** Body of `POST /v1/history`. */
export const readHistory = (text: string): Read<SandboxRequest> =>
  Either.flatMap(attempt(() => parse(text)), historyQuery)

/** Parameters of `GET /v1/history`, for people: `deliveryId` and `address` may be repeated. */
export const readHistoryParameters = (parameters: URLSearchParams): Read<SandboxRequest> => {
  const one = (name: string) => parameters.get(name) ?? undefined
  const from = { cursor: one("cursor") }
  const mailKey = one("mailKey")
  if (parameters.has("deliveryId")) {
    return historyQuery({ _tag: "Deliveries", deliveryIds: parameters.getAll("deliveryId") })
  }
  if (parameters.has("address")) {
    return historyQuery({ _tag: "Recipients", mailKey, addresses: parameters.getAll("address") })
  }
  if (parameters.has("listId")) return historyQuery({ _tag: "List", listId: one("listId"), ...from })
  if (mailKey !== undefined) return historyQuery({ _tag: "Mail", mailKey, ...from })
  if (parameters.has("since")) return historyQuery({ _tag: "Since", since: Number(one("since")), ...from })
  return Either.left(refused("query", "deliveryId, mailKey (with address), listId or since is expected"))
}
