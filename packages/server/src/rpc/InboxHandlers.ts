/** Members' inboxes and contacts on top of their stores. */
import { Contacts } from "@hikyaku/cluster/delivery/Contacts"
import { Notices } from "@hikyaku/cluster/delivery/Notices"
import { Suppressions } from "@hikyaku/cluster/delivery/Suppressions"
import { Unsubscribed } from "@hikyaku/cluster/delivery/Unsubscribed"
import { Unavailable } from "@hikyaku/domain/api/ApiError"
import { InboxApi, noticesDefault } from "@hikyaku/domain/api/InboxApi"
import { Effect, Stream } from "effect"

const unavailable = ({ reason }: { readonly reason: string }) =>
  Effect.zipRight(
    Effect.logWarning(`the store: ${reason}`),
    new Unavailable({ reason: "the store cannot be reached; try again" })
  )

export const layer = InboxApi.toLayer(Effect.gen(function*() {
  const notices = yield* Notices
  const contacts = yield* Contacts
  const suppressions = yield* Suppressions
  const unsubscribed = yield* Unsubscribed
  return InboxApi.of({
    "inbox.list": ({ before, limit, member, unreadOnly }) =>
      Effect.all({
        notices: notices.list(member, { before, unread: unreadOnly, limit: limit ?? noticesDefault }),
        unread: notices.unread(member)
      }).pipe(Effect.catchTag("NoticeFault", unavailable)),
    "inbox.watch": ({ after, member }) =>
      notices.watch(member, after).pipe(
        Stream.catchTag("NoticeFault", (fault) => Stream.fromEffect(unavailable(fault)))
      ),
    "inbox.read": ({ member, what }) =>
      notices.markRead(member, what).pipe(
        Effect.map((changed) => ({ changed })),
        Effect.catchTag("NoticeFault", unavailable)
      ),
    "contact.register": ({ address, channel, member }) =>
      contacts.register(member, channel, address).pipe(Effect.as({}), Effect.catchTag("ContactFault", unavailable)),
    "contact.forget": ({ address, channel, member }) =>
      contacts.forget(member, channel, address).pipe(
        Effect.map((changed) => ({ changed })),
        Effect.catchTag("ContactFault", unavailable)
      ),
    "contact.suppressed": ({ addresses, channel }) =>
      suppressions.suppressed(channel, addresses).pipe(
        Effect.map((found) => [...found].map(([address, suppression]) => ({ address, ...suppression }))),
        Effect.catchTag("SuppressionFault", unavailable)
      ),
    "contact.unsuppress": ({ address, channel }) =>
      suppressions.lift(channel, address).pipe(
        Effect.map((changed) => ({ changed })),
        Effect.catchTag("SuppressionFault", unavailable)
      ),
    "contact.unsubscribed": ({ address, channel }) =>
      Effect.catchTag(unsubscribed.of(channel, address), "SqlError", (fault) => unavailable({ reason: fault.message })),
    "contact.resubscribe": ({ address, channel, system }) =>
      unsubscribed.lift(channel, address, system).pipe(
        Effect.map((changed) => ({ changed })),
        Effect.catchTag("SqlError", (fault) => unavailable({ reason: fault.message }))
      )
  })
}))
