/** docs/rpc.md is the truth: every method is in it with an example that its schema accepts, and no others. */
import { HikyakuApi } from "@hikyaku/domain/api/Api"
import { payloadOf } from "@hikyaku/server/rpc/RequestGuard"
import { Either, ParseResult, Schema } from "effect"
import * as fs from "node:fs"
import { describe, expect, it } from "vitest"

const text = fs.readFileSync(new URL("../../../../docs/rpc.md", import.meta.url), "utf8")
const examples = [...text.matchAll(/^rpc (\S+) '(.*)'$/gm)].map(([, method = "", params = ""]) => ({ method, params }))

describe("docs/rpc.md", () => {
  it.each([...HikyakuApi.requests.keys()])("%s is described, with an example", (method) => {
    expect(text).toContain(`**${method}**`)
    expect(examples.map((example) => example.method)).toContain(method)
  })

  it.each(examples)("the example of $method is accepted: $params", ({ method, params }) => {
    const rpc = [...HikyakuApi.requests.values()].find(({ _tag }) => _tag === method)
    const ast = rpc === undefined ? null : payloadOf(rpc)
    if (ast === null) return expect.fail(`there is no method ${method}`)
    const payload: unknown = JSON.parse(params)
    if (ast._tag === "VoidKeyword") return expect(payload).toEqual({})
    const decoded = ParseResult.decodeUnknownEither(Schema.make<unknown>(ast), { onExcessProperty: "error" })(payload)
    expect(Either.isLeft(decoded) && ParseResult.TreeFormatter.formatIssueSync(decoded.left)).toBe(false)
  })
})
