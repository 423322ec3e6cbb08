/** LINE and FCM beyond what their promise means: requests as their documentation has them, tokens, and what errors say. */
import { describe, expect, it } from "@effect/vitest"
import * as Contacts from "@hikyaku/cluster/delivery/Contacts"
import * as Line from "@hikyaku/cluster/delivery/Line"
import { Provider, type Recipient } from "@hikyaku/cluster/delivery/Provider"
import * as Push from "@hikyaku/cluster/delivery/Push"
import * as Spool from "@hikyaku/cluster/delivery/Spool"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import * as ProviderClient from "@hikyaku/server/http/ProviderClient"
import { Cause, Duration, Effect, Either, Exit, Layer, Redacted } from "effect"
import { generateKeyPairSync, verify } from "node:crypto"
import { type Answer, type Asked, httpFarSide } from "../../../../test/contracts/HttpFarSide.ts"

const contacts = Layer.succeed(Contacts.Contacts, {
  register: () => Effect.void,
  forget: () => Effect.succeed(false),
  find: (_, members) => Effect.succeed(new Map(members.map((member) => [member, `U-${member}`])))
})
const requestTimeout = Duration.seconds(2)
const to = (member: string, content: Readonly<Record<string, string>>): Recipient => ({
  deliveryId: `r:${member}`,
  address: member,
  content
})
const send = (listId: string, channel: string, recipients: ReadonlyArray<Recipient>) =>
  Effect.gen(function*() {
    const provider = yield* Provider
    const list = { listId, channel, mailKey: listId, recipients, idempotencyKey: `${listId}/1` }
    const { uploadId } = yield* provider.uploadList(list)
    const { sendId } = yield* provider.startDelivery({ uploadId, idempotencyKey: `${listId}/key` })
    return (yield* provider.status({ sendId })).results.map(({ deliveryId, outcome }) => `${deliveryId} ${outcome}`)
  })
const failing = <E extends { readonly _tag: string }, R>(effect: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.either(effect), (result) => Either.isLeft(result) ? result.left._tag : "success")

describe("LINE", () => {
  const line = (url: string, listSizeMax: number) =>
    Line.layer("line", {
      baseUrl: url,
      token: Redacted.make("token"),
      requestTimeout,
      listSizeMax,
      retryAfter: Duration.seconds(1)
    }).pipe(Layer.provide([Spool.layerMemory, contacts, ProviderClient.layer()]))
  const hello = { message: "{\"type\":\"text\",\"text\":\"Hello\"}" }
  const two = { message: "[{\"type\":\"text\",\"text\":\"1\"},{\"type\":\"text\",\"text\":\"2\"}]" }

  it.scopedLive("a list that says the same to everybody is one multicast; one recipient is a push", () =>
    Effect.gen(function*() {
      const far = yield* httpFarSide(() => ({ status: 200, body: {} }))
      yield* Effect.gen(function*() {
        expect(yield* send("a", "line", [to("m1", hello), to("m2", hello)])).toEqual(["r:m1 Sent", "r:m2 Sent"])
        yield* send("b", "line", [to("m1", two)])
      }).pipe(Effect.provide(line(far.url, 500)))
      expect(far.requests.map(({ body, path }) => [path, JSON.parse(body)])).toEqual([
        ["/v2/bot/message/multicast", { to: ["U-m1", "U-m2"], messages: [{ type: "text", text: "Hello" }] }],
        ["/v2/bot/message/push", {
          to: "U-m1",
          messages: [{ type: "text", text: "1" }, { type: "text", text: "2" }]
        }]
      ])
    }))

  it.scopedLive("recipients whose message differs are named, so that nobody gets another's", () =>
    Effect.gen(function*() {
      const far = yield* httpFarSide(() => ({ status: 200 }))
      const sending = send("a", "line", [to("m1", hello), to("m2", two)])
      const refused = yield* Effect.flip(Effect.provide(sending, line(far.url, 500)))
      expect(refused).toMatchObject({ _tag: "ProviderRejected", where: "recipients[1].content" })
      expect(far.requests).toEqual([])
    }))

  it.scopedLive("retry keys are UUIDs: the same for the same list, another for another", () =>
    Effect.gen(function*() {
      const answers: Array<Answer> = [{ status: 500 }, { status: 503 }, { status: 200 }, { status: 200 }]
      const far = yield* httpFarSide(() => answers.shift() ?? { status: 200 })
      yield* Effect.gen(function*() {
        const provider = yield* Provider
        expect(yield* failing(send("a", "line", [to("m1", hello)]))).toBe("ProviderUnknown")
        const again = provider.startDelivery({ uploadId: "a/1", idempotencyKey: "a/key" })
        expect(yield* failing(again)).toBe("ProviderUnknown")
        expect(yield* failing(again)).toBe("success")
        yield* send("b", "line", [to("m1", hello)])
      }).pipe(Effect.provide(line(far.url, 1)))
      const keys = far.requests.map(({ headers }) => String(headers["x-line-retry-key"]))
      expect(new Set(keys.slice(0, 3)).size).toBe(1)
      expect(keys[3]).not.toBe(keys[0])
      expect(keys[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    }))

  it.scopedLive("a wrong token throws nothing away", () =>
    Effect.gen(function*() {
      const far = yield* httpFarSide(({ headers }) => ({ status: headers.authorization === "Bearer x" ? 200 : 401 }))
      expect(yield* failing(Effect.provide(send("a", "line", [to("m1", hello)]), line(far.url, 1)))).toBe(
        "ProviderUnavailable"
      )
    }))
})

describe("push", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 })
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString()
  const push = (url: string, serviceAccount?: string) =>
    Layer.provideMerge(
      Push.layer("push", {
        baseUrl: url,
        serviceAccount: Redacted.make(
          serviceAccount ?? JSON.stringify({
            project_id: "shop-1",
            client_email: "push@shop-1.iam.example",
            private_key: pem,
            token_uri: `${url}/token`
          })
        ),
        requestTimeout,
        retryAfter: Duration.seconds(60)
      }),
      Layer.mergeAll(Spool.layerMemory, Suppressions.layerMemory(), contacts, ProviderClient.layer())
    )
  const payload = { payload: "{\"notification\":{\"title\":\"Hi\"},\"data\":{\"product\":\"tee\"}}" }
  /** Hands out tokens `t1`, `t2`, ... */
  const fcm = (answer: (asked: Asked) => Answer) => {
    let tokens = 0
    return httpFarSide((asked) =>
      asked.path === "/token"
        ? { status: 200, body: { access_token: `t${++tokens}`, expires_in: 3_600 } }
        : answer(asked)
    )
  }
  const isToken = ({ path }: Asked) => path === "/token"

  it.scopedLive("asks for one access token with a signed assertion, and sends the payload to the device", () =>
    Effect.gen(function*() {
      const far = yield* fcm(() => ({ status: 200, body: { name: "projects/shop-1/messages/1" } }))
      const both = Effect.all([send("a", "push", [to("m1", payload)]), send("b", "push", [to("m2", payload)])], {
        concurrency: 2
      })
      expect(yield* Effect.provide(both, push(far.url))).toEqual([["r:m1 Sent"], ["r:m2 Sent"]])
      const [asked, ...others] = far.requests.filter(isToken)
      expect(others).toEqual([])
      const form = new URLSearchParams(asked?.body)
      expect(form.get("grant_type")).toBe("urn:ietf:params:oauth:grant-type:jwt-bearer")
      const [header = "", claims = "", signature = ""] = (form.get("assertion") ?? "").split(".")
      const signed = Buffer.from(`${header}.${claims}`)
      expect(verify("RSA-SHA256", signed, publicKey, Buffer.from(signature, "base64url"))).toBe(true)
      const said = JSON.parse(Buffer.from(claims, "base64url").toString()) as Readonly<Record<string, unknown>>
      expect(said).toMatchObject({
        iss: "push@shop-1.iam.example",
        aud: `${far.url}/token`,
        scope: "https://www.googleapis.com/auth/firebase.messaging"
      })
      expect(Number(said["exp"]) - Number(said["iat"])).toBe(3_600)
      const sent = far.requests.filter((one) => !isToken(one)).map(({ body }) => JSON.parse(body) as unknown)
      expect(sent).toContainEqual({
        message: { token: "U-m1", notification: { title: "Hi" }, data: { product: "tee" } }
      })
    }))

  it.scopedLive("a token that is refused is asked for anew, and nothing is thrown away", () =>
    Effect.gen(function*() {
      const far = yield* fcm(({ headers }) => ({ status: headers.authorization === "Bearer t2" ? 200 : 401 }))
      yield* Effect.gen(function*() {
        expect(yield* failing(send("a", "push", [to("m1", payload)]))).toBe("ProviderUnavailable")
        expect(yield* send("a", "push", [to("m1", payload)])).toEqual(["r:m1 Sent"])
      }).pipe(Effect.provide(push(far.url)))
    }))

  it.scopedLive("without an access token nothing was sent", () =>
    Effect.gen(function*() {
      const far = yield* httpFarSide((asked) => isToken(asked) ? { status: 500 } : { status: 200 })
      expect(yield* failing(Effect.provide(send("a", "push", [to("m1", payload)]), push(far.url)))).toBe(
        "ProviderUnavailable"
      )
      expect(far.requests.every(isToken)).toBe(true)
    }))

  it.scopedLive("an unregistered token is suppressed; other refusals are results", () =>
    Effect.gen(function*() {
      const far = yield* fcm(({ body }) =>
        body.includes("U-gone")
          ? { status: 404, body: { error: { status: "NOT_FOUND", details: [{ errorCode: "UNREGISTERED" }] } } }
          : {
            status: 400,
            body: { error: { status: "INVALID_ARGUMENT", details: [{ errorCode: "INVALID_ARGUMENT" }] } }
          }
      )
      yield* Effect.gen(function*() {
        expect(yield* send("a", "push", [to("gone", payload)])).toEqual(["r:gone Rejected"])
        expect(yield* send("b", "push", [to("bad", payload)])).toEqual(["r:bad Rejected"])
        const suppressions = yield* Suppressions.Suppressions
        expect([...(yield* suppressions.suppressed("push", ["U-gone", "U-bad"])).keys()]).toEqual(["U-gone"])
      }).pipe(Effect.provide(push(far.url)))
    }))

  it.scopedLive("429 says how long to wait; 503 leaves the outcome open", () =>
    Effect.gen(function*() {
      const answers: Array<Answer> = [{ status: 429, headers: { "retry-after": "7" } }, { status: 503 }]
      const far = yield* fcm(() => answers.shift() ?? { status: 200 })
      yield* Effect.gen(function*() {
        const wait = yield* Effect.flip(send("a", "push", [to("m1", payload)]))
        expect(wait).toMatchObject({ _tag: "Throttled", retryAfter: Duration.seconds(7) })
        expect(yield* failing(send("b", "push", [to("m1", payload)]))).toBe("ProviderUnknown")
      }).pipe(Effect.provide(push(far.url)))
    }))

  it.scopedLive("a payload that names its own target, and a key file that is none, are refused without being repeated", () =>
    Effect.gen(function*() {
      const far = yield* fcm(() => ({ status: 200 }))
      const targeted = send("a", "push", [to("m1", { payload: "{\"topic\":\"all\"}" })])
      expect(yield* failing(Effect.provide(targeted, push(far.url)))).toBe("ProviderRejected")
      const exit = yield* Effect.exit(
        Effect.provide(send("a", "push", [to("m1", payload)]), push(far.url, "{\"private_key\":\"S3CRET\"}"))
      )
      expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).toContain("HIKYAKU_FCM_SERVICE_ACCOUNT")
      expect(Exit.isFailure(exit) && Cause.pretty(exit.cause)).not.toContain("S3CRET")
      expect(far.requests).toEqual([])
    }))
})
