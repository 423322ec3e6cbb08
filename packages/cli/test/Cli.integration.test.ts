/** The command line against a running API: what it prints, and the exit codes that scripts see. */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { codes } from "@hikyaku/cli/Failure"
import { Effect } from "effect"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { temporaryFolder } from "../../../test/TemporaryFolder.ts"
import * as TestApi from "../../server/test/rpc/TestApi.ts"
import { run as hikyaku, runAt } from "./RunCli.ts"

layer(TestApi.layer(), { excludeTestServices: true })("hikyaku", (it) => {
  const file = (name: string, content: string | Uint8Array) =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder("cli")
      const place = path.join(folder, name)
      yield* Effect.promise(() => fs.writeFile(place, content))
      return place
    })

  it.effect("a product, the last one in stock, and one too late", () =>
    Effect.gen(function*() {
      expect(yield* hikyaku("product", "define", "tee", "--name", "Linen tee")).toMatchObject({ code: 0 })
      expect((yield* hikyaku("product", "stock", "tee", "--level", "1")).out).toMatch(/available\s+1/)
      const first = yield* hikyaku("cart", "add", "tee", "--member", "m1", "--json")
      const { outcome, ticket } = JSON.parse(first.out) as { outcome: { _tag: string }; ticket: string }
      expect(outcome._tag).toBe("Allocated")
      const again = yield* hikyaku("cart", "add", "tee", "--member", "m1", "--ticket", ticket)
      expect(again).toMatchObject({ code: 0, out: expect.stringContaining("number 1") })
      const late = yield* hikyaku("cart", "add", "tee", "--member", "m2")
      expect(late).toMatchObject({ code: codes.refused, err: expect.stringContaining("sold out") })
      const status = yield* hikyaku("cart", "status", ticket, "--product", "tee")
      expect(status.out).toContain("in the cart")
      expect((yield* hikyaku("product", "stock", "tee", "--delta=3", "--source-version", "1")).err).toMatch(/not newer/)
    }))

  it.effect("errors say what to do next, each kind with its exit code", () =>
    Effect.gen(function*() {
      const unknown = yield* hikyaku("cart", "add", "nothing", "--member", "m1")
      expect(unknown).toMatchObject({
        code: codes.refused,
        err: expect.stringContaining("hikyaku product define nothing")
      })
      const bad = yield* hikyaku("cart", "add", "a b", "--member", "m1")
      expect(bad).toMatchObject({ code: codes.usage, err: expect.stringContaining("product: ") })
      const many = yield* hikyaku("cart", "add", "tee", "--member", "m1", "--quantity", "0")
      expect(many).toMatchObject({ code: codes.usage, err: expect.stringContaining("between 1 and 10000") })
      expect(yield* hikyaku("cart", "ad")).toMatchObject({ code: codes.usage })
      expect(yield* hikyaku("cart", "add")).toMatchObject({ code: codes.usage })
      const empty = yield* hikyaku("cart", "checkout", "--member", "nobody")
      expect(empty).toMatchObject({ code: codes.refused, err: expect.stringContaining("nothing in nobody's cart") })
      const nowhere = yield* runAt("ws://127.0.0.1:1/rpc", "status")
      expect(nowhere).toMatchObject({ code: codes.unreachable, err: expect.stringContaining("npm start") })
    }))

  it.scoped("events from a file: a broken line is named, and what is published is said", () =>
    Effect.gen(function*() {
      const event = (id: string, extra = {}) =>
        JSON.stringify({
          source: "shop",
          id,
          at: Date.now(),
          happening: { _tag: "Viewed", member: "m1", product: "tee" },
          ...extra
        })
      const good = yield* file("good.ndjson", `${event("a")}\n\n${event("b")}\n`)
      expect((yield* hikyaku("event", "publish", good)).out).toContain("2 appended")
      expect((yield* hikyaku("event", "publish", good)).out).toContain("2 known already")
      const bad = yield* file("bad.ndjson", `${event("c")}\n${event("d")}\n{"source": \n${event("e")}\n`)
      const broken = yield* hikyaku("event", "publish", bad, "--batch", "2")
      expect(broken).toMatchObject({ code: codes.usage, err: expect.stringContaining("line 3: not valid JSON") })
      expect(broken.err).toContain("up to 2 are published")
      const late = yield* file("late.ndjson", `\n\n${event("f", { at: 1_000_000_000_000 })}\n`)
      expect((yield* hikyaku("event", "publish", late)).err).toContain("line 3.at")
      const typo = yield* file(
        "typo.ndjson",
        event("g", { happening: { _tag: "Vieved", member: "m1", product: "tee" } })
      )
      expect((yield* hikyaku("event", "publish", typo)).err).toMatch(/line 1: happening/)
      expect(yield* hikyaku("event", "publish", "/nothing/here")).toMatchObject({
        code: codes.usage,
        err: "There is no file /nothing/here."
      })
    }))

  it.scoped("an import from a file: goes on where it was, and is finished once", () =>
    Effect.gen(function*() {
      const event = (id: string) =>
        JSON.stringify({
          source: "import",
          id,
          at: Date.now(),
          happening: { _tag: "Viewed", member: "m1", product: "tee" }
        })
      const lines = Array.from({ length: 9 }, (_, n) => event(`i${n}`))
      const torn = yield* file("torn.ndjson", [...lines.slice(0, 7), "{", ...lines.slice(7)].join("\n\n"))
      const run = (place: string) => hikyaku("event", "import", place, "--name", "spring", "--batch", "2")
      const broken = yield* run(torn)
      expect(broken).toMatchObject({ code: codes.usage, err: expect.stringContaining("line 15: not valid JSON") })
      expect(broken.err).toContain("goes on where it was")
      const whole = yield* file("whole.ndjson", lines.join("\n\n"))
      const done = yield* run(whole)
      expect(done).toMatchObject({ code: 0, out: expect.stringContaining("9 appended") })
      expect(done.err).toMatch(/Going on after [46] events/)
      expect((yield* run(whole)).out).toContain("9 appended")
      const sql = yield* SqlClient.SqlClient
      expect(yield* sql`select count(*)::int as n from event_log where source = 'import'`).toEqual([{ n: 9 }])
      expect(yield* hikyaku("event", "import", "/nothing/here", "--name", "other")).toMatchObject({
        code: codes.usage,
        err: "There is no file /nothing/here."
      })
    }))

  it.scoped("a campaign from YAML: faults with their places, then stored, paused, resumed", () =>
    Effect.gen(function*() {
      const yaml = `
id: weekly
name: Weekly
trigger: { _tag: Cron, cron: "0 9 * * 1" }
class: batch
priority: 100
channels: [mail]
segment: { _tag: Everyone }
deadlineMs: 86400000
timePolicy: { _tag: Immediate }
content: { en: { mail: { subject: Hello, html: <p>Hello</p>, text: Hello } } }
`
      const good = yield* file("weekly.yaml", yaml)
      const bad = yield* file("bad.yaml", yaml.replace("priority", "prioritty"))
      const faulty = yield* hikyaku("campaign", "validate", bad)
      expect(faulty).toMatchObject({ code: codes.refused, err: expect.stringContaining("did you mean priority") })
      expect((yield* hikyaku("campaign", "validate", yield* file("x.yaml", "a: [1"))).err).toContain("not valid YAML")
      const cannot = [
        ["deep.json", `${"[".repeat(5_000)}${"]".repeat(5_000)}`, "nested deeper than 40"],
        ["lone.json", "{\"id\": \"weekly\", \"name\": \"\\ud800\"}", "lone surrogate"],
        ["latin.yaml", Uint8Array.from([...new TextEncoder().encode("name: caf"), 0xe9]), "not UTF-8"]
      ] as const
      for (const [name, content, why] of cannot) {
        const refused = yield* hikyaku("campaign", "validate", yield* file(name, content))
        expect(refused, name).toMatchObject({ code: codes.usage, err: expect.stringContaining(why) })
      }
      expect((yield* hikyaku("campaign", "apply", good, "--author", "ann")).out).toContain("Version 1 is stored")
      expect((yield* hikyaku("campaign", "apply", good)).out).toContain("Nothing to do")
      expect((yield* hikyaku("campaign", "pause", "weekly")).out).toContain("weekly is paused")
      expect((yield* hikyaku("campaign", "resume", "weekly")).out).toContain("weekly is active")
      expect(yield* hikyaku("campaign", "pause", "nothing")).toMatchObject({ code: codes.refused })
      expect((yield* hikyaku("campaign", "explain", "m1", "nothing")).err).toContain("There is no run nothing")
    }))

  it.scoped("a campaign's versions compared and taken back, and its message as a member would get it", () =>
    Effect.gen(function*() {
      const document = (subject: string) => ({
        id: "drop",
        name: "Drop",
        trigger: { _tag: "Event", event: "PriceChanged", when: "event.after < event.before" },
        class: "realtime",
        priority: 100,
        channels: ["mail"],
        segment: { _tag: "Everyone" },
        deadlineMs: 86_400_000,
        timePolicy: { _tag: "Immediate" },
        content: { en: { mail: { subject, html: "<p>{{ parameters.after }}</p>", text: "{{ parameters.after }}" } } }
      })
      const one = yield* file("one.json", JSON.stringify(document("Cheaper")))
      const two = yield* file("two.json", JSON.stringify(document("Much cheaper, {{ member.id }}")))
      for (const each of [one, two]) {
        expect(yield* hikyaku("campaign", "apply", each, "--author", "ann")).toMatchObject({ code: 0 })
      }
      // The actors of this test live in memory, and what is compared and tried out are rows.
      const sql = yield* SqlClient.SqlClient
      yield* sql`insert into campaign (id, version, writer, cell, epoch, clock, status, current_version, time_zone, marks, day,
          runs_today, spent_today, runs, suppressed)
        values ('drop', 1, 'w', 'c', 0, now(), 'active', 2, 'Asia/Tokyo', '{}', 0, 0, 0, 0, '{}')`
      for (const [version, subject] of [[1, "Cheaper"], [2, "Much cheaper, {{ member.id }}"]] as const) {
        yield* sql`insert into campaign_version (campaign, version, definition, author, at, state) values
          ('drop', ${version}, ${JSON.stringify(document(subject))}::jsonb, 'ann', now(), ${
          version === 2 ? "current" : "past"
        })`
      }
      const stats = JSON.stringify({ responses: {}, hours: null, objections: 0 })
      for (const [id, address] of [["reader", "reader@shop.example"], ["homeless", null]] as const) {
        yield* sql`insert into member (id, version, writer, cell, epoch, clock, joined, withdrawn, language, address, attributes,
            consents, suppressions, holds, stats, decisions)
          values (${id}, 1, 'w', 'c', 0, now(), true, false, 'en', ${address}, '{}', '{"mail": true}', '{}', '[]', ${stats}::jsonb, 1)`
      }
      const differs = yield* hikyaku("campaign", "diff", "drop", "--from", "1", "--to", "2")
      expect(differs).toMatchObject({ code: 0, out: expect.stringMatching(/content\.en\.mail\.subject.*Cheaper/u) })
      expect((yield* hikyaku("campaign", "diff", two)).out).toContain("Nothing differs")
      expect((yield* hikyaku("campaign", "diff", one, "--from", "2")).out).toContain("Much cheaper")
      const message = yield* hikyaku(
        "campaign",
        "preview",
        two,
        "--member",
        "reader",
        "--parameter",
        "after=80",
        "--parameter",
        "before=100"
      )
      expect(message).toMatchObject({ code: 0, out: expect.stringContaining("Much cheaper, reader") })
      expect(message.out).toContain("<p>80</p>")
      expect((yield* hikyaku("campaign", "preview", two, "--member", "reader")).code).toBe(codes.refused)
      const counted = yield* hikyaku("campaign", "count", one, "--parameter", "after=80")
      expect(counted).toMatchObject({ code: 0, out: expect.stringContaining("would send to 1 of 2 members: 1 mail") })
      expect(counted.out).toContain("Left out: 1 NoChannel")
      const sampled = yield* hikyaku("campaign", "sample", one)
      expect(sampled).toMatchObject({ code: 0, out: expect.stringMatching(/reader +en +mail/) })
      expect(yield* hikyaku("campaign", "rollback", "drop", "--to", "1", "--author", "ann")).toMatchObject({
        code: 0,
        out: expect.stringContaining("it says what version 1 said")
      })
      expect((yield* hikyaku("campaign", "rollback", "drop", "--to", "9", "--author", "ann")).code).toBe(codes.refused)
      yield* sql`insert into run (id, campaign, version, cause, parameters, class, priority, started_at, deadline, cursor,
          considered, accepted, rejected)
        values ('drop.e1-1', 'drop', 2, ${
        JSON.stringify({ _tag: "Event", partition: 1, offset: 1, event: "shop/1", at: Date.now() })
      }::jsonb, '{}', 'realtime', 100, now(), now() + interval '1 day', 'reader', 1, 0, '{"Capped": 1}')`
      yield* sql`insert into decision_ledger (member, n, run, campaign, stage, decision, reason, at)
        values ('reader', 1, 'drop.e1-1', 'drop', 'cap', 'rejected', 'Capped', now())`
      const why = yield* hikyaku("campaign", "explain", "reader", "drop.e1-1")
      expect(why).toMatchObject({ code: 0, out: expect.stringContaining("Capped") })
    }))

  it.effect("status and audit", () =>
    Effect.gen(function*() {
      const status = yield* hikyaku("status")
      expect(status).toMatchObject({ code: 0, out: expect.stringContaining("store") })
      // Actors of this test live in memory: the rows are made up.
      const sql = yield* SqlClient.SqlClient
      for (const id of ["a1", "a2", "a3"]) {
        yield* sql`insert into product (id, version, writer, cell, epoch, clock, name, cart_ms, offer_ms, low_threshold,
          counting, ran_out, taken_in, shortage, available, allocated, offered, sold, sequence, place)
          values (${id}, 1, 'w', 'c', 0, now(), ${id}, 1, 1, 1, false, false, 5, 0, 5, 0, 0, 0, 0, 0)`
      }
      const whole = yield* hikyaku("audit", "--page", "2")
      expect(whole).toMatchObject({ code: 0, out: "The books of 3 products, 0 cart lines agree." })
      expect(whole.err).toContain("2 products")
      expect((yield* hikyaku("audit", "--after", "a2")).out).toContain("The books of 1 products")
      yield* sql`update product set allocated = 1, available = 4 where id = 'a3'`
      const wrong = yield* hikyaku("audit")
      expect(wrong).toMatchObject({ code: codes.refused, out: expect.stringContaining("a3") })
      expect(JSON.parse((yield* hikyaku("status", "--json")).out)).toMatchObject({ health: { ok: true } })
    }))
})
