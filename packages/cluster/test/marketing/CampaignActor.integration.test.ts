import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { layer } from "@effect/vitest"
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import { sql as runtime } from "@hikyaku/cluster/sql/migrations/0001_runtime"
import { sql as marketing } from "@hikyaku/cluster/sql/migrations/0020_marketing"
import { sql as members } from "@hikyaku/cluster/sql/migrations/0030_members"
import { sql as campaigns } from "@hikyaku/cluster/sql/migrations/0070_campaigns"
import { Effect, Layer, Redacted } from "effect"
import { describe, expect } from "vitest"
import { freshDatabase } from "../../../../test/Database.ts"
import { commandsAt, definition, life, play } from "./CampaignHistory.ts"

const house = Layer.unwrapScoped(Effect.map(freshDatabase(), ({ url }) => {
  const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 }))
  const schema = Layer.effectDiscard(
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      for (const text of [runtime, marketing, members, campaigns]) yield* sql.unsafe(text)
      yield* sql`select outcome_partitions(${commandsAt}, ${commandsAt}, true)`
    }).pipe(Effect.orDie)
  )
  const journal = journalLayer.pipe(Layer.provide(JournalSettings.layer(Redacted.make(url))))
  return Layer.provideMerge(journal, Layer.provideMerge(schema, client))
}))

describe("a campaign in PostgreSQL", () => {
  layer(house, { timeout: "60 seconds" })((it) => {
    it.effect("is loaded as it was live; its runs, versions and the catalogue are rows", () =>
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const catalogue = Effect.map(
          sql<{ readonly version: number }>`select version::float8 as version from catalogue`,
          (rows) => rows[0]?.version ?? 0
        )
        const before = yield* catalogue
        yield* play(life.slice(0, 3))
        // R16: a definition is a version of the catalogue, firings and spending are none.
        expect((yield* catalogue) - before).toBe(1)
        yield* play(life.slice(3))
        // Two edits in one unit are one change; pause, resume, rollback and the last edit are one each.
        expect((yield* catalogue) - before).toBe(6)
        const [campaign] = yield* sql<Record<string, unknown>>`
          select status, current_version, time_zone, marks, runs::int as runs, catalogue_version::float8 as catalogue_version,
            suppressed, (extract(epoch from due_at - next_cycle))::int as apart from campaign`
        expect(campaign).toEqual({
          status: "active",
          current_version: 5,
          time_zone: "Asia/Tokyo",
          marks: { 3: 7 },
          runs: 6,
          catalogue_version: yield* catalogue,
          suppressed: { productCooldown: 1, paused: 1 },
          apart: 0
        })
        const versions = yield* sql<{ readonly definition: unknown; readonly rolled_back_to: number | null }>`
          select definition, rolled_back_to from campaign_version order by version`
        expect(versions.map((row) => row.rolled_back_to)).toEqual([null, null, null, 1, null])
        expect(versions[0]?.definition).toEqual(definition)
        const runs = yield* sql<Record<string, unknown>>`
          select id, version, product, class, priority, status, cursor, considered::int as considered, rejected, parameters,
            (extract(epoch from deadline - started_at) * 1000)::float8 as lasts from run order by started_at, id limit 1`
        expect(runs).toEqual([{
          id: "c-1.e3-1",
          version: 1,
          product: "p1",
          class: "realtime",
          priority: 7,
          status: "running",
          cursor: null,
          considered: 0,
          rejected: {},
          parameters: { before: 10, after: 5 },
          lasts: definition.deadlineMs
        }])
        const events = yield* sql<{ readonly n: number }>`
          insert into custom_event_type values ('review', '{"fields": {"stars": "number"}}') returning 1 as n`
        expect(events.length).toBe(1)
        expect((yield* catalogue) - before).toBe(7)
      }))
  })
})
