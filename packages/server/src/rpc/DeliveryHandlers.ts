/** What became of messages, read from the store; limits and slots of providers from their actors. */
import { SqlClient, type Statement } from "@effect/sql"
import { providerKind } from "@hikyaku/cluster/delivery/ProviderActor"
import { DeliveryApi, DeliveryView, ListView, pageDefault } from "@hikyaku/domain/api/DeliveryApi"
import { Effect, Schema } from "effect"
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
            ask(providerKind, { actor: id, command: { _tag: "ReadProvider" } }).pipe(
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
    "delivery.suppress": ({ channel, reason, ...call }) =>
      Effect.provide(change(call, { _tag: "Suppress", channel, reason }), context),
    "delivery.unsuppress": ({ channel, ...call }) =>
      Effect.provide(change(call, { _tag: "Unsuppress", channel }), context)
  })
}))
