/**
 * Where members are reached on channels that their profile does not name: LINE user ids, and device tokens of the app. A
 * port. A member may have several; the one registered last that is not suppressed is used. An address belongs to one member:
 * whoever registers it takes it over, as when somebody else logs in on a device.
 */
import { SqlClient, type SqlError } from "@effect/sql"
import { Clock, Context, Effect, Layer, Schema } from "effect"
import { type ProviderError, ProviderRejected, ProviderUnavailable, type UploadRequest } from "./Provider.ts"

/** The store did not answer. Every method can be repeated. */
export class ContactFault extends Schema.TaggedError<ContactFault>()("ContactFault", { reason: Schema.String }) {}

/** Channels whose addresses are kept here. */
export const ContactChannel = Schema.Literal("line", "push")
export type ContactChannel = typeof ContactChannel.Type

/** Most addresses of one member on one channel; the oldest go when there are more. */
export const contactsMax = 10

export class Contacts extends Context.Tag("@hikyaku/cluster/delivery/Contacts")<Contacts, {
  readonly register: (member: string, channel: ContactChannel, address: string) => Effect.Effect<void, ContactFault>
  /** Forgets an address of this member; whether there was one. */
  readonly forget: (member: string, channel: ContactChannel, address: string) => Effect.Effect<boolean, ContactFault>
  /** The address to use, by member; those without one are missing. */
  readonly find: (
    channel: ContactChannel,
    members: ReadonlyArray<string>
  ) => Effect.Effect<ReadonlyMap<string, string>, ContactFault>
}>() {}

/** A list whose recipients are named by their member ids, with the addresses at which they are reached now. */
export const resolveAddresses = (
  contacts: typeof Contacts.Service,
  channel: ContactChannel,
  list: UploadRequest
): Effect.Effect<UploadRequest, ProviderError> =>
  Effect.gen(function*() {
    const found = yield* Effect.mapError(
      contacts.find(channel, list.recipients.map(({ address }) => address)),
      ({ reason }) => new ProviderUnavailable({ reason: `the contacts: ${reason}` })
    )
    const missing = list.recipients.findIndex(({ address }) => !found.has(address))
    if (missing >= 0) {
      return yield* new ProviderRejected({
        reason: `no ${channel} address is known`,
        where: `recipients[${missing}].address`
      })
    }
    return {
      ...list,
      recipients: list.recipients.map((one) => ({ ...one, address: found.get(one.address) ?? one.address }))
    }
  })

const registerSql = `with put as (
  insert into contact (channel, address, member) values ($1, $2, $3)
  on conflict (channel, address) do update set member = excluded.member, registered_at = clock_timestamp()
)
delete from contact where (channel, address) in (
  select channel, address from contact where member = $3 and channel = $1 and address <> $2
  order by registered_at desc offset $4::integer - 1)`

const findSql = `select distinct on (c.member) c.member, c.address from contact c
where c.channel = $1 and c.member = any($2::text[])
  and not exists (select from address_suppression s where s.channel = c.channel and s.address = c.address)
order by c.member, c.registered_at desc`

const fault = (error: SqlError.SqlError) =>
  new ContactFault({ reason: error.cause instanceof Error ? error.cause.message : error.message })

export const layer: Layer.Layer<Contacts, never, SqlClient.SqlClient> = Layer.effect(
  Contacts,
  Effect.map(SqlClient.SqlClient, (sql) => {
    const query = <A extends object>(text: string, parameters: ReadonlyArray<unknown>) =>
      Effect.mapError(sql.unsafe<A>(text, parameters), fault)
    return Contacts.of({
      register: (member, channel, address) =>
        Effect.asVoid(query(registerSql, [channel, address, member, contactsMax])),
      forget: (member, channel, address) =>
        Effect.map(
          query("delete from contact where channel = $1 and address = $2 and member = $3 returning 1", [
            channel,
            address,
            member
          ]),
          (rows) => rows.length > 0
        ),
      find: (channel, members) =>
        members.length === 0 ? Effect.succeed(new Map<string, string>()) : Effect.map(
          query<{ readonly member: string; readonly address: string }>(findSql, [channel, members]),
          (rows) => new Map(rows.map(({ address, member }) => [member, address]))
        )
    })
  })
)

/** In this process, for tests and simulations; knows of no suppressions. */
export const layerMemory: Layer.Layer<Contacts> = Layer.effect(
  Contacts,
  Effect.gen(function*() {
    const clock = yield* Clock.clockWith(Effect.succeed)
    const owners = new Map<string, { readonly member: string; readonly address: string; readonly at: number }>()
    let n = 0
    const key = (channel: string, address: string) => `${channel}\n${address}`
    return Contacts.of({
      register: (member, channel, address) =>
        Effect.sync(() => {
          owners.set(key(channel, address), { member, address, at: clock.unsafeCurrentTimeMillis() + ++n * 1e-6 })
        }),
      forget: (member, channel, address) =>
        Effect.sync(() => owners.get(key(channel, address))?.member === member && owners.delete(key(channel, address))),
      find: (channel, members) =>
        Effect.sync(() => {
          const found = new Map<string, string>()
          const inOrder = [...owners].filter(([at]) => at.startsWith(`${channel}\n`)).toSorted(([, a], [, b]) =>
            a.at - b.at
          )
          for (const [, { address, member }] of inOrder) if (members.includes(member)) found.set(member, address)
          return found
        })
    })
  })
)
