/** Recipients from tables and segments: every row once however often their taker dies, and what cannot be read is told. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { it } from "@effect/vitest"
import { checkTable } from "@hikyaku/cluster/delivery/RecipientTables"
import { makeReads, makeWith, type SourceLimits, sourceLimitsDefault } from "@hikyaku/cluster/delivery/RequestSources"
import { layer as storeLayer, type RequestSource, RequestStore } from "@hikyaku/cluster/delivery/RequestStore"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import type { RecipientTable } from "@hikyaku/domain/delivery/RecipientSource"
import { Duration, Effect, Exit, Layer, Logger, LogLevel, Redacted, type Scope } from "effect"
import { describe, expect } from "vitest"
import { freshDatabase } from "../../../../test/Database.ts"

const limits: SourceLimits = { ...sourceLimitsDefault, pageSize: 7, pagesAtOnce: 3, faultRest: Duration.zero }

const inHouse = <A, E>(
  test: Effect.Effect<A, E, RequestStore | SqlClient.SqlClient | Scope.Scope>
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.gen(function*() {
    const { url } = yield* freshDatabase()
    const sql = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 6 }))
    const schema = Layer.effectDiscard(Effect.orDie(migrate))
    const layer = storeLayer.pipe(Layer.provideMerge(schema), Layer.provideMerge(sql))
    return yield* test.pipe(Effect.provide(layer), Logger.withMinimumLogLevel(LogLevel.Error))
  })

const run = (text: string) => Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe(text))

const people: RecipientTable = { schema: "crm", relation: "people", key: "id", address: "mail", parameters: ["points"] }
/** So many people, with gaps between their ids. */
const withPeople = (count: number) =>
  run(`create schema crm;
create table crm.people (id integer primary key, mail text, points integer);
insert into crm.people select n * 3, 'p' || n || '@shop.example', n from generate_series(1, ${count}) n`)

/** A request of a system that may take from there; nothing of it is taken yet. */
const ask = (source: RequestSource, id = "r") =>
  Effect.gen(function*() {
    const store = yield* RequestStore
    yield* store.saveSystem(
      { id: "crm", templates: ["t"], class: "batch", priority: 0, tables: ["people"], segments: true },
      new Uint8Array(32)
    )
    yield* store.saveTemplate("t", { en: { mail: { subject: "s", html: "h", text: "t" } } })
    yield* store.open({
      id,
      system: "crm",
      idempotencyKey: id,
      contentHash: id,
      mail: id,
      template: "t",
      templateVersion: 1,
      class: "batch",
      priority: 0,
      parameters: {},
      sendAt: Date.now(),
      deadline: Date.now() + 3_600_000,
      source: { of: source, rows: 0 }
    })
  })
const table = (definition: RecipientTable = people): RequestSource => ({ _tag: "Table", table: "people", definition })

const viewOf = (id = "r") =>
  Effect.flatMap(RequestStore, (store) => store.find(id)).pipe(
    Effect.flatMap((view) => view === null ? Effect.dieMessage("no such request") : Effect.succeed(view))
  )
/** Steps until nothing is left to take, or what is left stands still. */
const takeAll = Effect.gen(function*() {
  const worker = yield* makeWith(limits)
  for (let steps = 0; steps < 500; steps++) {
    yield* worker.step
    const { source, status } = yield* viewOf()
    if (source === null || source.done || source.fault !== null || status === "cancelled") return
  }
  return yield* Effect.dieMessage("it does not end")
})
const recipients = Effect.map(
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql<{ recipient: string | null; member: string; parameters: Record<string, unknown> }>`
        select recipient, member, parameters from delivery order by (parameters ->> 'points')::float8, member`
  ),
  (rows) => rows
)

/** A store that stands at `onStep` before and after whatever it writes or is asked. */
const watched = (onStep: Effect.Effect<void>) =>
  Effect.map(RequestStore, (store) => {
    const stepped = <A, E>(work: Effect.Effect<A, E>) => onStep.pipe(Effect.zipRight(work), Effect.zipLeft(onStep))
    return RequestStore.of({
      ...store,
      unfinished: (...of) => stepped(store.unfinished(...of)),
      takePage: (...of) => stepped(store.takePage(...of))
    })
  })

describe("recipients from a table (MAIL-1)", () => {
  it.scopedLive("each row once, wherever their taker is killed: between any two of its steps", () =>
    inHouse(Effect.gen(function*() {
      yield* withPeople(130)
      yield* ask(table())
      let deaths = 0
      // Dies at its first step, then at its second, ... and begins anew each time.
      for (let life = 1; life < 200 && !(yield* viewOf()).source?.done; life++) {
        let left = life % 8
        const onStep = Effect.suspend(() => left-- > 0 ? Effect.void : Effect.interrupt)
        const worker = yield* makeWith(limits).pipe(Effect.provideServiceEffect(RequestStore, watched(onStep)))
        const exit = yield* Effect.exit(worker.step)
        if (Exit.isInterrupted(exit)) deaths++
      }
      expect(deaths).toBeGreaterThan(8)
      // A row that is taken twice counts as repeated, one that is missed is no line.
      expect(yield* viewOf()).toMatchObject({
        lines: 130,
        recipients: 130,
        repeated: 0,
        broken: 0,
        source: { done: true }
      })
      expect((yield* recipients).map(({ parameters }) => parameters.points)).toEqual(
        Array.from({ length: 130 }, (_, n) => n + 1)
      )
    })))

  it.scopedLive("each row once, however many take them at the same time", () =>
    inHouse(Effect.gen(function*() {
      yield* withPeople(100)
      yield* ask(table())
      yield* Effect.all([takeAll, takeAll, takeAll, takeAll], { concurrency: "unbounded" })
      expect(yield* viewOf()).toMatchObject({ lines: 100, recipients: 100, repeated: 0, source: { done: true } })
      expect((yield* recipients).length).toBe(100)
    })))

  it.scopedLive("a page that is full to its last row is followed by the next", () =>
    inHouse(Effect.gen(function*() {
      yield* withPeople(14)
      yield* ask(table())
      yield* takeAll
      expect(yield* viewOf()).toMatchObject({ lines: 14, recipients: 14, source: { done: true } })
      yield* run("truncate crm.people")
      yield* ask(table(), "empty")
      yield* (yield* makeWith(limits)).step
      expect(yield* viewOf("empty")).toMatchObject({ lines: 0, recipients: 0, source: { done: true } })
    })))

  it.scopedLive("G16: broken rows are told by line and key, harm no other, and are taken mended", () =>
    inHouse(Effect.gen(function*() {
      const store = yield* RequestStore
      yield* run(`create schema "c""m";
create table "c""m"."Peo""ple; drop table mail_request" ("Id" text primary key, "e mail" text, "no't" text, wide bigint,
  real float8, at date, doc jsonb, ok boolean);
insert into "c""m"."Peo""ple; drop table mail_request" values
  ('a''b', 'a@shop.example', 'x', 9007199254740993, 1.5, '2026-01-02', '{"a": 1}', true),
  ('b', null, 'x', 1, 1, null, null, null),
  ('c', 'nowhere', 'x', 1, 1, null, null, null),
  ('d', 'd@shop.example', repeat('y', 1001), 1, 1, null, null, null),
  ('e', 'e@shop.example', repeat('z', 1000), 7, 'NaN', null, null, false),
  ('f', repeat('f', 400) || '@shop.example', null, null, null, null, null, null),
  ('g', 'A@Shop.Example', null, null, null, null, null, null);`)
      const odd: RecipientTable = {
        schema: "c\"m",
        relation: "Peo\"ple; drop table mail_request",
        key: "Id",
        address: "e mail",
        parameters: ["no't", "wide", "real", "at", "doc", "ok"]
      }
      expect(yield* checkTable(odd)).toBe(null)
      yield* ask(table(odd))
      yield* takeAll
      expect(yield* viewOf()).toMatchObject({
        lines: 7,
        recipients: 2,
        repeated: 1,
        broken: 4,
        source: { fault: null }
      })
      expect(yield* recipients).toMatchObject([
        {
          recipient: "a@shop.example",
          parameters: {
            "no't": "x",
            wide: "9007199254740993",
            real: 1.5,
            at: "2026-01-02",
            doc: "{\"a\": 1}",
            ok: true
          }
        },
        { recipient: "e@shop.example", parameters: { wide: 7, real: "NaN", ok: false } }
      ])
      const faults = yield* store.faults("r", 0, 10)
      expect(faults.map(({ field, key, line }) => [line, key, field])).toEqual([
        [2, "b", "address"],
        [3, "c", "address"],
        [4, "d", "no't"],
        [6, "f", "address"]
      ])
      // Mended in the table, but for one that is gone.
      yield* run(
        `update "c""m"."Peo""ple; drop table mail_request" set "e mail" = "Id" || '@shop.example', "no't" = 'n';
delete from "c""m"."Peo""ple; drop table mail_request" where "Id" = 'f'`
      )
      const reads = yield* makeReads(limits)
      const again = yield* reads.again(odd, faults.map(({ key = "", line }) => ({ key, line })))
      expect(yield* store.add("r", again, again[0]?.line ?? 0)).toMatchObject({ lines: 7, added: 3 })
      expect(yield* viewOf()).toMatchObject({ lines: 7, recipients: 5, broken: 1 })
      expect(yield* store.faults("r", 0, 10)).toEqual([
        { line: 6, key: "f", field: "", reason: "no row has its key any more" }
      ])
    })))

  it.scopedLive("stand still where their source cannot be read, say why, and go on when it can", () =>
    inHouse(Effect.gen(function*() {
      const store = yield* RequestStore
      yield* withPeople(30)
      yield* ask(table())
      const worker = yield* makeWith({ ...limits, pagesAtOnce: 1 })
      yield* worker.step
      yield* run("alter table crm.people rename to gone")
      yield* takeAll
      expect(yield* viewOf()).toMatchObject({ lines: 7, source: { done: false, fault: "there is no crm.people" } })
      yield* run("alter table crm.gone rename to people; alter table crm.people rename points to score")
      yield* takeAll
      expect((yield* viewOf()).source?.fault).toBe("people has no column points")
      yield* run(`alter table crm.people rename to base;
create view crm.people as select id, mail, 1 / (score - 20) as points from crm.base`)
      yield* takeAll
      // The pages before the broken one are taken.
      expect(yield* viewOf()).toMatchObject({ lines: 14, source: { fault: "division by zero" } })
      yield* run(`create or replace view crm.people as select id, mail, score as points from crm.base
union all select id, mail, score from crm.base where id = 63`)
      yield* takeAll
      expect(yield* viewOf()).toMatchObject({ lines: 14, source: { fault: "the key 63 occurs more than once" } })
      yield* run("create or replace view crm.people as select id, mail, score as points from crm.base")
      yield* store.saveSystem(
        { id: "crm", templates: ["t"], class: "batch", priority: 0, tables: [], segments: true },
        new Uint8Array(32)
      )
      yield* takeAll
      expect((yield* viewOf()).source?.fault).toBe("its system may not use table people any more")
      yield* store.saveSystem(
        { id: "crm", templates: ["t"], class: "batch", priority: 0, tables: ["people"], segments: true },
        new Uint8Array(32)
      )
      yield* worker.step
      yield* takeAll
      expect(yield* viewOf()).toMatchObject({
        lines: 30,
        recipients: 30,
        repeated: 0,
        source: { done: true, fault: null }
      })
    })))

  it.scopedLive("rows of calls stay out of a request with a source, and a cancelled one takes no more", () =>
    inHouse(Effect.gen(function*() {
      const store = yield* RequestStore
      yield* withPeople(30)
      yield* ask(table())
      const worker = yield* makeWith({ ...limits, pagesAtOnce: 1 })
      yield* worker.step
      const recipient = { member: null, address: "x@shop.example", parameters: {} }
      expect(yield* store.add("r", [{ _tag: "Recipient", line: 8, recipient }], 8)).toBe(null)
      yield* store.move("r", ["open"], "cancelled")
      yield* worker.step
      expect(yield* viewOf()).toMatchObject({ lines: 7, recipients: 7, status: "cancelled" })
    })))

  it.scopedLive("G17: what is the shop's own or the database's is no source, nor what would miss rows", () =>
    inHouse(Effect.gen(function*() {
      yield* run(
        `create schema crm; create table crm.t (id integer, uid integer unique, pk uuid primary key, f float8 unique
  not null, mail text);
create role nobody_else; create view crm.v as select * from crm.t;`
      )
      const of = (patch: Partial<RecipientTable>) =>
        Effect.map(
          checkTable({ schema: "crm", relation: "t", key: "pk", address: "mail", parameters: [], ...patch }),
          (fault) => fault?.path ?? null
        )
      expect(yield* of({})).toBe(null)
      expect(yield* of({ relation: "nothing" })).toBe("relation")
      expect(yield* of({ key: "nothing" })).toBe("key")
      expect(yield* of({ address: "nothing" })).toBe("address")
      expect(yield* of({ parameters: ["mail", "nothing"] })).toBe("parameters[1]")
      expect(yield* of({ key: "id" })).toBe("key")
      // Null is distinct from null: unique alone is not enough.
      expect(yield* of({ key: "uid" })).toBe("key")
      expect(yield* of({ key: "f" })).toBe("key")
      expect(yield* of({ relation: "v", key: "id" })).toBe(null)
      expect(yield* of({ schema: "public", relation: "mail_system", key: "id", address: "class" })).toBe("schema")
      expect(yield* of({ schema: "public", relation: "sandbox_secret", key: "name", address: "value" })).toBe("schema")
      expect(yield* of({ schema: "pg_catalog", relation: "pg_roles", key: "rolname", address: "rolname" })).toBe(
        "schema"
      )
      expect(yield* of({ schema: "information_schema", relation: "tables", key: "table_name", address: "table_name" }))
        .toBe("schema")
    })))
})

describe("recipients from a segment (MAIL-1)", () => {
  it.scopedLive("each member once, wherever their taker is killed", () =>
    inHouse(Effect.gen(function*() {
      yield* run(
        `insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, consents, suppressions,
  holds, stats, decisions, attributes)
select 'm' || n, 1, 'w', 'c', 0, now(), true, n % 10 = 0, '{}', '{}', '[]', '{}', 0,
  jsonb_build_object('tier', case when n % 2 = 0 then 'gold' else 'blue' end)
from generate_series(1, 100) n`
      )
      yield* ask({ _tag: "Segment", segment: { _tag: "Attribute", name: "tier", is: "eq", value: "gold" } })
      for (let life = 1; life < 200 && !(yield* viewOf()).source?.done; life++) {
        let left = life % 7
        const onStep = Effect.suspend(() => left-- > 0 ? Effect.void : Effect.interrupt)
        const worker = yield* makeWith(limits).pipe(Effect.provideServiceEffect(RequestStore, watched(onStep)))
        yield* Effect.exit(worker.step)
      }
      expect(yield* viewOf()).toMatchObject({ lines: 40, recipients: 40, repeated: 0, source: { kind: "segment" } })
      const members = (yield* recipients).map(({ member }) => Number(member.slice(1))).toSorted((a, b) => a - b)
      expect(members).toEqual(Array.from({ length: 50 }, (_, n) => 2 * (n + 1)).filter((n) => n % 10 !== 0))
    })))
})
