/** The plans of the journal's statements, made as its sessions make them: once, while the tables are still empty. */
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import type { ActorKind } from "@hikyaku/cluster/actor/ActorKind"
import { sessionOptions } from "@hikyaku/cluster/actor/JournalPostgres"
import {
  commitSql,
  dueSql,
  loadChildSql,
  loadMainSql,
  nextDueSql,
  outcomesSql,
  type Part
} from "@hikyaku/cluster/actor/JournalSql"
import { providerKind } from "@hikyaku/cluster/delivery/ProviderActor"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { productKind } from "@hikyaku/cluster/stock/ProductActor"
import { Effect, Redacted } from "effect"
import pg from "pg"
import { freshDatabase } from "../../../../test/Database.ts"

/** Every statement of a kind that finds rows by key, the commit with all the parts that it can have. */
const statementsOf = <S, C, R, E>({ children, main, name }: ActorKind<S, C, R, E>): ReadonlyArray<string> => {
  const parts: ReadonlyArray<Part> = [
    { _tag: "Outcomes" },
    { _tag: "Asked" },
    { _tag: "Outbox" },
    ...children.flatMap((table) =>
      (["insert", "update", "delete"] as const).map((mode): Part => ({ _tag: "Rows", table, mode }))
    )
  ]
  return [
    commitSql(name, main, parts),
    commitSql(name, main, parts, true),
    loadMainSql(main),
    ...children.map(loadChildSql),
    outcomesSql(name),
    dueSql(main),
    nextDueSql(main)
  ]
}

const statements = [
  ...statementsOf(productKind),
  ...statementsOf(memberKind),
  ...statementsOf(campaignKind),
  ...statementsOf(providerKind)
]

/** Lines of a plan that read a table otherwise than by a condition on an index. */
const readsWhole = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.filter((line, at) => {
    if (/Seq Scan on/.test(line)) return true
    if (!/(?:Index Scan|Index Only Scan|Bitmap Index Scan)/.test(line)) return false
    const own = line.search(/\S/)
    const below = lines.slice(at + 1)
    const end = below.findIndex((next) => next.search(/\S/) <= own)
    return !below.slice(0, end < 0 ? undefined : end).some((next) => /Index Cond:/.test(next))
  })

/** What is wrong with the plans of all statements, in sessions with these options. */
const plansWith = (options: string) =>
  Effect.gen(function*() {
    const { url } = yield* freshDatabase()
    yield* Effect.provide(migrate, PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
    const client = new pg.Client({ connectionString: url, options })
    yield* Effect.acquireRelease(
      Effect.promise(() => client.connect()),
      () => Effect.promise(() => client.end())
    )
    return yield* Effect.forEach(statements, (statement) =>
      Effect.promise(() =>
        client.query<Readonly<Record<string, string>>>(`explain (generic_plan) ${statement}`)
      ).pipe(
        Effect.map(({ rows }) => readsWhole(rows.map((row) => row["QUERY PLAN"] ?? "")))
      ))
  })

describe("statements of the journal", () => {
  it.scopedLive("find rows by their keys, also when they were planned for empty tables", () =>
    Effect.gen(function*() {
      expect(yield* plansWith(sessionOptions)).toEqual(statements.map(() => []))
    }))

  it.scopedLive("would read whole tables in a session that is not told to leave it", () =>
    Effect.gen(function*() {
      const told = /-c enable_(?:seqscan|hashjoin|mergejoin)=off ?/g
      expect((yield* plansWith(sessionOptions.replaceAll(told, ""))).flat()).not.toEqual([])
    }))
})
