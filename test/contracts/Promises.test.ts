/** The channels that send a message at a time, each over a far side that follows its public documentation. */
import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import * as Contacts from "@hikyaku/cluster/delivery/Contacts"
import * as Line from "@hikyaku/cluster/delivery/Line"
import * as Notices from "@hikyaku/cluster/delivery/Notices"
import * as OnSite from "@hikyaku/cluster/delivery/OnSite"
import * as Push from "@hikyaku/cluster/delivery/Push"
import * as Smtp from "@hikyaku/cluster/delivery/Smtp"
import * as Spool from "@hikyaku/cluster/delivery/Spool"
import * as SpoolPostgres from "@hikyaku/cluster/delivery/SpoolPostgres"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import * as ProviderClient from "@hikyaku/server/http/ProviderClient"
import { Duration, Effect, Layer, Redacted } from "effect"
import { generateKeyPairSync } from "node:crypto"
import { freshDatabase } from "../Database.ts"
import { httpFarSide } from "./HttpFarSide.ts"
import { FarSide, promiseContract } from "./PromiseContract.ts"
import { smtpFarSide } from "./SmtpFarSide.ts"

const memory = Layer.merge(Spool.layerMemory, Suppressions.layerMemory())
const requestTimeout = Duration.seconds(5)

const smtp = Layer.unwrapScoped(Effect.map(smtpFarSide(), (server) =>
  Layer.merge(
    Smtp.layer("smtp", {
      host: "127.0.0.1",
      port: server.port,
      security: "none",
      user: "",
      password: Redacted.make(""),
      from: "Shop <news@shop.example>",
      connections: 2,
      messagesPerConnection: 100,
      requestTimeout,
      retryAfter: Duration.millis(10),
      ca: ""
    }).pipe(Layer.provide(memory)),
    Layer.succeed(FarSide, {
      received: () => server.mails.flatMap(({ to }) => to),
      requests: server.transactions,
      behave: (behaviour) => Effect.sync(() => server.behave(behaviour))
    })
  )))

promiseContract("SMTP", {
  layer: smtp,
  channel: "mail",
  reconciliation: "at-most-once",
  content: { text: "Hello", html: "<p>Hello</p>" },
  behaviours: ["later", "refuse", "lose"]
})

/** Every member can be reached under the id that they have here. */
const everybody = Layer.succeed(Contacts.Contacts, {
  register: () => Effect.void,
  forget: () => Effect.succeed(false),
  find: (_, members) => Effect.succeed(new Map(members.map((member) => [member, `far-${member}`])))
})

const line = Layer.unwrapScoped(Effect.gen(function*() {
  const received: Array<string> = []
  const keys = new Set<string>()
  const server = yield* httpFarSide(({ body, headers, path }, behaviour) => {
    if (headers.authorization !== "Bearer channel token") {
      return { status: 401, body: { message: "Authentication failed" } }
    }
    if (behaviour === "later") return { status: 429, body: { message: "The API rate limit has been exceeded." } }
    const key = String(headers["x-line-retry-key"])
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(key)) {
      return { status: 400, body: { message: "Invalid key" } }
    }
    if (keys.has(key)) return { status: 409, body: { message: "The retry key is already accepted" } }
    const { messages, to } = JSON.parse(body) as { readonly to: string | ReadonlyArray<string>; messages: unknown }
    if (
      behaviour === "refuse" || !Array.isArray(messages) ||
      (path === "/v2/bot/message/push") !== (typeof to === "string")
    ) {
      return { status: 400, body: { message: "The property, 'to', in the request body is invalid" } }
    }
    keys.add(key)
    received.push(...[to].flat())
    return behaviour === "lose" ? null : { status: 200, body: { sentMessages: [] } }
  })
  return Layer.merge(
    Line.layer("line", {
      baseUrl: server.url,
      token: Redacted.make("channel token"),
      requestTimeout,
      listSizeMax: 1,
      retryAfter: Duration.millis(10)
    }).pipe(Layer.provide([Spool.layerMemory, everybody, ProviderClient.layer()])),
    Layer.succeed(FarSide, {
      received: () => received,
      requests: () => server.requests.length,
      behave: server.behave
    })
  )
}))

promiseContract("LINE", {
  layer: line,
  channel: "line",
  reconciliation: "retry-key",
  content: { message: "{\"type\":\"text\",\"text\":\"Hello\"}" },
  behaviours: ["later", "refuse", "lose", "unreachable"],
  reached: (address) => `far-${address}`
})

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })

const push = Layer.unwrapScoped(Effect.gen(function*() {
  const received: Array<string> = []
  const server = yield* httpFarSide(({ body, headers, path }, behaviour) => {
    if (path === "/token") {
      return { status: 200, body: { access_token: "access", expires_in: 3600, token_type: "Bearer" } }
    }
    if (headers.authorization !== "Bearer access") {
      return { status: 401, body: { error: { status: "UNAUTHENTICATED" } } }
    }
    if (path !== "/v1/projects/shop-1/messages:send") return { status: 404, body: {} }
    if (behaviour === "later") {
      return { status: 429, body: { error: { status: "RESOURCE_EXHAUSTED" } }, headers: { "retry-after": "1" } }
    }
    if (behaviour === "refuse") {
      return { status: 404, body: { error: { status: "NOT_FOUND", details: [{ errorCode: "UNREGISTERED" }] } } }
    }
    const { message } = JSON.parse(body) as { readonly message: { readonly token: string } }
    received.push(message.token)
    return behaviour === "lose" ? null : { status: 200, body: { name: "projects/shop-1/messages/1" } }
  })
  const serviceAccount = Redacted.make(JSON.stringify({
    project_id: "shop-1",
    client_email: "push@shop-1.iam.example",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    token_uri: `${server.url}/token`
  }))
  return Layer.merge(
    Push.layer("push", { baseUrl: server.url, serviceAccount, requestTimeout, retryAfter: Duration.millis(10) }).pipe(
      Layer.provide([memory, everybody, ProviderClient.layer()])
    ),
    Layer.succeed(FarSide, {
      received: () => received,
      requests: () => server.requests.filter(({ path }) => path !== "/token").length,
      behave: server.behave
    })
  )
}))

promiseContract("push", {
  layer: push,
  channel: "push",
  reconciliation: "at-most-once",
  content: { payload: "{\"notification\":{\"title\":\"Hello\"}}" },
  behaviours: ["later", "refuse", "lose", "unreachable"],
  reached: (address) => `far-${address}`
})

/** The shop's own store is the far side: what it received is what the members find. A lost answer is one nobody hears. */
const onSite = Layer.unwrapScoped(Effect.gen(function*() {
  const { url } = yield* freshDatabase()
  const received: Array<string> = []
  let requests = 0
  let behaviour = "accept"
  const store = Layer.mergeAll(SpoolPostgres.layer, Notices.layer).pipe(
    Layer.provide(Layer.effectDiscard(migrate)),
    Layer.provideMerge(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
  )
  const witnessed = Layer.effect(
    Notices.Notices,
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const notices = yield* Notices.Notices
      return Notices.Notices.of({
        ...notices,
        put: (given) =>
          Effect.gen(function*() {
            requests++
            yield* notices.put(given)
            const rows = yield* Effect.orDie(
              sql<{ readonly member: string }>`select member from notice order by member, n`
            )
            received.splice(0, received.length, ...rows.map((row) => row.member))
            if (behaviour === "lose") return yield* new Notices.NoticeFault({ reason: "lost by the test" })
          })
      })
    })
  )
  const far = Layer.succeed(FarSide, {
    received: () => received,
    requests: () => requests,
    behave: (next) =>
      Effect.sync(() => {
        behaviour = next
      })
  })
  return Layer.merge(OnSite.layer("onsite").pipe(Layer.provide(witnessed), Layer.provide(store)), far)
}))

promiseContract("on-site", {
  layer: onSite,
  channel: "onsite",
  reconciliation: "retry-key",
  content: { title: "Hello", body: "<p>Hello</p>" },
  behaviours: ["lose"]
})
