/** Suppressions and addresses are looked up when a list is made: who cannot be reached is taken out, the others go. */
import { describe, expect, it } from "@effect/vitest"
import * as Contacts from "@hikyaku/cluster/delivery/Contacts"
import type { ListedDelivery, ListKey } from "@hikyaku/cluster/delivery/DeliveryStore"
import type { Render } from "@hikyaku/cluster/delivery/ListContent"
import { checkRecipients } from "@hikyaku/cluster/delivery/RecipientCheck"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import { make, UnsubscribeLinks, unsubscribePart } from "@hikyaku/cluster/delivery/UnsubscribeLinks"
import { Effect, Layer, Redacted } from "effect"

const house = Layer.mergeAll(
  Contacts.layerMemory,
  Suppressions.layerMemory(),
  Layer.succeed(UnsubscribeLinks, make("https://shop.example", [Redacted.make("secret")]))
)
const render: Render = (_, deliveries) =>
  Effect.succeed({ renderings: deliveries.map(() => ({ _tag: "Rendered", content: { text: "Hello" } })) })
const key = (channel: ListKey["channel"], cls: ListKey["class"] = "batch"): ListKey => ({
  campaign: "c",
  version: 1,
  class: cls,
  channel
})
const to = (member: string, address: string): ListedDelivery => ({
  delivery: `r1:${member}`,
  run: "r1",
  member,
  address,
  language: null,
  product: null,
  parameters: {}
})

describe("MAIL-7, RTM-7: the check of recipients", () => {
  it.effect("a suppressed address is taken out, its neighbours are not", () =>
    Effect.gen(function*() {
      const suppressions = yield* Suppressions.Suppressions
      yield* suppressions.report([
        { key: "1", channel: "mail", address: "B@x.example", kind: "complaint", reason: "spam", at: 1 }
      ])
      const check = yield* checkRecipients(render)
      const { renderings } = yield* check(key("mail"), [to("a", "a@x.example"), to("b", "b@x.example")])
      expect(renderings).toMatchObject([
        { _tag: "Rendered", content: { text: "Hello" } },
        { _tag: "Unrenderable", reason: "suppressed: complaint: spam" }
      ])
    }).pipe(Effect.provide(house)))

  it.effect("mail carries its own member's unsubscribe link, an order's own mail none", () =>
    Effect.gen(function*() {
      const links = yield* UnsubscribeLinks
      const check = yield* checkRecipients(render)
      const { renderings } = yield* check(key("mail"), [to("a", "a@x.example"), to("b", "b@x.example")])
      const tokens = renderings.map((one) => one._tag === "Rendered" ? one.content?.[unsubscribePart] : undefined)
      expect(tokens.map((url) => links.read(url?.split("/u/")[1] ?? ""))).toEqual([
        { member: "a", channel: "mail", run: "r1" },
        { member: "b", channel: "mail", run: "r1" }
      ])
      const own = yield* check(key("mail", "transactional"), [to("a", "a@x.example")])
      expect(own.renderings).toEqual([{ _tag: "Rendered", content: { text: "Hello" } }])
    }).pipe(Effect.provide(house)))

  it.effect("LINE and push reach the address that the member registered last; without one nothing goes out", () =>
    Effect.gen(function*() {
      const contacts = yield* Contacts.Contacts
      const suppressions = yield* Suppressions.Suppressions
      yield* contacts.register("a", "push", "token-a")
      yield* contacts.register("b", "line", "U-b")
      const check = yield* checkRecipients(render)
      const tags = (channel: ListKey["channel"]) =>
        Effect.map(
          check(key(channel), [to("a", "a"), to("b", "b")]),
          ({ renderings }) => renderings.map((one) => one._tag === "Rendered" ? "goes out" : one.reason)
        )
      expect(yield* tags("push")).toEqual(["goes out", "no push address is known"])
      expect(yield* tags("line")).toEqual(["no line address is known", "goes out"])
      yield* suppressions.report([{ key: "1", channel: "line", address: "U-b", kind: "hard", reason: "gone", at: 1 }])
      expect(yield* tags("line")).toEqual(["no line address is known", "suppressed: hard bounce: gone"])
      yield* contacts.register("c", "push", "token-a")
      expect(yield* tags("push")).toEqual(["no push address is known", "no push address is known"])
    }).pipe(Effect.provide(house)))
})
