/** What became of messages, read from the store; limits and slots of providers from their actors. */
import { SqlClient, type Statement } from "@effect/sql"
import { providerKind } from "@hikyaku/cluster/delivery/ProviderActor"
import { Unknown } from "@hikyaku/domain/api/ApiError"
import { DeliveryApi, DeliveryView, ListView, pageDefault } from "@hikyaku/domain/api/DeliveryApi"
import { predictRequest, Speed, speedAtFirst } from "@hikyaku/domain/delivery/Request"
import { Clock, Effect, Schema } from "effect"
import { ask, stored } from "./Asking.ts"
import { actorsOnly } from "./Context.ts"
import { change } from "./MemberHandlers.ts"

/** Provider accounts shown. */
const providersMax = 50

const decodeDeliveries = Schema.decodeUnknown(Schema.Array(DeliveryView))
const decodeLists = Schema.decodeUnknown(Schema.Array(ListView))
const { channel, status } = DeliveryView.fields
const decodeSummary = Schema.decodeUnknown(Schema.Array(Schema.Struct({ channel, status, count: Schema.Int })))
const decodeIds = Schema.decodeUnknown(Schema.Array(Schema.Struct({ id: Schema.String })))

/** Deliveries of a class that are counted at most. */
const countMax = 2_000_000
const mailAccount = "mail"
const decodeSpeed = Schema.decodeUnknown(Schema.Array(Schema.Struct({ speed: Speed })))
const decodeQueue = Schema.decodeUnknown(Schema.Array(Schema.Struct({
  class: DeliveryView.fields.class,
  due: Schema.Int,
  later: Schema.Int,
  listed: Schema.Int,
  oldest: Schema.NullOr(Schema.Number),
  now: Schema.Number
})))
/** $1: how many of a class are counted at most. In the order in which classes go out. */
const queue =
  `select c.class, w.due, w.later, w.oldest, l.listed, (extract(epoch from shop_now()) * 1000)::float8 as now
from unnest(array['transactional', 'realtime', 'batch']) with ordinality as c(class, place)
cross join lateral (
  select count(*) filter (where d.not_before <= shop_now())::integer as due,
    count(*) filter (where d.not_before > shop_now())::integer as later,
    (extract(epoch from min(d.not_before) filter (where d.not_before <= shop_now())) * 1000)::float8 as oldest
  from (select not_before from delivery where status = 'due' and not held and class = c.class limit $1) d
) w
cross join lateral (
  select coalesce(sum(recipients), 0)::integer as listed from delivery_list
  where class = c.class and status not in ('completed', 'failed', 'expired')
) l
order by c.place`

export const layer = DeliveryApi.toLayer(Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const context = yield* actorsOnly

  /** Conditions for what the call names. */
  const where = (named: Readonly<Record<string, string | undefined>>): Statement.Fragment => {
    const conditions = Object.entries(named).flatMap(([column, value]) =>
      value === undefined ? [] : [sql`${sql(column)} = ${value}`]
    )
    return conditions.length === 0 ? sql`true` : sql.and(conditions)
  }
  const ms = (column: string) => sql`(extract(epoch from ${sql(column)}) * 1000)::float8`

  return DeliveryApi.of({
    "delivery.summary": ({ campaign, run }) =>
      stored(
        Effect.flatMap(
          sql`select channel, status, count(*)::int as count from delivery where ${where({ campaign, run })}
            group by channel, status order by channel, status`,
          decodeSummary
        )
      ),
    "delivery.list": ({ after, campaign, limit, member, run, status }) =>
      stored(
        Effect.flatMap(
          sql`select id, run, campaign, version, member, channel, class, status, product,
              ${ms("not_before")} as "notBefore", ${ms("deadline")} as deadline, coalesce(reason, why) as why,
              list_id as list
            from delivery where ${where({ campaign, member, run, status })} and id > ${after ?? ""}
            order by id limit ${limit ?? pageDefault}`,
          decodeDeliveries
        )
      ),
    "delivery.lists": ({ campaign, class: messageClass, limit, open, provider }) =>
      stored(
        Effect.flatMap(
          sql`select id, provider, campaign, class, channel, status, recipients, attempt,
              ${ms("deadline")} as deadline, ${ms("created_at")} as "createdAt", reason
            from delivery_list where ${where({ campaign, class: messageClass, provider })}
              and ${open === true ? sql`status not in ('completed', 'failed', 'expired')` : sql`true`}
            order by created_at desc, id limit ${limit ?? pageDefault}`,
          decodeLists
        )
      ),
    "delivery.providers": () =>
      stored(Effect.flatMap(sql`select id from provider order by id limit ${providersMax}`, decodeIds)).pipe(
        Effect.flatMap(Effect.forEach(
          ({ id }) =>
            Effect.flatMap(
              Clock.currentTimeMillis,
              (wall) => ask(providerKind, { actor: id, command: { _tag: "ReadProvider", wall } })
            ).pipe(
              Effect.flatMap((view) =>
                view._tag === "ProviderView"
                  ? Effect.succeed({ id, view })
                  : Effect.dieMessage(`the Provider actor answered ${view._tag}`)
              )
            ),
          { concurrency: 8 }
        )),
        Effect.provide(context)
      ),
    "delivery.queue": () =>
      stored(Effect.gen(function*() {
        const rows = yield* Effect.flatMap(
          sql.unsafe(queue, [countMax]),
          decodeQueue
        )
        const speeds = yield* Effect.flatMap(
          sql`select speed from delivery_speed where provider = ${mailAccount}`,
          decodeSpeed
        )
        const speed = speeds[0]?.speed ?? speedAtFirst
        const now = rows[0]?.now ?? 0
        let ahead = 0
        return {
          now,
          // Realtime goes first, so that what is before a class are those named before it.
          classes: rows.map(({ now: _, ...row }) => {
            const recipients = row.due + row.listed
            const { finishAt } = predictRequest(speed, { recipients, ahead, from: now, deadline: now })
            ahead += recipients
            return { ...row, finishAt: recipients === 0 ? null : finishAt }
          })
        }
      })),
    "delivery.limit": ({ deadline, limits, provider }) =>
      stored(Effect.flatMap(sql`select id from provider where id = ${provider}`, decodeIds)).pipe(
        Effect.flatMap((rows) =>
          rows.length === 0 ? Effect.fail(new Unknown({ what: "provider", id: provider })) : Effect.void
        ),
        Effect.zipRight(ask(providerKind, {
          actor: provider,
          command: { _tag: "Configure", limits },
          ...(deadline !== undefined && { within: deadline })
        })),
        Effect.flatMap((reply) =>
          reply._tag === "Configured"
            ? Effect.succeed({ id: provider, limits })
            : Effect.dieMessage(`the Provider actor answered ${reply._tag}`)
        ),
        Effect.provide(context)
      ),
    "delivery.suppress": ({ channel, reason, ...call }) =>
      Effect.provide(change(call, { _tag: "Suppress", channel, reason }), context),
    "delivery.unsuppress": ({ channel, ...call }) =>
      Effect.provide(change(call, { _tag: "Unsuppress", channel }), context)
  })
}))
