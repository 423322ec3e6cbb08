/** Bulk imports: each event once whatever is lost in between, resumed where they are, no faster than the shop can follow. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { type EventImport, makeWith } from "@hikyaku/cluster/marketing/EventImport"
import { EventLog } from "@hikyaku/cluster/marketing/EventLog"
import { Hikyaku } from "@hikyaku/domain/api/Client"
import type { Event } from "@hikyaku/domain/api/EventApi"
import { Chunk, Duration, Effect, Fiber, Stream } from "effect"
import * as TestApi from "./TestApi.ts"

const now = Date.now()
const viewed = (source: string, n: number): Event => ({
  source,
  id: `e${n}`,
  at: now,
  happening: { _tag: "Viewed", member: `m${n % 7}`, product: `p${n % 3}` }
})
const events = (source: string, from: number, to: number): readonly [Event, ...ReadonlyArray<Event>] => {
  const [first, ...rest] = Array.from({ length: to - from + 1 }, (_, i) => viewed(source, from + i))
  return [first ?? viewed(source, from), ...rest]
}

const logged = (source: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      Effect.map(
        sql<{ readonly n: number; readonly ids: number }>`
          select count(*)::int as n, count(distinct event_id)::int as ids from event_log where source = ${source}`,
        ([row]) => row
      )
  )
const judgedAll = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql`update consumer_offset c set "offset" = p.next_offset - 1 from event_partition p where p.partition = c.partition`
)

layer(TestApi.layer(), { excludeTestServices: true })("event.import", (it) => {
  it.effect("takes each event once, however calls are repeated and overlap, and says how far it is", () =>
    Effect.gen(function*() {
      const { event } = yield* Hikyaku
      expect(yield* Effect.flip(event.readImport({ import: "a" }))).toMatchObject({ _tag: "Unknown", what: "import" })
      const first = yield* event.import({ import: "a", firstLine: 1, events: events("a", 1, 100) })
      expect(first).toMatchObject({ lines: 100, appended: 100, repeated: 0, finished: false, differed: [] })
      // Its answer was lost: the same again, and a call that overlaps it.
      expect(yield* event.import({ import: "a", firstLine: 1, events: events("a", 1, 100) })).toMatchObject({
        lines: 100,
        appended: 100
      })
      expect(yield* event.import({ import: "a", firstLine: 51, events: events("a", 51, 150) })).toMatchObject({
        lines: 150,
        appended: 150
      })
      // Known from elsewhere, and known with other content.
      yield* event.publish({ events: [viewed("a", 151), { ...viewed("a", 152), at: now - 1 }] })
      const told = yield* event.import({ import: "a", firstLine: 151, events: events("a", 151, 153), last: true })
      expect(told).toMatchObject({
        lines: 153,
        appended: 151,
        repeated: 1,
        differing: 1,
        finished: true,
        differed: [152]
      })
      expect(yield* event.readImport({ import: "a" })).toEqual({
        import: "a",
        lines: 153,
        appended: 151,
        repeated: 1,
        differing: 1,
        finished: true
      })
      expect(yield* logged("a")).toEqual({ n: 153, ids: 153 })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("G16 a gap, a finished import and a broken event are refused, and nothing is done", () =>
    Effect.gen(function*() {
      const { event } = yield* Hikyaku
      yield* event.import({ import: "b", firstLine: 1, events: events("b", 1, 10) })
      const refused = (firstLine: number, of: readonly [Event, ...ReadonlyArray<Event>]) =>
        Effect.flip(event.import({ import: "b", firstLine, events: of }))
      expect(yield* refused(12, events("b", 12, 20))).toMatchObject({ path: "firstLine", hint: "go on with 11" })
      const broken = { ...viewed("b", 12), at: now + 3_600_000 }
      expect(yield* refused(11, [viewed("b", 11), broken])).toMatchObject({ _tag: "BadInput", path: "events[1].at" })
      expect(yield* event.readImport({ import: "b" })).toMatchObject({ lines: 10 })
      yield* event.import({ import: "b", firstLine: 11, events: events("b", 11, 11), last: true })
      expect(yield* refused(12, events("b", 12, 12))).toMatchObject({ path: "import" })
      // A repeat of what was the last call is none of that.
      expect(yield* event.import({ import: "b", firstLine: 11, events: events("b", 11, 11), last: true }))
        .toMatchObject({ lines: 11, finished: true })
      expect(yield* logged("b")).toEqual({ n: 11, ids: 11 })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("several callers of one import at once: each event once, and the counts add up", () =>
    Effect.gen(function*() {
      const { event } = yield* Hikyaku
      const caller = Effect.gen(function*() {
        for (let from = 1; from <= 400; from += 50) {
          yield* event.import({
            import: "c",
            firstLine: from,
            events: events("c", from, from + 49),
            last: from === 351
          })
        }
      })
      yield* Effect.all([caller, caller, caller], { concurrency: "unbounded" })
      expect(yield* event.readImport({ import: "c" })).toMatchObject({
        lines: 400,
        appended: 400,
        repeated: 0,
        finished: true
      })
      expect(yield* logged("c")).toEqual({ n: 400, ids: 400 })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("progress is a stream that ends with the import", () =>
    Effect.gen(function*() {
      const { event } = yield* Hikyaku
      yield* event.import({ import: "d", firstLine: 1, events: events("d", 1, 10) })
      const watched = yield* Effect.fork(Stream.runCollect(event.watchImport({ import: "d" })))
      yield* event.import({ import: "d", firstLine: 11, events: events("d", 11, 20), last: true })
      const seen = Chunk.toReadonlyArray(yield* Fiber.join(watched))
      expect(seen.at(-1)).toMatchObject({ lines: 20, finished: true })
      expect(seen.every(({ lines }, n) => n === 0 || lines > (seen[n - 1]?.lines ?? 0))).toBe(true)
    }).pipe(Effect.scoped, Effect.provide(TestApi.webSocketClient)))

  it.effect("is held back while the log is far ahead of its judges, and goes on when they have followed", () =>
    Effect.gen(function*() {
      const log = yield* EventLog
      yield* judgedAll
      const impatient = yield* makeWith({ backlogMax: 5, waitMax: Duration.zero })
      const patient = yield* makeWith({ backlogMax: 5, waitMax: Duration.minutes(5) })
      const take = (imports: typeof EventImport.Service, first: number) =>
        imports.take("e", first, events("e", first, first + 9), false)
      expect(yield* take(impatient, 1)).toMatchObject({ lines: 10 })
      expect(yield* Effect.flip(take(impatient, 11))).toMatchObject({ _tag: "ImportHeld", backlog: 10 })
      expect(yield* impatient.read("e")).toMatchObject({ lines: 10 })
      // Realtime events are not held back by it.
      expect(yield* log.append([viewed("e-live", 1)])).toMatchObject([{ _tag: "Appended" }])
      const waiting = yield* Effect.fork(take(patient, 11))
      yield* judgedAll
      expect(yield* Fiber.join(waiting)).toMatchObject({ lines: 20, appended: 20 })
    }))

  it.effect("many at once fill no more than one of them would", () =>
    Effect.gen(function*() {
      yield* judgedAll
      const imports = yield* makeWith({ backlogMax: 15, waitMax: Duration.zero })
      const names = Array.from({ length: 12 }, (_, i) => `g${i}`)
      const answers = yield* Effect.forEach(
        names,
        (name) => Effect.either(imports.take(name, 1, events(name, 1, 10), false)),
        { concurrency: "unbounded" }
      )
      // The second may still go beyond the bound, by itself; nobody after it.
      expect(answers.filter(({ _tag }) => _tag === "Right")).toHaveLength(2)
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql<{ readonly n: number }>`select count(*)::int as n from event_log where source like 'g%'`
      expect(row?.n).toBe(20)
    }))

  it.effect("what is lost between the append and the count is appended again by nobody: both are one commit", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const imports = yield* makeWith({ backlogMax: 1e9, waitMax: Duration.zero })
      yield* sql.unsafe(`
        create function refuse_import() returns trigger language plpgsql as $$
        begin raise exception 'refused by the test'; end $$;
        create trigger refuse_import before update on event_import for each row execute function refuse_import()`)
      expect(yield* Effect.exit(imports.take("f", 1, events("f", 1, 10), false))).toMatchObject({ _tag: "Failure" })
      expect(yield* logged("f")).toEqual({ n: 0, ids: 0 })
      yield* sql.unsafe("drop trigger refuse_import on event_import")
      expect(yield* imports.take("f", 1, events("f", 1, 10), false)).toMatchObject({
        lines: 10,
        appended: 10,
        repeated: 0
      })
    }))
})
