/** Campaigns over the API: checked before they are stored, compared, tried out without effect (G18), explained. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { Hikyaku, mintCommandId } from "@hikyaku/domain/api/Client"
import { Effect } from "effect"
import { ActorControl } from "../../../cluster/test/stock/MemoryActors.ts"
import * as TestApi from "./TestApi.ts"

const definition = {
  id: "price-drop",
  name: "Price drop",
  trigger: { _tag: "Event", event: "PriceChanged", when: "event.after < event.before" },
  class: "realtime",
  priority: 500,
  channels: ["mail", "push"],
  segment: { _tag: "Favourited", of: { product: "$event" } },
  deadlineMs: 86_400_000,
  timePolicy: { _tag: "Immediate" },
  content: {
    en: {
      mail: {
        subject: "{{ product.name }} is cheaper",
        html: "<p>{{ product.name }} for {{ member.id }}</p>",
        text: "{{ product.name }}, {{ parameters.before }} before"
      },
      push: { payload: "{\"title\": \"{{ product.name }}\"}" }
    }
  }
}
const by = { author: "ann", campaign: "price-drop" }

/** What the actors would have written: a version, two members who like the product, a run that came past them. */
const rows = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const fence = { version: 1, writer: "w", cell: "c", epoch: 0, clock: new Date() }
  yield* sql`insert into campaign ${
    sql.insert({
      id: "price-drop",
      ...fence,
      status: "active",
      current_version: 2,
      time_zone: "Asia/Tokyo",
      marks: "{}",
      day: 0,
      runs_today: 0,
      spent_today: 0,
      runs: 1,
      suppressed: "{\"paused\": 2}"
    })
  }`
  for (const [version, priority] of [[1, 400], [2, 500]] as const) {
    yield* sql`insert into campaign_version ${
      sql.insert({
        campaign: "price-drop",
        version,
        definition: JSON.stringify({ ...definition, priority }),
        author: "ann",
        at: new Date(),
        state: version === 2 ? "current" : "past"
      })
    }`
  }
  yield* sql`insert into catalogue_product (id, name, price) values ('tee', 'Linen tee', 80)`
  const people = [
    ["m1", "{\"mail\": true}", "m1@shop.example"],
    ["m2", "{\"push\": true}", null],
    ["m3", "{}", "m3@shop.example"],
    ["m4", "{\"mail\": true}", null]
  ] as const
  for (const [id, consents, address] of people) {
    yield* sql`insert into member ${
      sql.insert({
        id,
        ...fence,
        joined: true,
        withdrawn: false,
        language: "en",
        attributes: "{}",
        consents,
        address,
        suppressions: "{}",
        holds: "[]",
        stats: "{\"responses\": {}, \"hours\": null, \"objections\": 0}",
        decisions: 0
      })
    }`
    yield* sql`insert into favourite (member, product, at) values (${id}, 'tee', now())`
  }
  yield* sql`insert into run ${
    sql.insert({
      id: "price-drop.e1-1",
      campaign: "price-drop",
      version: 2,
      cause: JSON.stringify({ _tag: "Event", partition: 1, offset: 1, event: "shop/1", at: Date.now() }),
      product: "tee",
      parameters: "{}",
      class: "realtime",
      priority: 500,
      started_at: new Date(),
      deadline: new Date(Date.now() + 86_400_000),
      cursor: "m2",
      considered: 2,
      accepted: 1,
      rejected: "{\"Capped\": 1}"
    })
  }`
  yield* sql`insert into delivery ${
    sql.insert({
      id: "price-drop.e1-1:m1",
      run: "price-drop.e1-1",
      campaign: "price-drop",
      version: 2,
      member: "m1",
      channel: "mail",
      class: "realtime",
      priority: 500,
      status: "sent",
      not_before: new Date(),
      deadline: new Date(Date.now() + 86_400_000),
      held: false,
      created_at: new Date(),
      sent_at: new Date()
    })
  }`
  yield* sql`insert into decision_ledger ${
    sql.insert({
      member: "m2",
      n: 0,
      run: "price-drop.e1-1",
      campaign: "price-drop",
      stage: "cap",
      decision: "rejected",
      reason: "Capped",
      at: new Date()
    })
  }`
})

layer(TestApi.layer(), { excludeTestServices: true })("campaigns", (it) => {
  it.effect("a definition is checked before it is stored: every fault with its path and a hint", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      const { priority: _, ...rest } = definition
      const document = {
        ...rest,
        prioritty: 500,
        trigger: { _tag: "Event", event: "PriceChanged", when: "event.aftr < event.before" }
      }
      const answer = yield* hikyaku.campaign.apply({ document, author: "ann" })
      expect(answer).toMatchObject({ _tag: "Invalid" })
      expect(answer).toMatchObject({
        faults: expect.arrayContaining([
          expect.objectContaining({ path: "prioritty", hint: expect.stringContaining("priority") }),
          expect.objectContaining({ path: "priority" })
        ])
      })
      const rule = yield* hikyaku.campaign.validate({ document: { ...definition, trigger: document.trigger } })
      expect(rule).toMatchObject({ faults: [{ path: "trigger.when", hint: expect.stringContaining("after") }] })
      for (const nonsense of [null, 5, "text", [], {}]) {
        expect(yield* hikyaku.campaign.apply({ document: nonsense, author: "ann" })).toMatchObject({ _tag: "Invalid" })
      }
      expect(control.executed()).toEqual([])
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("apply, the same again, an edit on top of an old version, pause, resume, run, cancel", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const apply = (document: unknown, base?: number) => hikyaku.campaign.apply({ document, author: "ann", base })
      expect(yield* apply(definition)).toMatchObject({ _tag: "Applied", version: 1, changed: true })
      expect(yield* apply(definition)).toMatchObject({ _tag: "Applied", version: 1, changed: false })
      expect(yield* apply({ ...definition, priority: 1 }, 1)).toMatchObject({ version: 2, changed: true })
      expect(yield* apply({ ...definition, priority: 2 }, 1)).toEqual({ _tag: "VersionConflict", current: 2 })
      expect(yield* hikyaku.campaign.pause(by)).toEqual({ _tag: "StatusChanged", status: "paused", changed: true })
      expect(yield* hikyaku.campaign.resume(by)).toMatchObject({ status: "active" })
      const request = yield* mintCommandId
      expect(yield* hikyaku.campaign.runNow({ ...by, request })).toMatchObject({ _tag: "NotAllowed" })
      const run = { ...by, request, product: "tee" }
      const started = yield* hikyaku.campaign.runNow(run)
      expect(started).toMatchObject({ _tag: "RunStarted", version: 2 })
      expect(yield* hikyaku.campaign.cancel(by)).toMatchObject({ status: "cancelled" })
      expect(yield* hikyaku.campaign.resume(by)).toMatchObject({ _tag: "NotAllowed", status: "cancelled" })
      const nobody = yield* Effect.flip(hikyaku.campaign.pause({ ...by, campaign: "nobody" }))
      expect(nobody).toMatchObject({ _tag: "Unknown", what: "campaign", id: "nobody" })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("list, versions, differences", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      yield* rows
      expect(yield* hikyaku.campaign.list({})).toMatchObject([
        { id: "price-drop", status: "active", version: 2, trigger: "PriceChanged", suppressed: { paused: 2 } }
      ])
      expect(yield* hikyaku.campaign.list({ status: "draft" })).toEqual([])
      expect(yield* hikyaku.campaign.versions({ campaign: "price-drop" })).toMatchObject([
        { version: 2, current: true },
        { version: 1, current: false }
      ])
      expect(yield* hikyaku.campaign.diff({ campaign: "price-drop", from: 1 })).toEqual({
        from: 1,
        to: 2,
        differences: [{ path: "priority", before: 400, after: 500 }]
      })
      const document = { ...definition, description: "new" }
      expect(yield* hikyaku.campaign.diff({ campaign: "price-drop", document })).toEqual({
        from: 2,
        to: null,
        differences: [{ path: "description", before: null, after: "new" }]
      })
      expect(yield* Effect.flip(hikyaku.campaign.diff({ campaign: "price-drop", from: 9 }))).toMatchObject({
        _tag: "Unknown",
        what: "version"
      })
      const got = yield* hikyaku.campaign.get({ campaign: "price-drop", version: 1 })
      expect(got).toMatchObject({ version: { version: 1 }, definition: { priority: 400 } })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("count, sample and preview, of what is stored and of a document, touching nothing (G18)", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const control = yield* ActorControl
      const before = control.executed().length
      const stored = { campaign: "price-drop" }
      expect(yield* hikyaku.campaign.count({ of: stored, product: "tee" })).toEqual({
        _tag: "Counted",
        members: 4,
        judged: 4,
        reachable: 2,
        channels: { mail: 1, push: 1 },
        // Nobody knows where to write to m4.
        leftOut: { NoConsent: 1, NoChannel: 1 }
      })
      // An order's own message needs no consent, but an address all the same.
      const transactional = { document: { ...definition, class: "transactional", channels: ["mail"] } }
      expect(yield* hikyaku.campaign.count({ of: transactional, product: "tee" })).toMatchObject({
        reachable: 2,
        leftOut: { NoChannel: 2 }
      })
      const filtered = { document: { ...definition, memberFilter: "parameters.tier == 1" } }
      const counted = (tier: number) => hikyaku.campaign.count({ of: filtered, product: "tee", parameters: { tier } })
      expect(yield* counted(1)).toMatchObject({ reachable: 2 })
      expect(yield* counted(2)).toMatchObject({ reachable: 0, leftOut: { Filtered: 4 } })
      // What the segment speaks of has to be named: a zero would say nothing of the campaign.
      const ofMember = {
        document: {
          ...definition,
          segment: { _tag: "EventMember" },
          trigger: { _tag: "Event", event: "CartExpired" },
          channels: ["push"],
          content: { en: { push: { payload: "{}" } } }
        }
      }
      for (const [of, path] of [[stored, "product"], [ofMember, "eventMember"]] as const) {
        expect(yield* Effect.flip(hikyaku.campaign.count({ of }))).toMatchObject({ _tag: "BadInput", path })
        expect(yield* Effect.flip(hikyaku.campaign.sample({ of }))).toMatchObject({ _tag: "BadInput", path })
      }
      expect(yield* hikyaku.campaign.sample({ of: { document: definition }, product: "tee" })).toEqual({
        _tag: "Sampled",
        judged: 4,
        leftOut: { NoConsent: 1, NoChannel: 1 },
        members: [
          { id: "m1", language: "en", channels: ["mail"] },
          { id: "m2", language: "en", channels: ["push"] }
        ]
      })
      expect(yield* hikyaku.campaign.preview({ of: stored, member: "m1", product: "tee", parameters: { before: 100 } }))
        .toMatchObject({
          message: {
            channel: "mail",
            faults: [],
            parts: { subject: "Linen tee is cheaper", html: "<p>Linen tee for m1</p>", text: "Linen tee, 100 before" }
          }
        })
      const without = yield* hikyaku.campaign.preview({ of: stored, member: "m1", product: "tee" })
      expect(without).toMatchObject({ message: { faults: [{ path: "content.en.mail.text" }] } })
      const nobody = yield* Effect.flip(hikyaku.campaign.preview({ of: stored, member: "m9" }))
      expect(nobody).toMatchObject({ _tag: "Unknown", what: "member" })
      expect(control.executed().length).toBe(before)
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("explain: who got it, who did not and why, who was not asked", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const sql = yield* SqlClient.SqlClient
      const explain = (member: string) => hikyaku.campaign.explain({ member, run: "price-drop.e1-1" })
      expect(yield* explain("m1")).toMatchObject({ verdict: "sent by mail", delivery: { status: "sent" } })
      expect(yield* explain("m2")).toMatchObject({
        verdict: "rejected by the cap stage: Capped",
        delivery: null,
        decisions: [{ stage: "cap" }]
      })
      yield* sql`insert into member select 'm0', version, writer, cell, epoch, clock, due_at, joined, withdrawn, language,
        time_zone, address, attributes, consents, suppressions, holds, stats, decisions from member where id = 'm1'`
      expect(yield* explain("m0")).toMatchObject({
        considered: true,
        verdict: expect.stringContaining("not in the segment")
      })
      expect(yield* explain("m3")).toMatchObject({
        considered: false,
        verdict: expect.stringContaining("not considered yet")
      })
      expect(yield* hikyaku.campaign.runs({})).toMatchObject([{ id: "price-drop.e1-1", considered: 2 }])
      const none = yield* Effect.flip(hikyaku.campaign.explain({ member: "m1", run: "nothing" }))
      expect(none).toMatchObject({ _tag: "Unknown", what: "run" })
      const nobody = yield* Effect.flip(explain("nobody"))
      expect(nobody).toMatchObject({ _tag: "Unknown", what: "member", id: "nobody" })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("explain and runs show what is in the store, also a cause of a year that no event may be of", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const sql = yield* SqlClient.SqlClient
      const [run] = yield* sql<{ readonly cause: unknown }>`select cause from run where id = 'price-drop.e1-1'`
      const causes = [
        { _tag: "Event", partition: 1, offset: 1, event: "shop/1", at: -1 },
        { _tag: "Event", partition: 1, offset: 1, event: "shop/1", at: 1_790_000_000_000.5 },
        { _tag: "Cycle", at: 8_640_000_000_000_000 },
        { _tag: "Hand", request: "by letter", author: "ann" }
      ]
      for (const cause of causes) {
        yield* sql`update run set cause = ${JSON.stringify(cause)}::jsonb where id = 'price-drop.e1-1'`
        const explained = yield* hikyaku.campaign.explain({ member: "m1", run: "price-drop.e1-1" })
        expect(explained).toMatchObject({ verdict: "sent by mail", run: { cause } })
        expect(yield* hikyaku.campaign.runs({})).toMatchObject([{ cause }])
      }
      yield* sql`update run set cause = ${JSON.stringify(run?.cause)}::jsonb where id = 'price-drop.e1-1'`
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("setRun: a run is paused, gone on with and given up, and what is over is not begun again", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      const set = (to: "running" | "paused" | "cancelled") => hikyaku.campaign.setRun({ run: "price-drop.e1-1", to })
      expect(yield* set("paused")).toEqual({ status: "paused", changed: true })
      expect(yield* set("paused")).toEqual({ status: "paused", changed: false })
      expect(yield* set("running")).toEqual({ status: "running", changed: true })
      expect(yield* set("cancelled")).toEqual({ status: "cancelled", changed: true })
      expect(yield* set("running")).toEqual({ status: "cancelled", changed: false })
      const none = yield* Effect.flip(hikyaku.campaign.setRun({ run: "nothing", to: "paused" }))
      expect(none).toMatchObject({ _tag: "Unknown", what: "run" })
    }).pipe(Effect.provide(TestApi.webSocketClient)))

  it.effect("deliveries: by status, as a list, by page", () =>
    Effect.gen(function*() {
      const hikyaku = yield* Hikyaku
      expect(yield* hikyaku.delivery.summary({ campaign: "price-drop" })).toEqual([
        { channel: "mail", status: "sent", count: 1 }
      ])
      expect(yield* hikyaku.delivery.list({ member: "m1" })).toMatchObject([{
        id: "price-drop.e1-1:m1",
        status: "sent"
      }])
      expect(yield* hikyaku.delivery.list({ after: "price-drop.e1-1:m1" })).toEqual([])
      expect(yield* hikyaku.delivery.lists({ open: true })).toEqual([])
      expect(yield* hikyaku.delivery.providers()).toEqual([])
      const suppressed = yield* hikyaku.delivery.suppress({ member: "m1", channel: "mail", reason: "asked by letter" })
      expect(suppressed).toEqual({ _tag: "Done", changed: true })
    }).pipe(Effect.provide(TestApi.webSocketClient)))
})
