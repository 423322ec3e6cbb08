/** The pages behind unsubscribe links, over HTTP: looking changes nothing, asking does, and a wrong token learns nothing. */
import { HttpClient, HttpClientRequest } from "@effect/platform"
import { SqlClient } from "@effect/sql"
import { expect, layer } from "@effect/vitest"
import { ActorClient, NoAnswer } from "@hikyaku/cluster/actor/ActorClient"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { make } from "@hikyaku/cluster/marketing/UnsubscribeLinks"
import { Listener } from "@hikyaku/server/http/HttpListener"
import { languageOf } from "@hikyaku/server/http/Unsubscribe"
import { Effect, Redacted } from "effect"
import { ActorControl } from "../../../cluster/test/stock/MemoryActors.ts"
import * as TestApi from "../rpc/TestApi.ts"

/** A link as the shop's own processes make it, with the secret that they share. */
const linkFor = (member: string, run = "r1") =>
  Effect.gen(function*() {
    const { port } = yield* Listener
    const sql = yield* SqlClient.SqlClient
    const [row] = yield* sql<{ readonly value: string }>`select value from sandbox_secret where name = 'unsubscribe'`
    return make([Redacted.make(row?.value ?? "")], `http://127.0.0.1:${port}`).url({
      member,
      channel: "mail",
      delivery: `${run}:${member}`
    })
  })
const consenting = (member: string) =>
  Effect.gen(function*() {
    const actors = yield* ActorClient
    yield* actors.send(memberKind, { actor: member, command: { _tag: "SetConsent", channel: "mail", consent: true } })
  })
const consentOf = (member: string) =>
  Effect.gen(function*() {
    const actors = yield* ActorClient
    const view = yield* actors.send(memberKind, { actor: member, command: { _tag: "ReadMember" } })
    return view._tag === "MemberView" ? view.consents.mail : undefined
  })
const call = (method: "GET" | "POST", url: string, headers: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const base = method === "GET"
      ? HttpClientRequest.get(url)
      : HttpClientRequest.post(url).pipe(
        HttpClientRequest.bodyText("List-Unsubscribe=One-Click", "application/x-www-form-urlencoded")
      )
    const response = yield* client.execute(HttpClientRequest.setHeaders(base, headers))
    return { status: response.status, headers: response.headers, text: yield* response.text }
  })

layer(TestApi.layer(), { excludeTestServices: true })("RFC 8058 unsubscribing", (it) => {
  it.effect("GET shows a page in the reader's language and changes nothing", () =>
    Effect.gen(function*() {
      yield* consenting("m1")
      const link = yield* linkFor("m1")
      const japanese = yield* call("GET", link, { "accept-language": "ja,en;q=0.5" })
      const english = yield* call("GET", link, { "accept-language": "en-GB,en;q=0.9,ja;q=0.1" })
      expect([japanese.status, english.status]).toEqual([200, 200])
      expect(japanese.text).toContain("配信を停止する")
      expect(english.text).toContain("Unsubscribe")
      expect(english.headers).toMatchObject({ "cache-control": "no-store", "referrer-policy": "no-referrer" })
      expect(yield* consentOf("m1")).toBe(true)
    }))

  it.effect("POST withdraws the consent, once and for all", () =>
    Effect.gen(function*() {
      yield* consenting("m2")
      const link = yield* linkFor("m2")
      expect((yield* call("POST", link)).status).toBe(200)
      expect(yield* consentOf("m2")).toBe(false)
      expect((yield* call("POST", link)).status).toBe(200)
      expect(yield* consentOf("m2")).toBe(false)
    }))

  it.effect("of a system's mail GET changes nothing; POST declines its mails for the address, which no member has", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const { port } = yield* Listener
      const [row] = yield* sql<{ readonly value: string }>`select value from sandbox_secret where name = 'unsubscribe'`
      const link = make([Redacted.make(row?.value ?? "")], `http://127.0.0.1:${port}`).url({
        address: `${"A".repeat(300)}@Shop.example`,
        channel: "mail",
        delivery: `q:${"m".repeat(64)}:${"f".repeat(64)}`,
        system: "crm"
      })
      const declined = sql<{ readonly address: string; readonly system: string }>`
        select address, system from address_unsubscribed`
      expect((yield* call("GET", link)).status).toBe(200)
      expect(yield* declined).toEqual([])
      expect((yield* call("POST", link)).status).toBe(200)
      expect((yield* call("POST", link)).status).toBe(200)
      expect(yield* declined).toEqual([{ address: `${"a".repeat(300)}@shop.example`, system: "crm" }])
    }))

  it.effect("the longest ids have links too", () =>
    Effect.gen(function*() {
      const member = "m".repeat(64)
      yield* consenting(member)
      expect((yield* call("POST", yield* linkFor(member, "r".repeat(63)))).status).toBe(200)
      expect(yield* consentOf(member)).toBe(false)
    }))

  it.effect("G17 a token that was not signed here is refused, and the answer is always the same", () =>
    Effect.gen(function*() {
      yield* consenting("m4")
      const link = yield* linkFor("m4")
      const { port } = yield* Listener
      const [base = "", payload = "", signature = ""] = /^(.*\/u\/1\.)([^.]+)\.(.*)$/.exec(link)?.slice(1) ?? []
      const other = (yield* linkFor("m5")).slice(base.length).split(".")[0]
      const forged = make([Redacted.make("guess")], `http://127.0.0.1:${port}`).url({
        member: "m4",
        channel: "mail",
        delivery: "r1:m4"
      })
      const bad = [
        `${base}${payload}`,
        `${base}${payload}.${"A".repeat(43)}`,
        `${base}${other}.${signature}`,
        `${base}${"x".repeat(2_000)}`,
        `${base}%00`,
        `${base}%3Cscript%3E`,
        forged
      ]
      const answers = yield* Effect.forEach(bad, (url) => Effect.zip(call("GET", url), call("POST", url)))
      const texts = new Set(answers.flat().map(({ status, text }) => `${status} ${text}`))
      expect(texts.size).toBe(1)
      expect([...texts][0]).toMatch(/^404 /)
      expect(yield* consentOf("m4")).toBe(true)
    }))

  it.effect("when the actors do not answer, the mail program is told to try again", () =>
    Effect.gen(function*() {
      const link = yield* linkFor("m6")
      const control = yield* ActorControl
      control.judge(() => new NoAnswer({ reason: "by the test" }))
      expect((yield* call("POST", link)).status).toBe(503)
      control.judge(() => "now")
    }))

  it.effect("Japanese unless the reader prefers English", () =>
    Effect.sync(() => {
      expect([undefined, "", "fr", "fr,en;q=0.5", "en", "ja-JP,en", "EN-us"].map(languageOf)).toEqual(
        ["ja", "ja", "ja", "en", "en", "ja", "en"]
      )
    }))
})
