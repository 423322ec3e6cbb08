/**
 * G16 every method, fed with input derived from its own schema and then broken, and with input derived from nothing: the
 * answer is a result or a typed error, never a fault, and the process lives on.
 */
import { expect, layer } from "@effect/vitest"
import { HikyakuApi } from "@hikyaku/domain/api/Api"
import { payloadOf } from "@hikyaku/server/rpc/RequestGuard"
import { Arbitrary, Effect, Schema } from "effect"
import * as fc from "fast-check"
import { describe } from "vitest"
import * as TestApi from "./TestApi.ts"

/** Calls per method and kind of input. */
const calls = 25
/** Change it to look elsewhere; a failure names it. */
const seed = 20_260_801

/** What breaks things: wrong types, edges, text that no store takes, names of every object. */
const poison = fc.constantFrom<unknown>(
  null,
  0,
  -1,
  1e308,
  "",
  "\u0000",
  "\ud800",
  "x'; drop table product; --",
  "{{ 1 }}",
  "__proto__",
  [],
  {},
  [[[[]]]],
  true,
  "a".repeat(1_000),
  { constructor: 1 },
  "2010-01-01"
)

/** One field of an object, anywhere in it, replaced, dropped, or one more. */
const broken = (value: unknown, bad: unknown, pick: number): unknown => {
  if (typeof value !== "object" || value === null) return bad
  if (Array.isArray(value)) {
    const list: ReadonlyArray<unknown> = value
    return list.length === 0 ? [bad] : list.map((one, n) => n === pick % list.length ? broken(one, bad, pick + 1) : one)
  }
  const entries: ReadonlyArray<readonly [string, unknown]> = Object.entries(value)
  const at = pick % (entries.length + 2)
  if (at === entries.length) return { ...value, surplus: bad }
  return Object.fromEntries(
    entries.flatMap(([name, one], n) =>
      n !== at ? [[name, one]] : pick % 5 === 0 ? [] : [[name, pick % 2 === 0 ? bad : broken(one, bad, pick + 1)]]
    )
  )
}

const sample = <A>(arbitrary: fc.Arbitrary<A>) => fc.sample(arbitrary, { numRuns: calls, seed })

/** Codes that a caller can be answered; -32603 is our own fault. */
const expected = new Set([-32602, -32001, -32002, -32003, -32004, -32005, -32006, -32007])

layer(TestApi.layer(), { excludeTestServices: true })("G16 fuzz", (it) => {
  const send = (method: string, params: unknown) =>
    Effect.gen(function*() {
      const body = JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 })
      const { answer } = yield* TestApi.postJson(body)
      const error = (answer as { readonly error?: { readonly code: number; readonly message: string } }).error
      if (error !== undefined && !expected.has(error.code)) {
        expect.fail(`${method} answered ${error.code} ${error.message} to ${body.slice(0, 2_000)} (seed ${seed})`)
      }
    })

  describe.each([...HikyakuApi.requests.entries()])("%s", (method, rpc) => {
    const ast = payloadOf(rpc)
    it.effect("what its schema allows, whole and broken", () =>
      Effect.gen(function*() {
        if (ast === null || ast._tag === "VoidKeyword") return yield* send(method, {})
        const valid = sample(Arbitrary.make(Schema.make<unknown>(ast)))
        const bad = sample(fc.tuple(poison, fc.nat(30)))
        const encode = Schema.encodeUnknownSync(Schema.make<unknown>(ast))
        for (const [n, payload] of valid.entries()) {
          // Deadlines that a schema allows are longer than a test should take.
          const short = (value: unknown) =>
            typeof value === "object" && value !== null && !Array.isArray(value)
              ? { ...value, ...("deadline" in value && { deadline: 1_000 }), ...("wait" in value && { wait: 1 }) }
              : value
          const encoded = short(encode(payload))
          yield* send(method, encoded)
          const [poisoned, pick] = bad[n] ?? [null, 0]
          yield* send(method, broken(encoded, poisoned, pick))
        }
      }), 60_000)

    it.effect("anything", () =>
      Effect.forEach(sample(fc.jsonValue()), (params) => send(method, params), { discard: true }))
  })
})
