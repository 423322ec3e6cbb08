/** Requests of other systems through the API: keys, recipients line by line, repeats, and what the answers add up to. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { Hikyaku } from "@hikyaku/domain/api/Client"
import { type Speed, speedAtFirst } from "@hikyaku/domain/delivery/Request"
import { Effect } from "effect"
import { describe } from "vitest"
import * as TestApi from "./TestApi.ts"

const content = {
  en: { mail: { subject: "Sale", html: "<p>{{ parameters.points }}</p>", text: "{{ parameters.points }}" } }
}

const registered = (system: string, templates: ReadonlyArray<string> = ["sale"]) =>
  Effect.gen(function*() {
    const hikyaku = yield* Hikyaku
    yield* hikyaku.request.saveTemplate({ template: "sale", content })
    return (yield* hikyaku.request.registerSystem({ system, templates })).key
  })
const later = () => Date.now() + 3_600_000
const addresses = (from: number, count: number, prefix = "m") =>
  Array.from({ length: count }, (_, n) => ({ address: `${prefix}${from + n}@shop.example`, points: n }))

describe("requests of other systems (MAIL-1, MAIL-2)", () => {
  layer(TestApi.layer(), { excludeTestServices: true })((it) => {
    const call = TestApi.webSocketClient

    it.effect("G17: nothing without the key of a system that may, and nothing is learned of others' requests", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const own = yield* registered("g17-own")
        const other = yield* registered("g17-other", [])
        const terms = { idempotencyKey: "k", mail: "g17", template: "sale", deadline: later() }
        expect((yield* Effect.flip(hikyaku.request.open({ ...terms, key: "no such key" })))._tag).toBe("Unauthorized")
        expect((yield* Effect.flip(hikyaku.request.open({ ...terms, key: other })))._tag).toBe("Unauthorized")
        const { id } = yield* hikyaku.request.open({ ...terms, key: own })
        expect((yield* Effect.flip(hikyaku.request.submit({ key: other, request: id })))._tag).toBe("Unknown")
        for (const change of ["pause", "resume", "cancel"] as const) {
          expect((yield* Effect.flip(hikyaku.request[change]({ key: other, request: id })))._tag).toBe("Unknown")
        }
        expect((yield* hikyaku.request.read({ request: id })).request.status).toBe("open")
        // A new key makes the old one void.
        yield* registered("g17-own")
        expect((yield* Effect.flip(hikyaku.request.submit({ key: own, request: id })))._tag).toBe("Unauthorized")
      }).pipe(Effect.provide(call)))

    it.effect("G3: the same key of the same system is the same request; with other content it is refused", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const key = yield* registered("repeats")
        const terms = { key, idempotencyKey: "k", mail: "repeats", template: "sale", deadline: later() }
        const first = yield* hikyaku.request.open({ ...terms, parameters: { points: 1 } })
        expect((yield* hikyaku.request.open({ ...terms, parameters: { points: 1 } })).id).toBe(first.id)
        expect((yield* Effect.flip(hikyaku.request.open({ ...terms, parameters: { points: 2 } })))._tag).toBe(
          "ContentDiffers"
        )
        expect((yield* Effect.flip(hikyaku.request.open({ ...terms, idempotencyKey: "past", deadline: 1e12 })))._tag)
          .toBe("BadInput")
      }).pipe(Effect.provide(call)))

    it.effect("takes rows once however often they come, tells broken ones by line, and takes them mended", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const key = yield* registered("lines")
        const { id: request } = yield* hikyaku.request.open({
          key,
          idempotencyKey: "k",
          mail: "lines",
          template: "sale",
          deadline: later()
        })
        const rows = [...addresses(0, 3), { address: "nowhere" }, { address: "M0@shop.example" }, {
          member: "x",
          address: ""
        }]
        const first = yield* hikyaku.request.add({ key, request, firstLine: 1, rows })
        expect(first).toEqual({
          lines: 6,
          added: 4,
          repeated: 1,
          faults: [{ line: 4, field: "address", reason: "not an address" }]
        })
        // Again, as after a lost answer: only the broken one is looked at.
        const again = yield* hikyaku.request.add({ key, request, firstLine: 1, rows })
        expect(again).toMatchObject({ lines: 6, added: 0, repeated: 0 })
        expect(yield* Effect.flip(hikyaku.request.add({ key, request, firstLine: 8, rows: addresses(9, 1) })))
          .toMatchObject({ _tag: "BadInput", path: "firstLine" })
        expect(yield* hikyaku.request.faults({ request })).toEqual(first.faults)
        const mended = yield* hikyaku.request.add({ key, request, firstLine: 4, rows: addresses(4, 1) })
        expect(mended).toMatchObject({ lines: 6, added: 1, faults: [] })
        expect(yield* hikyaku.request.faults({ request })).toEqual([])
        const { request: view } = yield* hikyaku.request.submit({ key, request })
        expect(view).toMatchObject({ status: "accepted", lines: 6, recipients: 5, repeated: 1, broken: 0 })
        expect((yield* hikyaku.request.read({ request })).deliveries).toMatchObject({ due: 5, sent: 0 })
      }).pipe(Effect.provide(call)))

    it.effect("G10: the same mail to the same address is one delivery, whichever system and key it comes under", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const sql = yield* SqlClient.SqlClient
        const keys = [yield* registered("one"), yield* registered("two")]
        const sent = yield* Effect.forEach(
          keys.flatMap((key) => [[key, "a"], [key, "b"]] as const),
          ([key, name]) =>
            hikyaku.request.send({
              key,
              idempotencyKey: name,
              mail: "shared",
              template: "sale",
              deadline: later(),
              recipients: addresses(0, 20, "shared")
            }),
          { concurrency: 4 }
        )
        expect(sent.reduce((sum, { request }) => sum + request.recipients, 0)).toBe(20)
        expect(sent.reduce((sum, { request }) => sum + request.repeated, 0)).toBe(60)
        const rows = yield* sql`select 1 from delivery where run = 'q:shared'`
        expect(rows.length).toBe(20)
      }).pipe(Effect.provide(call)))

    it.effect("G13: says on acceptance that a request cannot make its deadline", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const key = yield* registered("late")
        const terms = { key, mail: "late", template: "sale", recipients: addresses(0, 900, "late") }
        const soon = yield* hikyaku.request.send({ ...terms, idempotencyKey: "soon", deadline: Date.now() + 2_000 })
        expect(soon.outlook.makesDeadline).toBe(false)
        expect(soon.outlook.finishAt).toBeGreaterThan(soon.request.deadline)
        const enough = yield* hikyaku.request.send({
          ...terms,
          idempotencyKey: "enough",
          mail: "enough",
          deadline: Date.now() + 24 * 3_600_000
        })
        expect(enough.outlook.makesDeadline).toBe(true)
        yield* hikyaku.request.cancel({ key, request: soon.request.id })
        yield* hikyaku.request.cancel({ key, request: enough.request.id })
      }).pipe(Effect.provide(call)))

    it.effect("G13: says on acceptance that a request cannot make its deadline because the account's day is used up", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const sql = yield* SqlClient.SqlClient
        const key = yield* registered("used-up")
        const speed: Speed = {
          ...speedAtFirst,
          messages: { perSecond: null, perDay: 1_000, left: 400, leaving: [{ inMs: 6 * 3_600_000, messages: 600 }] }
        }
        yield* sql`insert into delivery_speed (provider, speed) values ('mail', ${JSON.stringify(speed)}::jsonb)
          on conflict (provider) do update set speed = excluded.speed`
        const terms = { key, template: "sale", deadline: Date.now() + 3 * 3_600_000 }
        const ask = (mail: string, recipients: number) =>
          hikyaku.request.send({ ...terms, mail, idempotencyKey: mail, recipients: addresses(0, recipients, mail) })
        const few = yield* ask("few", 5)
        yield* hikyaku.request.cancel({ key, request: few.request.id })
        const many = yield* ask("many", 900)
        yield* hikyaku.request.cancel({ key, request: many.request.id })
        yield* sql`delete from delivery_speed where provider = 'mail'`
        expect(few.outlook.makesDeadline).toBe(true)
        expect(many.outlook).toMatchObject({ makesDeadline: false, limitedBy: "messages per day" })
      }).pipe(Effect.provide(call)))

    it.effect("pauses, resumes and cancels; cancelled is for good, and its recipients are withdrawn", () =>
      Effect.gen(function*() {
        const hikyaku = yield* Hikyaku
        const key = yield* registered("changes")
        const { request: { id: request } } = yield* hikyaku.request.send({
          key,
          idempotencyKey: "k",
          mail: "changes",
          template: "sale",
          deadline: later(),
          recipients: addresses(0, 7, "changes")
        })
        const of = { key, request }
        expect(yield* hikyaku.request.pause(of)).toMatchObject({ status: "paused" })
        expect(yield* hikyaku.request.resume(of)).toMatchObject({ status: "accepted" })
        expect(yield* hikyaku.request.cancel(of)).toEqual({ status: "cancelled", deliveries: 7 })
        expect(yield* hikyaku.request.resume(of)).toMatchObject({ status: "cancelled" })
        expect((yield* hikyaku.request.read({ request })).deliveries).toMatchObject({ due: 0, suppressed: 7 })
        const add = yield* Effect.flip(hikyaku.request.add({ ...of, firstLine: 8, rows: addresses(9, 1) }))
        expect(add._tag).toBe("BadInput")
        expect((yield* hikyaku.delivery.queue()).classes.map((one) => one.class)).toEqual([
          "transactional",
          "realtime",
          "batch"
        ])
      }).pipe(Effect.provide(call)))
  })
})
