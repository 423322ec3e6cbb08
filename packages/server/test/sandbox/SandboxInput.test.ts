import { describe, expect, it } from "@effect/vitest"
import { RequestRefused } from "@hikyaku/cluster/delivery/sandbox/Sandbox"
import {
  readHistory,
  readHistoryParameters,
  readSend,
  readStatus,
  readUpload
} from "@hikyaku/server/sandbox/SandboxInput"
import { Either, FastCheck } from "effect"

const list = (change: object = {}) => ({
  listId: "list-1",
  channel: "mail",
  mailKey: "mail-1",
  recipients: [{ deliveryId: "d-1", address: "a@example.com" }],
  ...change
})
const recipient = (change: object) =>
  list({ recipients: [...list().recipients, { ...list().recipients[0], ...change }] })
const refusal = (result: Either.Either<unknown, RequestRefused>) =>
  Either.isLeft(result) ? [result.left.status, result.left.where] : "accepted"
const upload = (body: unknown, key?: string) => readUpload(JSON.stringify(body), key)

describe("G16: what the sandbox refuses, by place", () => {
  it.each([
    ["listId", list({ listId: 1 })],
    ["listId", list({ listId: "" })],
    ["listId", list({ listId: "x".repeat(321) })],
    ["mailKey", list({ mailKey: undefined })],
    ["channel", list({ channel: null })],
    ["template", list({ template: 1 })],
    ["recipients", list({ recipients: {} })],
    ["recipients[0]", list({ recipients: [null] })],
    ["recipients[1].deliveryId", recipient({ deliveryId: undefined })],
    ["recipients[1].address", recipient({ address: "a\u0000" })],
    ["recipients[1].address", recipient({ address: "\ud800" })],
    ["recipients[1].mailKey", recipient({ mailKey: "" })],
    ["recipients[1].subject", recipient({ subject: 1 })],
    ["recipients[1].content", recipient({ content: "text" })],
    ["recipients[1].content.html", recipient({ content: { html: 1 } })],
    ["recipients[1].parameters", recipient({ parameters: [] })],
    ["body", []],
    ["body", null]
  ])("%s (case %#)", (where, body) => {
    expect(refusal(upload(body))).toEqual([422, where])
  })
  it("what is not JSON", () => {
    expect(refusal(readUpload("{", undefined))).toEqual([400, "body"])
    expect(refusal(readHistory("<xml>"))).toEqual([400, "body"])
  })
  it("keys and ids", () => {
    expect(refusal(upload(list(), ""))).toEqual([422, "idempotency-key"])
    expect(refusal(readSend("", undefined))).toEqual([422, "uploadId"])
    expect(refusal(readStatus("x".repeat(1000)))).toEqual([422, "sendId"])
  })
  it("history questions", () => {
    expect(refusal(readHistory("{}"))).toMatchObject([422, expect.stringContaining("query")])
    expect(refusal(readHistory(JSON.stringify({ _tag: "Deliveries", deliveryIds: [1] })))).toEqual([
      422,
      "query.deliveryIds.0"
    ])
    expect(refusal(readHistory(JSON.stringify({ _tag: "List", listId: "a", cursor: "x" })))).toEqual([
      422,
      "query.cursor"
    ])
    expect(refusal(readHistoryParameters(new URLSearchParams("")))).toEqual([422, "query"])
    expect(refusal(readHistoryParameters(new URLSearchParams("address=a@example.com")))).toEqual([422, "query.mailKey"])
    expect(refusal(readHistoryParameters(new URLSearchParams("since=x")))).toEqual([422, "query.since"])
  })

  const whatever = FastCheck.oneof(
    FastCheck.json(),
    FastCheck.string({ unit: "binary" }),
    FastCheck.anything().map((value) => String(JSON.stringify(value))),
    FastCheck.record({
      listId: FastCheck.anything(),
      channel: FastCheck.anything(),
      mailKey: FastCheck.anything(),
      recipients: FastCheck.oneof(FastCheck.anything(), FastCheck.array(FastCheck.anything()))
    }, { requiredKeys: [] }).map((value) => String(JSON.stringify(value)))
  )
  it("anything else gets a typed refusal too", () =>
    FastCheck.assert(FastCheck.property(whatever, FastCheck.option(FastCheck.string()), (text, key) => {
      for (const result of [readUpload(text, key ?? undefined), readHistory(text)]) {
        if (Either.isLeft(result)) expect(result.left).toBeInstanceOf(RequestRefused)
      }
      readHistoryParameters(new URLSearchParams(text))
    })))
})

describe("what the sandbox reads", () => {
  it("a list, without what is not known", () => {
    const full = recipient({
      mailKey: "m",
      subject: "件名",
      content: { html: "<p>", text: "" },
      parameters: { a: [1] },
      surprise: 1
    })
    const result = upload(full, "key")
    expect(Either.getOrThrow(result)).toMatchObject({ op: "upload", listId: "list-1", idempotencyKey: "key" })
    expect(JSON.stringify(result)).not.toContain("surprise")
    expect(JSON.parse(JSON.stringify(Either.getOrThrow(result)))).toMatchObject({
      recipients: [{}, { subject: "件名", content: { html: "<p>", text: "" }, parameters: { a: [1] } }]
    })
  })
  it("the history's questions in both forms", () => {
    const ask = (parameters: string) => Either.getOrThrow(readHistoryParameters(new URLSearchParams(parameters)))
    expect(ask("deliveryId=a&deliveryId=b")).toEqual({
      op: "history",
      query: { _tag: "Deliveries", deliveryIds: ["a", "b"] }
    })
    expect(ask("mailKey=m&address=a")).toEqual({
      op: "history",
      query: { _tag: "Recipients", mailKey: "m", addresses: ["a"] }
    })
    expect(ask("since=5&cursor=1.2")).toEqual({ op: "history", query: { _tag: "Since", since: 5, cursor: "1.2" } })
    expect(readHistory(JSON.stringify({ _tag: "Mail", mailKey: "m" }))).toEqual(
      readHistoryParameters(new URLSearchParams("mailKey=m"))
    )
  })
})
