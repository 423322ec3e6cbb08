/** Mail over a real SMTP server: what a message carries, encryption and credentials, and what each kind of failure says. */
import { describe, expect, it } from "@effect/vitest"
import { Provider, type Recipient } from "@hikyaku/cluster/delivery/Provider"
import * as Smtp from "@hikyaku/cluster/delivery/Smtp"
import * as Spool from "@hikyaku/cluster/delivery/Spool"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import { Duration, Effect, Either, Layer, Redacted } from "effect"
import { smtpFarSide } from "../../../../test/contracts/SmtpFarSide.ts"
import { testCertificate } from "../../../server/test/http/TestCertificate.ts"

const configOf = (port: number, patch: Partial<Smtp.SmtpConfig> = {}): Smtp.SmtpConfig => ({
  host: "localhost",
  port,
  security: "none",
  user: "",
  password: Redacted.make(""),
  from: "Shop <news@shop.example>",
  connections: 2,
  messagesPerConnection: 100,
  requestTimeout: Duration.seconds(5),
  retryAfter: Duration.millis(10),
  ca: "",
  ...patch
})
const house = (port: number, patch?: Partial<Smtp.SmtpConfig>) =>
  Layer.provideMerge(
    Smtp.layer("smtp", configOf(port, patch)),
    Layer.merge(Spool.layerMemory, Suppressions.layerMemory())
  )

const send = (id: string, change: Partial<Recipient> = {}) =>
  Effect.gen(function*() {
    const provider = yield* Provider
    const { uploadId } = yield* provider.uploadList({
      listId: id,
      channel: "mail",
      mailKey: `mail-${id}`,
      recipients: [{
        deliveryId: `run:${id}`,
        address: `${id}@member.example`,
        subject: "値下げのお知らせ",
        content: { text: "こんにちは", html: "<p>こんにちは</p>" },
        ...change
      }],
      idempotencyKey: `${id}/1`
    })
    const { sendId } = yield* provider.startDelivery({ uploadId, idempotencyKey: `${id}/key` })
    return (yield* provider.status({ sendId })).results
  })
const failing = <E, R>(effect: Effect.Effect<unknown, E & { readonly _tag: string }, R>) =>
  Effect.map(Effect.either(effect), (result) => Either.isLeft(result) ? result.left._tag : "success")

const headersOf = (mail: { readonly text: string } | undefined) =>
  (mail?.text.split("\r\n\r\n")[0] ?? "").replaceAll(/\r\n[ \t]+/g, " ")

describe("SMTP: the message", () => {
  it.scopedLive("carries both parts, its delivery, and one-click unsubscribing (RFC 8058)", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide()
      const link = "https://shop.example/u/token"
      yield* send("a", { parameters: { unsubscribe_url: link } }).pipe(
        Effect.provide(house(server.port))
      )
      const headers = headersOf(server.mails[0])
      expect(server.mails[0]).toMatchObject({ from: "news@shop.example", to: ["a@member.example"] })
      expect(headers).toContain(`List-Unsubscribe: <${link}>`)
      expect(headers).toContain("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
      expect(headers).toContain("X-Hikyaku-Delivery: run:a")
      expect(headers).toContain("multipart/alternative")
    }))

  it.scopedLive("without a link (an order's own mail) it has no such headers", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide()
      yield* Effect.provide(send("a"), house(server.port))
      expect(headersOf(server.mails[0])).not.toContain("List-Unsubscribe")
    }))

  it.scopedLive("G16 no text becomes a header or another recipient", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide()
      yield* Effect.gen(function*() {
        yield* send("a", { subject: "Hello\r\nBcc: all@member.example" })
        for (
          const address of ["b@x.example, c@x.example", "b@x.example>\r\nRCPT TO:<c@x.example", "<b@x.example>", "b"]
        ) {
          expect(yield* failing(send("b", { address }))).toBe("ProviderRejected")
        }
      }).pipe(Effect.provide(house(server.port)))
      expect(headersOf(server.mails[0])).not.toMatch(/^Bcc:/m)
      expect(server.mails.map(({ to }) => to)).toEqual([["a@member.example"]])
    }))

  it.scopedLive("many mails share few connections, and none is left behind (R25)", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide()
      const ids = Array.from({ length: 30 }, (_, n) => `m${n}`)
      yield* Effect.forEach(ids, (id) => send(id), { concurrency: 10 }).pipe(Effect.provide(house(server.port)))
      expect(server.mails.flatMap(({ to }) => to).toSorted()).toEqual(
        ids.map((id) => `${id}@member.example`).toSorted()
      )
      expect(server.connections()).toBeLessThanOrEqual(2)
      yield* Effect.repeat(Effect.delay(Effect.sync(server.open), "5 millis"), { until: (open) => open === 0 })
    }))
})

describe("SMTP: encryption and credentials", () => {
  const tls = { key: testCertificate.key, cert: testCertificate.cert }
  const auth = {
    ...tls,
    authOptional: false,
    onAuth: (
      given: { readonly username?: string | undefined; readonly password?: string | null | undefined },
      _: unknown,
      done: (error: Error | null, answer?: { readonly user: string }) => void
    ) =>
      given.username === "shop" && given.password === "secret"
        ? done(null, { user: "shop" })
        : done(new Error("wrong"))
  }
  const credentials = { user: "shop", password: Redacted.make("secret") }

  it.scopedLive("STARTTLS, then credentials", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide(auth)
      const patch = { security: "starttls", ca: testCertificate.cert, ...credentials } as const
      expect(yield* Effect.provide(send("a"), house(server.port, patch))).toMatchObject([{ outcome: "Sent" }])
      expect(server.mails).toMatchObject([{ encrypted: true, user: "shop" }])
    }))

  it.scopedLive("a server without STARTTLS, or with a certificate that nobody trusts, gets nothing", () =>
    Effect.gen(function*() {
      const plain = yield* smtpFarSide()
      expect(yield* failing(Effect.provide(send("a"), house(plain.port, { security: "starttls" })))).toBe(
        "ProviderUnavailable"
      )
      const server = yield* smtpFarSide(tls)
      expect(yield* failing(Effect.provide(send("a"), house(server.port, { security: "starttls" })))).toBe(
        "ProviderUnavailable"
      )
      expect([...plain.mails, ...server.mails]).toEqual([])
    }))

  it.scopedLive("wrong credentials: nothing was sent, and nothing is thrown away", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide(auth)
      const patch = {
        security: "starttls",
        ca: testCertificate.cert,
        user: "shop",
        password: Redacted.make("x")
      } as const
      expect(yield* failing(Effect.provide(send("a"), house(server.port, patch)))).toBe("ProviderUnavailable")
      expect(server.mails).toEqual([])
    }))
})

describe("SMTP: R21 what a failure says", () => {
  it.scopedLive("cut while the content is on its way: unknown, and never sent again", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide()
      yield* Effect.gen(function*() {
        server.behave("cutInContent")
        const provider = yield* Provider
        const start = provider.startDelivery({ uploadId: "a/1", idempotencyKey: "a/key" })
        expect(yield* failing(send("a"))).toBe("ProviderUnknown")
        server.behave("accept")
        expect(yield* failing(start)).toBe("ProviderUnknown")
        expect(server.transactions()).toBe(1)
      }).pipe(Effect.provide(house(server.port)))
    }))

  it.scopedLive.each(
    [
      ["refuseContent", "success", 0],
      ["laterContent", "Throttled", 0]
    ] as const
  )("content refused with a code was not sent: %s", ([behaviour, outcome, count]) =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide()
      server.behave(behaviour)
      expect(yield* failing(Effect.provide(send("a"), house(server.port)))).toBe(outcome)
      expect(server.mails).toHaveLength(count)
    }))

  it.scopedLive("nobody listens, or a server that turns everybody away: not sent", () =>
    Effect.gen(function*() {
      const gone = yield* Effect.scoped(Effect.map(smtpFarSide(), ({ port }) => port))
      expect(yield* failing(Effect.provide(send("a"), house(gone)))).toBe("ProviderUnavailable")
      const server = yield* smtpFarSide()
      server.behave("unreachable")
      expect(["Throttled", "ProviderUnavailable"]).toContain(
        yield* failing(Effect.provide(send("a"), house(server.port)))
      )
      expect(server.mails).toEqual([])
    }))

  it.scopedLive("a mailbox that does not exist is suppressed (MAIL-7)", () =>
    Effect.gen(function*() {
      const server = yield* smtpFarSide()
      server.behave("refuse")
      yield* Effect.gen(function*() {
        expect(yield* send("a")).toMatchObject([{ outcome: "Rejected", reason: expect.stringContaining("5.1.1") }])
        const suppressions = yield* Suppressions.Suppressions
        const found = yield* suppressions.suppressed("mail", ["a@member.example"])
        expect(found.get("a@member.example")?.cause).toBe("hard bounce")
      }).pipe(Effect.provide(house(server.port)))
    }))
})
