import type { Unsubscription } from "@hikyaku/cluster/marketing/UnsubscribeLinks"
import * as Links from "@hikyaku/cluster/marketing/UnsubscribeLinks"
import { ConfigProvider, Effect, Either, Redacted } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const key = (letter: string) => Redacted.make(letter.repeat(32))
const links = Links.make([key("a")], "https://mail.shop.example/")
const who: Unsubscription = { member: "m-1", channel: "mail", delivery: "price-drop.e1-2:m-1" }
const tokenOf = (url: string) => url.slice(url.indexOf("/u/") + 3)

describe("links to unsubscribe (G17)", () => {
  it("say what they were made of, in letters that every mail program leaves alone", () => {
    const id = fc.string({ unit: "grapheme", minLength: 1, maxLength: 64 })
    fc.assert(fc.property(id, id, (member, delivery) => {
      const of: Unsubscription = { member, channel: "line", delivery }
      const url = links.url(of)
      expect(url).toMatch(/^https:\/\/mail\.shop\.example\/u\/[A-Za-z0-9._-]+$/)
      expect(links.read(tokenOf(url))).toEqual(Either.right(of))
    }))
  })

  it("of a system's mail name the address and the system, and are never mistaken for a member's", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 64 })
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", minLength: 3, maxLength: 320 }),
        text,
        text,
        (address, delivery, system) => {
          const of: Unsubscription = { address, channel: "mail", delivery, system }
          expect(links.read(tokenOf(links.url(of)))).toEqual(Either.right(of))
        }
      )
    )
    const of: Unsubscription = { address: "m-1", channel: "mail", delivery: who.delivery, system: "crm" }
    expect(tokenOf(links.url(of))).not.toBe(tokenOf(links.url(who)))
  })

  it("cannot be made, or changed, without the key", () => {
    const token = tokenOf(links.url(who))
    const forged = tokenOf(Links.make([key("b")], "https://x").url(who))
    expect(links.read(forged)).toEqual(Either.left("Forged"))
    // Another member's name under this signature.
    const [version, , signature] = token.split(".")
    const other = Buffer.from(JSON.stringify(["m-2", "mail", who.delivery])).toString("base64url")
    expect(links.read(`${version}.${other}.${signature}`)).toEqual(Either.left("Forged"))
    expect(links.read(`${token.slice(0, -3)}`)).toEqual(Either.left("Forged"))
  })

  it("G16: any text is read or refused, nothing throws", () => {
    fc.assert(fc.property(fc.string({ maxLength: 2_000 }), (text) => {
      expect(Either.isLeft(links.read(text))).toBe(true)
    }))
    for (const text of ["", "1", "1.", "1..", "2.abc.def", "1.a.b.c", "1.é.é"]) {
      expect(Either.isLeft(links.read(text))).toBe(true)
    }
  })

  it("outlive a change of keys: the new one signs, the old one still opens", () => {
    const changed = Links.make([key("b"), key("a")], "https://mail.shop.example")
    expect(changed.read(tokenOf(links.url(who)))).toEqual(Either.right(who))
    expect(links.read(tokenOf(changed.url(who)))).toEqual(Either.left("Forged"))
  })
})

describe("configuration of the links", () => {
  const read = (settings: Record<string, string>) =>
    Effect.runSync(
      Links.configured.pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(settings)))),
        Effect.map(({ base, keys }) => ({ base, keys: keys.map(Redacted.value) })),
        Effect.mapError(String),
        Effect.either
      )
    )
  const real = { HIKYAKU_PROVIDER_URL: "https://provider.example" }
  const [a, b] = ["a".repeat(32), "b".repeat(32)]

  it("no mail leaves for a real provider without a key, nor with a short one", () => {
    expect(read(real)).toEqual(Either.left(expect.stringContaining("HIKYAKU_UNSUBSCRIBE_KEY")))
    expect(read({ ...real, HIKYAKU_UNSUBSCRIBE_KEY: "short" })).toEqual(
      Either.left(expect.stringContaining("at least 32"))
    )
    const keys = { ...real, HIKYAKU_UNSUBSCRIBE_KEY: `${b},${a}`, HIKYAKU_PUBLIC_URL: "https://mail.shop.example" }
    expect(read(keys)).toEqual(Either.right({ base: "https://mail.shop.example/", keys: [b, a] }))
  })
  it("for a sandbox on this machine none is needed", () => {
    expect(read({ HIKYAKU_PROVIDER_URL: "http://127.0.0.1:4010" })).toEqual(
      Either.right({ base: "http://127.0.0.1:4000/", keys: [] })
    )
  })
})
