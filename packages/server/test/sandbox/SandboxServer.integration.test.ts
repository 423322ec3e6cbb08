import { HttpServer } from "@effect/platform"
import { NodeHttpClient } from "@effect/platform-node"
import { describe, expect, it } from "@effect/vitest"
import { SandboxControl } from "@hikyaku/cluster/delivery/sandbox/SandboxControl"
import * as SandboxClient from "@hikyaku/server/sandbox/SandboxClient"
import * as SandboxMain from "@hikyaku/server/sandbox/SandboxMain"
import { bodyBytesMax } from "@hikyaku/server/sandbox/SandboxServer"
import { ConfigProvider, Effect, Exit, Layer, Redacted, Scope } from "effect"
import * as fs from "node:fs/promises"
import * as Net from "node:net"
import * as os from "node:os"
import * as path from "node:path"

const folder = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "hikyaku-sandbox-"))),
  (folder) => Effect.promise(() => fs.rm(folder, { recursive: true, force: true }))
)

/** A sandbox of its own for each test. */
const sandbox = (apiKey = "") =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      SandboxMain.layer({ host: "127.0.0.1", port: 0, folder: yield* folder, apiKey: Redacted.make(apiKey) })
    )
    const url = yield* Effect.provide(HttpServer.addressFormattedWith(Effect.succeed), context)
    const control = yield* Effect.provide(SandboxControl, context)
    yield* control.configure({ latency: { _tag: "Fixed", ms: 0 }, uploadPerRecipientMs: 0 })
    return { url, control }
  })

/** A plain request; its status, headers and body. */
const ask = (url: string, method = "GET", body?: string, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, { method, headers, ...(body !== undefined && { body }) })
    const text = await response.text()
    const read: unknown = text === "" ? undefined : JSON.parse(text)
    return { status: response.status, headers: response.headers, body: read }
  })

const list = JSON.stringify({
  listId: "list-1",
  channel: "mail",
  mailKey: "mail-1",
  recipients: [{ deliveryId: "d-1", address: "a@example.com" }]
})

describe("the sandbox over HTTP, as any client sees it", () => {
  it.scopedLive("list, send, status, history, report", () =>
    Effect.gen(function*() {
      const { url } = yield* sandbox()
      expect(yield* ask(`${url}/v1/lists`, "POST", list, { "idempotency-key": "k" })).toMatchObject({
        status: 201,
        body: { uploadId: "u-1" }
      })
      expect((yield* ask(`${url}/v1/lists`, "POST", list, { "idempotency-key": "k" })).body).toEqual({
        uploadId: "u-1"
      })
      expect(yield* ask(`${url}/v1/lists/u-1/send`, "POST")).toMatchObject({ status: 202, body: { sendId: "s-3" } })
      expect(yield* ask(`${url}/v1/sends/s-3`)).toMatchObject({ status: 200, body: { state: "Queued" } })
      expect(yield* ask(`${url}/v1/history?mailKey=mail-1&address=A@example.com`)).toMatchObject({
        status: 200,
        body: { deliveries: [{ deliveryId: "d-1", state: "Accepted" }] }
      })
      expect(yield* ask(`${url}/v1/report`)).toMatchObject({
        body: { requests: { total: 5, upload: 2, send: 1, status: 1, history: 1 }, lists: 1, mailed: 1 }
      })
      expect(yield* ask(`${url}/v1/report/requests?after=4`)).toMatchObject({ body: [{ n: 5, op: "history" }] })
      expect(yield* ask(`${url}/v1/report/mails`)).toMatchObject({ body: [{ address: "a@example.com", copies: 1 }] })
      expect(yield* ask(`${url}/v1/reset`, "POST")).toMatchObject({ status: 200 })
      expect(yield* ask(`${url}/v1/report`)).toMatchObject({ body: { requests: { total: 0 } } })
    }))

  it.scopedLive("429 with Retry-After in whole seconds", () =>
    Effect.gen(function*() {
      const { url, control } = yield* sandbox()
      yield* control.configure({ faults: { throttle: 1 }, retryAfterMs: 1200 })
      const { body, headers, status } = yield* ask(`${url}/v1/sends/s-1`)
      expect(status).toBe(429)
      expect(headers.get("retry-after")).toBe("2")
      expect(body).toMatchObject({ error: { retryAfterMs: 1200 } })
    }))

  it.scopedLive("settings: what is not named stays, nonsense is named", () =>
    Effect.gen(function*() {
      const { url } = yield* sandbox()
      const before = (yield* ask(`${url}/v1/settings`)).body
      const put = (body: string) => ask(`${url}/v1/settings`, "PUT", body)
      expect(yield* put("{\"concurrency\":{\"send\":2},\"seed\":5}")).toMatchObject({
        status: 200,
        body: { concurrency: { total: 16, upload: 8, send: 2 }, seed: 5 }
      })
      yield* put("{\"concurrency\":{\"send\":null},\"seed\":1}")
      expect((yield* ask(`${url}/v1/settings`)).body).toEqual(before)
      for (
        const [body, status, where] of [
          ["{", 400, "body"],
          ["[]", 422, "settings"],
          ["{\"speed\":1}", 422, "speed"],
          ["{\"perSecond\":{\"total\":0}}", 422, "perSecond.total"],
          ["{\"latency\":{\"_tag\":\"Fixed\",\"ms\":-1}}", 422, "latency.ms"]
        ] as const
      ) expect(yield* put(body)).toMatchObject({ status, body: { error: { where } } })
      expect((yield* ask(`${url}/v1/settings`)).body).toEqual(before)
    }))

  it.scopedLive("G16: bad requests are refused by place, counted as requests, and have no effect", () =>
    Effect.gen(function*() {
      const { url } = yield* sandbox()
      expect(yield* ask(`${url}/v1/lists`, "POST", "{")).toMatchObject({
        status: 400,
        body: { error: { where: "body" } }
      })
      expect(yield* ask(`${url}/v1/lists`, "POST", list.replace("d-1", ""))).toMatchObject({
        status: 422,
        body: { error: { where: "recipients[0].deliveryId" } }
      })
      expect(yield* ask(`${url}/v1/history`)).toMatchObject({ status: 422, body: { error: { where: "query" } } })
      expect(yield* ask(`${url}/v1/sends/${encodeURIComponent("s/1")}`)).toMatchObject({ status: 404 })
      expect(yield* ask(`${url}/v1/nothing`)).toMatchObject({ status: 404 })
      expect(yield* ask(`${url}/v1/report/requests?after=x`)).toMatchObject({ status: 422 })
      expect(yield* ask(`${url}/v1/report`)).toMatchObject({
        body: { requests: { total: 4 }, answers: { 400: 1, 404: 1, 422: 2 }, lists: 0, underWay: { total: 0 } }
      })
    }))

  it.scopedLive("G16: a body beyond the bound is refused before it is read", () =>
    Effect.gen(function*() {
      const { control, url } = yield* sandbox()
      const head = yield* Effect.async<string>((resume) => {
        const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
        socket.once("data", (chunk) => {
          socket.destroy()
          resume(Effect.succeed(String(chunk)))
        })
        socket.write(`POST /v1/lists HTTP/1.1\r\nhost: x\r\ncontent-length: ${bodyBytesMax + 1}\r\n\r\n`)
      })
      expect(head).toMatch(/^HTTP\/1.1 413 /)
      expect(yield* control.report).toMatchObject({ answers: { 413: 1 } })
    }))

  it.scopedLive("G17: without the key nothing happens and nothing is learned", () =>
    Effect.gen(function*() {
      const { control, url } = yield* sandbox("secret")
      const wrong: ReadonlyArray<Record<string, string>> = [{}, { authorization: "Bearer wrong!" }, {
        authorization: "secret"
      }]
      for (const headers of wrong) {
        for (const place of ["/v1/report", "/v1/settings", "/v1/sends/s-1", "/v1/nothing"]) {
          expect(yield* ask(`${url}${place}`, "GET", undefined, headers)).toMatchObject({
            status: 401,
            body: { error: { where: "authorization" } }
          })
        }
        expect((yield* ask(`${url}/v1/reset`, "POST", "", headers)).status).toBe(401)
      }
      expect((yield* control.report).requests.total).toBe(0)
      const withKey = Layer.provide(SandboxClient.layer(url, Redacted.make("secret")), NodeHttpClient.layer)
      expect((yield* Effect.provide(Effect.flatMap(SandboxControl, (control) => control.report), withKey)).lists).toBe(
        0
      )
      const without = Layer.provide(SandboxClient.layer(url), NodeHttpClient.layer)
      const refused = yield* Effect.flip(
        Effect.provide(Effect.flatMap(SandboxControl, (control) => control.report), without)
      )
      expect(refused._tag).toBe("SandboxUnavailable")
    }))

  it.scopedLive("G9: a request counts from its headers on, while its body is still on the way", () =>
    Effect.gen(function*() {
      const { control, url } = yield* sandbox()
      yield* control.configure({ concurrency: { upload: 1 } })
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => Net.connect(Number(new URL(url).port), "127.0.0.1")),
        (socket) => Effect.sync(() => socket.destroy())
      )
      socket.write("POST /v1/lists HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
      yield* Effect.repeat(Effect.delay(control.report, "5 millis"), { until: ({ underWay }) => underWay.upload === 1 })
      expect((yield* ask(`${url}/v1/lists`, "POST", list)).status).toBe(429)
      // Whoever hangs up in the middle of it has sent a broken request, and occupies nothing any more.
      socket.destroy()
      yield* Effect.repeat(Effect.delay(control.report, "5 millis"), { until: ({ underWay }) => underWay.upload === 0 })
      expect((yield* ask(`${url}/v1/lists`, "POST", list)).status).toBe(201)
      expect(yield* control.report).toMatchObject({ violations: { total: 1 }, answers: { 400: 1, 429: 1, 201: 1 } })
    }))

  it.live("R25: closing it leaves no connection behind, not even half-open ones", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { control, url } = yield* Scope.extend(sandbox(), scope)
      yield* control.configure({ faults: { halfOpen: 1 } })
      const gone = Effect.promise(() => fetch(`${url}/v1/sends/s-1`).then(() => "answered", () => "gone"))
      const [end] = yield* Effect.all([
        gone,
        Effect.zipRight(
          Effect.repeat(Effect.delay(control.report, "5 millis"), { until: ({ answers }) => answers["0"] === 1 }),
          Scope.close(scope, Exit.void)
        )
      ], { concurrency: "unbounded" })
      expect(end).toBe("gone")
    }))

  it.effect("its configuration: loopback unless somebody means otherwise", () =>
    Effect.gen(function*() {
      const read = (entries: ReadonlyArray<readonly [string, string]>) =>
        Effect.withConfigProvider(SandboxMain.sandboxConfig, ConfigProvider.fromMap(new Map(entries)))
      expect(yield* read([])).toMatchObject({ host: "127.0.0.1", port: 8025, folder: ".hikyaku/sandbox" })
      expect(yield* read([["HIKYAKU_SANDBOX.PORT", "99"]])).toMatchObject({ port: 99 })
    }))
})
