import { SqlClient } from "@effect/sql"
import { PgClient } from "@effect/sql-pg"
import { describe, expect, it } from "@effect/vitest"
import { Journal } from "@hikyaku/cluster/actor/Journal"
import { JournalSettings, layer as journalLayer } from "@hikyaku/cluster/actor/JournalPostgres"
import { migrate } from "@hikyaku/cluster/sql/Migrations"
import { capEffect, deliveryStatuses } from "@hikyaku/domain/delivery/Delivery"
import { considerCommand } from "@hikyaku/domain/marketing/Member"
import { canonical } from "@hikyaku/domain/testing"
import { Effect, Layer, Redacted } from "effect"
import * as fc from "fast-check"
import { freshDatabase } from "../../../../test/Database.ts"
import { at, history, kind, MemberHouse, terms } from "./MemberHouse.ts"

const database = Layer.unwrapScoped(Effect.map(freshDatabase(), ({ url }) => {
  const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 3 }))
  const schema = Layer.effectDiscard(
    Effect.gen(function*() {
      yield* migrate
      const sql = yield* SqlClient.SqlClient
      yield* sql`select outcome_partitions(${at}::bigint, ${at}::bigint, true)`
    }).pipe(Effect.orDie)
  )
  const journal = Layer.provide(journalLayer, JournalSettings.layer(Redacted.make(url)))
  return Layer.provideMerge(journal, Layer.provideMerge(schema, client))
}))

describe("memberKind over PostgreSQL (G8, R18)", () => {
  it.layer(database, { timeout: 60_000 })((it) => {
    it.effect(
      "loads what it was, after any round, and what occupies caps are the open and sent deliveries",
      () =>
        Effect.gen(function*() {
          const journal = (yield* Journal).of(kind)
          const sql = yield* SqlClient.SqlClient
          for (let index = 0; index < 15; index++) {
            const id = `m-${index}`
            const house = new MemberHouse(id)
            for (const round of fc.sample(history(id), 1)[0]!) {
              const unit = house.round(round)
              expect(yield* journal.commit([unit])).toEqual([{ _tag: "Committed" }])
              const [loaded] = yield* journal.load([id])
              if (loaded !== undefined) expect(canonical(loaded.state)).toBe(canonical(house.state))
            }
            const rows = yield* sql<{ readonly id: string }>`select id from delivery where member = ${id}`
            const ids = new Set(rows.map((row) => row.id))
            for (const hold of house.state.holds) expect(ids).toContain(`${hold.run}:${id}`)
            const [ledger] = yield* sql<{ readonly n: number }>`
            select count(*)::int as n from decision_ledger where member = ${id}`
            expect(ledger?.n).toBe(house.state.decisions)
          }
        }),
      60_000
    )

    it.effect(
      "refuses the delivery of a run that was considered before and long forgotten, and nothing else",
      () =>
        Effect.gen(function*() {
          const journal = (yield* Journal).of(kind)
          const sql = yield* SqlClient.SqlClient
          const page = { run: "old", campaign: "spring", version: 1, notBefore: at, deadline: at }
          const ask = considerCommand({ ...page, terms: { ...terms, holdoutShare: 0 } })
          const other = new MemberHouse("other")
          const house = new MemberHouse("forgetful")
          for (const each of [house, other]) {
            const profile = { _tag: "SetProfile", address: "a@example.jp" } as const
            const consent = { _tag: "SetConsent", channel: "mail", consent: true } as const
            expect(yield* journal.commit([each.round([[profile, at], [consent, at]])])).toEqual([{ _tag: "Committed" }])
          }
          yield* sql`insert into delivery (id, run, campaign, version, member, channel, class, priority, not_before, deadline, held,
          created_at) values ('old:forgetful', 'old', 'spring', 1, 'forgetful', 'mail', 'batch', 1, now(), now(), false, now())`
          const verdicts = yield* journal.commit([house.round([[ask, at]]), other.round([[ask, at]])])
          expect(verdicts.map((verdict) => verdict._tag)).toEqual(["Fault", "Committed"])
          const [loaded] = yield* journal.load(["forgetful"])
          expect(loaded?.state.holds).toEqual([])
        }),
      60_000
    )

    it.effect(
      "keeps a delivery's status to those that say what becomes of its cap, and each refund to one",
      () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const set = (status: string) =>
            Effect.either(sql`update delivery set status = ${status} where id = 'old:forgetful'`)
          for (const status of deliveryStatuses) {
            expect(["keep", "narrow", "refund"]).toContain(capEffect(status))
            expect((yield* set(status))._tag).toBe("Right")
          }
          expect((yield* set("lost"))._tag).toBe("Left")
          const refund = Effect.either(
            sql`insert into delivery_refund (delivery, member, at) values ('r:m', 'm', now())`
          )
          expect((yield* refund)._tag).toBe("Right")
          expect((yield* refund)._tag).toBe("Left")
        }),
      60_000
    )
  })
})
