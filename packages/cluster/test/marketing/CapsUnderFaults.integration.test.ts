import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { makeWith } from "@hikyaku/cluster/marketing/RunWorker"
import { makeSeededRandom } from "@hikyaku/domain/replay/SeededRandom"
import { Effect } from "effect"
import {
  brokenWindows,
  campaign,
  day,
  define,
  hour,
  houseLayer,
  itIs,
  join,
  Losses,
  runNow,
  shop,
  smallLimits,
  start
} from "./RunHouse.ts"

const members = Array.from({ length: 9 }, (_, i) => `m${i}`)
const days = 16
const daysMax = 5 * days
const worst = 2

interface Waiting {
  readonly id: string
  readonly member: string
  readonly held: boolean
  readonly from: number
  readonly until: number
}

describe("caps, from the delivery log alone (G7, G8)", () => {
  layer(houseLayer(), { timeout: 120_000, excludeTestServices: true })((it) => {
    it.effect(
      "hold in every window while campaigns run at once, messages wait, and answers and rounds are lost",
      () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          const client = yield* ActorClient
          const losses = yield* Losses
          const random = makeSeededRandom("7")
          yield* join(members)
          const afternoon = { from: 15 * 60, to: 18 * 60 }
          const campaigns = [
            campaign("weak", { priority: 1, deliveryHours: afternoon }),
            campaign("plain", { priority: 5 }),
            campaign("fast", { class: "realtime", priority: 9, deadlineMs: 2 * hour }),
            campaign("strong", { class: "realtime", priority: 900, timePolicy: { _tag: "Slots", hours: [12, 18] } }),
            campaign("owed", { class: "transactional", priority: 1 })
          ]
          for (const definition of campaigns) yield* define(definition)
          const worker = yield* makeWith(smallLimits)
          const lossy = { lose: () => random.next() < 0.15, calm: () => false }
          const displaced = sql<{ readonly n: number }>`
            select count(*)::int as n from decision_ledger where decision = 'displaced'`
          // Who is displaced depends on which of two workers is first: days go on until somebody was.
          for (let n = 0; n < days || n < daysMax && (yield* displaced)[0]?.n === 0; n++) {
            const morning = start + n * day
            yield* itIs(morning)
            losses.lose = lossy.lose
            // Both lanes at once, as two runners would: a stretch may be worked on twice.
            const step = (lane: "realtime" | "batch") => Effect.ignore(Effect.sandbox(worker.step(lane)))
            // The stronger ones come later: what is held by then gives way.
            for (const part of [campaigns.slice(0, 2), campaigns.slice(2)]) {
              for (const { id } of part) if (random.next() < 0.6) yield* Effect.ignore(Effect.sandbox(runNow(id)))
              for (let i = 0; i < 3; i++) {
                yield* Effect.all([step("realtime"), step("batch"), step("batch")], { concurrency: "unbounded" })
              }
            }
            losses.lose = lossy.calm
            // In the evening the dispatcher has been: held ones are judged again, and most are sent at some time they may be.
            const evening = morning + 10 * hour
            const waiting = yield* sql<Waiting>`
            select id, member, held, (extract(epoch from not_before) * 1000)::float8 as from,
              (extract(epoch from deadline) * 1000)::float8 as until
            from delivery where status = 'due' and not_before <= to_timestamp(${evening / 1000}) order by id`
            for (const { from, held, id, member, until } of waiting) {
              const at = Math.round(from + random.next() * (Math.min(until, evening) - from))
              yield* itIs(Math.round(from))
              if (held) {
                const reply = yield* client.send(memberKind, {
                  actor: member,
                  command: { _tag: "Release", delivery: id }
                })
                if (reply._tag === "Dropped") {
                  yield* sql`update delivery set status = 'suppressed' where id = ${id}`
                  continue
                }
              }
              if (random.next() < 0.2) {
                yield* sql`update delivery set status = 'failed' where id = ${id}`
                yield* client.send(memberKind, { actor: member, command: { _tag: "Refund", delivery: id } })
              } else {
                yield* sql`update delivery set status = 'sent', sent_at = to_timestamp(${at / 1000.0}) where id = ${id}`
                // The news may be late: until then the member counts the whole stretch.
                if (random.next() < 0.8) {
                  yield* client.send(memberKind, { actor: member, command: { _tag: "Sent", delivery: id, at } })
                }
              }
            }
            const marketing =
              `${brokenWindows} and 'owed' not in (split_part(x.id, '.', 1), split_part(y.id, '.', 1), split_part(z.id, '.', 1))`
            expect(yield* sql.unsafe(marketing), `day ${n}`).toEqual([])
          }
          // The cap was what stopped them, and the transactional class knows none.
          expect(shop.globalCaps).toEqual([{ count: worst, windowMs: 7 * day }])
          const [figures] = yield* sql<{ readonly sent: number; readonly capped: number; readonly displaced: number }>`
          select (select count(*)::int from delivery where status = 'sent') as sent,
            (select count(*)::int from decision_ledger where reason = 'Capped') as capped,
            (select count(*)::int from decision_ledger where decision = 'displaced') as displaced`
          expect(figures?.sent).toBeGreaterThan(members.length * worst)
          expect(figures?.capped).toBeGreaterThan(20)
          expect(figures?.displaced).toBeGreaterThan(0)
          expect((yield* sql.unsafe(brokenWindows)).length).toBeGreaterThan(0)
          // Each delivery once, and what occupies caps are open and sent ones alone (G8).
          const twice = yield* sql`select run, member from delivery group by 1, 2 having count(*) > 1`
          expect(twice).toEqual([])
          const stray = yield* sql`select m.id from member m, jsonb_array_elements(m.holds) h
          left join lateral (select status from delivery d where d.id = (h->>0) || ':' || m.id) d on true
          where (h->>8)::int in (0, 1, 2) and (d.status is null or d.status not in ('due', 'sent'))`
          expect(stray).toEqual([])
        }),
      120_000
    )
  })
})
