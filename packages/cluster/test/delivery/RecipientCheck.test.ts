/** Suppressions and addresses are looked up when a list is made: who cannot be reached is taken out, the others go. */
import { describe, expect, it } from "@effect/vitest"
import * as Contacts from "@hikyaku/cluster/delivery/Contacts"
import type { ListedDelivery, ListKey } from "@hikyaku/cluster/delivery/DeliveryStore"
import type { Render } from "@hikyaku/cluster/delivery/ListContent"
import { checkRecipients } from "@hikyaku/cluster/delivery/RecipientCheck"
import * as Suppressions from "@hikyaku/cluster/delivery/Suppressions"
import { Effect, Layer } from "effect"

const house = Layer.merge(Contacts.layerMemory, Suppressions.layerMemory())
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

  it.effect("an order's own mail has no link to unsubscribe, others keep theirs", () =>
    Effect.gen(function*() {
      const linked: Render = (_, deliveries) =>
        Effect.succeed({
          renderings: deliveries.map(({ member }) => ({
            _tag: "Rendered",
            parameters: { unsubscribe_url: member, n: 1 }
          }))
        })
      const check = yield* checkRecipients(linked)
      const parametersOf = (cls: ListKey["class"]) =>
        Effect.map(
          check(key("mail", cls), [to("a", "a@x.example")]),
          ({ renderings }) => renderings.map((one) => one._tag === "Rendered" ? one.parameters : undefined)
        )
      expect(yield* parametersOf("batch")).toEqual([{ unsubscribe_url: "a", n: 1 }])
      expect(yield* parametersOf("realtime")).toEqual([{ unsubscribe_url: "a", n: 1 }])
      expect(yield* parametersOf("transactional")).toEqual([{ n: 1 }])
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
