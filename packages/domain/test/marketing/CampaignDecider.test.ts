import { run } from "@hikyaku/domain/Actor"
import { commandIdFrom } from "@hikyaku/domain/Identifier"
import type { CampaignDefinition } from "@hikyaku/domain/marketing/Campaign"
import type { CampaignCommand, RunCause } from "@hikyaku/domain/marketing/CampaignCommand"
import { campaignDecider, runId } from "@hikyaku/domain/marketing/CampaignDecider"
import type { CampaignState, DefinedCampaign } from "@hikyaku/domain/marketing/CampaignState"
import { RunId } from "@hikyaku/domain/marketing/Member"
import { given } from "@hikyaku/domain/testing/Scenario"
import { Schema } from "effect"
import fc from "fast-check"
import { describe, expect, it } from "vitest"

const hour = 3_600_000
const day = 24 * hour
/** Monday, 2 June 2025, noon in Tokyo. */
const noon = Date.UTC(2025, 5, 2, 3)
const definition: CampaignDefinition = {
  id: "c-1",
  name: "Price drop",
  trigger: { _tag: "Event", event: "PriceChanged" },
  class: "realtime",
  priority: 1,
  channels: ["mail"],
  segment: { _tag: "Everyone" },
  deadlineMs: 6 * hour,
  timePolicy: { _tag: "Immediate" },
  content: {}
}
const define = (over: Partial<CampaignDefinition> = {}, base?: number): CampaignCommand => ({
  _tag: "Define",
  definition: { ...definition, ...over },
  author: "aya",
  timeZone: "Asia/Tokyo",
  ...(base === undefined ? {} : { base })
})
const fire = (offset: number, over: Partial<CampaignCommand & { readonly _tag: "Fire" }> = {}): CampaignCommand => ({
  _tag: "Fire",
  partition: 3,
  offset,
  event: `shop/${offset}`,
  at: noon,
  version: 1,
  product: "sku-1",
  parameters: { after: 5 },
  ...over
})
const campaign = (over: Partial<CampaignDefinition> = {}) => given(campaignDecider, "c-1").commands(noon, define(over))
const state = (of: CampaignState): DefinedCampaign => {
  if (of._tag === "Undefined") throw new Error("undefined")
  return of
}

describe("versions", () => {
  it("a definition is a version; the same again is none", () => {
    const first = given(campaignDecider, "c-1").when(define(), noon).reply({
      _tag: "Defined",
      version: 1,
      changed: true
    })
    first.and.when(define(), noon + 1).reply({ _tag: "Defined", version: 1, changed: false }).nothing()
    first.and.when(define({ priority: 2 }), noon + 1).reply({ _tag: "Defined", version: 2, changed: true })
      .has((of) => state(of).definition.priority, 2)
  })
  it("an edit of an older version is refused", () => {
    campaign().commands(noon, define({ priority: 2 })).when(define({ priority: 3 }, 1), noon)
      .reply({ _tag: "VersionConflict", current: 2 }).nothing().final(false)
    campaign().when(define({ priority: 3 }, 1), noon).reply({ _tag: "Defined", version: 2, changed: true })
  })
  it("rolling back makes a new version of an earlier one", () => {
    const rollback: CampaignCommand = { _tag: "Rollback", to: 1, definition, author: "ken", timeZone: "Asia/Tokyo" }
    campaign().commands(noon, define({ priority: 2 })).when(rollback, noon)
      .reply({ _tag: "Defined", version: 3, changed: true })
      .has((of) => [state(of).definition.priority, state(of).rolledBackTo, state(of).author], [1, 1, "ken"])
    campaign().when({ ...rollback, to: 1 }, noon).nothing()
  })
  it("nobody's campaign: nothing is stored and nothing remembered", () => {
    for (const command of [fire(1), { _tag: "Pause", author: "a" } as const, { _tag: "Wake" } as const]) {
      given(campaignDecider, "c-1").when(command, noon).reply({ _tag: "UnknownCampaign" }).nothing().final(false)
    }
    given(campaignDecider, "c-2").when(define(), noon).nothing().final(false)
  })
})

describe("status", () => {
  const statusAfter = (...commands: ReadonlyArray<CampaignCommand>) =>
    state(campaign().commands(noon, ...commands).state).status
  const pause: CampaignCommand = { _tag: "Pause", author: "aya" }
  const resume: CampaignCommand = { _tag: "Resume", author: "aya" }
  const cancel: CampaignCommand = { _tag: "Cancel", author: "aya" }

  it("pause, resume, cancel", () => {
    expect(statusAfter(pause)).toBe("paused")
    expect(statusAfter(pause, resume)).toBe("active")
    expect(statusAfter(cancel, resume)).toBe("cancelled")
    expect(statusAfter(pause, define({ priority: 9 }))).toBe("paused")
    expect(statusAfter(define({ status: "draft" }))).toBe("draft")
    expect(statusAfter(pause, define({ status: "draft" }), resume)).toBe("draft")
    campaign().commands(noon, cancel).when(define({ priority: 9 }), noon).nothing()
    campaign().when(pause, noon).reply({ _tag: "StatusChanged", status: "paused", changed: true })
      .and.when(pause, noon).reply({ _tag: "StatusChanged", status: "paused", changed: false }).nothing()
  })
  it("only an active campaign fires", () => {
    for (
      const [command, reason] of [[pause, "paused"], [cancel, "cancelled"], [
        define({ status: "draft" }),
        "draft"
      ]] as const
    ) {
      campaign().commands(noon, command).when(fire(1), noon).reply({ _tag: "Suppressed", reason })
        .has((of) => state(of).suppressed, { [reason]: 1 })
        // It counts as decided: the same event does not fire after all when the campaign is resumed.
        .and.commands(noon, resume).when(fire(1), noon).reply({ _tag: "Duplicate" })
    }
  })
})

describe("firing", () => {
  it("starts a run whose id follows from the cause, at the version that was judged", () => {
    const deadline = noon + 6 * hour
    const begun = campaign().commands(noon, define({ priority: 2 })).when(fire(1024, { version: 1 }), noon + 5)
    begun.reply({ _tag: "RunStarted", run: "c-1.e3-sg", version: 1, deadline }).final(true)
    expect(begun.decision.events).toEqual([{
      _tag: "RunBegan",
      run: {
        id: "c-1.e3-sg",
        version: 1,
        cause: { _tag: "Event", partition: 3, offset: 1024, event: "shop/1024", at: noon },
        startedAt: noon + 5,
        beginsAt: noon + 5,
        deadline,
        product: "sku-1",
        member: null,
        parameters: { after: 5 }
      },
      day: 20_241,
      cools: false
    }])
  })

  it("R13: an event fires once, whatever the command's id; an earlier one of the partition is decided already", () => {
    const after = campaign().commands(noon, fire(7))
    after.when(fire(7), noon + day).reply({ _tag: "Duplicate" }).nothing().final(false)
    after.when(fire(3), noon).reply({ _tag: "Duplicate" }).nothing()
    after.when(fire(3, { partition: 4 }), noon).has((of) => state(of).marks, { 3: 7, 4: 3 })
    after.when(fire(8), noon).has((of) => state(of).runs, 2)
  })

  it("cooldowns: of the campaign, and of the product; an edit takes effect at once", () => {
    const paused = campaign({ cooldown: { campaignMs: hour } }).commands(noon, fire(1))
    paused.when(fire(2, { at: noon + hour - 1 }), noon + hour - 1).reply({
      _tag: "Suppressed",
      reason: "campaignCooldown"
    })
    paused.when(fire(2, { at: noon + hour }), noon + hour).has((of) => state(of).runs, 2)
    const cooling = { cooldown: { productMs: day } }
    const product = campaign(cooling).commands(noon, fire(1))
    const later = { at: noon + 5 * hour }
    product.when(fire(2, later), noon + 5 * hour).reply({ _tag: "Suppressed", reason: "productCooldown" })
    product.when(fire(2, { ...later, product: "sku-2" }), noon + 5 * hour).has((of) => state(of).runs, 2)
    product.when(fire(2, { at: noon + day }), noon + day).has((of) => state(of).runs, 2)
    product.commands(noon, define({ cooldown: { productMs: hour } })).when(fire(2, later), noon + 5 * hour)
      .has((of) => state(of).runs, 2)
  })

  it("forgets cooldowns that have lapsed, a day later", () => {
    const cooling = campaign({ cooldown: { productMs: hour } }).commands(noon, fire(1), fire(2, { product: "sku-2" }))
    expect(state(cooling.state).lastByProduct.size).toBe(2)
    const next = cooling.when(fire(3, { at: noon + day }), noon + day)
    expect(next.decision.events.map((event) => event._tag)).toEqual(["CooldownsLapsed", "RunBegan"])
    expect(state(next.state).lastByProduct.entries()).toEqual([["sku-1", noon + day]])
  })

  it("runs per day, by the shop's calendar; zero allows none, absent allows all", () => {
    // Midnight in Tokyo is 15:00 UTC.
    const midnight = Date.UTC(2025, 5, 2, 15)
    const one = campaign({ runsPerDay: 1 }).commands(noon, fire(1))
    one.when(fire(2, { at: midnight - 1 }), midnight - 1).reply({ _tag: "Suppressed", reason: "runsPerDay" })
    one.when(fire(2, { at: midnight }), midnight).has((of) => state(of).runsToday, 1).has((of) => state(of).runs, 2)
    campaign({ runsPerDay: 0 }).when(fire(1), noon).reply({ _tag: "Suppressed", reason: "runsPerDay" })
    campaign().commands(noon, ...Array.from({ length: 50 }, (_, i) => fire(i))).when(fire(50), noon)
      .has((of) => state(of).runsToday, 51)
  })

  it("only within the period, and not when it is too late", () => {
    const period = { period: { from: "2025-06-02T12:00", until: "2025-06-02" } }
    campaign(period).when(fire(1, { at: noon - 1 }), noon).reply({ _tag: "Suppressed", reason: "outsidePeriod" })
    campaign(period).when(fire(1), noon).has((of) => state(of).runs, 1)
    campaign(period).when(fire(1, { at: noon + 12 * hour }), noon + 12 * hour)
      .reply({ _tag: "Suppressed", reason: "outsidePeriod" })
    campaign().when(fire(1, { at: noon - 6 * hour }), noon).reply({ _tag: "Suppressed", reason: "late" })
    // An event from the future counts from now.
    campaign().when(fire(1, { at: noon + day }), noon)
      .reply({ _tag: "RunStarted", run: "c-1.e3-1", version: 1, deadline: noon + 6 * hour })
  })
})

describe("a delayed trigger", () => {
  const delayed = campaign({ trigger: { _tag: "Event", event: "CartAdded", delayMs: 2 * hour } })
  it("begins its run later, with the whole deadline from then on", () => {
    const { state: after } = delayed.commands(noon, fire(1))
    const { decision } = run(campaignDecider, delayed.state, fire(1), noon)
    expect(decision.reply).toEqual({ _tag: "RunStarted", run: "c-1.e3-1", version: 1, deadline: noon + 8 * hour })
    const begun = decision.events.flatMap((event) => (event._tag === "RunBegan" ? [event.run] : []))
    expect(begun).toMatchObject([{ startedAt: noon, beginsAt: noon + 2 * hour }])
    // The pause between runs is measured from the firing: the next event is not held off by a run that waits.
    expect(run(campaignDecider, after, fire(2), noon + 1).decision.reply._tag).toBe("RunStarted")
  })
  it("is late only when delay and deadline have both passed, and a run by hand does not wait", () => {
    delayed.when(fire(1, { at: noon - 7 * hour }), noon).reply({
      _tag: "RunStarted",
      run: "c-1.e3-1",
      version: 1,
      deadline: noon + hour
    })
    delayed.when(fire(1, { at: noon - 8 * hour }), noon).reply({ _tag: "Suppressed", reason: "late" })
    const request = commandIdFrom(noon, 1, 2, 3)
    const { decision } = run(
      campaignDecider,
      delayed.state,
      { _tag: "StartRunNow", request, author: "aya", parameters: {} },
      noon
    )
    expect(decision.events.flatMap((event) => (event._tag === "RunBegan" ? [event.run.beginsAt] : []))).toEqual([noon])
  })
})

describe("budget", () => {
  let pages = 0
  const spend = (count: number, page = `m${pages++}`, unsent = 0): CampaignCommand => ({
    _tag: "Spend",
    run: "c-1.e3-1",
    page,
    count,
    unsent
  })
  const settle = (page: string, used: number): CampaignCommand => ({ _tag: "Settle", run: "c-1.e3-1", page, used })

  it("takes a page's members once however often it is asked, and gives back what was not accepted", () => {
    const asked = campaign({ budgetPerDay: 100 }).commands(noon, spend(60, "m1"), spend(60, "m1"))
    expect(state(asked.state).spentToday).toBe(60)
    const settled = asked.when(settle("m1", 20), noon).reply({ _tag: "Settled", changed: true }).and
    settled.when(settle("m1", 20), noon).reply({ _tag: "Settled", changed: false })
    settled.when(spend(100, "m2"), noon).reply({ _tag: "Granted", count: 80 })
    // A page that is repeated after it was settled counts once all the same.
    const again = settled.commands(noon, spend(60, "m1"), settle("m1", 20))
    expect(state(again.state).spentToday).toBe(20)
    // What a page did not take cannot be given back, nor tomorrow's budget be eased by today's page.
    settled.when(settle("m7", 0), noon).reply({ _tag: "Settled", changed: false })
    expect(state(settled.commands(noon + day, spend(10, "m3"), settle("m1", 0)).state).spentToday).toBe(10)
  })
  it("is given back for what was provably not sent", () => {
    const spent = campaign({ budgetPerDay: 100 }).commands(noon, spend(100, "m1"))
    spent.when(spend(60, "m2"), noon).reply({ _tag: "Granted", count: 0 })
    const eased = spent.when(spend(60, "m2", 30), noon).reply({ _tag: "Granted", count: 30 }).and
    // Counted from the store, absolutely: to hear the same again gives nothing back twice.
    eased.when(spend(60, "m3", 30), noon).reply({ _tag: "Granted", count: 0 })
    eased.when(spend(60, "m3"), noon + day).reply({ _tag: "Granted", count: 60 })
  })

  it("is granted up to the day's budget, and stops firing when it is spent", () => {
    const funded = campaign({ budgetPerDay: 100 }).commands(noon, fire(1), spend(60))
    const spent = funded.when(spend(60), noon).reply({ _tag: "Granted", count: 40 }).and
    spent.when(spend(1), noon).reply({ _tag: "Granted", count: 0 }).nothing()
    spent.when(fire(2), noon).reply({ _tag: "Suppressed", reason: "budget" })
    spent.when(spend(60), noon + day).reply({ _tag: "Granted", count: 60 }).has((of) => state(of).spentToday, 60)
  })
  it("absent is no limit, zero allows nothing", () => {
    campaign().when(spend(1_000_000), noon).reply({ _tag: "Granted", count: 1_000_000 })
    campaign({ budgetPerDay: 0 }).when(fire(1), noon).reply({ _tag: "Suppressed", reason: "budget" })
    campaign({ budgetPerDay: 0 }).when(spend(1), noon).reply({ _tag: "Granted", count: 0 })
  })
  it("nothing is granted to a campaign that is paused", () => {
    campaign().commands(noon, { _tag: "Pause", author: "a" }).when(spend(1), noon).reply({ _tag: "Granted", count: 0 })
  })
})

describe("by hand", () => {
  const request = commandIdFrom(noon, 0.1, 0.2, 0.3)
  const now: CampaignCommand = { _tag: "StartRunNow", request, author: "aya", parameters: {} }

  it("starts a run whatever cooldown and runs per day say; the budget holds", () => {
    campaign({ cooldown: { campaignMs: day }, runsPerDay: 0 }).when(now, noon).has((of) => state(of).runs, 1)
    campaign({ budgetPerDay: 0 }).when(now, noon).reply({ _tag: "Suppressed", reason: "budget" })
    campaign({ status: "draft" }).when(now, noon).reply({ _tag: "Suppressed", reason: "draft" })
  })
  it("needs what the segment speaks of", () => {
    const speaking = campaign({ segment: { _tag: "Favourited", of: { product: "$event" } } })
    speaking.when(now, noon).nothing().final(false)
    speaking.when({ ...now, product: "sku-1" }, noon).has((of) => state(of).runs, 1)
  })
})

describe("R15: schedules", () => {
  /** Fridays at ten in Tokyo. */
  const weekly: Partial<CampaignDefinition> = { trigger: { _tag: "Cron", cron: "0 10 * * 5" }, class: "batch" }
  const friday = Date.UTC(2025, 5, 6, 1)
  const week = 7 * day

  it("is due at its cycles, each a run of its own", () => {
    const scheduled = given(campaignDecider, "c-1").when(define(weekly), noon).due(friday).and
    scheduled.when({ _tag: "Wake" }, friday - 1).reply({ _tag: "Woken", run: null }).nothing()
    const first = scheduled.whenTimer(friday + 3).due(friday + week)
    first.reply({ _tag: "Woken", run: runId("c-1", { _tag: "Cycle", at: friday }) })
    // A timer may fire twice.
    first.and.when({ _tag: "Wake" }, friday + 5).reply({ _tag: "Woken", run: null }).nothing()
    first.and.whenTimer(friday + week).has((of) => state(of).runs, 2)
  })
  it("does not catch up on weeks", () => {
    const scheduled = given(campaignDecider, "c-1").commands(noon, define(weekly))
    scheduled.whenTimer(friday + 10 * week + hour).has((of) => state(of).runs, 1).due(friday + 11 * week)
    scheduled.whenTimer(friday + 10 * week + 7 * hour).has((of) => state(of).runs, 0).due(friday + 11 * week)
  })
  it("is not due while paused, and goes on with the next cycle", () => {
    const paused = given(campaignDecider, "c-1").commands(noon, define(weekly)).when(
      { _tag: "Pause", author: "a" },
      noon
    )
    paused.due(null)
    paused.and.when({ _tag: "Resume", author: "a" }, friday + hour).due(friday + week)
  })
  it("ends with its period, and waits for its beginning", () => {
    given(campaignDecider, "c-1").when(define({ ...weekly, period: { until: "2025-06-06" } }), noon).due(friday)
      .and.whenTimer(friday).has((of) => state(of).runs, 1).due(null)
    given(campaignDecider, "c-1").when(define({ ...weekly, period: { from: "2025-06-07" } }), noon).due(friday + week)
  })
  it("keeps the hour of the wall where clocks change: New York and Athens", () => {
    for (
      const [timeZone, before, after] of [
        ["America/New_York", "2025-03-08T14:00Z", "2025-03-09T13:00Z"],
        ["Europe/Athens", "2025-03-29T07:00Z", "2025-03-30T06:00Z"]
      ] as const
    ) {
      const trigger = { _tag: "Cron", cron: "0 9 * * *", timeZone } as const
      given(campaignDecider, "c-1").when(define({ ...weekly, trigger }), Date.parse(before) - hour).due(
        Date.parse(before)
      )
        .and.whenTimer(Date.parse(before)).due(Date.parse(after))
        .and.whenTimer(Date.parse(after)).has((of) => state(of).runs, 2)
    }
  })
})

describe("run ids", () => {
  it("are run ids, and no two causes or campaigns share one (property)", () => {
    const campaignId = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/)
    const cause: fc.Arbitrary<RunCause> = fc.oneof(
      fc.record({
        _tag: fc.constant("Event" as const),
        partition: fc.integer({ min: 0, max: 65_535 }),
        offset: fc.maxSafeNat(),
        event: fc.string(),
        at: fc.constant(noon)
      }),
      fc.record({
        _tag: fc.constant("Cycle" as const),
        at: fc.integer({ min: 946_684_800_000, max: 4_102_444_800_000 })
      }),
      fc.tuple(fc.nat(2 ** 46), fc.double({ min: 0, max: 0.999, noNaN: true })).map(([time, random]) => ({
        _tag: "Hand" as const,
        request: commandIdFrom(time, random, random, random),
        author: "a"
      }))
    )
    const isRunId = Schema.is(RunId)
    fc.assert(fc.property(campaignId, cause, campaignId, cause, (a, one, b, other) => {
      const [x, y] = [runId(a, one), runId(b, other)]
      expect(isRunId(x)).toBe(true)
      const { event: _, at: __, ...key } = { event: "", at: 0, ...one }
      const { event: ___, at: ____, ...otherKey } = { event: "", at: 0, ...other }
      const same = a === b && (one._tag === "Cycle" && other._tag === "Cycle"
        ? one.at === other.at
        : JSON.stringify({ ...key, author: "" }) === JSON.stringify({ ...otherKey, author: "" }))
      expect(x === y).toBe(same)
    }))
  })
})

describe("invariants (property)", () => {
  const command: fc.Arbitrary<CampaignCommand> = fc.oneof(
    {
      weight: 8,
      arbitrary: fc.tuple(fc.nat(30), fc.nat(2), fc.constantFrom("sku-1", "sku-2")).map((
        [offset, partition, product]
      ) => fire(offset, { partition, product }))
    },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.nat(30), fc.nat(3)).map((
        [count, page]
      ): CampaignCommand => ({ _tag: "Spend", run: "r", page: `m${page}`, count }))
    },
    fc.constantFrom<CampaignCommand>(
      { _tag: "Pause", author: "a" },
      { _tag: "Resume", author: "a" },
      { _tag: "Wake" },
      define({ runsPerDay: 5, budgetPerDay: 40, cooldown: { productMs: hour } }),
      define({ priority: 7, runsPerDay: 5, budgetPerDay: 40 })
    )
  )
  it("each event is decided at most once; runs and budget of a day stay within bounds", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(command, fc.nat(10 * hour)), { maxLength: 80 }), (steps) => {
        let current = campaign({ runsPerDay: 5, budgetPerDay: 40, cooldown: { productMs: hour } }).state
        let now = noon
        const decided = new Set<string>()
        const runs = new Map<number, number>()
        const spent = new Map<number, number>()
        const ids = new Set<string>()
        let last = { page: "", day: -1, count: 0 }
        for (const [each, rest] of steps) {
          now += rest
          const given = each._tag === "Fire" ? { ...each, at: now } : each
          const { decision, state: after } = run(campaignDecider, current, given, now)
          current = after
          const today = Math.floor((now + 9 * hour) / day)
          if (each._tag === "Fire" && decision.reply._tag !== "Duplicate") {
            const key = `${each.partition}/${each.offset}`
            expect(decided.has(key)).toBe(false)
            decided.add(key)
          }
          if (decision.reply._tag === "RunStarted") {
            expect(ids.has(decision.reply.run)).toBe(false)
            ids.add(decision.reply.run)
            runs.set(today, (runs.get(today) ?? 0) + 1)
          }
          if (decision.reply._tag === "Granted" && decision.reply.count > 0 && each._tag === "Spend") {
            const { count } = decision.reply
            // The same page again takes the place of what it took.
            const before = last.page === each.page && last.day === today ? last.count : 0
            spent.set(today, (spent.get(today) ?? 0) - before + count)
            last = { page: each.page, day: today, count }
          }
        }
        expect(Math.max(0, ...runs.values())).toBeLessThanOrEqual(5)
        expect(Math.max(0, ...spent.values())).toBeLessThanOrEqual(40)
        expect(state(current).runs).toBe(ids.size)
      }),
      { numRuns: 200 }
    )
  })
})
