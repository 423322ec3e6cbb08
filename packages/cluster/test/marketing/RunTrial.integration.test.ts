/** What is counted before a run is what comes of it: the oracle is the run itself, and a list made by hand beside it. */
import { SqlClient } from "@effect/sql"
import { describe, expect, layer } from "@effect/vitest"
import { ActorClient } from "@hikyaku/cluster/actor/ActorClient"
import { memberKind } from "@hikyaku/cluster/marketing/MemberActor"
import { makeWith, type Trial, trialLimitsDefault } from "@hikyaku/cluster/marketing/RunTrial"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { MemberCommand } from "@hikyaku/domain/marketing/Member"
import { Effect } from "effect"
import { campaign, day, define, houseLayer, join, readRun, runNow, shop, start, workOff } from "./RunHouse.ts"

const ids = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(3, "0")}`)

const tell = (members: ReadonlyArray<string>, command: MemberCommand) =>
  Effect.flatMap(
    ActorClient,
    (client) => client.sendAll(memberKind, members.map((actor) => ({ actor, command })))
  )

const attributes = { group: "g" }
const segment = { _tag: "Attribute", name: "group", is: "eq", value: "g" } as const
const channels = ["mail", "line"] as const

/** Members of every kind that a run meets. */
const people = Effect.gen(function*() {
  yield* join(ids("able", 30), { attributes })
  yield* join(ids("both", 10), { attributes, channels })
  yield* join(ids("line", 5), { attributes, channels: ["line"] })
  yield* join(ids("silent", 7), { attributes, channels: [] })
  yield* join(ids("refused", 6), { attributes })
  yield* tell(ids("refused", 6), { _tag: "SetConsent", channel: "mail", consent: false })
  yield* tell(ids("refused", 6), { _tag: "SetConsent", channel: "line", consent: false })
  yield* join(ids("bounced", 4), { attributes })
  yield* tell(ids("bounced", 4), { _tag: "Suppress", channel: "mail", reason: "bounced" })
  yield* join(ids("homeless", 3), { attributes })
  yield* tell(ids("homeless", 3), { _tag: "SetProfile", address: null })
  yield* join(ids("gone", 2), { attributes })
  yield* tell(ids("gone", 2), { _tag: "Withdraw" })
  yield* join(ids("staff", 5), { attributes: { ...attributes, staff: true } })
  // The shop's cap allows two in a week: these have had them.
  yield* join(ids("tired", 8), { attributes })
  for (const id of ["first", "second"]) {
    yield* define(campaign(id, { segment: { _tag: "Members", ids: ids("tired", 8) } }))
    yield* runNow(id)
    yield* workOff()
  }
})

const trialOf = (definition: CampaignDefinition): Trial => ({
  definition,
  shop,
  cause: { product: null, member: null },
  parameters: {},
  now: start
})

const traces = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql`select (select count(*)::int from delivery) as deliveries, (select count(*)::int from decision_ledger) as decisions,
      (select count(*)::int from outcome) as outcomes, (select sum(version)::int from member) as versions`
)

const base = { segment, channels, memberFilter: "!has(member.attributes.staff)" } as const

describe("RunTrial: counted before, and what came of it (G7, G18)", () => {
  layer(houseLayer(), { timeout: 120_000, excludeTestServices: true })((it) => {
    it.effect(
      "a run sends to whom the count says, and turns down the others for the reasons it gives",
      () =>
        Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          yield* people
          const trial = yield* makeWith({ ...trialLimitsDefault, pageSize: 16 })
          const definitions = [
            campaign("plain", base),
            campaign("heldOut", { ...base, holdoutShare: 0.4 }),
            campaign("ordered", { ...base, class: "transactional" }),
            // By now the caps of the three before are at work.
            campaign("capped", { ...base, caps: [{ count: 1, windowMs: day }] })
          ]
          for (const definition of definitions) {
            const before = yield* traces
            const counted = yield* trial.count(trialOf(definition))
            const sampled = yield* trial.sample(trialOf(definition), 20)
            expect(yield* traces, "left no trace").toEqual(before)
            yield* define(definition)
            const run = yield* runNow(definition.id)
            yield* workOff()
            const { accepted, considered, rejected } = yield* readRun(run)
            expect({ accepted, considered, rejected }, definition.id).toEqual({
              accepted: counted.reachable,
              considered: counted.members,
              rejected: counted.leftOut
            })
            const sent = yield* sql<{ readonly member: string; readonly channel: string }>`
            select member, channel from delivery where run = ${run}`
            const byChannel: Record<string, number> = { mail: 0, line: 0 }
            for (const { channel } of sent) byChannel[channel] = (byChannel[channel] ?? 0) + 1
            // Which of two channels is tried depends on the run, how many are reached does not.
            expect(byChannel["mail"]! + byChannel["line"]!).toBe(counted.channels["mail"]! + counted.channels["line"]!)
            expect(sampled.reached.length).toBe(Math.min(20, accepted))
            for (const { channels, member } of sampled.reached) {
              const delivery = sent.find((each) => each.member === member.id)
              expect(channels, member.id).toContain(delivery?.channel)
            }
            // By hand: those who withdrew are not in the segment, staff is filtered whatever else they are.
            expect(counted).toMatchObject({ members: 78, judged: 78, leftOut: { Filtered: 5 } })
            if (definition.id === "plain") {
              expect(counted.reachable).toBe(30 + 10 + 5)
              expect(counted.leftOut).toEqual({ Filtered: 5, NoConsent: 7 + 6, Suppressed: 4, NoChannel: 3, Capped: 8 })
            }
            if (definition.id === "ordered") {
              // Nobody has to have consented to what their own order needs, but whoever refused it is left alone.
              expect(counted.leftOut).toEqual({ Filtered: 5, NoConsent: 6 })
              expect(counted.reachable).toBe(78 - 5 - 6)
            }
            if (definition.id === "heldOut") expect(counted.leftOut["Holdout"]).toBeGreaterThan(3)
          }
        }),
      120_000
    )

    it.effect(
      "of a segment too large for it a random part is judged, and how large it is is said",
      () =>
        Effect.gen(function*() {
          const trial = yield* makeWith({ judgedMax: 40, pageSize: 16 })
          const { judged, leftOut, members, reachable } = yield* trial.count(trialOf(campaign("large", base)))
          expect({ judged, members }).toEqual({ judged: 40, members: 78 })
          expect(reachable + Object.values(leftOut).reduce((sum, n) => sum + n, 0)).toBe(40)
          expect(yield* trial.count(trialOf(campaign("large", base)))).toMatchObject({ reachable, leftOut })
        }),
      60_000
    )
  })
})
