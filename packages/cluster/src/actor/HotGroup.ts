/**
 * The shard group of the hot cells, as the store knows it: whether any runner serves it, and which actors operators have
 * marked. Marks are words of operators, not states of actors: no cell writes them and none is bound by them.
 */
import { SqlClient } from "@effect/sql"
import { Context, Effect, Layer, Schema } from "effect"
import { hotGroup } from "./Placement.ts"

export class HotGroupUnavailable extends Schema.TaggedError<HotGroupUnavailable>()("HotGroupUnavailable", {
  reason: Schema.String
}) {}

/** Marks of one kind that are heeded; an operator who marks more has another problem than hot products. */
export const marksMax = 1000

export class HotGroup extends Context.Tag("@hikyaku/cluster/HotGroup")<HotGroup, {
  /** Whether a healthy runner is assigned the group: without one the library would let its callers wait for ever (R8). */
  readonly served: Effect.Effect<boolean, HotGroupUnavailable>
  /** Actors of the kind that are marked, at most `marksMax`. */
  readonly marked: (kind: string) => Effect.Effect<ReadonlySet<string>, HotGroupUnavailable>
  readonly mark: (kind: string, actor: string) => Effect.Effect<void, HotGroupUnavailable>
  readonly unmark: (kind: string, actor: string) => Effect.Effect<void, HotGroupUnavailable>
}>() {
  static readonly layer = Layer.effect(
    HotGroup,
    Effect.map(SqlClient.SqlClient, (sql) => {
      const safely = <A>(query: Effect.Effect<A, unknown>) =>
        Effect.mapError(query, (cause) => new HotGroupUnavailable({ reason: String(cause) }))
      return HotGroup.of({
        // The library's own record of its runners: {"address": ..., "groups": [...], ...} as text.
        served: safely(
          sql<{ readonly served: boolean }>`select exists(select 1 from cluster_runners
            where healthy and jsonb_exists(runner::jsonb -> 'groups', ${hotGroup})) as served`
        ).pipe(Effect.map((rows) => rows[0]?.served === true)),
        marked: (kind) =>
          safely(
            sql<
              { readonly actor: string }
            >`select actor from hot_mark where kind = ${kind} order by at limit ${marksMax}`
          ).pipe(Effect.map((rows) => new Set(rows.map(({ actor }) => actor)))),
        mark: (kind, actor) =>
          safely(sql`insert into hot_mark (kind, actor) values (${kind}, ${actor}) on conflict do nothing`),
        unmark: (kind, actor) => safely(sql`delete from hot_mark where kind = ${kind} and actor = ${actor}`)
      })
    })
  )
}
