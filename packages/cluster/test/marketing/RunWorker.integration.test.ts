import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { LocalCells } from "@hikyaku/cluster/actor/CellEntity"
import { Intake, limitsDefault } from "@hikyaku/cluster/actor/Intake"
import type { Asked } from "@hikyaku/cluster/actor/Sweep"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { makeWith } from "@hikyaku/cluster/marketing/RunWorker"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import { deliveryId } from "@hikyaku/domain/marketing/Member"
import { Effect } from "effect"
import {
  campaign,
  day,
  define,
  hour,
  houseLayer,
  itIs,
  join,
  Losses,
  readRun,
  runNow,
  smallLimits,
  start,
  tell,
  workOff
} from "./RunHouse.ts"

const ids = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(3, "0")}`)

const named = (prefix: string) => ({ _tag: "AttributeIn" as const, name: "group", values: [prefix] as const })
const joinGroup = (group: string, count: number) => join(ids(group, count), { attributes: { group } })

const deliveriesOf = (run: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) =>
      sql<{ readonly member: string; readonly status: string; readonly held: boolean }>`
      select member, status, held from delivery where run = ${run} order by member`
  )

const spentToday = (id: string) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    const view = yield* client.send(campaignKind, { actor: id, command: { _tag: "ReadCampaign" } })
    return view._tag === "CampaignView" ? view.spentToday : null
  })

/** Makes the store refuse the next moves of a cursor, so many times: the worker dies between a page and its cursor. */
const refuseMoves = (times: number) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* sql.unsafe(`
      create table if not exists refusal (n integer);
      truncate refusal;
      insert into refusal select 1 from generate_series(1, ${times});
      create sequence if not exists refused;
      create or replace function refuse() returns trigger language plpgsql as $$
      begin
        -- A sequence is not rolled back with the statement that is refused.
        if nextval('refused') <= (select count(*) from refusal) then raise exception 'refused by the test'; end if;
        return new;
      end $$;
      alter sequence refused restart;
      create or replace trigger refuse before update of cursor on run for each row execute function refuse();`)
  })

describe("RunWorker beside others (R23)", () => {
  layer(houseLayer(), { timeout: 60_000, excludeTestServices: true })((it) => {
    it.effect("a batch run asks few members at a time while other actors of its process have work, a realtime one all", () =>
      Effect.gen(function*() {
        yield* joinGroup("crowd", 8)
        const intake = new Intake(limitsDefault)
        const asked: Array<ReadonlyArray<string>> = []
        let under = 0
        const worker = yield* makeWith(smallLimits).pipe(
          Effect.provideService(LocalCells, {
            runner: "test",
            cells: new Map([["Product/c0", { heat: null, intake, liveCount: 0, offer: () => {} }]]),
            // Asks nobody: all of them are then asked through their cells.
            sweeps: new Map([[
              memberKind.name,
              (asks: ReadonlyArray<Asked<never>>) =>
                Effect.gen(function*() {
                  const members = asks.map(({ actor }) => actor)
                  asked.push(members)
                  if (++under > 1) asked.push(["two at once"])
                  yield* Effect.yieldNow()
                  under--
                  return members.map(() => null)
                })
            ]])
          })
        )
        const runOf = (id: string, messageClass: "batch" | "realtime") =>
          Effect.gen(function*() {
            yield* define(campaign(id, { segment: named("crowd"), class: messageClass, caps: [] }))
            const run = yield* runNow(id)
            asked.length = 0
            while ((yield* readRun(run)).status === "running") yield* worker.step(messageClass)
            return asked.map((members) => members.length)
          })
        intake.offer(
          { actor: "shoe", id: commandIdFrom(start, 0, 0, 0), within: 60_000, at: null, command: {} },
          1,
          0,
          () => true
        )
        expect((yield* runOf("crowded", "batch")).toSorted()).toEqual([1, 1, 3, 3])
        const urgent = yield* runOf("urgent", "realtime")
        expect(urgent.filter((count) => count === 4).length).toBe(2)
        intake.drain({ _tag: "Late" })
        const alone = yield* runOf("alone", "batch")
        expect(alone.filter((count) => count === 4).length).toBe(2)
      }))
  })
})

describe.each([["through their cells", false], ["in sweeps", true]] as const)(
  "RunWorker, members asked %s (R17, G8)",
  (_, swept) => {
    layer(houseLayer(undefined, swept), { timeout: 60_000, excludeTestServices: true })((it) => {
      it.effect(
        "reaches every member of the segment once, in pages, whatever is lost between two steps",
        () =>
          Effect.gen(function*() {
            yield* joinGroup("lost", 21)
            const losses = yield* Losses
            yield* define(campaign("lossy", { segment: named("lost"), budgetPerDay: 100 }))
            const run = yield* runNow("lossy")
            yield* refuseMoves(3)
            // Answers of members and of the campaign are lost again and again; what they did stands.
            let calls = 0
            losses.lose = () => ++calls % 5 === 0
            const worker = yield* makeWith(smallLimits)
            for (let n = 0; n < 40 && (yield* readRun(run)).status === "running"; n++) {
              yield* Effect.ignore(Effect.sandbox(worker.step("batch")))
            }
            losses.lose = () => false
            yield* refuseMoves(0)
            expect(yield* readRun(run)).toEqual({ status: "finished", considered: 21, accepted: 21, rejected: {} })
            expect((yield* deliveriesOf(run)).map(({ member }) => member)).toEqual(ids("lost", 21))
            // A page that was repeated cost the budget once.
            expect(yield* spentToday("lossy")).toBe(21)
            const sql = yield* SqlClient.SqlClient
            const holds =
              yield* sql`select id from member where starts_with(id, 'lost') and jsonb_array_length(holds) <> 1`
            expect(holds).toEqual([])
          }),
        60_000
      )

      it.effect(
        "spends the budget on what is accepted, gives back what was not sent, and says where it ended",
        () =>
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            yield* joinGroup("paid", 12)
            // Every third has no consent: asked, but not paid for.
            const client = yield* ActorClient
            for (const id of ids("paid", 12).filter((_, i) => i % 3 === 0)) {
              yield* client.send(memberKind, {
                actor: id,
                command: { _tag: "SetConsent", channel: "mail", consent: false }
              })
            }
            yield* define(campaign("budget", { segment: named("paid"), budgetPerDay: 6 }))
            const first = yield* runNow("budget")
            yield* workOff()
            expect(yield* readRun(first)).toMatchObject({ status: "finished", accepted: 6 })
            expect(yield* spentToday("budget")).toBe(6)
            const broke = yield* Effect.exit(runNow("budget"))
            expect(String(broke)).toContain("budget")
            // Two of them expire unsent: as much can be sent again today.
            yield* sql`update delivery set status = 'expired' where id in (
          select id from delivery where run = ${first} order by id limit 2)`
            yield* define(campaign("budget", { segment: named("paid"), budgetPerDay: 7 }))
            const second = yield* runNow("budget")
            yield* workOff()
            const { accepted, rejected } = yield* readRun(second)
            // One more by the edit, two by what was not sent.
            expect(accepted).toBe(3)
            expect(rejected).toHaveProperty("Budget")
          }),
        60_000
      )

      it.effect(
        "a paused campaign's runs wait and go on where they were; an edit does not touch a run under way",
        () =>
          Effect.gen(function*() {
            yield* joinGroup("wait", 20)
            yield* define(campaign("patient", { segment: named("wait"), priority: 5 }))
            const run = yield* runNow("patient")
            const worker = yield* makeWith({ ...smallLimits, stretchesAtOnce: 1 })
            yield* worker.step("batch")
            expect(yield* readRun(run)).toMatchObject({ status: "running", considered: 8 })
            yield* tell("patient", "Pause")
            expect(yield* workOff()).toBe(0)
            expect((yield* readRun(run)).considered).toBe(8)
            // Nobody is in the new version's segment; the run keeps the one that it began with.
            yield* define(campaign("patient", { segment: named("nobody"), priority: 900 }))
            yield* tell("patient", "Resume")
            yield* workOff()
            expect(yield* readRun(run)).toMatchObject({ status: "finished", considered: 20, accepted: 20 })
          }),
        60_000
      )

      it.effect(
        "cancelling ends runs, drops what is not sent yet and gives its caps back",
        () =>
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            const client = yield* ActorClient
            yield* joinGroup("gone", 10)
            const held = { from: 13 * 60, to: 20 * 60 }
            yield* define(campaign("doomed", { segment: named("gone"), deliveryHours: held }))
            const run = yield* runNow("doomed")
            yield* workOff()
            expect(yield* deliveriesOf(run)).toHaveLength(10)
            yield* sql`update delivery set status = 'sent', sent_at = shop_now() where id = ${
              deliveryId(run, "gone000")
            }`
            const second = yield* runNow("doomed")
            yield* tell("doomed", "Cancel")
            yield* workOff()
            // Some at a time: as many steps as it takes.
            const worker = yield* makeWith(smallLimits)
            for (let n = 0; n < 6; n++) yield* worker.step("batch")
            expect((yield* readRun(second)).status).toBe("cancelled")
            const statuses = (yield* deliveriesOf(run)).map(({ status }) => status)
            expect(statuses).toEqual(["sent", ...Array.from({ length: 9 }, () => "suppressed")])
            const refunds = yield* sql`select delivery from delivery_refund where member <> 'gone000'`
            expect(refunds).toHaveLength(9)
            // The relay tells the members, and there is room in their caps again.
            for (
              const { delivery, member } of yield* sql<{ readonly delivery: string; readonly member: string }>`
          select delivery, member from delivery_refund`
            ) {
              yield* client.send(memberKind, { actor: member, command: { _tag: "Refund", delivery } })
            }
            const full = yield* sql`select id from member where starts_with(id, 'gone')
          and exists (select from jsonb_array_elements(holds) h where (h->>8)::int in (0, 1, 2)) order by id`
            expect(full).toEqual([{ id: "gone000" }])
            expect(yield* sql`select campaign from campaign_dropped`).toEqual([{ campaign: "doomed" }])
          }),
        60_000
      )

      it.effect(
        "a delayed run asks its members only when its time has come, with the segment of that moment",
        () =>
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            const client = yield* ActorClient
            yield* joinGroup("cart", 2)
            const bought = { _tag: "Did" as const, activity: "bought" as const, withinDays: 1 }
            yield* define(campaign("abandoned", {
              class: "realtime",
              trigger: { _tag: "Event", event: "CartAdded", delayMs: 2 * hour },
              segment: { _tag: "EventMember" },
              exclude: { segment: bought }
            }))
            for (const [offset, member] of ids("cart", 2).entries()) {
              yield* client.send(campaignKind, {
                actor: "abandoned",
                command: {
                  _tag: "Fire",
                  partition: 0,
                  offset,
                  event: `shop/${offset}`,
                  at: start,
                  version: 1,
                  member,
                  parameters: {}
                }
              })
            }
            expect(yield* workOff()).toBe(0)
            // One of them buys meanwhile.
            yield* sql`insert into member_activity (member, type, product, day, count, last_at)
          values ('cart001', 'bought', 'tee', '2025-06-02', 1, ${new Date(start + hour)})`
            yield* itIs(start + 2 * hour)
            yield* workOff()
            const sent = yield* sql`select member, not_before as at from delivery where campaign = 'abandoned'`
            expect(sent).toEqual([{ member: "cart000", at: new Date(start + 2 * hour) }])
            yield* itIs(start)
          }),
        60_000
      )

      it.effect(
        "the last slot of a cap goes to the stronger campaign, whichever comes first",
        () =>
          Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            yield* joinGroup("slot", 3)
            const held = { from: 13 * 60, to: 20 * 60 }
            const weak = (id: string) => campaign(id, { segment: named("slot"), priority: 10, deliveryHours: held })
            // The shop allows two messages a week.
            for (const id of ["weak-1", "weak-2"]) {
              yield* define(weak(id))
              yield* runNow(id)
              yield* workOff()
            }
            yield* define(campaign("equal", { segment: named("slot"), priority: 10 }))
            const equal = yield* runNow("equal")
            yield* define(campaign("strong", { segment: named("slot"), priority: 900 }))
            const strong = yield* runNow("strong")
            yield* workOff()
            expect(yield* readRun(equal)).toMatchObject({ accepted: 0, rejected: { Capped: 3 } })
            expect(yield* readRun(strong)).toMatchObject({ accepted: 3, rejected: {} })
            const ledger = yield* sql`select member, campaign, decision, detail->>'by' as by from decision_ledger
          where decision = 'displaced' order by member`
            expect(ledger).toEqual(
              ids("slot", 3).map((member) => ({ member, campaign: "weak-2", decision: "displaced", by: strong }))
            )
            const over = yield* sql`select id from member where starts_with(id, 'slot') and 2 <>
          (select count(*) from jsonb_array_elements(holds) h where (h->>8)::int in (0, 1, 2))`
            expect(over).toEqual([])
          }),
        60_000
      )

      it.effect(
        "realtime runs have a lane of their own, and what is past its deadline expires",
        () =>
          Effect.gen(function*() {
            yield* joinGroup("lane", 6)
            yield* define(campaign("fast", { class: "realtime", segment: named("lane") }))
            yield* define(campaign("slow", { segment: named("lane") }))
            const fast = yield* runNow("fast")
            const slow = yield* runNow("slow")
            const worker = yield* makeWith(smallLimits)
            yield* worker.step("realtime")
            expect((yield* readRun(fast)).status).toBe("finished")
            expect((yield* readRun(slow)).considered).toBe(0)
            yield* itIs(start + day)
            yield* workOff()
            expect(yield* readRun(slow)).toMatchObject({ status: "expired", considered: 0 })
            yield* itIs(start)
          }),
        60_000
      )
    })
  }
)
