/** What every journal must do; run over each adapter. */
import { describe, expect, it } from "@effect/vitest"
import { Journal, type KindJournal, type Unit, type UnitChange } from "@hikyaku/cluster/actor/Journal"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { Effect, type Layer } from "effect"
import { type Counter, counterKind } from "./CounterKind.ts"

const start = 1_700_000_000_000
let ids = 0
const commandId = () => commandIdFrom(start + ids++, 0.5, 0.25, ids / 2 ** 20)

const change = (overrides: Partial<UnitChange> = {}): UnitChange => ({
  main: { total: 1, ceiling: 10, reminded: null },
  clock: start,
  dueAt: null,
  cell: "c1",
  epoch: 0,
  outcomes: [],
  rows: [],
  outbox: [],
  ...overrides
})
const unit = (actor: string, overrides: Partial<Unit> = {}): Unit => ({
  actor,
  base: { version: 0, writer: "", cell: "c1", epoch: 0 },
  writer: "w1",
  change: change(),
  asked: [],
  notAfter: null,
  ...overrides
})
const base = (version: number, writer = "w1", cell = "c1", epoch = 0) => ({ version, writer, cell, epoch })
const item = (counter: string, name: string, by = 1) => ({ counter, item: name, by, open: "yes", note: { name } })

/** `outboxOf` reads the happenings that were put out for an actor; `databaseNow` is the adapter's time in ms. */
export const journalContract = <R = never>(
  name: string,
  layer: Layer.Layer<Journal | R>,
  store: {
    readonly outboxOf: (actor: string) => Effect.Effect<ReadonlyArray<unknown>, never, R>
    readonly itemsOf: (actor: string) => Effect.Effect<number, never, R>
    readonly databaseNow: Effect.Effect<number, never, R>
  }
) =>
  describe(`journal contract: ${name}`, () => {
    it.layer(layer)((it) => {
      const journal: Effect.Effect<KindJournal<Counter>, never, Journal> = Effect.map(Journal, (j) => j.of(counterKind))
      const verdicts = (units: ReadonlyArray<Unit>) =>
        Effect.flatMap(journal, (j) => Effect.map(j.commit(units), (all) => all.map((verdict) => verdict._tag)))

      it.effect("creates, loads and changes an actor with its rows", () =>
        Effect.gen(function*() {
          const j = yield* journal
          const rows = [
            { table: "counter_item", mode: "insert" as const, row: item("a", "x", 3) },
            { table: "counter_item", mode: "insert" as const, row: item("a", "y", 4) }
          ]
          expect(yield* verdicts([unit("a", { change: change({ rows, dueAt: start + 5 }) })])).toEqual(["Committed"])
          const update = { table: "counter_item", mode: "update" as const, row: { ...item("a", "x", 3), open: "no" } }
          const next = change({ rows: [update], clock: start + 7, main: { total: 4, ceiling: 10, reminded: start } })
          expect(yield* verdicts([unit("a", { base: base(1), writer: "w2", change: next })])).toEqual(["Committed"])
          const [loaded] = yield* j.load(["a", "nobody"])
          expect(loaded?.fence).toEqual(base(2, "w2"))
          expect(loaded?.clock).toBe(start + 7)
          expect(loaded?.state.dueAt).toBe(start)
          expect([...loaded!.state.items]).toEqual([["y", 4]])
          const remove = { table: "counter_item", mode: "delete" as const, row: item("a", "y", 4) }
          expect(yield* verdicts([unit("a", { base: base(2, "w2"), change: change({ rows: [remove] }) })])).toEqual([
            "Committed"
          ])
          expect(yield* store.itemsOf("a")).toBe(1)
        }))

      it.effect("leaves the steady columns alone where a whole group does, and stores new actors beside units that do", () =>
        Effect.gen(function*() {
          const j = yield* journal
          yield* verdicts([unit("s1"), unit("s2")])
          // What such a unit says of the steady column is never looked at.
          const brief = (total: number) =>
            change({ main: { total, ceiling: 99, reminded: null }, steady: true, rows: [] })
          expect(
            yield* verdicts([
              unit("s1", { base: base(1), change: brief(5) }),
              unit("s2", { base: base(7), change: brief(5) }),
              unit("s3", { change: null })
            ])
          ).toEqual(["Committed", "Stale", "Committed"])
          const kept = change({ main: { total: 6, ceiling: 10, reminded: null }, steady: true })
          expect(
            yield* verdicts([
              unit("s1", { base: base(2), change: kept }),
              unit("s2", { base: base(1), change: change({ main: { total: 7, ceiling: 20, reminded: null } }) }),
              unit("s3")
            ])
          ).toEqual(["Committed", "Committed", "Committed"])
          const states = (yield* j.load(["s1", "s2", "s3"])).map(({ state }) => [state.id, state.total, state.limit])
          expect(states.toSorted()).toEqual([["s1", 6, 10], ["s2", 7, 20], ["s3", 1, 10]])
        }))

      it.effect("carries any text and number through its parameters", () =>
        Effect.gen(function*() {
          const j = yield* journal
          const names = [
            "",
            "NULL",
            "a,b",
            "{}",
            "{\"a\":1}",
            "\\",
            "\"",
            "\\\"",
            "it's",
            " ",
            "\n",
            "値下げ",
            "😀",
            "a",
            "a"
          ]
          const rows = names.map((name, i) => ({
            table: "counter_item",
            mode: "insert" as const,
            row: { ...item("t1", `${i}${name}`, i - 9), note: { name } }
          }))
          expect(
            yield* verdicts([
              unit("t1", { change: change({ rows, main: { total: -3, ceiling: 2 ** 53 - 1, reminded: null } }) })
            ])
          )
            .toEqual(["Committed"])
          const [loaded] = yield* j.load(["t1"])
          expect(loaded?.state.total).toBe(-3)
          expect(loaded?.state.limit).toBe(2 ** 53 - 1)
          expect(loaded?.state.items).toEqual(new Map(names.map((name, i) => [`${i}${name}`, i - 9])))
        }))

      it.effect("R2: one stale unit fails alone, its rows are not written", () =>
        Effect.gen(function*() {
          yield* verdicts([unit("b1"), unit("b2")])
          const rows = (actor: string) => [{ table: "counter_item", mode: "insert" as const, row: item(actor, "z") }]
          expect(
            yield* verdicts([
              unit("b1", { base: base(7), change: change({ rows: rows("b1") }) }),
              unit("b2", { base: base(1), change: change({ rows: rows("b2") }) })
            ])
          ).toEqual(["Stale", "Committed"])
          expect(yield* store.itemsOf("b1")).toBe(0)
          expect(yield* store.itemsOf("b2")).toBe(1)
        }))

      it.effect("R5: a version that recurs with another writer is stale", () =>
        Effect.gen(function*() {
          yield* verdicts([unit("c", { writer: "w9" })])
          expect(yield* verdicts([unit("c", { base: base(1, "w1") })])).toEqual(["Stale"])
          expect(yield* verdicts([unit("c", { base: base(1, "w9") })])).toEqual(["Committed"])
        }))

      it.effect("R8: a unit of another cell or epoch is stale", () =>
        Effect.gen(function*() {
          yield* verdicts([unit("d", { change: change({ cell: "hot-d", epoch: 1 }) })])
          expect(yield* verdicts([unit("d", { base: base(1) })])).toEqual(["Stale"])
          expect(yield* verdicts([unit("d", { base: base(1, "w1", "hot-d", 0) })])).toEqual(["Stale"])
          expect(yield* verdicts([unit("d", { base: base(1, "w1", "c1", 1) })])).toEqual(["Stale"])
          expect(yield* verdicts([unit("d", { base: base(1, "w1", "hot-d", 1), change: null })])).toEqual(["Committed"])
        }))

      it.effect("creation is fenced too: of two first units one wins", () =>
        Effect.gen(function*() {
          expect(yield* verdicts([unit("e")])).toEqual(["Committed"])
          expect(yield* verdicts([unit("e", { writer: "w2" })])).toEqual(["Stale"])
        }))

      it.effect("R1: a version check alone confirms or denies, and writes nothing", () =>
        Effect.gen(function*() {
          const j = yield* journal
          yield* verdicts([unit("f")])
          expect(
            yield* verdicts([
              unit("f", { base: base(1), change: null }),
              unit("never", { change: null })
            ])
          ).toEqual(["Committed", "Committed"])
          expect(yield* verdicts([unit("f", { base: base(2), change: null })])).toEqual(["Stale"])
          expect(yield* verdicts([unit("f", { change: null })])).toEqual(["Stale"])
          expect((yield* j.load(["f"]))[0]?.fence.version).toBe(1)
        }))

      it.effect("R3: outcomes are found again; a known command id keeps its unit out", () =>
        Effect.gen(function*() {
          const j = yield* journal
          const outcome = { command: commandId(), hash: "h", reply: { _tag: "Added", text: "数量 \"3\" \\ {1,2}" } }
          yield* verdicts([unit("g", { change: change({ outcomes: [outcome] }) })])
          expect(
            yield* j.outcomes([{ actor: "g", command: outcome.command }, { actor: "h", command: outcome.command }])
          )
            .toEqual([{ actor: "g", ...outcome }])
          const again = unit("g", {
            base: base(1),
            change: change({
              outcomes: [{ ...outcome, command: commandId() }, outcome],
              rows: [
                { table: "counter_item", mode: "insert", row: item("g", "twice") }
              ]
            })
          })
          expect(yield* verdicts([again, unit("g2")])).toEqual(["Known", "Committed"])
          expect(yield* store.itemsOf("g")).toBe(0)
        }))

      it.effect("R3: a unit that asks for a command on record is known, whether it changes anything or not", () =>
        Effect.gen(function*() {
          const outcome = { command: commandId(), hash: "h", reply: { _tag: "Added" } }
          yield* verdicts([unit("n", { change: change({ outcomes: [outcome] }) })])
          const asked = [commandId(), outcome.command]
          expect(
            yield* verdicts([
              unit("n", { base: base(1), change: null, asked }),
              // The same id is another command of another actor.
              unit("n2", { change: null, asked })
            ])
          ).toEqual(["Known", "Committed"])
          expect(
            yield* verdicts([
              unit("n", { base: base(1), asked, change: change({ outcomes: [{ ...outcome, command: commandId() }] }) })
            ])
          ).toEqual(["Known"])
          expect(yield* verdicts([unit("n", { base: base(1), asked: [commandId()] })])).toEqual(["Committed"])
        }))

      it.effect("R2: what no parameter can carry is a fault of its unit alone", () =>
        Effect.gen(function*() {
          const outcome = { command: commandId(), hash: "h", reply: { _tag: "Added", what: 1n } }
          const row = { table: "counter_elsewhere", mode: "insert" as const, row: item("o3", "x") }
          expect(
            yield* verdicts([
              unit("o1"),
              unit("o2", { change: change({ outcomes: [outcome] }) }),
              unit("o3", { change: change({ rows: [row] }) }),
              unit("o4")
            ])
          ).toEqual(["Committed", "Fault", "Fault", "Committed"])
        }))

      it.effect("R2: what the store refuses is a fault of its unit alone", () =>
        Effect.gen(function*() {
          yield* verdicts([
            unit("i", { change: change({ rows: [{ table: "counter_item", mode: "insert", row: item("i", "k") }] }) })
          ])
          const nul = { command: commandId(), hash: "h", reply: { _tag: "Added" } }
          const found = yield* Effect.flatMap(journal, (j) =>
            j.commit([
              unit("i", {
                base: base(1),
                change: change({ rows: [{ table: "counter_item", mode: "insert", row: item("i", "k") }] })
              }),
              unit("i2", { change: change({ outcomes: [nul] }) }),
              unit("i3", {
                change: change({ rows: [{ table: "counter_item", mode: "insert", row: item("i3", "a\u0000b") }] })
              }),
              unit("i4")
            ]))
          expect(found.map((verdict) => verdict._tag)).toEqual(["Fault", "Committed", "Fault", "Committed"])
        }))

      it.effect("R6: a unit does not commit after its time", () =>
        Effect.gen(function*() {
          const now = yield* store.databaseNow
          expect(yield* verdicts([unit("j", { notAfter: now - 1000 }), unit("j2", { notAfter: now + 60_000 })]))
            .toEqual([
              "Late",
              "Committed"
            ])
        }))

      it.effect("R13: happenings go out with the commit, keyed by actor and version", () =>
        Effect.gen(function*() {
          const outbox = [
            { at: start, happening: { _tag: "SoldOut" as const, product: "k" } },
            { at: start + 1, happening: { _tag: "Restocked" as const, product: "k", available: 2 } }
          ]
          yield* verdicts([unit("k", { change: change({ outbox }) })])
          yield* verdicts([unit("k", { base: base(9), change: change({ outbox }) })])
          expect(yield* store.outboxOf("k")).toEqual(outbox)
        }))

      it.effect("R15: what is due is found by cell, oldest first, bounded", () =>
        Effect.gen(function*() {
          const j = yield* journal
          const due = (actor: string, at: number | null, cell: string) =>
            unit(actor, { change: change({ dueAt: at, cell }), base: { ...base(0, ""), cell } })
          yield* verdicts([
            due("l1", start + 2, "z1"),
            due("l2", start + 1, "z1"),
            due("l3", start + 9, "z1"),
            due("l4", null, "z1"),
            due("l5", start, "z2")
          ])
          expect((yield* j.due(["z1"], start + 5, 10)).map((each) => each.actor)).toEqual(["l2", "l1"])
          expect((yield* j.due(["z1", "z2"], start + 5, 2)).map((each) => each.actor)).toEqual(["l5", "l2"])
        }))

      it.effect("R15: when the next is due is known, and what was committed here since that was asked", () =>
        Effect.gen(function*() {
          const j = yield* journal
          const due = (actor: string, at: number | null, cell: string) =>
            unit(actor, { change: change({ dueAt: at, cell }), base: { ...base(0, ""), cell } })
          j.takeDue()
          yield* verdicts([due("x1", start + 7, "y1"), due("x2", start + 3, "y1"), due("x3", null, "y1")])
          expect(j.takeDue()).toBe(start + 3)
          expect(j.takeDue()).toBe(null)
          yield* verdicts([due("x4", start + 5, "y2"), unit("x5")])
          expect(j.takeDue()).toBe(start + 5)
          expect(yield* j.nextDue(["y1", "y2"], start)).toBe(start + 3)
          expect(yield* j.nextDue(["y1", "y2"], start + 3)).toBe(start + 5)
          expect(yield* j.nextDue(["y1"], start + 3)).toBe(start + 7)
          expect(yield* j.nextDue(["y1", "y2"], start + 7)).toBe(null)
          expect(yield* j.nextDue([], start)).toBe(null)
        }))

      it.effect("R8: a move is a change whose base is the old cell; who lives in a cell of its own is found", () =>
        Effect.gen(function*() {
          const j = yield* journal
          yield* verdicts([unit("q1"), unit("q2"), unit("q3")])
          const to = (actor: string, cell: string, epoch: number, from: Unit["base"]) =>
            unit(actor, { base: from, change: change({ cell, epoch }) })
          expect(
            yield* verdicts([
              to("q1", "hot-q1", 1, base(1)),
              to("q2", "hot-q2", 1, base(1)),
              to("q3", "hot-q3", 1, base(1, "w1", "c9"))
            ])
          ).toEqual(["Committed", "Committed", "Stale"])
          const hot = Effect.map(j.hot(100), (all) => all.filter(({ actor }) => actor.startsWith("q")))
          expect(yield* hot).toEqual([{ actor: "q1", cell: "hot-q1" }, { actor: "q2", cell: "hot-q2" }])
          expect(yield* j.hot(1)).toHaveLength(1)
          // Whoever has not heard of the move, or of one back and forth, writes nothing.
          expect(yield* verdicts([unit("q1", { base: base(2) })])).toEqual(["Stale"])
          expect(yield* verdicts([to("q1", "c1", 2, base(2, "w1", "hot-q1", 0))])).toEqual(["Stale"])
          expect(yield* verdicts([to("q1", "c1", 2, base(2, "w1", "hot-q1", 1))])).toEqual(["Committed"])
          expect((yield* j.load(["q1"]))[0]?.fence).toMatchObject({ cell: "c1", epoch: 2 })
          expect((yield* hot).map(({ actor }) => actor)).toEqual(["q2"])
        }))

      it.effect("G5: of many racing writers on one base exactly one commits", () =>
        Effect.gen(function*() {
          yield* verdicts([unit("m")])
          const racing = yield* Effect.all(
            Array.from({ length: 20 }, (_, i) => verdicts([unit("m", { base: base(1), writer: `r${i}` })])),
            { concurrency: "unbounded" }
          )
          expect(racing.flat().filter((verdict) => verdict === "Committed")).toHaveLength(1)
        }))
    })
  })
