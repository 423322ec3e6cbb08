import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { campaignKind } from "@hikyaku/cluster/marketing/CampaignActor"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { Effect } from "effect"
import { liveUntil } from "./Mortal.ts"
import { brokenWindows, campaign, define, houseLayer, join, readRun, runNow, smallLimits, workOff } from "./RunHouse.ts"

const size = 10
/** No consent; no slot left; one left that a weaker message holds. */
const [mute, full, contested] = [3, 5, 6]
const budget = 6
const limits = { ...smallLimits, stretchesAtOnce: 3 }
const afternoon = { from: 13 * 60, to: 20 * 60 }

const memberOf = (group: string, n: number) => `${group}-${n}`
const all = (group: string) => Array.from({ length: size }, (_, n) => memberOf(group, n))
const named = (name: string, ids: ReadonlyArray<string>) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into list_member select ${name}, unnest(${ids}::text[])`)

/** Ten members for each group, some of whom had messages before: what they got is on record. */
const assemble = (groups: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const client = yield* ActorClient
    for (const group of groups) yield* join(all(group), { attributes: { group } })
    yield* client.sendAll(
      memberKind,
      groups.map((group) => ({
        actor: memberOf(group, mute),
        command: { _tag: "SetConsent", channel: "mail", consent: false }
      }))
    )
    const before = groups[0]
    for (
      const [id, ids, over] of [
        [`${before}-full`, groups.flatMap((group) => [memberOf(group, full), memberOf(group, contested)]), {}],
        [`${before}-again`, groups.map((group) => memberOf(group, full)), {}],
        [
          `${before}-weak`,
          groups.map((group) => memberOf(group, contested)),
          { priority: 1, deliveryHours: afternoon }
        ]
      ] as const
    ) {
      yield* named(id, ids)
      yield* define(campaign(id, { segment: { _tag: "OnList", list: id }, ...over }))
      yield* runNow(id)
    }
    yield* workOff({ ...limits, pageSize: 500 })
  })

const segmentOf = (group: string) => ({ _tag: "AttributeIn" as const, name: "group", values: [group] as const })

/** All that is on record of a campaign and its members, without the group's name. */
const record = (group: string, run: string) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const client = yield* ActorClient
    const cut = (member: string) => member.slice(group.length + 1)
    const view = yield* client.send(campaignKind, { actor: group, command: { _tag: "ReadCampaign" } })
    const deliveries = yield* sql<{ readonly run: string; readonly member: string; readonly status: string }>`
      select run, member, status from delivery where starts_with(member, ${`${group}-`}) order by member, campaign = ${group}`
    // Of several rows about a run the last one stands: a stretch that was repeated is decided again.
    const ledger = yield* sql<{ readonly member: string; readonly reason: string; readonly decision: string }>`
      select member, decision, reason from (
        select distinct on (member, run) member, run, decision, reason from decision_ledger
        where starts_with(member, ${`${group}-`}) order by member, run, n desc
      ) l order by member, run = ${run}, decision, reason`
    const holds = yield* sql<{ readonly id: string; readonly phases: ReadonlyArray<number> }>`
      select id, coalesce((select jsonb_agg((h->>8)::int order by h->>0) from jsonb_array_elements(holds) h), '[]') as phases
      from member where starts_with(id, ${`${group}-`}) order by id`
    const [row] = yield* sql<{ readonly cursor: string }>`select cursor from run where id = ${run}`
    return {
      run: yield* readRun(run),
      cursor: cut(row?.cursor ?? ""),
      spent: view._tag === "CampaignView" ? view.spentToday : null,
      deliveries: deliveries.map(({ member, run: of, status }) => [cut(member), of === run, status]),
      ledger: ledger.map(({ decision, member, reason }) => [cut(member), decision, reason]),
      holds: holds.map(({ id, phases }) => [cut(id), phases])
    }
  })

/** Starts the group's run and lets a worker carry it out until it dies, then another one. */
const carryOut = (group: string, fatal: number) =>
  Effect.gen(function*() {
    yield* define(campaign(group, { segment: segmentOf(group), budgetPerDay: budget }))
    const run = yield* runNow(group)
    const life = yield* liveUntil(fatal, workOff(limits))
    yield* workOff(limits)
    return { life, record: yield* record(group, run), run }
  })

/**
 * What leaves the house in the end, by the delivery log: held messages are judged once more, and the members are told of what
 * is not sent, twice, as a relay that dies in between does.
 */
const settle = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const client = yield* ActorClient
  const held = yield* sql<{ readonly id: string; readonly member: string }>`
    select id, member from delivery where status = 'due' and held order by id`
  for (const { id, member } of held) {
    const reply = yield* client.send(memberKind, { actor: member, command: { _tag: "Release", delivery: id } })
    if (reply._tag === "Dropped") yield* sql`update delivery set status = 'suppressed' where id = ${id}`
  }
  const refunds = yield* sql<{ readonly delivery: string; readonly member: string }>`
    delete from delivery_refund returning delivery, member`
  for (const { delivery, member } of [...refunds, ...refunds]) {
    yield* client.send(memberKind, { actor: member, command: { _tag: "Refund", delivery } })
  }
})

/** How many messages of a member are sent or may be, by the log alone. */
const perMember = (groups: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ readonly group: string; readonly counts: ReadonlyArray<number> }>`
      select g.group, (select jsonb_agg((select count(*) from delivery d
        where d.member = g.group || '-' || n and d.status in ('due', 'sent')) order by n)
        from generate_series(0, ${size - 1}::int) n) as counts
      from unnest(${groups}::text[]) g("group")`
    return rows.map(({ counts, group }) => [group, counts])
  })

describe("kill between every two steps of a run (R17, G7, G8)", () => {
  layer(houseLayer(), { timeout: 480_000, excludeTestServices: true })((it) => {
    it.effect(
      "wherever a worker dies, the next one ends the run as if nobody had: cursor, budget, caps and ledger are exact",
      () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* assemble(["whole"])
          const whole = yield* carryOut("whole", Number.POSITIVE_INFINITY)
          expect(whole.life.died).toBe(false)
          expect(whole.record.run).toEqual({
            status: "finished",
            considered: 8,
            accepted: budget,
            rejected: { NoConsent: 1, Capped: 1, Budget: 2 }
          })
          expect(whole.record).toMatchObject({ cursor: "7", spent: budget })
          expect(whole.record.ledger).toContainEqual([`${contested}`, "displaced", "Displaced"])
          const points = whole.life.passed
          // Every kind of step is among them.
          for (
            const step of ["select r.id", "send all Member", "send Campaign", "with today", "update run set cursor"]
          ) {
            expect(points.filter((point) => point.includes(step)).length, step).toBeGreaterThan(1)
          }
          const killed = points.map((_, fatal) => `kill${fatal}`)
          yield* assemble(killed)
          for (const [fatal, point] of points.entries()) {
            const group = `kill${fatal}`
            const { life, record } = yield* carryOut(group, fatal)
            expect(life.died, point).toBe(true)
            expect(record, `died ${point} (${fatal})`).toEqual(whole.record)
          }
          expect(yield* sql.unsafe(brokenWindows)).toEqual([])
          expect(yield* sql`select run, member from delivery group by 1, 2 having count(*) > 1`).toEqual([])
          // What nobody may be sent gives its cap back, and what may be keeps it: two more campaigns for all fill every member
          // up to the shop's two messages, neither more nor fewer.
          const groups = ["whole", ...killed]
          yield* settle
          for (const id of ["fill-1", "fill-2"]) {
            yield* define(campaign(id))
            yield* runNow(id)
            yield* workOff({ ...limits, pageSize: 100 })
          }
          const filled = Array.from({ length: size }, (_, n) => n === mute ? 0 : 2)
          expect(yield* perMember(groups)).toEqual(groups.map((group) => [group, filled]))
          expect(yield* sql.unsafe(brokenWindows)).toEqual([])
        }),
      480_000
    )
  })
})
