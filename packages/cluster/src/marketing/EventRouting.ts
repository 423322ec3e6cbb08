/**
 * What an event means to the actors: stock figures and product data go to the Product actor, what members are and wish to
 * the Member actor. Commands are safe to repeat: stock by its source's version, the rest because it states how things are.
 */
import type { Happening } from "@hikyaku/domain/marketing/Event"
import type { MemberCommand } from "@hikyaku/domain/marketing/Member"
import type { ProductCommand } from "@hikyaku/domain/stock/Product"
import type { LogEntry } from "./EventLog.ts"

export type Routed =
  | { readonly _tag: "Product"; readonly actor: string; readonly command: ProductCommand; readonly at: number }
  | { readonly _tag: "Member"; readonly actor: string; readonly command: MemberCommand; readonly at: number }

const toMember = (actor: string, command: MemberCommand, at: number): Routed => ({ _tag: "Member", actor, command, at })
const toProduct = (actor: string, command: ProductCommand, at: number): Routed => ({
  _tag: "Product",
  actor,
  command,
  at
})

/** The commands that an entry of the log amounts to, in order. `meaning`: what a level of stock counts, by configuration. */
export const route = (entry: LogEntry, meaning: "physical" | "onHand"): ReadonlyArray<Routed> => {
  const { at, happening, source } = entry
  switch (happening._tag) {
    case "ProductPublished":
      return [toProduct(happening.product, { _tag: "DefineProduct", name: happening.name }, at)]
    case "StockChanged":
      return [
        toProduct(happening.product, {
          _tag: "ChangeStock",
          source,
          sourceVersion: happening.sourceVersion,
          meaning,
          change: happening.change
        }, at)
      ]
    case "MemberJoined": {
      const { address, attributes, language, timeZone } = happening
      return [
        toMember(happening.member, {
          _tag: "SetProfile",
          ...(address === undefined ? {} : { address }),
          ...(language === undefined ? {} : { language }),
          ...(timeZone === undefined ? {} : { timeZone }),
          ...(attributes === undefined ? {} : { attributes })
        }, at)
      ]
    }
    case "MemberWithdrawn":
      return [toMember(happening.member, { _tag: "Withdraw" }, at)]
    case "ConsentChanged":
      return [
        toMember(
          happening.member,
          { _tag: "SetConsent", channel: happening.channel, consent: happening.consent },
          at
        )
      ]
    case "MessageFeedback":
      return feedback(happening, at)
    default:
      return []
  }
}

const feedback = (
  happening: Extract<Happening, { _tag: "MessageFeedback" }>,
  at: number
): ReadonlyArray<Routed> => [toMember(happening.member, {
  _tag: "Feedback",
  delivery: happening.delivery,
  channel: happening.channel,
  kind: happening.feedback,
  at
}, at)]
