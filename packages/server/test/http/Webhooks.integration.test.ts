/** Reports of providers, over HTTP: only signed and recent ones count, each once (G3, G17). */
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import * as Webhooks from "@hikyaku/server/http/Webhooks"
import { ConfigProvider, Duration, Effect, Layer, Redacted } from "effect"
import * as TestApi from "../rpc/TestApi.ts"

const secret = Redacted.make("the provider's secret")
const configured = Layer.setConfigProvider(ConfigProvider.fromMap(
  new Map([
    ["HIKYAKU_WEBHOOK_SECRETS", "mail=the old secret,mail=the provider's secret,other=another secret"],
    ["HIKYAKU_SOFT_BOUNCES", "3"]
  ])
))

const seconds = () => String(Math.floor(Date.now() / 1_000))
const post = (
  body: string,
  change: { readonly account?: string; readonly timestamp?: string; readonly signature?: string } = {}
) => {
  const timestamp = change.timestamp ?? seconds()
  const signature = change.signature ?? Webhooks.signatureOf(secret, timestamp, Buffer.from(body))
  return TestApi.post(`/webhooks/${change.account ?? "mail"}`, body, "application/json", {
    [Webhooks.timestampHeader]: timestamp,
    [Webhooks.signatureHeader]: signature
  })
}
const report = (events: ReadonlyArray<object>) =>
  Effect.map(post(JSON.stringify({ events })), ({ status, text }) => ({ status, answer: JSON.parse(text) as unknown }))

/** A delivery of ours, as the dispatcher leaves it. */
const sent = (member: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const id = `r1:${member}`
    yield* sql`insert into delivery (id, run, campaign, version, member, channel, class, priority, status, not_before,
        deadline, held, created_at, address)
      values (${id}, 'r1', 'c', 1, ${member}, 'mail', 'batch', 0, 'sent', now(), now(), false, now(),
        ${`${member}@x.example`})`
    return id
  })
const feedback = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<{ readonly event_id: string; readonly feedback: string; readonly member: string }>`
      select event_id, happening->>'feedback' as feedback, happening->>'member' as member from event_log
      where source = 'provider.mail' order by event_id`,
    (rows) => rows.map((row) => `${row.event_id} ${row.member} ${row.feedback}`)
  ))
const suppressed = Effect.flatMap(SqlClient.SqlClient, (sql) =>
  Effect.map(
    sql<
      { readonly address: string; readonly cause: string }
    >`select address, cause from address_suppression order by address`,
    (rows) => rows.map((row) => `${row.address} ${row.cause}`)
  ))

const at = Date.now()

layer(TestApi.layer().pipe(Layer.provide(configured)), { excludeTestServices: true })("webhooks", (it) => {
  it.effect("MAIL-7 reports become events and suppressions, each once by its id", () =>
    Effect.gen(function*() {
      const [a, b, c] = [yield* sent("a"), yield* sent("b"), yield* sent("c")]
      const events = [
        { id: "1", type: "opened", at, delivery: a },
        { id: "2", type: "bounced", bounce: "hard", at, delivery: b, reason: "550 no such user" },
        { id: "3", type: "complained", at, delivery: c, address: "somebody@else.example" },
        { id: "4", type: "bounced", bounce: "hard", at, address: "D@x.example" },
        { id: "5", type: "clicked", at, delivery: "r9:nobody" }
      ]
      expect(yield* report(events)).toEqual({ status: 200, answer: { events: 3, suppressed: 3, ignored: 1 } })
      const log = ["1 a opened", "2 b bounced", "3 c complained"]
      const addresses = ["b@x.example hard bounce", "c@x.example complaint", "d@x.example hard bounce"]
      expect(yield* feedback).toEqual(log)
      expect(yield* suppressed).toEqual(addresses)
      expect((yield* report(events)).status).toBe(200)
      expect((yield* report(events.slice(2))).status).toBe(200)
      expect(yield* feedback).toEqual(log)
      expect(yield* suppressed).toEqual(addresses)
    }))

  it.effect("soft bounces are counted; the member hears only of the one that was too many", () =>
    Effect.gen(function*() {
      const delivery = yield* sent("soft")
      const soft = (id: string) => ({ id, type: "bounced", bounce: "soft", at, delivery })
      yield* report([soft("s1"), soft("s2")])
      yield* report([soft("s1"), soft("s2")])
      expect((yield* feedback).filter((line) => line.startsWith("s"))).toEqual([])
      yield* report([soft("s3")])
      yield* report([soft("s3")])
      expect((yield* feedback).filter((line) => line.startsWith("s"))).toEqual(["s3 soft bounced"])
      expect(yield* suppressed).toContain("soft@x.example soft bounces")
    }))

  it.effect("G17 whoever cannot sign, or signed too long ago, is refused and changes nothing", () =>
    Effect.gen(function*() {
      const before = [yield* feedback, yield* suppressed]
      const body = JSON.stringify({
        events: [{ id: "x", type: "bounced", bounce: "hard", at, address: "victim@x.example" }]
      })
      const old = String(Math.floor((Date.now() - Duration.toMillis("6 minutes")) / 1_000))
      const ahead = String(Math.floor((Date.now() + Duration.toMillis("6 minutes")) / 1_000))
      const now = seconds()
      const right = Webhooks.signatureOf(secret, now, Buffer.from(body))
      const answers = yield* Effect.all([
        post(body, { signature: "" }),
        post(body, { signature: right.slice(0, -1) }),
        post(body, { signature: Webhooks.signatureOf(Redacted.make("guess"), now, Buffer.from(body)), timestamp: now }),
        post(`${body} `, { signature: right, timestamp: now }),
        post(body, { timestamp: old }),
        post(body, { timestamp: ahead }),
        post(body, { timestamp: old, signature: right }),
        post(body, { timestamp: "", signature: Webhooks.signatureOf(secret, "", Buffer.from(body)) }),
        post(body, { timestamp: "NaN" }),
        post(body, { account: "other" }),
        post(body, { account: "nobody" }),
        post(body, { account: "nobody", signature: "v1=" })
      ])
      expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1)
      expect(answers[0]?.status).toBe(401)
      expect([yield* feedback, yield* suppressed]).toEqual(before)
    }))

  it.effect("a secret that is being replaced is still good", () =>
    Effect.gen(function*() {
      const timestamp = seconds()
      const body = "{\"events\":[]}"
      const signature = Webhooks.signatureOf(Redacted.make("the old secret"), timestamp, Buffer.from(body))
      expect((yield* post(body, { timestamp, signature })).status).toBe(200)
    }))

  it.effect("G16 what is signed and wrong is told where; what is too large is not read", () =>
    Effect.gen(function*() {
      const before = [yield* feedback, yield* suppressed]
      const bad: ReadonlyArray<readonly [body: string, where: string]> = [
        ["{", ""],
        ["[]", ""],
        [JSON.stringify({ events: [{ id: "a", type: "opened", at: "soon" }] }), "events[0]"],
        [JSON.stringify({ events: [{ id: "a\u0000", type: "opened", at }] }), "events[0]"],
        [
          JSON.stringify({ events: Array.from({ length: 1_001 }, (_, n) => ({ id: String(n), type: "opened", at })) }),
          "events"
        ]
      ]
      for (const [body, where] of bad) {
        const { status, text } = yield* post(body)
        expect(status, body.slice(0, 80)).toBe(400)
        expect(String((JSON.parse(text) as { readonly where: unknown }).where)).toContain(where)
      }
      expect((yield* post(" ".repeat(3 * 1024 * 1024))).status).toBe(413)
      expect([yield* feedback, yield* suppressed]).toEqual(before)
    }))
})
