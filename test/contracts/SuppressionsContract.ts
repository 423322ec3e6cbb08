/** What every store of suppressions keeps: one suite over memory and PostgreSQL. `layer`: 3 soft bounces within an hour. */
import { describe, expect, it } from "@effect/vitest"
import { type AddressReport, Suppressions } from "@hikyaku/cluster/delivery/Suppressions"
import { Effect, type Layer } from "effect"

const now = 1_760_000_000_000
const minute = 60_000
const report = (key: string, kind: AddressReport["kind"], change: Partial<AddressReport> = {}): AddressReport => ({
  key,
  channel: "mail",
  address: "x@b.example",
  kind,
  reason: `because of ${key}`,
  at: now,
  ...change
})

export const suppressionsContract = <E>(name: string, layer: Layer.Layer<Suppressions, E>) => {
  const test = (title: string, body: (port: typeof Suppressions.Service) => Effect.Effect<unknown, unknown>) =>
    it.live(title, () => Effect.provide(Effect.flatMap(Suppressions, body), layer), 30_000)

  describe(`${name}: suppressions`, () => {
    test("a hard bounce suppresses its address on its channel, in any spelling, and no other", (port) =>
      Effect.gen(function*() {
        expect(yield* port.report([report("1", "hard", { address: "X@b.example" })])).toEqual(new Set(["1"]))
        expect(yield* port.suppressed("mail", ["x@B.example", "y@b.example"])).toEqual(
          new Map([["x@B.example", { cause: "hard bounce", reason: "because of 1" }]])
        )
        expect(yield* port.suppressed("push", ["x@b.example"])).toEqual(new Map())
        yield* port.report([report("2", "hard", { channel: "push", address: "Token" })])
        expect([...(yield* port.suppressed("push", ["token", "Token"])).keys()]).toEqual(["Token"])
        expect(yield* port.suppressed("mail", [])).toEqual(new Map())
      }))

    test("a complaint says more than a bounce; what stands is not weakened", (port) =>
      Effect.gen(function*() {
        yield* port.report([report("1", "hard")])
        yield* port.report([report("2", "complaint")])
        yield* port.report([report("3", "hard")])
        expect((yield* port.suppressed("mail", ["x@b.example"])).get("x@b.example")?.cause).toBe("complaint")
        yield* port.report([
          report("4", "hard", { address: "z@b.example" }),
          report("5", "complaint", { address: "z@b.example" })
        ])
        expect((yield* port.suppressed("mail", ["z@b.example"])).get("z@b.example")?.cause).toBe("complaint")
      }))

    test("soft bounces are counted, each once, within the window only", (port) =>
      Effect.gen(function*() {
        const isSuppressed = Effect.map(port.suppressed("mail", ["x@b.example"]), (found) => found.size === 1)
        expect(yield* port.report([report("1", "soft"), report("1", "soft"), report("2", "soft")])).toEqual(new Set())
        yield* port.report([report("1", "soft"), report("2", "soft", { at: now + minute })])
        expect(yield* isSuppressed).toBe(false)
        yield* port.report([report("old", "soft", { at: now - 61 * minute })])
        expect(yield* isSuppressed).toBe(false)
        yield* port.report([report("other", "soft", { address: "y@b.example" })])
        expect(yield* isSuppressed).toBe(false)
        expect(yield* port.report([report("3", "soft", { at: now + 59 * minute })])).toEqual(new Set(["3"]))
        expect((yield* port.suppressed("mail", ["x@b.example"])).get("x@b.example")?.cause).toBe("soft bounces")
      }))

    test("what lies longer back than the window does not count", (port) =>
      Effect.gen(function*() {
        yield* port.report([report("1", "soft")])
        yield* port.report([report("2", "soft", { at: now + 30 * minute })])
        expect(yield* port.report([report("3", "soft", { at: now + 61 * minute })])).toEqual(new Set())
        expect(yield* port.report([report("4", "soft", { at: now + 62 * minute })])).toEqual(new Set(["4"]))
      }))

    test("enough soft bounces in one call suppress as well", (port) =>
      Effect.gen(function*() {
        yield* port.report([report("1", "soft"), report("2", "soft"), report("3", "soft")])
        expect((yield* port.suppressed("mail", ["x@b.example"])).size).toBe(1)
      }))

    test("lifted, an address is reached again, and its count begins anew", (port) =>
      Effect.gen(function*() {
        yield* port.report([report("1", "soft"), report("2", "soft"), report("3", "soft")])
        expect(yield* port.lift("mail", "X@b.example")).toBe(true)
        expect(yield* port.lift("mail", "x@b.example")).toBe(false)
        yield* port.report([report("4", "soft"), report("5", "soft")])
        expect(yield* port.suppressed("mail", ["x@b.example"])).toEqual(new Map())
      }))
  })
}
