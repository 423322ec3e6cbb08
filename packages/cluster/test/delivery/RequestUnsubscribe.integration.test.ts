/** Mails that registered systems asked for carry links to unsubscribe, over the bulk provider and over SMTP (RFC 8058). */
import { SqlClient } from "@effect/sql"
import { it } from "@effect/vitest"
import { runDispatcher } from "@hikyaku/cluster/delivery/Dispatcher"
import { Provider, type UploadRequest } from "@hikyaku/cluster/delivery/Provider"
import { withRequests } from "@hikyaku/cluster/delivery/RequestRenderer"
import { layer as requestLayer, RequestStore } from "@hikyaku/cluster/delivery/RequestStore"
import * as Smtp from "@hikyaku/cluster/delivery/Smtp"
import * as SpoolPostgres from "@hikyaku/cluster/delivery/SpoolPostgres"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import { layer as unsubscribedLayer, Unsubscribed } from "@hikyaku/cluster/delivery/Unsubscribed"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import * as Links from "@hikyaku/cluster/marketing/UnsubscribeLinks"
import { sql as channelsSql } from "@hikyaku/cluster/sql/migrations/0080_channels"
import { Duration, Effect, Either, Layer, Redacted } from "effect"
import { describe, expect } from "vitest"
import { smtpFarSide } from "../../../../test/contracts/SmtpFarSide.ts"
import * as House from "./DispatcherHouse.ts"

const keys = [Redacted.make("k".repeat(32))] as const
const links = Links.make(keys, "https://shop.example")
const render = withRequests(House.render).pipe(Effect.provide(Links.layer(keys, "https://shop.example")))
const tokenOf = (url: unknown) => links.read(String(url).replace("https://shop.example/u/", ""))

/** Templates: one that names the link, one that does not. */
const templates = {
  plain: { en: { mail: { subject: "s", html: "<p>h</p>", text: "t" } } },
  asking: {
    en: { mail: { subject: "s", html: "<a href=\"{{ unsubscribe_url }}\">bye</a>", text: "Bye {{ unsubscribe_url }}" } }
  }
}
interface Wanted {
  readonly id: string
  readonly system: string
  readonly class: "realtime" | "batch"
  readonly template: keyof typeof templates
}
/** A request to these addresses, submitted. */
const ask = ({ class: cls, id, system, template }: Wanted, addresses: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const store = yield* RequestStore
    const templateVersion = yield* store.saveTemplate(template, templates[template])
    yield* store.open({
      id,
      system,
      idempotencyKey: id,
      contentHash: id,
      mail: id,
      template,
      templateVersion,
      class: cls,
      priority: 0,
      parameters: {},
      sendAt: Date.now() - 1_000,
      deadline: Date.now() + 3_600_000,
      source: null
    })
    const lines = addresses.map((address, index) => ({
      _tag: "Recipient" as const,
      line: index + 1,
      recipient: { member: null, address, parameters: {} }
    }))
    yield* store.add(id, lines, lines.length)
    yield* store.move(id, ["open"], "accepted")
  }).pipe(Effect.provide(requestLayer))

const decline = (address: string, system: string) =>
  Effect.flatMap(Unsubscribed, ({ add }) => add({ channel: "mail", address, system, delivery: "d" })).pipe(
    Effect.provide(unsubscribedLayer)
  )
const addresses = ["Ann@shop.example", "bob@shop.example"]

describe("links to unsubscribe in mails of requests (RFC 8058)", () => {
  it.scopedLive("batch carries one always, realtime where its template asks; who used it is left out of the next list", () =>
    House.inHouse(
      House.calm,
      Effect.gen(function*() {
        const uploads: Array<UploadRequest> = []
        const provider = yield* Provider
        const recording = Provider.of({
          ...provider,
          uploadList: (request) =>
            Effect.zipRight(Effect.sync(() => uploads.push(request)), provider.uploadList(request))
        })
        const sent = (mail: string) =>
          uploads.filter(({ mailKey }) => mailKey === `q:${mail}`).flatMap(({ recipients }) => recipients)
            .toSorted((a, b) => a.address < b.address ? -1 : 1)
        yield* Effect.forkScoped(
          runDispatcher({ settings: House.settings, render: yield* render, members: memberKind }).pipe(
            Effect.provideService(Provider, recording)
          )
        )
        yield* ask({ id: "news", system: "crm", class: "batch", template: "plain" }, addresses)
        yield* ask({ id: "asking", system: "crm", class: "realtime", template: "asking" }, addresses)
        yield* ask({ id: "order", system: "crm", class: "realtime", template: "plain" }, addresses)
        yield* House.quiet
        for (const { address, deliveryId, parameters } of sent("news")) {
          const of = { address, channel: "mail", system: "crm", delivery: deliveryId }
          expect(tokenOf(parameters?.["unsubscribe_url"])).toEqual(Either.right(of))
        }
        const [asking] = sent("asking")
        expect(asking?.content?.["text"]).toBe(`Bye ${String(asking?.parameters?.["unsubscribe_url"])}`)
        expect(sent("order").map(({ parameters }) => parameters)).toEqual([undefined, undefined])
        expect([sent("news").length, sent("asking").length]).toEqual([2, 2])

        // Whoever writes the address how, and whichever mail the link was in: it is the system's mails that are declined.
        yield* decline("aNN@shop.example", "crm")
        yield* ask({ id: "news-2", system: "crm", class: "batch", template: "plain" }, addresses)
        yield* ask({ id: "asking-2", system: "crm", class: "realtime", template: "asking" }, addresses)
        yield* ask({ id: "order-2", system: "crm", class: "realtime", template: "plain" }, addresses)
        yield* ask({ id: "other", system: "erp", class: "batch", template: "plain" }, addresses)
        yield* House.quiet
        const to = (mail: string) => sent(mail).map(({ address }) => address)
        expect(to("news-2")).toEqual(["bob@shop.example"])
        expect(to("asking-2")).toEqual(["bob@shop.example"])
        expect(to("order-2")).toEqual(addresses)
        expect(to("other")).toEqual(addresses)
        const rows = yield* Effect.map(House.deliveries, (all) => all.filter(({ status }) => status === "suppressed"))
        expect(rows.map(({ reason }) => reason)).toEqual(
          Array.from({ length: 2 }, () => "unsubscribed from the mails of this system")
        )
        yield* House.exactlyOnce(12)

        // Whose owner takes it back is reached again, whoever writes the address how, and by that system alone.
        yield* decline("ann@shop.example", "erp")
        const { lift, of } = yield* Effect.provide(Unsubscribed, unsubscribedLayer)
        expect(yield* lift("mail", "ANN@shop.example", "crm")).toBe(true)
        expect(yield* lift("mail", "ANN@shop.example", "crm")).toBe(false)
        expect(yield* of("mail", "Ann@shop.example")).toMatchObject([{ system: "erp" }])
        yield* ask({ id: "news-3", system: "crm", class: "batch", template: "plain" }, addresses)
        yield* ask({ id: "other-3", system: "erp", class: "batch", template: "plain" }, addresses)
        yield* House.quiet
        expect(to("news-3")).toEqual(addresses)
        expect(to("other-3")).toEqual(["bob@shop.example"])
      })
    ))

  it.scopedLive("over SMTP the header is there, for batch alone, and its token verifies", () =>
    House.inHouse(
      {},
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql.unsafe(channelsSql)
        const server = yield* smtpFarSide()
        yield* Effect.forkScoped(
          runDispatcher({
            settings: { ...House.settings, account: "smtp", statusFirstMs: 5 },
            render: yield* render,
            members: memberKind
          }).pipe(Effect.provide(
            Smtp.layer("smtp", {
              host: "127.0.0.1",
              port: server.port,
              security: "none",
              user: "",
              password: Redacted.make(""),
              from: "news@shop.example",
              connections: 2,
              messagesPerConnection: 20,
              requestTimeout: Duration.seconds(5),
              retryAfter: Duration.millis(20),
              ca: ""
            }).pipe(Layer.provide([SpoolPostgres.layer, Suppressions.layerMemory()]))
          ))
        )
        yield* ask({ id: "news", system: "crm", class: "batch", template: "plain" }, ["ann@shop.example"])
        yield* ask({ id: "order", system: "crm", class: "realtime", template: "plain" }, ["bob@shop.example"])
        yield* House.quiet
        const headersTo = (address: string) =>
          (server.mails.find(({ to }) => to.includes(address))?.text.split("\r\n\r\n")[0] ?? "")
            .replaceAll(/\r\n[ \t]+/g, " ")
        const [, url] = /^List-Unsubscribe: <([^>]+)>$/m.exec(headersTo("ann@shop.example")) ?? []
        expect(headersTo("ann@shop.example")).toContain("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
        expect(tokenOf(url)).toMatchObject({ right: { address: "ann@shop.example", system: "crm", channel: "mail" } })
        expect(headersTo("bob@shop.example")).toContain("X-Hikyaku-Delivery")
        expect(headersTo("bob@shop.example")).not.toContain("List-Unsubscribe")
      })
    ))
})
