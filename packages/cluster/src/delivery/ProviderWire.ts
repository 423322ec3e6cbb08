/**
 * The bulk mail provider's answers as they come over HTTP, and what its failures say. Kept apart from the adapter so that
 * the reading of each status and of each socket error stands in one place and can be tested without a socket.
 */
import { Duration, ParseResult, Schema } from "effect"
import {
  History,
  type ProviderError,
  ProviderRejected,
  ProviderUnavailable,
  ProviderUnknown,
  SendStatus,
  Throttled,
  TooLateToStart
} from "./Provider.ts"
import { NothingWritten, StartRefused } from "./StartGuard.ts"

/** What was answered with 2xx, by operation. */
export const Uploaded = Schema.Struct({ uploadId: Schema.NonEmptyString })
export const Started = Schema.Struct({ sendId: Schema.NonEmptyString })
export { History, SendStatus }

/** The body of every refusal. */
const Refusal = Schema.parseJson(Schema.Struct({
  error: Schema.Struct({
    reason: Schema.String,
    where: Schema.optionalWith(Schema.String, { default: () => "request" }),
    /** More precise than the header, which counts in seconds. */
    retryAfterMs: Schema.optional(Schema.NonNegative)
  })
}))
const readRefusal = Schema.decodeUnknownOption(Refusal)

/** When a 429 names no time. */
const retryAfterDefault = Duration.seconds(1)
/** Whatever a 429 asks for, it is not believed beyond this: a slip of the provider's must not stop the shop for a day. */
const retryAfterMax = Duration.minutes(10)
/** Characters of a foreign text that are passed on. */
const reasonMax = 300

const shorten = (text: string) => text.length > reasonMax ? `${text.slice(0, reasonMax)}...` : text

/** `Retry-After`: whole seconds, or an HTTP date. */
const retryAfterHeader = (value: string | undefined, now: number): Duration.Duration | undefined => {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value.trim())) return Duration.seconds(Number(value))
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Duration.millis(Math.max(0, date - now))
}

/** Statuses between 400 and 499 that do not say that nothing happened: see the header of `Provider.ts`. */
const ambiguous: ReadonlySet<number> = new Set([408, 409])

/** What an answer other than 2xx says. `now`: ms since the epoch, for dates in `Retry-After`. */
export const failureOfStatus = (
  status: number,
  retryAfter: string | undefined,
  body: string,
  now: number
): ProviderError => {
  const refusal = readRefusal(body)
  const told = refusal._tag === "Some" ? refusal.value.error : undefined
  const reason = shorten(`HTTP ${status}: ${told?.reason ?? body}`)
  if (status === 429) {
    const wait = told?.retryAfterMs !== undefined
      ? Duration.millis(told.retryAfterMs)
      : retryAfterHeader(retryAfter, now) ?? retryAfterDefault
    return new Throttled({ retryAfter: Duration.min(wait, retryAfterMax) })
  }
  if (status >= 400 && status < 500 && !ambiguous.has(status)) {
    const where = status === 401 || status === 403 ? "credentials" : told?.where ?? "request"
    return new ProviderRejected({ reason, where: shorten(where) })
  }
  return new ProviderUnknown({ reason })
}

/** An answer of 2xx that cannot be read: it happened, but nobody knows under which id. */
export const failureOfBody = (error: ParseResult.ParseError): ProviderError => {
  const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
  return new ProviderUnknown({
    reason: shorten(`unreadable answer: ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`)
  })
}

const property = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** Steps of a socket that come before the first byte of a request. */
const beforeTheFirstByte: ReadonlySet<unknown> = new Set(["connect", "getaddrinfo"])
/** Codes that only those steps have, where a client does not pass the step on. */
const onlyBefore: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT"
])
/** Clients wrap errors in errors; deeper than this nobody looks. */
const causesMax = 4

const nothingWritten = (cause: unknown, depth = 0): boolean => {
  if (depth === causesMax || cause === undefined) return false
  if (cause instanceof NothingWritten) return true
  if (cause instanceof AggregateError && cause.errors.length > 0) {
    return cause.errors.every((error: unknown) => nothingWritten(error, depth + 1))
  }
  return beforeTheFirstByte.has(property(cause, "syscall")) || onlyBefore.has(property(cause, "code")) ||
    nothingWritten(property(cause, "cause"), depth + 1)
}

const causeText = (cause: unknown): string =>
  shorten(cause instanceof Error ? `${String(property(cause, "code") ?? cause.name)} ${cause.message}` : String(cause))

/**
 * What a failure of the transport says. Only what surely came before the first byte counts as not having happened: a reset
 * on a connection that was open may have come after the request was carried out, even if it was an old connection.
 */
export const failureOfTransport = (cause: unknown): ProviderError => {
  if (cause instanceof StartRefused) return new TooLateToStart()
  return nothingWritten(cause)
    ? new ProviderUnavailable({ reason: causeText(cause) })
    : new ProviderUnknown({ reason: causeText(cause) })
}
