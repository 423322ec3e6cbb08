/** What every spool keeps: one suite over memory and PostgreSQL. */
import { describe, expect, it } from "@effect/vitest"
import { Spool, type SpooledList } from "@hikyaku/cluster/delivery/Spool"
import { Effect, type Layer } from "effect"

const listOf = (id: string, addresses: ReadonlyArray<string>, mailKey = "mail-1", channel = "mail"): SpooledList => ({
  id,
  listId: id,
  channel,
  mailKey,
  recipients: addresses.map((address, n) => ({ deliveryId: `${id}-${n}`, address, content: { text: "Grüße 😀" } }))
})

export const spoolContract = <E>(name: string, layer: Layer.Layer<Spool, E>) => {
  const test = (title: string, body: (spool: typeof Spool.Service) => Effect.Effect<unknown, unknown>) =>
    it.live(title, () => Effect.provide(Effect.flatMap(Spool, body), layer), 30_000)

  describe(`${name}: spool`, () => {
    test("a list goes from put to begun to ended, and each step is taken once", (spool) =>
      Effect.gen(function*() {
        const list = listOf("a", ["x@b.example", "y@b.example"])
        expect((yield* spool.begin("acc", "a"))._tag).toBe("Missing")
        yield* spool.put("acc", list)
        yield* spool.put("acc", listOf("a", ["other@b.example"]))
        expect(yield* spool.find("acc", "a")).toEqual({ results: null })
        expect(yield* spool.find("other", "a")).toBe(null)
        expect(yield* spool.begin("acc", "a")).toEqual({ _tag: "First", list, taken: new Set() })
        const again = yield* spool.begin("acc", "a")
        expect(again).toMatchObject({ _tag: "Again", list, taken: new Set() })
        expect(again._tag === "Again" && again.sinceMs).toBeGreaterThanOrEqual(0)
        const results = [{ deliveryId: "a-0", outcome: "Sent" as const, at: 1_700_000_000_000 }]
        yield* spool.end("acc", "a", results)
        yield* spool.end("acc", "a", [])
        expect(yield* spool.find("acc", "a")).toEqual({ results })
        expect((yield* spool.begin("acc", "a"))._tag).toBe("Ended")
        yield* spool.undo("acc", "a")
        expect((yield* spool.begin("acc", "a"))._tag).toBe("Ended")
      }))

    test("G10 an address is taken by the list that began first, in any spelling; undone, it is free", (spool) =>
      Effect.gen(function*() {
        yield* spool.put("acc", listOf("a", ["X@b.example", "y@b.example"]))
        yield* spool.put("acc", listOf("b", ["x@B.example", "z@b.example"]))
        yield* spool.put("acc", listOf("c", ["x@b.example"], "mail-2"))
        yield* spool.begin("acc", "a")
        expect(yield* spool.begin("acc", "b")).toMatchObject({ _tag: "First", taken: new Set(["b-0"]) })
        expect(yield* spool.begin("acc", "c")).toMatchObject({ _tag: "First", taken: new Set() })
        yield* spool.undo("acc", "b")
        yield* spool.undo("acc", "a")
        expect(yield* spool.begin("acc", "b")).toMatchObject({ _tag: "First", taken: new Set() })
        expect(yield* spool.begin("acc", "a")).toMatchObject({ _tag: "First", taken: new Set(["a-0"]) })
      }))

    test("G10 twice the same address in one list is one message", (spool) =>
      Effect.gen(function*() {
        yield* spool.put("acc", listOf("a", ["x@b.example", "X@b.example"]))
        expect(yield* spool.begin("acc", "a")).toMatchObject({ taken: new Set(["a-1"]) })
        expect(yield* spool.begin("acc", "a")).toMatchObject({ taken: new Set(["a-1"]) })
        // Tokens are no mail addresses: case counts.
        yield* spool.put("acc", listOf("b", ["Tok", "tok"], "mail-1", "push"))
        expect(yield* spool.begin("acc", "b")).toMatchObject({ taken: new Set() })
      }))

    test("G10 of many who begin one list at one time, one is first; of many lists, one carries the mail", (spool) =>
      Effect.gen(function*() {
        yield* spool.put("acc", listOf("a", ["x@b.example"]))
        const same = yield* Effect.all(Array.from({ length: 8 }, () => spool.begin("acc", "a")), { concurrency: 8 })
        expect(same.filter(({ _tag }) => _tag === "First")).toHaveLength(1)
        const ids = Array.from({ length: 8 }, (_, n) => `l${n}`)
        yield* Effect.forEach(ids, (id) => spool.put("acc", listOf(id, ["z@b.example"])))
        const others = yield* Effect.forEach(ids, (id) => spool.begin("acc", id), { concurrency: 8 })
        expect(others.filter((one) => one._tag === "First" && one.taken.size === 0)).toHaveLength(1)
      }))

    test("nothing young is forgotten", (spool) =>
      Effect.gen(function*() {
        yield* spool.put("acc", listOf("a", ["x@b.example"]))
        expect(yield* spool.sweep).toBe(0)
        expect(yield* spool.find("acc", "a")).not.toBe(null)
      }))
  })
}
