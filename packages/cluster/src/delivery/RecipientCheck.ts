/**
 * What is asked about each recipient when a list is made: whether one of their addresses is known at all, and whether it is
 * suppressed. Wraps the making of contents, so that who cannot be reached is taken out of the list with a reason and the rest
 * goes out.
 */
import { Effect } from "effect"
import { Contacts } from "./Contacts.ts"
import type { ListedDelivery, ListKey } from "./DeliveryStore.ts"
import { ContentUnavailable, type Render, type Rendering } from "./ListContent.ts"
import { Suppressions } from "./Suppressions.ts"

const unavailable = ({ reason }: { readonly reason: string }) => new ContentUnavailable({ reason })

export const checkRecipients = (render: Render) =>
  Effect.gen(function*() {
    const suppressions = yield* Suppressions
    const contacts = yield* Contacts

    /** The address at which a delivery reaches its member, or undefined. */
    const addressesOf = (key: ListKey, deliveries: ReadonlyArray<ListedDelivery>) =>
      key.channel === "line" || key.channel === "push"
        ? Effect.map(
          contacts.find(key.channel, deliveries.map(({ member }) => member)),
          (found) => (delivery: ListedDelivery) => found.get(delivery.member)
        )
        : Effect.succeed((delivery: ListedDelivery): string | undefined => delivery.address)

    /** An order's own mail is no mailing: nobody unsubscribes from it. */
    const withoutLink = (rendering: Rendering): Rendering => {
      if (rendering._tag !== "Rendered" || rendering.parameters === undefined) return rendering
      const { unsubscribe_url: _, ...parameters } = rendering.parameters
      return { ...rendering, parameters }
    }

    const checked: Render = (key, deliveries) =>
      Effect.gen(function*() {
        const addressOf = yield* addressesOf(key, deliveries)
        // Both at once: most lists lose nobody, and realtime waits for either.
        const [barred, rendered] = yield* Effect.all([
          suppressions.suppressed(key.channel, deliveries.flatMap((one) => addressOf(one) ?? [])),
          render(key, deliveries)
        ], { concurrency: 2 })
        const renderings = deliveries.map((delivery, n): Rendering => {
          const address = addressOf(delivery)
          if (address === undefined) return { _tag: "Unrenderable", reason: `no ${key.channel} address is known` }
          const suppression = barred.get(address)
          if (suppression !== undefined) {
            return { _tag: "Unrenderable", reason: `suppressed: ${suppression.cause}: ${suppression.reason}` }
          }
          const rendering = rendered.renderings[n] ?? { _tag: "Unrenderable", reason: "none was made" }
          return key.class === "transactional" ? withoutLink(rendering) : rendering
        })
        return { ...rendered, renderings }
      }).pipe(Effect.catchTags({
        SuppressionFault: (fault) => unavailable(fault),
        ContactFault: (fault) => unavailable(fault)
      }))
    return checked
  })
