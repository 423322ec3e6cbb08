/**
 * On-site notices as a channel: the shop's own store is the provider. A notice is stored once by its delivery's id, however
 * often its list is carried, so that an unknown outcome is simply repeated (R21): exactly once.
 */
import { Clock, Duration, Effect, Layer } from "effect"
import { type Courier, makeProvider } from "./Courier.ts"
import { Notices } from "./Notices.ts"
import { type DeliveryResult, Provider, ProviderRejected, ProviderUnknown, TooLateToStart } from "./Provider.ts"
import type { Spool } from "./Spool.ts"

/** When a list is given up, and the most notices in one. */
const requestTimeout = Duration.seconds(10)
const listSizeMax = 500

const courier = Effect.map(Notices, (notices): Courier => ({
  promises: {
    reconciliation: "retry-key",
    settleTime: Duration.zero,
    longestProcessingTime: requestTimeout,
    requestTimeout,
    listSizeMax
  },
  // For good: the row is the key.
  repeatWithin: Duration.infinity,

  accept: (list) => {
    const bad = list.recipients.findIndex(({ content, subject }) =>
      (content?.["title"] ?? subject) === undefined || content?.["body"] === undefined
    )
    return bad < 0
      ? Effect.succeed(list)
      : new ProviderRejected({ reason: "a notice needs title and body", where: `recipients[${bad}].content` })
  },

  carry: ({ list, mayStart }) =>
    Effect.gen(function*() {
      if (!mayStart()) return yield* new TooLateToStart()
      yield* notices.put(list.recipients.map(({ address, content, deliveryId, subject }) => ({
        id: deliveryId,
        member: address,
        title: content?.["title"] ?? subject ?? "",
        body: content?.["body"] ?? ""
      }))).pipe(
        Effect.mapError(({ reason }) => new ProviderUnknown({ reason })),
        Effect.timeoutFail({
          duration: requestTimeout,
          onTimeout: () => new ProviderUnknown({ reason: "the store does not answer" })
        })
      )
      const at = yield* Clock.currentTimeMillis
      return list.recipients.map(({ deliveryId }): DeliveryResult => ({ deliveryId, outcome: "Sent", at }))
    })
}))

export const layer = (account: string): Layer.Layer<Provider, never, Notices | Spool> =>
  Layer.scoped(Provider, Effect.flatMap(courier, (onSite) => makeProvider(account, onSite)))
