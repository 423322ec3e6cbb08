/** G17: a token stands for what it was signed for, and nothing else can be made from it. */
import { make, type Unsubscription } from "@hikyaku/cluster/delivery/UnsubscribeLinks"
import { Redacted } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"

const [old, current, foreign] = ["old secret", "new secret", "somebody else's"].map((text) => Redacted.make(text))
const url = "https://shop.example"
const links = make(url, [current!])
const about: Unsubscription = { member: "m1", channel: "mail", run: "r1" }
const tokenOf = (link: string) => link.slice(`${url}/u/`.length)

const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/)
const anything = fc.record({
  member: id,
  channel: fc.constantFrom("mail" as const, "line" as const, "push" as const, "onsite" as const),
  run: id
})

describe("G17 unsubscribe links", () => {
  it("stand for what they were made for, and fit into an address", () => {
    fc.assert(fc.property(anything, (one) => {
      const link = links.urlFor(one)
      expect(new URL(link).href).toBe(link)
      expect(links.read(tokenOf(link))).toEqual(one)
    }))
  })

  it("are refused when one character differs, is missing or is added", () => {
    const token = tokenOf(links.urlFor(about))
    fc.assert(fc.property(fc.nat(token.length - 1), fc.constantFrom(..."abcXYZ019_-."), (at, char) => {
      const changed = token.slice(0, at) + char + token.slice(at + 1)
      const read = links.read(changed)
      // The last character of each part holds bits that stand for nothing: what it says is the same.
      if (changed !== token && read !== null) expect(read).toEqual(about)
      expect(links.read(token.slice(0, at) + token.slice(at + 1))).toBe(null)
      expect(links.read(token + char)).toBe(null)
    }))
    for (const bad of ["", ".", "a.b", token.split(".")[0] ?? "", `${token}.${token}`, "x".repeat(100_000)]) {
      expect(links.read(bad)).toBe(null)
    }
  })

  it("of another secret are refused; of one that is being replaced they are still good", () => {
    expect(links.read(tokenOf(make(url, [foreign!]).urlFor(about)))).toBe(null)
    const before = tokenOf(make(url, [old!]).urlFor(about))
    expect(links.read(before)).toBe(null)
    expect(make(url, [current!, old!]).read(before)).toEqual(about)
    expect(tokenOf(make(url, [current!, old!]).urlFor(about))).toBe(tokenOf(links.urlFor(about)))
  })

  it("a member's signature does not fit another member's payload", () => {
    const mine = tokenOf(links.urlFor(about)).split(".")
    const other = tokenOf(links.urlFor({ ...about, member: "m2" })).split(".")
    expect(links.read(`${other[0]}.${mine[1]}`)).toBe(null)
  })
})
