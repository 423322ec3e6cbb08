/** Requests that name a table or a segment, through the API: who may, what is refused, and what becomes of it. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import * as RequestSources from "@hikyaku/cluster/delivery/RequestSources"
import { layer as storeLayer } from "@hikyaku/cluster/delivery/RequestStore"
import { Hikyaku } from "@hikyaku/domain/api/Client"
import { Effect } from "effect"
import { describe } from "vitest"
import * as TestApi from "./TestApi.ts"

const content = { en: { mail: { subject: "Sale", html: "<p>{{ parameters.points }}</p>", text: "Sale" } } }
const later = () => Date.now() + 3_600_000

/** A table of its own, `count` rows long, that is registered under this name. */
const withTable = (name: string, count: number) =>
  Effect.gen(function*() {
    const hikyaku = yield* Hikyaku
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(`create schema if not exists crm;
create table crm.${name} (id bigint primary key, mail text, points integer);
insert into crm.${name} select n, '${name}' || n || '@shop.example', n from generate_series(1, ${count}) n`)
    const of = { table: name, schema: "crm", relation: name, key: "id", address: "mail", parameters: ["points"] }
    yield* hikyaku.request.registerTable(of)
    return of
  })
const registered = (system: string, tables: ReadonlyArray<string> = [], segments = false) =>
  Effect.gen(function*() {
    const hikyaku = yield* Hikyaku
    yield* hikyaku.request.saveTemplate({ template: "sale", content })
    return (yield* hikyaku.request.registerSystem({ system, templates: ["sale"], tables, segments })).key
  })
/** As a runner does it. */
const step = Effect.flatMap(RequestSources.make, (worker) => worker.step).pipe(Effect.provide(storeLayer))

describe("recipients from tables and segments (MAIL-1)", () => {
  layer(TestApi.layer(), { excludeTestServices: true })((it) => {
    const call = TestApi.webSocketClient

    it.effect("G17: only tables that the system was allowed, segments only where it may; of others nothing is learned", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        yield* withTable("allowed", 3)
        const key = yield* registered("g17", ["allowed", "missing"])
        const terms = { key, mail: "g17", template: "sale", deadline: later() }
        const open = (idempotencyKey: string, from: Parameters<typeof hikyaku.request.open>[0]["from"]) =>
          hikyaku.request.open({ ...terms, idempotencyKey, from })
        yield* withTable("other", 3)
        expect(yield* Effect.flip(open("a", { _tag: "Table", table: "other" }))).toMatchObject({ _tag: "Unauthorized" })
        expect(yield* Effect.flip(open("b", { _tag: "Table", table: "nowhere" }))).toMatchObject({
          _tag: "Unauthorized"
        })
        expect(yield* Effect.flip(open("c", { _tag: "Table", table: "missing" }))).toMatchObject({
          _tag: "Unknown",
          what: "table"
        })
        const everyone = { _tag: "Segment", segment: { _tag: "Everyone" } } as const
        expect((yield* Effect.flip(open("d", everyone)))._tag).toBe("Unauthorized")
        expect((yield* open("e", { _tag: "Table", table: "allowed" })).source).toEqual({
          kind: "table",
          table: "allowed",
          rows: 3,
          done: false,
          fault: null
        })
        expect((yield* hikyaku.request.list({ system: "g17" })).length).toBe(1)
      }).pipe(Effect.provide(call)))

    it.effect("G16: a registration that does not fit is refused with the place; the shop's own tables cannot be had", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const of = yield* withTable("places", 3)
        const refused = (patch: Partial<typeof of>) => Effect.flip(hikyaku.request.registerTable({ ...of, ...patch }))
        expect(yield* refused({ relation: "absent" })).toMatchObject({ _tag: "BadInput", path: "relation" })
        expect(yield* refused({ key: "absent" })).toMatchObject({ _tag: "BadInput", path: "key" })
        expect(yield* refused({ key: "points" })).toMatchObject({ _tag: "BadInput", path: "key" })
        expect(yield* refused({ parameters: ["points", "id; --"] })).toMatchObject({ path: "parameters[1]" })
        expect(yield* refused({ schema: "public", relation: "mail_system", address: "class", parameters: [] }))
          .toMatchObject({ path: "schema" })
        const key = yield* registered("places", ["places"], true)
        const terms = { key, mail: "places", template: "sale", deadline: later(), idempotencyKey: "k" }
        const from = { _tag: "Table", table: "places" } as const
        expect(
          yield* Effect.flip(hikyaku.request.send({ ...terms, from, recipients: [{ address: "a@shop.example" }] }))
        )
          .toMatchObject({ _tag: "BadInput", path: "recipients" })
        const event = { _tag: "Segment", segment: { _tag: "EventMember" } } as const
        expect(yield* Effect.flip(hikyaku.request.send({ ...terms, from: event }))).toMatchObject({
          _tag: "BadInput",
          path: "from.segment"
        })
        const sql = yield* SqlClient.SqlClient
        yield* sql.unsafe("alter table crm.places drop column points")
        expect(yield* Effect.flip(hikyaku.request.send({ ...terms, from }))).toMatchObject({
          _tag: "BadInput",
          path: "from",
          reason: "places has no column points"
        })
        yield* sql.unsafe(`alter table crm.places rename to places_of_old;
create view crm.places as select id, mail, 1 as points from crm.places_of_old union all select null, 'x@shop.example', 1`)
        expect(yield* Effect.flip(hikyaku.request.send({ ...terms, from }))).toMatchObject({
          path: "from",
          reason: "1 rows have no key and would be missed"
        })
      }).pipe(Effect.provide(call)))

    it.effect("are counted before they are taken, so that the outlook says what is to come; broken rows are mended there", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const sql = yield* SqlClient.SqlClient
        yield* withTable("mended", 1_200)
        yield* sql.unsafe("update crm.mended set mail = 'nowhere' where id in (5, 1100)")
        const key = yield* registered("mended", ["mended"])
        const from = { _tag: "Table", table: "mended" } as const
        const terms = { key, idempotencyKey: "k", mail: "mended", template: "sale", deadline: later(), from }
        const { outlook, request: { id: request, source } } = yield* hikyaku.request.send(terms)
        expect(source?.rows).toBe(1_200)
        const small = yield* hikyaku.request.send({
          ...terms,
          from: undefined,
          idempotencyKey: "small",
          mail: "small",
          recipients: [{ address: "a@shop.example" }]
        })
        // All of them are still to come, and the outlook knows.
        expect(outlook.finishAt - small.outlook.finishAt).toBeGreaterThan(1_000)
        yield* step
        const { deliveries, request: view } = yield* hikyaku.request.read({ request })
        expect(view).toMatchObject({ lines: 1_200, recipients: 1_198, broken: 2, source: { done: true } })
        expect(deliveries.due).toBe(1_198)
        expect(yield* hikyaku.request.faults({ request })).toEqual([
          { line: 5, key: "5", field: "address", reason: "not an address" },
          { line: 1_100, key: "1100", field: "address", reason: "not an address" }
        ])
        expect(
          (yield* Effect.flip(hikyaku.request.add({
            key,
            request,
            firstLine: 1_201,
            rows: [{ address: "b@shop.example" }]
          }))).message
        ).toMatch(/only rows that were broken/)
        // One is mended in its table, one by hand.
        yield* sql.unsafe("update crm.mended set mail = 'five@shop.example' where id = 5")
        expect(yield* hikyaku.request.mend({ key, request })).toEqual({ mended: 1, broken: 1, last: null })
        yield* hikyaku.request.add({ key, request, firstLine: 1_100, rows: [{ address: "hand@shop.example" }] })
        expect((yield* hikyaku.request.read({ request })).request).toMatchObject({ recipients: 1_200, broken: 0 })
        // The same call again is the same request, also when the table is gone meanwhile.
        yield* sql.unsafe("drop table crm.mended")
        expect((yield* hikyaku.request.send(terms)).request.id).toBe(request)
        expect((yield* Effect.flip(hikyaku.request.send({ ...terms, from: { _tag: "Table", table: "other" } })))._tag)
          .toBe("ContentDiffers")
      }).pipe(Effect.provide(call)))

    it.effect("a segment's members are taken, but for those who have left", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const sql = yield* SqlClient.SqlClient
        yield* sql.unsafe(
          `insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, consents, suppressions,
  holds, stats, decisions, attributes)
select id, 1, 'w', 'c', 0, now(), true, id = 'dan', '{}', '{}', '[]', '{}', 0, jsonb_build_object('vip', id <> 'bob')
from unnest(array['ann', 'bob', 'cem', 'dan']) id`
        )
        const key = yield* registered("segments", [], true)
        const { request: { id: request, source } } = yield* hikyaku.request.send({
          key,
          idempotencyKey: "k",
          mail: "vip",
          template: "sale",
          deadline: later(),
          from: { _tag: "Segment", segment: { _tag: "Attribute", name: "vip", is: "eq", value: true } }
        })
        expect(source).toMatchObject({ kind: "segment", table: null, rows: 2 })
        yield* step
        expect((yield* hikyaku.request.read({ request })).request).toMatchObject({ lines: 2, source: { done: true } })
        const rows = yield* sql<{ readonly member: string }>`
          select member from delivery where request = ${request} order by member`
        expect(rows.map(({ member }) => member)).toEqual(["ann", "cem"])
      }).pipe(Effect.provide(call)))
  })
})
