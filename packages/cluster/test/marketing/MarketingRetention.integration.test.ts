import { SqlClient } from "@effect/sql"
import { describe, expect, it } from "@effect/vitest"
import { pruneOnce, Settings } from "@hikyaku/cluster/marketing/MarketingRetention"
import { Duration, Effect } from "effect"
import { marketingDatabase } from "./MarketingDatabase.ts"

describe("what marketing keeps for a while", () => {
  it.layer(marketingDatabase, { timeout: 60_000 })((it) => {
    it.effect(
      "goes by its age; the log only behind its consumers; nothing while a replay owns the clock",
      () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* sql.unsafe(`
          insert into decision_ledger (member, n, run, campaign, stage, decision, reason, at)
            select 'm', n, 'r', 'c', 'cap', 'rejected', 'Capped', now() - n * interval '1 day' from generate_series(0, 9) n;
          insert into event_log (partition, "offset", source, event_id, key, type, at, happening, catalogue_version, appended_at)
            select 0, n, 's', n::text, 'k', 't', now(), '{}', 1, now() - interval '9 days' from generate_series(0, 9) n;
          update consumer_offset set "offset" = case consumer when 'judge' then 3 else 7 end where partition = 0;
          insert into event_seen select 's', n::text, '', now() - n * interval '1 day' from generate_series(0, 9) n;
          insert into event_import (id, moved_at) select 'i' || n, now() - n * interval '1 day' from generate_series(0, 9) n`)
          const left = Effect.map(
            sql<{ readonly ledger: number; readonly log: number; readonly seen: number; readonly imports: number }>`
            select (select count(*)::int from decision_ledger) as ledger, (select count(*)::int from event_log) as log,
              (select count(*)::int from event_seen) as seen, (select count(*)::int from event_import) as imports`,
            ([row]) => row
          )
          const settings = { ledger: Duration.days(5), events: Duration.days(5), repeats: Duration.days(8) }
          const prune = Effect.provideService(pruneOnce, Settings, settings)
          yield* sql`update shop_clock set mode = 'logical', instant = now() + interval '1 year'`
          expect(yield* prune).toBe(0)
          yield* sql`update shop_clock set mode = 'real', instant = null`
          // Of the ledger n = 6 to 9 (5 is a moment too old as well), of the log what both consumers have passed.
          expect(yield* prune).toBe(5 + 4 + 2 + 2)
          expect(yield* left).toEqual({ ledger: 5, log: 6, seen: 8, imports: 8 })
          expect(yield* prune).toBe(0)
        }),
      60_000
    )
  })
})
