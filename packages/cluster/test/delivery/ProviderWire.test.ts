import { describe, expect, it } from "@effect/vitest"
import { failureOfStatus, failureOfTransport } from "@hikyaku/cluster/delivery/ProviderWire"
import { NothingWritten, StartRefused } from "@hikyaku/cluster/delivery/StartGuard"
import { Duration } from "effect"

const now = Date.UTC(2026, 0, 1)
const failure = (status: number, body = "", retryAfter?: string) => failureOfStatus(status, retryAfter, body, now)

describe("R21: what a status says", () => {
  it.each([400, 401, 403, 404, 410, 413, 415, 422, 425, 451])("%i: known not to have happened", (status) => {
    expect(failure(status)._tag).toBe("ProviderRejected")
  })
  it.each([301, 303, 307, 408, 409, 500, 501, 502, 503, 504, 507, 599])("%i: unknown", (status) => {
    expect(failure(status)._tag).toBe("ProviderUnknown")
  })
  it("names the place and the reason, shortened", () => {
    expect(failure(422, JSON.stringify({ error: { reason: "too long", where: "recipients[3]" } }))).toMatchObject({
      reason: "HTTP 422: too long",
      where: "recipients[3]"
    })
    expect(failure(401, "<html>")).toMatchObject({ reason: "HTTP 401: <html>", where: "credentials" })
    expect(JSON.stringify(failure(400, "x".repeat(100_000))).length).toBeLessThan(1000)
  })
  it.each([
    ["3", "", 3000],
    [undefined, JSON.stringify({ error: { reason: "", retryAfterMs: 250 } }), 250],
    ["3", JSON.stringify({ error: { reason: "", retryAfterMs: 250 } }), 250],
    [new Date(now + 5000).toUTCString(), "", 5000],
    [new Date(now - 5000).toUTCString(), "", 0],
    ["soon", "", 1000],
    [undefined, "", 1000],
    ["999999999", "", 600_000],
    [undefined, JSON.stringify({ error: { reason: "", retryAfterMs: -1 } }), 1000]
  ])("429 with %s %s waits %i ms", (header, body, ms) => {
    const error = failure(429, body, header)
    expect(error._tag === "Throttled" && Duration.toMillis(error.retryAfter)).toBe(ms)
  })
})

describe("R21: what a failure of the transport says", () => {
  const error = (fields: object) => Object.assign(new Error("x"), fields)
  it.each([
    error({ code: "ECONNREFUSED", syscall: "connect" }),
    error({ code: "ETIMEDOUT", syscall: "connect" }),
    error({ code: "EHOSTUNREACH", syscall: "connect" }),
    error({ code: "ENOTFOUND", syscall: "getaddrinfo" }),
    new AggregateError([error({ syscall: "connect" }), error({ syscall: "connect" })]),
    new TypeError("fetch failed", { cause: error({ code: "ECONNREFUSED" }) }),
    new NothingWritten({ reason: "certificate" })
  ])("%s before the first byte: known not to have happened", (cause) => {
    expect(failureOfTransport(cause)._tag).toBe("ProviderUnavailable")
  })
  it.each([
    error({ code: "ECONNRESET", syscall: "read" }),
    error({ code: "EPIPE", syscall: "write" }),
    // On an open connection: the request may have arrived.
    error({ code: "ETIMEDOUT", syscall: "read" }),
    error({ code: "EHOSTUNREACH", syscall: "write" }),
    new AggregateError([error({ syscall: "connect" }), error({ syscall: "read" })]),
    new AggregateError([]),
    new Error("socket hang up"),
    "nothing known",
    undefined
  ])("%s: unknown", (cause) => {
    expect(failureOfTransport(cause)._tag).toBe("ProviderUnknown")
  })
  it("the guard's refusal is its own", () => {
    expect(failureOfTransport(new StartRefused())._tag).toBe("TooLateToStart")
  })
})
